"""The rows of an open file: what is read of it is checked, what is written is synced.

- A commit is durable when SQLite has synced it. A count of saves is sent after its commit, never
  before.
- The first commit that fails is the last one. Nothing is tried again. One that cannot begin, since
  another process uses the file, has not failed: it waits.
- To read does not wait for a commit.

Source: "Can Applications Recover from fsync Failures?" (Rebello et al., 2020), for the second.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import TypeAlias

from paxos_adapters import forks
from paxos_adapters.file.errors import Closed, DiskBusy, SaveFailed
from paxos_adapters.file.opening import Opened
from paxos_adapters.file.reading import check_row, refusal
from paxos_adapters.file.rows import GET_KINDS, Key, Row
from paxos_adapters.file.turns import Turns
from paxos_adapters.file.writing import put

Columns: TypeAlias = tuple[str, str, str, bytes | None, int, bytes]
"""The columns of a row, in their order."""


class Database:
    """The rows of one file, for several threads. ``saves``: how often it was saved so far."""

    def __init__(self, opened: Opened) -> None:
        self.path = opened.path
        self.identity = opened.contents.identity
        self.saves = opened.session.began
        self.turns = Turns(self.path, opened.writer)
        self._mark = opened.mark
        self._writer = opened.writer
        self._reader = opened.reader
        self._saving, self._reading = RLock(), RLock()
        self._process = os.getpid()
        self._failure: BaseException | None = None
        self._is_closed = False

    def check_usable(self) -> None:
        """Raise Forked, Closed, or SaveFailed after a commit that failed."""
        forks.check(self._process, self.path)
        if self._is_closed:
            raise Closed(self.path)
        if self._failure is not None:
            raise SaveFailed(self.path, self._failure) from self._failure

    # --- reading --------------------------------------------------------------------------------

    def rows(self, query: str, *key: str | int) -> list[Row]:
        """What ``query`` finds. Raises StoreCorrupted, and as ``names``."""
        with self._refusals():
            found = self._query(query, key)
        rows: list[Row] = []
        for name, kind, fields, value, saves, sum_ in found:
            row = Row(name, kind, fields, value, saves)
            check_row(self.path, self.identity, row, sum_)
            rows.append(row)
        return rows

    def names(self, query: str, *key: str | int) -> tuple[str, ...]:
        """The names that ``query`` finds. Raises StoreUnavailable, and as ``check_usable``."""
        with self._refusals():
            return tuple([name for (name,) in self._reader.execute(query, key)])

    def kinds(self, *key: str | int) -> list[tuple[str, int]]:
        """The kinds of rows and their bytes. Raises as ``names``."""
        with self._refusals():
            return self._reader.execute(GET_KINDS, key).fetchall()

    @contextmanager
    def _refusals(self) -> Generator[None, None, None]:
        with self._reading:
            self.check_usable()
            try:
                yield
            except sqlite3.Error as error:
                raise refusal(self.path, error) from error

    def _query(self, query: str, key: Sequence[str | int]) -> Iterable[Columns]:
        """By the writer while nothing is saved, since its cache is valid; else by the reader."""
        if self._saving.acquire(blocking=False):
            try:
                return self._writer.execute(query, key).fetchall()
            except sqlite3.OperationalError:
                pass  # The reader waits for what is in the way, and takes any text.
            finally:
                self._saving.release()
        return self._reader.execute(query, key).fetchall()

    # --- saving ---------------------------------------------------------------------------------

    @contextmanager
    def saving(self) -> Generator[int, None, None]:
        """Nothing else is saved until this is left. The count of the next commit.

        Raises as ``check_usable``.
        """
        with self._saving:
            self.check_usable()
            yield self.saves + 1

    def commit(
        self,
        rows: Callable[[int], Sequence[Row]],
        gone: Sequence[Key] = (),
        *,
        wait: bool = True,
    ) -> None:
        """Write ``rows``, made for the count of this commit, and remove others: all or nothing.

        While another process keeps the file busy it waits; not with ``wait=False``, which raises
        DiskBusy. Raises SaveFailed if the disk did not take it.
        """
        begin = self.turns.begin if wait else self.turns.begin_now
        try:
            begin(self._writer)
            saves = self.saves + 1
            written = rows(saves)
            total = put(self._writer, self.identity, written, self._mark.content.total, gone)
            self._writer.execute("COMMIT")
            self._mark.write(saves, total)
            self.turns.wrote(written)
            self.saves = saves
        except DiskBusy:
            raise
        except BaseException as cause:
            self._failure = cause
            raise SaveFailed(self.path, cause) from cause

    def close(self, last: Callable[[], None]) -> None:
        """Let ``last`` save what is left, if it can be, and release the file. May be called again.

        A commit that waits for another process is given up, with nothing written. Raises SaveFailed
        if ``last`` could not be saved; the file is released anyway.
        """
        if os.getpid() != self._process:
            return
        self.turns.end()
        with self._saving, self._reading:
            if self._is_closed:
                return
            try:
                if self._failure is None:
                    last()
            finally:
                self._is_closed = True
                self._release()

    def _release(self) -> None:
        try:
            try:
                self._reader.close()
                self._writer.close()
            finally:
                self._mark.close(sync=self._failure is None)
        except (sqlite3.Error, OSError) as error:
            raise SaveFailed(self.path, error) from error
