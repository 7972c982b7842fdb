"""Hypothesis strategies for what the core takes and makes.

- Parts (ids, ballots, quorums, proposals, messages, records) are drawn field by field. Each is
  well-formed by itself, as a server that keeps the rules could say it; two of them need not agree.
- States are never put together by hand. ``situations`` runs random events through the real
  functions of a whole cluster, so that every state in it is reachable, together with the others.
- What can come next is drawn from the situation that it comes in: ``events``. ``any_events`` keeps
  to the types alone, and can prove to a server that somebody broke the protocol.
- Values are yours: each strategy that makes some takes a strategy for them.

Numbers stay small, so that ballots meet. Needs the extra ``testing``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Ballot,
    Chosen,
    From,
    Heartbeat,
    HeartbeatTimer,
    Inquire,
    Learner,
    MaxRound,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Query,
    QueryTimer,
    QuorumSystem,
    Read,
    ReadId,
    Reply,
    Request,
    RetryTimer,
    Server,
    ServerId,
    explicit,
    flexible,
    majority,
    proposer,
    server,
    weighted,
)
from paxos_testing.reachable import RunningCluster, Situation, is_working

T = TypeVar("T")
V = TypeVar("V")

MOST_SERVERS, MOST_ROUNDS, MOST_ACTS = 5, 5, 40
LATER_SESSION = 3  # of the reads in a situation: none of those that ``read_ids`` draws
THREE = tuple(ServerId(number) for number in (1, 2, 3))

# --- who ----------------------------------------------------------------------------------------


def server_ids(most: int = MOST_SERVERS) -> SearchStrategy[ServerId]:
    """Ids from 1 to ``most``."""
    return st.integers(1, most).map(ServerId)


def member_sets(most: int = MOST_SERVERS) -> SearchStrategy[frozenset[ServerId]]:
    """Up to ``most`` members, at least one."""
    return st.frozensets(server_ids(most), min_size=1)


def majorities(members: Collection[ServerId] = THREE) -> SearchStrategy[QuorumSystem]:
    """The majority of ``members``."""
    return st.just(majority(members))


@st.composite
def flexibles(draw: DrawFn, members: Collection[ServerId] = THREE) -> QuorumSystem:
    """Quorums by number, those of the phases as different as they may be."""
    phase1 = draw(st.integers(1, len(members)))
    phase2 = draw(st.integers(len(members) + 1 - phase1, len(members)))
    return flexible(members, phase1=phase1, phase2=phase2)


@st.composite
def weighteds(draw: DrawFn, members: Collection[ServerId] = THREE) -> QuorumSystem:
    """Quorums by weight. A weight can be 0, but not all of them."""
    ids = sorted(members)
    some = st.lists(st.integers(0, 3), min_size=len(ids), max_size=len(ids)).filter(any)
    weights = dict(zip(ids, draw(some), strict=True))
    whole = sum(weights.values())
    phase1 = draw(st.integers(1, whole))
    phase2 = draw(st.integers(whole + 1 - phase1, whole))
    return weighted(weights, phase1=phase1, phase2=phase2)


@st.composite
def listeds(draw: DrawFn, members: Collection[ServerId] = THREE) -> QuorumSystem:
    """Quorums written out: those of phase 2 are drawn so that they meet every one of phase 1.

    All members together are a quorum of each phase, so that each member is named.
    """
    ids = sorted(members)
    some = st.frozensets(st.sampled_from(ids), min_size=1)
    everybody = frozenset(ids)
    phase1 = draw(st.sets(some, max_size=3)) | {everybody}
    drawn = draw(st.sets(some, max_size=3))
    meeting = {it for it in drawn if all(it & other for other in phase1)}
    return explicit(phase1=phase1, phase2=meeting | {everybody})


def quorum_systems(members: Collection[ServerId] = THREE) -> SearchStrategy[QuorumSystem]:
    """Quorum systems of each kind; all of them are valid, and each names all ``members``."""
    return st.one_of(majorities(members), flexibles(members), weighteds(members), listeds(members))


# --- what they say ------------------------------------------------------------------------------


def ballots(
    members: Collection[ServerId] = THREE, most_rounds: int = MOST_ROUNDS
) -> SearchStrategy[Ballot]:
    """Ballots in use: from round 1 on."""
    return st.builds(Ballot, st.integers(1, most_rounds), st.sampled_from(sorted(members)))


def proposals(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Proposal[V]]:
    """A value under a ballot."""
    return st.builds(Proposal[V], ballots(members), values)


def prepares(members: Collection[ServerId] = THREE) -> SearchStrategy[Prepare]:
    """Requests of phase 1."""
    return st.builds(Prepare, ballots(members))


@st.composite
def promises(
    draw: DrawFn, values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> Promise[V]:
    """Answers to Prepare; what they found was accepted under no higher ballot."""
    ballot, found = draw(ballots(members)), draw(st.none() | proposals(values, members))
    return Promise(ballot, found if found is None or found.ballot <= ballot else None)


def accepts(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Accept[V]]:
    """Requests of phase 2."""
    return st.builds(Accept[V], ballots(members), values)


def accepteds(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Accepted[V]]:
    """Votes."""
    return st.builds(Accepted[V], ballots(members), values)


def nacks(members: Collection[ServerId] = THREE) -> SearchStrategy[Nack]:
    """Refusals: the ballot in the way is the higher one."""
    two = st.lists(ballots(members), min_size=2, max_size=2, unique=True)
    return two.map(lambda pair: Nack(min(pair), max(pair)))


def read_ids() -> SearchStrategy[ReadId]:
    """Which read it is; few, so that they meet."""
    return st.builds(ReadId, st.integers(0, 2), st.integers(0, 2))


def queries() -> SearchStrategy[Query]:
    """Requests of a read."""
    return st.builds(Query, read_ids())


def answers(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Answer[V]]:
    """What acceptors tell a read."""
    return st.builds(Answer[V], read_ids(), st.none() | proposals(values, members))


def chosens(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Chosen[V]]:
    """Announcements."""
    return st.builds(Chosen[V], ballots(members), values)


def heartbeats() -> SearchStrategy[Heartbeat]:
    """Heartbeats."""
    return st.just(Heartbeat())


def requests(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Request[V]]:
    """What a proposer asks an acceptor."""
    return st.one_of(prepares(members), accepts(values, members), queries())


def replies(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Reply[V]]:
    """What a proposer can receive in reply."""
    return st.one_of(
        promises(values, members),
        accepteds(values, members),
        nacks(members),
        answers(values, members),
        chosens(values, members),
    )


def messages(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[Message[V]]:
    """Everything that travels between servers, of all nine types."""
    return st.one_of(requests(values, members), replies(values, members), heartbeats())


def any_events(
    values: SearchStrategy[V], members: Collection[ServerId] = THREE
) -> SearchStrategy[server.Event[V]]:
    """All that the types allow, also from a non-member. A server may raise InvariantError."""
    senders = st.sampled_from([*sorted(members), _non_member(members)])
    return st.one_of(
        st.builds(Propose[V], values),
        st.just(Inquire()),
        st.builds(Read, read_ids()),
        st.builds(RetryTimer, ballots(members)),
        st.builds(QueryTimer, read_ids()),
        st.builds(HeartbeatTimer, st.integers(0, 3)),
        st.builds(From[Message[V]], senders, messages(values, members)),
    )


# --- what they are ------------------------------------------------------------------------------

ACTS = (*["ask"] * 2, *["arrive"] * 8, *["fire"] * 2, "again", "lose", "crash")
"""What can happen, each as often as it makes for states of every kind."""


@st.composite
def situations(
    draw: DrawFn,
    values: SearchStrategy[V],
    quorums: SearchStrategy[QuorumSystem] | None = None,
    most_acts: int = MOST_ACTS,
) -> Situation[V]:
    """A cluster after up to ``most_acts`` random acts; of three servers, unless ``quorums`` say.

    Servers are asked, messages arrive, arrive again, late, or are lost, timers fire, servers crash
    and start from their disks.
    """
    quorum = draw(quorum_systems() if quorums is None else quorums)
    cluster = RunningCluster[V].begin(quorum)
    for _ in range(draw(st.integers(0, most_acts))):
        _act(draw, cluster, draw(st.sampled_from(ACTS)), values)
    return cluster.situation()


def _act(draw: DrawFn, cluster: RunningCluster[V], act: str, values: SearchStrategy[V]) -> None:
    ids = sorted(cluster.drivers)
    if act == "ask":
        me = draw(st.sampled_from(ids))
        if not is_working(cluster.drivers[me].process.state):
            request = draw(_questions(values, cluster.reads))
            if type(request) is Propose:
                cluster.proposed.append(request.value)
            cluster.reads += type(request) is Read
            cluster.step(me, request)
    elif act == "arrive":
        for _ in range(min(draw(st.integers(1, 12)), len(cluster.in_flight))):
            cluster.deliver(*cluster.in_flight.pop(0))
    elif act == "again" and cluster.sent:
        cluster.deliver(*draw(_one_of(cluster.sent)))
    elif act == "lose":
        del cluster.in_flight[: draw(st.integers(1, 4))]
    elif act == "fire" and cluster.timers:
        cluster.step(*cluster.timers.pop(draw(st.integers(0, len(cluster.timers) - 1))))
    elif act == "crash":
        cluster.crash(draw(st.sampled_from(ids)))


def events(
    situation: Situation[V], me: ServerId, values: SearchStrategy[V]
) -> SearchStrategy[server.Event[V]]:
    """What can happen next to the server ``me``, which must not raise whatever is drawn.

    A message that was ever sent to it, late or again; a timer, due or stale; a request, unless one
    is in progress; and messages of a non-member.
    """
    non_member = _non_member(situation.servers)
    received = [From(sender, message) for sender, to, message in situation.sent if to == me]
    timers: list[server.Event[V]] = [timer for it, timer in situation.timers if it == me]
    branches: list[SearchStrategy[server.Event[V]]] = [
        messages(values).map(lambda message: From(non_member, message)),
        st.builds(RetryTimer, ballots(list(situation.servers))),
        st.builds(QueryTimer, read_ids()),
        *([_one_of(received)] if received else []),
        *([_one_of(timers)] if timers else []),
        *([] if is_working(situation.servers[me]) else [_questions(values, situation.reads)]),
    ]
    return st.one_of(branches)


def servers(
    values: SearchStrategy[V], quorums: SearchStrategy[QuorumSystem] | None = None
) -> SearchStrategy[Server[V]]:
    """Reachable states of a server."""
    return situations(values, quorums).flatmap(lambda it: _one_of([*it.servers.values()]))


def acceptors(values: SearchStrategy[V]) -> SearchStrategy[Acceptor[V]]:
    """Reachable states of an acceptor."""
    return servers(values).map(lambda state: state.acceptor)


def proposers(values: SearchStrategy[V]) -> SearchStrategy[Proposer[V]]:
    """Reachable states of a proposer, in all phases."""
    return servers(values).map(lambda state: state.proposer)


def learners(values: SearchStrategy[V]) -> SearchStrategy[Learner[V]]:
    """Reachable states of a learner."""
    return servers(values).map(lambda state: state.learner)


def records(values: SearchStrategy[V]) -> SearchStrategy[server.Record[V]]:
    """What a server saves: memories of an acceptor, and rounds."""
    return st.one_of(acceptors(values), st.integers(0, MOST_ROUNDS).map(MaxRound))


def _questions(values: SearchStrategy[V], reads: int) -> SearchStrategy[proposer.ClientRequest[V]]:
    """What a program may ask; ``reads`` is how many reads there were, so that no id comes twice."""
    fresh = Read(ReadId(LATER_SESSION, reads))
    return st.one_of(st.builds(Propose[V], values), st.just(Inquire()), st.just(fresh))


def _one_of(items: Sequence[T]) -> SearchStrategy[T]:
    """One of ``items``. Unlike ``sampled_from`` it leaves alone what is in them."""
    return st.integers(0, len(items) - 1).map(items.__getitem__)


def _non_member(members: Iterable[ServerId]) -> ServerId:
    return ServerId(max(members) + 1)
