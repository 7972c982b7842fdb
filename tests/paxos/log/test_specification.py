"""Our acceptor of a log, inside the public TLA+ model of a state machine on Multi-Paxos.

The model's own rules for leaders, clients and the network are here as functions. Where one of its
replicas promises or accepts, ``paxos.log.acceptor`` does. The counts are those that TLC finds.

- Each replica has a promise and votes, and for each slot a status and a command. There is one write
  and one read, so there are two slots; and two ballots.
- The network is the set of all that was ever sent. A leader counts what is there of a kind at once,
  votes for its own requests in the step that sends them, and takes the first command of the client.
- A notice of what is committed names no ballot, and is believed of any entry that is not in doubt.
- The client observes requests and answers, in order. Once it has seen all, replicas stop.
- Replicas are symmetric: of states that differ in names alone, one is kept.

Source: MultiPaxos.tla, MultiPaxos_MC_small.cfg and manifest.json of MultiPaxos-SMR (Guanzhou Hu) in
the TLA+ examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations
from typing import NamedTuple, TypeAlias

import pytest

from paxos import Ballot, Nack, ServerId, majority
from paxos.log import Accept, Command, Configuration, Memory, Prepare, acceptor
from paxos.log.memory import held
from paxos.log.messages import Entry
from paxos_lab.explore.log_processes import Numbered
from paxos_lab.explore.search import explore

REPLICAS, SLOTS, BALLOTS, MAJORITY = range(3), (1, 2), (1, 2), 2
COMMANDS = "write", "read"
EMPTY, PREPARING, ACCEPTING, COMMITTED = "empty", "preparing", "accepting", "committed"
START: Memory[str] = Memory((Configuration(1, majority(map(ServerId, (1, 2, 3)))),))

Votes: TypeAlias = tuple[tuple[int, str] | None, ...]
Event: TypeAlias = tuple[str, str, str | None]


class Sent(NamedTuple):
    """A message. A notice has no source and no ballot, and only an Accept has a command."""

    kind: str
    source: int | None
    ballot: int
    slot: int = 0
    command: str | None = None
    votes: Votes = ()


class Node(NamedTuple):
    """A replica. ``prepared`` is 0 until phase 1 is over. An instance: its status and command."""

    memory: Memory[str] = START
    leader: int | None = None
    value: str | None = None
    committed: int = 0
    prepared: int = 0
    instances: tuple[tuple[str, str | None], ...] = ((EMPTY, None),) * len(SLOTS)

    @property
    def promised(self) -> int:
        """The highest ballot known."""
        return self.memory.promised.round

    @property
    def next(self) -> tuple[str, str | None]:
        """The instance after the last committed one."""
        return (*self.instances, (COMMITTED, None))[self.committed]

    @property
    def votes(self) -> Votes:
        """For each slot the ballot and the command of the vote."""
        found = (held(self.memory, slot) for slot in SLOTS)
        return tuple(None if it is None else (it.ballot.round, _text(it.value)) for it in found)


class Client(NamedTuple):
    """What the client waits for, and what it has seen."""

    pending: tuple[str, ...] = COMMANDS
    seen: tuple[Event, ...] = ()

    def sees(self, event: Event) -> Client:
        """With one more event, unless it was seen."""
        return self if event in self.seen else self._replace(seen=(*self.seen, event))

    @property
    def is_done(self) -> bool:
        """Whether all requests were made and answered."""
        kinds = {(kind, command) for kind, command, _ in self.seen}
        return not self.pending and len(kinds) == 2 * len(COMMANDS)


Step: TypeAlias = tuple[Node, tuple[Sent, ...], Client]
State: TypeAlias = tuple[tuple[int, ...], int, int, tuple[bool, ...]]
"""The numbers of the nodes, the messages as bits, the number of the client, and who has stopped."""


def _text(entry: Entry[str]) -> str:
    assert type(entry) is Command
    return entry.value


def _ballot(number: int) -> Ballot:
    return Ballot(number, ServerId(0))


@cache
def promises(node: Node, ballot: int) -> Node:
    """The library's acceptor promises, and reports all votes; open instances are in doubt."""
    memory, reply = acceptor.prepare(node.memory, Prepare(_ballot(ballot), 1), len(SLOTS))
    assert type(reply) is not Nack
    told = {slot: (it.ballot.round, _text(it.value)) for slot, it in reply.accepted}
    assert tuple(map(told.get, SLOTS)) == node.votes
    in_doubt = {ACCEPTING: PREPARING}
    instances = tuple((in_doubt.get(status, status), it) for status, it in node.instances)
    return node._replace(memory=memory, instances=instances)


