"""``python -m paxos_cli`` is the ``paxos`` command."""

from paxos_cli import main

main()
