"""``python -m paxos_adapters.cli`` is the ``paxos`` command."""

from paxos_adapters.cli import main

main()
