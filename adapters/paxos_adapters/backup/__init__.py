"""Backups of a cluster that runs, and new clusters made from them.

    await back_up(node, Path("nightly"))                         one file, from a node that runs
    restore(Path("nightly"), files, cluster="new", quorum=...)   the files of a new cluster

- A backup has, of each log that the server runs, what was applied after some slot; of decisions
  what is known to be chosen. No promise is in it, and no vote: no server starts from it.
- What is made from it is another cluster, with a name of its own and a membership that is drawn
  anew. Its servers and those of the old cluster refuse each other's files and datagrams.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), 5.5, for the snapshots.

Arrows point one way: errors <- archive <- restoring, taking.
"""

from paxos_adapters.backup.archive import Backup, Header, LogHead, inspect_backup
from paxos_adapters.backup.errors import BadBackup, LogsNotRunning, SameCluster
from paxos_adapters.backup.restoring import Restored, restore
from paxos_adapters.backup.taking import back_up

__all__ = [
    "Backup",
    "BadBackup",
    "Header",
    "LogHead",
    "LogsNotRunning",
    "Restored",
    "SameCluster",
    "back_up",
    "inspect_backup",
    "restore",
]
