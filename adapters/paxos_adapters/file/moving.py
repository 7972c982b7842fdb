"""Moving a closed store aside, so that another one can take its place.

- The store and its mark are linked under their new names, and that is durable, before the old names
  go. So there is a whole store under one of the names at any moment, and a move that was cut off is
  taken up again.
- Only under its lock, and with an empty log: all of it is in these two files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from paxos_adapters.file.errors import AlreadyThere, InUse
from paxos_adapters.file.mark import beside, unfinished
from paxos_adapters.file.opening import draft_of


def move_aside(path: Path, aside: Path) -> None:
    """Move the store at ``path`` to ``aside``. Raises InUse, AlreadyThere, OSError."""
    if path.with_name(f"{path.name}-wal").exists():
        raise InUse(path)
    for old, new in _pairs(path, aside):
        try:
            os.link(old, new)
        except FileExistsError:
            if not os.path.samestat(old.lstat(), new.lstat()):
                raise AlreadyThere(new, "there is another file") from None
    sync_folder(aside)
    finish_moving(path, aside)


def finish_moving(path: Path, aside: Path) -> None:
    """Take away the old names of a store that has both its new ones. Raises OSError."""
    pairs = _pairs(path, aside)
    if not all(new.exists() for _, new in pairs):
        return
    for old, new in pairs:
        with suppress(FileNotFoundError):
            if os.path.samestat(old.lstat(), new.lstat()):
                old.unlink()
    sync_folder(aside)


def forget_unfinished(path: Path) -> None:
    """Take away what a creation that was cut off has left: second names of store and mark.

    The next creation at ``path`` would write to them. Only under the lock of the store there.
    """
    for leftover in unfinished(path), draft_of(path):
        leftover.unlink(missing_ok=True)


def sync_folder(path: Path) -> None:
    """Make durable which files there are beside ``path``. Raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _pairs(path: Path, aside: Path) -> Sequence[tuple[Path, Path]]:
    return (path, aside), (beside(path), beside(aside))
