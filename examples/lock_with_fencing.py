"""A distributed lock, on three nodes, that is safe although a holder may be paused.

Run it: ``python examples/lock_with_fencing.py``

- The holder that "lock/7" names has the lock in epoch 7, until "lock/7/over" is decided.
- It ends an epoch by giving the lock back; another one, that waits, by losing patience.
  Nobody can tell a dead holder from a paused one, so a holder that was paused may go on writing.
- So the epoch is a fencing number: every write carries it, and the resource refuses a smaller one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket
from tempfile import TemporaryDirectory

from attrs import Factory, define

from paxos import OperationalError, ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, NoAnswer, Node


class FencedOff(OperationalError):
    """The lock was lost meanwhile. Nothing was written; take the lock again."""


@define
class Resource:
    """What the lock guards. A new holder writes first, since that is what raises the fence."""

    epoch: int = 0
    lines: list[str] = Factory(list[str])

    def write(self, epoch: int, line: str) -> None:
        """Append ``line``. Raises FencedOff."""
        if epoch < self.epoch:
            raise FencedOff(f"epoch {epoch} is over, {self.epoch} was here.")
        self.epoch = epoch
        self.lines.append(line)


async def acquire(node: Node[str], holder: str, patience_s: float) -> int:
    """Wait for the lock, and break it after ``patience_s``; the epoch in which it is held.

    ``holder`` is a name that is never used twice, so that it is known whose epoch it is.
    """
    epoch = 1
    while await node.propose(f"lock/{epoch}", holder) != holder:
        try:
            await node.watch(f"lock/{epoch}/over", timeout_s=patience_s)
        except NoAnswer:
            await node.propose(f"lock/{epoch}/over", f"{holder} lost patience")
        epoch += 1
    return epoch


async def release(node: Node[str], epoch: int) -> None:
    """Give the lock back."""
    await node.propose(f"lock/{epoch}/over", "given back")


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
            store = FileStore.create(path, cluster="lock", server=me, quorum=majority(addresses))
            node = Node(stack.enter_context(store), NetworkConfig(addresses), codec=TEXT)
            nodes.append(await stack.enter_async_context(node))
        yield nodes


async def main(patience_s: float = 0.2) -> Resource:
    """A takes the lock and is paused; B breaks it and writes; A comes back too late."""
    resource = Resource()
    with TemporaryDirectory() as folder:
        async with three_nodes(Path(folder)) as (one, two, _):
            epoch_a = await acquire(one, "A", patience_s)
            resource.write(epoch_a, "from A")
            print(f"A holds the lock in epoch {epoch_a}, writes, and is paused.")

            epoch_b = await acquire(two, "B", patience_s)
            resource.write(epoch_b, "from B")
            print(f"B has lost patience, holds the lock in epoch {epoch_b}, and writes.")

            try:
                resource.write(epoch_a, "from A, too late")
            except FencedOff as error:
                print(f"A goes on, and is fenced off: {error}")
            await release(two, epoch_b)
            epoch_a = await acquire(one, "A again", patience_s)
            resource.write(epoch_a, "from A again")
            print(f"B gave the lock back; A holds it in epoch {epoch_a}, and writes.")
    return resource


if __name__ == "__main__":
    asyncio.run(main())
