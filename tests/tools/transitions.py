"""Writes docs/transitions.md and its diagrams from the roles themselves: ``make figures``.

- Each role is walked: from its first state on, every event of a small alphabet is given to
  ``receive``, and so on with each state that comes of it, up to a bound.
- What is written down is what was seen: in which kind of state an event has led to which kind, what
  had to be saved first, and what left. Only the names of kinds and events are given by hand.
- A diagram has the kinds of states one below the other, and an arrow where one leads to another.
- The same files each time.
"""
# ruff: noqa: T201 (a script that tells what it has written)

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar, cast

from attrs import evolve, frozen

from paxos import (
    NO_BALLOT,
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Answer,
    Ballot,
    Broadcast,
    Chosen,
    Election,
    From,
    Heartbeat,
    HeartbeatTimer,
    Inquire,
    Learner,
    Nack,
    Outbound,
    PaxosError,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Query,
    QueryTimer,
    Read,
    ReadId,
    Reply,
    Request,
    RetryTimer,
    ServerId,
    Tell,
    acceptor,
    election,
    learner,
    majority,
    proposer,
    reader,
)
from paxos.proposer import Accepting, Preparing, Working
from paxos.reader import Querying
from tests.support import opened
from tests.tools.state_diagrams import Edges, diagram

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs"
S1, S2, S3, NON_MEMBER = map(ServerId, (1, 2, 3, 9))
THREE = majority([S1, S2, S3])
MAX_ROUND = 3
READ = ReadId(0, 1)

S = TypeVar("S")
E = TypeVar("E")
Named: TypeAlias = Iterator[tuple[str, E]]


@frozen
class Row:
    """One thing that was seen: an event in a kind of state, and what came of it."""

    before: str
    event: str
    after: str
    saved: str
    leaves: str


@frozen
class Role(Generic[S, E]):
    """What it takes to walk a role and to name what is seen; ``events`` come with their names."""

    name: str
    text: str
    first: S
    receive: Callable[[S, E], tuple[S, Outbound[object, object]]]
    events: Callable[[S], Named[E]]
    kind: Callable[[S], str]
    kinds: tuple[str, ...]
    within: Callable[[S], bool]

    def rows(self) -> list[Row]:
        """Everything that is seen on the walk, by kinds and events."""
        seen, ahead = {self.first}, deque([self.first])
        rows: dict[Row, None] = {}
        while ahead:
            state = ahead.popleft()
            for name, event in self.events(state):
                row, after = self._step(state, name, event)
                rows[row] = None
                if after not in seen and self.within(after):
                    seen.add(after)
                    ahead.append(after)
        return sorted(rows, key=lambda row: (self.kinds.index(row.before), row.event))

    def _step(self, state: S, name: str, event: E) -> tuple[Row, S]:
        before = self.kind(state)
        try:
            after, outbound = self.receive(state, event)
        except PaxosError as error:
            return Row(before, name, "", "", f"raises `{type(error).__name__}`"), state
        kind = "unchanged" if after == state else self.kind(after)
        saved = f"`{type(outbound.record).__name__}`" if isinstance(outbound, AfterSave) else ""
        return Row(before, name, kind, saved, ", ".join(map(_words, opened(outbound)))), after


def _words(effect: object) -> str:
    if isinstance(effect, Broadcast):
        message = cast("Broadcast[object]", effect).message
        return f"`{type(message).__name__}` to all"
    if isinstance(effect, Tell):
        return f"`{type(cast('Tell[object]', effect).report).__name__}` to the program"
    return f"`{type(effect).__name__}`"


# --- the acceptor -------------------------------------------------------------------------------


def _requests(state: Acceptor[str]) -> Named[Request[str]]:
    for round_ in range(1, MAX_ROUND + 1):
        ballot = Ballot(round_, S1)
        where = "below" if ballot < state.promised else "above"
        if ballot == state.promised:
            where = "at"
        yield f"`Prepare` {where} the promise", Prepare(ballot)
        again = state.accepted is not None and state.accepted.ballot == ballot == state.promised
        accept = Accept(ballot, f"the value of {ballot}")
        yield ("`Accept` once more" if again else f"`Accept` {where} the promise"), accept
    yield "`Query`", Query(READ)


def _memory(state: Acceptor[str]) -> str:
    if state.accepted is not None:
        return "has accepted"
    return "new" if state.promised == NO_BALLOT else "has promised"


ACCEPTOR = Role[Acceptor[str], Request[str]](
    name="acceptor",
    text="What survives a crash is all of it. `new` has promised nothing.",
    first=Acceptor(),
    receive=acceptor.receive,
    events=_requests,
    kind=_memory,
    kinds=("new", "has promised", "has accepted"),
    within=lambda _: True,
)

# --- the proposer -------------------------------------------------------------------------------

FOUND = Proposal(Ballot(1, S2), "blue")
OTHER_READ = ReadId(0, 0)


