"""Evidence of a log: what is known of its replicas; and, through one slot, of one decision.

- A slot is Basic Paxos. Its acceptor is what a replica has durably accepted there, under its one
  promise. Its proposer is the leader's request for that slot, or a candidate's Prepare for all.
- A replica knows what is chosen below its ``first``. It may have caught up with that, so what it
  knows is a report, and no vote.
- Changes that are chosen say which quorums govern a slot, those of all replicas together.

Source: the lecture, "Multi-Paxos".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic

from attrs import Factory, frozen

from paxos import (
    Accepted,
    Acceptor,
    Chosen,
    Decision,
    From,
    Nack,
    Proposal,
    Propose,
    Proposer,
    QuorumSystem,
    ServerId,
)
from paxos.ballot import V
from paxos.log import Change, Committed, Configuration, Memory, Prefix, Rules
from paxos.log.leader import Following, Leading, Role
from paxos.log.memory import FIRST_SLOT, Record, governing, held, summed
from paxos.log.messages import Entry
from paxos.log.replica import DEFAULT_RULES, Replica
from paxos.proposer import Accepting, Idle, Preparing, Task
from paxos_lab.claims import Vote
from paxos_lab.explain.evidence import Evidence, Known
from paxos_lab.machines.log_view import LogView, LogWords, log_view
from paxos_lab.record.timeline import votes
from paxos_lab.record.trace import LogStep, LogTrace


@frozen
class KnownReplica(Generic[V]):
    """What is known of one replica: what is durable, and its state, if it is up."""

    durable: Memory[V]
    state: Replica[V] | None = None

    @property
    def first(self) -> int:
        """The first slot that it does not know to be chosen."""
        return self.durable.first if self.state is None else self.state.memory.first

    @property
    def role(self) -> Role[V]:
        """What it does; nothing, if it is down."""
        return Following() if self.state is None else self.state.role

    @property
    def end(self) -> int:
        """The slot behind the last that it holds or has proposed."""
        known = [self.durable] if self.state is None else [self.durable, self.state.memory]
        last = max(it.first + len(it.open) for it in known)
        asked = len(self.role.in_flight) if type(self.role) is Leading else 0
        return max(last, self.first + asked)


@frozen
class LogEvidence(Generic[V]):
    """What is known of the replicas of a log, which began under ``quorum``.

    ``chosen`` are the proposals that a replica has reported or saved as chosen, by slot. ``votes``
    were durable, and ``refusals`` were sent.
    """

    quorum: QuorumSystem
    rules: Rules
    servers: Mapping[ServerId, KnownReplica[V]]
    chosen: Mapping[int, Proposal[Entry[V]]] = Factory(dict[int, Proposal[Entry[V]]])
    votes: tuple[tuple[ServerId, Vote], ...] = ()
    refusals: tuple[From[Nack], ...] = ()

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """All that are known, from the first on."""
        known = {FIRST_SLOT: self.quorum}
        for slot, it in self.chosen.items():
            if type(it.value) is Change:
                known[slot + self.rules.window] = it.value.quorum
        for replica in self.servers.values():
            memory = replica.durable if replica.state is None else replica.state.memory
            known |= {it.slot: it.quorum for it in memory.configurations}
        return tuple(Configuration(slot, known[slot]) for slot in sorted(known))


class LogSoFar(Generic[V]):
    """The evidence of a log, gathered step by step; what was seen twice counts once."""

    def __init__(self) -> None:
        self._view: LogView[V] = log_view()
        self._rules = DEFAULT_RULES
        self._chosen: dict[int, Proposal[Entry[V]]] = {}
        self._votes: dict[tuple[ServerId, Vote], None] = {}
        self._refusals: dict[From[Nack], None] = {}

    def add(self, step: LogStep[V]) -> None:
        """``step`` has happened."""
        if step.after is not None:
            self._rules = step.after.rules
        for report in step.reports:
            if type(report) is Committed:
                self._chosen |= dict(enumerate(report.proposals, report.slot))
        self._votes |= dict.fromkeys(votes(step, self._view))
        for it in step.sent:
            if type(it.message) is Nack:
                self._refusals[From(it.sender, it.message)] = None

    def evidence(self, trace: LogTrace[V]) -> LogEvidence[V]:
        """What is known by now, with the states and disks of ``trace``."""
        assert trace.quorum is not None, "a trace with steps has one"
        for disk in trace.disks.values():
            self._chosen |= _prefix(disk)
        servers = {
            me: KnownReplica(summed(disk, Memory(())), trace.states.get((me, name)))
            for (me, name), disk in sorted(trace.disks.items())
        }
        seen = tuple(self._votes), tuple(self._refusals)
        return LogEvidence(trace.quorum, self._rules, servers, dict(self._chosen), *seen)


def of_log(trace: LogTrace[V]) -> LogEvidence[V]:
    """The evidence where ``trace`` ends, of a run as it happened or of its replay."""
    found: LogSoFar[V] = LogSoFar()
    for step in trace.steps:
        found.add(step)
    return found.evidence(trace)


def _prefix(disk: tuple[Record[V], ...]) -> Mapping[int, Proposal[Entry[V]]]:
    prefix = next((it for it in disk if type(it) is Prefix), Prefix[V]())
    return dict(enumerate(prefix.proposals, prefix.floor))


# --- one slot -------------------------------------------------------------------------------------


def of_slot(evidence: LogEvidence[V], slot: int) -> Evidence[str]:
    """What is known of ``slot``, as of a decision whose values are its entries in words."""
    quorum = governing(evidence.configurations, slot)
    words: LogWords[V] = LogWords(str)
    reported = evidence.chosen.get(slot)
    choice = None if reported is None else _text(words, reported)
    votes_here = tuple(_votes(evidence, slot))
    ballots = {it.message.ballot for it in votes_here}
    return Evidence(
        quorum,
        {
            me: _known(words, me, it, slot, quorum, choice)
            for me, it in evidence.servers.items()
            if me in quorum.members
        },
        votes_here,
        # A Nack names no slot: it counts where its ballot was accepted at all.
        tuple(it for it in evidence.refusals if it.message.ballot in ballots),
    )


def _votes(evidence: LogEvidence[V], slot: int) -> Iterator[From[Accepted[str]]]:
    for me, vote in evidence.votes:
        if vote.slot == slot:
            yield From(me, Accepted(vote.ballot, str(vote.value)))


def _text(words: LogWords[V], proposal: Proposal[Entry[V]]) -> Proposal[str]:
    return Proposal(proposal.ballot, words.entry(proposal.value))


def _known(
    words: LogWords[V],
    me: ServerId,
    it: KnownReplica[V],
    slot: int,
    quorum: QuorumSystem,
    reported: Proposal[str] | None,
) -> Known[str]:
    """One replica at ``slot``."""
    accepted = held(it.durable, slot)
    acceptor = Acceptor(it.durable.promised, None if accepted is None else _text(words, accepted))
    if it.state is None:
        return Known(acceptor)
    phase = _phase(words, it.role, slot - it.first)
    choice = None
    if slot < it.first and reported is not None:
        choice = Decision(Chosen(reported.ballot, reported.value), frozenset())
    return Known(acceptor, Proposer(me, quorum, phase=phase), choice)


def _phase(words: LogWords[V], role: Role[V], place: int) -> Preparing[str] | Accepting[str] | Idle:
    """What a proposer of that slot would be doing, ``place`` slots above ``first``."""
    if type(role) is Leading and 0 <= place < len(role.in_flight):
        it = role.in_flight[place]
        value = words.entry(it.entry)
        task = Task(Propose(value), attempt=0, own_from=role.ballot.round)
        return Accepting(role.ballot, task, value, own=True, answered=it.voters)
    if type(role) is Following or type(role) is Leading or place < 0:
        return Idle()
    task = Task(Propose(""), attempt=0, own_from=role.ballot.round)
    return Preparing(role.ballot, task, answered=role.promised)
