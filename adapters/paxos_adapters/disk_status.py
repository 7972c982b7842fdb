"""What a server knows of the disks of its peers, so that one that lost its storage is refused.

A server that has lost what it saved may vote against its own promises. Its own files tell, unless
all of them were lost or restored together; then only its peers can. So each opening of a file draws
a *session*. The file keeps the chain of its sessions, with the count of saves at the end of each.
Each frame says the session, its count, and one entry of the chain: an earlier session and its end.
A peer that knows session s with m saves, and receives session t at count n:

1. t = s: received. What is known only rises.
2. The entry names s with an end of at least m: received, and t with n is known from then on.
3. Otherwise refused, and knowledge does not move. That proves no fault: it may be a late
   datagram of an earlier session. The peer reports (s, m) to the present process of that server.
   That looks into its own chain, and stops only if it lacks s with m.
4. A peer that knows nothing receives any session, and knows it from then on.

A growing count of saves does not prove descent: a restored copy counts on from its own count.

No proof is possible for a copy taken from within the running session, as long as no peer that is up
remembers a later count. Nor is one for a virtual machine that is resumed from a snapshot.

Source: "Protocol-Aware Recovery for Consensus-Based Storage" (Alagappan et al., 2018), for the idea
that peers decide; sessions are held against a model in the tests.
"""

from __future__ import annotations

from attrs import frozen

NO_SESSION = ""
"""The session before the first one."""


@frozen
class DiskStatus:
    """The status of a disk: its session, and how often the file has been saved so far.

    ``previous`` is an earlier session of that file, ``previous_saves`` the count at its end. Before
    the first session there is none, with a count of 0.
    """

    session: str
    saves: int
    previous: str = NO_SESSION
    previous_saves: int = 0


@frozen
class Known:
    """What is known of a peer's disk: a session, and a count of saves that it has reached."""

    session: str
    saves: int


@frozen
class NotDescended:
    """A status that does not prove descent from ``known``, which stays known."""

    known: Known


def check_descent(known: Known | None, status: DiskStatus) -> Known | NotDescended:
    """What is known from now on of a server with this ``status``; NotDescended if it is refused."""
    now = Known(status.session, status.saves)
    if known is None:
        return now
    if status.session == known.session:
        return now if status.saves > known.saves else known
    if status.previous == known.session and status.previous_saves >= known.saves:
        return now
    return NotDescended(known)
