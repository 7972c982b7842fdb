"""Leases: judged by all clocks at the moment of a read, however the process was stopped before."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import From
from paxos.log import Confirmed, Lead, Promise, Read, Replica, Rules, replica
from paxos_adapters.arguments import BadArgument, BadNumber
from paxos_adapters.limits import MAX_LEASE_MS
from paxos_adapters.replication.leases import ASK_AGAIN, Instant, Leases, read_clocks
from paxos_adapters.timeouts import Lease, Timeouts
from tests.support import S1, S2, S3, THREE
from tests.support.logs import step

SECOND = 1_000_000_000
LEASE = Lease(duration_s=8, drift=0.1)
HOLD_MS = 9_778
"""8 s, times 1.1 by 0.9."""


class Clocks:
    """Since the start of the machine, and of the day: in seconds."""

    def __init__(self) -> None:
        self.since_boot_s, self.of_day_s = 1_000.0, 5_000.0

    def __call__(self) -> Instant:
        return int(self.since_boot_s * SECOND), int(self.of_day_s * SECOND)

    def wait(self, seconds: float) -> None:
        self.since_boot_s += seconds
        self.of_day_s += seconds


def leases() -> tuple[Leases, Clocks]:
    """Confirm 1 has asked for a lease, just now."""
    clocks = Clocks()
    found = Leases(LEASE, clocks)
    assert found.read(1) == Read(1, None, HOLD_MS)
    return found, clocks


def leader(*granted: int) -> Replica[str]:
    """S1, which leads; S1 and S2 have granted a lease to these Confirms."""
    state, _ = step(replica.start(S1, THREE, (), Rules(4, 2, HOLD_MS)), Lead())
    ballot = state.memory.promised
    for me in S1, S2:
        state, _ = step(state, From(me, Promise(ballot, 1, 1, (), True)))
    for number in granted:
        for me in S1, S2:
            state, _ = step(state, From(me, Confirmed(ballot, number, grants=True)))
    return state


def test_without_a_lease_a_read_asks_for_none() -> None:
    assert Leases(None).read(7) == Read(7)
    assert Leases(None).hold_ms == 0
    assert Leases(None).remaining_s(leader(1)) is None


def test_a_read_is_stamped_with_the_oldest_lease_that_has_not_run_out() -> None:
    found, clocks = leases()
    clocks.wait(7.9)
    assert found.read(2) == Read(2, 1, HOLD_MS)
    clocks.wait(0.2)
    assert found.read(3) == Read(3, 2)
    clocks.wait(7.9)
    assert found.read(4) == Read(4, None, HOLD_MS)


def test_a_lease_is_asked_for_again_after_a_part_of_it() -> None:
    found, clocks = leases()
    clocks.wait(8 / ASK_AGAIN - 0.01)
    assert found.read(2) == Read(2, 1)
    clocks.wait(0.02)
    assert found.read(3) == Read(3, 1, HOLD_MS)
    assert found.read(4) == Read(4, 1)


@pytest.mark.parametrize(
    ("since_boot_s", "of_day_s"),
    [(9, 9), (9, 0), (0, 9), (1, 3_600), (0, -1), (1, -3_600), (-1, 1)],
    ids=["stopped", "suspended", "the day is set", "set on", "set back", "far back", "moved"],
)
def test_a_lease_is_over_as_soon_as_one_clock_says_so(since_boot_s: float, of_day_s: float) -> None:
    """Whatever no timer has noticed: a process or a machine that stood still."""
    found, clocks = leases()
    clocks.since_boot_s += since_boot_s
    clocks.of_day_s += of_day_s

    assert found.remaining_s(leader(1)) is None
    assert found.read(2) == Read(2, None, HOLD_MS)


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 20)), max_size=12))
def test_no_lease_outlasts_its_time_on_any_clock(pauses: list[tuple[float, float]]) -> None:
    found, clocks = leases()
    asked = {1: clocks()}
    for number, (since_boot_s, of_day_s) in enumerate(pauses, 2):
        clocks.since_boot_s += since_boot_s
        clocks.of_day_s += of_day_s
        read = found.read(number)
        if read.since is not None:
            ages = [now - then for then, now in zip(asked[read.since], clocks(), strict=True)]
            assert 0 <= min(ages) <= max(ages) < 8 * SECOND
        if read.lease:
            asked[number] = clocks()


def test_what_remains_is_the_newest_lease_that_a_quorum_has_granted() -> None:
    found, clocks = leases()
    clocks.wait(3)
    assert found.read(2).lease
    clocks.wait(1)

    follower: Replica[str] = replica.start(S3, THREE)
    assert found.remaining_s(leader()) is None
    assert found.remaining_s(leader(1)) == pytest.approx(4)
    assert found.remaining_s(leader(1, 2)) == pytest.approx(7)
    assert found.remaining_s(follower) is None


def test_the_clocks_go_on_and_one_of_them_in_suspend(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    clock_gettime_ns = time.clock_gettime_ns

    def seen(clock: int) -> int:
        asked.append(clock)
        return clock_gettime_ns(clock)

    monkeypatch.setattr(time, "clock_gettime_ns", seen)
    before, day = read_clocks(), time.time_ns()
    after = read_clocks()

    assert set(asked) == {getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)}
    assert len(before) == 2
    assert all(one <= other for one, other in zip(before, after, strict=True))
    assert abs(after[1] - day) < 60 * SECOND


# --- what a user states ---------------------------------------------------------------------------


@given(st.integers(1, 20_000), st.integers(1, 500))
def test_a_lease_ends_at_the_leader_before_any_server_promises(duration: int, drift: int) -> None:
    """The clock of the leader is as slow, and that of the server as fast, as the bound allows."""
    lease = Lease(duration / 1000, drift / 1000)
    at_leader = Fraction(lease.duration_ns, SECOND) / (1 - Fraction(drift, 1000))
    at_server = Fraction(lease.hold_ms, 1000) / (1 + Fraction(drift, 1000))

    assert at_leader <= at_server


@pytest.mark.parametrize(
    ("duration_s", "drift"),
    [(0, 0.1), (-1, 0.1), (float("nan"), 0.1), (1, 0), (1, -0.1), (1, 0.51), (1, float("nan"))],
)
def test_a_lease_that_cannot_be_kept_is_refused(duration_s: float, drift: float) -> None:
    with pytest.raises(BadNumber):
        Lease(duration_s, drift)


def test_promises_are_not_held_back_for_longer_than_the_bound() -> None:
    assert Lease(MAX_LEASE_MS / 3_000, 0.5).hold_ms == MAX_LEASE_MS
    with pytest.raises(BadNumber, match="60,000 ms"):
        Lease(MAX_LEASE_MS / 3_000 + 1, 0.5)


def made(kind: Callable[..., object], **options: object) -> object:
    """What a program without types makes."""
    return kind(**options)


def test_a_lease_is_a_lease() -> None:
    with pytest.raises(BadArgument, match="lease is 5"):
        made(Timeouts, lease=5)
