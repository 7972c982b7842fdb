"""Models of sessions, registration and the change of members, independent of the product's code.

They import nothing of ``paxos`` or ``paxos_adapters``. Each module opens with the rules that it
holds; each rule has broken variants, and each of those must be caught.
``python -m tests.tools.models`` runs all of them.
"""
