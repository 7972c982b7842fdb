"""The walk reaches as many states as another model checker counts for a Paxos of its own.

Source: ``examples/paxos.rs`` of stateright, in Rust. The model is written anew here, by its rules:

- A server is proposer, acceptor and learner in one. It proposes the first value put to it and no
  other, and hears itself at once, without a message. Decided, it only answers reads.
- A client puts one value to one server. Told that it is written, it reads from the next server.
- Messages are not lost, and come in any order. Without duplication each comes once. With it, each
  may come again at any time, and which one came last is part of the state, as in stateright from
  release 0.30.2 on.
- A message that its recipient has no use for stays where it is: that is no step. One that is used
  again is a step, also when it changes nothing.
- The history of reads and writes is part of the state as well. Here what a client awaits and has
  read tells all of it, because one client at most is ever answered: the rule "one writer".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from attrs import evolve, frozen

from paxos_lab.explore.search import explore

Ballot = tuple[int, int]
Proposal = tuple[int, int, str]
"""The number of a request, the client that made it, and the value."""
Vote = tuple[Ballot, Proposal]


@frozen
class Put:
    """A client asks for its value to be written."""

    request: int
    value: str


@frozen
class PutOk:
    """The value is written: it is the chosen one."""

    request: int


@frozen
class Get:
    """A client asks which value is chosen."""

    request: int


@frozen
class GetOk:
    """The chosen value."""

    request: int
    value: str


@frozen
class Prepare:
    """Phase 1a."""

    ballot: Ballot


@frozen
class Promise:
    """Phase 1b."""

    ballot: Ballot
    vote: Vote | None


@frozen
class Accept:
    """Phase 2a."""

    ballot: Ballot
    proposal: Proposal


@frozen
class Accepted:
    """Phase 2b."""

    ballot: Ballot


@frozen
class Decided:
    """A proposer tells the other servers what is chosen."""

    ballot: Ballot
    proposal: Proposal


Message = Put | PutOk | Get | GetOk | Prepare | Promise | Accept | Accepted | Decided


@frozen(cache_hash=True)
class Envelope:
    """A message in progress."""

    sender: int
    recipient: int
    message: Message


@frozen(cache_hash=True)
class Server:
    """``vote`` is the acceptor's; ``proposal`` and those who answer it are the proposer's."""

    ballot: Ballot = (0, 0)
    proposal: Proposal | None = None
    promises: frozenset[tuple[int, Vote | None]] = frozenset()
    accepted_by: frozenset[int] = frozenset()
    vote: Vote | None = None
    decided: bool = False


@frozen(cache_hash=True)
class Client:
    """It awaits the answer to its Put, then that to its Get, then nothing."""

    awaits: int | None
    read: str | None = None


Actor = Server | Client
Reaction = tuple[Actor, list[tuple[int, Message]]]
"""The actor after a message, and what it sends to whom."""


@frozen
class System:
    """The servers, then the clients; what is in progress; with duplication, what came last."""

    actors: tuple[Actor, ...]
    network: frozenset[Envelope]
    last: Envelope | None = None


def own_proposal(server: Server) -> Proposal:
    assert server.proposal is not None
    return server.proposal


def safe_proposal(server: Server) -> Proposal:
    """That of the highest vote which the promises tell of, else its own."""
    votes = [vote for _, vote in server.promises if vote is not None]
    return max(votes)[1] if votes else own_proposal(server)


@frozen
class Peer:
    """Stateright's system; ``choose`` picks what a proposer with a quorum of promises proposes."""

    servers: int
    clients: int
    duplicates: bool = False
    choose: Callable[[Server], Proposal] = safe_proposal

    def start(self) -> list[System]:
        clients = range(self.servers, self.servers + self.clients)
        puts = [
            Envelope(me, me % self.servers, Put(me, value))
            for me, value in zip(clients, "ABCDEFGH", strict=False)
        ]
        actors: list[Actor] = [*[Server()] * self.servers, *map(Client, clients)]
        return [System(tuple(actors), frozenset(puts))]

    def steps(self, state: System) -> Iterator[tuple[Envelope, System]]:
        for envelope in state.network:
            me = envelope.recipient
            if reaction := self.react(me, state.actors[me], envelope.sender, envelope.message):
                after, answers = reaction
                actors = (*state.actors[:me], after, *state.actors[me + 1 :])
                sent = {Envelope(me, recipient, answer) for recipient, answer in answers}
                if self.duplicates:
                    yield envelope, System(actors, state.network | sent, envelope)
                else:
                    waiting = state.network - {envelope}
                    assert waiting.isdisjoint(sent), "this network is a multiset, not a set"
                    yield envelope, System(actors, waiting | sent)

    def react(self, me: int, actor: Actor, sender: int, message: Message) -> Reaction | None:
        """None for a message of no use."""
        if isinstance(actor, Client):
            return self.hear(me, actor, message)
        if not actor.decided:
            return self.decide(me, actor, sender, message)
        if isinstance(message, Get) and actor.vote:
            _, (_, _, value) = actor.vote
            return actor, [(sender, GetOk(message.request, value))]
        return None

    def hear(self, me: int, client: Client, message: Message) -> Reaction | None:
        """A client that may have waited for this message."""
        match message:
            case PutOk(request) if request == client.awaits:
                return Client(2 * me), [((me + 1) % self.servers, Get(2 * me))]
            case GetOk(request, value) if request == client.awaits:
                return Client(None, value), []
            case _:
                return None

    def decide(self, me: int, server: Server, sender: int, message: Message) -> Reaction | None:
        """An undecided server on its way to a decision."""
        match message:
            case Put(request, value) if server.proposal is None:
                return self.propose(me, server, (request, sender, value))
            case Prepare(ballot) if server.ballot < ballot:
                return evolve(server, ballot=ballot), [(sender, Promise(ballot, server.vote))]
            case Promise(ballot, vote) if ballot == server.ballot:
                promises = frozenset({**dict(server.promises), sender: vote}.items())
                return self.count_promises(me, evolve(server, promises=promises))
            case Accept(ballot, proposal) if server.ballot <= ballot:
                after = evolve(server, ballot=ballot, vote=(ballot, proposal))
                return after, [(sender, Accepted(ballot))]
            case Accepted(ballot) if ballot == server.ballot:
                accepted_by = server.accepted_by | {sender}
                return self.count_accepted(me, evolve(server, accepted_by=accepted_by))
            case Decided(ballot, proposal):
                return evolve(server, ballot=ballot, vote=(ballot, proposal), decided=True), []
            case _:
                return None

    def propose(self, me: int, server: Server, proposal: Proposal) -> Reaction:
        ballot = (server.ballot[0] + 1, me)
        promises = frozenset({(me, server.vote)})
        after = evolve(server, ballot=ballot, proposal=proposal, promises=promises)
        return after, self.to_others(me, Prepare(ballot))

    def count_promises(self, me: int, server: Server) -> Reaction:
        if len(server.promises) != self.majority:
            return server, []
        proposal = self.choose(server)
        accepted_by = server.accepted_by | {me}
        vote = server.ballot, proposal
        after = evolve(server, proposal=proposal, accepted_by=accepted_by, vote=vote)
        return after, self.to_others(me, Accept(*vote))

    def count_accepted(self, me: int, server: Server) -> Reaction:
        if len(server.accepted_by) != self.majority:
            return server, []
        request, client, _ = proposal = own_proposal(server)
        decided = self.to_others(me, Decided(server.ballot, proposal))
        return evolve(server, decided=True), [*decided, (client, PutOk(request))]

    def to_others(self, me: int, message: Message) -> list[tuple[int, Message]]:
        return [(other, message) for other in range(self.servers) if other != me]

    @property
    def majority(self) -> int:
        return self.servers // 2 + 1


