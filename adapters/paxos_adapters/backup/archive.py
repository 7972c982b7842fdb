"""The file of a backup: lines of JSON, so that it can be looked at.

    {"paxos backup":1,"cluster":"demo","quorum":...,"server":1,"alone":false,"names_of":[1,2],...}
    {"log":"kv","slot":1042}            what is applied of the slots below
    "base64"                            pieces of that snapshot, in order; then the next log
    ["leader","base64"]                 a name, and the value that is chosen for it
    {"logs":1,"decisions":1,"digest":"..."}     over all that is before it

- Names stand in their order, each once. ``names_of`` says whose files the names of decisions are
  from.
- Written as a stream. ``outputs`` gives the file its name once it is whole and on the disk.
- Read as a stream. Nothing of it holds before its last line was read and the digest compared.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar

import msgspec
from attrs import frozen
from msgspec import Struct

from paxos import QuorumSystem, ServerId
from paxos_adapters.backup.errors import BadBackup
from paxos_adapters.file.entries import check_name
from paxos_adapters.file.errors import BadName, TooLarge
from paxos_adapters.limits import MAX_NAME_BYTES, MAX_SLOT, MAX_STORED_VALUE_BYTES
from paxos_adapters.printable import brief
from paxos_adapters.quorum_words import quorum_of

T = TypeVar("T")

FORMAT = 1
DIGEST_BYTES = 32
MAX_LINE_BYTES = 2 * MAX_STORED_VALUE_BYTES + 6 * MAX_NAME_BYTES + (1 << 17)

Decision: TypeAlias = tuple[str, bytes]
"""A name, and the value that is chosen for it."""


@frozen
class Header:
    """Of which cluster a backup is, and which ``server`` was asked. ``words``: its quorum system.

    ``names_of``: the servers in whose files the names of decisions were found, all in the latest
    epoch of decisions, whose quorum system this is. What was chosen before has its name in each
    phase-1 quorum of them. ``alone``: no quorum was asked. Its logs may lack what other servers
    knew.
    """

    cluster: str
    words: str
    membership: str
    server: ServerId
    names_of: tuple[ServerId, ...]
    alone: bool = False

    @property
    def quorum(self) -> QuorumSystem:
        """The quorum system of that cluster."""
        return quorum_of(self.words)

    @property
    def has_all_names(self) -> bool:
        """Whether every decision that was made before the backup began has its name in it."""
        return self.quorum.is_phase1(frozenset(self.names_of))


@frozen
class LogHead:
    """A log in a backup: what is applied of all slots below ``slot``."""

    name: str
    slot: int


@frozen
class Backup:
    """What a backup says as a whole. ``size_bytes``: of the snapshots of its logs."""

    header: Header
    logs: tuple[LogHead, ...]
    decisions: int
    size_bytes: int
    digest: str


class _Head(Struct, forbid_unknown_fields=True):
    format: int = msgspec.field(name="paxos backup")
    cluster: str
    quorum: str
    membership: str
    server: int
    alone: bool
    names_of: list[int]


class _Log(Struct, forbid_unknown_fields=True):
    log: str
    slot: int


class _End(Struct, forbid_unknown_fields=True):
    logs: int
    decisions: int
    digest: str


class Writing:
    """A backup that is being written. ``whole`` is known once ``lines`` has ended.

    ``logs`` are snapshots in pieces, in the order of names; so are ``decisions``.
    """

    def __init__(
        self,
        header: Header,
        logs: Iterable[tuple[LogHead, Iterable[bytes]]],
        decisions: Iterable[Decision],
    ) -> None:
        self.whole: Backup | None = None
        self._header, self._logs, self._decisions = header, logs, decisions
        self._digest = blake2b(digest_size=DIGEST_BYTES)

    def lines(self) -> Iterator[bytes]:
        """All of it. Raises what ``logs`` and ``decisions`` raise."""
        it = self._header
        logs: list[LogHead] = []
        decisions = size_bytes = 0
        yield self._line(
            _Head(FORMAT, it.cluster, it.words, it.membership, it.server, it.alone, [*it.names_of])
        )
        for head, pieces in self._logs:
            logs.append(head)
            yield self._line(_Log(head.name, head.slot))
            for piece in pieces:
                size_bytes += len(piece)
                yield self._line(piece)
        for decision in self._decisions:
            decisions += 1
            yield self._line(decision)
        digest = self._digest.hexdigest()
        yield _dumped(_End(len(logs), decisions, digest))
        self.whole = Backup(it, tuple(logs), decisions, size_bytes, digest)

    def _line(self, what: object) -> bytes:
        line = _dumped(what)
        self._digest.update(line)
        return line


def _dumped(what: object) -> bytes:
    return msgspec.json.encode(what) + b"\n"


class Reading:
    """A backup that is being read: first its logs, then its decisions; ``whole`` is known then."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Reads the header. Raises BadBackup."""
        self.whole: Backup | None = None
        self._path, self._file = path, file
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        self._logs: list[LogHead] = []
        self._size_bytes = 0
        self._next = b""
        self._advance()
        self.header = self._header(self._understood(self._next, _Head))
        self._advance()

    def logs(self) -> Iterator[tuple[LogHead, Iterator[bytes]]]:
        """Each log, with the pieces of its snapshot. Raises BadBackup."""
        for head, its in groupby(self._pieces(), key=lambda it: it[0]):
            yield head, (piece for _, piece in its)

    def _pieces(self) -> Iterator[tuple[LogHead, bytes]]:
        while self._next.startswith(b'{"log":'):
            it = self._understood(self._next, _Log)
            head = LogHead(it.log, it.slot)
            self._check_name(it.log, self._logs[-1].name if self._logs else "")
            if not 1 <= it.slot <= MAX_SLOT:
                raise BadBackup(self._path, f"{it.slot} is not a slot of a log")
            self._logs.append(head)
            self._advance()
            if not self._next.startswith(b'"'):
                raise BadBackup(self._path, f"the log {brief(it.log)} has no snapshot in it")
            while self._next.startswith(b'"'):
                piece = self._understood(self._next, bytes)
                self._size_bytes += len(piece)
                yield head, piece
                self._advance()

    def decisions(self) -> Iterator[Decision]:
        """Every decision. Raises BadBackup, also at the end."""
        decisions, last = 0, ""
        while self._next.startswith(b"["):
            name, value = self._understood(self._next, tuple[str, bytes])
            self._check_name(name, last)
            decisions, last = decisions + 1, name
            yield name, value
            self._advance()
        end = self._understood(self._next, _End)
        found = len(self._logs), decisions, self._digest.hexdigest()
        if (end.logs, end.decisions, end.digest) != found:
            raise BadBackup(self._path, "it is damaged: its digest is another one")
        if self._file.read(1):
            raise BadBackup(self._path, "there is something behind its end")
        logs = tuple(self._logs)
        self.whole = Backup(self.header, logs, decisions, self._size_bytes, end.digest)

    def _advance(self) -> None:
        """Take the next line; the digest is over those before it."""
        self._digest.update(self._next)
        try:
            line = self._file.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise BadBackup(self._path, f"it cannot be read ({error})") from error
        if not line.endswith(b"\n"):
            raise BadBackup(self._path, "it is not a backup, or it was cut off")
        self._next = line

    def _understood(self, line: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(line, type=kind)
        except (ValueError, RecursionError):
            what = brief(line.decode(errors="replace"))
            raise BadBackup(self._path, f"{what} is not a line of a backup") from None

    def _header(self, it: _Head) -> Header:
        if it.format != FORMAT:
            what = f"it has format {it.format}, and this version reads format {FORMAT}"
            raise BadBackup(self._path, what)
        names_of = tuple([ServerId(me) for me in it.names_of])
        me = ServerId(it.server)
        header = Header(it.cluster, it.quorum, it.membership, me, names_of, it.alone)
        try:
            quorum_of(it.quorum)
        except ValueError as error:
            raise BadBackup(self._path, f"its quorum system makes no sense: {error}") from error
        return header

    def _check_name(self, name: str, last: str) -> None:
        try:
            check_name("a name", name)
        except (BadName, TooLarge) as error:
            raise BadBackup(self._path, f"a name in it cannot be one: {error}") from error
        if name <= last:
            raise BadBackup(self._path, f"the name {brief(name)} is out of order")


@contextmanager
def reading(path: Path) -> Generator[Reading, None, None]:
    """A backup to read. Raises BadBackup."""
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        raise BadBackup(path, f"it cannot be read ({error})") from error
    with file:
        yield Reading(path, file)


def inspect_backup(path: Path) -> Backup:
    """What the backup at ``path`` says as a whole; all of it is checked. Raises BadBackup."""
    with reading(path) as source:
        for _, pieces in source.logs():
            for _ in pieces:
                pass
        for _ in source.decisions():
            pass
        assert source.whole is not None
        return source.whole
