"""The third step: a new file for a new member, made from the artefact.

- Made whole or not at all, as any new file. It accepts every settled proposal, and has promised to
  refuse all rounds up to the highest of the artefact: those of its server begin above, too. It
  begins a chain of sessions of its own.
- A closed file of the membership before, in its place, is moved aside with its mark, and says which
  membership followed. Both are linked under their new names before the old names go.
- A file of the new membership that is there already was adopted before, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from paxos import Acceptor, Ballot, ServerId
from paxos_adapters.file.entries import identity_of
from paxos_adapters.file.errors import StoreUnavailable
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.moving import finish_moving, forget_unfinished, move_aside
from paxos_adapters.file.opening import create, place
from paxos_adapters.file.rows import Row, acceptor_row
from paxos_adapters.file.store import FileStore
from paxos_adapters.members.artefact import Artefact, Header, inspect_artefact, reading
from paxos_adapters.members.errors import (
    BadArtefact,
    IsALink,
    NotAMember,
    NotClosed,
    NotReplaced,
    SettledOtherwise,
    Unfinished,
)
from paxos_adapters.members.holding import Held, held
from paxos_adapters.members.notes import Note


@frozen
class Adopted:
    """A new member's file. ``moved`` is where a closed file in its place was moved to."""

    identity: Identity
    artefact: Artefact
    moved: Path | None
    was_there: bool


def adopt(artefact: Path, path: Path, server: ServerId) -> Adopted:
    """Make the file of the new member ``server`` at ``path``, from an artefact.

    Adopt once for each member. If the file is lost afterwards, its server needs a new id, and so a
    change of members: a second file would not know what the first one promised.

    Raises BadArtefact, NotAMember, IsALink, NotClosed, NotReplaced, SettledOtherwise,
    StoreExists, InTheWay, StoreLocked, Unfinished, and what opening a file raises.
    """
    whole = inspect_artefact(artefact)
    header = whole.header
    if server not in header.quorum.members:
        raise NotAMember(server, header.words)
    new = identity_of(header.cluster, server, header.quorum, header.membership)
    path = place(path)
    aside = path.with_name(f"{path.name}-before-{header.membership}")
    was_there = _cleared(path, aside, header, new)
    if not was_there:
        try:
            FileStore(create(path, new, _rows(artefact, whole))).close()
        except StoreUnavailable as error:
            raise Unfinished(path, error.__cause__ or error) from error
    return Adopted(new, whole, aside if aside.exists() else None, was_there)


def _cleared(path: Path, aside: Path, header: Header, new: Identity) -> bool:
    """Have nothing at ``path`` but the new file; whether that is there."""
    finish_moving(path, aside)
    if path.is_symlink():
        raise IsALink(path)
    if not path.exists():
        return False
    with held([path]) as (there,):
        found = there.contents.identity
        is_new = (found.digest, found.server) == (new.digest, new.server)
        if not is_new:
            _check_replaced(there, header, new.server)
        try:
            forget_unfinished(path)
            if not is_new:
                move_aside(path, aside)
        except OSError as error:
            raise Unfinished(path, error) from error
    return is_new


def _rows(artefact: Path, whole: Artefact) -> Iterator[Row]:
    """What the new file begins with. Raises BadArtefact."""
    above = Ballot(whole.max_round + 1, ServerId(0))
    with reading(artefact) as source:
        for name, proposal in source.settled():
            yield acceptor_row(name, Acceptor(above, proposal), 1)
        if source.whole != whole:
            raise BadArtefact(artefact, "it was replaced while it was read")


# --- the file before -----------------------------------------------------------------------------


def _check_replaced(file: Held, header: Header, server: ServerId) -> None:
    """Whether ``file`` may be moved aside: closed, and of the membership that is followed."""
    found = file.contents.identity
    if (found.server, found.digest.hex()) != (server, header.before):
        what = f"server {server} of cluster {header.cluster!r} in the membership before"
        raise NotReplaced(file.path, f"{found}, {found.members}", what)
    if not file.is_closed:
        raise NotClosed(file.path, str(found))
    if file.note is not None and file.note.membership != header.membership:
        raise SettledOtherwise(file.path, str(file.note))
    if file.note is None:  # It was not read, and is closed for good anyway.
        file.close_with(Note(header.membership, header.words, header.files))
