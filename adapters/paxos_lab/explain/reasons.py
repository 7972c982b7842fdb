"""Explanations: what has become of a decision, why, and what would move it on.

Each is an object for programs, and has a ``text`` for people.
"""

from __future__ import annotations

from typing import ClassVar, Generic, TypeAlias

from attrs import frozen

from paxos import Ballot, Decision, QuorumSystem, ServerId
from paxos.ballot import V
from paxos_adapters.printable import quoted
from paxos_lab.explain.grammar import lacking, more, named, verb


@frozen
class Block:
    """``server`` refuses a proposal for good, since it has promised ``promised``.

    ``is_said``: it was asked, and has said so.
    """

    server: ServerId
    promised: Ballot
    is_said: bool


@frozen
class Attempt(Generic[V]):
    """One ballot, the value that it carried, and what has become of it.

    ``value`` is a tuple of one, or empty if the ballot never came to ask for a value. ``voters``
    have accepted it, ``blocked`` refuse it. ``can_win``: with those that can still accept it,
    ``voters`` are a quorum.
    """

    ballot: Ballot
    value: tuple[V, ...]
    voters: frozenset[ServerId]
    blocked: tuple[Block, ...]
    is_chosen: bool
    can_win: bool

    @property
    def text(self) -> str:
        """The attempt in a line."""
        what = f" {quoted(self.value[0])}" if self.value else ""
        said = [f"accepted by {named(self.voters)}"]
        for promised in sorted({it.promised for it in self.blocked}):
            who = [it.server for it in self.blocked if it.promised == promised]
            has, refuses = verb(who, "has", "have"), verb(who, "refuses", "refuse")
            said.append(f"{named(who)} {has} promised {promised} and {refuses} it")
        if not self.is_chosen:
            said.append(
                "it can still be chosen" if self.can_win else "it cannot be chosen any more"
            )
        return f"{self.ballot}{what} of S{self.ballot.server}: {'; '.join(said)}."


@frozen
class Agreed(Generic[V]):
    """One value is chosen: ``choices`` are the quorums that accepted it, by ballot.

    ``choices`` have no voters if only a server's word for it is known. ``aware`` know it,
    ``unaware`` do not yet.
    """

    name: str
    value: V
    choices: tuple[Decision[V], ...]
    aware: frozenset[ServerId]
    unaware: frozenset[ServerId]
    attempts: tuple[Attempt[V], ...]

    is_decided: ClassVar[bool] = True

    @property
    def text(self) -> str:
        """The reason in words."""
        first, *again = self.choices
        lines = [f"{quoted(self.value)} is chosen under {first.chosen.ballot}: {_by(first)}."]
        lines.extend(
            f"It was chosen once more under {it.chosen.ballot}: {_by(it)}." for it in again
        )
        if not self.aware:
            lines.append("No server that is up knows it; one that asks will find out.")
        elif self.unaware:
            lines.append(
                f"{named(self.aware)} {verb(self.aware, 'knows', 'know')} it; "
                f"{named(self.unaware)} {verb(self.unaware, 'does', 'do')} not yet, and will be "
                "told, or find out by asking."
            )
        return _with_attempts(lines, self.attempts)


@frozen
class Disagreed(Generic[V]):
    """Different values are chosen: some server broke the protocol, or the protocol is broken."""

    name: str
    choices: tuple[Decision[V], ...]
    attempts: tuple[Attempt[V], ...]

    is_decided: ClassVar[bool] = False

    @property
    def text(self) -> str:
        """The reason in words."""
        lines = ["Agreement is broken: different values are chosen."]
        for choice in self.choices:
            value, ballot = quoted(choice.chosen.value), choice.chosen.ballot
            lines.append(f"{value} is chosen under {ballot}: {_by(choice)}.")
        lines.append(f"{_in_both(self.choices)} Nothing can repair that: stop the servers.")
        return _with_attempts(lines, self.attempts)


@frozen
class Split(Generic[V]):
    """Acceptors that keep their first value have split: no value can get a quorum any more."""

    name: str
    quorum: QuorumSystem
    votes: tuple[tuple[V, frozenset[ServerId]], ...]

    is_decided: ClassVar[bool] = False

    @property
    def text(self) -> str:
        """The reason in words."""
        held = "; ".join(f"{quoted(value)} by {named(voters)}" for value, voters in self.votes)
        return (
            f"Nothing is chosen, and nothing ever can be. Accepted are {held}: none of these is a "
            "quorum, and acceptors that keep their first value never make it one. They would have "
            "to be able to accept another value later."
        )


