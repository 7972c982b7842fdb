"""A client of a replicated log: for programs that are not servers, on a machine that runs one.

    with Client(["n1.db", "n2.db"], "kv", KEY_VALUE) as kv:
        kv.submit(Put("colour", b"blue"))       # run once, whichever servers are killed
        kv.read(GET, "colour")                  # linearizable

Arrows point one way: errors <- outbox, servers <- asynchronous <- blocking.
"""

from paxos_adapters.arguments import BadArgument, BadNumber
from paxos_adapters.client.asynchronous import AsyncClient
from paxos_adapters.client.blocking import Client
from paxos_adapters.client.errors import ClientClosed, NotReached, Refused, WatchEnded
from paxos_adapters.forks import Forked
from paxos_adapters.replication.snapshots import MissingCodec
from paxos_adapters.requests.errors import (
    BadValue,
    CommandUnknown,
    NoAnswer,
    OutcomeUnknown,
    TooManyRequests,
    UnknownSubmission,
)
from paxos_adapters.threads import ThreadNotStarted
from paxos_adapters.wire import TooLarge

__all__ = [
    "AsyncClient",
    "BadArgument",
    "BadNumber",
    "BadValue",
    "Client",
    "ClientClosed",
    "CommandUnknown",
    "Forked",
    "MissingCodec",
    "NoAnswer",
    "NotReached",
    "OutcomeUnknown",
    "Refused",
    "ThreadNotStarted",
    "TooLarge",
    "TooManyRequests",
    "UnknownSubmission",
    "WatchEnded",
]