def _phase_events(state: Proposer[str]) -> Named[proposer.Event[str]]:
    yield "`Propose`", Propose("red")
    yield "`Inquire`", Inquire()
    yield "`Read`", Read(READ)
    phase = state.phase
    if type(phase) is Querying:
        yield from _told(phase)
        stalled = reader.is_stalled(phase)
        yield f"`QueryTimer`, {'' if stalled else 'not '}stalled", QueryTimer(READ)
    yield "an answer to another read", From(S2, Answer(OTHER_READ, FOUND))
    yield "a stale `QueryTimer`", QueryTimer(OTHER_READ)
    if type(phase) is Preparing or type(phase) is Accepting:
        yield from _answers(state, phase)
        yield f"`RetryTimer`, {_refusals(phase)}", RetryTimer(phase.ballot)
        non_member = From(NON_MEMBER, Promise(phase.ballot, FOUND))
        yield "an answer from a non-member", non_member
    yield "an answer to another ballot", From(S2, Promise(FOUND.ballot, None))
    yield "a stale `RetryTimer`", RetryTimer(FOUND.ballot)
    yield "`Chosen`", From(S2, Chosen(FOUND.ballot, "blue"))


def _told(read: Querying[str]) -> Named[proposer.Event[str]]:
    voters = {voter for tally in read.found.tallies for voter in tally.voters}
    for sender in sorted(THREE.members):
        for found, before in (None, read.nothing), (FOUND, voters):
            told = "nothing accepted" if found is None else "a value"
            suffix = "a quorum" if THREE.is_phase2(before | {sender}) else "no quorum yet"
            if sender in before:
                suffix = "once more"
            yield f"`Answer`, {told}, {suffix}", From(sender, Answer(READ, found))


def _answers(state: Proposer[str], phase: Working[str]) -> Named[proposer.Event[str]]:
    is_quorum = THREE.is_phase1 if type(phase) is Preparing else THREE.is_phase2
    value = phase.value if type(phase) is Accepting else "red"
    for sender in sorted(THREE.members):
        suffix = "no quorum yet"
        if is_quorum(phase.answered | {sender}):
            suffix = "a quorum"
        if sender in phase.answered:
            suffix = "once more"
        for found in None, FOUND:
            promise = Promise(phase.ballot, found)
            yield f"`Promise`, {_promised(phase, promise, suffix)}", From(sender, promise)
        late = "" if type(phase) is Accepting else " without having been asked"
        accepted: Reply[str] = Accepted(phase.ballot, value)
        yield f"`Accepted`{late or ', ' + suffix}", From(sender, accepted)
        above = Proposal(Ballot(MAX_ROUND + 1, S3), "blue")
        yield "`Promise` that tells of a higher ballot", From(sender, Promise(phase.ballot, above))
        yield "`Nack`", From(sender, Nack(phase.ballot, Ballot(state.max_round, S3)))


def _promised(phase: Working[str], promise: Promise[str], suffix: str) -> str:
    if type(phase) is Accepting:
        return "late"
    if suffix != "a quorum":
        return suffix
    if promise.accepted is not None or phase.highest is not None:
        return "a quorum, a value found"
    doing = {Propose: "proposing", Inquire: "inquiring", Read: "reading"}
    return f"a quorum, nothing found, {doing[type(phase.task.request)]}"


def _refusals(phase: Working[str]) -> str:
    if not phase.refused:
        return "nobody has refused"
    is_quorum = THREE.is_phase1 if type(phase) is Preparing else THREE.is_phase2
    if not is_quorum((THREE.members - phase.refused) | phase.answered):
        return "too many have refused"
    return "some have refused, sent again" if phase.resent else "some have refused"


PROPOSER = Role[Proposer[str], proposer.Event[str]](
    name="proposer",
    text="Server 1 of three. Only a `MaxRound` survives a crash: a proposer starts again `Idle`.",
    first=Proposer(S1, THREE, FOUND.ballot.round),
    receive=proposer.receive,
    events=_phase_events,
    kind=lambda state: type(state.phase).__name__,
    kinds=("Idle", "Querying", "Preparing", "Accepting", "Done"),
    within=lambda state: state.max_round <= MAX_ROUND and _attempts(state) <= 1,
)


def _attempts(state: Proposer[str]) -> int:
    phase = state.phase
    if type(phase) is Querying:
        return phase.attempt - 1
    if type(phase) is Preparing or type(phase) is Accepting:
        return phase.task.attempt - (2 if type(phase.task.request) is Read else 0)
    return 0


# --- the learner --------------------------------------------------------------------------------


