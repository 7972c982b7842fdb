"""Our acceptor inside Lamport's specification reaches exactly the states that TLC counts.

The system is that of the public TLA+ module Paxos.tla: messages form a set that only grows, ballots
are plain numbers, a ballot is begun at any time (Phase1a), and once a ballot a value is proposed
that the answers of a quorum allow (Phase2a). Phase1b and Phase2b are ``acceptor.receive``. The
figures for two values are TLC's; those for one value follow from a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from math import comb

import pytest

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Ballot,
    Prepare,
    Promise,
    Proposal,
    Saved,
    ServerId,
    acceptor,
)
from paxos_lab.explore.search import explore

Ask = Prepare | Accept[int]
Answer = Promise[int] | Accepted[int]

Receive = Callable[[Acceptor[int], Ask], acceptor.Step[int]]

State = tuple[tuple[int, ...], int]
"""The number of each acceptor's state, and the set of all messages sent so far, a bit for each."""


class Specification:
    """Lamport's system of ``acceptors``, ``values`` and ballots 0..``last``."""

    def __init__(
        self, acceptors: int, values: int, last: int, receive: Receive = acceptor.receive
    ) -> None:
        self.receive = receive
        self.acceptors = range(acceptors)
        self.values = range(values)
        self.quorums = [set(it) for it in combinations(self.acceptors, acceptors // 2 + 1)]
        self.states = [Acceptor[int]()]
        self.bits: dict[Ask | tuple[int, Answer], int] = {}
        self.promises: dict[Ballot, int] = {}
        self.reactions: dict[tuple[int, int, Ask], tuple[int, int] | None] = {}
        self.allowances: dict[tuple[Ballot, int], list[int]] = {}

        ballots = [Ballot(number + 1, ServerId(1)) for number in range(last + 1)]
        self.prepares = [self.bit(Prepare(ballot)) for ballot in ballots]
        self.accepts = {
            ballot: [self.bit(Accept(ballot, value)) for value in self.values] for ballot in ballots
        }
        self.asks: list[tuple[Ask, int]] = [
            (ask, bit) for ask, bit in self.bits.items() if isinstance(ask, Prepare | Accept)
        ]

    def start(self) -> list[State]:
        return [((0,) * len(self.acceptors), 0)]

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        states, sent = state
        for bit in self.prepares:
            yield "Phase1a", (states, sent | bit)
        for ballot, bits in self.accepts.items():
            if not sent & sum(bits):
                for value in self.allowed(ballot, sent):
                    yield "Phase2a", (states, sent | bits[value])
        for ask, bit in self.asks:
            if sent & bit:
                for me in self.acceptors:
                    if reaction := self.reaction(me, states[me], ask):
                        after, answer = reaction
                        yield "Phase1b or 2b", (put(states, me, after), sent | answer)

    def reaction(self, me: int, number: int, ask: Ask) -> tuple[int, int] | None:
        """What ``acceptor.receive`` does; None where the specification does not act."""
        key = me, number, ask
        if key not in self.reactions:
            before = self.states[number]
            after, outbound = self.receive(before, ask)
            self.reactions[key] = None
            if isinstance(outbound, AfterSave):
                (answer,) = outbound.release(Saved((outbound.record,)))
                repeats = isinstance(ask, Prepare) and ask.ballot <= before.promised
                if not repeats and isinstance(answer, Promise | Accepted):
                    self.reactions[key] = self.number(after), self.bit((me, answer))
        return self.reactions[key]

    def allowed(self, ballot: Ballot, sent: int) -> list[int]:
        """The values that some quorum of promises allows, one for each witness, as TLC counts."""
        heard = sent & self.promises.get(ballot, 0)
        if (ballot, heard) not in self.allowances:
            told = [it for it, bit in self.bits.items() if heard & bit and isinstance(it, tuple)]
            promises = [(me, it.accepted) for me, it in told if isinstance(it, Promise)]
            values: list[int] = []
            for quorum in self.quorums:
                if quorum <= {me for me, _ in promises}:
                    found = [it for me, it in promises if me in quorum and it is not None]
                    values += self.safe(found)
            self.allowances[ballot, heard] = values
        return self.allowances[ballot, heard]

    def safe(self, found: list[Proposal[int]]) -> list[int]:
        """The value of the highest proposal found, or any value if there is none."""
        highest = max((it.ballot for it in found), default=None)
        return [it.value for it in found if it.ballot == highest] or [*self.values]

    def chosen(self, state: State) -> set[int]:
        """The values that a quorum has accepted under one ballot."""
        votes: dict[tuple[Ballot, int], set[int]] = {}
        for it, bit in self.bits.items():
            if state[1] & bit and isinstance(it, tuple) and isinstance(it[1], Accepted):
                votes.setdefault((it[1].ballot, it[1].value), set()).add(it[0])
        return {
            value
            for (_, value), voters in votes.items()
            if any(quorum <= voters for quorum in self.quorums)
        }

    def number(self, state: Acceptor[int]) -> int:
        if state not in self.states:
            self.states.append(state)
        return self.states.index(state)

    def bit(self, message: Ask | tuple[int, Answer]) -> int:
        bit = self.bits.setdefault(message, 1 << len(self.bits))
        if isinstance(message, tuple) and isinstance(message[1], Promise):
            ballot = message[1].ballot
            self.promises[ballot] = self.promises.get(ballot, 0) | bit
        return bit


def put(states: tuple[int, ...], me: int, after: int) -> tuple[int, ...]:
    return (*states[:me], after, *states[me + 1 :])


@pytest.mark.parametrize(
    ("acceptors", "values", "last", "states", "depth"),
    [(2, 2, 3, 14_881, 25), (3, 2, 1, 3_921, 17)],
)
def test_two_values(acceptors: int, values: int, last: int, states: int, depth: int) -> None:
    found = explore(Specification(acceptors, values, last))

    assert found.exhausted
    assert (found.states, found.depth) == (states, depth)


@pytest.mark.parametrize(("n", "ballots"), [(1, 1), (1, 4), (2, 2), (2, 3), (3, 1), (3, 2), (4, 1)])
def test_one_value(n: int, ballots: int) -> None:
    """(1 + 2^n + 2^n * sum of C(n, k) for k >= majority)^B states; (2n + 2)B + 1 deep."""
    majorities = sum(comb(n, k) for k in range(n // 2 + 1, n + 1))

    found = explore(Specification(n, 1, ballots - 1))

    assert found.states == (1 + 2**n + 2**n * majorities) ** ballots
    assert found.depth == (2 * n + 2) * ballots + 1


@pytest.mark.slow
def test_as_many_steps_as_tlc_generates() -> None:
    """Its figure counts the state at the start as well."""
    found = explore(Specification(3, 2, 2))

    assert (found.states, found.depth) == (185_369, 25)
    assert found.transitions + 1 == 1_361_380


def test_one_value_at_most_is_chosen() -> None:
    specification = Specification(3, 2, 1)

    found = explore(
        specification,
        always={"agreement": lambda state: len(specification.chosen(state)) <= 1},
        sometimes={
            "a value is chosen": lambda state: specification.chosen(state) != set(),
            "the other value is chosen": lambda state: specification.chosen(state) == {1},
        },
    )

    assert found.exhausted
    assert found.violation is None
    assert found.never == frozenset()


def forgets_to_promise(state: Acceptor[int], ask: Ask) -> acceptor.Step[int]:
    """Answers a Prepare, and does not keep the promise."""
    _, outbound = acceptor.receive(state, ask)
    return (acceptor.receive(state, ask)[0] if isinstance(ask, Accept) else state), outbound


def test_an_acceptor_that_forgets_its_promise_is_caught_by_a_shortest_run() -> None:
    """Two looks, two proposals, two votes each: nothing shorter chooses two values."""
    specification = Specification(3, 2, 1, forgets_to_promise)

    found = explore(
        specification,
        always={"agreement": lambda state: len(specification.chosen(state)) <= 1},
    )

    assert found.violation is not None
    assert found.violation.rule == "agreement"
    assert specification.chosen(found.violation.end) == {0, 1}
    assert len(found.violation.run) == 12


class OrForAnd(Specification):
    """A published Paxos.qnt: the value is that of *a* proposal found, *or* one found is highest."""

    def safe(self, found: list[Proposal[int]]) -> list[int]:
        """Some proposal is always the highest, so any value will do."""
        highest = max((it.ballot for it in found), default=None)
        return [
            value
            for value in self.values
            if not found or any(it.value == value or it.ballot == highest for it in found)
        ]


def test_a_published_specification_that_allows_any_value() -> None:
    specification = OrForAnd(3, 2, 1)

    found = explore(
        specification,
        always={"agreement": lambda state: len(specification.chosen(state)) <= 1},
    )

    assert found.violation is not None
    assert specification.chosen(found.violation.end) == {0, 1}
    assert len(found.violation.run) == 12


class AcrossBallots(Specification):
    """A published model of another project: its Learn adds up votes of different ballots."""

    def learnt(self, state: State) -> set[int]:
        voters: dict[int, set[int]] = {}
        for it, bit in self.bits.items():
            if state[1] & bit and isinstance(it, tuple) and isinstance(it[1], Accepted):
                voters.setdefault(it[1].value, set()).add(it[0])
        return {it for it, who in voters.items() if any(quorum <= who for quorum in self.quorums)}


def test_a_published_specification_that_learns_what_is_not_chosen() -> None:
    """One acceptor votes, and another one under the next ballot: that is no choice."""
    specification = AcrossBallots(3, 2, 1)

    found = explore(
        specification,
        always={"learnt": lambda state: specification.learnt(state) <= specification.chosen(state)},
    )

    assert found.violation is not None
    assert specification.chosen(found.violation.end) == set()
    assert len(specification.learnt(found.violation.end)) == 1
