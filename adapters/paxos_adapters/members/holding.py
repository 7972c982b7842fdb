"""Files held under their locks, all of them before anything is done to any.

- What is read is on the disk before anything rests on it: after a sync that failed, the system may
  take for saved what is not.
- What is written to one is one commit, with the mark after it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from secrets import token_hex

from attrs import evolve

from paxos_adapters.file.errors import StoreCorrupted
from paxos_adapters.file.mark import SESSION_BYTES, Mark
from paxos_adapters.file.opening import empty_log, under_lock
from paxos_adapters.file.reading import Contents, read
from paxos_adapters.file.rows import CLOSED, Key, Row, Session, closed_row, session_row
from paxos_adapters.file.writing import Writer, put
from paxos_adapters.members.errors import HoldsLogs, NamedTwice, Unfinished
from paxos_adapters.members.notes import UNSETTLED, Note, note_of


class Held:
    """A file that is held: all of it was read and checked."""

    def __init__(self, path: Path, mark: Mark) -> None:
        """Raises what reading raises, and HoldsLogs."""
        self.path = path
        self.mark = mark
        self.contents: Contents = read(path, mark.content)
        if self.contents.logs:
            raise HoldsLogs(path, tuple(self.contents.logs))
        self.note: Note | None = None
        if self.contents.closed is not None:
            try:
                self.note = note_of(self.contents.closed)
            except ValueError as error:
                raise StoreCorrupted(path, str(error)) from error
        with closing(Writer(path)) as writer:
            empty_log(path, writer)

    @property
    def is_closed(self) -> bool:
        """Whether no node opens it."""
        return self.contents.closed is not None

    def close_with(self, note: Note | None) -> None:
        """Have no node open it, and say so in it. Raises Unfinished."""
        reason = UNSETTLED if note is None else str(note)
        self._commit([closed_row(reason, self.contents.saves + 1)], [])
        self.contents = evolve(self.contents, closed=reason)
        self.note = note

    def reopen(self) -> None:
        """Have nodes open it again. Raises Unfinished.

        The row that held the highest count goes, so another one has to hold it: that of the last
        session. A file that was never opened gets one, of which no peer is told.
        """
        saves = self.contents.saves + 1
        session = self.contents.session or Session(token_hex(SESSION_BYTES), saves)
        self._commit([session_row(session, saves)], [("", CLOSED)])
        self.contents = evolve(self.contents, session=session, closed=None)

    def _commit(self, rows: Sequence[Row], gone: Sequence[Key]) -> None:
        saves = self.contents.saves + 1
        try:
            with closing(Writer(self.path)) as writer:
                writer.execute("BEGIN IMMEDIATE")
                total = put(writer, self.contents.identity, rows, self.contents.total, gone)
                writer.execute("COMMIT")
                self.mark.write(saves, total)
                empty_log(self.path, writer)
        except (sqlite3.Error, OSError) as error:
            raise Unfinished(self.path, error) from error
        self.contents = evolve(self.contents, saves=saves, total=total)

    def release(self) -> None:
        """Release the lock, with the mark on the disk. Raises Unfinished."""
        try:
            self.mark.close(sync=True)
        except OSError as error:
            raise Unfinished(self.path, error) from error


@contextmanager
def held(paths: Sequence[Path]) -> Generator[list[Held], None, None]:
    """All of these files, each under its lock and read.

    Raises NamedTwice, HoldsLogs, StoreNotFound, NotAStore, StoreLocked, OlderFormat, NewerFormat,
    StoreCorrupted, StoreUnavailable with nothing done; Unfinished for what fails afterwards.
    """
    _check_different(paths)
    with ExitStack() as stack:
        files: list[Held] = []
        for path in paths:
            files.append(under_lock(path, Held))
            stack.callback(files[-1].release)
        yield files


def _check_different(paths: Sequence[Path]) -> None:
    found: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if real in found:
            raise NamedTwice(path)
        found.add(real)
