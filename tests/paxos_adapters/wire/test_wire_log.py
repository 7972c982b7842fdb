"""The messages of logs on the wire: what goes in comes out, and what cannot be is refused."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from paxos import Ballot, Proposal, ServerId, weighted
from paxos.log import messages as log
from paxos_adapters.limits import (
    MAX_DEPLOYED,
    MAX_ROUND,
    MAX_SERVER,
    MAX_SLOT,
    MAX_VALUE_BYTES,
    MAX_VERSION,
)
from paxos_adapters.log_messages import (
    Forward,
    HasVersions,
    LogMessage,
    SnapshotOffer,
    SnapshotPiece,
)
from paxos_adapters.wire import OutOfBounds, Reason, RejectedDatagram, TooLarge
from paxos_adapters.wire.body import decode_body, encode_batch, encode_message
from paxos_adapters.wire.bounds import (
    MAX_PIECE_BYTES,
    MAX_PIECES,
    MAX_PROPOSALS,
    MAX_READ,
    MAX_SNAPSHOT_BYTES,
)
from paxos_adapters.wire.fitting import fitted
from paxos_adapters.wire.fragments import MAX_PARTS
from paxos_adapters.wire.frame import BODY_BYTES
from tests.support.log_messages import (
    BALLOT,
    CHANGE,
    DIGEST,
    EACH_OF_LOG,
    ENTRIES,
    LARGEST,
    LOG_MESSAGES,
    LOWER,
    RED,
)
from tests.support.wires import ONE, TWO, End

NAME = "log" * 85
"""The longest there is."""


def body_of(message: LogMessage, name: str = "log") -> bytes:
    return encode_batch([encode_message(name, message)])


def reason(line: list[object]) -> Reason:
    with pytest.raises(RejectedDatagram) as caught:
        decode_body(msgspec.msgpack.encode([line]))
    return caught.value.reason


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("message", LOG_MESSAGES, ids=lambda it: type(it).__name__)
def test_a_message_comes_out_as_it_went_in(message: LogMessage) -> None:
    one, two = End(ONE), End(TWO)
    opened = [two.wire.open(it) for it in one.say((NAME, message))]
    assert [it for one in opened for it in one.messages] == [(NAME, message)]


BALLOTS = st.builds(Ballot, st.integers(1, MAX_ROUND), st.integers(0, MAX_SERVER).map(ServerId))
SLOTS = st.integers(1, MAX_SLOT)


def command(value: bytes) -> log.Entry[bytes]:
    return log.Command(value)


ENTRY = st.one_of(st.binary(max_size=40).map(command), st.sampled_from(ENTRIES))


@given(BALLOTS, SLOTS, ENTRY, st.data())
def test_any_accept_comes_out_as_it_went_in(
    ballot: Ballot, slot: int, entry: log.Entry[bytes], data: st.DataObject
) -> None:
    message = log.Accept(ballot, slot, entry, data.draw(st.integers(1, slot)))
    assert decode_body(body_of(message)) == ((("log", message),), ())


@given(BALLOTS, st.sets(SLOTS, min_size=1, max_size=MAX_PROPOSALS), st.data())
def test_any_promise_comes_out_as_it_went_in(
    ballot: Ballot, slots: set[int], data: st.DataObject
) -> None:
    found = BALLOTS.map(lambda it: min(it, ballot))
    accepted = tuple((it, Proposal(data.draw(found), data.draw(ENTRY))) for it in sorted(slots))
    slot, first = (data.draw(st.integers(1, min(slots))) for _ in range(2))
    message = log.Promise(ballot, slot, first, accepted, data.draw(st.booleans()))
    assert decode_body(body_of(message)) == ((("log", message),), ())


# --- what fits ----------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([0, 1, 500, 30_000, MAX_VALUE_BYTES, None]), min_size=1))
def test_what_is_fitted_fits(sizes: list[int | None]) -> None:
    """None: a change of members."""
    entries = [CHANGE if it is None else log.Command(bytes(it)) for it in sizes]
    proposals = [Proposal(Ballot(MAX_ROUND, ServerId(MAX_SERVER)), it) for it in entries]
    catch_up = fitted(log.CatchUp(MAX_SLOT - len(sizes), tuple(proposals)))
    slots = range(MAX_SLOT - len(sizes), MAX_SLOT)
    accepted = tuple(zip(slots, proposals, strict=True))
    promise = fitted(log.Promise(proposals[0].ballot, 1, 1, accepted, is_last=True))

    assert isinstance(catch_up, log.CatchUp)
    assert isinstance(promise, log.Promise)
    count = len(promise.accepted)
    assert count == len(catch_up.proposals) >= 1
    assert promise.accepted == accepted[:count]
    assert promise.is_last is (count == len(sizes))
    for message in catch_up, promise:
        body = body_of(message, NAME)
        assert len(body) <= MAX_PARTS * BODY_BYTES
        assert decode_body(body) == (((NAME, message),), ())


def test_changes_of_members_count() -> None:
    """Their quorum systems take more than a proposal without a command does."""
    entries = [log.Command(bytes(MAX_VALUE_BYTES - 64 * 40)), *[CHANGE] * (MAX_PROPOSALS - 1)]
    message = fitted(log.CatchUp(1, tuple(Proposal(LOWER, it) for it in entries)))
    assert isinstance(message, log.CatchUp)
    assert 1 < len(message.proposals) < MAX_PROPOSALS


def test_two_of_the_largest_are_not_sent_together() -> None:
    message = log.CatchUp(1, (Proposal(LOWER, LARGEST),) * 2)
    one = End(ONE)
    with pytest.raises(TooLarge):
        one.say(("log", message))
    assert fitted(message) == log.CatchUp(1, message.proposals[:1])
    assert len(one.say(("log", fitted(message)))) == MAX_PARTS


@pytest.mark.parametrize("message", EACH_OF_LOG, ids=lambda it: type(it).__name__)
def test_what_fits_stays_as_it_is(message: LogMessage) -> None:
    assert fitted(message) is message


# --- what is not sent ---------------------------------------------------------------------------

NOT_SENT: list[LogMessage] = [
    log.Prepare(BALLOT, 0),
    log.Prepare(BALLOT, MAX_SLOT + 1),
    log.Prepare(Ballot(0, ONE), 1),
    log.Accept(BALLOT, 1, RED, 0),
    log.CatchUpRequest(0),
    log.Confirm(BALLOT, -1),
    log.Confirmed(BALLOT, MAX_READ + 1),
    log.Accept(BALLOT, 1, log.Change(weighted({ServerId(it): 1 for it in range(16)})), 1),
    SnapshotOffer(1, 0, 1, DIGEST),
    SnapshotOffer(1, 1, MAX_SNAPSHOT_BYTES + 1, DIGEST),
    SnapshotOffer(1, 1, 1, DIGEST[1:]),
    SnapshotPiece(1, DIGEST, MAX_PIECES, b"v"),
    SnapshotPiece(1, DIGEST, 0, bytes(MAX_PIECE_BYTES + 1)),
    HasVersions(0, 1),
    HasVersions(1, MAX_VERSION + 1),
]


@pytest.mark.parametrize("message", NOT_SENT, ids=lambda it: type(it).__name__)
def test_what_is_out_of_bounds_is_not_sent(message: LogMessage) -> None:
    with pytest.raises(OutOfBounds):
        encode_message("log", message)


@pytest.mark.parametrize(
    "message",
    [Forward(bytes(MAX_VALUE_BYTES + 1)), log.Accept(BALLOT, 1, log.Command(bytes(65_537)), 1)],
    ids=lambda it: type(it).__name__,
)
def test_a_batch_that_is_too_large_is_not_sent(message: LogMessage) -> None:
    with pytest.raises(TooLarge):
        encode_message("log", message)


# --- what is refused ----------------------------------------------------------------------------

_LISTED = "listed phase1 1 phase2 " + " ".join(f"1,{it}" for it in range(2, 1_000))
_WEIGHED = " ".join(f"{it}=1" for it in range(MAX_DEPLOYED + 1))

OUT_OF_BOUNDS: list[list[object]] = [
    [14, "", 1, 1, 1],
    [14, "d", 0, 1, 1],
    [14, "d", 1, MAX_SERVER + 1, 1],
    [14, "d", 1, 1, 0],
    [14, "d", 1, 1, MAX_SLOT + 1],
    [15, "d", 1, 1, 0, 1, [], True],
    [15, "d", 1, 1, 1, 0, [], True],
    [15, "d", 1, 1, 1, 1, [[0, 1, 1, None]], True],
    [15, "d", 1, 1, 1, 1, [[1, 0, 1, None]], True],
    [15, "d", 1, 1, 1, 1, [[it, 1, 1, None] for it in range(1, 66)], True],
    [16, "d", 1, 1, 0, None, 1],
    [16, "d", 1, 1, 1, None, 0],
    [16, "d", 1, 1, 1, bytes(MAX_VALUE_BYTES + 1), 1],
    [16, "d", 1, 1, 1, ["three of five"], 1],
    [16, "d", 1, 1, 1, ["counted 1 2 phase1 1 phase2 1"], 1],
    [16, "d", 1, 1, 1, [_LISTED], 1],
    [16, "d", 1, 1, 1, [f"weighted {_WEIGHED} phase1 9 phase2 9"], 1],
    [17, "d", 1, 1, 0],
    [18, "d", -1, 0, False, False, 1],
    [18, "d", 1, 1, False, False, 0],
    [19, "d", 0],
    [20, "d", 0, [[1, 1, None]]],
    [20, "d", 1, [[1, 1, None]] * 65],
    [20, "d", 1, [[0, 1, None]]],
    [20, "d", MAX_SLOT, [[1, 1, None]] * 2],
    [21, "d", 1, 1, -1],
    [22, "d", 0, 1, 1],
    [23, "d", bytes(MAX_VALUE_BYTES + 1)],
    [24, "d", -1],
    [25, "d", 1, 0],
    [25, "d", 1, MAX_SLOT + 1],
    [26, "d", 1, 0, 1, DIGEST],
    [26, "d", 1, MAX_PIECES + 1, MAX_PIECES, DIGEST],
    [26, "d", 1, 1, 1, DIGEST[1:]],
    [27, "d", 1, DIGEST, -1, 1],
    [27, "d", 1, DIGEST, 0, 0],
    [27, "d", 1, DIGEST, MAX_PIECES - 1, 2],
    [28, "d", 1, DIGEST, MAX_PIECES, b"v"],
    [28, "d", 1, DIGEST, 0, b""],
    [28, "d", 1, DIGEST, 0, bytes(MAX_PIECE_BYTES + 1)],
    [30, "d", 0, 1],
    [30, "d", 1, MAX_VERSION + 1],
]

IMPOSSIBLE: list[list[object]] = [
    [15, "d", 3, 1, 1, 1, [[1, 3, 2, None]], True],
    [15, "d", 3, 1, 1, 1, [[2, 1, 1, None], [1, 1, 1, None]], True],
    [15, "d", 3, 1, 1, 1, [[2, 1, 1, None], [2, 1, 1, None]], True],
    [15, "d", 3, 1, 3, 1, [[2, 1, 1, None]], True],
    [15, "d", 3, 1, 1, 3, [[2, 1, 1, None]], True],
    [15, "d", 3, 1, 1, 1, [], False],
    [16, "d", 1, 1, 1, None, 2],
    [18, "d", 0, 1, False, False, 1],
    [18, "d", 0, 0, True, False, 1],
    [20, "d", 1, []],
    [26, "d", 1, 2, 1, DIGEST],
    [26, "d", 1, 1, MAX_PIECE_BYTES + 1, DIGEST],
    [30, "d", 2, 1],
]

MALFORMED: list[list[object]] = [
    [14, 1, 1, 1, 1],
    [14, "d", 1, 1],
    [14, "d", 1, 1, 1, 1],
    [14, "d", 1, 1, 1.0],
    [15, "d", 1, 1, 1, 1, None, True],
    [15, "d", 1, 1, 1, 1, [[1, 1, 1]], True],
    [15, "d", 1, 1, 1, 1, [], 1],
    [16, "d", 1, 1, 1, "red", 1],
    [16, "d", 1, 1, 1, [], 1],
    [16, "d", 1, 1, 1, [b"counted"], 1],
    [18, "d", 1, 1, None, True, 1],
    [20, "d", 1, [[1, 1]]],
    [23, "d", "red"],
    [25, "d", 1],
    [26, "d", 1, 1, 1, "digest"],
    [28, "d", 1, DIGEST, 0, None],
    [30, "d", 1],
    [30, "d", 1, None],
]


@pytest.mark.parametrize("line", OUT_OF_BOUNDS, ids=lambda line: repr(line)[:40])
def test_what_is_out_of_bounds_is_refused(line: list[object]) -> None:
    assert reason(line) is Reason.OUT_OF_BOUNDS


@pytest.mark.parametrize("line", IMPOSSIBLE, ids=lambda line: repr(line)[:60])
def test_what_no_correct_server_sends_is_refused(line: list[object]) -> None:
    assert reason(line) is Reason.IMPOSSIBLE


@pytest.mark.parametrize("line", MALFORMED, ids=lambda line: repr(line)[:40])
def test_what_is_no_message_is_refused(line: list[object]) -> None:
    assert reason(line) is Reason.MALFORMED


@pytest.mark.parametrize("message", EACH_OF_LOG, ids=lambda it: type(it).__name__)
def test_what_is_damaged_is_refused_or_can_be_sent_again(message: LogMessage) -> None:
    whole = body_of(message)
    for cut in range(len(whole)):
        with pytest.raises(RejectedDatagram):
            decode_body(whole[:cut])
    for at in range(len(whole)):
        for byte in {0, 0x7F, 0x80, 0x90, 0xC0, 0xFF, *(whole[at] ^ 1 << bit for bit in range(8))}:
            with suppress(RejectedDatagram):
                messages, _ = decode_body(whole[:at] + bytes([byte]) + whole[at + 1 :])
                for name, it in messages:
                    assert decode_body(encode_batch([encode_message(name, it)]))[0] == ((name, it),)


def test_a_promise_of_its_own_ballot_and_its_first_slot_is_possible() -> None:
    message = log.Promise(BALLOT, 5, 4, ((5, Proposal(BALLOT, RED)),), is_last=True)
    assert decode_body(body_of(message)) == ((("log", message),), ())
    again = evolve(message, first=5)
    assert decode_body(body_of(again)) == ((("log", again),), ())
