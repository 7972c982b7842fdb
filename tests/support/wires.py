"""Two ends of a wire, and messages to send over it; for the tests of the wire."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import combinations, product

import pytest

from paxos import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Chosen,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Query,
    ReadId,
    ServerId,
)
from paxos_adapters.disk_status import DiskStatus, Known
from paxos_adapters.limits import MAX_EPOCH, MAX_ROUND, MAX_SAVES, MAX_SERVER, MAX_VALUE_BYTES
from paxos_adapters.wire import (
    Authenticated,
    Checksummed,
    Control,
    Encrypted,
    Key,
    Keyring,
    Missing,
    Ping,
    Pong,
    Protection,
    Register,
    Removal,
    Wire,
    WireMessage,
)
from paxos_adapters.wire.bounds import MAX_PINGS, MAX_READ, MAX_SEQUENCE, MAX_STEPS
from paxos_adapters.wire.fragments import MAX_PARTS

ONE, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)
MEMBERS = frozenset({ONE, TWO, THREE})
OLD, NEW = Key(bytes(range(32))), Key(bytes(range(32, 64)))
AUTHENTICATED = Authenticated(Keyring((OLD,)))
DISK_STATUS = DiskStatus("ab" * 8, 20, "cd" * 8, 10)
KNOWN = Known(DISK_STATUS.session, DISK_STATUS.saves)
SESSIONS = dict.fromkeys(MEMBERS, DISK_STATUS.session)
DIGEST = bytes(range(8))

needs_aead = pytest.mark.skipif(
    find_spec("cryptography") is None, reason="encryption needs the extra 'aead'"
)
WAYS = ["checksummed", "authenticated", pytest.param("encrypted", marks=needs_aead)]


def protection(way: str) -> Protection:
    """One of the three."""
    if way == "encrypted":
        return Encrypted(Keyring((OLD,)))
    return AUTHENTICATED if way == "authenticated" else Checksummed()


class End:
    """A wire, a disk_status and registered sessions that tests change."""

    def __init__(
        self,
        me: ServerId,
        protection: Protection = AUTHENTICATED,
        *,
        cluster: str = "demo",
        disk_status: DiskStatus = DISK_STATUS,
        digest: bytes = DIGEST,
        registered: dict[ServerId, str] | None = None,
    ) -> None:
        self.disk_status = disk_status
        self.registered = SESSIONS if registered is None else registered
        self.wire = Wire(
            cluster=cluster,
            me=me,
            members=MEMBERS,
            digest=digest,
            protection=protection,
            disk_status=lambda _: self.disk_status,
            registered=lambda peer: self.registered.get(peer),
        )

    def say(self, *lines: WireMessage, receiver: ServerId = TWO) -> tuple[bytes, ...]:
        """The datagrams of ``lines``."""
        return self.wire.seal(receiver, lines)

    def seal(self, *messages: Message[bytes], receiver: ServerId = TWO) -> tuple[bytes, ...]:
        """``messages`` for the decision 'leader'."""
        return self.wire.seal(receiver, [("leader", message) for message in messages])


BEAT = Heartbeat()
BALLOTS = [
    Ballot(*it) for it in product((1, 127, 1 << 32, MAX_ROUND), (ServerId(0), ServerId(MAX_SERVER)))
]
READS = [ReadId(*it) for it in product((0, 1, MAX_READ), repeat=2)]
VALUES = [b"", b"v", bytes(255), bytes(range(256)), b"v" * MAX_VALUE_BYTES]
PROPOSALS = [Proposal(ballot, value) for ballot in BALLOTS for value in VALUES]

MESSAGES: list[Message[bytes]] = [
    BEAT,
    *map(Prepare, BALLOTS),
    *(Promise[bytes](ballot, None) for ballot in BALLOTS),
    *(Promise(ballot, it) for ballot in BALLOTS for it in PROPOSALS if it.ballot <= ballot),
    *(kind(it.ballot, it.value) for kind in (Accept, Accepted, Chosen) for it in PROPOSALS),
    *(Nack(*it) for it in combinations(BALLOTS, 2)),
    *map(Query, READS),
    *(Answer[bytes](read, None) for read in READS),
    *(Answer(READS[-1], it) for it in PROPOSALS),
]
"""Every type of message, with the edges of every field."""

TOLD = [None, KNOWN, Known("ff" * 8, MAX_SAVES), Known("01" * 8, 0)]
CONTROLS: list[Control] = [
    *(Ping(number, known) for number in (0, 1, MAX_PINGS) for known in TOLD),
    *(Pong(1, "ab" * 8, known, votes, 7 * votes) for known in TOLD for votes in (False, True)),
    Pong(1, "ab" * 8, None, False, MAX_STEPS),
    Register(MAX_PINGS),
    Removal(0),
    Removal(MAX_EPOCH),
]
"""Every type of control message, with the edges of every field."""

MISSING = [Missing(*it) for it in product((1, MAX_SEQUENCE), (1, (1 << MAX_PARTS) - 1))]
