"""The router of the lossy network, on pipes; and namespaces, where they can be had."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from random import Random

import pytest

from tests.tools import lossy_network
from tests.tools.lossy_network import Conditions, Order, Router

SEED = 20131017
ONE, TWO, THREE = 1, 2, 3


class Wires:
    """Pairs of pipes in place of TUN devices: what a node sends, and what has reached it."""

    def __init__(self) -> None:
        self.pairs = {node: _pair() for node in (ONE, TWO, THREE)}
        self.router = Router({it: ours for it, (ours, _) in self.pairs.items()}, Random(SEED))

    def send(self, sender: int, receiver: int, text: bytes, at_s: float = 0.0) -> None:
        """A packet with nothing in it but what a router looks at."""
        header = bytes([0x45, *bytes(15), 10, 77, 0, receiver])
        os.write(self.pairs[sender][1], header + text)
        self.router.take(sender, at_s)

    def received(self, node: int) -> list[bytes]:
        """Everything that has reached ``node``."""
        found = list[bytes]()
        while True:
            try:
                found.append(os.read(self.pairs[node][1], 2_000)[20:])
            except BlockingIOError:
                return found

    def close(self) -> None:
        """Let go of them."""
        for pair in self.pairs.values():
            for it in pair:
                os.close(it)


def _pair() -> tuple[int, int]:
    """Two ends, each of which keeps packets apart, as a TUN device does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for it in ours, theirs:
        it.setblocking(False)
    return ours.detach(), theirs.detach()


@pytest.fixture
def wires() -> Iterator[Wires]:
    made = Wires()
    yield made
    made.close()


def test_without_losses_everything_arrives_once_and_in_order(wires: Wires) -> None:
    texts = [b"%d" % number for number in range(20)]
    for text in texts:
        wires.send(ONE, TWO, text)
    wires.router.deliver(0.0)

    assert (wires.received(TWO), wires.received(THREE)) == (texts, [])
    assert wires.router.counts == {"sent": 20, "carried": 20, "reordered": 0}


def test_what_is_for_nobody_goes_nowhere(wires: Wires) -> None:
    wires.send(ONE, 9, b"to a non-member")
    wires.send(ONE, ONE, b"to itself")
    os.write(wires.pairs[ONE][1], b"\x60" + bytes(60))  # IPv6, which namespaces like to try
    wires.router.take(ONE, 0.0)
    wires.router.deliver(0.0)

    assert not wires.router.counts


def test_a_share_is_lost_and_a_share_comes_twice(wires: Wires) -> None:
    wires.router.obey(Order(Conditions(lost=0.2, twice=0.3)))
    for _ in range(100):
        for _ in range(10):
            wires.send(ONE, TWO, b"x")
        wires.router.deliver(0.0)
        wires.received(TWO)
    counts = wires.router.counts

    assert 150 < counts["lost"] < 250
    assert 180 < counts["duplicated"] < 300
    assert counts["carried"] == 1_000 - counts["lost"] + counts["duplicated"]


def test_what_is_delayed_comes_when_it_is_due_and_may_be_overtaken(wires: Wires) -> None:
    wires.router.obey(Order(Conditions(held=1.0, delay_s=(1.0, 1.0), held_s=(2.0, 2.0))))
    wires.send(ONE, TWO, b"first")
    wires.router.obey(Order(Conditions(delay_s=(1.0, 1.0))))
    wires.send(ONE, TWO, b"second")

    assert wires.router.wait_s(0.25) == 0.75
    wires.router.deliver(0.9)
    assert wires.received(TWO) == []
    wires.router.deliver(1.0)
    assert wires.received(TWO) == [b"second"]
    wires.router.deliver(3.0)
    assert wires.received(TWO) == [b"first"]
    assert wires.router.wait_s(3.0) is None
    assert (wires.router.counts["delayed"], wires.router.counts["reordered"]) == (1, 1)


def test_a_cut_goes_one_way_and_takes_what_is_on_its_way(wires: Wires) -> None:
    wires.send(ONE, TWO, b"on its way")
    wires.router.obey(Order(cuts=[(ONE, TWO)]))
    wires.send(TWO, ONE, b"back")
    wires.send(ONE, THREE, b"elsewhere")
    wires.router.deliver(0.0)
    assert [wires.received(it) for it in (ONE, TWO, THREE)] == [[b"back"], [], [b"elsewhere"]]

    wires.router.obey(Order(cuts=[]))
    wires.send(ONE, TWO, b"healed")
    wires.router.deliver(0.0)
    assert wires.received(TWO) == [b"healed"]
    assert wires.router.counts["cut off"] == 1


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert lossy_network.why_not() == "network namespaces and TUN devices take root"
