"""Lost parts are asked for and sent again: at a pace, as they were, and not without end."""

from __future__ import annotations

from random import Random

import pytest
from attrs import frozen

from paxos import Accept, Ballot
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.limits import MAX_VALUE_BYTES
from paxos_adapters.wire import (
    Missing,
    NamedMessage,
    OutOfBounds,
    Reason,
    Received,
    RejectedDatagram,
)
from paxos_adapters.wire.bounds import MAX_KEPT, MAX_KEPT_BYTES, MAX_REQUESTS, MAX_SEQUENCE
from paxos_adapters.wire.fragments import MAX_PARTS, PartialBody
from paxos_adapters.wire.resending import Requests, SentBodies, has_requests, keep, request, resend
from tests.support.wires import BEAT, MISSING, ONE, THREE, TWO, WAYS, End, protection

LARGE = Accept(Ballot(1, ONE), bytes(range(256)) * (MAX_VALUE_BYTES // 256))
ALL = (1 << MAX_PARTS) - 1

# --- the sender: sends again ----------------------------------------------------------------------


def test_what_is_asked_for_is_sent_as_it_was() -> None:
    one = End(ONE)
    sealed = one.seal(LARGE)

    assert one.wire.resend(TWO, Missing(1, 0b1011)) == (sealed[0], sealed[1], sealed[3])


@pytest.mark.parametrize("missing", [Missing(2, 1), Missing(99, 1), Missing(1, 1 << 59)])
def test_what_is_not_kept_is_not_sent(missing: Missing) -> None:
    one = End(ONE)
    one.seal(Accept(Ballot(1, ONE), bytes(3000)))

    assert one.wire.resend(TWO, missing) == ()


def test_what_was_sent_to_another_peer_is_not_sent() -> None:
    one = End(ONE)
    one.seal(LARGE)

    assert one.wire.resend(THREE, Missing(1, 1)) == ()
    assert len(one.wire.resend(TWO, Missing(1, 1))) == 1


def test_a_datagram_that_is_whole_is_not_kept() -> None:
    one = End(ONE)
    one.seal(BEAT)

    assert one.wire.resend(TWO, Missing(1, 1)) == ()


def test_a_body_is_sent_again_once_in_whole_however_often_it_is_asked_for() -> None:
    one = End(ONE)
    sealed = one.seal(LARGE)

    sent = [it for _ in range(9) for it in one.wire.resend(TWO, Missing(1, ALL - 1))]
    assert len(sent) == len(sealed) == MAX_PARTS


def test_of_too_many_bodies_the_oldest_is_dropped() -> None:
    keeping: SentBodies = ()
    for first in range(MAX_KEPT + 3):
        keeping = keep(keeping, first, (b"x", b"y"))

    assert [it.first for it in keeping] == [*range(3, MAX_KEPT + 3)]


def test_of_too_many_bytes_the_oldest_are_dropped() -> None:
    keeping: SentBodies = ()
    for first in range(6):
        keeping = keep(keeping, first, (bytes(MAX_KEPT_BYTES // 8),) * 2)
        assert sum(it.size_bytes for it in keeping) <= MAX_KEPT_BYTES

    assert [it.first for it in keeping] == [2, 3, 4, 5]


def test_to_send_again_does_not_make_a_body_newer() -> None:
    keeping = keep(keep((), 1, (b"x", b"y")), 3, (b"x", b"y"))
    after, _ = resend(keeping, Missing(1, 1))

    assert [it.first for it in after] == [1, 3]


# --- the receiver: asks ---------------------------------------------------------------------------


def unfinished(there: int) -> PartialBody:
    return PartialBody(7, 4, there)


def ticks(there: list[int]) -> list[int]:
    """The ticks at which something is asked for, while these parts are there."""
    asking: Requests = {}
    asked: list[int] = []
    for tick, parts in enumerate(there):
        asking, missing = request(asking, (unfinished(parts),))
        assert missing in ((), (Missing(7, 0b1111 & ~parts),))
        asked += [tick] if missing else []
    return asked


def test_a_body_that_does_not_grow_is_asked_for_ever_more_rarely_and_then_no_more() -> None:
    assert ticks([1] * 500) == [1, 3, 7, 15, 31, 63]
    assert MAX_REQUESTS == 6


def test_a_body_that_grows_is_not_asked_for() -> None:
    assert ticks([1, 3, 7]) == []


def test_a_body_that_has_grown_is_asked_for_as_at_first() -> None:
    assert ticks([1] * 8 + [3] * 8) == [1, 3, 7, 9, 11, 15]


def test_each_body_is_asked_for_by_itself() -> None:
    two = PartialBody(1, 2, 1), PartialBody(9, 2, 2)
    asking, _ = request({}, two)

    assert request(asking, two)[1] == (Missing(1, 2), Missing(9, 1))


def test_what_waits_no_more_is_forgotten() -> None:
    asking, _ = request({}, (unfinished(1),))

    assert request(asking, ()) == ({}, ())


def test_there_is_something_to_ask_until_the_last_time() -> None:
    asking: Requests = {}
    left = list[bool]()
    for _ in range(65):
        left.append(has_requests(asking, (unfinished(1),)))
        asking, _ = request(asking, (unfinished(1),))

    assert left == [True] * 64 + [False]
    assert has_requests(asking, (unfinished(3),))
    assert not has_requests({}, ())


def asked(opened: Received) -> list[Missing]:
    return [it for it in opened.controls if isinstance(it, Missing)]


# --- both ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", MISSING, ids=repr)
def test_what_is_asked_for_comes_out_as_it_went_in(missing: Missing) -> None:
    opened = End(TWO).wire.open(*End(ONE).say(missing))

    assert (opened.controls, opened.messages) == ((missing,), ())


@pytest.mark.parametrize("way", WAYS)
def test_a_part_that_was_lost_is_asked_for_and_the_body_is_whole(way: str) -> None:
    one, two = End(ONE, protection(way)), End(TWO, protection(way))
    for part, datagram in enumerate(one.seal(LARGE)):
        if part not in (3, 17):
            two.wire.open(datagram)
    assert two.wire.has_requests
    assert two.wire.request_missing() == {}
    ((sender, missing),) = two.wire.request_missing().items()
    assert (sender, missing) == (ONE, (Missing(1, 1 << 3 | 1 << 17),))

    (asking,) = two.wire.seal(ONE, missing)
    sent = one.wire.resend(TWO, *asked(one.wire.open(asking)))
    assert [two.wire.open(it).messages for it in sent] == [(), (("leader", LARGE),)]
    assert not two.wire.has_requests


def test_to_ask_again_with_the_same_datagram_draws_nothing() -> None:
    one, two = End(ONE), End(TWO)
    (asking,) = two.wire.seal(ONE, [Missing(1, 1)])
    one.wire.open(asking)
    with pytest.raises(RejectedDatagram) as caught:
        one.wire.open(asking)

    assert caught.value.reason is Reason.REPLAYED


def test_a_session_that_is_not_registered_gets_nothing_again() -> None:
    one, non_member = End(ONE), End(TWO, disk_status=DiskStatus("ef" * 8, 1))
    (asking,) = non_member.wire.seal(ONE, [Missing(1, 1)])
    with pytest.raises(RejectedDatagram) as caught:
        one.wire.open(asking)

    assert caught.value.reason is Reason.NOT_REGISTERED


@pytest.mark.parametrize(
    "missing",
    [Missing(0, 1), Missing(MAX_SEQUENCE + 1, 1), Missing(1, 0), Missing(1, 1 << MAX_PARTS)],
)
def test_what_cannot_be_missing_is_not_asked_for(missing: Missing) -> None:
    with pytest.raises(OutOfBounds):
        End(ONE).wire.seal(TWO, [missing])


# --- loss ---------------------------------------------------------------------------------------


@frozen
class Delivery:
    """What it took to get a value of 64 KiB over: ticks, and datagrams of both ways."""

    ticks: int
    datagrams: int


def delivery(loss: float, seed: int, *, asks: bool = True) -> Delivery | None:
    """None if it was lost. Each datagram is lost by itself, of a request and its answer too."""
    one, two, random = End(ONE), End(TWO), Random(seed)
    going, datagrams = one.seal(LARGE), 0
    for tick in range(1 << MAX_REQUESTS + 1):
        datagrams += len(going)
        heard = list[NamedMessage]()
        for datagram in going:
            if random.random() >= loss:
                heard += two.wire.open(datagram).messages
        if heard:
            assert heard == [("leader", LARGE)]
            return Delivery(tick, datagrams)
        going = ()
        for missing in two.wire.request_missing().values() if asks else ():
            (asking,) = two.wire.seal(ONE, missing)
            datagrams += 1
            if random.random() >= loss:
                for it in asked(one.wire.open(asking)):
                    going += one.wire.resend(TWO, it)
    return None


SEEDS = range(20)


@pytest.mark.parametrize(("loss", "most"), [(0.0, 60), (0.03, 70), (0.1, 85), (0.25, 120)])
def test_the_largest_value_arrives_whatever_share_is_lost(loss: float, most: int) -> None:
    for seed in SEEDS:
        found = delivery(loss, seed)
        assert found is not None, f"seed {seed}"
        assert found.datagrams <= most, f"seed {seed}"
        assert found.ticks <= 40, f"seed {seed}"


def test_without_asking_it_is_lost() -> None:
    """All parts or nothing: of sixty with a tenth lost, 2 in 1,000 bodies arrive."""
    assert [delivery(0.1, seed, asks=False) for seed in SEEDS] == [None] * len(SEEDS)
