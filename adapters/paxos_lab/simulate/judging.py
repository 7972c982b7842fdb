"""The judge of a life: holds what servers do against the disk and against what all others did.

What a step can break by itself was found out when it was first taken, see ``steps.py``.

- Votes count as soon as they are durable, whoever hears of them.
- A value is chosen once a phase-2 quorum has voted for it under one ballot. It was proposed, and
  it is the only one.
- What a server reports is chosen. Below a ballot under which it found nothing, nothing ever is; and
  a read that finds nothing began when nothing was chosen.
- What a promise, a vote or a round commits to is durable before it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable

from paxos import Acceptor, Ballot, Done, NothingChosen, NotYetChosen, ReadId, server
from paxos.errors import assert_never
from paxos_lab.rules import (
    AGREEMENT,
    LINEARIZABLE,
    ONE_VALUE,
    REPORTED,
    SAVED,
    VALIDITY,
    Commitment,
    is_durable,
)
from paxos_lab.simulate.steps import Check, Vote


class Broken(Exception):
    """A rule is broken, and the life ends."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


class Judge:
    """What was accepted, chosen, asked for and reported in one life so far."""

    __slots__ = (
        *("asked", "chosen", "floor", "is_late", "is_quorum"),
        *("proposed", "reports", "rules", "tally"),
    )

    def __init__(self, rules: tuple[str, ...], is_quorum: list[bool]) -> None:
        self.rules = rules
        self.is_quorum = is_quorum
        self.tally: dict[Vote, int] = {}
        self.chosen: dict[Vote, None] = {}
        self.asked: dict[Ballot, str] = {}
        self.proposed: set[str] = set()
        self.floor: Ballot | None = None
        self.is_late: dict[tuple[int, ReadId | None], bool] = {}
        self.reports = 0

    def breaks(self, rule: str) -> None:
        """``rule`` is broken. Raises Broken if it counts."""
        if rule in self.rules:
            raise Broken(rule)

    def vote(self, place: int, vote: Vote) -> None:
        """The server at ``place`` has accepted."""
        voters = self.tally.get(vote, 0) | 1 << place
        self.tally[vote] = voters
        if not self.is_quorum[voters] or vote in self.chosen:
            return
        ballot, value = vote
        has_rival = any(value != other for _, other in self.chosen)
        self.chosen[vote] = None
        if has_rival:
            self.breaks(AGREEMENT)
        if value not in self.proposed:
            self.breaks(VALIDITY)
        if self.floor is not None and ballot < self.floor:
            self.breaks(REPORTED)

    def hear(self, place: int, check: Check, memory: Acceptor[str], max_round: int) -> None:
        """What a step says leaves now, while the disk holds ``memory`` and ``max_round``."""
        if check.record is None:
            for vote in check.votes:
                self.vote(place, vote)
        if check.unproven:
            self.prove(check.unproven, memory)
        if check.round > max_round:
            self.breaks(SAVED)
        if check.asked is not None:
            ballot, value = check.asked
            if self.asked.setdefault(ballot, value) != value:
                self.breaks(ONE_VALUE)
        if check.report is not None:
            self.reports += 1
            self._believe(place, check.report)

    def begins(self, place: int, read: ReadId) -> None:
        """The server at ``place`` is asked to read."""
        self.is_late[place, read] = self.is_late[place, None] = bool(self.chosen)

    def prove(self, answers: Iterable[Commitment], memory: Acceptor[str]) -> None:
        """What ``answers`` commit to is in ``memory``."""
        if not all(is_durable(memory, answer) for answer in answers):
            self.breaks(SAVED)

    def _believe(self, place: int, report: server.Report[str]) -> None:
        if type(report) is Done:
            if all(report.value != value for _, value in self.chosen):
                self.breaks(REPORTED)
        elif type(report) is NothingChosen:
            self.floor = report.ballot if self.floor is None else max(self.floor, report.ballot)
            if any(ballot < report.ballot for ballot, _ in self.chosen):
                self.breaks(REPORTED)
        elif type(report) is NotYetChosen:
            # A broken protocol may report on an id of its own: then the last read is meant.
            last = self.is_late.get((place, None), False)
            if self.is_late.get((place, report.id), last):
                self.breaks(LINEARIZABLE)
        else:
            assert_never(report)
