"""Ports for servers of tests, which no other test takes meanwhile.

- A port that the system chooses may be given to another process as soon as it is let go. So these
  lie below those that Linux gives away, and each stays leased as long as this process lives.
- The lease on a port of UDP is the port of TCP with that number, and the other way round.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator

from paxos import ServerId

LOWEST, HIGHEST = 10_000, 32_000

_leases: list[socket.socket] = []
_numbers = random.SystemRandom()


def _leave() -> None:
    """A forked process has no lease."""
    for lease in _leases:
        lease.close()


os.register_at_fork(after_in_child=_leave)


def free_ports(kind: int = socket.SOCK_DGRAM) -> Iterator[int]:
    """Numbers of ports of loopback that nobody uses, for sockets of that kind."""
    other = socket.SOCK_STREAM if kind == socket.SOCK_DGRAM else socket.SOCK_DGRAM
    while True:
        port = _numbers.randrange(LOWEST, HIGHEST)
        lease = socket.socket(socket.AF_INET, other)
        try:
            lease.bind(("127.0.0.1", port))
            with socket.socket(socket.AF_INET, kind) as wanted:
                wanted.bind(("127.0.0.1", port))
        except OSError:
            lease.close()
        else:
            _leases.append(lease)
            yield port


def free_addresses(count: int, kind: int = socket.SOCK_DGRAM) -> dict[ServerId, tuple[str, int]]:
    """Where servers 1 to ``count`` can listen, on loopback."""
    members = map(ServerId, range(1, count + 1))
    return {me: ("127.0.0.1", port) for me, port in zip(members, free_ports(kind), strict=False)}
