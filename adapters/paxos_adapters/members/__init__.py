"""Changing the members of a cluster, on stopped files: close, settle, adopt.

    close_files([n1, n2])                        # the old members' files; no node opens them again
    settle([n1, n2], majority([1, 2, 4]), out)   # once: what may have been chosen, in one artefact
    adopt(out, n1, ServerId(1))                  # a new file for each new member

- Closed first, all before anything is read: a phase-1 quorum of one membership. Then no old phase-2
  quorum can be completed, whatever the servers do whose files were not read. The other files may
  not be a phase-1 quorum too: another cluster could be settled from these.
- Settled once. The id of the new membership is drawn, and noted in each closed file, before there
  is an artefact. A settle that was killed goes on under that id; another one is refused.
- The artefact has, for each name, the accepted proposal with the highest ballot, and the highest
  round of all. So each new phase-1 quorum finds what may have been chosen.
- Adopting makes a new file, whole or not at all, and never changes a closed one. A closed file in
  its place is moved aside.
- Each step may be repeated after a kill, with the same arguments, and then does what was missing.

The new files begin new chains of sessions and know nothing of old ones: frames carry a digest of
the membership, so old servers and files are refused. An artefact may be adopted twice for one id,
since the first new file was lost. That is as bad as a disk that was rolled back, and is for the
peers to refuse.

Source: "Vertical Paxos and Primary-Backup Replication" (Lamport, Malkhi, Zhou, 2009), for reading a
quorum of the old configuration before the new one begins. Model: tests/tools/models/members.py.

Arrows point one way: errors <- notes <- holding, artefact <- closing, settling, adopting.
"""

from paxos_adapters.members.adopting import Adopted, adopt
from paxos_adapters.members.artefact import Artefact, inspect_artefact
from paxos_adapters.members.closing import close_files, reopen_files
from paxos_adapters.members.errors import (
    ArtefactExists,
    BadArtefact,
    Contradiction,
    HoldsLogs,
    IsALink,
    MayBeSettledTwice,
    MembersError,
    NamedTwice,
    NotAMember,
    NotClosed,
    NotReplaced,
    OtherFile,
    SettledOtherwise,
    TooFewFiles,
    Unfinished,
)
from paxos_adapters.members.settling import settle

__all__ = [
    "Adopted",
    "Artefact",
    "ArtefactExists",
    "BadArtefact",
    "Contradiction",
    "HoldsLogs",
    "IsALink",
    "MayBeSettledTwice",
    "MembersError",
    "NamedTwice",
    "NotAMember",
    "NotClosed",
    "NotReplaced",
    "OtherFile",
    "SettledOtherwise",
    "TooFewFiles",
    "Unfinished",
    "adopt",
    "close_files",
    "inspect_artefact",
    "reopen_files",
    "settle",
]
