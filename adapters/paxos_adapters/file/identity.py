"""Whose memory a file is: cluster, server, members with their quorum system, and one membership.

- The quorum system is written in words, in one canonical way: two systems are the same if and only
  if their words are.
- Each change of members draws an id for the new membership, so that a file of an earlier membership
  with the same members does not fit ({1,2,3}, then {1,2,4}, then {1,2,3} again).
- The incarnation is drawn when the file is created. It keys the checksum of each row, so that no
  row is taken from another file.
- The digest is what frames carry: servers of different memberships do not talk to each other.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeAlias

from attrs import Factory, field, frozen

from paxos import QuorumError, QuorumSystem, ServerId, explicit, flexible, weighted
from paxos.errors import assert_never
from paxos.quorum import BySize, ByWeight, Explicit
from paxos_adapters.printable import brief

FORMAT = 2
KEY_BYTES, DIGEST_BYTES = 32, 8
Ids: TypeAlias = frozenset[ServerId]


def words_of(quorum: QuorumSystem) -> str:
    """``quorum`` in canonical words, for example ``counted 1 2 3 phase1 2 phase2 2``."""
    match quorum:
        case BySize():
            members = " ".join(map(str, sorted(quorum.members)))
            return f"counted {members} phase1 {quorum.phase1} phase2 {quorum.phase2}"
        case ByWeight():
            weights = " ".join(f"{it}={weight}" for it, weight in sorted(quorum.weights))
            return f"weighted {weights} phase1 {quorum.phase1} phase2 {quorum.phase2}"
        case Explicit():
            return f"listed phase1 {_lists(quorum.phase1)} phase2 {_lists(quorum.phase2)}"
        case _:
            assert_never(quorum)


def _lists(quorums: frozenset[Ids]) -> str:
    return " ".join(",".join(map(str, it)) for it in sorted(map(sorted, quorums)))


def quorum_of(words: str) -> QuorumSystem:
    """The quorum system that ``words_of`` wrote. Raises ValueError for anything else."""
    try:
        quorum = _parsed(words)
    except QuorumError as error:
        raise ValueError(str(error)) from error
    if words_of(quorum) != words:
        raise ValueError(f"{brief(words)} is not the canonical form of a quorum system")
    return quorum


def _parsed(words: str) -> QuorumSystem:
    kind, _, rest = words.partition(" ")
    members, phase1, phase2 = _parts(rest)
    if kind == "counted":
        ids = map(_id, members.split())
        return flexible(ids, phase1=int(phase1), phase2=int(phase2))
    if kind == "weighted":
        pairs = (it.split("=") for it in members.split())
        weights = {_id(server): int(weight) for server, weight in pairs}
        return weighted(weights, phase1=int(phase1), phase2=int(phase2))
    if kind == "listed" and not members:
        return explicit(phase1=_unlisted(phase1), phase2=_unlisted(phase2))
    raise ValueError(f"{brief(kind)} is not a kind of quorum system")


def _parts(rest: str) -> tuple[str, str, str]:
    members, _, phases = rest.partition("phase1 ")
    phase1, _, phase2 = phases.partition(" phase2 ")
    return members, phase1, phase2


def _unlisted(lists: str) -> list[list[ServerId]]:
    return [[_id(it) for it in quorum.split(",")] for quorum in lists.split()]


def _id(text: str) -> ServerId:
    return ServerId(int(text))


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
