"""How named decisions are settled: every order of what three servers say, and any mix of it."""

from __future__ import annotations

from itertools import combinations, permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import Ballot, Proposal, QuorumSystem, ServerId, flexible, majority
from paxos_adapters.replication import settling
from paxos_adapters.replication.settling import Adopted, Command, Held, HeldAll, Settling

ONE, TWO, THREE, FOUR = (ServerId(number) for number in range(1, 5))
OLD, NEW = majority([ONE, TWO, THREE]), majority([ONE, TWO, FOUR])
SYSTEMS = (OLD, flexible([ONE, TWO, THREE], phase1=1, phase2=3), majority([ONE, TWO]))


def proposal(number: int) -> Proposal[bytes]:
    return Proposal(Ballot(number, ONE), b"%d" % number)


def after(*commands: Command, quorum: QuorumSystem = OLD, epoch: int = 1) -> Settling:
    state = settling.founded(quorum, 0)
    for command in commands:
        state = settling.apply(state, command, epoch, NEW)
    return state


def held(epoch: int, server: ServerId, ballot: int) -> Held:
    return Held(epoch, server, (("x", proposal(ballot)),))


def said(server: ServerId, ballot: int) -> list[Command]:
    """All that ``server`` says, if it has accepted this; 0: nothing."""
    return [*([held(0, server, ballot)] if ballot else []), HeldAll(0, server)]


@pytest.mark.parametrize("quorum", SYSTEMS, ids=["majority", "any one", "two"])
def test_what_is_settled_is_the_highest_of_the_first_phase1_quorum(quorum: QuorumSystem) -> None:
    """Every order of three servers, and every ballot that each may have accepted."""
    for order in permutations([ONE, TWO, THREE]):
        for ballots in product(range(4), repeat=3):
            accepted = dict(zip([ONE, TWO, THREE], ballots, strict=True))
            state = after(*(it for me in order for it in said(me, accepted[me])), quorum=quorum)
            first = next(
                order[:size]
                for size in range(1, 4)
                if quorum.is_phase1(frozenset(order[:size]) & quorum.members)
            )
            highest = max(accepted[it] for it in first if it in quorum.members)
            expected = None if highest == 0 else proposal(highest)
            assert (state.epoch, state.proposals.get("x")) == (1, expected)


@pytest.mark.parametrize("quorum", SYSTEMS, ids=["majority", "any one", "two"])
def test_whatever_was_chosen_is_settled(quorum: QuorumSystem) -> None:
    """Any servers may have voted for it, and any may be the first to report."""
    members = sorted(quorum.members)
    for size in range(1, len(members) + 1):
        for voters in combinations(members, size):
            if not quorum.is_phase2(frozenset(voters)):
                continue
            for order in permutations(members):
                ballots = {it: 5 if it in voters else 1 for it in members}
                state = after(*(it for me in order for it in said(me, ballots[me])), quorum=quorum)
                assert state.proposals.get("x") == proposal(5)


def test_nothing_is_settled_before_a_phase1_quorum_has_said_all() -> None:
    state = after(*said(ONE, 1), Held(0, TWO, (("x", proposal(2)),)), Held(0, THREE, ()))

    assert not settling.is_open(state, 1)
    assert state.reported == {ONE}
    assert state.proposals.get("x") == proposal(2)


def test_what_comes_after_that_changes_nothing() -> None:
    settled = after(*said(ONE, 1), *said(TWO, 0))

    assert after(*said(ONE, 1), *said(TWO, 0), *said(THREE, 3)) == settled


def test_a_server_without_a_vote_in_that_epoch_says_nothing() -> None:
    assert after(*said(FOUR, 3), *said(FOUR, 0)) == settling.founded(OLD, 0)


def test_nothing_is_held_before_a_change_begins() -> None:
    assert after(*said(ONE, 3), Adopted(0, ONE), epoch=0).proposals.get("x") is None


def test_it_begins_when_quorums_have_adopted_it_and_is_kept_for_all() -> None:
    commands: list[Command] = [*said(ONE, 1), *said(TWO, 0), Adopted(1, FOUR)]
    one, two = after(*commands), after(*commands, Adopted(1, TWO))
    three = after(*commands, Adopted(1, TWO), Adopted(1, ONE), Adopted(1, THREE))

    assert not settling.has_begun(one, 1)
    assert settling.has_begun(two, 1)
    assert not settling.has_begun(two, 2)
    assert one.proposals.get("x") == two.proposals.get("x") == proposal(1)
    assert len(three.proposals) == 0
    assert three.adopted == {ONE, TWO, FOUR}


def test_a_change_that_overtakes_another_one_settles_for_the_later_one() -> None:
    """A newcomer was removed again: nobody adopts the epoch between."""
    state = after(*said(ONE, 1))
    for command in said(TWO, 2):
        state = settling.apply(state, command, 2, NEW)

    assert (state.epoch, state.proposals.get("x")) == (2, proposal(2))


def test_what_was_settled_is_held_while_the_next_change_is_settled() -> None:
    """Also if nobody who reports has adopted it."""
    state = after(*said(ONE, 1), *said(TWO, 2))
    late = HeldAll(0, TWO)
    for command in HeldAll(1, ONE), late, *said(TWO, 5), HeldAll(1, FOUR):
        assert state.epoch == 1, "what is said of an earlier epoch is no report"
        state = settling.apply(state, command, 2, OLD)

    assert (state.epoch, state.proposals.get("x")) == (2, proposal(2))


COMMANDS = st.lists(
    st.builds(HeldAll, st.integers(0, 2), st.sampled_from([ONE, TWO, THREE, FOUR]))
    | st.builds(Adopted, st.integers(0, 2), st.sampled_from([ONE, TWO, THREE, FOUR]))
    | st.builds(
        held,
        st.integers(0, 2),
        st.sampled_from([ONE, TWO, THREE, FOUR]),
        st.integers(1, 5),
    ),
    max_size=30,
)


@given(COMMANDS)
@settings(max_examples=300, deadline=None)
def test_what_a_step_may_do(commands: list[Command]) -> None:
    state = settling.founded(OLD, 0)
    for command in commands:
        after_it = settling.apply(state, command, 1, NEW)
        if after_it.epoch != state.epoch:
            assert isinstance(command, HeldAll)
            assert OLD.is_phase1(state.reported | {command.server})
            assert after_it.proposals is state.proposals
        elif settling.is_open(state, 1):
            assert len(after_it.proposals) == 0 or after_it.proposals is state.proposals
            assert (
                len(after_it.proposals)
                or not len(state.proposals)
                or after_it.adopted == (NEW.members)
            )
        state = after_it
