"""The ``paxos`` command. Its libraries come with the extra ``cli``; nothing else needs them."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command, or say which extra it needs."""
    try:
        from paxos_adapters.cli.app import run
    except ModuleNotFoundError as missing:
        if missing.name not in ("click", "rich"):
            raise
        sys.exit(
            f"paxos: the command needs {missing.name}, which comes with the extra 'cli': "
            "pip install 'sansio-paxos[cli]'. The library works without it."
        )
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run(sys.argv[1:]))
