"""The wire: what is sealed is what is opened, and by nobody else."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise, permutations
from typing import TypeAlias, cast

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from paxos import (
    Accept,
    Answer,
    Ballot,
    Chosen,
    Message,
    Nack,
    PaxosError,
    Prepare,
    Promise,
    Proposal,
    Query,
    ReadId,
    ServerId,
    UnknownServer,
)
from paxos_adapters.disk_status import DiskStatus, Known
from paxos_adapters.limits import (
    MAX_EPOCH,
    MAX_NAME_BYTES,
    MAX_ROUND,
    MAX_SAVES,
    MAX_SERVER,
    MAX_VALUE_BYTES,
)
from paxos_adapters.wire import (
    Authenticated,
    BadDiskStatus,
    Checksummed,
    Control,
    Keyring,
    Missing,
    MissingExtra,
    NamedMessage,
    NotBytes,
    OutOfBounds,
    Ping,
    Pong,
    Reason,
    Received,
    Register,
    RejectedDatagram,
    Removal,
    TooLarge,
    Wire,
)
from paxos_adapters.wire import (
    protection as protection_module,
)
from paxos_adapters.wire.bounds import (
    DATAGRAM_BYTES,
    MAX_DATAGRAM_BYTES,
    MAX_MESSAGES,
    MAX_PINGS,
    MAX_READ,
)
from paxos_adapters.wire.fragments import MAX_PARTS
from paxos_adapters.wire.frame import (
    BODY_BYTES,
    HEADER_BYTES,
    LAYOUT,
    SESSION,
    TAG_BYTES,
    Header,
    disk_status_of,
    read_header,
)
from tests.support.wires import (
    AUTHENTICATED,
    BEAT,
    CONTROLS,
    DIGEST,
    DISK_STATUS,
    MEMBERS,
    MESSAGES,
    NEW,
    OLD,
    ONE,
    THREE,
    TWO,
    WAYS,
    End,
    protection,
)

BALLOT = Ballot(3, ONE)
VALUE = Accept(BALLOT, b"v")


def refused(end: End, datagram: bytes) -> Reason:
    with pytest.raises(RejectedDatagram) as caught:
        end.wire.open(datagram)
    return caught.value.reason


def heard(end: End, datagrams: tuple[bytes, ...]) -> list[NamedMessage]:
    return [entry for datagram in datagrams for entry in end.wire.open(datagram).messages]


# --- round trips --------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_every_message_comes_out_as_it_went_in(way: str) -> None:
    one, two = End(ONE, protection(way)), End(TWO, protection(way))
    for message in MESSAGES:
        assert heard(two, one.seal(message)) == [("leader", message)]


@pytest.mark.parametrize("name", ["d", "d" * MAX_NAME_BYTES, "\N{BEER MUG}" * 63, "\0"])
def test_every_name_comes_out_as_it_went_in(name: str) -> None:
    (datagram,) = End(ONE).wire.seal(TWO, [(name, BEAT)])

    messages = ((name, BEAT),)
    assert End(TWO).wire.open(datagram) == Received(ONE, DISK_STATUS, True, messages, (), True)


@pytest.mark.parametrize("previous_saves", [0, 1, MAX_SAVES])
@pytest.mark.parametrize("text", ["01", "ff", "a0"])
def test_every_presence_comes_out_as_it_went_in(previous_saves: int, text: str) -> None:
    disk_status = DiskStatus("ab" * 8, MAX_SAVES, text * 8, previous_saves)
    (datagram,) = End(ONE, disk_status=disk_status).seal(BEAT)

    assert disk_status_of(read_header(datagram)) == disk_status
    assert End(TWO).wire.open(datagram).disk_status == disk_status


def test_the_first_session_of_a_disk_has_none_before_it() -> None:
    disk_status = DiskStatus("ab" * 8, 3)
    (datagram,) = End(ONE, disk_status=disk_status).seal(BEAT)

    assert disk_status_of(read_header(datagram)) == disk_status


def test_the_entry_of_the_chain_is_chosen_for_the_receiver() -> None:
    asked: list[ServerId] = []

    def disk_status(receiver: ServerId) -> DiskStatus:
        asked.append(receiver)
        return DISK_STATUS

    wire = Wire(
        cluster="demo",
        me=ONE,
        members=MEMBERS,
        digest=DIGEST,
        protection=AUTHENTICATED,
        disk_status=disk_status,
        registered=lambda _: None,
    )
    for receiver in TWO, THREE:
        wire.seal(receiver, [("leader", BEAT)])
    assert asked == [TWO, THREE]


@pytest.mark.parametrize("way", WAYS)
def test_a_server_of_another_membership_is_refused_by_name(way: str) -> None:
    one, two = End(ONE, protection(way), digest=bytes(8)), End(TWO, protection(way))
    with pytest.raises(RejectedDatagram) as caught:
        two.wire.open(*one.seal(BEAT))

    assert caught.value.reason is Reason.OTHER_MEMBERS


def test_it_is_refused_once_the_tag_was_found_right() -> None:
    """Somebody without a key cannot make a node say that its members differ."""
    (datagram,) = End(ONE, Checksummed(), digest=bytes(8)).seal(BEAT)
    with pytest.raises(RejectedDatagram) as caught:
        End(TWO, Checksummed()).wire.open(datagram[:-1] + bytes([datagram[-1] ^ 1]))

    assert caught.value.reason is Reason.BAD_MAC


@pytest.mark.parametrize("size", [0, 7, 9])
def test_a_digest_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(OutOfBounds, match="the digest of the members"):
        End(ONE, digest=bytes(size))


def test_the_presence_is_that_of_the_moment_of_sealing() -> None:
    one, two = End(ONE), End(TWO)
    one.disk_status = evolve(DISK_STATUS, saves=21)

    assert two.wire.open(*one.seal(BEAT)).disk_status.saves == 21


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("control", CONTROLS, ids=repr)
def test_every_control_message_comes_out_as_it_went_in(control: Control, way: str) -> None:
    one, two = End(ONE, protection(way)), End(TWO, protection(way))

    assert two.wire.open(*one.say(control)).controls == (control,)


@pytest.mark.parametrize(
    "control",
    [
        Ping(-1, None),
        Ping(MAX_PINGS + 1, None),
        Register(-1),
        Ping(1, Known("ab" * 8, -1)),
        Pong(1, "ab" * 8, Known("ab" * 8, MAX_SAVES + 1), votes=True),
    ],
    ids=repr,
)
def test_a_control_message_out_of_bounds_is_not_sent(control: Control) -> None:
    with pytest.raises(OutOfBounds):
        End(ONE).say(control)


@pytest.mark.parametrize("session", ["", "ab", "00" * 8, "AB" * 8, "xy" * 8])
def test_a_session_that_no_file_draws_is_not_sent(session: str) -> None:
    for control in Ping(1, Known(session, 1)), Pong(1, session, None, votes=False):
        with pytest.raises(BadDiskStatus):
            End(ONE).say(control)


@pytest.mark.parametrize("value", [None, "red", 7, bytearray(b"red")])
def test_a_value_that_is_not_bytes_is_not_sent(value: object) -> None:
    """One that can change, too: what is sent again must be what was sent."""
    one = End(ONE)
    with pytest.raises(NotBytes, match=f"of type {type(value).__name__} was to be sent"):
        one.seal(Accept(BALLOT, cast("bytes", value)))
    assert End(TWO).wire.open(*one.seal(BEAT)).messages == (("leader", BEAT),)


# --- batches ------------------------------------------------------------------------------------


def test_messages_for_one_peer_share_a_datagram() -> None:
    messages = [(f"decision {number}", Prepare(Ballot(number, ONE))) for number in range(1, 31)]
    datagrams = End(ONE).wire.seal(TWO, messages)

    assert len(datagrams) == 1
    assert heard(End(TWO), datagrams) == messages


def test_nothing_to_say_is_no_datagram() -> None:
    assert End(ONE).seal() == ()


SIZES = st.sampled_from([0, 1, 50, 500, 1000, BODY_BYTES - 40, BODY_BYTES, 3 * BODY_BYTES])


@given(st.lists(SIZES.flatmap(lambda size: st.integers(size, size + 40)), max_size=12))
def test_a_batch_is_cut_at_message_boundaries_and_keeps_its_order(sizes: list[int]) -> None:
    messages = [Accept(Ballot(number, ONE), b"v" * size) for number, size in enumerate(sizes, 1)]
    datagrams = End(ONE).seal(*messages)

    assert heard(End(TWO), datagrams) == [("leader", message) for message in messages]
    assert all(len(datagram) <= DATAGRAM_BYTES for datagram in datagrams)
    assert len(datagrams) <= sum(size // BODY_BYTES + 2 for size in sizes)


@pytest.mark.parametrize("size", range(BODY_BYTES - 40, BODY_BYTES + 5))
def test_a_message_at_the_edge_of_a_datagram_fits_or_is_cut(size: int) -> None:
    message = Accept(BALLOT, b"v" * size)
    datagrams = End(ONE).seal(message)

    assert heard(End(TWO), datagrams) == [("leader", message)]
    # An array of one, an array of five, the tag, the name, the ballot, and two bytes of length.
    assert len(datagrams) == (1 if 1 + 1 + 1 + 7 + 2 + 3 + size <= BODY_BYTES else 2)


@pytest.mark.parametrize("size", range(1, 60))
def test_small_messages_never_go_in_parts(size: int) -> None:
    """The length of a batch takes room too, more of it from sixteen messages on."""
    datagrams = End(ONE).seal(*[Accept(BALLOT, b"v" * size)] * 200)

    assert {Header(*LAYOUT.unpack_from(datagram)).parts for datagram in datagrams} == {1}
    assert len(heard(End(TWO), datagrams)) == 200


def test_a_datagram_carries_a_bounded_number_of_messages() -> None:
    beats = [("d", BEAT)] * (MAX_MESSAGES + 1)
    datagrams = End(ONE).wire.seal(TWO, beats)

    two = End(TWO)
    assert [len(two.wire.open(datagram).messages) for datagram in datagrams] == [MAX_MESSAGES, 1]


# --- large values -------------------------------------------------------------------------------


def test_a_part_says_nothing_until_the_last_one_is_there() -> None:
    message = Accept(BALLOT, b"v" * 3000)
    *parts, last = End(ONE).seal(message)
    two = End(TWO)

    assert [two.wire.open(part).messages for part in parts] == [(), ()]
    assert two.wire.open(last).messages == (("leader", message),)


@given(st.permutations(range(4)))
def test_parts_come_in_any_order(order: list[int]) -> None:
    message = Chosen(BALLOT, bytes(range(256)) * 15)
    parts = End(ONE).seal(message)
    two = End(TWO)

    *before, last = [two.wire.open(parts[place]).messages for place in order]
    assert [*before, last] == [(), (), (), (("leader", message),)]


@pytest.mark.parametrize("datagram_bytes", [DATAGRAM_BYTES + 1, 8_900, MAX_DATAGRAM_BYTES])
def test_a_sender_may_make_larger_datagrams_and_every_server_takes_them(
    datagram_bytes: int,
) -> None:
    messages = [Accept(Ballot(number, ONE), b"v" * 30_000) for number in (1, 2)]
    messages += [Accept(Ballot(3, ONE), b"v" * 500)] * 9
    named = [("leader", message) for message in messages]
    datagrams = End(ONE).wire.seal(TWO, named, datagram_bytes)

    assert heard(End(TWO), datagrams) == named
    assert DATAGRAM_BYTES < max(map(len, datagrams)) <= datagram_bytes
    assert len(datagrams) <= len(End(ONE).seal(*messages)) * DATAGRAM_BYTES / datagram_bytes + 4


@pytest.mark.parametrize("datagram_bytes", [0, DATAGRAM_BYTES - 1, MAX_DATAGRAM_BYTES + 1])
def test_datagrams_have_a_size_that_every_server_takes(datagram_bytes: int) -> None:
    with pytest.raises(OutOfBounds, match="the size of datagrams"):
        End(ONE).wire.seal(TWO, [("leader", BEAT)], datagram_bytes)


def test_the_largest_message_has_as_many_parts_as_there_can_be() -> None:
    held = Proposal(Ballot(MAX_ROUND, ServerId(MAX_SERVER)), bytes(MAX_VALUE_BYTES))
    messages = [("d" * MAX_NAME_BYTES, Promise(held.ballot, held))]
    datagrams = End(ONE).wire.seal(TWO, messages)

    assert len(datagrams) == MAX_PARTS
    assert heard(End(TWO), datagrams) == messages


def test_every_part_is_checked_by_itself() -> None:
    first, *_ = End(ONE).seal(Accept(BALLOT, b"v" * 3000))
    altered = first[:200] + b"w" + first[201:]
    two = End(TWO)

    assert refused(two, altered) is Reason.BAD_MAC
    assert two.wire.open(first).messages == ()


# --- what cannot be sent ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message", "size", "most"),
    [
        ("d" * (MAX_NAME_BYTES + 1), BEAT, MAX_NAME_BYTES + 1, MAX_NAME_BYTES),
        ("\N{BEER MUG}" * 64, BEAT, 256, MAX_NAME_BYTES),
        ("d", Accept(BALLOT, bytes(MAX_VALUE_BYTES + 1)), MAX_VALUE_BYTES + 1, MAX_VALUE_BYTES),
    ],
)
def test_what_is_too_large_is_not_sent(
    name: str, message: Message[bytes], size: int, most: int
) -> None:
    one = End(ONE)
    with pytest.raises(TooLarge, match=f"{size:,} bytes, and at most {most:,}") as caught:
        one.wire.seal(TWO, [("d", VALUE), (name, message)])

    assert (caught.value.size, caught.value.most) == (size, most)
    assert sequence(*one.seal(BEAT)) == 1


def test_a_name_of_no_byte_is_not_sent() -> None:
    """Nothing but a message about a decision has the form of one."""
    one = End(ONE)
    with pytest.raises(OutOfBounds, match="the size of a name is 0"):
        one.wire.seal(TWO, [("", BEAT)])

    assert sequence(*one.seal(BEAT)) == 1


BEYOND = [
    Ballot(0, ONE),
    Ballot(-1, ONE),
    Ballot(MAX_ROUND + 1, ONE),
    Ballot(1, ServerId(-1)),
    Ballot(1, ServerId(MAX_SERVER + 1)),
]


CARRIERS: list[Callable[[Ballot], Message[bytes]]] = [
    Prepare,
    lambda it: Promise[bytes](it, None),
    lambda it: Promise(BALLOT, Proposal(it, b"")),
    lambda it: Accept(it, b""),
    lambda it: Nack(it, BALLOT),
    lambda it: Nack(BALLOT, it),
    lambda it: Chosen(it, b""),
]


@pytest.mark.parametrize("ballot", BEYOND)
@pytest.mark.parametrize("message", CARRIERS)
def test_a_ballot_out_of_bounds_is_not_sent(
    ballot: Ballot, message: Callable[[Ballot], Message[bytes]]
) -> None:
    with pytest.raises(OutOfBounds):
        End(ONE).seal(message(ballot))


@pytest.mark.parametrize(
    "read",
    [ReadId(-1, 1), ReadId(1, -1), ReadId(MAX_READ + 1, 1), ReadId(1, MAX_READ + 1)],
    ids=str,
)
def test_a_read_out_of_bounds_is_not_sent(read: ReadId) -> None:
    with pytest.raises(OutOfBounds):
        End(ONE).seal(Query(read))
    with pytest.raises(OutOfBounds):
        End(ONE).seal(Answer[bytes](read, None))


@pytest.mark.parametrize("ballot", BEYOND)
def test_an_answer_that_tells_of_a_ballot_out_of_bounds_is_not_sent(ballot: Ballot) -> None:
    with pytest.raises(OutOfBounds):
        End(ONE).seal(Answer(ReadId(1, 1), Proposal(ballot, b"")))


@pytest.mark.parametrize(
    ("disk_status", "error"),
    [
        (DiskStatus("ab" * 7, 2, "cd" * 8, 1), BadDiskStatus),
        (DiskStatus("ab" * 9, 2, "cd" * 8, 1), BadDiskStatus),
        (DiskStatus("AB" * 8, 2, "cd" * 8, 1), BadDiskStatus),
        (DiskStatus("00" * 8, 2, "cd" * 8, 1), BadDiskStatus),
        (DiskStatus("", 2, "cd" * 8, 1), BadDiskStatus),
        (DiskStatus("ab" * 8, 2, "cd cd" + "cd" * 6, 1), BadDiskStatus),
        (DiskStatus("ab" * 8, 2, "no", 1), BadDiskStatus),
        (DiskStatus("ab" * 8, 2, "00" * 8, 0), BadDiskStatus),
        (DiskStatus("ab" * 8, -1, "cd" * 8, 0), OutOfBounds),
        (DiskStatus("ab" * 8, 2, "cd" * 8, -1), OutOfBounds),
        (DiskStatus("ab" * 8, 2, "cd" * 8, 3), OutOfBounds),
        (DiskStatus("ab" * 8, 2, "", 1), OutOfBounds),
        (DiskStatus("ab" * 8, MAX_SAVES + 1, "cd" * 8, 3), OutOfBounds),
    ],
)
def test_a_presence_that_does_not_fit_is_not_sent(
    disk_status: DiskStatus, error: type[PaxosError]
) -> None:
    one = End(ONE, disk_status=disk_status)
    with pytest.raises(error):
        one.seal(BEAT)

    one.disk_status = DISK_STATUS
    assert sequence(*one.seal(BEAT)) == 1


def test_nobody_sends_to_or_as_a_non_member() -> None:
    with pytest.raises(UnknownServer):
        End(ONE).seal(BEAT, receiver=ServerId(9))
    with pytest.raises(UnknownServer):
        End(ServerId(9))


@pytest.mark.parametrize("server", [-1, MAX_SERVER + 1])
def test_a_member_that_no_frame_has_room_for_is_refused(server: int) -> None:
    with pytest.raises(OutOfBounds):
        Wire(
            cluster="demo",
            me=ONE,
            members={ONE, ServerId(server)},
            digest=DIGEST,
            protection=AUTHENTICATED,
            disk_status=lambda _: DISK_STATUS,
            registered=lambda _: None,
        )


def sequence(datagram: bytes) -> int:
    return Header(*LAYOUT.unpack_from(datagram)).sequence


def test_datagrams_to_each_receiver_are_counted() -> None:
    one = End(ONE)
    two = [sequence(*one.seal(BEAT)) for _ in range(3)]
    three = [sequence(*one.seal(BEAT, receiver=THREE)) for _ in range(2)]

    assert (two, three) == ([1, 2, 3], [1, 2])


def test_a_new_session_of_the_sender_does_not_turn_back_its_count() -> None:
    one = End(ONE)
    one.seal(BEAT)
    one.disk_status = DiskStatus("ef" * 8, 21, DISK_STATUS.session, 20)

    assert sequence(*one.seal(BEAT)) == 2


# --- who is heard -------------------------------------------------------------------------------


def test_only_the_server_that_is_meant_hears() -> None:
    (datagram,) = End(ONE).seal(BEAT)

    assert refused(End(THREE), datagram) is Reason.NOT_FOR_US
    assert refused(End(TWO, cluster="other"), datagram) is Reason.OTHER_CLUSTER


def test_a_non_member_is_not_heard() -> None:
    non_member = ServerId(9)
    wire = Wire(
        cluster="demo",
        me=non_member,
        members={non_member, TWO},
        digest=DIGEST,
        protection=AUTHENTICATED,
        disk_status=lambda _: DISK_STATUS,
        registered=lambda _: None,
    )

    assert refused(End(TWO), *wire.seal(TWO, [("leader", BEAT)])) is Reason.UNKNOWN_SENDER


def test_a_frame_says_the_epoch_of_decisions() -> None:
    one, two = End(ONE), End(TWO)
    one.wire.epoch = MAX_EPOCH
    opened = two.wire.open(*one.seal(BEAT))
    assert (opened.epoch, opened.messages) == (MAX_EPOCH, (("leader", BEAT),))
    for epoch in -1, MAX_EPOCH + 1:
        one.wire.epoch = epoch
        with pytest.raises(OutOfBounds, match="an epoch"):
            one.seal(BEAT)


Pair: TypeAlias = tuple[ServerId, ServerId]
PAIRS = st.sampled_from([*permutations((ONE, TWO, THREE), 2)])
STEPS = st.sampled_from(["seal", "repeat", "gone", "back"])


class TestChangedMembers:
    """The members of a wire may change while it is in use."""

    def test_a_newcomer_is_heard(self) -> None:
        one, four = End(ONE), End(TWO)
        four.wire.set_members({ONE, TWO})
        one.wire.set_members({THREE})
        assert refused(one, *four.seal(BEAT, receiver=ONE)) is Reason.UNKNOWN_SENDER
        with pytest.raises(UnknownServer):
            one.seal(BEAT)
        one.wire.set_members({TWO})
        assert heard(one, four.seal(BEAT, receiver=ONE)) == [("leader", BEAT)]
        assert heard(four, one.seal(BEAT)) == [("leader", BEAT)]

    @pytest.mark.parametrize("way", WAYS)
    def test_a_server_that_was_removed_is_told_apart_once_its_tag_is_right(self, way: str) -> None:
        one, two = End(ONE, protection(way)), End(TWO, protection(way))
        (datagram,) = one.seal(BEAT)
        two.wire.set_members({TWO, THREE}, {ONE})
        assert refused(two, datagram[:-1] + bytes([datagram[-1] ^ 1])) is Reason.BAD_MAC
        other = End(ONE, protection(way), digest=bytes(8))
        assert refused(two, *other.seal(BEAT)) is Reason.OTHER_MEMBERS
        assert refused(two, datagram) is Reason.REMOVED_SENDER
        assert two.wire.claimed_sender(datagram) == ONE
        (answer,) = two.say(Removal(7), receiver=ONE)
        assert one.wire.open(answer).controls == (Removal(7),)

    def test_no_number_is_used_again_for_who_comes_back(self) -> None:
        """It is a nonce."""
        one = End(ONE)
        assert sequence(*one.seal(BEAT)) == 1
        one.wire.set_members({ONE})
        one.wire.set_members({TWO})
        assert sequence(*one.seal(BEAT)) == 2

    def test_nothing_is_received_twice_from_who_comes_back(self) -> None:
        one, two = End(ONE), End(TWO)
        (datagram,) = one.seal(BEAT)
        assert heard(two, (datagram,)) == [("leader", BEAT)]
        two.wire.set_members({TWO})
        two.wire.set_members({ONE, TWO})
        assert refused(two, datagram) is Reason.REPLAYED

    def test_what_is_unfinished_of_who_is_gone_is_dropped_and_not_requested(self) -> None:
        one, two = End(ONE), End(TWO)
        first, *rest = one.seal(Accept(BALLOT, bytes(5_000)))
        assert two.wire.open(first).is_part
        requesting = [two.wire.has_requests]
        two.wire.set_members({TWO, THREE})
        requesting.append(two.wire.has_requests)
        assert requesting == [True, False]
        assert two.wire.request_missing() == {}
        one.wire.set_members({ONE, THREE})
        one.wire.set_members({ONE, TWO})
        assert one.wire.resend(TWO, Missing(1, 1)) == ()
        assert rest

    @given(st.lists(st.tuples(PAIRS, STEPS), max_size=30))
    def test_no_datagram_is_numbered_or_received_twice(self, steps: list[tuple[Pair, str]]) -> None:
        """Though servers are gone and come back, in any order, and all is repeated."""
        ends = {it: End(it) for it in MEMBERS}
        members = {it: set(MEMBERS) for it in MEMBERS}
        sent: dict[Pair, list[bytes]] = {}
        received = set[bytes]()
        for (one, other), step in steps:
            if step == "gone":
                members[one].discard(other)
            elif step == "back":
                members[one].add(other)
            elif step == "seal" and other in members[one]:
                sent.setdefault((one, other), []).extend(ends[one].seal(BEAT, receiver=other))
            for datagram in sent.get((one, other), []) if step == "repeat" else []:
                with suppress(RejectedDatagram):
                    assert ends[other].wire.open(datagram).messages
                    assert datagram not in received
                    received.add(datagram)
            ends[one].wire.set_members(members[one])
        for datagrams in sent.values():
            assert [sequence(it) for it in datagrams] == [*range(1, len(datagrams) + 1)]

    def test_an_id_that_no_frame_has_room_for_is_refused(self) -> None:
        two = End(TWO)
        for members, former in ({ServerId(-1)}, set[ServerId]()), (MEMBERS, {ServerId(1 << 32)}):
            with pytest.raises(OutOfBounds, match="the id of a server"):
                two.wire.set_members(members, former)
        assert heard(two, End(ONE).seal(BEAT)) == [("leader", BEAT)]


def test_a_server_does_not_take_what_claims_to_come_from_itself() -> None:
    """Not even with a right tag: a holder of the key could make it answer its own questions."""
    (whole,) = End(ONE).seal(BEAT)
    header = Header(*LAYOUT.unpack_from(whole))._replace(sender=TWO)
    own = AUTHENTICATED.close(LAYOUT.pack(*header), whole[HEADER_BYTES:-TAG_BYTES])

    assert refused(End(TWO), own) is Reason.UNKNOWN_SENDER
    with pytest.raises(RejectedDatagram):
        End(TWO).wire.claimed_sender(own)
    with pytest.raises(UnknownServer):
        End(TWO).seal(BEAT, receiver=TWO)


def test_what_its_session_has_sent_latest_is_the_newest() -> None:
    """So that a datagram that comes late, or again, tells nobody where its sender is."""
    one, two = End(ONE), End(TWO)
    late, first, second = (one.seal(BEAT)[0] for _ in range(3))
    control = End(ONE, disk_status=evolve(DISK_STATUS, session="ef" * 8)).say(Register(1))

    assert two.wire.open(first).is_newest
    assert not two.wire.open(late).is_newest
    assert two.wire.open(second).is_newest
    assert not two.wire.open(*control).is_newest


def test_who_owns_the_socket_can_ask_who_a_datagram_claims_to_be_from() -> None:
    (datagram,) = End(ONE).seal(BEAT)

    assert End(TWO).wire.claimed_sender(datagram) == ONE
    with pytest.raises(RejectedDatagram):
        End(THREE).wire.claimed_sender(datagram)


@pytest.mark.parametrize("theirs", WAYS)
@pytest.mark.parametrize("ours", WAYS)
def test_only_ones_own_way_of_protection_is_heard(ours: str, theirs: str) -> None:
    (datagram,) = End(ONE, protection(theirs)).seal(BEAT)
    end = End(TWO, protection(ours))

    if ours == theirs:
        assert end.wire.open(datagram).messages == (("leader", BEAT),)
    else:
        assert refused(end, datagram) is Reason.OTHER_PROTECTION


@pytest.mark.parametrize("way", WAYS)
def test_a_change_of_any_bit_is_noticed(way: str) -> None:
    (datagram,) = End(ONE, protection(way)).seal(VALUE)
    two = End(TWO, protection(way))
    for bit in range(8 * len(datagram)):
        altered = bytearray(datagram)
        altered[bit // 8] ^= 1 << bit % 8
        reason = refused(two, bytes(altered))
        assert reason is Reason.BAD_MAC or bit < 8 * SESSION.stop

    assert two.wire.open(datagram).messages == (("leader", VALUE),)


@pytest.mark.parametrize("way", WAYS)
def test_a_change_of_any_length_is_noticed(way: str) -> None:
    (datagram,) = End(ONE, protection(way)).seal(VALUE)
    two = End(TWO, protection(way))
    for size in range(len(datagram)):
        assert refused(two, datagram[:size]) in {Reason.TOO_SHORT, Reason.BAD_MAC}
    assert refused(two, datagram + b"\0") is Reason.BAD_MAC
    assert refused(two, datagram + bytes(MAX_DATAGRAM_BYTES)) is Reason.TOO_LONG


def test_a_frame_of_another_version_is_refused() -> None:
    (datagram,) = End(ONE).seal(BEAT)

    for version in 1, 2, 4:
        other = datagram[:3] + bytes([version]) + datagram[4:]
        assert refused(End(TWO), other) is Reason.WRONG_VERSION
    assert refused(End(TWO), b"pax" + datagram[3:]) is Reason.WRONG_VERSION


@pytest.mark.parametrize("way", ["authenticated", WAYS[2]])
def test_keys_rotate_without_a_pause(way: str) -> None:
    """At each step, servers that took it and servers that did not yet hear each other."""
    steps = [(OLD,), (OLD, NEW), (NEW, OLD), (NEW,)]
    kind = type(protection(way))
    assert not issubclass(kind, Checksummed)
    for before, after in pairwise(steps):
        for ours, theirs in ((before, after), (after, before)):
            one, two = End(ONE, kind(Keyring(ours))), End(TWO, kind(Keyring(theirs)))
            assert heard(two, one.seal(VALUE)) == [("leader", VALUE)]

    one, two = End(ONE, kind(Keyring((OLD,)))), End(TWO, kind(Keyring((NEW,))))
    assert refused(two, *one.seal(BEAT)) is Reason.UNKNOWN_KEY


def test_a_key_is_named_by_its_id_and_proven_by_its_mac() -> None:
    """The id of a known key does not help who has another one."""
    (datagram,) = End(ONE, Authenticated(Keyring((NEW,)))).seal(BEAT)
    forged = datagram[:7] + OLD.id + datagram[15:]

    assert refused(End(TWO), forged) is Reason.BAD_MAC


@pytest.mark.parametrize("way", [WAYS[2]])
def test_what_is_encrypted_cannot_be_read(way: str) -> None:
    (secret,) = End(ONE, protection(way)).seal(Accept(BALLOT, b"the value"))
    (plain,) = End(ONE).seal(Accept(BALLOT, b"the value"))

    assert b"the value" in plain
    assert b"the value" not in secret
    assert b"leader" not in secret


@pytest.mark.parametrize("way", [WAYS[2]])
def test_no_two_sessions_encrypt_alike(way: str) -> None:
    """Same sequence, same message; another receiver, another session, another cluster."""
    bodies = {
        End(ONE, protection(way), cluster=cluster, disk_status=disk_status).seal(
            VALUE, receiver=receiver
        )[0][HEADER_BYTES:-TAG_BYTES]
        for cluster in ("demo", "other")
        for disk_status in (DISK_STATUS, evolve(DISK_STATUS, session="ef" * 8))
        for receiver in (TWO, THREE)
    }
    one = End(ONE, protection(way))
    bodies |= {one.seal(VALUE)[0][HEADER_BYTES:-TAG_BYTES] for _ in range(4)}

    assert len(bodies) == 8 + 4 - 1  # The first of the last four is one of the eight.


def test_without_the_library_encryption_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)

    with pytest.raises(MissingExtra, match=r"sansio-paxos\[aead\]"):
        protection_module.Encrypted(Keyring((OLD,)))


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", Reason)
def test_a_refusal_says_why_and_survives_a_trip_to_another_process(reason: Reason) -> None:
    again = pickle.loads(pickle.dumps(RejectedDatagram(reason)))

    assert (str(again), again.reason) == (str(RejectedDatagram(reason)), reason)
    assert reason.value in str(again)
