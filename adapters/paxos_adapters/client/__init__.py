"""A client of a replicated log: for programs that are not servers, on a machine that runs one.

    with Client(["n1.db", "n2.db"], "kv", KEY_VALUE) as kv:
        kv.submit(Put("colour", b"blue"))       # run once, whichever servers are killed
        kv.read(GET, "colour")                  # linearizable

Arrows point one way: errors <- outbox, servers <- asynchronous <- blocking.
"""

from paxos_adapters.client.asynchronous import AsyncClient
from paxos_adapters.client.blocking import Client
from paxos_adapters.client.errors import ClientClosed, NotReached, Refused, WatchEnded

__all__ = ["AsyncClient", "Client", "ClientClosed", "NotReached", "Refused", "WatchEnded"]