@frozen
class TooFewUp:
    """``missing`` are down or out of sight, and without ``needed`` of them there is no quorum."""

    quorum: QuorumSystem
    up: frozenset[ServerId]
    missing: frozenset[ServerId]
    needed: frozenset[ServerId]

    @property
    def text(self) -> str:
        """The reason in words."""
        up = f"Only {named(self.up)} {verb(self.up, 'is', 'are')} up, which is not a quorum"
        return (
            f"{up if self.up else 'No server is up'}: "
            f"{more(self.quorum, self.up, self.needed, self.missing)} must come back."
        )


@frozen
class DuelingProposers:
    """``ahead`` may win, if ``others`` do not cut it off with a higher ballot before it does."""

    ahead: Ballot
    others: tuple[Ballot, ...]

    @property
    def text(self) -> str:
        """The reason in words."""
        theirs = " and ".join(f"{it} of S{it.server}" for it in self.others)
        who = [it.server for it in self.others]
        return (
            f"{self.ahead} of S{self.ahead.server} and {theirs} duel. "
            f"{self.ahead} may win, unless {named(who)} {verb(who, 'starts', 'start')} over with "
            "a higher number first, and so on. A random delay before that, or a leader that the "
            "others wait for, lets one of them finish."
        )


@frozen
class Preempted:
    """All proposals in progress are refused, because of the promise ``promised``."""

    ballots: tuple[Ballot, ...]
    promised: Ballot

    @property
    def text(self) -> str:
        """The reason in words."""
        theirs = " and ".join(f"{it} of S{it.server}" for it in self.ballots)
        return (
            f"{theirs} cannot win, since a quorum is out of reach after the promises of "
            f"{self.promised}. Only a number above {self.promised} can: the next proposer has to "
            f"start over in round {self.promised.round + 1} or above."
        )


@frozen
class Waiting:
    """``ballot`` goes on as soon as ``needed`` answer, or as many others of ``among``."""

    quorum: QuorumSystem
    ballot: Ballot
    phase: int
    answered: frozenset[ServerId]
    needed: frozenset[ServerId]
    among: frozenset[ServerId]

    @property
    def text(self) -> str:
        """The reason in words."""
        what = "promises" if self.phase == 1 else "acceptances"
        others = more(self.quorum, self.answered, self.needed, self.among)
        return (
            f"{self.ballot} of S{self.ballot.server} waits for {what}: it has those of "
            f"{named(self.answered)}, and needs {others}."
        )


@frozen
class NoActiveProposer:
    """No server that is up has a proposal or an inquiry in progress."""

    @property
    def text(self) -> str:
        """The reason in words."""
        return "No proposal or read is in progress: a server has to propose, or to inquire."


Cause: TypeAlias = TooFewUp | DuelingProposers | Preempted | Waiting | NoActiveProposer
"""Why a decision does not come about now, and what would change that."""


@frozen
class Undecided(Generic[V]):
    """Nothing is seen to be chosen, and why.

    The attempts that ``can_win`` may be chosen yet. If ``unseen`` is not empty, one of them may be
    chosen already: these servers are out of sight.
    """

    name: str
    quorum: QuorumSystem
    cause: Cause
    unseen: frozenset[ServerId]
    attempts: tuple[Attempt[V], ...]

    is_decided: ClassVar[bool] = False

    @property
    def text(self) -> str:
        """The reason in words."""
        lines = ["Nothing is chosen.", self.cause.text]
        for attempt in self.attempts:
            if attempt.can_win and attempt.voters:
                refusing = {it.server for it in attempt.blocked}
                among = self.quorum.members - attempt.voters - refusing
                needed = lacking(self.quorum, 2, attempt.voters, among) or frozenset()
                lines.append(
                    f"{quoted(attempt.value[0])} may be chosen "
                    f"{'already' if self.unseen else 'yet'}"
                    f" under {attempt.ballot}: it has {named(attempt.voters)}, and needs "
                    f"{more(self.quorum, attempt.voters, needed, among)}."
                )
        if self.unseen:
            lines[0] = f"Nothing is seen to be chosen, with {named(self.unseen)} out of sight."
        return _with_attempts(lines, self.attempts)


Explanation: TypeAlias = Agreed[V] | Disagreed[V] | Split[V] | Undecided[V]


def _by(choice: Decision[V]) -> str:
    if not choice.voters:
        return "as reported by a server"
    return f"accepted by {named(choice.voters)}, a quorum"


def _in_both(choices: tuple[Decision[V], ...]) -> str:
    common = choices[0].voters.intersection(*(it.voters for it in choices))
    if not common:
        return "No server is in all of these quorums, as far as is known."
    return f"{named(common)} accepted one after the other."


def _with_attempts(lines: list[str], attempts: tuple[Attempt[V], ...]) -> str:
    failed = [it.text for it in attempts if not it.is_chosen and (it.voters or it.blocked)]
    return "\n".join([*lines, *failed])
