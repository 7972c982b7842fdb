"""Whatever the bytes: messages within all bounds, or RejectedDatagram and no change."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import Ballot, Prepare, Promise, Proposal, ServerId
from paxos_adapters.limits import MAX_NAME_BYTES, MAX_ROUND, MAX_SAVES, MAX_SERVER, MAX_VALUE_BYTES
from paxos_adapters.wire import Checksummed, Reason, Register, RejectedDatagram
from paxos_adapters.wire.body import MAX_KIND, decode_body, decode_messages, read_body
from paxos_adapters.wire.bounds import MAX_MESSAGES, MAX_PINGS, MAX_STEPS, WINDOW
from paxos_adapters.wire.fragments import MAX_PARTS
from paxos_adapters.wire.frame import BODY_BYTES, HEADER_BYTES, LAYOUT, TAG_BYTES, Header
from tests.support.slow import slow_but_for
from tests.support.wires import BEAT, ONE, TWO, End
from tests.tools.fuzz import WAYS, fuzz

SEED = 20131017


@pytest.mark.parametrize("way", slow_but_for(lambda way: way == "checksummed", WAYS))
def test_whatever_the_bytes_nothing_but_hostile_is_raised(way: str) -> None:
    """So few that ``make fuzz`` is worth its minutes, and enough to meet every reason."""
    seen = fuzz(way, 120_000 if way == "authenticated" else 20_000, SEED)

    met = {reason for reason in Reason if seen[reason.name]}
    never = {Reason.WRONG_ADDRESS, Reason.NOT_DESCENDED}
    assert met == set(Reason) - never, f"seed {SEED}: {seen}"
    assert min(seen["messages"], seen["a part"]) > 500, f"seed {SEED}: {seen}"


@given(st.binary(max_size=BODY_BYTES))
def test_any_body_is_a_batch_or_hostile(body: bytes) -> None:
    header = End(ONE, Checksummed()).seal(BEAT)[0][:HEADER_BYTES]
    with suppress(RejectedDatagram):
        End(TWO, Checksummed()).wire.open(Checksummed().close(header, body))


@given(st.binary())
def test_any_bytes_are_hostile(datagram: bytes) -> None:
    with pytest.raises(RejectedDatagram):
        End(TWO, Checksummed()).wire.open(datagram)


FIELD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, MAX_SERVER, MAX_SERVER + 1, MAX_ROUND, MAX_ROUND + 1, 2**64 - 1]),
    st.floats(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.integers(0, 3), max_size=4),
)


@given(st.lists(st.tuples(st.integers(0, 31), FIELD, FIELD, FIELD, FIELD, FIELD), max_size=3))
def test_any_array_is_a_batch_or_hostile(lines: list[tuple[object, ...]]) -> None:
    for cut in range(7):
        body = msgspec.msgpack.encode([line[:cut] for line in lines])
        try:
            entries, controls = decode_body(body)
        except RejectedDatagram:
            continue
        assert End(ONE).say(*entries, *controls) or not (entries or controls)


def reason(body: object) -> Reason:
    with pytest.raises(RejectedDatagram) as caught:
        decode_body(body if isinstance(body, bytes) else msgspec.msgpack.encode(body))
    return caught.value.reason


OUT_OF_BOUNDS: list[object] = [
    [],
    [[7, "d"]] * (MAX_MESSAGES + 1),
    [[7, ""]],
    [[7, "d" * (MAX_NAME_BYTES + 1)]],
    [[7, "\N{BEER MUG}" * 64]],
    [[1, "d", 0, 1]],
    [[1, "d", -1, 1]],
    [[1, "d", MAX_ROUND + 1, 1]],
    [[1, "d", 1, -1]],
    [[1, "d", 1, MAX_SERVER + 1]],
    [[2, "d", 0, 1, None]],
    [[2, "d", 1, 1, [0, 1, b""]]],
    [[2, "d", 1, 1, [1, MAX_SERVER + 1, b""]]],
    [[2, "d", 1, 1, [1, 1, bytes(MAX_VALUE_BYTES + 1)]]],
    [[3, "d", 0, 1, b""]],
    [[3, "d", 1, 1, bytes(MAX_VALUE_BYTES + 1)]],
    [[4, "d", 1, MAX_SERVER + 1, b""]],
    [[4, "d", 1, 1, bytes(MAX_VALUE_BYTES + 1)]],
    [[5, "d", 0, 1, 1, 1]],
    [[5, "d", 1, 1, 0, 1]],
    [[6, "d", 1, -1, b""]],
    [[6, "d", 1, 1, bytes(MAX_VALUE_BYTES + 1)]],
    [[7, "d"], [1, "d", 0, 1]],
    [[8, "d", -1, 1]],
    [[8, "d", 1, -1]],
    [[9, "d", -1, 1, None]],
    [[9, "d", 1, -1, None]],
    [[9, "d", 1, 1, [0, 1, b""]]],
    [[9, "d", 1, 1, [1, 1, bytes(MAX_VALUE_BYTES + 1)]]],
    [[10, -1, None]],
    [[10, MAX_PINGS + 1, None]],
    [[10, 1, [b"s" * 8, -1]]],
    [[10, 1, [b"s" * 8, MAX_SAVES + 1]]],
    [[11, 1, b"s" * 8, [b"s" * 8, MAX_SAVES + 1], True, 0]],
    [[11, 1, b"s" * 8, None, True, -1]],
    [[11, 1, b"s" * 8, None, True, MAX_STEPS + 1]],
    [[12, -1]],
    [[13, 0, 1]],
    [[13, -1, 1]],
    [[13, 1, 0]],
    [[13, 1, -1]],
    [[13, 1, 1 << MAX_PARTS]],
]


@pytest.mark.parametrize("body", OUT_OF_BOUNDS, ids=lambda body: repr(body)[:30])
def test_what_is_out_of_bounds_is_refused(body: object) -> None:
    assert reason(body) is Reason.OUT_OF_BOUNDS


@pytest.mark.parametrize("later", [[MAX_KIND], [31, "d"], [MAX_KIND, {"a": [1.5, None]}, b"x"]])
def test_what_only_a_later_version_knows_is_counted_and_dropped(later: list[object]) -> None:
    lines: list[object] = [later, [7, "d"], later, [12, 1]]
    read = read_body(msgspec.msgpack.encode(lines))
    assert read == ((("d", BEAT),), (Register(1),), 2)
    assert read_body(msgspec.msgpack.encode([later])) == ((), (), 1)
    two = End(TWO, Checksummed())
    header = End(ONE, Checksummed()).seal(BEAT)[0][:HEADER_BYTES]
    opened = two.wire.open(Checksummed().close(header, msgspec.msgpack.encode(lines)))
    assert (opened.messages, opened.unknown, opened.is_part) == ((("d", BEAT),), 2, False)


def test_so_many_of_later_kinds_are_refused() -> None:
    assert reason([[MAX_KIND]] * (MAX_MESSAGES + 1)) is Reason.OUT_OF_BOUNDS
    assert reason([[MAX_KIND], [7, ""]]) is Reason.OUT_OF_BOUNDS


@pytest.mark.parametrize("kind", [0, -1, MAX_KIND + 1, True, 31.0, None, "31", [31]], ids=repr)
def test_what_is_no_kind_is_refused(kind: object) -> None:
    assert reason([[kind, "d"]]) is Reason.MALFORMED
    assert reason([[31, "d"], [kind, "d"]]) is Reason.MALFORMED
    assert reason([[31, "d"], [7, "d", 1]]) is Reason.MALFORMED


def test_one_that_is_nested_too_deeply_is_refused() -> None:
    deep = b"\x92\x1d" + b"\x91" * 5_000 + b"\x90"
    assert reason(b"\x91" + deep) is Reason.MALFORMED


NO_BATCH: list[object] = [
    b"",
    b"\xc1",
    b"\x91",
    b"\xdd\xff\xff\xff\xff",
    b"\x91\x92\x07\xc6\xff\xff\xff\xff",
    b"\x91" * BODY_BYTES,
    b"\x91\x92\x07\xa1\xff",
    msgspec.msgpack.encode([[7, "d"]]) + b"\0",
    None,
    {},
    7,
    [7, "d"],
    [None],
    [[0, "d"]],
    [[10, "d"]],
    [[8, "d"]],
    [[8, "d", 1]],
    [[8, "d", 1, 1, None]],
    [[8, "d", 1.0, 1]],
    [[9, "d", 1, 1]],
    [[9, "d", 1, 1, []]],
    [[9, "d", 1, 1, b""]],
    [["7", "d"]],
    [[7]],
    [[7, "d", 1]],
    [[7, b"d"]],
    [[1, "d", 1]],
    [[1, "d", 1, 1, 1]],
    [[1, "d", 1.0, 1]],
    [[1, "d", True, 1]],
    [[1, "d", "1", 1]],
    [[2, "d", 1, 1]],
    [[2, "d", 1, 1, []]],
    [[2, "d", 1, 1, [1, 1]]],
    [[2, "d", 1, 1, [1, 1, b"", 1]]],
    [[3, "d", 1, 1]],
    [[3, "d", 1, 1, "text"]],
    [[3, "d", 1, 1, None]],
    [[5, "d", 1, 1]],
    [[5, "d", 1, 1, [1, 1]]],
    [[13]],
    [[13, 1]],
    [[13, 1, 1, 1]],
    [[13, "d", 1]],
    [[13, 1, [0]]],
    [[14, 1, 1]],
    [{"decision": "d"}],
]


@pytest.mark.parametrize("body", NO_BATCH, ids=lambda body: repr(body)[:30])
def test_what_is_no_batch_is_refused(body: object) -> None:
    assert reason(body) is Reason.MALFORMED


@pytest.mark.parametrize("told", [(3, 3), (4, 1)])
def test_a_promise_of_a_lower_ballot_than_it_tells_of_is_refused(told: tuple[int, int]) -> None:
    assert reason([[2, "d", 3, 2, [*told, b""]]]) is Reason.IMPOSSIBLE


@pytest.mark.parametrize("told", [(3, 2), (3, 1), (2, 9)])
def test_a_promise_may_tell_of_its_own_ballot_and_of_lower_ones(told: tuple[int, int]) -> None:
    """Its own: when the Prepare comes again after the Accept."""
    ((_, promise),) = decode_messages(msgspec.msgpack.encode([[2, "d", 3, 2, [*told, b"v"]]]))

    number, server = told
    accepted = Proposal(Ballot(number, ServerId(server)), b"v")
    assert promise == Promise(Ballot(3, TWO), accepted)


@pytest.mark.parametrize("promised", [(3, 2), (3, 1), (2, 9)])
def test_a_refusal_without_a_higher_promise_is_refused(promised: tuple[int, int]) -> None:
    assert reason([[5, "d", 3, 2, *promised]]) is Reason.IMPOSSIBLE


def test_a_transport_of_messages_alone_takes_no_control_message() -> None:
    body = msgspec.msgpack.encode([[7, "d"], [12, 1]])
    assert decode_body(body) == ((("d", BEAT),), (Register(1),))
    with pytest.raises(RejectedDatagram) as caught:
        decode_messages(body)
    assert caught.value.reason is Reason.MALFORMED


SESSION, NO_SESSION = b"s" * 8, bytes(8)


@pytest.mark.parametrize(
    ("session", "saves", "previous", "previous_saves"),
    [
        (SESSION, 20, SESSION, 21),
        (SESSION, MAX_SAVES + 1, SESSION, 1),
        (SESSION, MAX_SAVES + 2, SESSION, MAX_SAVES + 1),
        (NO_SESSION, 20, SESSION, 1),
        (SESSION, 20, NO_SESSION, 1),
    ],
)
def test_a_presence_out_of_bounds_is_refused(
    session: bytes, saves: int, previous: bytes, previous_saves: int
) -> None:
    whole = End(ONE, Checksummed()).seal(BEAT)[0]
    good = Header(*LAYOUT.unpack_from(whole))._replace(session=session, saves=saves)
    header = LAYOUT.pack(*good._replace(previous=previous, previous_saves=previous_saves))
    with pytest.raises(RejectedDatagram) as caught:
        End(TWO, Checksummed()).wire.open(
            Checksummed().close(header, whole[HEADER_BYTES:-TAG_BYTES])
        )

    assert caught.value.reason is Reason.OUT_OF_BOUNDS


def test_what_is_refused_changes_nothing() -> None:
    """The number is still free, and nothing waits."""
    one, two = End(ONE, Checksummed()), End(TWO, Checksummed())
    whole = one.seal(Prepare(Ballot(1, ONE)))[0]
    header = Header(*LAYOUT.unpack_from(whole))
    for sequence in header.sequence, header.sequence + 5 * WINDOW:
        bad = LAYOUT.pack(*header._replace(saves=99, sequence=sequence))
        with pytest.raises(RejectedDatagram) as caught:
            two.wire.open(Checksummed().close(bad, b"\xc1"))
        assert caught.value.reason is Reason.MALFORMED

    opened = two.wire.open(whole)
    assert (opened.disk_status.saves, len(opened.messages)) == (header.saves, 1)
    assert two.wire.open(one.seal(BEAT)[0]).messages == (("leader", BEAT),)
