"""Reading: from files to entries, in order, with what is torn told apart from what is damaged.

- A last line without an end is one that was being written: a clean end, and said.
- So is a line that does not fit right before a header: a recorder started again after a kill.
- Any other line that does not fit is an error that names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeAlias

from attrs import frozen

from paxos_adapters.coding import Coder, CodingError, E_co
from paxos_adapters.machine import R, S
from paxos_adapters.outputs import RECORDING, RECORDING_HEAD, OutputRefused, check, remove
from paxos_lab.record import entries
from paxos_lab.record.entries import FORMAT, Closed, Entry, Header
from paxos_lab.record.errors import OtherFormat, RecordingCorrupted, RecordingError
from paxos_lab.record.recorder import older

HEADER = RECORDING_HEAD
MAX_LINE_BYTES = 16 * 2**20
"""A longer line was not recorded."""


@frozen
class Torn:
    """A line was being written when its writer ended."""


Item: TypeAlias = Header | Entry[S, E_co, R] | Closed | Torn


@frozen
class Line(Generic[S, E_co, R]):
    """One line, where it stands, and what it says."""

    path: Path
    number: int
    item: Item[S, E_co, R]


def parts(path: Path) -> list[Path]:
    """The files of a recording that are there, the oldest first: FILE.2, FILE.1, FILE."""
    found = [path]
    while (before := older(path, len(found))).exists():
        found.append(before)
    return found[::-1]


def discard(path: Path) -> None:
    """Take the recording at ``path`` away, and its older files.

    An older file that is something else stays. Raises OSError; OutputRefused, with nothing done, if
    ``path`` is something else.
    """
    check(path, RECORDING)
    for part in parts(path)[:-1]:
        with suppress(OutputRefused):
            remove(part, RECORDING)
    remove(path, RECORDING)


def read(path: Path, coder: Coder[S, E_co, R]) -> Iterator[Line[S, E_co, R]]:
    """The lines of one file. Raises OSError, RecordingCorrupted, OtherFormat, RecordingError."""
    sum_, number, pending = 0, 0, None
    for number, line in enumerate(_lines(path), start=1):
        if number == 1:
            _check_header(path, line)
        if pending is not None:
            if not line.startswith(HEADER):
                raise pending
            yield Line(path, number - 1, Torn())
            pending = None
        if not line.endswith(b"\n"):
            yield Line(path, number, Torn())
            return
        try:
            body, sum_ = entries.opened(line[:-1], sum_)
            yield Line(path, number, _item(path, body, coder))
        except OtherFormat:
            raise
        except CodingError as error:
            pending = RecordingCorrupted(path, number, str(error))
    if pending is not None:
        raise pending
    if number == 0:
        raise RecordingError(f"{path} is empty: nothing was recorded. Record a run first.")


def _item(path: Path, body: entries.Body, coder: Coder[S, E_co, R]) -> Item[S, E_co, R]:
    if "recording" not in body:
        return entries.entry_of(body, coder)
    if body["recording"] != FORMAT:
        raise OtherFormat(path, body["recording"], FORMAT)
    return entries.header_of(body, coder)


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while line := file.readline(MAX_LINE_BYTES):
            yield line


def _check_header(path: Path, line: bytes) -> None:
    """Whatever else another format has, it begins with its number."""
    found = re.match(rb'\{"recording": ?(\d{1,9})\b', line)
    if found is not None and int(found[1]) != FORMAT:
        raise OtherFormat(path, int(found[1]), FORMAT)
    if not line.startswith(HEADER):
        raise RecordingError(
            f"{path} is not a recording that this version can read: it does not begin with a "
            "header. Make one with --record."
        )
