"""Counts of public TLA+ models of one decision, reached by the modules and the acceptor here.

- Voting: a step is whatever ``voting_action`` takes for one.
- Paxos without leaders: promises and votes are those of ``acceptor.receive``. As in that model, a
  promise is given for a higher ballot only, and a value is decided again and again.
- With symmetry, one of those states is kept that differ in the names of acceptors or values alone.

TLC counts a step once for each witness of an "exists" that allows it, and the state at the start.

Source: MCVoting of PaxosHowToWinATuringAward and of Paxos (Lamport), and Paxos.tla of
SimplifiedFastPaxos (Lim Ngian Xin Terry and Gaurav Gandhi), with the figures of their
manifest.json, in the TLA+ examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, permutations, product
from typing import TypeAlias

import pytest
from attrs import evolve, frozen

from paxos import (
    NO_BALLOT,
    Accept,
    Accepted,
    Acceptor,
    Ballot,
    From,
    Prepare,
    Promise,
    Proposal,
    ServerId,
    acceptor,
)
from paxos_lab.explore.search import explore
from paxos_lab.explore.specification import NoSuchAction, Voting, voting_action
from tests.support import S1, S2, S3, THREE, opened

# --- Voting ---------------------------------------------------------------------------------------

ACCEPTORS = S1, S2, S3
PAIRS = tuple(map(frozenset, combinations(ACCEPTORS, 2)))
COLOURS = "red", "blue"


def ballots(count: int) -> tuple[Ballot, ...]:
    return tuple(Ballot(number, S1) for number in range(1, count + 1))


@frozen
class VotingModel:
    """All steps of Voting with so many ballots."""

    rounds: int
    is_symmetric: bool

    def start(self) -> Iterator[Voting]:
        yield Voting(THREE, tuple((it, NO_BALLOT) for it in ACCEPTORS))

    def steps(self, state: Voting) -> Iterator[tuple[str, Voting]]:
        for me, ballot in product(ACCEPTORS, ballots(self.rounds)):
            max_bal = tuple((it, ballot if it == me else was) for it, was in state.max_bal)
            raised = evolve(state, max_bal=max_bal)
            if raised != state:
                yield from self.taken(state, raised, 1)
            for value in COLOURS:
                vote = From(me, Accepted(ballot, value))
                if vote not in state.votes:
                    ways = sum(witnesses(state, it, ballot, value) for it in PAIRS)
                    voted = evolve(raised, votes=state.votes | {vote})
                    yield from self.taken(state, voted, ways)

    def taken(self, state: Voting, after: Voting, ways: int) -> Iterator[tuple[str, Voting]]:
        """The step to ``after``, as often as there are ways to take it, if it is one."""
        try:
            action = voting_action(state, after).value
        except NoSuchAction:
            return
        kept = min(renamed(after), key=voting_key) if self.is_symmetric else after
        for _ in range(ways):
            yield action, kept


def witnesses(state: Voting, quorum: frozenset[ServerId], ballot: Ballot, value: str) -> int:
    """In how many ways ``quorum`` shows that ``value`` is safe at ``ballot``: ShowsSafeAt.

    It has no vote below ``ballot``; or each of its last votes is a witness, if it is for ``value``.
    """
    if any(it < ballot for me, it in state.max_bal if me in quorum):
        return 0
    below = [it.message for it in state.votes if it.sender in quorum and it.message.ballot < ballot]
    last = max((it.ballot for it in below), default=None)
    return below.count(Accepted(last, value)) if last is not None else 1


def voting_key(state: Voting) -> tuple[object, ...]:
    votes = ((it.message.ballot, it.sender, it.message.value) for it in state.votes)
    return state.max_bal, tuple(sorted(votes))


def renamed(state: Voting) -> Iterator[Voting]:
    for them, colours in product(permutations(ACCEPTORS), permutations(COLOURS)):
        me = dict(zip(ACCEPTORS, them, strict=True))
        to: dict[str, str] = dict(zip(COLOURS, colours, strict=True))
        yield Voting(
            THREE,
            tuple(sorted((me[it], was) for it, was in state.max_bal)),
            frozenset(
                From(me[it.sender], Accepted(it.message.ballot, to[it.message.value]))
                for it in state.votes
            ),
        )


@pytest.mark.parametrize(
    ("rounds", "is_symmetric", "distinct", "generated", "depth"),
    [
        pytest.param(3, False, 6_752, 41_017, 16, marks=pytest.mark.slow),
        (2, True, 77, 451, 11),
    ],
)
def test_voting(rounds: int, is_symmetric: bool, distinct: int, generated: int, depth: int) -> None:
    found = explore(
        VotingModel(rounds, is_symmetric),
        always={"agreement": lambda it: len(it.chosen) <= 1},
        sometimes={"a value is chosen": lambda it: bool(it.chosen)},
    )

    assert (found.states, found.transitions + 1, found.depth) == (distinct, generated, depth)
    assert found.exhausted
    assert found.violation is None
    assert found.never == frozenset()


# --- Paxos without leaders ------------------------------------------------------------------------

BALLOTS = ballots(2)
VALUES = 1, 2, 3
QUORUM = 3
"""Of four acceptors, any three."""

Replica: TypeAlias = tuple[Acceptor[int], frozenset[Promise[int]], frozenset[Ballot]]
"""An acceptor, and what it has ever promised and accepted; an Accept says which value."""


@frozen
class Leaderless:
    """A state: the acceptors, the requests that were ever sent, and what was decided last."""

    replicas: tuple[Replica, ...]
    prepared: frozenset[Ballot] = frozenset()
    asked: frozenset[tuple[Ballot, int]] = frozenset()
    decision: int = 0


class LeaderlessModel:
    """All steps of four acceptors, two ballots and three values."""

    def start(self) -> Iterator[Leaderless]:
        yield Leaderless(((Acceptor[int](), frozenset[Promise[int]](), frozenset[Ballot]()),) * 4)

    def steps(self, state: Leaderless) -> Iterator[tuple[str, Leaderless]]:
        for action, after in self.all_steps(state):
            yield action, kept(after)

    def all_steps(self, state: Leaderless) -> Iterator[tuple[str, Leaderless]]:
        for ballot in BALLOTS:
            yield "PaxosPrepare", evolve(state, prepared=state.prepared | {ballot})
            yield from self.accepts(state, ballot)
            yield from self.decides(state, ballot)
        for place, replica in enumerate(state.replicas):
            for ballot in state.prepared:
                if ballot > replica[0].promised:
                    yield "PaxosPromise", put(state, place, promised(replica, ballot))
            for ballot, value in state.asked:
                if ballot >= replica[0].promised:
                    yield "PaxosAccepted", put(state, place, accepted(replica, ballot, value))

    def accepts(self, state: Leaderless, ballot: Ballot) -> Iterator[tuple[str, Leaderless]]:
        """Ask for a value that the promises of a quorum allow, once a ballot."""
        if any(it == ballot for it, _ in state.asked):
            return
        said = [[it for it in made if it.ballot == ballot] for _, made, _ in state.replicas]
        for quorum in combinations(said, QUORUM):
            if all(quorum):
                found = [made.accepted for (made,) in quorum if made.accepted is not None]
                forced = max(found, key=lambda it: it.ballot).value if found else None
                for value in VALUES if forced is None else (forced,):
                    yield "PaxosAccept", evolve(state, asked=state.asked | {(ballot, value)})

    def decides(self, state: Leaderless, ballot: Ballot) -> Iterator[tuple[str, Leaderless]]:
        """Any vote of a quorum that has voted under ``ballot`` says what is decided."""
        voted = [ballot in them for _, _, them in state.replicas]
        for quorum in combinations(voted, QUORUM):
            if all(quorum):
                for _ in quorum:
                    yield "PaxosDecide", evolve(state, decision=dict(state.asked)[ballot])


def put(state: Leaderless, place: int, replica: Replica) -> Leaderless:
    replicas = (*state.replicas[:place], replica, *state.replicas[place + 1 :])
    return evolve(state, replicas=replicas)


def promised(replica: Replica, ballot: Ballot) -> Replica:
    memory, made, votes = replica
    after, outbound = acceptor.receive(memory, Prepare(ballot))
    return after, made | {it for it in opened(outbound) if isinstance(it, Promise)}, votes


def accepted(replica: Replica, ballot: Ballot, value: int) -> Replica:
    memory, made, votes = replica
    after, outbound = acceptor.receive(memory, Accept(ballot, value))
    votes |= {it.ballot for it in opened(outbound) if isinstance(it, Accepted)}
    return after, made, votes


def kept(state: Leaderless) -> Leaderless:
    """The one of all states that differ in names alone."""
    return min(
        (
            with_values(state, dict(zip((0, *VALUES), (0, *it), strict=True)))
            for it in permutations(VALUES)
        ),
        key=leaderless_key,
    )


def leaderless_key(state: Leaderless) -> tuple[object, ...]:
    replicas = tuple(map(replica_key, state.replicas))
    return replicas, sorted(state.prepared), sorted(state.asked), state.decision


def replica_key(replica: Replica) -> tuple[object, ...]:
    memory, made, votes = replica
    promises = sorted((it.ballot, proposal_key(it.accepted)) for it in made)
    return memory.promised, proposal_key(memory.accepted), promises, sorted(votes)


def proposal_key(it: Proposal[int] | None) -> tuple[int, ...]:
    return () if it is None else (*it.ballot, it.value)


def with_values(state: Leaderless, to: dict[int, int]) -> Leaderless:
    def proposal(it: Proposal[int] | None) -> Proposal[int] | None:
        return None if it is None else Proposal(it.ballot, to[it.value])

    replicas = (
        (
            Acceptor(memory.promised, proposal(memory.accepted)),
            frozenset(Promise(it.ballot, proposal(it.accepted)) for it in made),
            votes,
        )
        for memory, made, votes in state.replicas
    )
    return Leaderless(
        tuple(sorted(replicas, key=replica_key)),
        state.prepared,
        frozenset((ballot, to[value]) for ballot, value in state.asked),
        to[state.decision],
    )


def test_paxos_without_leaders() -> None:
    found = explore(LeaderlessModel(), sometimes={"a value is decided": lambda it: it.decision > 0})

    assert (found.states, found.transitions + 1, found.depth) == (1_207, 13_290, 22)
    assert found.exhausted
    assert found.never == frozenset()
