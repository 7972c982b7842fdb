"""A new cluster, made from a backup: the file of each of its servers.

- The whole backup is read, made rows of, and its digest compared before anything is made.
- The cluster has another name, and the id of its membership is drawn here. Both are in each file
  and in the digest of each frame: so a server of the old cluster and one of the new never hear each
  other, whatever keys and addresses they have.
- One call makes the files of all servers. A file that is made later would be of another membership;
  a lost one is replaced as in any cluster.
- Each decision is accepted by all servers under one ballot: it is chosen.
- A log goes on at a slot that the old cluster does not come to. So no session that a client of the
  old cluster has opened since then is one of the new cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex

from attrs import frozen

from paxos import Acceptor, Ballot, Proposal, QuorumSystem, ServerId
from paxos.log import Configuration
from paxos_adapters import arguments
from paxos_adapters.backup.archive import Backup, LogHead, Reading, reading
from paxos_adapters.backup.errors import BadBackup, SameCluster
from paxos_adapters.file.entries import identity_of
from paxos_adapters.file.log_rows import LogState, piece_row, replica_row
from paxos_adapters.file.opening import create
from paxos_adapters.file.rows import Row, acceptor_row
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle
from paxos_adapters.file.store import FileStore
from paxos_adapters.limits import MAX_SLOT
from paxos_adapters.outputs import files_of
from paxos_adapters.replication.snapshots import BadSnapshot, refounded

MEMBERSHIP_BYTES = 16

RESERVED_SLOTS = 1 << 36
"""A restored log begins at the next multiple: four years of 500 slots a second."""

RESTORED = Ballot(1, ServerId(0))
"""Every server has promised it, so none draws it again."""


@frozen
class Restored:
    """A new cluster, and the ``backup`` that it begins with."""

    backup: Backup
    cluster: str
    membership: str


def restore(
    backup: Path, paths: Mapping[ServerId, Path], *, cluster: str, quorum: QuorumSystem
) -> Restored:
    """Make the files of a new cluster, at ``paths``, one for each member that ``quorum`` names.

    The cluster may be started at once, as ``cluster`` and with the membership that is returned.

    Raises BadBackup, SameCluster, BadName, BadNumber, BadArgument, TooLarge and UnknownServer with
    nothing made; StoreExists, StoreLocked and StoreUnavailable, and no server's file is left then.
    """
    whole = _checked(backup, quorum)
    if cluster == whole.header.cluster:
        raise SameCluster(cluster)
    arguments.servers(quorum.members)
    membership = token_hex(MEMBERSHIP_BYTES)
    owners = {me: identity_of(cluster, me, quorum, membership) for me in sorted(quorum.members)}
    made: list[Path] = []
    try:
        for me, identity in owners.items():
            FileStore(create(paths[me], identity, _rows(backup, whole, quorum))).close()
            made.append(paths[me])
    except BaseException:
        for path in made:
            for file in files_of(path):
                with suppress(FileNotFoundError):
                    file.unlink()
        raise
    return Restored(whole, cluster, membership)


def founding_slot(slot: int) -> int:
    """Where a restored log goes on that was applied up to ``slot``."""
    return (slot // RESERVED_SLOTS + 1) * RESERVED_SLOTS


def _checked(backup: Path, quorum: QuorumSystem) -> Backup:
    """What the backup says as a whole, once all rows were made of it. Raises BadBackup."""
    with reading(backup) as source:
        for _ in _rows_of(backup, source, quorum):
            pass
        assert source.whole is not None
        return source.whole


def _rows(backup: Path, whole: Backup, quorum: QuorumSystem) -> Iterator[Row]:
    """What each server begins with. Raises BadBackup."""
    with reading(backup) as source:
        yield from _rows_of(backup, source, quorum)
        if source.whole != whole:
            raise BadBackup(backup, "it was replaced while it was read")


def _rows_of(backup: Path, source: Reading, quorum: QuorumSystem) -> Iterator[Row]:
    try:
        for head, pieces in source.logs():
            yield from _log_rows(head, pieces, quorum)
    except BadSnapshot as error:
        raise BadBackup(backup, str(error)) from error
    for name, value in source.decisions():
        yield acceptor_row(name, Acceptor(RESTORED, Proposal(RESTORED, value)), 1)


def _log_rows(head: LogHead, pieces: Iterable[bytes], quorum: QuorumSystem) -> Iterator[Row]:
    """A log that has its snapshot and nothing else."""
    slot = founding_slot(head.slot)
    if slot > MAX_SLOT:
        raise BadSnapshot(f"the log {head.name!r} has come to slot {head.slot}, near the last one")
    digest = blake2b(digest_size=DIGEST_BYTES)
    index = size_bytes = 0
    for index, piece in enumerate(refounded(pieces, slot, quorum), 1):
        digest.update(piece)
        size_bytes += len(piece)
        yield piece_row(head.name, slot, index - 1, piece, 1)
    handle = SnapshotHandle(slot, index, size_bytes, digest.digest())
    governing = (Configuration(slot, quorum),)
    state = LogState(first=slot, floor=slot, configurations=governing, snapshot=handle)
    yield replica_row(head.name, state, 1)