def _votes(state: Learner[str]) -> Named[learner.Event[str]]:
    for round_ in 1, 2:
        ballot = Ballot(round_, S1)
        voters = {
            voter for tally in state.tallies if tally.ballot == ballot for voter in tally.voters
        }
        for sender in sorted(THREE.members):
            suffix = "a quorum" if THREE.is_phase2(voters | {sender}) else "no quorum yet"
            if sender in voters:
                suffix = "once more"
            if state.choice is not None:
                suffix = "late"
            yield f"`Accepted`, {suffix}", From(sender, Accepted(ballot, "red"))
        if voters:
            other = From(S3, Accepted(ballot, "blue"))
            yield "`Accepted`, another value under its ballot", other
    yield "`Accepted` from a non-member", From(NON_MEMBER, Accepted(Ballot(1, S1), "red"))
    yield "`Chosen`", Chosen(Ballot(1, S1), "red")
    if state.choice is not None:
        yield "`Chosen`, another value", Chosen(Ballot(MAX_ROUND, S1), "blue")


def _knowledge(state: Learner[str]) -> str:
    if state.choice is not None:
        return "knows"
    return "counts" if state.tallies else "new"


LEARNER = Role[Learner[str], learner.Event[str]](
    name="learner",
    text="Nothing of it need survive a crash. `Chosen` is said once, when it learns.",
    first=Learner(THREE),
    receive=learner.receive,
    events=_votes,
    kind=_knowledge,
    kinds=("new", "counts", "knows"),
    within=lambda _: True,
)

# --- the election -------------------------------------------------------------------------------

Hint: TypeAlias = tuple[election.Event, bool]
"""An event, and whether the server is in contact with a quorum."""


def _beats(state: Election) -> Named[Hint]:
    yield "a heartbeat from a higher server", (From(S3, Heartbeat()), True)
    yield "a heartbeat from a lower server", (From(S1, Heartbeat()), True)
    yield "a heartbeat from a non-member", (From(NON_MEMBER, Heartbeat()), True)
    yield "`HeartbeatTimer`, a quorum answers", (HeartbeatTimer(state.beat), True)
    yield "`HeartbeatTimer`, no quorum answers", (HeartbeatTimer(state.beat), False)
    yield "a stale `HeartbeatTimer`", (HeartbeatTimer(state.beat - 1), True)


ELECTION = Role[Election, Hint](
    name="election",
    text="Server 2 of three, with a proposal in progress. Only a hint: no rule of safety reads it.",
    first=Election(S2, THREE.members),
    receive=lambda state, hint: election.receive(state, hint[0], in_contact=hint[1]),
    events=_beats,
    kind=lambda state: "leads" if election.leader(state) == state.me else "yields",
    kinds=("leads", "yields"),
    within=lambda state: state.beat <= 2 * election.SILENT_INTERVALS,
)

# --- the page -----------------------------------------------------------------------------------

PREFACE = """# What each role does with each event

`make figures` writes this page: [transitions.py](../tests/tools/transitions.py) gives every event
of a small alphabet to the roles' own functions, from the first state on, and writes down what it
sees. A test fails when the page is not what the code does.

*Saved first* names the record that must be durable before anything of the line leaves. An arrow of
a diagram is a line of the table below it; what leaves a role in its kind of state has no arrow.
"""


def pages() -> dict[Path, str]:
    """Every file that this script writes, and its text."""
    parts = [PREFACE]
    files: dict[Path, str] = {}
    for name, kinds, text, rows in (
        (ACCEPTOR.name, ACCEPTOR.kinds, ACCEPTOR.text, ACCEPTOR.rows()),
        (PROPOSER.name, PROPOSER.kinds, PROPOSER.text, PROPOSER.rows()),
        (LEARNER.name, LEARNER.kinds, LEARNER.text, LEARNER.rows()),
        (ELECTION.name, ELECTION.kinds, ELECTION.text, ELECTION.rows()),
    ):
        figure = f"figures/states-{name}.svg"
        files[FOLDER / figure] = diagram(name, kinds, _edges(kinds, rows))
        parts.append(f"## The {name}\n\n{text}\n\n![States of the {name}]({figure})\n")
        parts.append("\n".join(_table(rows)) + "\n")
    return {FOLDER / "transitions.md": "\n".join(parts), **files}


def _edges(kinds: Sequence[str], rows: Iterable[Row]) -> Edges:
    """The events that lead from one kind of state to another."""
    edges: Edges = {}
    for row in rows:
        if row.after in kinds and row.after != row.before:
            edge = kinds.index(row.before), kinds.index(row.after)
            edges.setdefault(edge, []).append(row.event.replace("`", ""))
    return edges


def _table(rows: Iterable[Row]) -> Iterator[str]:
    """A line for each event and what leaves; the states that it can lead to side by side."""
    afters: dict[Row, list[str]] = {}
    for row in rows:
        afters.setdefault(evolve(row, after=""), []).append(row.after)
    yield "| state | event | state after | saved first | leaves |"
    yield "| --- | --- | --- | --- | --- |"
    last = ""
    for row, after in afters.items():
        state = f"**{row.before}**" if row.before != last else ""
        last = row.before
        yield f"| {state} | {row.event} | {' or '.join(after)} | {row.saved} | {row.leaves} |"


def main() -> None:
    """Write all of it."""
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
