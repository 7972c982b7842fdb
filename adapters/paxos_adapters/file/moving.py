"""Moving a closed store aside, so that another one can take its place.

- The store and its mark are linked under their new names, and that is durable, before the old names
  go. So there is a whole store under one of the names at any moment, and a move that was cut off is
  taken up again.
- Only under its lock, and with an empty log: all of it is in these two files. So is a move that is
  taken up again: whatever moves it now has the lock.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from paxos import OperationalError
from paxos_adapters.file.errors import StoreError, StoreLocked
from paxos_adapters.file.mark import Mark, mark_path, unfinished
from paxos_adapters.file.opening import clear_draft, under_lock
from paxos_adapters.outputs import sync


class InTheWay(StoreError, OperationalError):
    """There is another file where a store is to be moved to. Nothing was changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is there, and the closed file is to be moved there. Move that one elsewhere."
        )
        self.path = path


def move_aside(path: Path, aside: Path) -> None:
    """Move the store at ``path`` to ``aside``. Raises StoreLocked, InTheWay, OSError."""
    if path.with_name(f"{path.name}-wal").exists():
        raise StoreLocked(path)
    pairs = _pairs(path, aside)
    for old, new in pairs:
        if os.path.lexists(new) and not _are_one(old, new):
            raise InTheWay(new)
    for old, new in pairs:
        with suppress(FileExistsError):
            os.link(old, new)
    sync(aside.parent)
    _take_old_names(path, aside)


def finish_moving(path: Path, aside: Path) -> None:
    """Take up a move that was cut off after both new names were there.

    Raises StoreLocked, StoreUnavailable, and what opening the mark raises.
    """

    def take_up(_: Path, mark: Mark) -> None:
        _take_old_names(path, aside)
        mark.close()

    pairs = _pairs(path, aside)
    if all(new.exists() for _, new in pairs) and any(_are_one(*pair) for pair in pairs):
        under_lock(aside, take_up)


def _take_old_names(path: Path, aside: Path) -> None:
    for old, new in _pairs(path, aside):
        if _are_one(old, new):
            old.unlink()
    sync(aside.parent)


def _are_one(old: Path, new: Path) -> bool:
    try:
        return os.path.samestat(old.lstat(), new.lstat())
    except FileNotFoundError:
        return False


def forget_unfinished(path: Path) -> None:
    """Take away what a creation that was cut off has left: second names of store and mark.

    The next creation at ``path`` would write to them. Only under the lock of the store there.
    Raises StoreExists, OSError.
    """
    clear_draft(path)
    unfinished(path).unlink(missing_ok=True)


def _pairs(path: Path, aside: Path) -> Sequence[tuple[Path, Path]]:
    return (path, aside), (mark_path(path), mark_path(aside))