@cache
def accepts(node: Node, ballot: int, slot: int, command: str) -> Node | None:
    """The library's acceptor accepts; None if it refuses."""
    request = Accept(_ballot(ballot), slot, Command(command), 1)
    update, reply = acceptor.accept(node.memory, request)
    if type(reply) is Nack:
        return None
    return _instance(node._replace(memory=update.memory), slot, ACCEPTING, command)


def _instance(node: Node, slot: int, status: str, command: str | None) -> Node:
    before, after = node.instances[: slot - 1], node.instances[slot:]
    return node._replace(instances=(*before, (status, command), *after))


# --- the rules of the model -----------------------------------------------------------------------


def become_leader(me: int, node: Node, sent: list[Sent], client: Client) -> Iterator[Step]:
    for ballot in BALLOTS if node.leader != me else ():
        used = any(it.kind == "prepare" and it.ballot == ballot for it in sent)
        if ballot > node.promised and not used:
            after = promises(node, ballot)._replace(leader=me, prepared=0)
            asked = Sent("prepare", me, ballot)
            yield after, (asked, Sent("promise", me, ballot, votes=node.votes)), client


def handle_prepare(me: int, node: Node, sent: list[Sent], client: Client) -> Iterator[Step]:
    for it in sent:
        if it.kind == "prepare" and it.ballot > node.promised:
            after = promises(node, it.ballot)._replace(leader=it.source)
            yield after, (Sent("promise", me, it.ballot, votes=node.votes),), client


def handle_promises(me: int, node: Node, sent: list[Sent], client: Client) -> Iterator[Step]:
    found = [it for it in sent if it.kind == "promise" and it.ballot == node.promised]
    if node.leader != me or node.prepared or len(found) < MAJORITY:
        return
    after, asked = node._replace(prepared=node.promised), list[Sent]()
    for slot, (status, _) in zip(SLOTS, node.instances, strict=True):
        votes = [it.votes[slot - 1] for it in found]
        _, command = max((it for it in votes if it is not None), default=(0, None))
        if status == PREPARING or (status == EMPTY and command is not None):
            status = ACCEPTING
            asked.append(Sent("accept", me, node.promised, slot, command))
        after = _instance(after, slot, status, command)
    yield after, tuple(asked), client


def take_request(
    me: int,
    node: Node,
    sent: list[Sent],  # noqa: ARG001
    client: Client,
) -> Iterator[Step]:
    """Once for each empty slot, since TLC goes on once for each witness of its guard."""
    known = {command for _, command in node.instances}
    unseen = [it for it in client.pending if it not in known]
    free = [
        slot for slot, (status, _) in zip(SLOTS, node.instances, strict=True) if status == EMPTY
    ]
    is_leading = node.leader == me and node.prepared == node.promised
    for _ in free if is_leading and unseen else ():
        slot, command = free[0], unseen[0]
        after = accepts(node, node.prepared, slot, command)
        assert after is not None
        asked = Sent("accept", me, node.prepared, slot, command)
        vote = Sent("vote", me, node.prepared, slot)
        yield after, (asked, vote), client.sees(("request", command, None))


def handle_accept(me: int, node: Node, sent: list[Sent], client: Client) -> Iterator[Step]:
    for it in sent:
        if it.kind != "accept" or it.command is None:
            continue
        vote = node.votes[it.slot - 1]
        after = accepts(node, it.ballot, it.slot, it.command)
        assert (after is None) == (it.ballot < node.promised)
        if after is not None and (vote is None or it.ballot > vote[0]):
            after = after._replace(leader=it.source)
            yield after, (Sent("vote", me, it.ballot, it.slot),), client


def handle_votes(me: int, node: Node, sent: list[Sent], client: Client) -> Iterator[Step]:
    slot, (status, command) = node.committed + 1, node.next
    is_leading = node.leader == me and node.prepared == node.promised
    found = [it for it in sent if (it.kind, it.ballot, it.slot) == ("vote", node.prepared, slot)]
    if is_leading and status == ACCEPTING and len(found) >= MAJORITY and command is not None:
        pending = tuple(it for it in client.pending if it != command)
        answered = client.sees(("answer", command, node.value))._replace(pending=pending)
        yield committed(node), (Sent("notice", None, 0, slot),), answered


