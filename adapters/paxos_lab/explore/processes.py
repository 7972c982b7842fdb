"""The processes of a small cluster: each step of each of them is taken once, and numbered.

- A process is a server, its disk, the ballots it has used and its lives. Equal ones have one
  number, and so have equal messages: a set of messages is one integer.
- Acceptors hear every request. Askers, who propose or read, hear the answers to themselves and what
  others announce. All acceptors run under one id, since nothing that they do depends on it.
- What only paces a server or is only shown is left out: attempts, beats, the voters of a choice.
- Every step is held against the rules that concern one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from attrs import evolve, frozen

from paxos import (
    Accepted,
    Acceptor,
    Answer,
    Ballot,
    Broadcast,
    Chosen,
    Done,
    From,
    Heartbeat,
    Inquire,
    InvariantError,
    MaxRound,
    Message,
    Nack,
    Prepare,
    Promise,
    Propose,
    Proposer,
    QueryTimer,
    Read,
    ReadId,
    RetryTimer,
    Saved,
    ServerId,
    Tell,
    To,
    server,
)
from paxos.election import Election
from paxos.invariants import Decision
from paxos.learner import Learner
from paxos.proposer import Accepting, Preparing
from paxos.quorum import NO_SERVERS
from paxos.reader import Querying
from paxos.server import Server
from paxos_adapters.machine import Process
from paxos_adapters.single import Single, single
from paxos_lab.explore.scopes import Scope
from paxos_lab.machines.protocols import VALUES, Event
from paxos_lab.rules import KEPT, SAVED, UNDISTURBED, is_durable, is_kept

Record: TypeAlias = server.Record[str]


@frozen
class Local:
    """One process. ``lives`` counts its crashes, so that it asks for something new after one.

    ``reads`` counts the reads that it has begun in all its lives, so that no id comes twice.
    """

    state: Server[str]
    disk: tuple[Record, ...] = ()
    ballots: int = 0
    lives: int = 0
    reads: int = 0


@frozen
class Said:
    """A message, and the asker that it is for; None: everybody who takes such a message."""

    receiver: ServerId | None
    message: Message[str]


@frozen
class Step:
    """Where one event leads, what is told by it, and the first rule of the process it breaks.

    ``unsent`` is where a crash between the save and the sending leads, if something is saved.
    ``report`` is what the program is told.
    """

    local: int
    told: int = 0
    broken: str | None = None
    unsent: Step | None = None
    report: server.Report[str] | None = None

    def changes(self, local: int) -> bool:
        """Whether the process is another one after it, or tells anything."""
        return self.local != local or self.told != 0


Taken: TypeAlias = tuple[Event, Step]
"""An event, and the step that it leads to."""


def bits(mask: int) -> Iterator[int]:
    """The single bits of ``mask``."""
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit


class Processes:
    """The acceptors, numbered from 0, then the askers; and all that they were seen to do so far."""

    def __init__(self, scope: Scope) -> None:
        members = sorted(scope.quorum.members)
        askers = scope.askers
        self.scope = scope
        paxos: Single[str] = single()
        self.machine = evolve(paxos, receive=scope.protocol.receive)
        self.acceptors = range(scope.acceptors)
        self.askers = range(scope.acceptors, scope.acceptors + askers)
        self.ids = (*members, *members[:askers])
        self.locals: list[Local] = []
        self.said: list[Said] = []
        self.requests = self.announcements = self.votes = 0
        self.answers = dict.fromkeys(members, 0)
        self._numbers: dict[Local, int] = {}
        self._bits: dict[Said, int] = {}
        self._proves: dict[int, tuple[Ballot, str]] = {}
        self._proofs: dict[tuple[Ballot, str], int] = {}
        self._heard: dict[tuple[int, int, int], Taken | None] = {}
        self._done: dict[tuple[int, int], Taken | None] = {}
        self._crashed: dict[int, Step] = {}
        self._ignored: dict[int, tuple[int, int]] = {}

    def start(self) -> tuple[int, ...]:
        """The local state in which each process begins."""
        ids = (*(self.ids[0] for _ in self.acceptors), *(self.ids[it] for it in self.askers))
        return tuple(
            self._number(Local(self.machine.start(me, self.scope.quorum, ()))) for me in ids
        )

    def said_by(self, bit: int) -> Said:
        """What a single bit stands for."""
        return self.said[bit.bit_length() - 1]

    def hears(self, process: int) -> int:
        """All messages so far that go to ``process``."""
        if process in self.acceptors:
            return self.requests
        return self.answers[self.ids[process]] | self.announcements

    def voters(self, told: int, said: Iterable[int]) -> Iterator[tuple[Ballot, str, set[ServerId]]]:
        """Each vote that ``told`` speaks of, and the acceptors whose ``said`` proves that vote."""
        for vote in dict.fromkeys(self._proves[bit] for bit in bits(told) if bit in self._proves):
            proofs = self._proofs[vote]
            yield *vote, {me for me, mask in zip(self.ids, said, strict=False) if mask & proofs}

    def hearing(self, local: int, sender: int, bit: int) -> Taken | None:
        """What hearing one message of the process ``sender`` does; None: it is out of scope."""
        key = local, sender, bit
        if key not in self._heard:
            event = From(self.ids[sender], self.said_by(bit).message)
            self._heard[key] = self._take(local, event)
        return self._heard[key]

    def doing(self, process: int, local: int) -> Taken | None:
        """What the process can do on its own; None if there is nothing, or it is out of scope."""
        key = process, local
        if key not in self._done:
            event = None if process in self.acceptors else self._own_event(process, local)
            self._done[key] = None if event is None else self._take(local, event)
        return self._done[key]

    def crash(self, local: int) -> Step:
        """The same process, started again from its disk."""
        if local not in self._crashed:
            it = self.locals[local]
            self._crashed[local] = self._restart(it, it.disk)
        return self._crashed[local]

    def is_spent(self, local: int) -> bool:
        """Whether a crash is pointless: without a ballot left, silence does as much."""
        return self._is_last(self.locals[local])

    def renamed(self, local: int, order: tuple[int, ...]) -> int:
        """The same asker, when acceptor ``order[k]`` takes the place of acceptor ``k``."""
        names = {self.ids[was]: self.ids[now] for now, was in enumerate(order)}
        it = self.locals[local]
        at_work, known = it.state.proposer, it.state.learner
        phase = at_work.phase
        if isinstance(phase, Preparing | Accepting):
            answered, refused = _names(phase.answered, names), _names(phase.refused, names)
            at_work = evolve(at_work, phase=evolve(phase, answered=answered, refused=refused))
        elif isinstance(phase, Querying):
            phase = Querying(
                phase.id,
                _renamed(phase.found, names),
                phase.attempt,
                _names(phase.nothing, names),
                _names(phase.answered, names),
                phase.before,
            )
            at_work = evolve(at_work, phase=phase)
        state = evolve(it.state, proposer=at_work, learner=_renamed(known, names))
        return self._number(evolve(it, state=state))

    def refuted(self) -> list[str]:
        """Each message that should be ignored, and is not. None, if all reductions are sound."""
        return [
            f"{it.state} takes notice of {self.said_by(bit).message}"
            for local, it in enumerate([*self.locals])
            for bit in bits(self.ignored(local))
            if not self._is_ignored(local, bit)
        ]

    def _is_ignored(self, local: int, bit: int) -> bool:
        message = self.said_by(bit).message
        if isinstance(message, Nack) and self._is_last(self.locals[local]):
            return True
        takens = (self.hearing(local, sender, bit) for sender in self.acceptors)
        return all(taken is not None and not taken[1].changes(local) for taken in takens)

    def ignored(self, local: int) -> int:
        """The messages that an asker would take no notice of, now and ever after: a claim."""
        known, mask = self._ignored.get(local, (0, 0))
        if known < len(self.said):
            it = self.locals[local]
            hears = self.answers[it.state.proposer.me] | self.announcements
            for bit in bits(hears >> known << known):
                if self._ignores(it, self.said_by(bit).message):
                    mask |= bit
            self._ignored[local] = len(self.said), mask
        return mask

    def _ignores(self, it: Local, message: Message[str]) -> bool:
        phase = it.state.proposer.phase
        if not (self.scope.forgetful and self.scope.reduced):
            return isinstance(message, Nack) and self._is_last(it)
        if it.state.learner.choice is not None:
            return True
        if isinstance(message, Chosen | Accepted):
            return False
        if isinstance(message, Answer):
            # A protocol that uses an id again takes notice of it later, as long as it reads.
            waits = isinstance(phase, Querying) and phase.id == message.id
            return message.accepted is None and not waits and it.reads == self.scope.reads
        if not isinstance(phase, Preparing | Accepting) or not isinstance(message, Promise | Nack):
            return True
        if message.ballot != phase.ballot:
            return True
        return isinstance(phase, Accepting) if isinstance(message, Promise) else self._is_last(it)

    def _is_last(self, it: Local) -> bool:
        """A refusal could only lead to one ballot more than the scope allows: it is not heard."""
        return it.ballots == self.scope.ballots

    def _own_event(self, process: int, local: int) -> Event | None:
        it = self.locals[local]
        phase, scope = it.state.proposer.phase, self.scope
        if isinstance(phase, Preparing | Accepting):
            return RetryTimer(phase.ballot)
        if isinstance(phase, Querying):
            return QueryTimer(phase.id)
        if isinstance(phase, Done):
            return None
        asker = process - len(self.acceptors)
        if asker < scope.proposers:
            return Propose(VALUES[asker] + "'" * it.lives)
        if asker < scope.proposers + scope.readers:
            return Read(ReadId(0, it.reads)) if it.reads < scope.reads else None
        return Inquire()

    def _take(self, local: int, event: Event) -> Taken | None:
        before = self.locals[local]
        try:
            process, free = self.machine.take(Process(before.state, before.disk), event)
        except InvariantError:
            return event, Step(local, broken=UNDISTURBED)
        unsaved = process.unsaved
        process, freed = self.machine.saved(process, Saved(unsaved))
        state, disk, effects = process.state, process.disk, free + freed
        ballots = before.ballots + (_ballot(state) not in (None, _ballot(before.state)))
        if ballots > self.scope.ballots:
            return None
        reads = before.reads + isinstance(event, Read)
        after = Local(_plain(state), disk, ballots, before.lives, reads)
        step = Step(
            self._number(after),
            sum({self._bit(it) for effect in effects for it in _told(effect)}),
            _first_broken(before.state.acceptor, state.acceptor, disk, effects),
            self._restart(after, disk) if unsaved else None,
            next((it.report for it in effects if isinstance(it, Tell)), None),
        )
        return event, step

    def _restart(self, it: Local, disk: tuple[Record, ...]) -> Step:
        me = it.state.proposer.me
        try:
            state = self.machine.start(me, self.scope.quorum, disk)
        except InvariantError:
            return Step(self._number(it), broken=UNDISTURBED)
        lives = it.lives + (it.ballots > 0)
        return Step(self._number(Local(state, disk, it.ballots, lives, it.reads)))

    def _number(self, it: Local) -> int:
        number = self._numbers.setdefault(it, len(self.locals))
        if number == len(self.locals):
            self.locals.append(it)
        return number

    def _bit(self, it: Said) -> int:
        bit = self._bits.setdefault(it, 1 << len(self.said))
        if bit >> len(self.said):
            self.said.append(it)
            if it.receiver is not None:
                self.answers[it.receiver] |= bit
            elif isinstance(it.message, Chosen):
                self.announcements |= bit
            else:
                self.requests |= bit
            if isinstance(it.message, Accepted):
                self.votes |= bit
            if (vote := _vote(it.message)) is not None:
                self._proves[bit] = vote
                self._proofs[vote] = self._proofs.get(vote, 0) | bit
        return bit


def _vote(message: Message[str]) -> tuple[Ballot, str] | None:
    """What whoever says ``message`` has accepted, if that is what it says."""
    if isinstance(message, Accepted):
        return message.ballot, message.value
    if isinstance(message, Answer) and message.accepted is not None:
        return message.accepted.ballot, message.accepted.value
    return None


def _told(effect: server.Effect[str]) -> Iterator[Said]:
    if isinstance(effect, To):
        yield Said(effect.receiver, effect.message)
    elif isinstance(effect, Broadcast) and not isinstance(effect.message, Heartbeat):
        yield Said(None, effect.message)


def _renamed(known: Learner[str], names: dict[ServerId, ServerId]) -> Learner[str]:
    tallies = tuple(evolve(it, voters=_names(it.voters, names)) for it in known.tallies)
    return evolve(known, tallies=tallies)


def _names(ids: frozenset[ServerId], names: dict[ServerId, ServerId]) -> frozenset[ServerId]:
    return frozenset(names[it] for it in ids)


def _ballot(state: Server[str]) -> Ballot | None:
    phase = state.proposer.phase
    return phase.ballot if isinstance(phase, Preparing | Accepting) else None


def _plain(state: Server[str]) -> Server[str]:
    """``state`` without what only paces it or is only shown."""
    at_work, known = state.proposer, state.learner
    phase = at_work.phase
    if isinstance(phase, Preparing | Accepting):
        phase = evolve(phase, task=evolve(phase.task, attempt=0))
        at_work = Proposer(at_work.me, at_work.quorum, at_work.max_round, phase)
    elif isinstance(phase, Querying):
        at_work = evolve(at_work, phase=evolve(phase, attempt=0))
    if known.choice is not None:
        known = Learner(known.quorum, (), Decision(known.choice.chosen, NO_SERVERS))
    return Server(state.acceptor, at_work, known, Election(at_work.me, known.quorum.members))


def _first_broken(
    before: Acceptor[str],
    after: Acceptor[str],
    disk: tuple[Record, ...],
    effects: Iterable[server.Effect[str]],
) -> str | None:
    if not is_kept(before, after):
        return KEPT
    memory = next((it for it in disk if isinstance(it, Acceptor)), Acceptor[str]())
    max_round = max((it.round for it in disk if isinstance(it, MaxRound)), default=0)
    for effect in effects:
        said = effect.message if isinstance(effect, To | Broadcast) else None
        if isinstance(said, Prepare) and said.ballot.round > max_round:
            return SAVED
        if isinstance(said, Promise | Accepted | Answer) and not is_durable(memory, said):
            return SAVED
    return None
