"""Everything that a file store can raise: what happened, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paxos import OperationalError, PaxosError, ServerId, UsageError
from paxos_adapters.forks import Forked as Forked
from paxos_adapters.printable import brief

REJOIN = (
    "A server that has lost its memory must not vote under its old id: it could contradict what it "
    "sent. Keep the files as they are, to look into them (paxos inspect); give the server a new id "
    "and a new file, by a change of members (paxos members)."
)


class StoreError(PaxosError):
    """A file that cannot be used as a store, or not any more."""


class StoreExists(StoreError, OperationalError):
    """A store was to be created where there is one, or where there was one."""

    def __init__(self, path: Path, there: str) -> None:
        super().__init__(
            f"{path} cannot be created: {there}. Open it if the server has run before; for a new "
            "server, choose another path."
        )
        self.path = path


class AlreadyAMember(StoreError, UsageError, ValueError):
    """The store of a server that is to join was to be created, under the id of a founder."""

    def __init__(self, server: ServerId, members: Iterable[ServerId]) -> None:
        super().__init__(
            f"server {server} cannot join: the cluster was founded by {sorted(members)}. Nothing "
            "was created. A server that joins takes an id that no server has had; a founder is "
            "created without joining."
        )
        self.server, self.members = server, frozenset(members)

    def __reduce__(self) -> tuple[object, ...]:
        return AlreadyAMember, (self.server, self.members)


class StoreNotFound(StoreError, OperationalError):
    """A store was to be opened where there is none."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} cannot be opened: {what}. That is never taken for a new server. If it is one, "
            f"create its store. If it has run before, its memory is lost. {REJOIN}"
        )
        self.path = path


class NotAStore(StoreError, OperationalError):
    """A file that is something else."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a paxos store. Name the right file.")
        self.path = path


class WrongOwner(StoreError, OperationalError):
    """The store of another server, or of another cluster."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(
            f"{path} belongs to {found}, and was opened for {expected}. A server with the memory "
            "of another one can contradict what that has sent. Name the right file."
        )
        self.path = path


class WrongMembers(StoreError, OperationalError):
    """The store belongs to another membership: other members, or another quorum system."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(
            f"{path} belongs to the membership {found}; it was opened for {expected}. Servers that "
            "do not agree on their members can choose two values. Open it with the members that "
            "it was made for. No description changes members: paxos members does."
        )
        self.path = path
        self.expected = expected
        self.found = found


class MembershipClosed(StoreError, OperationalError):
    """The store was closed for a change of members. No node opens it any more."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} was closed for a change of members ({reason}), so no node opens it any more. "
            "Go on with that change: see paxos members."
        )
        self.path = path
        self.reason = reason


class OlderFormat(StoreError, OperationalError):
    """A store that an earlier version of this library has written."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} has format {found}, and this version reads and writes format {known} only. "
            "Nothing was changed. Close and settle it with the version that wrote it, for the "
            "same members, and adopt that with this version: see paxos members and CHANGELOG.md."
        )
        self.path = path


class NewerFormat(StoreError, OperationalError):
    """A store that a later version of this library has written."""

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} has format {found}, and this version reads formats up to {known}. Use the "
            "version that wrote it, or a later one; nothing was changed."
        )
        self.path = path


class StoreUnavailable(StoreError, OperationalError):
    """The system does not let the file be used."""

    def __init__(self, path: Path, cause: Exception) -> None:
        super().__init__(
            f"{path} cannot be used ({type(cause).__name__}: {cause}); nothing was changed. See to "
            "it that the folder is there, that this process may read and write in it, and that it "
            "is neither full nor mounted read-only."
        )
        self.path = path


class StoreLocked(StoreError, OperationalError):
    """Another process, or this one, has the store open."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is open already, here or in another process. One server has one memory and "
            "one process: stop that one, or use it."
        )
        self.path = path


class StoreCorrupted(StoreError, OperationalError):
    """What was saved is not what is there. Nothing was changed."""

    def __init__(self, path: Path, damage: str) -> None:
        super().__init__(f"{path} is damaged: {damage}. {REJOIN}")
        self.path = path
        self.damage = damage


class SaveFailed(StoreError, OperationalError):
    """A save failed. The store refuses all further saves.

    What was to be saved may be on the disk, whole, or not at all: that cannot be known. A second
    try could seem to succeed without having written anything.
    """

    def __init__(self, path: Path, cause: BaseException) -> None:
        super().__init__(
            f"{path} could not be written ({type(cause).__name__}: {cause}), and this is final: no "
            "answer that depends on it may leave, and no retry can be trusted. Stop the server, "
            "repair the disk, and open the file again: it contains every acknowledged save."
        )
        self.path = path
        self.cause = cause


class Closed(StoreError, UsageError):
    """A store was used after it was closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} has been closed. Open it again.")
        self.path = path


class TooLarge(StoreError, UsageError, ValueError):
    """Something that is out of bounds was to be saved; nothing was."""

    def __init__(self, what: str, size: int, most: int) -> None:
        super().__init__(f"{what} is {size:,}, and at most {most:,} can be saved. Nothing was.")
        self.size = size
        self.most = most


class BadName(StoreError, UsageError, ValueError):
    """A name that cannot be written."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(
            f"{what} {brief(name)} cannot be saved: it is empty, or not text that UTF-8 can write. "
            "Nothing was saved."
        )
        self.name = name


