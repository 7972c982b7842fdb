"""Replaying: one recording, or those of all servers of a cluster, and what they have led to.

- The first step that goes another way than it went ends the replay, and is told.
- Several recordings are merged: what is heard comes after it was said; besides, the times decide.
- Whoever starts again in a recording that did not end was killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import Factory, define, field, frozen

from paxos import QuorumSystem, ServerId, server
from paxos_adapters.codecs import SURROGATE_ESCAPE
from paxos_adapters.coding import Coder
from paxos_lab.machines.faulty import PROTOCOLS
from paxos_lab.machines.protocols import Protocol
from paxos_lab.record.entries import Closed, Entry, Header
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.fingerprint import differing
from paxos_lab.record.in_flight import Sent
from paxos_lab.record.reading import Line, Torn, parts, read
from paxos_lab.record.replayer import Differs, Disk, Key, Player, Step

ENDED, KILLED = "ended with its program", "killed: its program starts again"


@frozen
class Difference:
    """The first step that goes another way than it went: which, what was expected, what came."""

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
class Replay:
    """All steps that were taken, and what is there after the last of them.

    ``states`` are the servers that are up, ``disks`` what is durable of all, ``on_the_way`` the
    messages that are lost or late. ``torn`` files end within a line, and whoever wrote
    ``unfinished`` ones did not say that it ended: both are signs of a kill.
    """

    headers: list[Header] = Factory(list[Header])
    steps: list[Step[str]] = field(factory=list[Step[str]])
    states: dict[Key, server.Server[str]] = field(factory=dict[Key, server.Server[str]])
    disks: dict[Key, Disk] = field(factory=dict[Key, Disk])
    on_the_way: list[Sent[str]] = field(factory=list[Sent[str]])
    difference: Difference | None = None
    torn: list[Path] = Factory(list[Path])
    unfinished: list[Path] = Factory(list[Path])

    @property
    def quorum(self) -> QuorumSystem:
        """Which servers together were enough."""
        return self.headers[0].quorum

    @property
    def lanes(self) -> dict[ServerId, str]:
        """What each server is called, in order: S and its id, if it has no other name."""
        named = {lane: name for header in self.headers for lane, name in header.lanes.items()}
        seen = {step.entry.server for step in self.steps}
        everybody = seen if named else seen | self.quorum.members
        return {lane: named.get(str(lane), f"S{lane}") for lane in sorted(everybody)}

    @property
    def names(self) -> tuple[str, ...]:
        """The decisions, in the order in which they came up."""
        return tuple(dict.fromkeys(step.entry.name for step in self.steps))

    @property
    def other_core(self) -> tuple[str, ...]:
        """The modules in which a core that was recorded differs from this one."""
        return tuple(sorted({it for header in self.headers for it in differing(header.core)}))


def replay(*paths: Path, protocols: Mapping[str, Protocol] = PROTOCOLS) -> Replay:
    """Take all that ``paths`` tell again, and what is in their older files; values are text.

    ``protocols`` are those that may have been recorded, by name. Raises OSError, and RecordingError
    for what is no recording, is damaged, or belongs to another cluster than the one before.
    """
    coder = Coder(SURROGATE_ESCAPE)
    sources = [_Source(path, coder) for path in paths]
    replay, player = Replay(), _player(coder, sources)
    for source, line in _merged(sources, player):
        if isinstance(line.item, Header):
            replay.headers.append(line.item)
            replay.steps.extend(_restart(source, line.item, player, protocols))
        elif isinstance(line.item, Torn):
            replay.torn.append(line.path)
        elif isinstance(line.item, Closed):
            source.is_closed = True
        else:
            try:
                receive = source.protocol(protocols).receive
                source.places.add((line.item.server, line.item.name))
                replay.steps.append(player.play(line.item, receive))
            except Differs as it:
                entry, step = line.item, len(replay.steps) + 1
                where = line.path, line.number, step, entry.server, entry.name
                replay.difference = Difference(*where, it.expected, it.came)
                break
    replay.states, replay.disks = player.states, player.disks
    replay.on_the_way = player.post.on_the_way
    replay.unfinished = [it.path for it in sources if not it.is_closed]
    return replay


class _Source:
    """One recording, its older files first, and the line that comes next."""

    def __init__(self, path: Path, coder: Coder[str]) -> None:
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

    def advance(self) -> Line[str] | None:
        """The line that was next."""
        line, self.head = self.head, next(self._lines, None)
        return line

    def protocol(self, known: Mapping[str, Protocol]) -> Protocol:
        """What was recorded. Raises RecordingError."""
        name = "" if self.header is None else self.header.protocol
        if name not in known:
            raise RecordingError(
                f"the servers of {self.path} ran the protocol {name!r}, which is not among those "
                f"that are known here: {', '.join(sorted(known))}."
            )
        return known[name]


def _player(coder: Coder[str], sources: Sequence[_Source]) -> Player:
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
    return Player(coder, quorums[0])


def _merged(sources: Sequence[_Source], player: Player) -> Iterator[tuple[_Source, Line[str]]]:
    """What comes next: first all but entries, then an entry that can come, the earliest."""
    while waiting := [it for it in sources if it.head is not None]:
        source = waiting[0] if len(waiting) == 1 else min(waiting, key=lambda it: _turn(it, player))
        line = source.advance()
        assert line is not None
        yield source, line


def _turn(source: _Source, player: Player) -> tuple[int, float]:
    item = None if source.head is None else source.head.item
    if not isinstance(item, Entry):
        return 0, 0.0
    return 1 if player.can_come(item) else 2, item.at_s


def _restart(
    source: _Source, header: Header, player: Player, protocols: Mapping[str, Protocol]
) -> Iterator[Step[str]]:
    """A new part of the same run goes on; a new run finds all servers of the one before gone."""
    if header.quorum != player.quorum:
        raise RecordingError(
            f"{source.path} goes on under {header.quorum}, after {player.quorum}: a recording is "
            "of one quorum system. Replay what comes after by itself."
        )
    if source.header is not None and source.header.run != header.run:
        why = ENDED if source.is_closed else KILLED
        yield from player.end(source.places, why, source.protocol(protocols).receive)
    source.header, source.is_closed = header, False
