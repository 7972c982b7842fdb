"""Backups for tests: written by hand, from a state machine that has run some commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from paxos import Proposal, ServerId, majority
from paxos.log import Command as Chosen
from paxos.log.messages import Entry
from paxos.log.replica import DEFAULT_RULES
from paxos_adapters.backup.archive import Backup, Decision, Header, LogHead, Writing
from paxos_adapters.outputs import create_in_parts
from paxos_adapters.quorum_words import words_of
from paxos_adapters.replication.applying import Applied, applied, started
from paxos_adapters.replication.batches import Commands, Opening, batch, encoded
from paxos_adapters.replication.snapshots import Codecs, codecs_of, pieces, restored
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import Command, KeyValues, Result
from tests.support import ballot

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

OLD = majority(map(ServerId, (1, 2, 3)))
NONCE = 7
CODECS = codecs_of(KEY_VALUE)


def ran(commands: Iterable[Command]) -> tuple[Applied[KeyValues, Result], int]:
    """What is applied once one client has opened a session and run ``commands``; its session."""
    before: Applied[KeyValues, Result] = started(KEY_VALUE, OLD)
    session = before.slot << 16
    numbered = [(it, CODECS.commands.encode(command)) for it, command in enumerate(commands, 1)]
    for item in Opening(NONCE), Commands(session, 1, numbered):
        entry: Proposal[Entry[bytes]] = Proposal(ballot("1.1"), Chosen(batch([encoded(item)])))
        before, _ = applied(KEY_VALUE, CODECS.commands, DEFAULT_RULES.window, before, entry)
    return before, session


def written(
    path: Path,
    *logs: tuple[str, Applied[KeyValues, Result]],
    decisions: Iterable[Decision] = (),
    cluster: str = "c",
    names_of: Iterable[int] = (1, 2),
) -> Backup:
    """A backup at ``path``."""
    served = tuple([ServerId(it) for it in names_of])
    header = Header(cluster, words_of(OLD), "", ServerId(1), served)
    parts = [(LogHead(name, it.slot), pieces(CODECS, it)) for name, it in logs]
    writing = Writing(header, parts, decisions)
    create_in_parts(path, writing.lines())
    assert writing.whole is not None
    return writing.whole


def stands_for(codecs: Codecs[S, C, R], stream: Iterable[bytes]) -> Applied[S, R]:
    """What the pieces of a snapshot stand for, of a version that these codecs have."""
    found = restored(codecs, stream)
    assert isinstance(found, Applied)
    return found
