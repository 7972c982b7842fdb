"""The learner of a log: what it believes to be chosen, and what it does not."""

from __future__ import annotations

from itertools import product

import pytest

from paxos import InvariantError
from paxos.log import CatchUp, Configuration
from paxos.log.learner import believe, install, learn
from tests.support import THREE, ballot
from tests.support.logs import held, memory

RED, BLUE, NEWER = held("1.1", "red"), held("1.1", "blue"), held("2.2", "green")


@pytest.mark.parametrize("first", range(1, 6))
def test_the_table_of_what_is_believed(first: int) -> None:
    """Of slots that hold exactly the ballot, one after the other, below what was said."""
    for slots in product((None, RED, NEWER), repeat=3):
        update = believe(memory(*slots, promised="2.2"), ballot("1.1"), first, window=4)

        exact = next((n for n, it in enumerate(slots) if it != RED), 3)
        count = min(exact, first - 1)
        assert update.memory == memory(*slots[count:], promised="2.2", first=1 + count)
        assert update.chosen == slots[:count]
        assert update.written == ()


def test_what_was_known_before_is_not_known_again() -> None:
    state = memory(RED, first=5)

    assert believe(state, ballot("1.1"), 4, window=4).memory == state


@pytest.mark.parametrize(("slot", "count"), [(1, 0), (2, 1), (3, 2), (4, 3), (5, 0), (6, 0)])
def test_what_is_chosen_is_taken_if_it_leaves_no_gap(slot: int, count: int) -> None:
    """Three proposals from ``slot`` on, to a replica that knows all below 4."""
    state = memory(RED, None, BLUE, promised="1.1", first=4)
    sent = (NEWER,) * 3
    update = learn(state, CatchUp(slot, sent), window=4)

    taken = count if slot <= 4 else 0
    assert update.memory.first == 4 + taken
    assert update.chosen == sent[:taken]
    assert update.written == tuple(enumerate(sent[:taken], 4))
    assert update.memory.open == state.open[taken:]


def test_nothing_chosen_is_nothing_learned() -> None:
    state = memory(RED)

    assert learn(state, CatchUp(1, ()), window=4).memory == state


def test_what_is_chosen_under_a_ballot_cannot_differ_from_what_is_held_under_it() -> None:
    with pytest.raises(InvariantError, match=r"1\.1"):
        learn(memory(RED, promised="1.1"), CatchUp(1, (BLUE,)), window=4)

    assert learn(memory(RED, promised="1.1"), CatchUp(1, (NEWER,)), window=4).chosen == (NEWER,)


def test_a_snapshot_stands_for_all_below_it() -> None:
    newer = (Configuration(3, THREE),)
    found = install(memory(RED, BLUE, NEWER, promised="2.2"), 3, newer)

    assert (found.first, found.open, found.configurations) == (3, (NEWER,), newer)
    assert found.promised == ballot("2.2")


@pytest.mark.parametrize("first", [1, 2, 3])
def test_an_older_snapshot_changes_nothing(first: int) -> None:
    state = memory(RED, first=3)

    assert install(state, first, ()) is state
