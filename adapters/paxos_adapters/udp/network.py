"""What a server is told about the network: one checked value for a node, a transport, a mesh.

- What can be checked without the server's file is checked when the value is made.
- That the addresses are those of the members is checked against the file: ``check_members``. Those
  of servers that ``joined`` later may be there, too: they count once the server has heard of them.
- Without ``protection`` a checksum finds accidents and nothing else. So that takes addresses of the
  loopback interface, or the word ``insecure``.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import NoneType

from attrs import field, frozen

from paxos import ServerId
from paxos_adapters import arguments
from paxos_adapters.udp.addresses import Address, check_cluster, check_peers, is_loopback
from paxos_adapters.udp.errors import Insecure, NoOtherServer, NotTheMembers
from paxos_adapters.wire import Authenticated, Checksummed, Encrypted, Protection
from paxos_adapters.wire.bounds import DATAGRAM_BYTES, MAX_DATAGRAM_BYTES


@frozen
class NetworkConfig:
    """``addresses`` of all members, and how they reach each other.

    - The others send to ``addresses[me]``. The server listens at ``listen``, or there by
      default. ``("::", port)`` stands for all addresses of this machine, of both families.
    - ``joined`` are those servers that were added to the members later. A member that missed all
      changes may find nobody else at its address.
    - ``protection`` is the same for all servers.
    - ``datagram_bytes``: the largest datagram that this server sends, 1,200 to 16,384 bytes. More
      than 1,200 is for paths that carry so much in one piece: 8,900 for jumbo frames of 9,000.
    - ``strict``: this server waits for proof that no older copy of its file has voted.

    Raises BadNumber; BadArgument; BadAddress for addresses that can never work; Insecure for
    addresses beyond loopback without ``protection``, unless ``insecure``.
    """

    addresses: Mapping[ServerId, Address]
    joined: Set[ServerId] = field(default=frozenset[ServerId](), kw_only=True)
    listen: Address | None = field(default=None, kw_only=True)
    protection: Protection | None = field(default=None, kw_only=True)
    insecure: bool = field(default=False, kw_only=True)
    strict: bool = field(default=False, kw_only=True)
    datagram_bytes: int = field(default=DATAGRAM_BYTES, kw_only=True)

    def __attrs_post_init__(self) -> None:
        arguments.one_of("addresses", self.addresses, Mapping)
        arguments.servers(self.addresses)
        arguments.one_of("joined", self.joined, Set)
        arguments.whole("datagram_bytes", self.datagram_bytes, DATAGRAM_BYTES, MAX_DATAGRAM_BYTES)
        arguments.one_of(
            "protection", self.protection, Checksummed, Authenticated, Encrypted, NoneType
        )
        check_cluster(self.addresses, listen=self.listen, is_any_port=True)
        used = {*self.addresses.values(), *([] if self.listen is None else [self.listen])}
        if exposed := {it for it in used if self.is_exposed(it)}:
            raise Insecure(exposed)

    @property
    def has_keys(self) -> bool:
        """Whether a tag proves the sender of a datagram."""
        return self.protection is not None and type(self.protection) is not Checksummed

    def is_exposed(self, address: Address) -> bool:
        """Whether ``address`` is beyond loopback, and there is neither a key nor ``insecure``."""
        return self.protection is None and not self.insecure and not is_loopback(address)

    def check_members(self, me: ServerId, members: Set[ServerId], *, changed: bool = False) -> None:
        """Raise NotTheMembers unless all that have not ``joined`` are ``members``.

        If the members have ``changed`` since, ``me`` needs an address, and knows the others. If it
        is none of them and is to join, any others will do, as long as there is one. Raises
        BadAddress if another one than ``me`` has the port 0.
        """
        joins = me not in members and not changed
        if (changed or joins) and me not in self.addresses:
            raise NoOtherServer(self.addresses, me)
        if joins and len(self.addresses) == 1:
            raise NoOtherServer(self.addresses, me)
        if not (changed or joins) and self.addresses.keys() - self.joined != members:
            raise NotTheMembers(self.addresses, members)
        check_peers(self.addresses, me)
