"""Every step that the servers of a simulation took so far: each is taken once, and looked up after.

- A server is a list of parts, each a number: its acceptor, the fields of its proposer, and so on.
  An item is an event and its receiver in one number.
- A step depends on those parts only that it looks at. To find out which these are, it is first
  given a server with all parts hidden, and then one part after the other as it asks for them. So
  the steps of an item are a tree, which branches on one part at a time.
- Each step is held against the rules that it can break by itself, when it is first taken. What
  depends on the disk or on other servers stays behind in a ``Check``.
- Numbers depend on the order of discovery, so nothing that is shown may depend on them.

The functions are pure, so a step that is looked up is the step that would be taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Never, TypeAlias, cast

from attrs import Factory, field, frozen

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Ballot,
    Broadcast,
    Busy,
    From,
    InvariantError,
    MaxRound,
    Message,
    Prepare,
    Promise,
    Proposal,
    Proposer,
    QuorumSystem,
    ServerId,
    SetTimer,
    Tell,
    To,
    server,
)
from paxos.election import Election, HeartbeatTimer
from paxos.invariants import Decision
from paxos.learner import Learner, Tally
from paxos.proposer import Accepting, Phase, Preparing, Task
from paxos_lab.machines.protocols import Event, Protocol, Server
from paxos_lab.rules import KEPT, UNDISTURBED, Commitment, is_durable, is_kept
from paxos_lab.transitions import settle

RECEIVER_BITS = 4
RECEIVER = (1 << RECEIVER_BITS) - 1

BEAT_TICKS = 24
SHORTEST_TICKS = 24
LONGEST_TICKS = 192
"""The pace of the host, in ticks: see ``host.Timeouts``."""

Vote: TypeAlias = tuple[Ballot, str]
Wish: TypeAlias = tuple[int, int, int]
"""An item to come back, the shortest delay in ticks, and how many ticks chance may add."""


def _is_plain(check: Check) -> bool:
    has_more = check.unproven or check.asked or check.round or check.report
    return check.record is not None and not has_more


@frozen
class Check:
    """What a step asks of the disk and of the others, before what it says may leave.

    ``is_plain``: once the record is durable and the votes are counted, nothing is left to judge.
    """

    record: Acceptor[str] | MaxRound | None
    votes: tuple[Vote, ...]
    asked: Vote | None
    round: int
    said: tuple[Commitment, ...]
    unproven: tuple[Commitment, ...]
    report: server.Report[str] | None
    broken: str | None
    is_plain: bool = field(init=False, default=Factory(_is_plain, takes_self=True))


Step: TypeAlias = tuple[
    tuple[tuple[int, int], ...], Check | None, tuple[int, ...], tuple[Wish, ...]
]
"""Which parts change to what, what to check, the items that are sent, the wishes to be woken."""

Branch: TypeAlias = "tuple[int, dict[int, Branch], Step | None]"
"""The part to look at next, and where each of its numbers leads. No part, LEAF: the step itself."""

Shape: TypeAlias = tuple[type, object, bool]

PARTS = range(11)
(
    ACCEPTOR,
    SHAPE,
    MAX_ROUND,
    BALLOT,
    TASK,
    ANSWERED,
    REFUSED,
    RESENT,
    TALLIES,
    CHOICE,
    ELECTION,
) = PARTS
LEAF, UNKNOWN = -1, -2
"""In place of a part: the end of a branch, and a step that was never taken."""


class _Unread(Exception):
    """A step looked at a part of its server that it was not given."""

    def __init__(self, part: int) -> None:
        super().__init__(part)
        self.part = part


class _Hidden:
    """Stands for what a step was not given: it can be passed on, and not be looked at.

    Only ``is`` and ``type`` do not notice, so what a step asks these about is never hidden by
    itself. ``known`` are fields that can be read all the same, ``names`` the parts of others.
    """

    def __init__(self, part: int, names: Mapping[str, int] | None = None, **known: object) -> None:
        vars(self).update(known, _part=part, _names=names or {})

    def __getattr__(self, name: str) -> Never:
        names: Mapping[str, int] = vars(self)["_names"]
        raise _Unread(names.get(name, vars(self)["_part"]))

    def _refuse(self, *_: object) -> Never:
        raise _Unread(vars(self)["_part"])

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __or__ = __ror__ = __and__ = __rand__ = __sub__ = __rsub__ = __add__ = __radd__ = _refuse
    __bool__ = __len__ = __iter__ = __contains__ = __getitem__ = __index__ = _refuse
    __str__ = __repr__ = __format__ = _refuse
    __hash__ = _refuse


NOTHING_SHOWN = tuple(map(_Hidden, PARTS))
LEARNT = {"tallies": TALLIES, "choice": CHOICE}


class Table:
    """All that the servers under one protocol and one quorum system did so far. For one thread."""

    def __init__(self, protocol: Protocol, quorum: QuorumSystem) -> None:
        self.quorum = quorum
        self.members = tuple(sorted(quorum.members))
        self.known: dict[int, Branch] = {}
        self.taken = 0
        self._receive = protocol.receive
        self._events: list[Event] = []
        self._event_numbers: dict[Event, int] = {}
        self._parts: list[object] = []
        self._part_numbers: dict[tuple[int, object], int] = {}
        self._masks = [
            (_Hidden(SHAPE, me=me, quorum=quorum), _Hidden(ELECTION, me=me, members=quorum.members))
            for me in self.members
        ]
        self._nothing_learnt = _Hidden(TALLIES, LEARNT, quorum=quorum)
        self._starts: dict[tuple[int, Acceptor[str], int], tuple[int, ...]] = {}

    def start(self, place: int, memory: Acceptor[str], max_round: int) -> list[int]:
        """The parts of the member at ``place``, started from what its disk holds."""
        key = place, memory, max_round
        parts = self._starts.get(key)
        if parts is None:
            records = memory, MaxRound(max_round)
            parts = self._split(server.start(self.members[place], self.quorum, records))
            self._starts[key] = parts
        return [*parts]

    def item(self, place: int, event: Event) -> int:
        """``event`` for the member at ``place``, as an integer."""
        number = self._event_numbers.setdefault(event, len(self._events))
        if number == len(self._events):
            self._events.append(event)
        return number << RECEIVER_BITS | place

    def event(self, item: int) -> Event:
        """The event that ``item`` stands for."""
        return self._events[item >> RECEIVER_BITS]

    def take(self, item: int, parts: list[int]) -> Step | None:
        """Take the step that ``item`` leads to, for the first time. None: to nothing."""
        self.taken += 1
        branches, key = self.known, item
        given: set[int] = set()
        while True:
            branch = branches.get(key)
            if branch is None:
                branch = branches[key] = self._grow(item, parts, given)
            part, branches, step = branch
            if part == LEAF:
                return step
            assert part not in given, "it asks again for what it was given"
            given.add(part)
            key = parts[part]

    def _grow(self, item: int, parts: list[int], given: Set[int]) -> Branch:
        place = item & RECEIVER
        try:
            before = self._shown(place, parts, given)
            return LEAF, {}, self._take(place, self.event(item), before)
        except _Unread as unread:
            return unread.part, {}, None
        except Exception:
            # Something was done with what is hidden that it does not notice, or the step is wrong.
            if len(given) == len(PARTS):
                raise
            return next(part for part in PARTS if part not in given), {}, None

    def _take(self, place: int, event: Event, before: Server) -> Step | None:
        try:
            taken = settle(self._receive(before, event))
        except Busy:
            return None
        except InvariantError:
            return (), Check(None, (), None, 0, (), (), None, UNDISTURBED), (), ()
        check = _check(before.acceptor, taken.state.acceptor, taken.record, taken.effects)
        hash(check)  # Nothing hidden may come out of a step.
        changes = tuple(self._changes(before, taken.state))
        sends = tuple(self._sent(place, taken.effects))
        wishes = tuple(self._wished(place, taken.effects))
        if check is None and not (changes or sends or wishes):
            return None
        return changes, check, sends, wishes

    # --- servers and their parts ----------------------------------------------------------------

    def _shown(self, place: int, parts: list[int], given: Set[int]) -> Server:
        """The server that is made of ``parts``, with those hidden that are not ``given``."""
        me, quorum = self.members[place], self.quorum
        shown: list[object] = [*NOTHING_SHOWN]
        shown[SHAPE], shown[ELECTION] = self._masks[place]
        for part in given:
            shown[part] = self._parts[parts[part]]
        if SHAPE in given:
            shown[SHAPE] = Proposer(me, quorum, cast("int", shown[MAX_ROUND]), _phase(shown))
        learner: object = self._nothing_learnt
        if TALLIES in given and CHOICE in given:
            learner = Learner(
                quorum,
                cast("tuple[Tally[str], ...]", shown[TALLIES]),
                cast("Decision[str] | None", shown[CHOICE]),
            )
        elif TALLIES in given:
            learner = _Hidden(CHOICE, quorum=quorum, tallies=shown[TALLIES])
        elif CHOICE in given:
            learner = _Hidden(TALLIES, quorum=quorum, choice=shown[CHOICE])
        return server.Server(
            cast("Acceptor[str]", shown[ACCEPTOR]),
            cast("Proposer[str]", shown[SHAPE]),
            cast("Learner[str]", learner),
            cast("Election", shown[ELECTION]),
        )

    def _split(self, state: Server) -> tuple[int, ...]:
        parts = (state.acceptor, *_proposer_parts(state.proposer), *_learner_parts(state.learner))
        return tuple(map(self._number, PARTS, (*parts, state.election)))

    def _changes(self, before: Server, after: Server) -> Iterator[tuple[int, int]]:
        if after.acceptor is not before.acceptor:
            yield ACCEPTOR, self._number(ACCEPTOR, after.acceptor)
        if after.proposer is not before.proposer:
            was = _proposer_parts(before.proposer)
            now = _proposer_parts(after.proposer)
            for part, old, new in zip(PARTS[SHAPE:TALLIES], was, now, strict=True):
                if new is not old:
                    yield part, self._number(part, new)
        if after.learner is not before.learner:
            was, now = _learner_parts(before.learner), _learner_parts(after.learner)
            for part, old, new in zip(PARTS[TALLIES:ELECTION], was, now, strict=True):
                if new is not old:
                    yield part, self._number(part, new)
        if after.election is not before.election:
            yield ELECTION, self._number(ELECTION, after.election)

    def _number(self, part: int, what: object) -> int:
        number = self._part_numbers.setdefault((part, what), len(self._parts))
        if number == len(self._parts):
            self._parts.append(what)
        return number

    # --- what leaves ----------------------------------------------------------------------------

    def _sent(self, place: int, effects: tuple[server.Effect[str], ...]) -> Iterator[int]:
        me = self.members[place]
        for effect in effects:
            if type(effect) is To:
                # What is sent to a non-member is sent to nobody.
                if effect.receiver in self.quorum.members:
                    yield self.item(self.members.index(effect.receiver), From(me, effect.message))
            elif type(effect) is Broadcast:
                for receiver in range(len(self.members)):
                    yield self.item(receiver, From(me, effect.message))

    def _wished(self, place: int, effects: tuple[server.Effect[str], ...]) -> Iterator[Wish]:
        for effect in effects:
            if type(effect) is SetTimer:
                item = self.item(place, effect.timer)
                if type(effect.timer) is HeartbeatTimer:
                    yield item, BEAT_TICKS, 0
                else:
                    longest = min(LONGEST_TICKS, SHORTEST_TICKS << min(effect.attempt + 1, 8))
                    yield item, SHORTEST_TICKS, longest - SHORTEST_TICKS


def _proposer_parts(state: Proposer[str]) -> tuple[object, ...]:
    phase = state.phase
    if type(phase) is Preparing:
        shape: object = (Preparing, phase.highest, False)
    elif type(phase) is Accepting:
        shape = (Accepting, phase.value, phase.own)
    else:
        return phase, state.max_round, None, None, None, None, None
    common = phase.ballot, phase.task, phase.answered, phase.refused, phase.resent
    return shape, state.max_round, *common


def _learner_parts(state: Learner[str]) -> tuple[object, object]:
    return state.tallies, state.choice


def _phase(shown: list[object]) -> Phase[str]:
    if not isinstance(shown[SHAPE], tuple):
        return cast("Phase[str]", shown[SHAPE])
    kind, found, own = cast("Shape", shown[SHAPE])
    ballot, task = cast("Ballot", shown[BALLOT]), cast("Task[str]", shown[TASK])
    answered, refused, resent = cast(
        "tuple[frozenset[ServerId], frozenset[ServerId], bool]", tuple(shown[ANSWERED:TALLIES])
    )
    if kind is Preparing:
        highest = cast("Proposal[str] | None", found)
        return Preparing(ballot, task, answered, refused, resent, highest)
    return Accepting(ballot, task, cast("str", found), own, answered, refused, resent)


def _check(
    before: Acceptor[str],
    after: Acceptor[str],
    record: Acceptor[str] | MaxRound | None,
    effects: tuple[server.Effect[str], ...],
) -> Check | None:
    said = [it.message for it in effects if type(it) is To or type(it) is Broadcast]
    report = next((it.report for it in effects if type(it) is Tell), None)
    commitments = tuple(it for it in said if isinstance(it, Promise | Accepted | Answer))
    unproven = tuple(it for it in commitments if not _proves(record, it))
    votes = dict.fromkeys((it.ballot, it.value) for it in commitments if type(it) is Accepted)
    if type(record) is Acceptor and record.accepted not in (None, before.accepted):
        votes |= _proposal(record)
    asks = [it for it in said if type(it) is Accept]
    check = Check(
        record,
        tuple(votes),
        next(((it.ballot, it.value) for it in asks), None),
        _round(record, said),
        commitments,
        unproven,
        report,
        None if after is before or is_kept(before, after) else KEPT,
    )
    return None if check == NOTHING_TO_CHECK else check


NOTHING_TO_CHECK = Check(None, (), None, 0, (), (), None, None)


def _proposal(record: Acceptor[str]) -> dict[Vote, None]:
    held = record.accepted
    return {} if held is None else {(held.ballot, held.value): None}


def _proves(record: Acceptor[str] | MaxRound | None, answer: Commitment) -> bool:
    """Whether ``record``, which is saved first, covers all that ``answer`` commits to."""
    return type(record) is Acceptor and is_durable(record, answer)


def _round(record: Acceptor[str] | MaxRound | None, said: list[Message[str]]) -> int:
    """The highest round in use that ``record`` does not make safe."""
    rounds = (it.ballot.round for it in said if type(it) is Prepare or type(it) is Accept)
    highest = max(rounds, default=0)
    return 0 if type(record) is MaxRound and record.round >= highest else highest
