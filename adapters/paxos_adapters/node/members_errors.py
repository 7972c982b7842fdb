"""What is raised about the members of a running cluster: what happened, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Set

from paxos import OperationalError, PaxosError, ServerId, UnknownServer, UsageError
from paxos.errors import assert_never
from paxos_adapters.limits import MAX_DEPLOYED
from paxos_adapters.replication import membership
from paxos_adapters.replication.membership import Membership, Refusal
from paxos_adapters.words import servers as named


class MembershipChanging(OperationalError):
    """Another change of members is in progress; nothing was begun."""

    def __init__(self, epoch: int, logs: Collection[str]) -> None:
        super().__init__(
            f"the change to epoch {epoch} of the members is in progress, and waits for "
            f"{_listed(logs)}; nothing was begun. Wait until it is finished. If a server that it "
            "brings in is lost, remove that."
        )
        self.epoch, self.logs = epoch, tuple(logs)

    def __reduce__(self) -> tuple[object, ...]:
        return MembershipChanging, (self.epoch, self.logs)


class ChangeUnfinished(OperationalError, TimeoutError):
    """A change of members has begun, and was not finished in time. It goes on by itself."""

    def __init__(self, epoch: int, logs: Collection[str]) -> None:
        super().__init__(
            f"the change to epoch {epoch} of the members has begun, and waits for "
            f"{_listed(logs)}. It goes on by itself as long as a quorum is up. Ask for the same "
            "change again to wait for its end. Do not stop a server that it removes before."
        )
        self.epoch, self.logs = epoch, tuple(logs)

    def __reduce__(self) -> tuple[object, ...]:
        return ChangeUnfinished, (self.epoch, self.logs)


class NotAllStarted(OperationalError, TimeoutError):
    """Servers have not said which logs they have: the first change waits for them."""

    def __init__(self, servers: Set[ServerId]) -> None:
        super().__init__(
            f"the first change of the members waits until {named(servers)} can say which logs "
            "they have; nothing was begun. Start what is stopped. A server that is lost need not "
            "be there if this change removes it, as long as a quorum is."
        )
        self.servers = frozenset(servers)

    def __reduce__(self) -> tuple[object, ...]:
        return NotAllStarted, (self.servers,)


class IdUsed(UsageError, ValueError):
    """A server was to be added under an id that one has, or had."""

    def __init__(self, server: ServerId, is_member: bool) -> None:
        has = "is a member" if is_member else "was a member, and an id is never used again"
        super().__init__(f"server {server} {has}; nothing was begun. Take another id.")
        self.server, self.is_member = server, is_member

    def __reduce__(self) -> tuple[object, ...]:
        return IdUsed, (self.server, self.is_member)


class NotAMember(UnknownServer):
    """A server was to be removed, or moved, that is not a member."""

    def __init__(self, server: ServerId, members: Set[ServerId]) -> None:
        ValueError.__init__(
            self,
            f"server {server} is not a member, only {named(members)}; nothing was begun. Name one "
            "of them.",
        )
        self.server, self.members = server, frozenset(members)

    def __reduce__(self) -> tuple[object, ...]:
        return NotAMember, (self.server, self.members)


class AddressTaken(UsageError, ValueError):
    """A server was to be at an address that another one has."""

    def __init__(self, server: ServerId) -> None:
        super().__init__(
            f"this is the address of server {server}; nothing was begun. Give each its own. The "
            "address of a server that is removed is free once that change is finished."
        )
        self.server = server

    def __reduce__(self) -> tuple[object, ...]:
        return AddressTaken, (self.server,)


class BadMemberCount(UsageError, ValueError):
    """There would be too few or too many members."""

    def __init__(self, members: int) -> None:
        super().__init__(
            f"there would be {members} members, and 1 to {MAX_DEPLOYED} can be; nothing was begun."
        )
        self.members = members

    def __reduce__(self) -> tuple[object, ...]:
        return BadMemberCount, (self.members,)


def error_of(state: Membership, refusal: Refusal) -> PaxosError:
    """What to raise for a command that was refused in ``state``."""
    match refusal:
        case membership.Changing(epoch, logs):
            return MembershipChanging(epoch, logs)
        case membership.OtherEpoch(epoch):
            return MembershipChanging(epoch, membership.unfinished(state))
        case membership.NotStarted(servers):
            return NotAllStarted(servers)
        case membership.IdUsed(server, is_member):
            return IdUsed(server, is_member)
        case membership.NotMember(server):
            return NotAMember(server, membership.ids(state))
        case membership.AddressUsed(server):
            return AddressTaken(server)
        case membership.BadCount(members):
            return BadMemberCount(members)
        case _:
            assert_never(refusal)


def _listed(logs: Collection[str]) -> str:
    names = ("named decisions" if it == membership.DECISIONS else repr(it) for it in logs)
    return ", ".join(names) or "no log"
