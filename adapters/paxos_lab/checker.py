"""The checker: holds what servers do against the rules of consensus, whatever the machine.

- It is an observer. It knows a machine by its ``Claims``: what records, messages, requests and
  reports say. A machine without claims is only held against its own InvariantError.
- Each slot of each name is a decision of its own. A machine of one decision has slot 0.
- A vote counts once it is durable, or once it has left. A value is chosen once a phase-2 quorum has
  voted for it under one ballot. It was proposed, and it is the only one.
- A ballot carries one value, in what is asked for and in what is voted for.
- What a server reports is chosen. Below a ballot under which it found nothing, nothing ever is. A
  read that finds nothing began when nothing was chosen.
- A slot of a log is reported once a session. It may overtake one whose report waits for a save. A
  read of a log sees all that was reported anywhere before it began.
- A snapshot of a log stands for slots that are chosen.
- A chosen value may change the quorums of later slots. Once a server says that a change from slot n
  on is finished, all slots below n are chosen. A phase-2 quorum of the new members has saved that
  they are. What a disk has lost since then counts.
- What a message commits to is on the disk when the message leaves.
- The first broken rule of those asked for is kept; nothing is raised.

Source: "Paxos Made Simple", sections 2.1 and 2.2; the lecture, "The protocol".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Generic

from attrs import Factory, define

from paxos import (
    Ballot,
    Broadcast,
    Chosen,
    Decision,
    From,
    InvariantError,
    QuorumSystem,
    ServerId,
    Tell,
    To,
)
from paxos.errors import assert_never
from paxos_adapters.machine import Effect, M, P, Process, Q, R, S, T
from paxos_adapters.ports import Place
from paxos_lab.claims import (
    Asked,
    Claims,
    Finding,
    LogReadBegun,
    NothingBelow,
    NothingYet,
    Proposed,
    Quorums,
    ReadAt,
    ReadBegun,
    SlotCommitted,
    SnapshotRestored,
    ValueFound,
    Vote,
)
from paxos_lab.rules import (
    AGREEMENT,
    FINISHED,
    KEPT,
    LINEARIZABLE,
    ONE_VALUE,
    REPORTED,
    RULES,
    SAVED,
    UNDISTURBED,
    VALIDITY,
)


def _no_voters() -> defaultdict[tuple[Ballot, Hashable], set[ServerId]]:
    return defaultdict(set)


@define
class Slot:
    """What each ballot carries, and what is voted for, chosen and ruled out in one decision."""

    carried: dict[Ballot, Hashable] = Factory(dict[Ballot, Hashable])
    voters: defaultdict[tuple[Ballot, Hashable], set[ServerId]] = Factory(_no_voters)
    chosen: list[tuple[Ballot, Hashable]] = Factory(list[tuple[Ballot, Hashable]])
    nothing_below: Ballot | None = None

    def has_chosen(self, value: Hashable) -> bool:
        """Whether ``value`` is chosen under some ballot."""
        return any(value == it for _, it in self.chosen)


class Checker(Generic[S, Q, M, T, R, P]):
    """An observer. ``broken`` is the first of ``rules`` that broke; None, if none did."""

    def __init__(self, claims: Claims[S, Q, M, T, R, P], rules: tuple[str, ...] = RULES) -> None:
        self.broken: str | None = None
        self.slots: defaultdict[tuple[str, int], Slot] = defaultdict(Slot)
        self._claims = claims
        self._rules = rules
        self._proposed: set[tuple[str, Hashable]] = set()
        self._reads: defaultdict[Place, dict[Hashable, bool]] = defaultdict(dict[Hashable, bool])
        self._quorum: QuorumSystem | None = None
        self._changes: defaultdict[str, dict[int, QuorumSystem]] = defaultdict(
            dict[int, QuorumSystem]
        )
        self._committed: defaultdict[Place, set[int]] = defaultdict(set[int])
        self._committed_below: defaultdict[str, int] = defaultdict(int)
        self._log_reads: dict[tuple[Place, Hashable], int] = {}
        self._held: defaultdict[Place, int] = defaultdict(int)
        self._finished: set[tuple[str, Quorums]] = set()

    @property
    def chosen(self) -> tuple[Hashable, ...]:
        """The values chosen so far, each of them once, in the order in which they were."""
        values = (value for slot in self.slots.values() for _, value in slot.chosen)
        return tuple(dict.fromkeys(values))

    @property
    def choices(self) -> tuple[Decision[Hashable], ...]:
        """What is chosen so far, with all that voted for it, in the order in which it was."""
        return tuple(
            Decision(Chosen(ballot, value), frozenset(slot.voters[ballot, value]))
            for slot in self.slots.values()
            for ballot, value in slot.chosen
        )

    @property
    def changes(self) -> int:
        """How many values that change the quorums were chosen."""
        return sum(map(len, self._changes.values()))

    @property
    def finished(self) -> int:
        """How many of these changes some server said to be finished."""
        return len(self._finished)

    def breaks(self, rule: str) -> None:
        """``rule`` is broken."""
        if self.broken is None and rule in self._rules:
            self.broken = rule

    # --- what an observer is told ---------------------------------------------------------------

    def set_time(self, now_s: float) -> None:
        """Time breaks no rule."""

    def started(
        self,
        place: Place,
        quorum: QuorumSystem,
        process: Process[S, R, Effect[M, T, P]],  # noqa: ARG002
    ) -> None:
        """The reads of its earlier session are over."""
        self._quorum = quorum
        self._reads.pop(place, None)
        self._committed.pop(place, None)

    def stepped(
        self,
        place: Place,
        event: From[M] | T | Q,
        before: Process[S, R, Effect[M, T, P]],
        after: Process[S, R, Effect[M, T, P]],
    ) -> None:
        """A value is proposed, a read begins; and nothing that was promised is taken back."""
        asked = self._claims.proposes(event)
        if asked is not None:
            self._ask(place, asked)
        if before.state is after.state:
            return
        if not self._claims.keeps(before.state, after.state):
            self.breaks(KEPT)
        change = self._claims.finishes(after.state)
        if change is not None and (place.name, change) not in self._finished:
            self._finish(place.name, change)

    def state_set(self, place: Place, process: Process[S, R, Effect[M, T, P]]) -> None:
        """A schedule's own doing: no step, so nothing that was promised is taken back."""

    def saved(
        self,
        place: Place,
        process: Process[S, R, Effect[M, T, P]],  # noqa: ARG002
        records: tuple[R, ...],
        count: int,  # noqa: ARG002
    ) -> None:
        """The votes in ``records`` count."""
        self._keep(place, records)

    def sent(
        self,
        place: Place,
        process: Process[S, R, Effect[M, T, P]],
        effects: tuple[Effect[M, T, P], ...],
    ) -> None:
        """What leaves is covered by the disk, and true."""
        for effect in effects:
            if type(effect) is To or type(effect) is Broadcast:
                self._check_message(place, process.disk, effect.message)
            elif type(effect) is Tell:
                for finding in self._claims.finds(effect.report):
                    self._check_finding(place, finding)

    def failed(self, place: Place, event: From[M] | T | Q, error: InvariantError) -> None:  # noqa: ARG002
        """A server found that some server broke the protocol."""
        self.breaks(UNDISTURBED)

    def stopped(self, place: Place, records: tuple[R, ...], why: str) -> None:  # noqa: ARG002
        """What became durable counts, although nothing of it left."""
        self._keep(place, records)

    # --- the rules ------------------------------------------------------------------------------

    def _ask(self, place: Place, asked: Asked) -> None:
        if type(asked) is Proposed:
            self._proposed.add((place.name, asked.value))
        elif type(asked) is ReadBegun:
            self._reads[place][asked.id] = bool(self.slots[place.name, asked.slot].chosen)
        elif type(asked) is LogReadBegun:
            self._log_reads[place, asked.id] = self._committed_below[place.name]
        elif type(asked) is SnapshotRestored:
            if not all(self.slots[place.name, it].chosen for it in range(1, asked.first)):
                self.breaks(REPORTED)
        else:
            assert_never(asked)

    def _keep(self, place: Place, records: tuple[R, ...]) -> None:
        for record in records:
            self._held[place] = max(self._held[place], self._claims.holds(record))
            for vote in self._claims.votes(record):
                self._count(place, vote)

    def _finish(self, name: str, change: Quorums) -> None:
        """A server says that ``change`` is finished; once is enough, since what is held stays."""
        slot, quorum = change
        self._finished.add((name, change))
        holders = {it for it in quorum.members if self._held[Place(it, name)] >= slot}
        is_held = self._governing(name, slot) == quorum and quorum.is_phase2(holders)
        if not is_held or not all(self.slots[name, it].chosen for it in range(1, slot)):
            self.breaks(FINISHED)

    def _check_message(self, place: Place, disk: tuple[R, ...], message: M) -> None:
        claims = self._claims
        if not claims.covers(disk, message):
            self.breaks(SAVED)
        for vote in claims.votes(message):
            self._count(place, vote)
        for slot, ballot, value in claims.asks(message):
            self._carry(self.slots[place.name, slot], ballot, value)

    def _carry(self, slot: Slot, ballot: Ballot, value: Hashable) -> None:
        if slot.carried.setdefault(ballot, value) != value:
            self.breaks(ONE_VALUE)

    def _count(self, place: Place, vote: Vote) -> None:
        number, ballot, value = vote
        slot = self.slots[place.name, number]
        voters = slot.voters[ballot, value]
        if place.server in voters:
            return
        voters.add(place.server)
        self._carry(slot, ballot, value)
        is_chosen = (ballot, value) in slot.chosen
        quorum = self._governing(place.name, number)
        if not is_chosen and quorum is not None and quorum.is_phase2(voters):
            self._choose(place, number, ballot, value)

    def _governing(self, name: str, number: int) -> QuorumSystem | None:
        changes = self._changes.get(name)
        if changes is None:
            return self._quorum
        begun = max((it for it in changes if it <= number), default=None)
        return self._quorum if begun is None else changes[begun]

    def _choose(self, place: Place, number: int, ballot: Ballot, value: Hashable) -> None:
        slot = self.slots[place.name, number]
        has_rival = any(value != other for _, other in slot.chosen)
        slot.chosen.append((ballot, value))
        if has_rival:
            self.breaks(AGREEMENT)
        is_proposed = (place.name, value) in self._proposed
        if not is_proposed and not self._claims.needs_no_request(value):
            self.breaks(VALIDITY)
        change = self._claims.changes(number, value)
        if change is not None:
            self._changes[place.name][change[0]] = change[1]
        if slot.nothing_below is not None and ballot < slot.nothing_below:
            self.breaks(REPORTED)

    def _check_finding(self, place: Place, finding: Finding) -> None:
        if type(finding) is NothingYet:
            # A broken machine may report under an id of its own: then the last read is meant.
            reads = self._reads[place]
            last = next(reversed(reads.values()), False)
            if reads.pop(finding.id, last):
                self.breaks(LINEARIZABLE)
            return
        if type(finding) is ReadAt:
            if finding.first < self._log_reads.pop((place, finding.id), 0):
                self.breaks(LINEARIZABLE)
            return
        slot = self.slots[place.name, finding.slot]
        if type(finding) is ValueFound:
            if not slot.has_chosen(finding.value):
                self.breaks(REPORTED)
        elif type(finding) is SlotCommitted:
            self._commit(place, finding)
        elif type(finding) is NothingBelow:
            below = finding.ballot
            slot.nothing_below = max(slot.nothing_below or below, below)
            if any(ballot < below for ballot, _ in slot.chosen):
                self.breaks(REPORTED)
        else:
            assert_never(finding)

    def _commit(self, place: Place, finding: SlotCommitted) -> None:
        """What is committed is chosen, and was not committed before."""
        number = finding.slot
        is_new = number not in self._committed[place]
        if not is_new or not self.slots[place.name, number].has_chosen(finding.value):
            self.breaks(REPORTED)
        self._committed[place].add(number)
        self._committed_below[place.name] = max(self._committed_below[place.name], number + 1)
