"""Every step of every run, held against Lamport's specifications: it is one action, or none.

Three TLA+ modules, each of which refines the next: Paxos, Voting, Consensus. A state of the
explored system is mapped to their variables; then each step must be an action of each module, or
stuttering: nothing of what the module speaks of has changed. Nothing else is asked: neither the
rules of ``rules.py`` nor those of ``invariants`` have a say.

- ``maxBal``, ``maxVBal`` and ``maxVal`` are what an acceptor has in memory, which after a crash is
  what it had saved. So a crash must be stuttering; one that loses a promise is no action.
- ``msgs`` is what was ever sent. What was saved, and not sent because of a crash, counts as sent:
  a history variable. A message that was lost cannot be sent from one that was never sent.
- A Promise that carries a vote under its own ballot only repeats that vote: stuttering.
- Refusals, timers and repetitions are stuttering too. So is learning, which the modules leave
  out; but what a process takes for chosen must be chosen.
- Of ballots the modules use the order alone. Pairs have one, and NO_BALLOT stands for -1.
- A quorum that looks is a phase-1 quorum, one that chooses a phase-2 quorum, and more servers never
  spoil one. With majorities they are the same, as in the modules.

Source: Paxos.tla, Voting.tla and Consensus.tla (Lamport) in the TLA+ examples; Abadi and Lamport,
"The Existence of Refinement Mappings" (1991).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import NamedTuple, TypeAlias, TypeVar

from attrs import evolve, frozen

from paxos import (
    NO_BALLOT,
    Accept,
    Accepted,
    Acceptor,
    Ballot,
    Chosen,
    Done,
    From,
    Message,
    Prepare,
    Promise,
    Proposal,
    QuorumSystem,
    ServerId,
    UsageError,
)
from paxos_lab.explore import interleavings
from paxos_lab.explore.counterexamples import Act
from paxos_lab.explore.interleavings import Crash, Interleavings, Move
from paxos_lab.explore.processes import ProcessState, iter_bits
from paxos_lab.explore.scopes import Scope
from paxos_lab.explore.search import DEFAULT_MAX_STATES, Exploration, explore
from paxos_lab.machines.protocols import Event

T = TypeVar("T")

REFINES = "every step is an action"

Vote: TypeAlias = From[Accepted[str]]
"""Who voted, under which ballot, and for what."""


class Action(Enum):
    """What a step of a specification can be."""

    PHASE_1A = "Phase1a"
    PHASE_1B = "Phase1b"
    PHASE_2A = "Phase2a"
    PHASE_2B = "Phase2b"
    INCREASE_MAX_BAL = "IncreaseMaxBal"
    VOTE_FOR = "VoteFor"
    NEXT = "Next"
    STUTTERING = "stuttering"


class NoSuchAction(UsageError):
    """A step that no action of a specification allows. ``broken`` is the clause that fails."""

    def __init__(self, action: str, broken: str) -> None:
        super().__init__(
            f"{action} is not allowed: {broken}. So this step is none of the specification, and "
            "what rests on the specification's proof does not hold. Look at who took the step."
        )
        self.action = action
        self.broken = broken


def _first_new(before: frozenset[T], after: frozenset[T]) -> T | None:
    return min(after - before, key=repr, default=None)


def _require(holds: bool, action: str, broken: str) -> None:
    if not holds:
        raise NoSuchAction(action, broken)


# --- Consensus ----------------------------------------------------------------------------------


def consensus_action(before: frozenset[str], after: frozenset[str]) -> Action:
    """The step of Consensus from one set of chosen values to another."""
    if before == after:
        return Action.STUTTERING
    action = f"Consensus: Next, to {_set(after)}"
    _require(before < after, action, "a chosen value is chosen no more")
    _require(not before, action, f"{_set(before)} is chosen already")
    _require(len(after) == 1, action, "it is more than one value")
    return Action.NEXT


def _set(values: frozenset[str]) -> str:
    return "{" + ", ".join(sorted(values)) + "}"


# --- Voting -------------------------------------------------------------------------------------


@frozen
class Voting:
    """The variables of Voting: for each acceptor ``maxBal``, and the votes of all."""

    quorum: QuorumSystem
    max_bal: tuple[tuple[ServerId, Ballot], ...]
    votes: frozenset[Vote] = frozenset()

    @property
    def chosen(self) -> frozenset[str]:
        """The values for which a quorum has voted under one ballot."""
        cast = {vote.message for vote in self.votes}
        return frozenset(it.value for it in cast if self.is_chosen(it.ballot, it.value))

    def is_chosen(self, ballot: Ballot, value: str) -> bool:
        """ChosenAt."""
        cast = Accepted(ballot, value)
        return self.quorum.is_phase2({it.sender for it in self.votes if it.message == cast})

    def shows_safe(self, ballot: Ballot, value: str) -> bool:
        """ShowsSafeAt, for some quorum."""
        earlier = [it for it in self.votes if it.message.ballot < ballot]
        reports = [(it.sender, it.message) for it in earlier]
        looked = {acceptor for acceptor, promised in self.max_bal if promised >= ballot}
        return _allow(self.quorum, looked, reports, value)


def _allow(
    quorum: QuorumSystem,
    looked: set[ServerId],
    reports: Iterable[tuple[ServerId, Accepted[str] | Proposal[str]]],
    value: str,
) -> bool:
    """Whether a quorum of ``looked`` shows that at most ``value`` was chosen before.

    That is so if its last vote is for ``value``, or if it has no vote at all.
    """
    known = [(who, vote) for who, vote in reports if who in looked]
    lasts = {vote.ballot for _, vote in known if vote.value == value} | {NO_BALLOT}
    return any(
        quorum.is_phase1(looked - {who for who, vote in known if vote.ballot > last})
        for last in lasts
    )


def voting_action(before: Voting, after: Voting) -> Action:
    """The step of Voting from one state to another."""
    cast = _first_new(before.votes, after.votes)
    if cast is not None:
        return _vote_for(before, after, cast)
    _require(before.votes == after.votes, "Voting: a step", "a vote is taken back")
    for (acceptor, was), (_, now) in zip(before.max_bal, after.max_bal, strict=True):
        if was != now:
            action = f"Voting: IncreaseMaxBal({acceptor}, {now})"
            _require(now > was, action, f"maxBal[{acceptor}] falls from {was} to {now}")
            _require(
                after == evolve(before, max_bal=_raised(before, acceptor, now)),
                action,
                "another acceptor changes in the same step",
            )
            return Action.INCREASE_MAX_BAL
    return Action.STUTTERING


def _vote_for(before: Voting, after: Voting, cast: Vote) -> Action:
    me, ballot, value = cast.sender, cast.message.ballot, cast.message.value
    action = f"Voting: VoteFor({me}, {ballot}, {value})"
    promised = dict(before.max_bal)[me]
    _require(promised <= ballot, action, f"maxBal[{me}] is {promised}")
    for other in before.votes:
        if other.message.ballot == ballot:
            _require(other.sender != me, action, f"{me} has voted under {ballot}")
            _require(
                other.message.value == value,
                action,
                f"{other.sender} has voted for {other.message.value} under {ballot}",
            )
    _require(before.shows_safe(ballot, value), action, "no quorum shows that the value is safe")
    now = dict(after.max_bal)[me]
    _require(now == ballot, action, f"maxBal[{me}] becomes {now}")
    expected = Voting(before.quorum, _raised(before, me, ballot), before.votes | {cast})
    _require(after == expected, action, "something else changes in the same step")
    return Action.VOTE_FOR


def _raised(
    state: Voting, acceptor: ServerId, ballot: Ballot
) -> tuple[tuple[ServerId, Ballot], ...]:
    return tuple((it, ballot if it == acceptor else was) for it, was in state.max_bal)


# --- Paxos --------------------------------------------------------------------------------------


@frozen
class Spec:
    """The variables of Paxos: each acceptor's memory, and all messages, by their type.

    ``learned`` is no variable of it: it is all that some process has ever taken for chosen.
    """

    quorum: QuorumSystem
    memory: tuple[tuple[ServerId, Acceptor[str]], ...]
    sent_1a: frozenset[Prepare] = frozenset()
    sent_1b: frozenset[From[Promise[str]]] = frozenset()
    sent_2a: frozenset[Accept[str]] = frozenset()
    sent_2b: frozenset[Vote] = frozenset()
    learned: frozenset[Chosen[str]] = frozenset()

    @property
    def voting(self) -> Voting:
        """The same as Voting has it."""
        max_bal = tuple((acceptor, it.promised) for acceptor, it in self.memory)
        return Voting(self.quorum, max_bal, self.sent_2b)

    def allows(self, ballot: Ballot, value: str) -> bool:
        """Whether the answers of some quorum under ``ballot`` allow to ask for ``value``."""
        promises = [(it.sender, it.message) for it in self.sent_1b if it.message.ballot == ballot]
        reports = [(who, it.accepted) for who, it in promises if it.accepted is not None]
        return _allow(self.quorum, {who for who, _ in promises}, reports, value)


def start(quorum: QuorumSystem) -> Spec:
    """Init: no acceptor has promised, nothing was sent."""
    return Spec(quorum, tuple((it, Acceptor[str]()) for it in sorted(quorum.members)))


def paxos_action(before: Spec, after: Spec) -> Action:
    """The step of Paxos from one state to another."""
    prepare = _first_new(before.sent_1a, after.sent_1a)
    accept = _first_new(before.sent_2a, after.sent_2a)
    cast = _first_new(before.sent_2b, after.sent_2b)
    promise = _first_new(before.sent_1b, after.sent_1b)
    if prepare is not None:
        return _phase_1a(before, after, prepare)
    if accept is not None:
        return _phase_2a(before, after, accept)
    if cast is not None:
        return _phase_2b(before, after, cast)
    if promise is not None:
        return _phase_1b(before, after, promise)
    _same("Paxos: a step that sends nothing", before, after)
    return Action.STUTTERING


def _phase_1a(before: Spec, after: Spec, prepare: Prepare) -> Action:
    expected = evolve(before, sent_1a=before.sent_1a | {prepare})
    _same(f"Paxos: Phase1a({prepare.ballot})", expected, after)
    return Action.PHASE_1A


def _phase_1b(before: Spec, after: Spec, sent: From[Promise[str]]) -> Action:
    me, promise = sent.sender, sent.message
    was = dict(before.memory)[me]
    action = f"Paxos: Phase1b({me}), {promise.ballot}"
    asked = Prepare(promise.ballot) in before.sent_1a
    _require(asked, action, f"no 1a message for {promise.ballot} was sent")
    _require(promise.ballot > was.promised, action, f"maxBal[{me}] is {was.promised}")
    carried, known = _short(promise.accepted), _short(was.accepted)
    _require(
        carried == known, action, f"it carries the vote {carried}, and its last vote is {known}"
    )
    memory = _with(before, me, Acceptor(promise.ballot, was.accepted))
    _same(action, evolve(before, memory=memory, sent_1b=before.sent_1b | {sent}), after)
    return Action.PHASE_1B


def _phase_2a(before: Spec, after: Spec, accept: Accept[str]) -> Action:
    ballot, value = accept.ballot, accept.value
    action = f"Paxos: Phase2a({ballot}, {value})"
    for other in before.sent_2a:
        _require(other.ballot != ballot, action, f"{other.value} was sent under {ballot} before")
    _require(before.allows(ballot, value), action, "the 1b messages of no quorum allow the value")
    _same(action, evolve(before, sent_2a=before.sent_2a | {accept}), after)
    return Action.PHASE_2A


def _phase_2b(before: Spec, after: Spec, cast: Vote) -> Action:
    me, ballot, value = cast.sender, cast.message.ballot, cast.message.value
    action = f"Paxos: Phase2b({me}), {ballot}, {value}"
    promised = dict(before.memory)[me].promised
    asked = Accept(ballot, value) in before.sent_2a
    _require(asked, action, f"no 2a message for {value} under {ballot} was sent")
    _require(ballot >= promised, action, f"maxBal[{me}] is {promised}")
    memory = _with(before, me, Acceptor(ballot, Proposal(ballot, value)))
    _same(action, evolve(before, memory=memory, sent_2b=before.sent_2b | {cast}), after)
    return Action.PHASE_2B


def _same(action: str, expected: Spec, after: Spec) -> None:
    """Refuse any difference, and name the first one."""
    for (me, should), (_, memory) in zip(expected.memory, after.memory, strict=True):
        was, now = should.promised, memory.promised
        _require(was == now, action, f"maxBal[{me}] must be {was} and is {now}")
        had, has = _short(should.accepted), _short(memory.accepted)
        _require(had == has, action, f"the last vote of {me} must be {had} and is {has}")
    alike = evolve(after, learned=frozenset()) == evolve(expected, learned=frozenset())
    _require(alike, action, "another message appears or disappears in the same step")


def _with(
    state: Spec, acceptor: ServerId, memory: Acceptor[str]
) -> tuple[tuple[ServerId, Acceptor[str]], ...]:
    return tuple((it, memory if it == acceptor else was) for it, was in state.memory)


def _short(vote: Proposal[str] | None) -> str:
    return "none" if vote is None else f"{vote.value} under {vote.ballot}"


# --- all three ----------------------------------------------------------------------------------


@frozen
class Actions:
    """What one step is in each of the modules."""

    paxos: Action
    voting: Action
    consensus: Action


def check(before: Spec, after: Spec) -> Actions:
    """What the step is in each module. Raises NoSuchAction, with the clause that fails."""
    was, now = before.voting, after.voting
    actions = Actions(
        paxos_action(before, after),
        voting_action(was, now),
        consensus_action(was.chosen, now.chosen),
    )
    learn(before, after)
    return actions


def learn(before: Spec, after: Spec) -> None:
    """What is newly taken for chosen must be chosen. Raises NoSuchAction."""
    for it in sorted(after.learned - before.learned, key=repr):
        chosen = after.voting.is_chosen(it.ballot, it.value)
        _require(chosen, f"learning {it.value}", f"no quorum has voted for it under {it.ballot}")


# --- the system --------------------------------------------------------------------------------


class State(NamedTuple):
    """A state of the cluster, the number of what it is mapped to, and what was wrong on the way."""

    concrete: interleavings.State
    spec: int
    wrong: str | None = None


class Refinement:
    """The system of ``scope`` that leaves nothing out, with every step held against ``check``.

    Another ``check`` can ask for less.
    """

    def __init__(self, scope: Scope, check: Callable[[Spec, Spec], Actions] = check) -> None:
        self.system = Interleavings(evolve(scope, reduced=False))
        self._check = check
        self._specs = [start(scope.quorum)]
        self._numbers = {self._specs[0]: 0}
        self._next: dict[tuple[int, int, int, int], int] = {}
        self._judged: dict[tuple[int, int], Actions | str] = {}
        self._taken: Counter[tuple[Crash, int, int]] = Counter()

    @property
    def seen(self) -> Counter[tuple[Crash, Actions]]:
        """How many steps were searched, by the crash at them and by what they are."""
        counts: Counter[tuple[Crash, Actions]] = Counter()
        for (crash, before, after), count in self._taken.items():
            verdict = self._judge(before, after)
            if not isinstance(verdict, str):
                counts[crash, verdict] += count
        return counts

    def start(self) -> Iterator[State]:
        """Nothing was sent."""
        for state in self.system.start():
            yield State(state, 0)

    def steps(self, state: State) -> Iterator[tuple[Move, State]]:
        """Each step, and where it leads; the state says if it is no action."""
        for move, after in self.system.steps(state.concrete):
            spec = self._mapped(state.spec, move)
            verdict = self._judge(state.spec, spec)
            self._taken[move.crash, state.spec, spec] += 1
            yield move, State(after, spec, verdict if isinstance(verdict, str) else None)

    def spec(self, state: State) -> Spec:
        """What ``state`` is mapped to."""
        return self._specs[state.spec]

    def _mapped(self, before: int, move: Move) -> int:
        key = before, move.process, move.step.local, move.sent
        if key not in self._next:
            processes = self.system.processes
            local = processes.states[move.step.local]
            sent = [processes.message(bit) for bit in iter_bits(move.sent)]
            spec = self._specs[before]
            if move.process in processes.acceptors:
                me = processes.ids[move.process]
                spec = _after_acceptor(spec, me, local.state.acceptor, sent)
            else:
                spec = _after_client(spec, local, sent)
            self._next[key] = self._numbers.setdefault(spec, len(self._specs))
            if self._next[key] == len(self._specs):
                self._specs.append(spec)
        return self._next[key]

    def _judge(self, before: int, after: int) -> Actions | str:
        key = before, after
        if key not in self._judged:
            try:
                self._judged[key] = self._check(self._specs[before], self._specs[after])
            except NoSuchAction as error:
                self._judged[key] = str(error)
        return self._judged[key]


def _after_client(spec: Spec, local: ProcessState, sent: Iterable[Message[str]]) -> Spec:
    """What ``spec`` becomes when a client has come to ``local`` and sent something new."""
    sent, learned = [*sent], {*spec.learned}
    learned.update(it for it in sent if isinstance(it, Chosen))
    if isinstance(done := local.state.proposer.phase, Done):
        learned.add(Chosen(done.ballot, done.value))
    return evolve(
        spec,
        sent_1a=spec.sent_1a.union(it for it in sent if isinstance(it, Prepare)),
        sent_2a=spec.sent_2a.union(it for it in sent if isinstance(it, Accept)),
        learned=frozenset(learned),
    )


def _after_acceptor(
    spec: Spec, me: ServerId, memory: Acceptor[str], sent: Iterable[Message[str]]
) -> Spec:
    """What ``spec`` becomes when an acceptor has come to ``memory`` and sent something new."""
    answers = [it for it in sent if isinstance(it, Promise | Accepted)]
    was, vote = dict(spec.memory)[me], memory.accepted
    if not answers and vote is not None and vote != was.accepted:
        answers = [Accepted(vote.ballot, vote.value)]
    elif not answers and memory.promised > was.promised:
        answers = [Promise(memory.promised, vote)]
    votes = spec.sent_2b.union(From(me, it) for it in answers if isinstance(it, Accepted))
    promises = (From(me, it) for it in answers if isinstance(it, Promise))
    news = (it for it in promises if not _repeats(it, votes))
    return evolve(
        spec, memory=_with(spec, me, memory), sent_2b=votes, sent_1b=spec.sent_1b.union(news)
    )


def _repeats(sent: From[Promise[str]], votes: frozenset[Vote]) -> bool:
    vote = sent.message.accepted
    if vote is None or vote.ballot != sent.message.ballot:
        return False
    return From(sent.sender, Accepted(vote.ballot, vote.value)) in votes


def follow(system: Refinement, acts: Iterable[Act]) -> tuple[State, ...]:
    """The states of one run, to the first step that is no action. What cannot happen is skipped."""
    (state,) = system.start()
    run = [state]
    for act in acts:
        for move, after in system.steps(state):
            if (move.process, move.events[-1:], move.crash) == (act.process, _last(act), act.crash):
                state = after
                run.append(after)
                break
        if state.wrong is not None:
            break
    return tuple(run)


def _last(act: Act) -> tuple[Event, ...]:
    return () if act.event is None else (act.event,)


def refine(
    scope: Scope,
    check: Callable[[Spec, Spec], Actions] = check,
    *,
    max_states: int = DEFAULT_MAX_STATES,
) -> tuple[Refinement, Exploration[State, Move]]:
    """Search all runs of the cluster in ``scope``, and stop at the first step that is no action."""
    system = Refinement(scope, check)
    always: dict[str, Callable[[State], bool]] = {REFINES: lambda state: state.wrong is None}
    return system, explore(system, always=always, max_states=max_states)
