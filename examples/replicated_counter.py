"""One of three servers that count together: a replicated state machine on files and UDP.

Run it: ``python examples/replicated_counter.py 1 new``, and the same with 2 and 3 in two other
terminals. Kill the one that leads: the others go on. Start it again without ``new``: it has what it
has saved.
"""

import asyncio
import sys

from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.state_machines import COUNTER

ADDRESSES = {ServerId(number): ("127.0.0.1", 47_190 + number) for number in (1, 2, 3)}


async def main(me: ServerId) -> None:
    """Add one, again and again."""
    use = FileStore.create if "new" in sys.argv else FileStore.open
    with use(f"n{me}.db", cluster="count", server=me, quorum=majority(ADDRESSES)) as file:
        node = Node(file, NetworkConfig(ADDRESSES), codec=TEXT)
        async with node, node.log("counter", COUNTER) as counter:
            while True:
                total = await counter.submit(1)  # chosen, and run exactly once
                print(total, counter.status().leader, flush=True)
                await asyncio.sleep(0.5)


if __name__ == "__main__":
    asyncio.run(main(ServerId(int(sys.argv[1]))))
