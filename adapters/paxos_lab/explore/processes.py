"""The processes of a small cluster: each step of each of them is taken once, and numbered.

- A process is a server, its disk, and counts of ballots, restarts and reads. Equal ones have one
  number, and so have equal messages: a set of messages is one integer.
- Acceptors receive every request. Clients propose or read, and receive the answers to themselves
  and what others announce. All acceptors run under one id: nothing that they do depends on it.
- What only paces a server or is only shown is left out: attempts, heartbeats, voters of a choice.
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
class ProcessState:
    """One process. ``restarts`` counts those after a ballot: then it asks for something new.

    ``reads`` counts the reads that it has begun since its first start, so that no id comes twice.
    """

    state: Server[str]
    disk: tuple[Record, ...] = ()
    ballots: int = 0
    restarts: int = 0
    reads: int = 0


@frozen
class SentMessage:
    """A message, and the client that it is for; None: all that take such a message."""

    receiver: ServerId | None
    message: Message[str]


@frozen
class Step:
    """Where one event leads, what is sent by it, and the first rule of the process it breaks.

    ``unsent`` is where a crash between the save and the sending leads, if something is saved.
    ``report`` is what the program is told.
    """

    local: int
    sent: int = 0
    broken: str | None = None
    unsent: Step | None = None
    report: server.Report[str] | None = None

    def changes(self, local: int) -> bool:
        """Whether the process is another one after it, or sends anything."""
        return self.local != local or self.sent != 0


Transition: TypeAlias = tuple[Event, Step]
"""An event, and the step that it leads to."""


def iter_bits(mask: int) -> Iterator[int]:
    """The single bits of ``mask``."""
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit


class Processes:
    """The acceptors, numbered from 0, then the clients; and all their steps found so far."""

    def __init__(self, scope: Scope) -> None:
        members = sorted(scope.quorum.members)
        clients = scope.clients
        self.scope = scope
        paxos: Single[str] = single()
        self.machine = evolve(paxos, receive=scope.protocol.receive)
        self.acceptors = range(scope.acceptors)
        self.clients = range(scope.acceptors, scope.acceptors + clients)
        self.ids = (*members, *members[:clients])
        self.states: list[ProcessState] = []
        self.sent_messages: list[SentMessage] = []
        self.requests = self.announcements = self.votes = 0
        self.answers = dict.fromkeys(members, 0)
        self._numbers: dict[ProcessState, int] = {}
        self._bits: dict[SentMessage, int] = {}
        self._proves: dict[int, tuple[Ballot, str]] = {}
        self._proofs: dict[tuple[Ballot, str], int] = {}
        self._receipts: dict[tuple[int, int, int], Transition | None] = {}
        self._own_steps: dict[tuple[int, int], Transition | None] = {}
        self._crashed: dict[int, Step] = {}
        self._ignored_masks: dict[int, tuple[int, int]] = {}

    def start(self) -> tuple[int, ...]:
        """The local state in which each process begins."""
        ids = (*(self.ids[0] for _ in self.acceptors), *(self.ids[it] for it in self.clients))
        states = (self.machine.start(me, self.scope.quorum, ()) for me in ids)
        return tuple(self._number(ProcessState(it)) for it in states)

    def message(self, bit: int) -> Message[str]:
        """What a single bit stands for."""
        return self.sent_messages[bit.bit_length() - 1].message

    def receives(self, process: int) -> int:
        """All messages so far that go to ``process``."""
        if process in self.acceptors:
            return self.requests
        return self.answers[self.ids[process]] | self.announcements

    def voters(
        self, sent: int, histories: Iterable[int]
    ) -> Iterator[tuple[Ballot, str, set[ServerId]]]:
        """Each vote in ``sent``, and the acceptors whose ``histories`` prove that vote."""
        votes = (self._proves[bit] for bit in iter_bits(sent) if bit in self._proves)
        for vote in dict.fromkeys(votes):
            proofs = self._proofs[vote]
            voters = {me for me, mask in zip(self.ids, histories, strict=False) if mask & proofs}
            yield *vote, voters

    def receive(self, local: int, sender: int, bit: int) -> Transition | None:
        """What a message from the process ``sender`` does; None: it is out of scope."""
        key = local, sender, bit
        if key not in self._receipts:
            event = From(self.ids[sender], self.message(bit))
            self._receipts[key] = self._take(local, event)
        return self._receipts[key]

    def own_step(self, process: int, local: int) -> Transition | None:
        """What the process can do on its own; None if there is nothing, or it is out of scope."""
        key = process, local
        if key not in self._own_steps:
            event = None if process in self.acceptors else self._own_event(process, local)
            self._own_steps[key] = None if event is None else self._take(local, event)
        return self._own_steps[key]

    def crash(self, local: int) -> Step:
        """The same process, started again from its disk."""
        if local not in self._crashed:
            it = self.states[local]
            self._crashed[local] = self._restart(it, it.disk)
        return self._crashed[local]

    def crash_is_redundant(self, local: int) -> bool:
        """Whether silence does as much: the process has no ballot left."""
        return self._is_last(self.states[local])

    def permuted(self, local: int, order: tuple[int, ...]) -> int:
        """The same client, when acceptor ``order[k]`` takes the place of acceptor ``k``."""
        names = {self.ids[was]: self.ids[now] for now, was in enumerate(order)}
        it = self.states[local]
        proposer, known = it.state.proposer, it.state.learner
        phase = proposer.phase
        if isinstance(phase, Preparing | Accepting):
            answered, refused = _names(phase.answered, names), _names(phase.refused, names)
            proposer = evolve(proposer, phase=evolve(phase, answered=answered, refused=refused))
        elif isinstance(phase, Querying):
            phase = Querying(
                phase.id,
                _renamed(phase.found, names),
                phase.attempt,
                _names(phase.nothing, names),
                _names(phase.answered, names),
                phase.before,
            )
            proposer = evolve(proposer, phase=phase)
        state = evolve(it.state, proposer=proposer, learner=_renamed(known, names))
        return self._number(evolve(it, state=state))

    def unsound_ignores(self) -> list[str]:
        """Each message that should be ignored, and is not. None, if all reductions are sound."""
        return [
            f"{it.state} takes notice of {self.message(bit)}"
            for local, it in enumerate([*self.states])
            for bit in iter_bits(self.ignored_mask(local))
            if not self._is_soundly_ignored(local, bit)
        ]

    def _is_soundly_ignored(self, local: int, bit: int) -> bool:
        message = self.message(bit)
        if isinstance(message, Nack) and self._is_last(self.states[local]):
            return True
        transitions = (self.receive(local, sender, bit) for sender in self.acceptors)
        return all(it is not None and not it[1].changes(local) for it in transitions)

    def ignored_mask(self, local: int) -> int:
        """The messages that a client takes no notice of, now and in any later state: a claim."""
        known, mask = self._ignored_masks.get(local, (0, 0))
        if known < len(self.sent_messages):
            it = self.states[local]
            receivable = self.answers[it.state.proposer.me] | self.announcements
            for bit in iter_bits(receivable >> known << known):
                if self._ignores(it, self.message(bit)):
                    mask |= bit
            self._ignored_masks[local] = len(self.sent_messages), mask
        return mask

    def _ignores(self, it: ProcessState, message: Message[str]) -> bool:
        phase = it.state.proposer.phase
        if not (self.scope.drop_ignored_messages and self.scope.reduced):
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

    def _is_last(self, it: ProcessState) -> bool:
        """A refusal could only lead to a ballot beyond the scope: it is not received."""
        return it.ballots == self.scope.ballots

    def _own_event(self, process: int, local: int) -> Event | None:
        it = self.states[local]
        phase, scope = it.state.proposer.phase, self.scope
        if isinstance(phase, Preparing | Accepting):
            return RetryTimer(phase.ballot)
        if isinstance(phase, Querying):
            return QueryTimer(phase.id)
        if isinstance(phase, Done):
            return None
        client = process - len(self.acceptors)
        if client < scope.proposers:
            return Propose(VALUES[client] + "'" * it.restarts)
        if client < scope.proposers + scope.readers:
            return Read(ReadId(0, it.reads)) if it.reads < scope.reads else None
        return Inquire()

    def _take(self, local: int, event: Event) -> Transition | None:
        before = self.states[local]
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
        after = ProcessState(_plain(state), disk, ballots, before.restarts, reads)
        step = Step(
            self._number(after),
            sum({self._bit(it) for effect in effects for it in _sent(effect)}),
            _first_broken(before.state.acceptor, state.acceptor, disk, effects),
            self._restart(after, disk) if unsaved else None,
            next((it.report for it in effects if isinstance(it, Tell)), None),
        )
        return event, step

    def _restart(self, it: ProcessState, disk: tuple[Record, ...]) -> Step:
        me = it.state.proposer.me
        try:
            state = self.machine.start(me, self.scope.quorum, disk)
        except InvariantError:
            return Step(self._number(it), broken=UNDISTURBED)
        restarts = it.restarts + (it.ballots > 0)
        return Step(self._number(ProcessState(state, disk, it.ballots, restarts, it.reads)))

    def _number(self, it: ProcessState) -> int:
        number = self._numbers.setdefault(it, len(self.states))
        if number == len(self.states):
            self.states.append(it)
        return number

    def _bit(self, it: SentMessage) -> int:
        bit = self._bits.setdefault(it, 1 << len(self.sent_messages))
        if bit >> len(self.sent_messages):
            self.sent_messages.append(it)
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
    """What the sender of ``message`` has accepted, if the message says so."""
    if isinstance(message, Accepted):
        return message.ballot, message.value
    if isinstance(message, Answer) and message.accepted is not None:
        return message.accepted.ballot, message.accepted.value
    return None


def _sent(effect: server.Effect[str]) -> Iterator[SentMessage]:
    if isinstance(effect, To):
        yield SentMessage(effect.receiver, effect.message)
    elif isinstance(effect, Broadcast) and not isinstance(effect.message, Heartbeat):
        yield SentMessage(None, effect.message)


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
    proposer, known = state.proposer, state.learner
    phase = proposer.phase
    if isinstance(phase, Preparing | Accepting):
        phase = evolve(phase, task=evolve(phase.task, attempt=0))
        proposer = Proposer(proposer.me, proposer.quorum, proposer.max_round, phase)
    elif isinstance(phase, Querying):
        proposer = evolve(proposer, phase=evolve(phase, attempt=0))
    if known.choice is not None:
        known = Learner(known.quorum, (), Decision(known.choice.chosen, NO_SERVERS))
    return Server(state.acceptor, proposer, known, Election(proposer.me, known.quorum.members))


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
        histories = effect.message if isinstance(effect, To | Broadcast) else None
        if isinstance(histories, Prepare) and histories.ballot.round > max_round:
            return SAVED
        if isinstance(histories, Promise | Accepted | Answer) and not is_durable(memory, histories):
            return SAVED
    return None
