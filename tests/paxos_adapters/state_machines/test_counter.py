"""A counter: each result is the sum so far."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from paxos_adapters.state_machines import COUNTER
from tests.support.state_machines import run_alone, run_replicated

AMOUNTS = st.lists(st.integers(), min_size=1, max_size=12)


@given(AMOUNTS)
def test_each_result_is_the_sum_so_far(amounts: list[int]) -> None:
    state, results = run_alone(COUNTER, amounts)

    assert results == list(accumulate(amounts))
    assert state == sum(amounts)


@settings(max_examples=20)
@given(AMOUNTS, st.integers(0, 1_000_000))
def test_it_goes_on_when_the_leader_crashes(amounts: list[int], seed: int) -> None:
    run_replicated(COUNTER, amounts, seed)
