"""A story: one decision of a replay, ready to be drawn.

- Time runs in steps, from 1; each step is a moment in the lane of one server, with what it holds
  and knows from there on.
- A message is an arrow from the step in which it left to the step in which it arrived, or to none:
  lost, or late. What arrived twice has an arrow for each time. What nobody was seen to send comes
  from outside.
- A value is chosen in the step in which the last vote of a quorum became durable, whoever knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TypeAlias

from attrs import frozen

from paxos import (
    Accept,
    Ballot,
    Chosen,
    Done,
    From,
    HeartbeatTimer,
    Inquire,
    Message,
    NothingChosen,
    NotYetChosen,
    Prepare,
    Proposal,
    Propose,
    QueryTimer,
    Read,
    RetryTimer,
    ServerId,
    server,
)
from paxos.errors import assert_never
from paxos.invariants import Decision
from paxos.proposer import Accepting, Preparing
from paxos_lab.draw import describe
from paxos_lab.record.entries import Began, Ended, Freed, Given, Known, Took
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.replay import Replay
from paxos_lab.record.replayer import Step

Votes: TypeAlias = dict[tuple[Ballot, str], set[ServerId]]


class Kind(Enum):
    """What happens in a moment."""

    STARTS = "starts"
    IS_KNOWN = "is there"
    PROPOSES = "proposes"
    INQUIRES = "inquires"
    READS = "reads"
    HEARS = "hears"
    WAKES = "is woken"
    FINDS_FAULT = "finds the protocol broken"
    HAS_SAVED = "has saved"
    ENDS = "ends"


@frozen
class Look:
    """What a server holds and knows: of its acceptor, its proposer and its learner.

    ``asks`` is the ballot of the proposal under way, ``for_`` what it asks to accept, if it does.
    """

    promised: Ballot
    accepted: Proposal[str] | None
    asks: Ballot | None
    for_: str | None
    knows: str | None


@frozen
class Moment:
    """Step ``step``: what happens in ``lane``, in words, and how the server looks after it.

    ``look`` is None where the server is not there. ``changes``: it looks otherwise than before.
    """

    step: int
    at_s: float
    lane: ServerId
    kind: Kind
    text: str
    look: Look | None
    changes: bool


@frozen
class Arrow:
    """``message`` from the lane ``sender`` to the lane ``receiver``.

    It leaves in step ``left``, None: it comes from outside; it arrives in step ``arrived``, None:
    it is lost or late. ``is_repeated``: it has arrived before.
    """

    message: Message[str]
    sender: ServerId
    receiver: ServerId
    left: int | None
    arrived: int | None
    is_repeated: bool = False

    @property
    def text(self) -> str:
        """The message in a few words."""
        return describe(self.message)


@frozen
class Decided:
    """In step ``step`` a quorum has come to accept one value under one ballot."""

    step: int
    choice: Decision[str]


@frozen
class Story:
    """Lanes by their names, in order; and what happens in them, between them, and by all of them.

    ``arrows`` are in the order in which they leave. The first of ``decided`` is the choice; another
    one of the same value confirms it.
    """

    name: str
    lanes: dict[ServerId, str]
    moments: tuple[Moment, ...]
    arrows: tuple[Arrow, ...]
    decided: tuple[Decided, ...]


def story(replay: Replay, name: str = "") -> Story:
    """The story of the decision ``name``. Raises RecordingError if there is nothing about it."""
    steps = [step for step in replay.steps if step.entry.name == name]
    if not steps:
        raise RecordingError(f"the recording says nothing about a decision {name!r}.")
    return Story(
        name,
        replay.lanes,
        tuple(map(_moment, steps)),
        tuple(_arrows(steps, replay)),
        tuple(_decided(steps, replay)),
    )


# --- moments ------------------------------------------------------------------------------------


def _moment(step: Step[str]) -> Moment:
    kind, text = _told(step)
    look, before = _look(step.after), _look(step.before)
    entry = step.entry
    return Moment(step.number, entry.at_s, entry.server, kind, text, look, look != before)


def _told(step: Step[str]) -> tuple[Kind, str]:
    what = step.entry.what
    if type(what) is Took:
        return _taken(step, what)
    if type(what) is Freed:
        return Kind.HAS_SAVED, _reported(step, "has saved")
    if type(what) is Began:
        return Kind.STARTS, "starts again" if what.records else "starts"
    if type(what) is Ended:
        return Kind.ENDS, what.why
    if type(what) is Known or type(what) is Given:
        return Kind.IS_KNOWN, "is there already"
    assert_never(what)


def _taken(step: Step[str], what: Took[str]) -> tuple[Kind, str]:
    event = what.event
    if what.raised is not None:
        return Kind.FINDS_FAULT, f"finds the protocol broken: {what.raised}"
    if type(event) is Propose:
        return Kind.PROPOSES, _reported(step, f"proposes {event.value}")
    if type(event) is Inquire:
        return Kind.INQUIRES, _reported(step, "asks what is chosen")
    if type(event) is Read:
        return Kind.READS, _reported(step, "reads what is chosen")
    if type(event) is From:
        return Kind.HEARS, _reported(step, f"hears {describe(event.message)}")
    if type(event) is RetryTimer or type(event) is QueryTimer or type(event) is HeartbeatTimer:
        return Kind.WAKES, _reported(step, "is woken")
    assert_never(event)


def _reported(step: Step[str], text: str) -> str:
    """``text``, and what the server tells its program in that step."""
    told = [text]
    for report in step.reports:
        if type(report) is Done:
            told.append(f"knows that {report.value} is chosen")
        elif type(report) is NothingChosen:
            told.append(f"knows that nothing is chosen below {report.ballot}")
        elif type(report) is NotYetChosen:
            told.append("knows that nothing was chosen when it began to read")
        else:
            assert_never(report)
    return ", ".join(told)


def _look(state: server.Server[str] | None) -> Look | None:
    if state is None:
        return None
    phase, choice = state.proposer.phase, state.learner.choice
    return Look(
        state.acceptor.promised,
        state.acceptor.accepted,
        phase.ballot if isinstance(phase, Preparing | Accepting) else None,
        phase.value if isinstance(phase, Accepting) else None,
        None if choice is None else choice.chosen.value,
    )


# --- arrows -------------------------------------------------------------------------------------


def _arrows(steps: Iterable[Step[str]], replay: Replay) -> list[Arrow]:
    steps = tuple(steps)
    lanes = _lanes(steps)
    arrows = [*_arrived(steps, lanes)]
    for it in replay.on_the_way:
        if it.name == steps[0].entry.name:
            to = _lane(lanes, it.receiver, it.message)
            arrows.append(Arrow(it.message, it.lane, to, it.step, None))
    return sorted(arrows, key=lambda it: (it.left or it.arrived or 0, it.receiver))


def _arrived(steps: Iterable[Step[str]], lanes: dict[ServerId, list[ServerId]]) -> Iterator[Arrow]:
    for step in steps:
        what, arrival, me = step.entry.what, step.arrival, step.entry.server
        if type(what) is not Took or type(what.event) is not From or arrival is None:
            continue
        sent, message = arrival.sent, what.event.message
        if sent is None:
            sender = lanes.get(what.event.sender, [what.event.sender])[0]
            yield Arrow(message, sender, me, None, step.number)
        else:
            yield Arrow(message, sent.lane, me, sent.step, step.number, arrival.is_repeated)


def _lanes(steps: Iterable[Step[str]]) -> dict[ServerId, list[ServerId]]:
    """By id: the lanes of each server, in order; the explorer has two, the acceptor's first."""
    lanes: dict[ServerId, set[ServerId]] = {}
    for step in steps:
        if step.after is not None:
            lanes.setdefault(step.after.proposer.me, set()).add(step.entry.server)
    return {me: sorted(those) for me, those in lanes.items()}


def _lane(
    lanes: dict[ServerId, list[ServerId]], receiver: ServerId, message: Message[str]
) -> ServerId:
    """Where a message that did not arrive was going to."""
    those = lanes.get(receiver, [receiver])
    return those[0] if isinstance(message, Prepare | Accept) else those[-1]


# --- choices ------------------------------------------------------------------------------------


def _decided(steps: Iterable[Step[str]], replay: Replay) -> Iterator[Decided]:
    votes: Votes = {}
    for step in steps:
        for vote in step.votes:
            ballot, value = vote.message.ballot, vote.message.value
            voters = votes.setdefault((ballot, value), set())
            was_enough = replay.quorum.is_phase2(voters)
            voters.add(vote.sender)
            if not was_enough and replay.quorum.is_phase2(voters):
                yield Decided(step.number, Decision(Chosen(ballot, value), frozenset(voters)))