def handle_notice(me: int, node: Node, sent: list[Sent], client: Client) -> Iterator[Step]:
    notice = Sent("notice", None, 0, node.committed + 1)
    if node.leader != me and node.next[0] == ACCEPTING and notice in sent:
        yield committed(node), (), client


def committed(node: Node) -> Node:
    """The next instance is committed, and applied."""
    slot, (_, command) = node.committed + 1, node.next
    value = command if command == "write" else node.value
    return _instance(node, slot, COMMITTED, command)._replace(committed=slot, value=value)


RULES = (
    become_leader,
    handle_prepare,
    handle_promises,
    take_request,
    handle_accept,
    handle_votes,
    handle_notice,
)


# --- the system -----------------------------------------------------------------------------------


class Model:
    """The model, for ``explore``."""

    def __init__(self) -> None:
        self.nodes: Numbered[Node] = Numbered()
        self.sent: Numbered[Sent] = Numbered()
        self.clients: Numbered[Client] = Numbered()
        self.taken: dict[tuple[int, int, int, int], tuple[tuple[int, int, int], ...]] = {}
        self.orders = [*permutations(REPLICAS)]
        self.renamed_nodes: dict[tuple[int, int], int] = {}
        self.renamed_sets: dict[tuple[int, int], int] = {}

    def start(self) -> Iterator[State]:
        node = self.nodes.number(Node())
        yield (node,) * len(REPLICAS), 0, self.clients.number(Client()), (False,) * len(REPLICAS)

    def steps(self, state: State) -> Iterator[tuple[None, State]]:
        nodes, sent, client, stopped = state
        if all(stopped):
            yield None, state
        for me in REPLICAS:
            if stopped[me]:
                continue
            if self.clients.all[client].is_done:
                done = (*stopped[:me], True, *stopped[me + 1 :])
                yield None, self.canonical((nodes, sent, client, done))
                continue
            for node, more, then in self.steps_of(me, nodes[me], sent, client):
                after = (*nodes[:me], node, *nodes[me + 1 :])
                yield None, self.canonical((after, sent | more, then, stopped))

    def steps_of(
        self, me: int, node: int, sent: int, client: int
    ) -> tuple[tuple[int, int, int], ...]:
        key = me, node, sent, client
        if key not in self.taken:
            messages = [*self.sent.among(sent)]
            arguments = me, self.nodes.all[node], messages, self.clients.all[client]
            self.taken[key] = tuple(
                (self.nodes.number(after), self.bits(more), self.clients.number(then))
                for rule in RULES
                for after, more, then in rule(*arguments)
            )
        return self.taken[key]

    def bits(self, messages: tuple[Sent, ...]) -> int:
        return sum({self.sent.bit(it) for it in messages})

    def canonical(self, state: State) -> State:
        """The least of the states that differ in the names of replicas alone."""
        nodes, sent, client, stopped = state
        renamed = [
            tuple([self.renamed_node(nodes[it], order) for it in places])
            for order, places in enumerate(self.orders)
        ]
        least = min(renamed)
        return min(
            (least, self.renamed_set(sent, order), client, tuple([stopped[it] for it in places]))
            for order, places in enumerate(self.orders)
            if renamed[order] == least
        )

    def renamed_node(self, node: int, order: int) -> int:
        key = node, order
        if key not in self.renamed_nodes:
            it = self.nodes.all[node]
            leader = None if it.leader is None else self.orders[order].index(it.leader)
            self.renamed_nodes[key] = self.nodes.number(it._replace(leader=leader))
        return self.renamed_nodes[key]

    def renamed_set(self, sent: int, order: int) -> int:
        key = sent, order
        if key not in self.renamed_sets:
            messages = [*self.sent.among(sent)]
            names = self.orders[order]
            self.renamed_sets[key] = self.bits(
                tuple(
                    it if it.source is None else it._replace(source=names.index(it.source))
                    for it in messages
                )
            )
        return self.renamed_sets[key]


def test_a_replica_that_has_promised_more_refuses() -> None:
    node = promises(Node(), 2)

    assert accepts(node, 1, 1, "write") is None
    assert accepts(node, 2, 1, "write") is not None


@pytest.mark.slow
def test_the_model_has_the_published_counts() -> None:
    """TLC counts the state at the start among those that it generates."""
    found = explore(Model())

    assert found.exhausted
    assert (found.states, found.transitions + 1, found.depth) == (343_796, 736_012, 28)
