"""The artefact of a change of members: what every new member begins with.

Lines of JSON in ASCII, so that it can be looked at:

    {"paxos members": 1, "cluster": ..., "quorum": ..., "membership": ..., "before": ..., ...}
    ["name", round, server, "value in hexadecimal digits"]      one for each name, in order
    {"records": 1, "max_round": 7, "digest": ...}               over all that is before it

- Written whole or not at all, and nothing is replaced.
- Read as a stream. Nothing of it holds before its last line was read and the digest compared.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, TypeAlias, TypeVar

from attrs import frozen

from paxos import Acceptor, Ballot, Proposal, QuorumSystem, ServerId
from paxos_adapters.arguments import whole
from paxos_adapters.file.entries import MEMBERSHIP, row_of
from paxos_adapters.limits import MAX_NAME_BYTES, MAX_ROUND, MAX_STORED_VALUE_BYTES
from paxos_adapters.members.errors import ArtefactExists, BadArtefact
from paxos_adapters.outputs import create_in_parts, sync
from paxos_adapters.printable import brief
from paxos_adapters.quorum_words import quorum_of

T = TypeVar("T")
FORMAT = 1
MAX_LINE_BYTES = 2 * MAX_STORED_VALUE_BYTES + 6 * MAX_NAME_BYTES + (1 << 17)
DIGEST_BYTES = 32
Settled: TypeAlias = tuple[str, Proposal[bytes]]
"""A name, and the proposal that is settled for it."""


@frozen
class Header:
    """Which membership follows which.

    ``words`` is its quorum system. ``before`` is the digest of the old membership, in hexadecimal
    digits, and ``files`` names the servers whose files were read.
    """

    cluster: str
    words: str
    membership: str
    before: str
    files: tuple[ServerId, ...]

    @property
    def quorum(self) -> QuorumSystem:
        """The quorum system of the new members."""
        return quorum_of(self.words)


@frozen
class Artefact:
    """What an artefact says as a whole."""

    header: Header
    records: int
    max_round: int
    digest: str


class Writing:
    """An artefact that is being written. ``whole`` is known once ``lines`` has ended.

    ``max_round`` is asked when ``settled`` has ended.
    """

    def __init__(
        self, header: Header, settled: Iterable[Settled], max_round: Callable[[], int]
    ) -> None:
        self.whole: Artefact | None = None
        self._header, self._settled, self._max_round = header, settled, max_round
        self._digest = blake2b(digest_size=DIGEST_BYTES)

    def lines(self) -> Iterator[bytes]:
        """All of it. Raises what ``settled`` raises."""
        it, records = self._header, 0
        yield self._line(
            {
                "paxos members": FORMAT,
                "cluster": it.cluster,
                "quorum": it.words,
                "membership": it.membership,
                "before": it.before,
                "files": " ".join(map(str, it.files)),
            }
        )
        for name, proposal in self._settled:
            records += 1
            ballot = proposal.ballot
            yield self._line([name, ballot.round, ballot.server, proposal.value.hex()])
        highest = self._max_round()
        self._digest.update(_counts(records, highest))
        self.whole = Artefact(it, records, highest, self._digest.hexdigest())
        yield _dumped({"records": records, "max_round": highest, "digest": self.whole.digest})

    def _line(self, what: object) -> bytes:
        line = _dumped(what)
        self._digest.update(line)
        return line


def write(path: Path, writing: Writing) -> Artefact:
    """Write the artefact at ``path``, or find that it is there already.

    Raises ArtefactExists, OutputRefused, OSError, and what is raised by what is settled.
    """
    if os.path.lexists(path):
        for _ in writing.lines():
            pass
        if _found(path) != writing.whole:
            raise ArtefactExists(path)
    else:
        create_in_parts(path, writing.lines())
    sync(path.parent)
    assert writing.whole is not None
    return writing.whole


def _found(path: Path) -> Artefact | None:
    try:
        return inspect_artefact(path)
    except BadArtefact:
        return None


def _dumped(what: object) -> bytes:
    return json.dumps(what).encode() + b"\n"


def _counts(records: int, max_round: int) -> bytes:
    return f"{records} {max_round}".encode()


class Reading:
    """An artefact that is being read. ``whole`` is known once ``settled`` has ended."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Reads the header. Raises BadArtefact."""
        self.whole: Artefact | None = None
        self._path, self._file = path, file
        self._digest = blake2b(digest_size=DIGEST_BYTES)
        line = self._line()
        self.header = self._understood(_header, line)
        self._digest.update(line)

    def settled(self) -> Iterator[Settled]:
        """Every proposal, in the order of the names. Raises BadArtefact, also at the end."""
        records, last, highest = 0, "", 0
        while (line := self._line()).startswith(b"["):
            name, proposal = self._understood(_settled, line)
            if records and name <= last:
                raise BadArtefact(self._path, f"the name {brief(name)} is out of order")
            self._digest.update(line)
            records, last = records + 1, name
            highest = max(highest, proposal.ballot.round)
            yield name, proposal
        found = self._understood(lambda it: _whole(self.header, it), line)
        self._digest.update(_counts(records, found.max_round))
        if (found.records, found.digest) != (records, self._digest.hexdigest()):
            raise BadArtefact(self._path, "it is damaged: its digest is another one")
        if found.max_round < highest:
            raise BadArtefact(self._path, f"it has settled round {highest}, above its highest")
        if self._file.read(1):
            raise BadArtefact(self._path, "there is something behind its end")
        self.whole = found

    def _line(self) -> bytes:
        try:
            line = self._file.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise BadArtefact(self._path, f"it cannot be read ({error})") from error
        if not line.endswith(b"\n"):
            raise BadArtefact(self._path, "it is not an artefact, or it was cut off")
        return line

    def _understood(self, meaning: Callable[[object], T], line: bytes) -> T:
        try:
            return meaning(json.loads(line))
        except (ValueError, RecursionError):
            what = brief(line.decode(errors="replace"))
            raise BadArtefact(self._path, f"{what} makes no sense in an artefact") from None


