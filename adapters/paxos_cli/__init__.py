"""The ``paxos`` command. Its libraries come with the extra ``cli``; nothing else needs them."""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command, or say which extra it needs."""
    _keep_standard_descriptors()
    try:
        from paxos_cli.app import run

        code = run(sys.argv[1:])
    except ModuleNotFoundError as missing:
        package = str(missing.name).partition(".")[0]
        if package not in ("click", "rich"):
            raise
        sys.exit(
            f"paxos: the command needs {package}, which comes with the extra 'cli': "
            "pip install 'sansio-paxos[cli]'. The library works without it."
        )
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code)


def _keep_standard_descriptors() -> None:
    """Open what was closed of 0, 1 and 2: else the next file, a store for one, gets that number.

    What a library or a child then says to its standard error would go into that file.
    """
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
