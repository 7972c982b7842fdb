"""What the program asks of a replica, what a replica tells its program, and why it refuses.

    request                                  report
    Propose(entry)                           Committed(slot, proposals), on every replica
    Read(number)                             Readable(number, first)
    Lead()                                   Elected(ballot)
    SnapshotInstalled(first, ...)
                                             Fetch(receiver, slot)

- Propose and Read are for the leader. Elsewhere they raise NotLeading, and nothing is changed.
- Every slot is committed once on every replica; a snapshot stands for what it leaves out. A report
  may overtake one that waits for a save, so a program that takes further steps during a save
  applies by slot.
- A Fetch is answered from what is durable: by a CatchUp, or by a snapshot.

Source: the lecture, "Multi-Paxos", "Client protocol" and "Full disclosure".
"""

from __future__ import annotations

from typing import Generic, TypeAlias, final

from paxos.ballot import Ballot, Proposal, ServerId, V
from paxos.errors import UsageError
from paxos.log.election import CampaignTimer, HeartbeatTimer
from paxos.log.lease import ReleaseTimer
from paxos.log.memory import Configuration
from paxos.log.messages import Entry, Message
from paxos.messages import From
from paxos.outbound import Broadcast, SetTimer, Tell, To
from paxos.values import frozen


@final
@frozen
class Propose(Generic[V]):
    """Request at the leader: get ``entry`` chosen for the next slot."""

    entry: Entry[V]


@final
@frozen
class Read:
    """Request at the leader: report when a read is linearizable. ``number`` always rises.

    ``since``: the lowest number of a Confirm whose lease has not run out by the clock of the
    program; None: there is none. ``lease``: for how long a lease is asked for; 0: for none.
    """

    number: int
    since: int | None = None
    lease: int = 0


@final
@frozen
class Lead:
    """Request: begin phase 1, even if another replica leads: it hands over to this one.

    If this replica has granted it a lease, then as soon as that is over.
    """


@final
@frozen
class SnapshotInstalled:
    """The program has restored a snapshot of all slots below ``first``.

    ``configurations`` are those that govern the slots from ``first`` on.
    """

    first: int
    configurations: tuple[Configuration, ...]


@final
@frozen
class Committed(Generic[V]):
    """Report: ``proposals`` are chosen for ``slot`` and the slots behind it."""

    slot: int
    proposals: tuple[Proposal[Entry[V]], ...]


@final
@frozen
class Fetch:
    """Report: send ``receiver`` what is durable and chosen from ``slot`` on, or a snapshot."""

    receiver: ServerId
    slot: int


@final
@frozen
class Readable:
    """Report: the read ``number`` is answered by the state after all slots below ``first``.

    None: the leadership has ended; ask the new leader.
    """

    number: int
    first: int | None


@final
@frozen
class Elected:
    """Report: this replica leads under ``ballot``."""

    ballot: Ballot


class NotLeading(UsageError, RuntimeError):
    """A replica that does not lead was asked to propose or to read. ``leader``: which may lead."""

    def __init__(self, me: ServerId, leader: ServerId | None) -> None:
        hint = "no replica is known to lead" if leader is None else f"server {leader} may lead"
        super().__init__(
            f"server {me} does not lead this log, and {hint}; nothing was changed. Ask the leader."
        )
        self.me = me
        self.leader = leader

    def __reduce__(self) -> tuple[object, ...]:
        return NotLeading, (self.me, self.leader)


class WindowFull(UsageError, RuntimeError):
    """All slots of the window are in flight, or quorums govern the next that have not promised."""

    def __init__(self, slot: int) -> None:
        super().__init__(
            f"slot {slot} cannot be proposed yet; nothing was changed. Propose again once more "
            "slots are committed: room() says how many entries there is room for."
        )
        self.slot = slot

    def __reduce__(self) -> tuple[object, ...]:
        return WindowFull, (self.slot,)


Request: TypeAlias = Propose[V] | Read | Lead | SnapshotInstalled
"""What the program asks for."""

LogTimer: TypeAlias = HeartbeatTimer | CampaignTimer | ReleaseTimer
"""What a driver delivers back after a delay."""

Event: TypeAlias = Request[V] | LogTimer | From[Message[V]]
"""Everything that can happen to a replica."""

Report: TypeAlias = Committed[V] | Fetch | Readable | Elected
"""What a replica tells its program."""

Effect: TypeAlias = To[Message[V]] | Broadcast[Message[V]] | SetTimer[LogTimer] | Tell[Report[V]]
"""What a replica wants done."""
