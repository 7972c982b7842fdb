"""Closing a file for a change of members, on stopped servers: see docs/lost-server.md.

- A closed file is opened by no node any more: its promises stay as they were read.
- Both are done under the lock of the file, in one commit, and may be repeated after a kill.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from paxos_adapters.file.identity import Identity
from paxos_adapters.file.mark import Mark
from paxos_adapters.file.opening import empty_log, under_lock
from paxos_adapters.file.reading import Contents, read
from paxos_adapters.file.rows import CLOSED, Key, Row, closed_row, session_row
from paxos_adapters.file.writing import connect_to_write, put


def close_membership(path: Path, reason: str) -> Identity:
    """Have no node open the file any more; whose it is. If it is closed, nothing is changed.

    Raises NotThere, NoStore, InUse, OlderFormat, NewerFormat, Damaged, Denied.
    """

    def close(path: Path, mark: Mark) -> Identity:
        contents = read(path, mark.said)
        if contents.closed is None:
            _commit(path, mark, contents, [closed_row(reason, contents.saves + 1)], [])
        mark.close(sync=True)
        return contents.identity

    return under_lock(path, close)


def reopen_membership(path: Path) -> Identity:
    """Undo ``close_membership``: only for a change of members that nothing came of.

    Raises as that does.
    """

    def reopen(path: Path, mark: Mark) -> Identity:
        contents = read(path, mark.said)
        if contents.closed is not None and contents.session is not None:
            counted = session_row(contents.session, contents.saves + 1)
            _commit(path, mark, contents, [counted], [("", CLOSED)])
        mark.close(sync=True)
        return contents.identity

    return under_lock(path, reopen)


def _commit(
    path: Path, mark: Mark, contents: Contents, rows: Sequence[Row], gone: Sequence[Key]
) -> None:
    with closing(connect_to_write(path)) as writer:
        empty_log(path, writer)
        writer.execute("BEGIN IMMEDIATE")
        total = put(writer, contents.identity, rows, contents.total, gone)
        writer.execute("COMMIT")
        mark.write(contents.saves + 1, total)
