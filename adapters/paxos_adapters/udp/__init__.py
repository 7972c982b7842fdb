"""UDP: one socket, the links to the peers over it, and what they know of each other's disks.

A datagram goes endpoint -> wire -> mesh -> node. Arrows point one way: addresses <- endpoint,
peer <- errors, links, registration <- sessions, network <- mesh <- transport.
"""

from paxos_adapters.udp.addresses import Address, BadAddress
from paxos_adapters.udp.endpoint import (
    AddressError,
    Buffers,
    Endpoint,
    SocketAddress,
    resolve,
)
from paxos_adapters.udp.network import NetworkConfig

__all__ = [
    "Address",
    "AddressError",
    "BadAddress",
    "Buffers",
    "Endpoint",
    "NetworkConfig",
    "SocketAddress",
    "resolve",
]
