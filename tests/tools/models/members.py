"""Change of members, on stopped files: close, settle, adopt.

The rules:

- *Identity.* Members, quorum system and an id drawn for this membership. Every frame carries their
  digest: files and frames of another membership are not heard.
- *Close* the old files, one after the other, all before anything else: a phase-1 quorum of one
  membership. No node opens a closed file. Closing is undone only while no settle has noted its id
  in that file.
- *Settle* once. It notes the new id in each closed file, and refuses a file that has another note.
  Then there is one artefact: the accepted proposal with the highest ballot among those files.
- *Adopt.* A new file for each new member, made from the artefact: the settled proposal is accepted,
  and the promise is above all rounds of the files, so new rounds are. The closed file stays closed.

Every phase-1 quorum of the new members sees what may have been chosen, and no old phase-2 quorum
can be completed, whatever the servers do whose files were not read. Any step may be the last
before a crash; the others go on, and whatever was begun may be taken up again.

The model has one name. Old members run Paxos with ballots 1 and 2, in which a and b are proposed;
ballot 1 needs no phase 1. New members run it with ballots 3 and 4, and c and d. Messages are lost,
late and repeated. An adopted proposal counts as a vote, since a quorum read counts it as one.
Claims: at most one value is chosen, in both memberships together; and while a new ballot is being
prepared, no promise tells of that ballot or of a higher one: it would count as a broken protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import cache
from itertools import combinations
from typing import NamedTuple, TypeAlias


class Broken(Enum):
    """The broken variants; each replaces one clause of the rules."""

    DESCRIPTION_EDITED = "description edited, no digest"
    SHORT_OF_A_PHASE_1_QUORUM = "files short of a phase-1 quorum"
    PHASE_2_QUORUM_OF_FILES = "files of a phase-2 quorum instead of a phase-1 quorum"
    CONVERTED_ONE_BY_ONE = "converted one by one while others run"
    UNREAD_FILE_JOINS = "an unread old file joins"
    OWN_CHOICE_OF_FILES = "each settles from files of its own choice, under one id"
    OLD_FRAMES_HEARD = "old frames heard"
    ADOPTED_TWICE = "adopted twice for one id, after its new file was lost"
    REOPENED_AFTER_SETTLE = "reopened after it was settled"
    SETTLED_AGAIN_FROM_OTHERS = "settled again, from a phase-1 quorum that shares no file"
    ROUNDS_BEGIN_ANEW = "rounds begin anew"


Ids: TypeAlias = tuple[int, ...]
Proposal: TypeAlias = tuple[int, str]
"""A ballot and its value."""

NONE: Proposal = (0, "")


class Members(NamedTuple):
    """The servers of a membership, and how many of them are a quorum in each phase."""

    ids: Ids
    phase_1: int
    phase_2: int


def majority(*ids: int) -> Members:
    """More than half of ``ids``."""
    return Members(ids, len(ids) // 2 + 1, len(ids) // 2 + 1)


class Scope(NamedTuple):
    """From which members to which; which files each settle reads. Each makes a membership."""

    old: Members
    new: Members
    files: tuple[Ids, ...]
    broken: Broken | None = None
    ballots: Ids = (3,)


class Acceptor(NamedTuple):
    """What an acceptor has saved, and every answer and vote that it has sent."""

    promised: int = 0
    accepted: Proposal = NONE
    answers: tuple[tuple[int, Proposal], ...] = ()
    votes: tuple[Proposal, ...] = ()


ABSENT = Acceptor(-1)
"""A member that has no file yet."""


class OldFile(NamedTuple):
    """A file of the old membership; ``note`` says which settle has read it."""

    acceptor: Acceptor = Acceptor()
    is_closed: bool = False
    note: int = -1


class Membership(NamedTuple):
    """A new membership: its artefact, its members' files, what is proposed under its ballots."""

    artefact: Proposal | None = None
    files: tuple[Acceptor, ...] = ()
    proposals: tuple[str, ...] = ()


