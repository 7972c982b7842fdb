"""Feature flags that all agree on: named versions, writers that retry, readers that follow.

Run it: ``python examples/feature_flags.py``

- "flags/3" is decided once, and is all the flags there are in version 3.
- To change a flag is to propose the next version. Was another one chosen, then the change goes on
  top of that one: two writers at once lose nothing.
- A reader follows, version by version, and sees every one of them in the same order as all others.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from tempfile import TemporaryDirectory

from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node


async def change(node: Node[str], flag: str, on: bool) -> int:
    """Switch one flag, and leave the others as they are; the version that says so."""
    flags: dict[str, bool] = {}
    version = 1
    while (found := await node.read(f"flags/{version}")) is not None:
        flags, version = json.loads(found.value), version + 1
    while True:
        wanted = json.dumps(flags | {flag: on}, sort_keys=True)
        chosen = await node.propose(f"flags/{version}", wanted)
        if chosen == wanted:  # no matter by which server: it says what we want
            return version
        flags, version = json.loads(chosen), version + 1


async def follow(node: Node[str]) -> AsyncGenerator[dict[str, bool], None]:
    """Every version, from the first on, as soon as there is one."""
    version = 1
    while True:
        yield json.loads(await node.watch(f"flags/{version}"))
        version += 1


@asynccontextmanager
async def three_nodes(folder: Path) -> AsyncGenerator[list[Node[str]], None]:
    """Three nodes in this process, each with a file and a free port of this machine."""
    async with AsyncExitStack() as stack:
        sockets = [stack.enter_context(socket(AF_INET, SOCK_DGRAM)) for _ in range(3)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        addresses = {ServerId(number): it.getsockname() for number, it in enumerate(sockets, 1)}
        nodes = list[Node[str]]()
        for me, it in zip(addresses, sockets, strict=True):
            it.close()
            path = folder / f"n{me}.db"
            store = FileStore.create(path, cluster="flags", server=me, quorum=majority(addresses))
            node = Node(stack.enter_context(store), NetworkConfig(addresses), codec=TEXT)
            nodes.append(await stack.enter_async_context(node))
        yield nodes


async def read_until(node: Node[str], flags: set[str]) -> list[dict[str, bool]]:
    """The versions that a reader sees until all of ``flags`` are there."""
    seen: list[dict[str, bool]] = []
    async with aclosing(follow(node)) as versions:
        async for version in versions:
            seen.append(version)
            if version.keys() >= flags:
                break
    return seen


async def main() -> list[list[dict[str, bool]]]:
    """Two writers switch on a flag each, at once; two readers follow; what each has seen."""
    with TemporaryDirectory() as folder:
        async with three_nodes(Path(folder)) as (one, two, three):
            both = {"dark mode", "new search"}
            readers = [asyncio.create_task(read_until(node, both)) for node in (two, three)]
            writers = change(one, "dark mode", True), change(three, "new search", True)
            print(f"the changes are in the versions {sorted(await asyncio.gather(*writers))}")
            seen = await asyncio.gather(*readers)
    for number, versions in enumerate(seen, 1):
        print(f"reader {number} saw {versions}")
    return seen


if __name__ == "__main__":
    asyncio.run(main())
