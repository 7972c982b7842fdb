"""Two-phase commit, as a machine: a second one beside Paxos, of which it knows nothing.

- The server with the lowest id coordinates one transaction; all servers take part.
- A participant's vote is durable before it leaves. It votes no if its program refused before.
- The coordinator commits if all vote yes, and aborts on the first no or when its patience ends. Its
  decision is durable before it leaves.
- A participant that voted yes and knows no decision asks. A coordinator that has neither decided
  nor collects votes has lost its memory in a crash, and aborts.
- A participant that voted no takes the transaction for aborted at once.

Source: Gray, "Notes on Data Base Operating Systems" (1978); for the coordinator that lost its
memory "presumed abort" of Mohan, Lindsay and Obermarck (1986).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from attrs import evolve, frozen

from paxos import (
    AfterSave,
    Ballot,
    Broadcast,
    From,
    Now,
    Outbound,
    QuorumSystem,
    ServerId,
    SetTimer,
    Tell,
    To,
    majority,
)
from paxos_adapters.coding import Kinds
from paxos_adapters.machine import Effect, Machine, latest
from paxos_adapters.timeouts import Timeouts
from paxos_lab.claims import Claims
from paxos_lab.claims import Vote as VoteFor
from paxos_lab.simulate import Network, Requests, Setup


@frozen
class Commit:
    """The program asks the coordinator to commit."""


@frozen
class Refuse:
    """The program of a participant wants no part in it."""


@frozen
class CanCommit:
    """The coordinator asks for votes."""


@frozen
class Vote:
    """A participant's answer."""

    yes: bool


@frozen
class Ask:
    """A participant asks for the decision."""


@frozen
class Decision:
    """What the coordinator has decided; also what a program is told."""

    commit: bool


@frozen
class Impatience:
    """The timer of a coordinator that collects, and of a participant that wants to know."""


@frozen
class Voted:
    """The record of a vote."""

    yes: bool


@frozen
class Decided:
    """The record of a decision."""

    commit: bool


Message: TypeAlias = CanCommit | Vote | Ask | Decision
Request: TypeAlias = Commit | Refuse
Record: TypeAlias = Voted | Decided
Event: TypeAlias = From[Message] | Impatience | Request


@frozen
class Server:
    """``votes`` are the yes votes while the coordinator collects, None when it does not."""

    me: ServerId
    members: tuple[ServerId, ...]
    voted: Voted | None = None
    decided: Decided | None = None
    refuses: bool = False
    votes: frozenset[ServerId] | None = None

    @property
    def coordinator(self) -> ServerId:
        """The one with the lowest id."""
        return self.members[0]


Step: TypeAlias = tuple[Server, Outbound[Record, Effect[Message, Impatience, Decision]]]
NOTHING: Now[Effect[Message, Impatience, Decision]] = Now(())
TwoPhaseCommit: TypeAlias = Machine[Server, Request, Message, Impatience, Record, Decision]


def start(me: ServerId, quorum: QuorumSystem, records: Iterable[Record]) -> Server:
    """A server with what its disk remembers."""
    state = Server(me, tuple(sorted(quorum.members)))
    for record in records:
        if isinstance(record, Voted):
            state = evolve(state, voted=record)
        else:
            state = evolve(state, decided=record)
    return state


def receive(state: Server, event: Event) -> Step:
    """One step."""
    if isinstance(event, Refuse):
        return evolve(state, refuses=True), NOTHING
    if isinstance(event, Commit):
        return _collect(state)
    if isinstance(event, Impatience):
        return _lose_patience(state)
    match event.message:
        case CanCommit():
            return _vote(state, event.sender)
        case Vote(yes):
            return _count(state, event.sender, yes=yes)
        case Ask():
            return _answer(state, event.sender)
        case Decision(commit):
            return _decide(state, commit=commit)


def _collect(state: Server) -> Step:
    if state.me != state.coordinator or state.decided is not None or state.votes is not None:
        return state, NOTHING
    effects = Broadcast(CanCommit()), SetTimer(Impatience(), 0)
    return evolve(state, votes=frozenset[ServerId]()), Now(effects)


