"""Nodes of different memberships that reach each other: each refuses the other one by name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from paxos import QuorumSystem, ServerId, flexible, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node, OutcomeUnknown
from tests.paxos_adapters.node.test_node import QUICK, runs
from tests.support.free_ports import free_addresses
from tests.support.member_files import OLD, S1, S2, S3, S4, S5

FIVE = majority([S1, S2, S3, S4, S5])
TWO = majority([S1, S2])


@pytest.mark.parametrize(
    ("one", "other", "membership"),
    [
        pytest.param(OLD, FIVE, "", id="3 and 5"),
        pytest.param(TWO, OLD, "", id="2 and 3"),
        pytest.param(OLD, flexible(OLD.members, phase1=3, phase2=1), "", id="other sizes"),
        pytest.param(OLD, OLD, "ab", id="the same members, changed twice"),
    ],
)
def test_nodes_of_two_memberships_refuse_each_other_by_name(
    tmp_path: Path, one: QuorumSystem, other: QuorumSystem, membership: str
) -> None:
    """1 and 2 would be a quorum of either, and choose something together."""
    addresses = free_addresses(5)

    def file(me: ServerId, quorum: QuorumSystem, membership: str) -> FileStore:
        return FileStore.create(
            tmp_path / f"n{me}.db", cluster="demo", server=me, quorum=quorum, membership=membership
        )

    def node(file: FileStore) -> Node[str]:
        known = {it: addresses[it] for it in file.quorum.members}
        return Node(file, NetworkConfig(known), codec=TEXT, timeouts=QUICK)

    async def run() -> None:
        with file(S1, one, "") as first, file(S2, other, membership) as second:
            async with node(first) as n1, node(second) as n2:
                waiting = asyncio.ensure_future(n1.propose("leader", "one"))
                for it in n1, n2:
                    while not it.status().refused.get("other_members"):
                        await asyncio.sleep(0.01)
                with pytest.raises(OutcomeUnknown):
                    await n2.propose("leader", "two", timeout_s=0.1)
                assert not waiting.done()
                waiting.cancel()

    runs(run())
