"""Time as a command: what expires when, by a table of every small case."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos_adapters.arguments import BadNumber
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.state_machines.ticks import MAX_NOW_S, Clock, Tick, scheduled, ticked


@pytest.mark.parametrize(("at_s", "ttl_s", "now_s"), [*product(range(3), range(1, 4), range(7))])
def test_a_name_expires_with_the_first_tick_at_its_time(at_s: int, ttl_s: int, now_s: int) -> None:
    clock, _ = ticked(Clock(), Tick(at_s))
    after, gone = ticked(scheduled(clock, "a", ttl_s), Tick(now_s))

    assert gone == (("a",) if now_s >= at_s + ttl_s else ())
    assert after.now_s == max(at_s, now_s)
    assert len(after.expires_s) == (0 if gone else 1)


def test_without_a_time_to_live_nothing_expires() -> None:
    clock = scheduled(scheduled(Clock(), "a", 1), "a", None)

    assert ticked(clock, Tick(MAX_NOW_S)) == (Clock(MAX_NOW_S), ())


@given(st.lists(st.integers(0, 9) | st.tuples(st.sampled_from("abc"), st.integers(1, 5))))
def test_expiry_is_that_of_a_dict(steps: list[int | tuple[str, int]]) -> None:
    clock, now_s, expires_s = Clock(), 0, dict[str, int]()
    for step in steps:
        if isinstance(step, int):
            now_s = max(now_s, step)
            expected = tuple(sorted(it for it in expires_s if expires_s[it] <= now_s))
            clock, gone = ticked(clock, Tick(step))
            assert gone == expected
            for name in gone:
                del expires_s[name]
        else:
            name, ttl_s = step
            clock = scheduled(clock, name, ttl_s)
            expires_s[name] = now_s + ttl_s
        assert clock == Clock(now_s, PersistentMap.of(expires_s.items()))


@pytest.mark.parametrize("now_s", [-1, MAX_NOW_S + 1, 1.5, True])
def test_a_time_that_cannot_be(now_s: int) -> None:
    with pytest.raises(BadNumber, match="now_s"):
        Tick(now_s)
