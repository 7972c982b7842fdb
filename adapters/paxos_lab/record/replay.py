"""Replaying: one recording, or those of all servers of a cluster, and what they have led to.

- The first step that diverges from the recording ends the replay, and is told.
- Several recordings are merged: what is heard comes after it was said; besides, the times decide.
- A server that starts again in a recording that did not end was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from attrs import Factory, define, frozen

from paxos import From, Message, QuorumSystem, ServerId, server
from paxos.proposer import ClientRequest
from paxos.server import ServerTimer
from paxos_adapters.codecs import SURROGATE_ESCAPE
from paxos_adapters.coding import Coder, E_co
from paxos_adapters.machine import M, Machine, P, Q, R, S, T
from paxos_adapters.ports import Key
from paxos_adapters.single import Single, single, single_coder
from paxos_lab.machines.faulty import PROTOCOLS
from paxos_lab.machines.protocols import Protocol
from paxos_lab.record.entries import Closed, Entry, Header
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.fingerprint import differing
from paxos_lab.record.reading import Line, Torn, parts, read
from paxos_lab.record.replayer import Differs, Replayer
from paxos_lab.record.trace import Trace

E = TypeVar("E")
X = TypeVar("X")

ENDED, KILLED = "ended with its program", "killed: its program starts again"


@frozen
class Difference:
    """The first step that diverges from the recording: which, what was expected, what came."""

    path: Path
    line: int
    step: int
    server: ServerId
    name: str
    expected: str
    came: str

    @property
    def text(self) -> str:
        """The same in one line."""
        of = f" in {self.name!r}" if self.name else ""
        return (
            f"step {self.step}, of server {self.server}{of} ({self.path}, line {self.line}): "
            f"recorded was {self.expected}; what comes now is {self.came}"
        )


@define
class MachineReplay(Trace[S, Q, M, T, R, P]):
    """The trace of all steps that were taken, and what is to be said of the recordings.

    ``torn`` files end within a line, and the writers of ``unfinished`` ones did not say that they
    ended: both are signs of a kill. ``modules`` are those of the machine beside the core, and
    ``machine`` is the one that was recorded last.
    """

    headers: list[Header] = Factory(list[Header])
    difference: Difference | None = None
    torn: list[Path] = Factory(list[Path])
    unfinished: list[Path] = Factory(list[Path])
    modules: tuple[str, ...] = ()
    machine: Machine[S, Q, M, T, R, P] | None = None

    @property
    def remarks(self) -> Iterator[str]:
        """What is to be said of the recordings, besides the first difference."""
        if self.other_core:
            yield f"The core is another one now: {', '.join(self.other_core)}."
        for path in self.torn:
            yield f"{path.name} breaks off within a line: its writer was killed."
        for path in self.unfinished:
            yield f"{path.name} was not closed: its writer was killed, or is still running."

    @property
    def other_core(self) -> tuple[str, ...]:
        """The modules in which a core that was recorded differs from this one."""
        cores = (differing(header.core, self.modules) for header in self.headers)
        return tuple(sorted({it for modules in cores for it in modules}))


Replay: TypeAlias = MachineReplay[
    server.Server[str],
    ClientRequest[str],
    Message[str],
    ServerTimer,
    server.Record[str],
    server.Report[str],
]
"""A replay of servers of one decision, whose values are text."""


def replay(*paths: Path, protocols: Mapping[str, Protocol] = PROTOCOLS) -> Replay:
    """Take all that ``paths`` tell again, and what is in their older files; values are text.

    ``protocols`` are those that may have been recorded, by name. Raises OSError, and RecordingError
    for what is not a recording, is damaged, or belongs to another cluster than the one before.
    """
    machines: dict[str, Single[str]] = {
        name: single(it.receive, name) for name, it in protocols.items()
    }
    return replay_machine(machines, single_coder(SURROGATE_ESCAPE), *paths)


def replay_machine(
    machines: Mapping[str, Machine[S, Q, M, T, R, P]],
    coder: Coder[S, From[M] | T | Q, R],
    *paths: Path,
) -> MachineReplay[S, Q, M, T, R, P]:
    """As ``replay``, for servers of any machine: one of ``machines``, by name."""
    sources = [_Source(path, coder) for path in paths]
    quorum = _quorum(sources)
    replay: MachineReplay[S, Q, M, T, R, P] = MachineReplay(quorum, modules=coder.kinds.modules)
    replayer = Replayer(coder, replay, quorum)
    for source, line in _merged(sources, replayer.can_come):
        if isinstance(line.item, Header):
            replay.headers.append(line.item)
            _restart(source, line.item, replay, replayer)
        elif isinstance(line.item, Torn):
            replay.torn.append(line.path)
        elif isinstance(line.item, Closed):
            source.is_closed = True
        else:
            entry = line.item
            try:
                machine = replay.machine = source.machine(machines)
                source.places.add((entry.server, entry.name))
                replayer.play(entry, machine)
            except Differs as it:
                where = line.path, line.number, len(replay.steps) + 1, entry.server, entry.name
                replay.difference = Difference(*where, it.expected, it.came)
                break
    replay.unfinished = [it.path for it in sources if not it.is_closed]
    return replay


class _Source(Generic[S, E_co, R]):
    """One recording, its older files first, and the line that comes next."""

    def __init__(self, path: Path, coder: Coder[S, E_co, R]) -> None:
        self.path = path
        self.header: Header | None = None
        self.places: set[Key] = set()
        self.is_closed = False
        self._lines = (line for part in parts(path) for line in read(part, coder))
        self.head = next(self._lines, None)

    @property
    def header_ahead(self) -> Header:
        """The header that it begins with. Raises RecordingError if there is none."""
        if self.head is None or not isinstance(self.head.item, Header):
            raise RecordingError(f"{self.path} holds no whole line: nothing was recorded.")
        return self.head.item

    def advance(self) -> Line[S, E_co, R] | None:
        """The line that was next."""
        line, self.head = self.head, next(self._lines, None)
        return line

    def machine(self, known: Mapping[str, X]) -> X:
        """What was recorded, of what is known by name. Raises RecordingError."""
        name = "" if self.header is None else self.header.protocol
        if name not in known:
            raise RecordingError(
                f"the servers of {self.path} ran the protocol {name!r}, which is not among those "
                f"that are known here: {', '.join(sorted(known))}."
            )
        return known[name]


def _quorum(sources: Sequence[_Source[S, E_co, R]]) -> QuorumSystem:
    """Raises RecordingError if there is nothing to play, or it does not belong together."""
    if not sources:
        raise RecordingError("there is nothing to replay: name a recording.")
    quorums = [it.header_ahead.quorum for it in sources]
    for source, quorum in zip(sources, quorums, strict=True):
        if quorum != quorums[0]:
            raise RecordingError(
                f"{source.path} was recorded under {quorum}, and {sources[0].path} under "
                f"{quorums[0]}: replay together only what belongs to one cluster."
            )
    return quorums[0]


def _merged(
    sources: Sequence[_Source[S, E, R]], can_come: Callable[[Entry[S, E, R]], bool]
) -> Iterator[tuple[_Source[S, E, R], Line[S, E, R]]]:
    """What comes next: first all but entries, then an entry that can come, the earliest."""

    def turn(source: _Source[S, E, R]) -> tuple[int, float]:
        item = None if source.head is None else source.head.item
        if not isinstance(item, Entry):
            return 0, 0.0
        return 1 if can_come(item) else 2, item.at_s

    while waiting := [it for it in sources if it.head is not None]:
        source = waiting[0] if len(waiting) == 1 else min(waiting, key=turn)
        line = source.advance()
        assert line is not None
        yield source, line


def _restart(
    source: _Source[S, From[M] | T | Q, R],
    header: Header,
    replay: MachineReplay[S, Q, M, T, R, P],
    replayer: Replayer[S, Q, M, T, R, P],
) -> None:
    """A new part of the same run goes on; a new run finds all servers of the one before gone."""
    if header.quorum != replay.quorum:
        raise RecordingError(
            f"{source.path} goes on under {header.quorum}, after {replay.quorum}: a recording is "
            "of one quorum system. Replay what comes after by itself."
        )
    if source.header is not None and source.header.run != header.run:
        replayer.end(source.places, ENDED if source.is_closed else KILLED)
    replay.lane_names |= header.lanes
    source.header, source.is_closed = header, False
