"""The way to one peer: what waits to go out to it is bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from paxos import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Chosen,
    Message,
    Prepare,
    Promise,
    Proposal,
    ReadId,
    ServerId,
    majority,
)
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node, OutcomeUnknown
from paxos_adapters.udp import links
from paxos_adapters.udp.links import Link
from paxos_adapters.udp.mesh import Mesh
from paxos_adapters.udp.registration import Registration
from tests.support.free_ports import free_addresses

B = Ballot(1, ServerId(2))
VALUE = bytes(6)


def link() -> Link:
    return Link(("127.0.0.1", 1), [])


def test_how_many_messages_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "MAX_OUTBOX", 2)
    it = link()
    assert [it.enqueue(name, Prepare(B)) for name in "abc"] == [True, True, False]
    assert it.drain() == [("a", Prepare(B)), ("b", Prepare(B))]
    assert it.drain() == []
    assert it.enqueue("c", Prepare(B))


@pytest.mark.parametrize(
    "message",
    [
        Accept(B, VALUE),
        Accepted(B, VALUE),
        Chosen(B, VALUE),
        Promise(B, Proposal(B, VALUE)),
        Answer(ReadId(1, 1), Proposal(B, VALUE)),
    ],
    ids=lambda it: type(it).__name__,
)
def test_how_many_bytes_of_values_may_wait(
    monkeypatch: pytest.MonkeyPatch, message: Message[bytes]
) -> None:
    """Whatever carries the value. What has none goes with the rest."""
    monkeypatch.setattr(links, "MAX_OUTBOX_BYTES", 12)
    it = link()
    assert [it.enqueue(name, message) for name in "abc"] == [True, True, False]
    assert it.enqueue("d", Promise[bytes](B, None))
    taken = it.drain()
    assert taken == [("a", message), ("b", message), ("d", Promise[bytes](B, None))]
    assert it.enqueue("c", message)


def test_what_finds_no_room_is_counted_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "MAX_OUTBOX", 0)
    me, addresses = ServerId(1), free_addresses(2)
    quorum, peers = majority(addresses), frozenset({ServerId(2)})
    registered = Registration(me, quorum, acknowledged=peers, is_open=True)
    monkeypatch.setattr(Mesh, "registration", registered)

    async def run() -> None:
        path = tmp_path / "n1.db"
        with FileStore.create(path, cluster="c", server=me, quorum=quorum) as file:
            async with Node(file, NetworkConfig(addresses), codec=TEXT) as node:
                with pytest.raises(OutcomeUnknown):
                    await node.propose("leader", "one", timeout_s=0.05)
                assert node.status().lost["waiting to be sent"] >= 1

    asyncio.run(asyncio.wait_for(run(), 30))
