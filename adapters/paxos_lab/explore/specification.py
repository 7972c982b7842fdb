"""Lamport's specifications of consensus as functions: which action a step is, if it is one.

- Three TLA+ modules, each of which refines the next: Paxos, Voting, Consensus. Each has its own
  variables, and a function from a state and the next to the action between them.
- A step must be one action of each module, or stuttering: nothing of what the module speaks of has
  changed. If it is neither, NoSuchAction names the clause that fails.
- Of ballots the modules use the order alone. Pairs have one, and NO_BALLOT stands for -1.
- A quorum that looks is a phase-1 quorum, one that chooses a phase-2 quorum, and more servers
  never harm one. With majorities they are the same, as in the modules.
- A Promise that carries a vote under its own ballot only repeats that vote: stuttering.
- Learning is left out of the modules; but what a process takes for chosen must be chosen.

Source: Paxos.tla, Voting.tla and Consensus.tla (Lamport) in the TLA+ examples.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TypeAlias, TypeVar

from attrs import evolve, frozen

from paxos import (
    NO_BALLOT,
    Accept,
    Accepted,
    Acceptor,
    Ballot,
    Chosen,
    From,
    Prepare,
    Promise,
    Proposal,
    QuorumSystem,
    ServerId,
    UsageError,
)

T = TypeVar("T")

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
            f"{action} is not allowed: {broken}. So the specification has no such step, and "
            "what rests on its proof does not hold. Look at the server that took the step."
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

    ``learned`` is not a variable of it: it is all that some process has ever taken for chosen.
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
    memory = with_memory(before, me, Acceptor(promise.ballot, was.accepted))
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
    memory = with_memory(before, me, Acceptor(ballot, Proposal(ballot, value)))
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


def with_memory(
    state: Spec, acceptor: ServerId, memory: Acceptor[str]
) -> tuple[tuple[ServerId, Acceptor[str]], ...]:
    """The memories of ``state``, with that of ``acceptor`` replaced."""
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
