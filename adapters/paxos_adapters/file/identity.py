"""Whose memory a file is: cluster, server, members with their quorum system, and one membership.

- The quorum system is written in words: see ``quorum_words.py``.
- Each change of members draws an id for the new membership. So a file of an earlier membership with
  the same members does not fit ({1,2,3}, then {1,2,4}, then {1,2,3} again).
- The incarnation is drawn when the file is created. It keys the checksum of each row, so that no
  row is taken from another file.
- The digest is what frames carry: servers of different memberships do not talk to each other.
"""

from __future__ import annotations

from hashlib import blake2b

from attrs import Factory, field, frozen

from paxos import QuorumSystem, ServerId
from paxos_adapters.quorum_words import quorum_of

FORMAT = 4
KEY_BYTES, DIGEST_BYTES = 32, 8


def key_of(cluster: str, server: int, words: str, membership: str, incarnation: str) -> bytes:
    """The key of the checksums of such a file."""
    owner = cluster, server, words, membership, incarnation, FORMAT
    return blake2b(ascii(owner).encode(), digest_size=KEY_BYTES).digest()


def _key(it: Identity) -> bytes:
    return key_of(it.cluster, it.server, it.words, it.membership, it.incarnation)


def _digest(it: Identity) -> bytes:
    members = it.cluster, it.words, it.membership
    return blake2b(ascii(members).encode(), digest_size=DIGEST_BYTES).digest()


@frozen
class Identity:
    """Whose memory it is.

    ``words`` is the quorum system in words, ``digest`` stands for the cluster, the quorum system
    and the membership in each frame, ``key`` goes into the checksum of each row.
    """

    cluster: str
    server: ServerId
    words: str
    membership: str
    incarnation: str
    key: bytes = field(init=False, repr=False, default=Factory(_key, takes_self=True))
    digest: bytes = field(init=False, repr=False, default=Factory(_digest, takes_self=True))

    @property
    def quorum(self) -> QuorumSystem:
        """The quorum system, which names the members."""
        return quorum_of(self.words)

    @property
    def members(self) -> str:
        """Quorum system and membership, for people."""
        return f"{self.words}, membership {self.membership or 'the first'}"

    def __str__(self) -> str:
        return f"server {self.server} of cluster {self.cluster!r}"
