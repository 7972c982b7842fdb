"""Adapters around the pure core of ``paxos``: they bring time, chance, storage and a network.

``machine.py`` says what a driver must know, and ``driving.py`` steps one process of it. ``host.py``
runs one on any transport, store and timer that fit ``ports.py``; ``memory.py`` is a whole cluster
in one process. A datagram goes endpoint, wire, mesh, node.
"""