def _vote(state: Server, coordinator: ServerId) -> Step:
    voted = state.voted or Voted(not state.refuses)
    answer = To(coordinator, Vote(voted.yes))
    if voted.yes:
        return evolve(state, voted=voted), AfterSave(voted, (answer, SetTimer(Impatience(), 0)))
    told = () if state.voted else (Tell(Decision(commit=False)),)
    return evolve(state, voted=voted), AfterSave(voted, (answer, *told))


def _count(state: Server, sender: ServerId, *, yes: bool) -> Step:
    if state.votes is None:
        return state, NOTHING
    if not yes:
        return _decide(state, commit=False)
    votes = state.votes | {sender}
    if len(votes) < len(state.members):
        return evolve(state, votes=votes), NOTHING
    return _decide(state, commit=True)


def _answer(state: Server, sender: ServerId) -> Step:
    if state.decided is not None:
        return state, AfterSave(state.decided, (To(sender, Decision(state.decided.commit)),))
    return (state, NOTHING) if state.votes is not None else _decide(state, commit=False)


def _lose_patience(state: Server) -> Step:
    if state.votes is not None:
        return _decide(state, commit=False)
    if state.decided is not None or state.voted is None or not state.voted.yes:
        return state, NOTHING
    return state, Now((To(state.coordinator, Ask()), SetTimer(Impatience(), 0)))


def _decide(state: Server, *, commit: bool) -> Step:
    """The coordinator decides, or a participant learns what was decided; each once."""
    if state.decided is not None:
        return state, NOTHING
    decided, decision = Decided(commit), Decision(commit)
    tells = state.voted is None or state.voted.yes
    effects: tuple[Effect[Message, Impatience, Decision], ...] = (Tell(decision),) if tells else ()
    if state.me == state.coordinator:
        effects = (*effects, Broadcast(decision))
    return evolve(state, decided=decided, votes=None), AfterSave(decided, effects)


def _delay(_request: SetTimer[Impatience], timeouts: Timeouts) -> tuple[float, float]:
    return timeouts.retry_min_s, timeouts.retry_max_s


def _members(state: Server) -> tuple[ServerId, ...]:
    return state.members


def two_phase_commit() -> TwoPhaseCommit:
    """The machine."""
    return Machine(
        "two-phase-commit",
        start,
        receive,
        members=_members,
        delay=_delay,
        first=(Impatience(),),
        fold=latest,
    )


KINDS: Kinds[Server, Event, Record] = Kinds(Server, Event, Record, (__name__,))
"""Its types, for recordings."""


# --- for a simulator and its checker ------------------------------------------------------------

BALLOT = Ballot(1, ServerId(1))
"""There is one decision, so all speak under one ballot."""


def asks(message: Message) -> tuple[VoteFor, ...]:
    """No two messages carry different decisions."""
    return (VoteFor(0, BALLOT, message.commit),) if isinstance(message, Decision) else ()


def keeps(before: Server, after: Server) -> bool:
    """A vote stays as it is, and so does a decision."""
    return before.voted in (None, after.voted) and before.decided in (None, after.decided)


def covers(disk: tuple[Record, ...], message: Message) -> bool:
    """A vote and a decision are on the disk."""
    if isinstance(message, Vote):
        return Voted(message.yes) in disk
    return not isinstance(message, Decision) or Decided(message.commit) in disk


CommitClaims: TypeAlias = Claims[Server, Request, Message, Impatience, Record, Decision]
CLAIMS: CommitClaims = Claims(asks=asks, keeps=keeps, covers=covers)


@frozen
class OneCommit(Requests[Server, Request, Decision]):
    """The coordinator is asked to commit. The last server refuses after its second start."""

    def request(
        self, place: int, session: int, count: int, report: Decision | None
    ) -> Request | None:
        """Once after each start."""
        if count or report is not None:
            return None
        if place == 0:
            return Commit()
        return Refuse() if place > 1 and session % 2 else None

    def must_answer(self, network: Network, quorum: QuorumSystem) -> frozenset[ServerId]:  # noqa: ARG002
        """None: two-phase commit blocks."""
        return frozenset()


CommitSetup: TypeAlias = Setup[Server, Request, Message, Impatience, Record, Decision]


def commit_setup(machine: TwoPhaseCommit | None = None) -> CommitSetup:
    """Three servers, simulated."""
    return Setup(
        machine=machine or two_phase_commit(),
        requests=OneCommit(),
        quorum=majority(map(ServerId, (1, 2, 3))),
        claims=CLAIMS,
    )