class State(NamedTuple):
    """The old files, what the old members propose under ballot 2, and the new memberships."""

    old: tuple[OldFile, ...]
    value_2: str
    new: tuple[Membership, ...]


def start(scope: Scope) -> State:
    """Nothing has happened."""
    count = 1 if scope.broken is Broken.OWN_CHOICE_OF_FILES else len(scope.files)
    empty = Membership(None, (ABSENT,) * len(scope.new.ids), ("",) * len(scope.ballots))
    return State((OldFile(),) * len(scope.old.ids), "", (empty,) * count)


# --- what must hold ------------------------------------------------------------------------------

TWO_VALUES = "two values are chosen"
EVIDENCE = "an honest promise seems to break the protocol"


def wrong(scope: Scope, state: State) -> str:
    """What is wrong in a state."""
    chosen = {value for _, value in _chosen(scope.old, _voters(scope, state, -1))}
    for number in range(len(state.new)):
        chosen |= {value for _, value in _chosen(scope.new, _voters(scope, state, number))}
    if len(chosen) > 1:
        return TWO_VALUES
    for new in state.new:
        told = [answer for it in new.files for answer in it.answers]
        for ballot, value in zip(scope.ballots, new.proposals, strict=True):
            if not value and any(at == ballot <= held[0] for at, held in told):
                return EVIDENCE
    return ""


def _chosen(members: Members, voters: dict[int, list[Acceptor]]) -> set[Proposal]:
    found: dict[Proposal, int] = {}
    for server in members.ids:
        for vote in {vote for it in voters.get(server, ()) for vote in it.votes}:
            found[vote] = found.get(vote, 0) + 1
    return {vote for vote, count in found.items() if count >= members.phase_2}


def _voters(scope: Scope, state: State, number: int) -> dict[int, list[Acceptor]]:
    """Whose messages are heard, by server: in the old membership (-1), or in a new one."""
    is_pooled = scope.broken in (Broken.OLD_FRAMES_HEARD, Broken.DESCRIPTION_EDITED)
    heard: dict[int, list[Acceptor]] = {}
    if number < 0 or is_pooled:
        for server, old in zip(scope.old.ids, state.old, strict=True):
            heard.setdefault(server, []).append(old.acceptor)
    for at, new in enumerate(state.new):
        if at == number or is_pooled:
            for server, file in zip(scope.new.ids, new.files, strict=True):
                if file != ABSENT:
                    heard.setdefault(server, []).append(file)
    return heard


# --- steps ---------------------------------------------------------------------------------------


