"""The second step: what may have been chosen, read from the closed files into one artefact.

- For each name the accepted proposal with the highest ballot. Two values under one ballot prove
  that a server broke the protocol, and end it.
- The highest round of all: promised, accepted, used or seen.
- The files are read as streams, side by side, in the order of their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from heapq import merge
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from secrets import token_hex

from paxos import Acceptor, Proposal, QuorumSystem, ServerId
from paxos_adapters.arguments import servers
from paxos_adapters.file.entries import identity_of
from paxos_adapters.file.reading import Contents, rows
from paxos_adapters.file.rows import ACCEPTOR, ROUND, Row, acceptor_of, round_of
from paxos_adapters.members.artefact import Artefact, Header, Settled, Writing, write
from paxos_adapters.members.errors import (
    Contradiction,
    MayBeSettledTwice,
    NotClosed,
    OtherFile,
    SettledOtherwise,
    TooFewFiles,
    Unfinished,
)
from paxos_adapters.members.holding import Held, held
from paxos_adapters.members.notes import Note
from paxos_adapters.outputs import ARTEFACT, check
from paxos_adapters.quorum_words import words_of

MEMBERSHIP_BYTES = 16


def settle(
    paths: Sequence[Path], quorum: QuorumSystem, out: Path, *, only: bool = False
) -> Artefact:
    """Settle the closed files of old members for the members that ``quorum`` names.

    The artefact is written to ``out``, or found there from an earlier attempt. Needs the files
    themselves, not copies: the id of the new membership is noted in them. ``only``: the caller
    knows that nothing is ever settled from the files that were left out.

    Raises BadNumber, TooLarge, OutputRefused, NotClosed, OtherFile, NamedTwice, TooFewFiles,
    MayBeSettledTwice, SettledOtherwise with nothing changed; Contradiction, ArtefactExists,
    Unfinished with no artefact made; and what reading a file raises.
    """
    words = words_of(quorum)
    servers(quorum.members)
    check(out, ARTEFACT)
    with held(paths) as files:
        old = _checked(files, only=only)
        identity_of(old.identity.cluster, min(quorum.members), quorum, "")
        note = _note(files, words)
        for file in files:
            if file.note is None:
                file.close_with(note)
        header = Header(
            old.identity.cluster,
            words,
            note.membership,
            old.identity.digest.hex(),
            note.files,
        )
        merging = Merging([file.path for file in files])
        try:
            return write(out, Writing(header, merging.settled(), lambda: merging.max_round))
        except OSError as error:
            raise Unfinished(out, error) from error


def _checked(files: Sequence[Held], *, only: bool) -> Contents:
    """Closed files of one membership, a phase-1 quorum of it; what the first one holds."""
    if not files:
        raise TooFewFiles("no server", "any members")
    first = files[0].contents
    named: set[ServerId] = set()
    for file in files:
        identity = file.contents.identity
        if identity.digest != first.identity.digest:
            raise OtherFile(file.path, identity.members, first.identity.members)
        if identity.server in named:
            raise OtherFile(file.path, f"{identity} once more", "one file of each server")
        if not file.is_closed:
            raise NotClosed(file.path, str(identity))
        named.add(identity.server)
    quorum = first.identity.quorum
    if not quorum.is_phase1(named):
        raise TooFewFiles(_named(named), first.identity.members)
    left_out = quorum.members - named
    if quorum.is_phase1(left_out) and not only:
        raise MayBeSettledTwice(_named(left_out), first.identity.members)
    return first


def _named(ids: Set[ServerId]) -> str:
    return ", ".join(f"S{it}" for it in sorted(ids))


def _note(files: Sequence[Held], words: str) -> Note:
    """What an earlier attempt has noted; or a new id. Raises SettledOtherwise."""
    read = tuple(sorted(file.contents.identity.server for file in files))
    notes = [(file.path, file.note) for file in files if file.note is not None]
    for path, note in notes:
        if not note.has(words, read) or note != notes[0][1]:
            raise SettledOtherwise(path, str(note))
    return notes[0][1] if notes else Note(token_hex(MEMBERSHIP_BYTES), words, read)


class Merging:
    """Several closed files, side by side. ``max_round`` is known when ``settled`` has ended."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.max_round = 0
        self._paths = paths

    def settled(self) -> Iterator[Settled]:
        """What is settled for each name. Raises Contradiction, and what reading raises."""
        told = merge(*(rows(path) for path in self._paths), key=attrgetter("name"))
        for name, its in groupby(told, key=attrgetter("name")):
            proposal = self._highest(name, its)
            if proposal is not None:
                yield name, proposal

    def _highest(self, name: str, its: Iterable[Row]) -> Proposal[bytes] | None:
        highest: Proposal[bytes] | None = None
        for row in its:
            if row.kind == ROUND:
                self.max_round = max(self.max_round, round_of(row).round)
            elif row.kind == ACCEPTOR:
                state = acceptor_of(row)
                self.max_round = max(self.max_round, state.promised.round)
                highest = _higher(name, highest, state)
        return highest


def _higher(
    name: str, highest: Proposal[bytes] | None, state: Acceptor[bytes]
) -> Proposal[bytes] | None:
    found = state.accepted
    if found is None or (highest is not None and found.ballot < highest.ballot):
        return highest
    if highest is not None and found.ballot == highest.ballot and found != highest:
        raise Contradiction(name, str(found.ballot))
    return found