def chosen(system: System) -> set[str]:
    """The values that servers take for decided."""
    return {
        actor.vote[1][2]
        for actor in system.actors
        if isinstance(actor, Server) and actor.decided and actor.vote
    }


def returned(system: System) -> set[str]:
    """The values that clients have read or are about to."""
    read = {it.read for it in system.actors if isinstance(it, Client) and it.read is not None}
    return read | {it.message.value for it in system.network if isinstance(it.message, GetOk)}


def answered(system: System) -> list[int]:
    """The clients that were told that their value is written."""
    return [
        me
        for me, actor in enumerate(system.actors)
        if isinstance(actor, Client) and actor.awaits != me
    ]


@pytest.mark.parametrize(
    ("clients", "duplicates", "states"),
    [
        (1, False, 265),
        pytest.param(2, False, 16_668, marks=pytest.mark.slow),
        pytest.param(3, False, 1_194_428, marks=pytest.mark.slow),
        (1, True, 634),
        pytest.param(2, True, 42_805, marks=pytest.mark.slow),
    ],
)
def test_as_many_states_as_stateright_counts(clients: int, duplicates: bool, states: int) -> None:
    found = explore(
        Peer(3, clients, duplicates),
        max_states=2_000_000,
        always={
            "agreement": lambda system: len(chosen(system)) <= 1,
            "what is returned is chosen": lambda system: returned(system) <= chosen(system),
            "one writer": lambda system: len(answered(system)) <= 1,
        },
        sometimes={
            "A is returned": lambda system: returned(system) == {"A"},
            "B is returned": lambda system: returned(system) == {"B"},
        },
    )

    assert found.states == states
    assert found.exhausted
    assert found.violation is None
    assert found.never == ({"B is returned"} if clients == 1 else frozenset())


def test_a_value_is_returned_as_soon_as_in_stateright() -> None:
    """Its own run takes eight deliveries, from the Put to the Get."""
    found = explore(Peer(3, 2), always={"nothing is returned": lambda system: not returned(system)})

    assert found.violation is not None
    first, *between, last = [envelope.message for envelope, _ in found.violation.run]
    assert (type(first), len(between), type(last)) == (Put, 6, Get)


def test_a_proposer_that_insists_on_its_own_value_is_caught_by_a_shortest_run() -> None:
    """Five deliveries decide one value, from its Put to the Accepted that makes a quorum."""
    insists = Peer(3, 2, choose=own_proposal)

    found = explore(insists, always={"agreement": lambda system: len(chosen(system)) <= 1})

    assert found.violation is not None
    assert chosen(found.violation.end) == {"A", "B"}
    assert len(found.violation.run) == 2 * 5