def steps(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    """All that can happen next."""
    groups = _alike(scope)
    for name, after in _all_steps(scope, state):
        yield name, _named_anew(scope, after, groups)


@cache
def _alike(scope: Scope) -> tuple[Ids, ...]:
    """The servers in groups: members of the same memberships, whose files the same settles read."""
    groups: dict[tuple[bool, ...], Ids] = {}
    for server in sorted({*scope.old.ids, *scope.new.ids}):
        roles = [scope.old.ids, scope.new.ids, *scope.files]
        role = tuple(server in ids for ids in roles)
        groups[role] = (*groups.get(role, ()), server)
    return tuple(ids for ids in groups.values() if len(ids) > 1)


def _named_anew(scope: Scope, state: State, groups: tuple[Ids, ...]) -> State:
    """One state for all that differ only in the names of servers that are alike."""
    if not groups:
        return state
    old = dict(zip(scope.old.ids, state.old, strict=True))
    new = [dict(zip(scope.new.ids, it.files, strict=True)) for it in state.new]
    for ids in groups:
        held = sorted(
            (old.get(it, OldFile()), tuple(files.get(it, ABSENT) for files in new)) for it in ids
        )
        for server, (file, others) in zip(ids, held, strict=True):
            old[server] = file
            for files, other in zip(new, others, strict=True):
                files[server] = other
    return State(
        tuple(old[it] for it in scope.old.ids),
        state.value_2,
        tuple(
            it._replace(files=tuple(files[server] for server in scope.new.ids))
            for it, files in zip(state.new, new, strict=True)
        ),
    )


def _all_steps(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    yield from _old_steps(scope, state)
    if scope.broken not in (Broken.DESCRIPTION_EDITED, Broken.CONVERTED_ONE_BY_ONE):
        yield from _closing(scope, state)
        yield from _settling(scope, state)
    yield from _adopting(scope, state)
    for number in range(len(state.new)):
        yield from _new_steps(scope, state, number)


def _old_steps(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    proposals = {1: "a", 2: state.value_2}
    if scope.broken in (Broken.OLD_FRAMES_HEARD, Broken.DESCRIPTION_EDITED):
        proposals |= dict(zip(scope.ballots, state.new[0].proposals, strict=True))
    for at, file in enumerate(state.old):
        if not file.is_closed:
            for name, acceptor in _acceptor_steps(file.acceptor, proposals, (2,)):
                after = file._replace(acceptor=acceptor)
                yield f"{scope.old.ids[at]} {name}", _put_old(state, at, after)
    if not state.value_2:
        for value in _proposable(scope.old, _voters(scope, state, -1), 2, "b"):
            yield f"old members propose {value}", state._replace(value_2=value)


def _closing(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    read = {server for files in scope.files for server in files}
    for at, server in enumerate(scope.old.ids):
        file = state.old[at]
        if server in read and not file.is_closed:
            yield f"close {server}", _put_old(state, at, file._replace(is_closed=True))
        if scope.broken is Broken.OWN_CHOICE_OF_FILES:
            continue
        may_reopen = file.note < 0 or scope.broken is Broken.REOPENED_AFTER_SETTLE
        if file.is_closed and may_reopen:
            yield f"reopen {server}", _put_old(state, at, file._replace(is_closed=False))


def _settling(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    """Each settle notes its number in its files, one by one, and then makes its artefact."""
    if scope.broken is Broken.OWN_CHOICE_OF_FILES:
        return
    for number, files in enumerate(scope.files):
        if state.new[number].artefact is not None:
            continue
        places = [scope.old.ids.index(server) for server in files]
        if not all(state.old[at].is_closed for at in places):
            continue
        for at in places:
            if state.old[at].note < 0:
                noted = state.old[at]._replace(note=number)
                yield f"settle {number} notes {scope.old.ids[at]}", _put_old(state, at, noted)
        if all(state.old[at].note == number for at in places):
            settled = max(state.old[at].acceptor.accepted for at in places)
            new = state.new[number]._replace(artefact=settled)
            yield f"settle {number}: {settled}", _put_new(state, number, new)


def _adopting(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    for number, new in enumerate(state.new):
        for at, server in enumerate(scope.new.ids):
            if new.files[at] == ABSENT:
                for name, file, before in _adopted(scope, state, number, server):
                    yield f"{server} {name}", _put_new(before, number, _with(new, at, file))
            elif scope.broken is Broken.ADOPTED_TWICE and new.artefact is not None:
                lost = new.files[at]
                file = _made_from(new.artefact)._replace(answers=lost.answers)
                file = file._replace(votes=tuple(sorted({*lost.votes, *file.votes})))
                yield f"{server} adopts again", _put_new(state, number, _with(new, at, file))


def _adopted(
    scope: Scope, state: State, number: int, server: int
) -> Iterator[tuple[str, Acceptor, State]]:
    """The new files that ``server`` may have, each with the state that its making leaves."""
    place = scope.old.ids.index(server) if server in scope.old.ids else -1
    old = state.old[place] if place >= 0 else OldFile()
    match scope.broken:
        case Broken.DESCRIPTION_EDITED | Broken.CONVERTED_ONE_BY_ONE:
            moved = old._replace(is_closed=True)
            before = _put_old(state, place, moved) if place >= 0 else state
            yield "converts its own file", old.acceptor, before
        case Broken.OWN_CHOICE_OF_FILES:
            for files in scope.files:
                read = [state.old[scope.old.ids.index(it)] for it in files]
                if all(it.is_closed for it in read):
                    settled = max(it.acceptor.accepted for it in read)
                    yield f"settles {files}", _made_from(settled), state
        case _:
            artefact = state.new[number].artefact
            if artefact is None:
                return
            is_read = server in scope.files[number]
            if scope.broken is Broken.UNREAD_FILE_JOINS and place >= 0 and not is_read:
                before = _put_old(state, place, old._replace(is_closed=True))
                yield "joins with its old file", old.acceptor, before
            else:
                yield "adopts", _made_from(artefact), state


def _made_from(settled: Proposal) -> Acceptor:
    if settled == NONE:
        return Acceptor()
    return Acceptor(settled[0], settled, (), (settled,))


def _new_steps(scope: Scope, state: State, number: int) -> Iterator[tuple[str, State]]:
    new = state.new[number]
    proposals = dict(zip(scope.ballots, new.proposals, strict=True))
    if scope.broken in (Broken.OLD_FRAMES_HEARD, Broken.DESCRIPTION_EDITED):
        proposals |= {1: "a", 2: state.value_2}
    for at, file in enumerate(new.files):
        if file != ABSENT:
            for name, acceptor in _acceptor_steps(file, proposals, scope.ballots):
                after = _put_new(state, number, _with(new, at, acceptor))
                yield f"new {scope.new.ids[at]} {name}", after
    voters = _voters(scope, state, number)
    for at, ballot in enumerate(scope.ballots):
        if not new.proposals[at]:
            for value in _proposable(scope.new, voters, ballot, "cd"[at]):
                values = (*new.proposals[:at], value, *new.proposals[at + 1 :])
                after = _put_new(state, number, new._replace(proposals=values))
                yield f"new members propose {value} under {ballot}", after


# --- Paxos ---------------------------------------------------------------------------------------


def _acceptor_steps(
    it: Acceptor, proposals: dict[int, str], prepared: Ids
) -> Iterator[tuple[str, Acceptor]]:
    for ballot in prepared:
        answer = (ballot, it.accepted)
        if it.promised <= ballot and all(told != ballot for told, _ in it.answers):
            answers = tuple(sorted((*it.answers, answer)))
            yield f"promises {ballot}", it._replace(promised=ballot, answers=answers)
    for ballot, value in proposals.items():
        vote = (ballot, value)
        if value and it.promised <= ballot and vote not in it.votes:
            votes = tuple(sorted((*it.votes, vote)))
            yield f"votes for {value} under {ballot}", Acceptor(ballot, vote, it.answers, votes)


def _proposable(
    members: Members, voters: dict[int, list[Acceptor]], ballot: int, own: str
) -> set[str]:
    """The values that some phase-1 quorum of answers allows under a ballot."""
    told = {
        server: [held for it in voters.get(server, ()) for at, held in it.answers if at == ballot]
        for server in members.ids
    }
    answered = [server for server in members.ids if told[server]]
    values: set[str] = set()
    for quorum in combinations(answered, members.phase_1):
        for highest in {NONE, *(held for server in quorum for held in told[server])}:
            is_possible = all(min(told[server]) <= highest for server in quorum) and (
                highest == NONE or any(highest in told[server] for server in quorum)
            )
            if is_possible:
                values.add(highest[1] or own)
    return values


def _with(new: Membership, at: int, file: Acceptor) -> Membership:
    return new._replace(files=(*new.files[:at], file, *new.files[at + 1 :]))


def _put_old(state: State, at: int, file: OldFile) -> State:
    return state._replace(old=(*state.old[:at], file, *state.old[at + 1 :]))


def _put_new(state: State, number: int, new: Membership) -> State:
    return state._replace(new=(*state.new[:number], new, *state.new[number + 1 :]))
