"""Shells around the pure core of ``paxos``: they bring time, chance, storage and a network.

``host.py`` runs one server on any transport, store and timer that fit ``ports.py``; ``memory.py``
is a whole cluster in one process.
"""