class NotBytes(StoreError, UsageError, TypeError):
    """A value that is not bytes; nothing was saved."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"a value of type {type(value).__name__} was to be saved, and a store takes bytes. "
            "Nothing was saved. Encode values before they come here; a node does it with its codec."
        )


class NotALog(StoreError, UsageError, ValueError):
    """The name of a decision was used for a log, or the other way round."""

    def __init__(self, name: str, is_log: bool) -> None:
        there, asked = ("a log", "a decision") if is_log else ("a decision", "a log")
        super().__init__(
            f"{name!r} is {there} in this file, and was used for {asked}; nothing was changed. A "
            "name is one of both: choose another one."
        )
        self.name, self.is_log = name, is_log

    def __reduce__(self) -> tuple[object, ...]:
        return NotALog, (self.name, self.is_log)


class SnapshotTooFar(StoreError, UsageError, ValueError):
    """A snapshot was to stand for slots that are not known to be chosen."""

    def __init__(self, name: str, slot: int, first: int) -> None:
        super().__init__(
            f"a snapshot of {name!r} would stand for all slots below {slot}, and only those below "
            f"{first} are known to be chosen; nothing was saved. Save that step with it."
        )
        self.name, self.slot, self.first = name, slot, first

    def __reduce__(self) -> tuple[object, ...]:
        return SnapshotTooFar, (self.name, self.slot, self.first)


class OtherSnapshot(StoreError, UsageError, ValueError):
    """A log was to begin at another slot than its snapshot stands for."""

    def __init__(self, name: str, floor: int, slot: int) -> None:
        super().__init__(
            f"the log {name!r} would begin at slot {floor}, and its snapshot stands for all slots "
            f"below {slot}; nothing was saved. Save the snapshot of that slot first, or with it."
        )
        self.name, self.floor, self.slot = name, floor, slot

    def __reduce__(self) -> tuple[object, ...]:
        return OtherSnapshot, (self.name, self.floor, self.slot)


class BadPieces(StoreError, OperationalError):
    """The pieces of a snapshot are not all there, or not those of its digest. Get it again."""

    def __init__(self, name: str, slot: int) -> None:
        super().__init__(
            f"the snapshot of {name!r} up to slot {slot} is not whole, or not as it was sent; it "
            "is not used. Another one will be asked for."
        )
        self.name, self.slot = name, slot

    def __reduce__(self) -> tuple[object, ...]:
        return BadPieces, (self.name, self.slot)


class BadDiskStatus(StoreError, UsageError, ValueError):
    """What is to be known of a peer's disk cannot be; nothing is remembered of it."""

    def __init__(self, known: object) -> None:
        super().__init__(
            f"{brief(known)} cannot be known of a disk: that takes a session of 16 "
            "hexadecimal digits, and a count from 0. Check what comes from a network before it "
            "comes here."
        )


class EpochClosed(StoreError, OperationalError):
    """Something about a decision was to be saved in an epoch that was closed; nothing was."""

    def __init__(self, path: Path, epoch: int) -> None:
        super().__init__(
            f"the members have changed, and epoch {epoch} of the decisions in {path} is closed: "
            "nothing was saved. Decisions go on here once those of the next epoch are adopted."
        )
        self.path, self.epoch = path, epoch

    def __reduce__(self) -> tuple[object, ...]:
        return EpochClosed, (self.path, self.epoch)


class EpochNotClosed(StoreError, UsageError):
    """An epoch of decisions was to be adopted that cannot follow the present one; none was."""

    def __init__(self, path: Path, epoch: int, adopted: int) -> None:
        super().__init__(
            f"{path} cannot adopt epoch {adopted} of the decisions: it is in epoch {epoch}. "
            "Nothing was changed. Close an epoch first, and adopt a later one."
        )
        self.path, self.epoch, self.adopted = path, epoch, adopted

    def __reduce__(self) -> tuple[object, ...]:
        return EpochNotClosed, (self.path, self.epoch, self.adopted)


class EpochOver(StoreError, OperationalError):
    """An epoch of decisions was to be adopted that was closed before; nothing was changed."""

    def __init__(self, path: Path, closed: int) -> None:
        super().__init__(
            f"{path} adopts no epoch of the decisions up to {closed}: that was closed here, and "
            "what is settled for it may be out of date. Adopt the epoch that follows it."
        )
        self.path, self.closed = path, closed

    def __reduce__(self) -> tuple[object, ...]:
        return EpochOver, (self.path, self.closed)


class DiskBusy(StoreError, OperationalError):
    """A save cannot begin now, since another process uses the file. Nothing was written.

    Not a failed save: try again, or let ``save`` wait.
    """

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} cannot be saved to now: {why}. Nothing was written, and nothing is lost. Find "
            "the other process (fuser, lsof), and end it: only the server may use its file."
        )
        self.path = path
        self.why = why
