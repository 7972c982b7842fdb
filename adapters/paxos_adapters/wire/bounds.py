"""Every limit of the wire, on what is sent and on what is kept for a peer.

What a program sends beyond a bound raises before anything leaves; a datagram beyond one is refused.
Two programs that talk to each other have the same bounds: they are part of the format.
"""

from __future__ import annotations

from paxos_adapters.limits import MAX_EPOCH
from paxos_adapters.limits import MAX_NAME_BYTES as MAX_NAME_BYTES
from paxos_adapters.limits import MAX_ROUND as MAX_ROUND
from paxos_adapters.limits import MAX_SAVES as MAX_SAVES
from paxos_adapters.limits import MAX_SERVER as MAX_SERVER
from paxos_adapters.limits import MAX_VALUE_BYTES as MAX_VALUE_BYTES

DATAGRAM_BYTES = 1_200
"""Small enough for IPv6 and its tunnels without being cut up on the way; QUIC starts there too."""

MAX_DATAGRAM_BYTES = 1 << 14
"""What is received. A sender may use it all on a path that takes it: jumbo frames, or loopback."""

MAX_MESSAGES = 256
"""Messages in one datagram."""

MAX_READ = (1 << 64) - 1
"""The session of a read, and its number within: what 64 bits hold."""

MAX_SEQUENCE = (1 << 64) - 1
"""The number of a datagram."""

MAX_PINGS = (1 << 63) - 1
"""The number of a Ping."""

MAX_STEPS = 2 * MAX_EPOCH
"""The steps of all changes of members: each begins and ends."""

MAX_KEYS = 16
"""Keys in a keyring: two are enough to rotate."""

WINDOW = 1_024
"""How far behind the newest datagram of a sender another one can be and still be received."""

MAX_EARLY = 4
"""Sessions of a sender whose numbers are kept before they are registered."""

MAX_UNFINISHED = 8
"""Unfinished bodies of one sender."""

MAX_UNFINISHED_BYTES = 1 << 18
"""What those hold together; room for three whole ones of the largest size, and more."""

MAX_KEPT, MAX_KEPT_BYTES = MAX_UNFINISHED, MAX_UNFINISHED_BYTES
"""Bodies that are kept for one receiver, to send lost parts again: as many as can wait there."""

MAX_REQUESTS = 6
"""How often the parts of a body that does not grow are requested."""

MAX_PROPOSALS = 64
"""Proposals in one message: a piece of a promise, or of what is chosen."""

MAX_QUORUM_BYTES = 1 << 12
"""A quorum system in words, in an entry that changes the members."""

MAX_PIECES, MAX_PIECE_BYTES = 1 << 25, 1 << 15
"""The pieces of a snapshot: a piece fits in one message, and all of them hold a tebibyte."""

MAX_SNAPSHOT_BYTES = MAX_PIECES * MAX_PIECE_BYTES
"""What a snapshot holds."""

SNAPSHOT_DIGEST_BYTES = 16
"""The digest of all pieces of a snapshot."""
