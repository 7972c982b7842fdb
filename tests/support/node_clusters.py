"""Clusters of nodes for tests that run on both kinds: on files and UDP, and in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Protocol, TypeAlias

from paxos import ServerId
from paxos_adapters.codecs import TEXT
from paxos_adapters.node import MemoryNetwork, MemoryNode
from paxos_adapters.node.node import BaseNode
from tests.paxos_adapters.node.test_node import running


class NodeCluster(Protocol):
    """Servers that can be stopped and started; those that run are ``nodes``."""

    @property
    def nodes(self) -> Mapping[ServerId, BaseNode[str]]: ...

    async def start(self, me: ServerId) -> BaseNode[str]: ...

    async def stop(self, me: ServerId) -> None: ...


NewCluster: TypeAlias = Callable[[int], AbstractAsyncContextManager[NodeCluster]]
"""Starts so many servers; leaving it stops them."""


class MemoryNodes:
    """Servers in memory."""

    def __init__(self, size: int = 3) -> None:
        self.network = MemoryNetwork(size, random=Random(size))
        self.nodes: dict[ServerId, MemoryNode[str]] = {}

    async def start(self, me: ServerId) -> MemoryNode[str]:
        node = MemoryNode(self.network, me, codec=TEXT)
        await node.__aenter__()
        self.nodes[me] = node
        return node

    async def stop(self, me: ServerId) -> None:
        await self.nodes.pop(me).close()


@asynccontextmanager
async def in_memory(size: int = 3) -> AsyncGenerator[MemoryNodes, None]:
    cluster = MemoryNodes(size)
    for me in sorted(cluster.network.quorum.members):
        await cluster.start(me)
    try:
        yield cluster
    finally:
        for me in list(cluster.nodes):
            await cluster.stop(me)


def new_cluster(kind: str, folder: Path) -> NewCluster:
    """``kind``: files, or memory."""

    @asynccontextmanager
    async def on_files(size: int) -> AsyncGenerator[NodeCluster, None]:
        async with running(folder, size) as cluster:
            yield cluster

    @asynccontextmanager
    async def anew(size: int) -> AsyncGenerator[NodeCluster, None]:
        async with in_memory(size) as cluster:
            yield cluster

    return on_files if kind == "files" else anew
