"""What may be saved: bounds on names, numbers and values, checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias, get_args

from paxos import (
    Acceptor,
    Ballot,
    MaxRound,
    Proposal,
    QuorumSystem,
    ServerId,
)
from paxos import server as server_role
from paxos.errors import assert_never
from paxos.log import memory
from paxos.log import messages as log
from paxos_adapters import arguments
from paxos_adapters.arguments import whole
from paxos_adapters.disk_status import Known
from paxos_adapters.file.errors import BadDiskStatus, BadName, NotBytes, TooLarge
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.rows import SESSION_ID, Row, acceptor_row, round_row
from paxos_adapters.file.snapshots import SnapshotHandle
from paxos_adapters.limits import (
    MAX_LEASE_MS,
    MAX_NAME_BYTES,
    MAX_ROUND,
    MAX_SAVES,
    MAX_SLOT,
    MAX_STORED_VALUE_BYTES,
)
from paxos_adapters.quorum_words import MAX_QUORUM_BYTES, words_of

Record: TypeAlias = server_role.Record[bytes]
Entry: TypeAlias = tuple[str, Record]
"""The name of a decision, and what must be durable for it."""

LogRecord: TypeAlias = memory.Record[bytes] | SnapshotHandle
LogEntry: TypeAlias = tuple[str, LogRecord]
"""The name of a log, and what must be durable for it: a step, or that a snapshot is its own now."""

AnyRecord: TypeAlias = Record | LogRecord
AnyEntry: TypeAlias = Entry | LogEntry
"""What one commit may hold."""

MAX_ID = (1 << 63) - 1
"""The id of a server, or its negative: what SQLite has room for, whatever the transport has."""

MEMBERSHIP = re.compile("([0-9a-f]{1,64})?")


def split(entries: Iterable[AnyEntry], saves: int) -> tuple[list[Row], list[LogEntry]]:
    """The rows of the entries about decisions, and the entries about logs. Raises as ``row_of``."""
    rows: list[Row] = []
    of_logs: list[LogEntry] = []
    for name, record in entries:
        if type(record) is Acceptor or type(record) is MaxRound:
            rows.append(row_of(name, record, saves))
        else:
            of_logs.append((name, record))
    return rows, of_logs


def identity_of(cluster: str, server: ServerId, quorum: QuorumSystem, membership: str) -> Identity:
    """Whose memory a file is to be, without an incarnation.

    The server need not be one of the members: it may have joined later. Raises BadName, BadNumber,
    BadArgument, TooLarge.
    """
    check_name("the name of a cluster", cluster)
    arguments.one_of("quorum", quorum, *get_args(QuorumSystem))
    for member in (server, *quorum.members):
        _check_server(ServerId(whole("the id of a server", member)))
    if membership:
        check_name("the id of a membership", membership)
    if not MEMBERSHIP.fullmatch(membership):
        raise BadName("the id of a membership", membership)
    words = words_of(quorum)
    _check("a quorum system in words, in bytes,", len(words), MAX_QUORUM_BYTES)
    return Identity(cluster, server, words, membership, "")


def row_of(decision: str, record: Record, saves: int) -> Row:
    """``record`` as it is written. Raises BadName, TooLarge, NotBytes."""
    check_name("the name of a decision", decision)
    if type(record) is MaxRound:
        _check("a round", record.round, MAX_ROUND)
        return round_row(decision, record, saves)
    if type(record) is Acceptor:
        _check_ballot(record.promised)
        if record.accepted is not None:
            _check_ballot(record.accepted.ballot)
            _check_value(record.accepted.value)
        return acceptor_row(decision, record, saves)
    assert_never(record)


def check_entry(slot: int, proposal: Proposal[log.Entry[bytes]]) -> None:
    """Raise TooLarge or NotBytes for what cannot be written for ``slot`` of a log."""
    _check("a slot", slot, MAX_SLOT)
    _check_ballot(proposal.ballot)
    entry = proposal.value
    if type(entry) is log.Command:
        _check_value(entry.value)
    elif type(entry) is log.Change:
        _check("a quorum system in words, in bytes,", len(words_of(entry.quorum)), MAX_QUORUM_BYTES)


def check_replica(promised: Ballot, first: int, lease: int) -> None:
    """Raise TooLarge for what cannot be written of a replica."""
    _check("a slot", first, MAX_SLOT)
    _check("a lease, in ms,", lease, MAX_LEASE_MS)
    _check_ballot(promised)


def check_known(it: Known) -> None:
    """Raise BadDiskStatus if no disk can be known to be so."""
    if not SESSION_ID.fullmatch(it.session) or not 0 <= it.saves <= MAX_SAVES:
        raise BadDiskStatus(it)


def check_name(what: str, name: str) -> None:
    """Raise BadName or TooLarge for a name that cannot be written."""
    try:
        size = len(str.encode(name))
    except (TypeError, UnicodeEncodeError):
        size = 0
    if not size:
        raise BadName(what, name)
    if size > MAX_NAME_BYTES:
        raise TooLarge(f"{what}, in bytes,", size, MAX_NAME_BYTES)


def _check_value(value: object) -> None:
    if not isinstance(value, bytes):
        raise NotBytes(value)
    if len(value) > MAX_STORED_VALUE_BYTES:
        raise TooLarge("a value, in bytes,", len(value), MAX_STORED_VALUE_BYTES)


def _check_ballot(ballot: Ballot) -> None:
    if ballot.round > MAX_ROUND or abs(ballot.server) > MAX_ID:
        _check("a round", ballot.round, MAX_ROUND)
        _check_server(ballot.server)


def _check_server(server: ServerId) -> None:
    _check("the id of a server", abs(server), MAX_ID)


def _check(what: str, size: int, most: int) -> None:
    if size > most:
        raise TooLarge(what, size, most)
