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
from paxos_adapters.peers import Known, Presence
from paxos_adapters.wire import Checked, Encrypted, Key, Keyring, Protection, Signed, Wire
from paxos_adapters.wire.bounds import MAX_READ, MAX_ROUND, MAX_SERVER, MAX_VALUE_BYTES

ONE, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)
MEMBERS = frozenset({ONE, TWO, THREE})
OLD, NEW = Key(bytes(range(32))), Key(bytes(range(32, 64)))
SIGNED = Signed(Keyring((OLD,)))
PRESENCE = Presence("ab" * 8, 20, "cd" * 8, 10)
KNOWN = Known(PRESENCE.session, PRESENCE.saves)
DIGEST = bytes(range(8))

needs_aead = pytest.mark.skipif(
    find_spec("cryptography") is None, reason="encryption needs the extra 'aead'"
)
WAYS = ["checked", "signed", pytest.param("encrypted", marks=needs_aead)]


def protection(way: str) -> Protection:
    """One of the three."""
    if way == "encrypted":
        return Encrypted(Keyring((OLD,)))
    return SIGNED if way == "signed" else Checked()


class End:
    """A wire, and a presence that tests change."""

    def __init__(
        self,
        me: ServerId,
        protection: Protection = SIGNED,
        *,
        cluster: str = "demo",
        presence: Presence = PRESENCE,
        digest: bytes = DIGEST,
        known: dict[ServerId, Known] | None = None,
    ) -> None:
        self.presence = presence
        self.wire = Wire(
            cluster=cluster,
            me=me,
            members=MEMBERS,
            digest=digest,
            protection=protection,
            presence=lambda _: self.presence,
            known=known or {},
        )

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
