"""What a receiver keeps of a sender: numbers that were taken, a session, and parts that wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import Accept, Ballot
from paxos.log.messages import CatchUpRequest
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.limits import MAX_VALUE_BYTES, MEMBERS_LOG
from paxos_adapters.log_messages import Forward, SnapshotRequest
from paxos_adapters.wire import Control, Reason, Register, RejectedDatagram
from paxos_adapters.wire.body import NamedMessage
from paxos_adapters.wire.bounds import MAX_EARLY, MAX_UNFINISHED, MAX_UNFINISHED_BYTES, WINDOW
from paxos_adapters.wire.fragments import MAX_PARTS, Unfinished, check, fragment, reassemble
from paxos_adapters.wire.frame import BODY_BYTES, LAYOUT, Header
from paxos_adapters.wire.replays import EarlySessions, ReplayWindow, begin_session, note_early
from tests.support.wires import BEAT, CONTROLS, DISK_STATUS, ONE, TWO, End

# --- numbers ------------------------------------------------------------------------------------


class Everything:
    """What a window is meant to be: a set of all that was taken, without a bound."""

    def __init__(self) -> None:
        self.taken: set[int] = set()

    def takes(self, sequence: int) -> bool:
        newest = max(self.taken, default=0)
        if sequence < 1 or sequence in self.taken or newest - sequence >= WINDOW:
            return False
        self.taken.add(sequence)
        return True


STEPS = st.sampled_from([0, 1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW])


@given(st.lists(st.tuples(st.integers(-2, 2), STEPS), max_size=60))
def test_a_window_takes_what_the_set_of_all_that_was_taken_would(
    moves: list[tuple[int, int]],
) -> None:
    window, model, place = ReplayWindow(), Everything(), 1
    for times, step in moves:
        place = max(0, place + times * step)
        try:
            window, taken = window.accept(place), True
        except RejectedDatagram:
            taken = False
        assert taken == model.takes(place), place


def test_a_window_is_bounded_and_far_ahead_costs_nothing() -> None:
    window = ReplayWindow()
    for sequence in (*range(1, 5 * WINDOW), (1 << 64) - 1):
        window = window.accept(sequence)
        assert window.seen.bit_length() <= WINDOW
    assert window == ReplayWindow((1 << 64) - 1, 1)


@pytest.mark.parametrize("behind", [1, WINDOW - 1])
def test_what_comes_late_is_taken_once(behind: int) -> None:
    window = ReplayWindow().accept(5 * WINDOW).accept(5 * WINDOW - behind)
    with pytest.raises(RejectedDatagram):
        window.accept(5 * WINDOW - behind)


def test_what_is_too_late_to_tell_is_refused() -> None:
    with pytest.raises(RejectedDatagram):
        ReplayWindow().accept(5 * WINDOW).accept(4 * WINDOW)


def test_a_datagram_is_taken_once() -> None:
    one, two = End(ONE), End(TWO)
    datagrams = [one.seal(BEAT)[0] for _ in range(3)]
    for datagram in datagrams:
        two.wire.open(datagram)
    for datagram in datagrams:
        with pytest.raises(RejectedDatagram) as caught:
            two.wire.open(datagram)
        assert caught.value.reason is Reason.REPLAYED


# --- sessions -----------------------------------------------------------------------------------


LATER = DiskStatus("ef" * 8, 21, DISK_STATUS.session, 20)


def refusal(end: End, datagram: bytes) -> Reason:
    with pytest.raises(RejectedDatagram) as caught:
        end.wire.open(datagram)
    return caught.value.reason


def test_a_later_session_starts_with_an_empty_window() -> None:
    two = End(TWO)
    two.wire.open(*End(ONE).seal(BEAT))
    two.registered = {ONE: LATER.session}
    opened = two.wire.open(*End(ONE, disk_status=LATER).seal(BEAT))

    assert (opened.disk_status, opened.messages) == (LATER, (("leader", BEAT),))


def test_a_session_that_is_not_registered_is_not_heard() -> None:
    two = End(TWO)
    (old,) = End(ONE).seal(BEAT)
    assert refusal(two, *End(ONE, disk_status=LATER).seal(BEAT)) is Reason.NOT_REGISTERED
    two.registered = {ONE: LATER.session}
    assert refusal(two, old) is Reason.NOT_REGISTERED
    two.registered = {}
    assert refusal(two, old) is Reason.NOT_REGISTERED


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_but_its_control_messages_are_taken_as_often_as_they_come(control: Control) -> None:
    one, two = End(ONE, disk_status=LATER), End(TWO)
    (datagram,) = one.say(control)
    for _ in range(2):
        opened = two.wire.open(datagram)
        assert (opened.disk_status, opened.controls, opened.messages) == (LATER, (control,), ())
        assert not opened.is_registered


def test_once_it_is_registered_what_came_before_is_not_taken_again() -> None:
    one, two = End(ONE, disk_status=LATER), End(TWO)
    early = [one.say(Register(1))[0] for _ in range(3)]
    for datagram in early[0], early[2], early[0]:
        two.wire.open(datagram)
    two.registered = {ONE: LATER.session}

    assert refusal(two, early[0]) is Reason.REPLAYED
    assert refusal(two, early[2]) is Reason.REPLAYED
    assert not two.wire.open(early[1]).is_newest
    assert two.wire.open(*one.seal(BEAT)).is_newest


def test_the_numbers_of_few_sessions_are_kept_before_they_are_registered() -> None:
    early: EarlySessions = ()
    for number in range(MAX_EARLY + 3):
        early = note_early(early, f"{number}", 7)

    assert [it.session for it in early] == [f"{it}" for it in range(3, MAX_EARLY + 3)]
    assert begin_session(early, "3").window == ReplayWindow().accept(7)
    assert begin_session(early, "0").window == ReplayWindow()


def test_of_a_datagram_with_more_than_control_messages_nothing_is_taken() -> None:
    one, two = End(ONE, disk_status=LATER), End(TWO)
    assert refusal(two, *one.say(Register(1), ("leader", BEAT))) is Reason.NOT_REGISTERED


ASKS = (MEMBERS_LOG, CatchUpRequest(3)), (MEMBERS_LOG, SnapshotRequest(3, bytes(16), 0, 6))


@pytest.mark.parametrize("asks", ASKS, ids=lambda it: type(it[1]).__name__)
def test_a_question_about_the_members_is_taken_before_the_session_is_registered(
    asks: NamedMessage,
) -> None:
    """Once: an answer is longer than a question."""
    one, two = End(ONE, disk_status=LATER), End(TWO)
    (datagram,) = one.say(Register(1), asks)
    opened = two.wire.open(datagram)
    assert (opened.controls, opened.messages) == ((Register(1),), (asks,))
    assert not opened.is_registered
    assert refusal(two, datagram) is Reason.REPLAYED
    for other in ("log", asks[1]), (MEMBERS_LOG, Forward(b"x")):
        assert refusal(two, *one.say(asks, other)) is Reason.NOT_REGISTERED


def test_parts_of_a_session_that_is_not_registered_do_not_wait() -> None:
    one, two = End(ONE, disk_status=LATER), End(TWO)
    first, last = one.seal(Accept(Ballot(1, ONE), bytes(1500)))
    assert refusal(two, first) is Reason.NOT_REGISTERED
    two.registered = {ONE: LATER.session}
    assert two.wire.open(last).messages == ()


def test_control_messages_of_a_registered_session_are_taken_once() -> None:
    two = End(TWO)
    (datagram,) = End(ONE).say(Register(1), ("leader", BEAT))
    opened = two.wire.open(datagram)

    assert opened.is_registered
    assert (opened.controls, opened.messages) == ((Register(1),), (("leader", BEAT),))
    assert refusal(two, datagram) is Reason.REPLAYED


def test_what_waited_in_one_session_is_not_finished_in_the_next() -> None:
    one, two = End(ONE), End(TWO)
    first, _ = one.seal(Accept(Ballot(1, ONE), bytes(1500)))
    two.wire.open(first)
    two.registered = {ONE: LATER.session}
    _, last = End(ONE, disk_status=LATER).seal(Accept(Ballot(1, ONE), bytes(1500)))

    assert two.wire.open(last).messages == ()


# --- parts --------------------------------------------------------------------------------------


def header(sequence: int, part: int, parts: int) -> Header:
    frame = bytes(LAYOUT.size)
    return Header(*LAYOUT.unpack(frame))._replace(sequence=sequence, part=part, parts=parts)


@pytest.mark.parametrize("size", [1, BODY_BYTES - 1, BODY_BYTES, BODY_BYTES + 1, 5 * BODY_BYTES])
def test_parts_are_full_and_together_they_are_the_body(size: int) -> None:
    body = bytes(place % 251 for place in range(size))
    parts = fragment(body)

    assert b"".join(parts) == body
    assert {len(part) for part in parts[:-1]} <= {BODY_BYTES}
    for place, part in enumerate(parts):
        check(header(100 + place, place, len(parts)), part)


def test_no_body_grows_beyond_the_largest_message() -> None:
    """Parts may be larger than they must be, and then there are fewer."""
    most = MAX_PARTS * BODY_BYTES
    waiting, _ = reassemble((), header(10, 0, 3), bytes(most - 10))
    with pytest.raises(RejectedDatagram) as caught:
        reassemble(waiting, header(11, 1, 3), bytes(11))
    assert caught.value.reason is Reason.OUT_OF_BOUNDS
    waiting, _ = reassemble(waiting, header(11, 1, 3), bytes(9))
    assert reassemble(waiting, header(12, 2, 3), bytes(1)) == ((), bytes(most))


@pytest.mark.parametrize(
    ("sequence", "part", "parts", "size"),
    [
        (9, 0, 0, 1),
        (9, 1, 1, BODY_BYTES),
        (9, 3, 2, BODY_BYTES),
        (99, 60, MAX_PARTS + 1, BODY_BYTES),
        (9, 0, 2, BODY_BYTES - 1),
        (9, 0, 1, 0),
        (9, 1, 2, 0),
        (1, 1, 2, 1),
        (0, 0, 1, 1),
    ],
)
def test_a_part_that_cannot_be_is_refused(sequence: int, part: int, parts: int, size: int) -> None:
    with pytest.raises(RejectedDatagram) as caught:
        check(header(sequence, part, parts), bytes(size))

    assert caught.value.reason is Reason.OUT_OF_BOUNDS


def test_parts_of_one_body_agree_on_their_number() -> None:
    waiting, _ = reassemble((), header(10, 0, 3), bytes(BODY_BYTES))
    with pytest.raises(RejectedDatagram) as caught:
        reassemble(waiting, header(11, 1, 2), b"v")

    assert caught.value.reason is Reason.OUT_OF_BOUNDS


def test_a_part_that_is_there_is_refused() -> None:
    waiting, _ = reassemble((), header(10, 0, 3), bytes(BODY_BYTES))
    with pytest.raises(RejectedDatagram) as caught:
        reassemble(waiting, header(10, 0, 3), bytes(BODY_BYTES))

    assert caught.value.reason is Reason.REPLAYED


def test_a_part_copies_nothing_of_what_was_there_before() -> None:
    """So that the work for a body grows with its parts, and not with their square."""
    waiting: Unfinished = ()
    before = None
    for part in range(MAX_PARTS - 1):
        body = bytes(BODY_BYTES)
        waiting, _ = reassemble(waiting, header(part + 1, part, MAX_PARTS), body)
        (grown,) = waiting
        assert grown.newest is not None
        assert grown.newest.body is body
        assert grown.newest.before is before
        assert grown.size_bytes == (part + 1) * BODY_BYTES
        before = grown.newest


@given(st.permutations(range(6)))
def test_what_is_missing_is_what_has_not_arrived(order: list[int]) -> None:
    waiting: Unfinished = ()
    for count, part in enumerate(order[:-1], 1):
        waiting, _ = reassemble(waiting, header(part + 1, part, 6), bytes(BODY_BYTES))
        (grown,) = waiting
        assert grown.missing == sum(1 << it for it in order[count:])


def test_parts_of_several_bodies_mix() -> None:
    one, two = End(ONE), End(TWO)
    messages = [Accept(Ballot(1, ONE), bytes([it]) * 2000) for it in range(5)]
    sealed = [one.seal(message) for message in messages]
    firsts, lasts = zip(*sealed, strict=True)
    for first in firsts:
        assert two.wire.open(first).messages == ()

    opened = [two.wire.open(last).messages for last in lasts]
    assert opened == [(("leader", message),) for message in messages]


def test_of_too_many_unfinished_ones_the_oldest_is_dropped() -> None:
    waiting: Unfinished = ()
    for number in range(MAX_UNFINISHED + 3):
        waiting, _ = reassemble(waiting, header(10 * number + 1, 0, 2), bytes(BODY_BYTES))

    assert [it.first for it in waiting] == [10 * it + 1 for it in range(3, MAX_UNFINISHED + 3)]


def test_of_too_many_bytes_the_oldest_are_dropped() -> None:
    waiting: Unfinished = ()
    for number in range(6):
        for part in range(MAX_PARTS - 1):
            at = header(100 * number + part + 1, part, MAX_PARTS)
            waiting, _ = reassemble(waiting, at, bytes(BODY_BYTES))
            assert sum(it.size_bytes for it in waiting) <= MAX_UNFINISHED_BYTES

    assert [it.first for it in waiting] == [201, 301, 401, 501]


def test_a_part_that_is_late_for_what_was_dropped_does_no_harm() -> None:
    one, two = End(ONE), End(TWO)
    sealed = [one.seal(Accept(Ballot(1, ONE), bytes(2000))) for _ in range(MAX_UNFINISHED + 1)]
    for first, _ in sealed:
        two.wire.open(first)

    lasts = sealed[0][1], sealed[-1][1]
    assert [len(two.wire.open(last).messages) for last in lasts] == [0, 1]


def test_the_memory_for_parts_holds_the_largest_message_with_room_to_spare() -> None:
    assert MAX_UNFINISHED_BYTES >= 3 * MAX_PARTS * BODY_BYTES > 3 * MAX_VALUE_BYTES
