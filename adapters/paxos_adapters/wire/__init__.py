"""The wire of the UDP runtime: messages in authenticated datagrams. No socket and no clock.

    wire = Wire(cluster="demo", me=me, members=members, known=file.peers,
                presence=lambda: file.presence, protection=Signed(Keyring.parse(text)))
    datagrams = wire.seal(receiver, [("leader", message), ...])
    opened = wire.open(datagram)  # or Hostile, whatever the bytes

The format, for other languages: docs/wire.md. Needs the extra ``udp``; ``Encrypted`` the extra
``aead``. Arrows: errors, bounds <- keys, frame <- protection, body, parts <- replays <- wire.
"""

from paxos_adapters.wire.body import Entry
from paxos_adapters.wire.errors import (
    BadKey,
    BadPresence,
    Hostile,
    MissingExtra,
    NotBytes,
    NotDescendedFrom,
    OutOfBounds,
    Reason,
    TooLarge,
    WireError,
)
from paxos_adapters.wire.keys import Key, Keyring
from paxos_adapters.wire.protection import Checked, Encrypted, Protection, Signed
from paxos_adapters.wire.wire import Opened, Wire

__all__ = [
    "BadKey",
    "BadPresence",
    "Checked",
    "Encrypted",
    "Entry",
    "Hostile",
    "Key",
    "Keyring",
    "MissingExtra",
    "NotBytes",
    "NotDescendedFrom",
    "Opened",
    "OutOfBounds",
    "Protection",
    "Reason",
    "Signed",
    "TooLarge",
    "Wire",
    "WireError",
]
