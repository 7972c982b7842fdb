"""Leases: for a while, acceptors promise nothing to others, so that a leader may read alone.

Source: Gray and Cheriton, "Leases" (1989); Chandra, Griesemer and Redstone, "Paxos Made Live"
(2007), section 5.2, on master leases.

- A Confirm may ask for a lease. An acceptor that grants it raises its promise for no other server
  until its ReleaseTimer: neither by a Prepare nor to campaign itself.
- It saves how long that is before it answers. After a restart it holds back as long, since it does
  not know what it had granted.
- The leader needs no grant of time from itself: a step that promises more ends its leadership.
- An acceptor that has received a higher ballot, or is asked to lead, grants nothing more. So a
  campaign waits for one lease at most.
- A read is answered at once if a phase-2 quorum has granted a lease to a Confirm from ``since`` on.
  The quorum is that of the first open slot: after a change of members, others must have granted.

There is no clock here. The driver of the leader knows when each Confirm was sent, and says with
each read which ones are recent enough. Each lease must end at the leader before it does at an
acceptor: that is the driver's to see to, and rests on a bound of the drift of clocks.
"""

from __future__ import annotations

from typing import TypeAlias, final

from paxos.ballot import NO_BALLOT, Ballot, ServerId
from paxos.log.messages import Confirm
from paxos.quorum import QuorumSystem
from paxos.values import frozen


@final
@frozen
class ReleaseTimer:
    """The lease that was granted to Confirm ``number`` of ``ballot`` is over after ``lease``.

    ``lease`` is in thousandths of the driver's unit of time: milliseconds, for a node.
    """

    ballot: Ballot
    number: int
    lease: int


@final
@frozen
class Grant:
    """A lease that is granted to the server of ``ballot``, by its Confirm ``number``.

    NO_BALLOT: one of before a restart, to a server not known. ``leads_next``: this replica
    campaigns once it is over.
    """

    ballot: Ballot = NO_BALLOT
    number: int = 0
    leads_next: bool = False


Granted: TypeAlias = tuple[tuple[ServerId, int], ...]
"""The servers that have granted a lease to a leader, each with the highest number of a Confirm."""


def may_grant(grant: Grant | None, request: Confirm, longest: int, max_round: int) -> bool:
    """Whether a lease is granted that ``request`` asks for."""
    if not 0 < request.lease <= longest or request.ballot.round < max_round:
        return False
    if grant is None:
        return True
    return grant.ballot.server == request.ballot.server and not grant.leads_next


def granting(grant: Grant | None, request: Confirm) -> Grant:
    """The grant that holds once ``request`` is granted, too: the one that ends last."""
    asked = request.ballot, request.number
    if grant is not None and (grant.ballot, grant.number) > asked:
        return grant
    return Grant(*asked)


def holds_back(grant: Grant | None, ballot: Ballot) -> bool:
    """Whether a promise of ``ballot``, which is above the present one, must wait."""
    return grant is not None and grant.ballot.server != ballot.server


def is_over(grant: Grant | None, timer: ReleaseTimer) -> bool:
    """Whether ``timer`` is that of the grant that holds."""
    return grant is not None and (grant.ballot, grant.number) == (timer.ballot, timer.number)


def with_grant(granted: Granted, sender: ServerId, number: int) -> Granted:
    """``granted``, and ``sender`` has granted a lease to Confirm ``number``."""
    numbers = dict(granted)
    numbers[sender] = max(number, numbers.get(sender, number))
    return tuple(sorted(numbers.items()))


def holds(granted: Granted, since: int, quorum: QuorumSystem) -> bool:
    """Whether ``quorum`` has granted a lease to a Confirm with a number from ``since`` on."""
    return quorum.is_phase2({server for server, number in granted if number >= since})
