"""The wire of the UDP runtime: messages in authenticated datagrams. No socket and no clock.

    wire = Wire(cluster="demo", me=me, members=members, digest=file.identity.digest,
                disk_status=lambda _: file.disk_status(), protection=Authenticated(keyring),
                registered=lambda peer: sessions.get(peer))
    datagrams = wire.seal(receiver, [("leader", message), ...])
    opened = wire.open(datagram)  # or RejectedDatagram, whatever the bytes

The format, for other languages: docs/wire.md. Needs the extra ``udp``; ``Encrypted`` the extra
``aead``. Arrows: errors, bounds <- keys, sessions, control <- frame <- protection,
fragments <- resending <- replays, body <- wire.
"""

from paxos_adapters.wire.body import NamedMessage, WireMessage
from paxos_adapters.wire.control import Control, Ping, Pong, Register, Removal
from paxos_adapters.wire.errors import (
    BadDiskStatus,
    BadKey,
    MissingExtra,
    NotBytes,
    OutOfBounds,
    Reason,
    RejectedDatagram,
    TooLarge,
    WireError,
)
from paxos_adapters.wire.keys import Key, Keyring
from paxos_adapters.wire.protection import Authenticated, Checksummed, Encrypted, Protection
from paxos_adapters.wire.resending import Missing
from paxos_adapters.wire.wire import Received, Wire

__all__ = [
    "Authenticated",
    "BadDiskStatus",
    "BadKey",
    "Checksummed",
    "Control",
    "Encrypted",
    "Key",
    "Keyring",
    "Missing",
    "MissingExtra",
    "NamedMessage",
    "NotBytes",
    "OutOfBounds",
    "Ping",
    "Pong",
    "Protection",
    "Reason",
    "Received",
    "Register",
    "RejectedDatagram",
    "Removal",
    "TooLarge",
    "Wire",
    "WireError",
    "WireMessage",
]
