"""What can be wrong with a backup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paxos import OperationalError, ServerId, UsageError
from paxos_adapters.printable import brief


class BadBackup(OperationalError):
    """A file that is not a backup, or is damaged, or cannot be read. Nothing was made from it."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} cannot be restored: {what}. Nothing was made. Copy it anew from where it was "
            "written, or take an older backup."
        )
        self.path, self.what = path, what

    def __reduce__(self) -> tuple[object, ...]:
        return BadBackup, (self.path, self.what)


class SameCluster(UsageError, ValueError):
    """A backup is to be restored under the name of the cluster that it was taken from."""

    def __init__(self, cluster: str) -> None:
        super().__init__(
            f"the backup is of the cluster {brief(cluster)}, and so cannot be restored under that "
            "name: a server that still runs could be taken for one of the new cluster. Choose "
            "another name."
        )
        self.cluster = cluster

    def __reduce__(self) -> tuple[object, ...]:
        return SameCluster, (self.cluster,)


class LogsNotRunning(OperationalError):
    """A server has logs in its file that no program runs there, so nothing can be backed up."""

    def __init__(self, server: ServerId, names: Sequence[str]) -> None:
        logs = " and ".join(map(brief, names))
        super().__init__(
            f"server {server} has {logs} in its file, and no program runs that there: nothing was "
            "written. Ask a server whose program has entered it: node.log(...)."
        )
        self.server, self.names = server, names

    def __reduce__(self) -> tuple[object, ...]:
        return LogsNotRunning, (self.server, self.names)
