"""The bytes of a snapshot: what was applied comes back, in pieces of a bounded size."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import ServerId, flexible, majority
from paxos.log import Configuration
from paxos.log.sessions import Session, Sessions
from paxos_adapters.codecs import INTEGER, RAW, TEXT
from paxos_adapters.replication.applying import Applied
from paxos_adapters.replication.snapshots import (
    PIECE_BYTES,
    BadSnapshot,
    Codecs,
    MissingCodec,
    OtherVersion,
    StreamedCodec,
    codecs_of,
    pieces,
    restored,
)
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import KeyValues, Put, Result, apply
from paxos_adapters.state_machines.ticks import Tick

CODECS = Codecs(commands=TEXT, states=RAW, results=INTEGER)
THREE = majority(map(ServerId, (1, 2, 3)))
FOUR = flexible(map(ServerId, (1, 2, 3, 4)), phase1=3, phase2=2)
STATE = b"state" * 20_000


def snapshot(state: bytes = STATE, sessions: Sequence[Session[int]] = ()) -> Applied[bytes, int]:
    governing = Configuration(1, THREE), Configuration(130, FOUR)
    return Applied(state, Sessions(tuple(sessions), most=9), 100, governing)


SESSIONS = st.lists(
    st.builds(
        Session[int],
        st.integers(1, 1 << 62),
        st.lists(st.tuples(st.integers(1, 9), st.integers()), max_size=3).map(tuple),
        st.integers(1, 9),
    ),
    max_size=4,
)


@given(st.binary(max_size=200), SESSIONS)
def test_all_of_it_comes_back(state: bytes, sessions: list[Session[int]]) -> None:
    applied = snapshot(state, sessions)
    assert restored(CODECS, pieces(CODECS, applied)) == applied


@pytest.mark.parametrize("more", [-1, 0, 1, PIECE_BYTES])
def test_pieces_are_full_but_for_the_last(more: int) -> None:
    found = list(pieces(CODECS, snapshot(bytes(2 * PIECE_BYTES + more))))
    assert {len(it) for it in found[:-1]} == {PIECE_BYTES}
    assert 0 < len(found[-1]) <= PIECE_BYTES
    assert restored(CODECS, found) == snapshot(bytes(2 * PIECE_BYTES + more))


def test_configurations_that_govern_nothing_any_more_are_left_out() -> None:
    old = Configuration(1, THREE), Configuration(50, FOUR), Configuration(130, THREE)
    applied = Applied(b"", Sessions[int](), 100, old)
    assert restored(CODECS, pieces(CODECS, applied)).configurations == old[1:]


@pytest.mark.parametrize("cut", [1, 8, 9, 40, 100])
def test_one_that_is_not_whole_is_refused(cut: int) -> None:
    stream = b"".join(pieces(CODECS, snapshot(b"state")))
    with pytest.raises(BadSnapshot):
        restored(CODECS, [stream[:-cut]])
    with pytest.raises(BadSnapshot):
        restored(CODECS, [stream + b"x" * cut])


@given(st.binary(max_size=80))
def test_other_bytes_are_refused(junk: bytes) -> None:
    with pytest.raises(BadSnapshot):
        restored(CODECS, [junk])


def test_a_state_of_other_bytes_is_refused() -> None:
    other = Codecs(commands=TEXT, states=INTEGER, results=INTEGER)
    with pytest.raises(BadSnapshot):
        restored(other, pieces(CODECS, snapshot(b"no number")))


def add(state: int, command: int) -> tuple[int, int]:
    return state + command, state


@pytest.mark.parametrize(
    ("machine", "missing"),
    [
        (StateMachine(0, add, states=INTEGER, results=INTEGER), "commands"),
        (StateMachine(0, add, commands=INTEGER, results=INTEGER), "states"),
        (StateMachine(0, add, commands=INTEGER, states=INTEGER), "results"),
    ],
    ids=["commands", "states", "results"],
)
def test_a_machine_without_a_codec_is_refused(
    machine: StateMachine[int, int, int], missing: str
) -> None:
    with pytest.raises(MissingCodec, match=missing):
        codecs_of(machine)


# --- a state that is written part by part ---------------------------------------------------------


def large(count: int) -> Applied[KeyValues, Result]:
    state = KEY_VALUE.start
    for number in range(count):
        state, _ = apply(state, Put(f"key {number}", bytes(500), ttl_s=number % 3 + 1))
    state, _ = apply(state, Tick(1))
    return Applied(state, Sessions(), 1, (Configuration(1, THREE),))


def test_a_map_comes_back() -> None:
    codecs = codecs_of(KEY_VALUE)
    assert isinstance(codecs.states, StreamedCodec)
    applied = large(300)
    again = restored(codecs, pieces(codecs, applied))
    assert not isinstance(again, OtherVersion)
    assert again == applied
    assert list(pieces(codecs, again)) == list(pieces(codecs, applied))


@pytest.mark.slow
def test_a_large_state_is_never_held_twice() -> None:
    """What is needed beside the state is some pieces and some shards of it."""
    codecs, applied = codecs_of(KEY_VALUE), large(20_000)
    tracemalloc.start()
    try:
        size_bytes = sum(len(it) for it in pieces(codecs, applied))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size_bytes > 10_000_000
    assert peak < size_bytes / 8
