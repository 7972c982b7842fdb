"""Every number that a program passes in: a typed error, with nothing changed, or a number."""

from __future__ import annotations

import socket
from collections.abc import Callable
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import QuorumError, ServerId, flexible, weighted
from paxos.quorum import ByWeight
from paxos_adapters import arguments, limits
from paxos_adapters.arguments import BadNumber
from paxos_adapters.codecs import TEXT
from paxos_adapters.limits import MAX_S
from paxos_adapters.memory import Cluster
from paxos_adapters.node.control_client import NotRunning, ask
from paxos_adapters.node.control_protocol import MAX_TIMEOUT_S, StatusRequest
from paxos_adapters.timeouts import InvalidTimeouts, Timeouts
from paxos_lab.explore.scopes import Scope, ScopeError
from paxos_lab.explore.search import explore
from paxos_lab.record import Recorder
from paxos_lab.simulate.faults import Faults
from paxos_lab.simulate.setup import SetupError
from paxos_lab.simulate.single import SingleSetup
from paxos_lab.simulate.sweep import sweep

NO_SECONDS: list[object] = [nan, inf, -inf, -1, -0.001, 1e300, 10**400, "1", b"1", True, [], 1j]
NO_COUNT: list[object] = [nan, inf, 0.5, 1.0, -1, "1", True, False, None, [], 1j]
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.complex_numbers()
)


@pytest.mark.parametrize("wrong", NO_SECONDS)
def test_what_is_no_time_is_refused(wrong: object) -> None:
    with pytest.raises(BadNumber, match=r"wait_s is .*, and must be a number of seconds"):
        arguments.seconds("wait_s", wrong)


@pytest.mark.parametrize("wrong", NO_COUNT)
def test_what_is_no_whole_number_is_refused(wrong: object) -> None:
    with pytest.raises(BadNumber, match=r"count is .*, and must be a whole number, at least 0"):
        arguments.whole("count", wrong, 0)


@given(ANYTHING, st.booleans())
def test_seconds_are_a_float_in_their_range_or_a_typed_error(given: object, above_0: bool) -> None:
    try:
        taken = arguments.seconds("it", given, above_0=above_0)
    except BadNumber:
        assert not (type(given) is int and 0 < given <= MAX_S)
    else:
        assert type(taken) is float
        assert taken == given
        assert 0 <= taken <= MAX_S
        assert taken or not above_0


@given(ANYTHING, st.integers(-5, 5), st.integers(5, 9))
def test_a_whole_number_is_in_its_range_or_a_typed_error(
    given: object, least: int, most: int
) -> None:
    try:
        taken = arguments.whole("it", given, least, most)
    except BadNumber:
        assert not (type(given) is int and least <= given <= most)
    else:
        assert type(given) is int
        assert least <= taken <= most


@given(st.tuples(ANYTHING, ANYTHING, ANYTHING))
def test_a_pace_can_be_kept_or_is_refused(
    times: tuple[float, float, float],
) -> None:
    try:
        timeouts = Timeouts(*times)
    except (BadNumber, InvalidTimeouts):
        return
    assert 0 < timeouts.retry_min_s <= timeouts.retry_max_s <= MAX_S
    assert 0 < timeouts.heartbeat_s <= MAX_S


def test_the_longest_time_is_one_that_sockets_take() -> None:
    with socket.socket() as sock:
        sock.settimeout(MAX_S)
    assert MAX_TIMEOUT_S < MAX_S


@pytest.mark.parametrize("wrong", [nan, -1, "1"])
def test_patience_is_checked_before_anything_is_asked(tmp_path: Path, wrong: float) -> None:
    with pytest.raises(BadNumber):
        ask(tmp_path / "n1.db", StatusRequest(), patience_s=wrong)
    with pytest.raises(NotRunning):
        ask(tmp_path / "n1.db", StatusRequest(), patience_s=None)


COUNTS: dict[str, Callable[[int], object]] = {
    "servers in memory": Cluster[str],
    "seed": lambda it: Cluster[str](seed=it),
    "max_events": lambda it: Cluster[str]().run(it),
    "acceptors": lambda it: Scope(acceptors=it),
    "readers": lambda it: Scope(readers=it),
    "ballots": lambda it: Scope(ballots=it),
    "crashes": lambda it: Scope(crashes=it),
    "servers": lambda it: SingleSetup(servers=it),
    "proposers": lambda it: SingleSetup(proposers=it),
    "loss": lambda it: Faults(loss=it),
    "crashes of a life": lambda it: Faults(crashes=it),
    "portion": lambda it: sweep(range(0), SingleSetup(), portion=it),
}


@pytest.mark.parametrize("wrong", [nan, inf, 0.5, 2.0, "2", True, None])
@pytest.mark.parametrize("count", COUNTS)
def test_counts_are_checked_where_they_come_in(count: str, wrong: int) -> None:
    with pytest.raises(BadNumber):
        COUNTS[count](wrong)


@pytest.mark.parametrize("wrong", [nan, inf, 0.5, 2.0, "2", True, [], 1j])
def test_sizes_and_weights_of_quorums_are_whole_numbers(wrong: int) -> None:
    ids = [ServerId(it) for it in range(1, 4)]
    for phase1, phase2 in (wrong, 2), (2, wrong):
        with pytest.raises(QuorumError, match="whole number"):
            flexible(ids, phase1=phase1, phase2=phase2)
        with pytest.raises(QuorumError, match="whole number"):
            weighted({ids[0]: 1, ids[1]: 1}, phase1=phase1, phase2=phase2)
    with pytest.raises(QuorumError, match="whole number"):
        weighted({ids[0]: 2, ids[1]: wrong})
    with pytest.raises(QuorumError, match="whole number"):
        ByWeight(((ids[0], 2), (ids[1], wrong)), 2, 2)


def test_counts_that_contradict_each_other_keep_their_errors() -> None:
    with pytest.raises(ScopeError):
        Scope(proposers=9)
    with pytest.raises(SetupError):
        SingleSetup(proposers=9)
    with pytest.raises(BadNumber, match=r"loss \+ duplication \+ lateness is 257"):
        Faults(loss=200, duplication=57, lateness=0)


@pytest.mark.parametrize(("max_bytes", "keep"), [(10, 1), (nan, 1), (1 << 20, -1), (1 << 20, 0.5)])
def test_a_recorder_whose_bound_is_none_makes_no_file(
    tmp_path: Path, max_bytes: int, keep: int
) -> None:
    path = tmp_path / "run"
    with pytest.raises(BadNumber):
        Recorder(path, codec=TEXT, runtime="test", max_bytes=max_bytes, keep=keep)
    assert not path.exists()


def test_a_walk_of_no_states_is_refused() -> None:
    class Nothing:
        def start(self) -> list[int]:
            return []

        def steps(self, state: int) -> list[tuple[int, int]]:
            return [(state, state)]

    with pytest.raises(BadNumber):
        explore(Nothing(), max_states=0)


def test_the_id_of_a_server_is_one_that_a_frame_has_room_for() -> None:
    arguments.servers([ServerId(0), ServerId(limits.MAX_SERVER)])
    for wrong in -1, limits.MAX_SERVER + 1, "1", True:
        with pytest.raises(BadNumber):
            arguments.servers([wrong])
