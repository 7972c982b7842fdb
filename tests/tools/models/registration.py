"""Registration: a server proves to its peers that its disk was not rolled back, before it votes.

The rules:

1. *Ask* peers what they know of me. If my chain lacks it: stop.
2. *Register* this session. A peer makes it durable before it acknowledges, and refuses every
   session from then on whose chain lacks it.
3. Before enough peers have acknowledged: no promise, no vote, and no ballot of my own.

"Enough" leaves the server itself out, since its disk is in doubt. Two sets of peers that are enough
must share one: more than half of the n - 1 others.

Here one server of n has a disk and a copy of it from the start, each at a place of its own where a
process may run, also both at once. They vote as the same server. Below it runs Paxos with two
ballots: the first carries the value a and needs no phase 1, the second carries what a phase-1
quorum has accepted, or else b. Messages are lost, late and repeated.

Claims: a and b are not both chosen; two disks that do not descend from each other never both send
the server's own ballot; and a server is never stopped if its copy was not opened before it was
registered. Peers are alike, so states that differ only in their names count as one, and so do
those that differ only in answers that nobody waits for.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple


class Broken(Enum):
    """The broken variants; each replaces one clause of the rules."""

    MAJORITY_WITH_ITSELF = "a majority with the server itself is enough"
    PHASE_1_QUORUM_ONLY = "a phase-1 quorum is enough"
    ACKNOWLEDGED_BEFORE_DURABLE = "acknowledged before durable"
    PEERS_THAT_KNOW_NOTHING = "peers replaced by ones that know nothing"
    ONE_PEER_AND_GOSSIP = "one peer is enough, and peers tell each other"
    NOT_ASKED_FIRST = "not asked first"
    VOTES_BEFORE_REGISTERED = "votes before it is registered"
    PREPARES_BEFORE_REGISTERED = "sends its own ballot before it is registered"
    OLD_KNOWLEDGE_INHERITED = "a new file's peers inherit what was known of the old one"


TWO_VALUES = "two values are chosen"
TWICE = "a ballot is used twice"
STOPPED = "a healthy server is stopped"


class Scope(NamedTuple):
    """How many servers; sizes of quorums; how often each place may be opened.

    ``is_proposing``: the server sends its own ballot, instead of votes. ``claim``: the only one to
    be checked; all of them by default. ``is_in_turn``: the copy is opened when the other has ended.
    """

    servers: int
    phase_1: int
    phase_2: int
    openings: tuple[int, int] = (1, 1)
    broken: Broken | None = None
    is_proposing: bool = False
    claim: str = ""
    is_in_turn: bool = False

    @property
    def enough(self) -> int:
        """How many peers must have acknowledged."""
        match self.broken:
            case Broken.MAJORITY_WITH_ITSELF:
                return self.servers // 2
            case Broken.PHASE_1_QUORUM_ONLY:
                return self.phase_1
            case Broken.ONE_PEER_AND_GOSSIP:
                return 1
            case _:
                return (self.servers - 1) // 2 + 1


NOTHING, FREE, TAKEN = range(3)
"""What an acceptor has promised the second ballot: nothing yet; with nothing accepted; with a."""
NOT_PROPOSED, A, B = range(3)
NO_SESSION = 0
OLD_SESSION = 9
"""A session of the time before the last change of members."""


class Memory(NamedTuple):
    """What an acceptor has on its disk."""

    has_voted_1: bool = False
    promised_2: int = NOTHING
    has_voted_2: bool = False


class Peer(NamedTuple):
    """``has_answered`` and ``has_acknowledged`` the process of each place."""

    memory: Memory = Memory()
    knows: int = NO_SESSION
    durable: int = NO_SESSION
    has_answered: tuple[bool, bool] = (False, False)
    has_acknowledged: tuple[bool, bool] = (False, False)


class Place(NamedTuple):
    """A disk and its process: ``session`` is that of the last opening."""

    memory: Memory = Memory()
    session: int = NO_SESSION
    is_up: bool = False
    openings: int = 0
    is_registered: bool = False
    was_registered: bool = False
    has_proposed: bool = False


class State(NamedTuple):
    """``votes``, ``answers`` and so on are messages that the doubted server has sent from anywhere.

    ``registers``: sessions that ask to be registered. ``first``: the place that was registered
    before the other was opened.
    """

    peers: tuple[Peer, ...]
    places: tuple[Place, Place] = (Place(), Place())
    registers: tuple[int, ...] = ()
    votes_1: bool = False
    answers_2: tuple[int, ...] = ()
    votes_2: bool = False
    value_2: int = NOT_PROPOSED
    first: int = -1
    wrong: str = ""


def start(scope: Scope) -> State:
    """Nothing has happened; a new file and its copy."""
    old = OLD_SESSION if scope.broken is Broken.OLD_KNOWLEDGE_INHERITED else NO_SESSION
    left = tuple(Place(openings=it) for it in scope.openings)
    return State((Peer(knows=old, durable=old),) * (scope.servers - 1), (left[0], left[1]))


def descends(session: int, known: int) -> bool:
    """Whether a session's chain has ``known``. A place's sessions follow each other: 1, 2; 3, 4."""
    return known == NO_SESSION or ((known - 1) // 2 == (session - 1) // 2 and known <= session)


def wrong(state: State) -> str:
    """What is wrong."""
    return state.wrong


def steps(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    """All that can happen next."""
    for name, after in _all_steps(scope, state):
        if after != state:
            found = after.wrong or _two_values(scope, after)
            found = found if scope.claim in ("", found) else ""
            peers = tuple(sorted(_relevant(after, it) for it in after.peers))
            yield name, after._replace(peers=peers, wrong=found)


def _relevant(state: State, peer: Peer) -> Peer:
    """A peer without the answers that make no difference any more."""
    for at, place in enumerate(state.places):
        if peer.has_answered[at] and (not place.is_up or place.session in state.registers):
            peer = peer._replace(has_answered=_with(peer.has_answered, at, value=False))
        if peer.has_acknowledged[at] and (not place.is_up or place.is_registered):
            peer = peer._replace(has_acknowledged=_with(peer.has_acknowledged, at, value=False))
    return peer


def _two_values(scope: Scope, state: State) -> str:
    if state.value_2 == B:
        votes_1 = state.votes_1 + sum(it.memory.has_voted_1 for it in state.peers)
        votes_2 = state.votes_2 + sum(it.memory.has_voted_2 for it in state.peers)
        if min(votes_1, votes_2) >= scope.phase_2:
            return TWO_VALUES
    if state.places[0].has_proposed and state.places[1].has_proposed:
        return TWICE
    return ""


def _all_steps(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    for at, place in enumerate(state.places):
        is_next = not scope.is_in_turn or at == 0 or state.places[0].was_registered
        if place.openings and not place.is_up and is_next:
            yield f"open {at}", _opened(scope, state, at)
        if place.is_up:
            if place.openings:
                killed = place._replace(is_up=False, is_registered=False)
                yield f"kill {at}", _put(state, at, killed)
            yield from _process_steps(scope, state, at)
    for number, peer in enumerate(state.peers):
        yield from _peer_steps(scope, state, number, peer)
    if state.value_2 == NOT_PROPOSED:
        yield from _proposals(scope, state)


# --- the doubted server --------------------------------------------------------------------------


def _opened(scope: Scope, state: State, at: int) -> State:
    place = state.places[at]
    other = state.places[1 - at]
    session = place.session + 1 if place.session else 2 * at + 1
    first = state.first
    if place.session == NO_SESSION and other.was_registered:
        first = 1 - at
    place = place._replace(session=session, is_up=True, openings=place.openings - 1)
    peers = tuple(
        it._replace(
            has_answered=_with(it.has_answered, at, value=False),
            has_acknowledged=_with(it.has_acknowledged, at, value=False),
        )
        for it in state.peers
    )
    if scope.is_in_turn and at == 1:
        state = _put(state, 0, state.places[0]._replace(is_up=False, is_registered=False))
    return _put(state, at, place)._replace(peers=peers, first=first)


def _process_steps(scope: Scope, state: State, at: int) -> Iterator[tuple[str, State]]:
    place = state.places[at]
    asked = sum(it.has_answered[at] for it in state.peers)
    is_asked = asked >= scope.enough or scope.broken is Broken.NOT_ASKED_FIRST
    if is_asked and place.session not in state.registers:
        registers = tuple(sorted((*state.registers, place.session)))
        yield f"register {at}", state._replace(registers=registers)
    is_enough = place.is_registered
    if scope.is_proposing and (is_enough or scope.broken is Broken.PREPARES_BEFORE_REGISTERED):
        yield f"own ballot from {at}", _put(state, at, place._replace(has_proposed=True))
    if scope.is_proposing or not (is_enough or scope.broken is Broken.VOTES_BEFORE_REGISTERED):
        return
    for name, memory in _votes(place.memory, state.value_2):
        after = _put(state, at, place._replace(memory=memory))
        answers = {*state.answers_2, memory.promised_2} - {NOTHING}
        yield (
            f"{name} from {at}",
            after._replace(
                votes_1=state.votes_1 or memory.has_voted_1,
                answers_2=tuple(sorted(answers)),
                votes_2=state.votes_2 or memory.has_voted_2,
            ),
        )


def _stopped(state: State, at: int) -> State:
    """Refused: its disk is stale, or so it seems."""
    is_healthy = state.first == at or state.places[1 - at].session == NO_SESSION
    wrong = STOPPED if is_healthy else ""
    return _put(
        state, at, state.places[at]._replace(is_up=False, is_registered=False, openings=0)
    )._replace(wrong=wrong)


# --- its peers -----------------------------------------------------------------------------------


def _peer_steps(scope: Scope, state: State, number: int, peer: Peer) -> Iterator[tuple[str, State]]:
    for at, place in enumerate(state.places):
        if not place.is_up:
            continue
        if not peer.has_answered[at] and place.session not in state.registers:
            if descends(place.session, peer.knows):
                answered = peer._replace(has_answered=_with(peer.has_answered, at, value=True))
                yield f"ask from {at}", _put_peer(state, number, answered)
            else:
                yield f"ask from {at}, refused", _stopped(state, at)
        is_known = place.session == peer.knows
        if is_known and place.session in state.registers and not place.is_registered:
            yield f"acknowledge to {at}", _acknowledged(scope, state, number, at)
    for session in state.registers:
        at = (session - 1) // 2
        if descends(session, peer.knows):
            yield (
                f"a peer registers {session}",
                _put_peer(state, number, _taught(scope, peer, session)),
            )
        elif state.places[at].is_up and state.places[at].session == session:
            yield f"register of {at}, refused", _stopped(state, at)
    if not scope.is_proposing:
        for name, memory in _votes(peer.memory, state.value_2):
            yield f"{name} from a peer", _put_peer(state, number, peer._replace(memory=memory))
    yield from _broken_steps(scope, state, number, peer)


def _acknowledged(scope: Scope, state: State, number: int, at: int) -> State:
    peer, place = state.peers[number], state.places[at]
    peer = peer._replace(has_acknowledged=_with(peer.has_acknowledged, at, value=True))
    state = _put_peer(state, number, peer)
    if sum(it.has_acknowledged[at] for it in state.peers) >= scope.enough:
        state = _put(state, at, place._replace(is_registered=True, was_registered=True))
    return state


def _taught(scope: Scope, peer: Peer, session: int) -> Peer:
    if scope.broken is Broken.ACKNOWLEDGED_BEFORE_DURABLE:
        return peer._replace(knows=session)
    return peer._replace(knows=session, durable=session)


def _broken_steps(
    scope: Scope, state: State, number: int, peer: Peer
) -> Iterator[tuple[str, State]]:
    match scope.broken:
        case Broken.ACKNOWLEDGED_BEFORE_DURABLE:
            yield "peer saves", _put_peer(state, number, peer._replace(durable=peer.knows))
            yield "peer killed", _put_peer(state, number, peer._replace(knows=peer.durable))
        case Broken.PEERS_THAT_KNOW_NOTHING:
            nothing = peer._replace(knows=NO_SESSION, durable=NO_SESSION)
            yield "peer replaced", _put_peer(state, number, nothing)
        case Broken.ONE_PEER_AND_GOSSIP:
            for other in state.peers:
                if other.knows != NO_SESSION and descends(other.knows, peer.knows):
                    yield "gossip", _put_peer(state, number, _taught(scope, peer, other.knows))
        case _:
            pass


# --- Paxos ---------------------------------------------------------------------------------------


def _votes(memory: Memory, value_2: int) -> Iterator[tuple[str, Memory]]:
    is_promised = memory.promised_2 != NOTHING or memory.has_voted_2
    if not memory.has_voted_1 and not is_promised:
        yield "vote for a", memory._replace(has_voted_1=True)
    if not is_promised:
        yield "promise", memory._replace(promised_2=TAKEN if memory.has_voted_1 else FREE)
    if value_2 != NOT_PROPOSED and not memory.has_voted_2:
        yield "vote in ballot 2", memory._replace(has_voted_2=True)


def _proposals(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    """The second ballot, with what any phase-1 quorum of answers allows."""
    answers = [it.memory.promised_2 for it in state.peers if it.memory.promised_2 != NOTHING]
    free = sum(it == FREE for it in answers) + (FREE in state.answers_2)
    everyone = len(answers) + bool(state.answers_2)
    if free >= scope.phase_1:
        yield "propose b", state._replace(value_2=B)
    if everyone >= scope.phase_1 and (TAKEN in answers or TAKEN in state.answers_2):
        yield "propose a", state._replace(value_2=A)


def _with(flags: tuple[bool, bool], at: int, *, value: bool) -> tuple[bool, bool]:
    return (value, flags[1]) if at == 0 else (flags[0], value)


def _put(state: State, at: int, place: Place) -> State:
    places = (place, state.places[1]) if at == 0 else (state.places[0], place)
    return state._replace(places=places)


def _put_peer(state: State, number: int, peer: Peer) -> State:
    return state._replace(peers=(*state.peers[:number], peer, *state.peers[number + 1 :]))
