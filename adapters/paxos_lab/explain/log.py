"""Explaining a log: which replica leads, which slots are chosen, and what the others wait for.

- A replica leads by the promises of phase-1 quorums. Others follow it, or have promised more.
- If none leads: too few are up, a candidate waits for promises or for slots it does not know, or
  none has asked for the lead.
- All slots below the first open one are chosen. An open slot is explained as a decision.
- The window is full if a slot is open so far below that no more may be proposed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic

from attrs import frozen

from paxos import NO_BALLOT, Ballot, QuorumSystem, ServerId
from paxos.ballot import V
from paxos.log import leader
from paxos.log.leader import Following, Leading, Preparing
from paxos.log.memory import FIRST_SLOT, Configuration, governing
from paxos.quorum import NO_SERVERS
from paxos_adapters.printable import quoted
from paxos_lab.explain.explain import explain
from paxos_lab.explain.grammar import lacking, more, named, verb
from paxos_lab.explain.log_evidence import KnownReplica, LogEvidence, of_slot
from paxos_lab.explain.reasons import Explanation, TooFewUp, Undecided


@frozen
class Leads:
    """A replica that leads, by the promises of ``promised``.

    ``followers`` have it for their leader, ``refusing`` have promised more. ``in_flight`` counts
    the slots that it has proposed for and that are not chosen, ``room`` those it may add.
    ``reads`` wait for confirmation, or for slots.
    """

    ballot: Ballot
    promised: frozenset[ServerId]
    followers: frozenset[ServerId]
    refusing: frozenset[ServerId]
    in_flight: int
    room: int
    reads: int

    @property
    def text(self) -> str:
        """The same in words."""
        me = self.ballot.server
        said = [f"S{me} leads under {self.ballot}, which {named(self.promised)} have promised."]
        if self.followers:
            follow = verb(self.followers, "follows", "follow")
            said.append(f"{named(self.followers)} {follow} it.")
        if self.refusing:
            have = verb(self.refusing, "has", "have")
            said.append(f"{named(self.refusing)} {have} promised more, and will not vote for it.")
        slots = "slot is" if self.in_flight == 1 else "slots are"
        if self.in_flight or not self.room:
            room = f"{self.room} more may be proposed" if self.room else "the window is full"
            said.append(f"{self.in_flight} {slots} in flight, and {room}.")
        if self.reads:
            said.append(f"{self.reads} {'read waits' if self.reads == 1 else 'reads wait'}.")
        return " ".join(said)


@frozen
class AsksToLead:
    """A candidate, with the promises of ``promised``: it needs ``needed``, or as many of ``among``.

    It knows all slots below ``first``, and must know all below ``base``, of ``known_by``.
    """

    quorum: QuorumSystem
    ballot: Ballot
    promised: frozenset[ServerId]
    needed: frozenset[ServerId]
    among: frozenset[ServerId]
    first: int
    base: int
    known_by: ServerId | None

    @property
    def text(self) -> str:
        """The same in words."""
        me = f"S{self.ballot.server} asks for promises of {self.ballot}"
        said = [f"{me}, and has those of {named(self.promised)}."]
        if self.needed:
            said.append(f"It needs {more(self.quorum, self.promised, self.needed, self.among)}.")
        if self.base > self.first and self.known_by is not None:
            said.append(
                f"All below slot {self.base} is chosen, as S{self.known_by} has promised; it knows "
                f"what is below {self.first}, and catches up first."
            )
        return " ".join(said)


@frozen
class LogExplanation(Generic[V]):
    """What has become of a log, and why.

    All slots below ``first`` are known to be chosen, at least to one replica; ``behind`` are those
    that know less, with their own ``first``. ``leaders`` come by ballot, the highest first, then
    ``candidates``. ``too_few``: no quorum is up. ``slots`` explains those from ``first`` on.
    """

    first: int
    behind: tuple[tuple[ServerId, int], ...]
    down: frozenset[ServerId]
    leaders: tuple[Leads, ...]
    candidates: tuple[AsksToLead, ...]
    too_few: TooFewUp | None
    configurations: tuple[Configuration, ...]
    slots: tuple[tuple[int, Explanation[str]], ...]

    @property
    def is_decided(self) -> bool:
        """Whether all slots that anything was proposed for are chosen, as far as is seen."""
        return all(it.is_decided for _, it in self.slots)

    @property
    def text(self) -> str:
        """The same in words."""
        return "\n".join([*self._leadership(), *self._chosen(), *self._members(), *self._open()])

    def _leadership(self) -> Iterator[str]:
        yield from (it.text for it in self.leaders)
        yield from (it.text for it in self.candidates)
        if self.too_few is not None:
            yield self.too_few.text
        elif not self.leaders and not self.candidates:
            yield (
                "No server leads, and none asks to: one that hears a quorum without a leader "
                "campaigns, or one that is asked to by Lead."
            )

    def _chosen(self) -> Iterator[str]:
        if self.first == FIRST_SLOT:
            yield "No slot is known to be chosen."
        else:
            yield f"All slots below {self.first} are chosen."
        for me, first in self.behind:
            is_down = " when it went down" if me in self.down else ", and catches up"
            yield f"S{me} knows those below {first}{is_down}."

    def _members(self) -> Iterator[str]:
        for it in self.configurations:
            if it.slot > FIRST_SLOT:
                yield f"From slot {it.slot} on, {named(it.quorum.members)} are the members."

    def _open(self) -> Iterator[str]:
        if not self.slots:
            yield "Nothing is open: all that was proposed is chosen."
        for number, (slot, found) in enumerate(self.slots):
            if number == 0:
                yield f"Slot {slot}: {found.text}"
            else:
                yield f"Slot {slot}: {_brief(found)}"


def _brief(found: Explanation[str]) -> str:
    """One line for a slot behind the first open one."""
    if not isinstance(found, Undecided):
        return found.text.splitlines()[0]
    tried = [it for it in found.attempts if it.value]
    if not tried:
        return "nothing is accepted."
    last = tried[-1]
    return f"{quoted(last.value[0])} under {last.ballot}, accepted by {named(last.voters)}."


def explain_log(evidence: LogEvidence[V]) -> LogExplanation[V]:
    """What has become of the log, and why."""
    first = max((it.first for it in evidence.servers.values()), default=1)
    end = max((it.end for it in evidence.servers.values()), default=1)
    by_ballot = sorted(evidence.servers.items(), key=lambda it: _ballot(it[1]), reverse=True)
    quorum = governing(evidence.configurations, first)
    configurations = tuple(_governing_from(evidence.configurations, first))
    members = frozenset(me for it in configurations for me in it.quorum.members)
    known = evidence.servers.items()
    return LogExplanation(
        first,
        tuple((me, it.first) for me, it in known if it.first < first and me in members),
        frozenset(me for me, it in known if it.state is None),
        tuple(found for me, it in by_ballot for found in _leads(evidence, me, it)),
        tuple(found for _, it in by_ballot for found in _asks(quorum, it)),
        _too_few(evidence, quorum),
        configurations,
        tuple((slot, explain_slot(evidence, slot)) for slot in range(first, end)),
    )


def _governing_from(
    configurations: tuple[Configuration, ...], first: int
) -> Iterator[Configuration]:
    """Those that govern ``first`` or a later slot."""
    ends = (*(it.slot for it in configurations[1:]), None)
    for it, end in zip(configurations, ends, strict=True):
        if end is None or end > first:
            yield it


def explain_slot(evidence: LogEvidence[V], slot: int) -> Explanation[str]:
    """What has become of one slot, and why: it is a decision."""
    return explain(of_slot(evidence, slot), f"slot {slot}")


def _ballot(it: KnownReplica[V]) -> Ballot:
    return NO_BALLOT if type(it.role) is Following else it.role.ballot


def _leads(evidence: LogEvidence[V], me: ServerId, it: KnownReplica[V]) -> Iterator[Leads]:
    role, state = it.role, it.state
    if type(role) is not Leading or state is None:
        return
    others = {other: known for other, known in evidence.servers.items() if other != me}
    refusing = frozenset(
        other for other, known in others.items() if known.durable.promised > role.ballot
    )
    followers = frozenset(
        other
        for other, known in others.items()
        if known.state is not None and known.state.election.follows == role.ballot
    )
    room = leader.room(role, state.memory, state.rules.window)
    flights = len(role.in_flight)
    reads = len(state.reads)
    yield Leads(role.ballot, role.promised, followers - refusing, refusing, flights, room, reads)


def _asks(quorum: QuorumSystem, it: KnownReplica[V]) -> Iterator[AsksToLead]:
    role = it.role
    if type(role) is not Preparing:
        return
    among = quorum.members - role.promised
    needed = lacking(quorum, 1, role.promised, among) or NO_SERVERS
    base, known_by = role.base, role.known_by
    yield AsksToLead(quorum, role.ballot, role.promised, needed, among, it.first, base, known_by)


def _too_few(evidence: LogEvidence[V], quorum: QuorumSystem) -> TooFewUp | None:
    """Whether a quorum that governs the first open slot is down."""
    up = frozenset(me for me, it in evidence.servers.items() if it.state is not None)
    missing = quorum.members - up
    for phase in 1, 2:
        if needed := lacking(quorum, phase, up, missing):
            return TooFewUp(quorum, up & quorum.members, missing, needed)
    return None
