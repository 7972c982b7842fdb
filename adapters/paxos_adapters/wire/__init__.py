"""The wire of the UDP runtime: messages in authenticated datagrams. No socket and no clock.

    wire = Wire(cluster="demo", me=me, members=members, digest=file.identity.digest,
                presence=lambda _: file.presence(), protection=Signed(Keyring.parse(text)),
                registered=lambda peer: sessions.get(peer))
    datagrams = wire.seal(receiver, [("leader", message), ...])
    opened = wire.open(datagram)  # or Hostile, whatever the bytes

The format, for other languages: docs/wire.md. Needs the extra ``udp``; ``Encrypted`` the extra
``aead``. Arrows: errors, bounds <- keys, sessions, control <- frame <- protection, parts <-
resending <- replays, body <- wire.
"""

from paxos_adapters.wire.body import Entry, Line
from paxos_adapters.wire.control import Control, Ping, Pong, Register
from paxos_adapters.wire.errors import (
    BadKey,
    BadPresence,
    Hostile,
    MissingExtra,
    NotBytes,
    OutOfBounds,
    Reason,
    TooLarge,
    WireError,
)
from paxos_adapters.wire.keys import Key, Keyring
from paxos_adapters.wire.protection import Checked, Encrypted, Protection, Signed
from paxos_adapters.wire.resending import Missing
from paxos_adapters.wire.wire import Opened, Wire

__all__ = [
    "BadKey",
    "BadPresence",
    "Checked",
    "Control",
    "Encrypted",
    "Entry",
    "Hostile",
    "Key",
    "Keyring",
    "Line",
    "Missing",
    "MissingExtra",
    "NotBytes",
    "Opened",
    "OutOfBounds",
    "Ping",
    "Pong",
    "Protection",
    "Reason",
    "Register",
    "Signed",
    "TooLarge",
    "Wire",
    "WireError",
]