@contextmanager
def reading(path: Path) -> Generator[Reading, None, None]:
    """Read the artefact at ``path``. Raises BadArtefact."""
    try:
        descriptor = _without_waiting(path)
    except (OSError, ValueError) as error:
        raise BadArtefact(path, f"it cannot be read ({error})") from error
    with open(descriptor, "rb") as file:
        yield Reading(path, file)


def _without_waiting(path: Path) -> int:
    """A descriptor of a regular file; opening a pipe would wait for its writer. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("it is not a regular file")
    return descriptor


def inspect_artefact(path: Path) -> Artefact:
    """What the artefact at ``path`` says; all of it is checked. Raises BadArtefact."""
    with reading(path) as artefact:
        for _ in artefact.settled():
            pass
    assert artefact.whole is not None
    return artefact.whole


# --- lines ---------------------------------------------------------------------------------------


def _header(found: object) -> Header:
    match found:
        case {
            "paxos members": 1,
            "cluster": str(cluster),
            "quorum": str(words),
            "membership": str(membership),
            "before": str(before),
            "files": str(files),
        }:
            quorum_of(words)
            if not membership or not MEMBERSHIP.fullmatch(membership):
                raise ValueError("no membership has such an id")
            return Header(cluster, words, membership, before, _ids(files))
        case _:
            raise ValueError("this is not how an artefact begins")


def _ids(text: str) -> tuple[ServerId, ...]:
    return tuple(ServerId(int(it)) for it in text.split())


def _settled(found: object) -> Settled:
    match found:
        case [str(name), int(number), int(server), str(value)]:
            ballot = Ballot(whole("a round", number, 0), ServerId(whole("a server", server)))
            proposal = Proposal(ballot, bytes.fromhex(value))
            row_of(name, Acceptor(ballot, proposal), 1)
            return name, proposal
        case _:
            raise ValueError("this is not a settled proposal")


def _whole(header: Header, found: object) -> Artefact:
    match found:
        case {"records": int(records), "max_round": int(highest), "digest": str(digest)}:
            return Artefact(header, records, whole("a round", highest, 0, MAX_ROUND), digest)
        case _:
            raise ValueError("this is not how an artefact ends")
