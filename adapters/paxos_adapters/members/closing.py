"""The first step: no node opens the old files any more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paxos_adapters.file.identity import Identity
from paxos_adapters.members.errors import SettledOtherwise
from paxos_adapters.members.holding import held


def close_files(paths: Sequence[Path]) -> list[Identity]:
    """Close files of stopped servers; whose they are. One that is closed stays as it is.

    All are locked and read before the first is closed. Raises StoreNotFound, NotAStore,
    StoreLocked, OlderFormat, NewerFormat, Damaged, StoreUnavailable.
    """
    with held(paths) as files:
        for file in files:
            if not file.is_closed:
                file.close_with(None)
        return [file.contents.identity for file in files]


def reopen_files(paths: Sequence[Path]) -> list[Identity]:
    """Undo ``close_files``, for a change of members that is given up before it is settled.

    Raises SettledOtherwise, with nothing changed, if a settle has noted its id in one of them, and
    what ``close_files`` raises.
    """
    with held(paths) as files:
        for file in files:
            if file.note is not None:
                raise SettledOtherwise(file.path, str(file.note))
        for file in files:
            if file.is_closed:
                file.reopen()
        return [file.contents.identity for file in files]
