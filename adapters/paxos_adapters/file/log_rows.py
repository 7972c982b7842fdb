"""How a log is written: one row for the replica, one for each entry, one for each snapshot piece.

- The rows stand in the table of all records, under the name of the log. The kinds of entries and
  pieces end in their numbers, so that SQLite has them in their order.
- The row of the replica is written with each commit that is about the log. It says which slots are
  known to be chosen, from which on entries are there, and which snapshot stands for the others.

Source: Ongaro, "Consensus: Bridging Theory and Practice" (2014), section 5, for what a log keeps.
"""

from __future__ import annotations

from attrs import evolve, frozen

from paxos import NO_BALLOT, Ballot, Proposal, ServerId
from paxos.errors import assert_never
from paxos.log import Change, Command, Configuration, Delta, Noop
from paxos.log.memory import FIRST_SLOT
from paxos.log.messages import Entry
from paxos_adapters.file.rows import ENTRY, REPLICA, SNAPSHOT, Row
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.quorum_words import quorum_of, words_of

SLOT_DIGITS, PIECE_DIGITS = 15, 8


@frozen
class LogState:
    """What is durable of a log but for its entries.

    Entries are there from ``floor`` on; ``snapshot`` stands for those below it. ``lease``: how long
    a lease may last that was granted, in milliseconds.
    """

    promised: Ballot = NO_BALLOT
    first: int = FIRST_SLOT
    floor: int = FIRST_SLOT
    configurations: tuple[Configuration, ...] = ()
    snapshot: SnapshotHandle | None = None
    lease: int = 0

    @property
    def snapshot_floor(self) -> int:
        """The slot from which on no snapshot stands for the entries: the only right floor."""
        return FIRST_SLOT if self.snapshot is None else self.snapshot.slot


def after_delta(state: LogState, delta: Delta[bytes]) -> LogState:
    """``state`` once ``delta`` is saved, too."""
    return evolve(
        state,
        promised=delta.promised,
        first=delta.first,
        configurations=delta.configurations,
        floor=max(state.floor, delta.floor),
        lease=delta.lease,
    )


def after_snapshot(state: LogState, handle: SnapshotHandle) -> LogState:
    """``state`` once ``handle`` is the snapshot of the log."""
    return evolve(state, floor=max(state.floor, handle.slot), snapshot=handle)


# --- the replica ----------------------------------------------------------------------------------


def replica_row(name: str, state: LogState, saves: int) -> Row:
    """What a replica must remember."""
    it = state.snapshot
    snapshot = "" if it is None else f"{it.slot} {it.pieces} {it.size_bytes} {it.digest.hex()}"
    configurations = "; ".join(f"{it.slot} {words_of(it.quorum)}" for it in state.configurations)
    lease = f"lease {state.lease}, " if state.lease else ""
    fields = (
        f"promised {state.promised}, first {state.first}, floor {state.floor}, "
        f"{lease}snapshot {snapshot}, configurations {configurations}"
    )
    return Row(name, REPLICA, fields, None, saves)


def replica_of(row: Row) -> LogState:
    """The other way round. Raises ValueError."""
    words, _, configurations = row.fields.partition(", configurations ")
    promised, first, floor, *lease, snapshot = (it.partition(" ")[2] for it in words.split(", "))
    state = LogState(
        _ballot(promised),
        int(first),
        int(floor),
        tuple(_configuration(it) for it in configurations.split("; ")),
        _handle(snapshot) if snapshot else None,
        sum(map(int, lease)),
    )
    if replica_row(row.name, state, row.saves) != row or not 1 <= state.floor <= state.first:
        raise ValueError(f"{row.fields!r} does not go with itself")
    if state.floor != state.snapshot_floor:
        raise ValueError("its snapshot is not that of its floor")
    return state


def _configuration(words: str) -> Configuration:
    slot, _, quorum = words.partition(" ")
    return Configuration(int(slot), quorum_of(quorum))


def _handle(words: str) -> SnapshotHandle:
    slot, pieces, size_bytes, digest = words.split(" ")
    return SnapshotHandle(int(slot), int(pieces), int(size_bytes), bytes.fromhex(digest))


def _ballot(text: str) -> Ballot:
    number, server = text.split(".")
    return Ballot(int(number), ServerId(int(server)))


# --- entries --------------------------------------------------------------------------------------


def entry_kind(slot: int) -> str:
    """The kind of the row of the entry for ``slot``."""
    return f"{ENTRY} {slot:0{SLOT_DIGITS}}"


def slot_of(kind: str) -> int:
    """The slot of an entry or a piece. Raises ValueError."""
    return int(kind.split(" ")[1])


def entry_row(name: str, slot: int, proposal: Proposal[Entry[bytes]], saves: int) -> Row:
    """What is accepted for ``slot``."""
    entry, ballot = proposal.value, proposal.ballot
    kind = entry_kind(slot)
    if type(entry) is Command:
        return Row(name, kind, f"accepted {ballot}", entry.value, saves)
    if type(entry) is Noop:
        return Row(name, kind, f"accepted {ballot} noop", None, saves)
    if type(entry) is Change:
        return Row(name, kind, f"accepted {ballot} change {words_of(entry.quorum)}", None, saves)
    assert_never(entry)


def entry_of(row: Row) -> tuple[int, Proposal[Entry[bytes]]]:
    """The other way round. Raises ValueError."""
    slot = slot_of(row.kind)
    _, ballot, *words = row.fields.split(" ", 2)
    proposal = Proposal(_ballot(ballot), _entry(words[0] if words else "", row.value))
    if slot < FIRST_SLOT or entry_row(row.name, slot, proposal, row.saves) != row:
        raise ValueError(f"{row.fields!r} does not go with its value, or with itself")
    return slot, proposal


def _entry(words: str, value: bytes | None) -> Entry[bytes]:
    if value is not None:
        return Command(value)
    what, _, quorum = words.partition(" ")
    return Change(quorum_of(quorum)) if what == "change" else Noop()


# --- snapshots ------------------------------------------------------------------------------------


def piece_kind(slot: int, index: int) -> str:
    """The kind of the row of one piece of the snapshot that stands for all below ``slot``."""
    return f"{SNAPSHOT} {slot:0{SLOT_DIGITS}} {index:0{PIECE_DIGITS}}"


def piece_row(name: str, slot: int, index: int, piece: bytes, saves: int) -> Row:
    """One piece of a snapshot."""
    return Row(name, piece_kind(slot, index), f"of {len(piece)} bytes", piece, saves)


def piece_of(row: Row) -> tuple[int, int, bytes]:
    """The other way round: slot, index and piece. Raises ValueError."""
    _, slot, index = row.kind.split(" ")
    piece = b"" if row.value is None else row.value
    if piece_row(row.name, int(slot), int(index), piece, row.saves) != row:
        raise ValueError(f"{row.fields!r} does not go with its value, or with itself")
    return int(slot), int(index), piece
