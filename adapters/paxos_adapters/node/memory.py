"""A node without files and sockets, for tests of programs that embed one.

    network = MemoryNetwork(servers=3)
    async with MemoryNode(network, ServerId(1), codec=TEXT) as node:
        ...

- It is the same node, with the same verbs, on a memory and links in this process.
- Messages take no time, and timeouts are short: a test of a program runs in milliseconds.
- A server that has ended is started again by another MemoryNode: it has what it has saved.
"""

from __future__ import annotations

from random import Random
from types import NoneType

from paxos import ServerId
from paxos_adapters import arguments
from paxos_adapters.limits import MAX_S
from paxos_adapters.node.memory_network import MemoryLinks, MemoryNetwork
from paxos_adapters.node.node import BaseNode, V
from paxos_adapters.ports import Codec
from paxos_adapters.single import SingleObserver
from paxos_adapters.timeouts import Timeouts

SHORT_TIMEOUTS = Timeouts(retry_min_s=0.005, retry_max_s=0.1, heartbeat_s=0.01)
"""What is long enough where messages take no time."""


class MemoryNode(BaseNode[V]):
    """One server on ``network``. Belongs to the event loop that it is entered on."""

    def __init__(
        self,
        network: MemoryNetwork,
        server: ServerId,
        *,
        codec: Codec[V],
        timeouts: Timeouts = SHORT_TIMEOUTS,
        random: Random | None = None,
        observer: SingleObserver[bytes] | None = None,
    ) -> None:
        """The node of ``server``. Entering it raises ServerRunning if another one runs.

        Raises BadArgument, and UnknownServer if it is not a member.
        """
        arguments.one_of("network", network, MemoryNetwork)
        arguments.one_of("random", random, Random, NoneType)
        file = network.open_file(server)
        super().__init__(
            file,
            MemoryLinks(network, file),
            codec=codec,
            timeouts=timeouts,
            random=Random(network.random.getrandbits(64)) if random is None else random,
            inline_save_s=MAX_S,
            observer=observer,
        )
