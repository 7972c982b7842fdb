"""A replicated log for pictures: words for its messages, and what its states show.

- A slot shows what a replica has accepted there, as long as it is open; then, that it is chosen.
- The whole log shows the promise, the ballot in progress, and below which slot all are chosen.
- A promise, a heartbeat and what is caught up with are about all slots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeAlias

from attrs import evolve, frozen

from paxos import Nack, Proposal, QuorumSystem
from paxos.ballot import V
from paxos.errors import assert_never
from paxos.log import (
    Accept,
    Accepted,
    CampaignTimer,
    CatchUp,
    CatchUpRequest,
    Change,
    Command,
    Committed,
    Confirm,
    Confirmed,
    Delta,
    Elected,
    Fetch,
    Heartbeat,
    HeartbeatTimer,
    Lead,
    Noop,
    Prepare,
    Promise,
    Propose,
    Read,
    Readable,
    ReleaseTimer,
    SnapshotInstalled,
)
from paxos.log.events import LogTimer, Report, Request
from paxos.log.leader import Following, Leading
from paxos.log.memory import Memory, Record, governing, held, summed
from paxos.log.messages import Entry, Message
from paxos.log.replica import Replica
from paxos_adapters.printable import printable
from paxos_lab.claims import Vote
from paxos_lab.machines.log import is_vote
from paxos_lab.machines.view import TIMES_OUT, Look, View, Words

LogView: TypeAlias = View[Replica[V], Request[V], Message[V], LogTimer, Record[V], Report[V]]
"""What pictures show of a log."""


@frozen
class LogWords(Generic[V]):
    """Words for a log whose commands ``text`` describes."""

    text: Callable[[V], str]

    def entry(self, entry: Entry[V]) -> str:
        """An entry in a word or two."""
        if type(entry) is Command:
            return printable(self.text(entry.value))
        if type(entry) is Noop:
            return "no-op"
        if type(entry) is Change:
            return f"members {','.join(map(str, sorted(entry.quorum.members)))}"
        assert_never(entry)

    def slots(self, first: int, proposals: Iterable[Proposal[Entry[V]]]) -> str:
        """What is chosen from slot ``first`` on."""
        return ", ".join(
            f"{slot}: {self.entry(it.value)}" for slot, it in enumerate(proposals, first)
        )

    def say(self, message: Message[V]) -> Words:
        """What a picture says of ``message``."""
        if type(message) is Prepare:
            ballot = message.ballot
            return Words(f"Prepare {ballot} from {message.slot}", ballot, request=f"P {ballot}")
        if type(message) is Promise:
            found = ", ".join(
                f"{slot}: {it.ballot} {self.entry(it.value)}" for slot, it in message.accepted
            )
            text = f"Promise {message.ballot}, {found or 'nothing accepted'}"
            return Words(text, message.ballot, is_answer=True)
        if type(message) is Accept:
            ballot, slot, value = message.ballot, message.slot, self.entry(message.entry)
            text = f"Accept {ballot} {slot}: {value}"
            return Words(text, ballot, request=f"A {ballot} {slot}:", value=value)
        if type(message) is Accepted:
            ballot, text = message.ballot, f"Accepted {message.ballot} {message.slot}"
            return Words(text, ballot, is_answer=True, is_vote=True)
        if type(message) is Nack:
            text = f"Nack {message.ballot}, {message.promised} is promised"
            return Words(text, message.ballot, is_answer=True, is_refusal=True)
        return self._say_of_all(message)

    def _say_of_all(
        self, message: Heartbeat | CatchUpRequest | CatchUp[V] | Confirm | Confirmed
    ) -> Words:
        if type(message) is Heartbeat:
            known = f", chosen below {message.first}" if message.leads else ""
            return Words(f"Heartbeat{known}")
        if type(message) is CatchUpRequest:
            return Words(f"CatchUpRequest from {message.first}")
        if type(message) is CatchUp:
            return Words(f"CatchUp {self.slots(message.slot, message.proposals)}", is_answer=True)
        if type(message) is Confirm:
            return Words(f"Confirm {message.ballot}", message.ballot)
        if type(message) is Confirmed:
            return Words(f"Confirmed {message.ballot}", message.ballot, is_answer=True)
        assert_never(message)

    def own(self, event: Request[V] | LogTimer) -> str:
        """What a replica does by itself."""
        if type(event) is Propose:
            return f"proposes {self.entry(event.entry)}"
        if type(event) is Read:
            return f"begins read {event.number}"
        if type(event) is Lead:
            return "is asked to lead"
        if type(event) is SnapshotInstalled:
            return f"installs a snapshot of all below {event.first}"
        if type(event) is CampaignTimer:
            return TIMES_OUT
        if type(event) is HeartbeatTimer:
            return ""
        if type(event) is ReleaseTimer:
            return "lease is over"
        assert_never(event)

    def told(self, report: Report[V]) -> str:
        """What a replica tells its program."""
        if type(report) is Committed:
            return f"commits {self.slots(report.slot, report.proposals)}"
        if type(report) is Elected:
            return f"leads under {report.ballot}"
        if type(report) is Readable and report.first is None:
            return f"leads no more: read {report.number} is over"
        if type(report) is Readable:
            return f"answers read {report.number} from all below {report.first}"
        if type(report) is Fetch:
            return f"looks up slot {report.slot} for S{report.receiver}"
        assert_never(report)

    def look(self, state: Replica[V], slot: int | None) -> Look:
        """What a replica holds and knows of ``slot``, or of the whole log."""
        role, shown = state.role, self._memory(state.memory, slot)
        if type(role) is Following:
            return shown
        in_flight = role.in_flight if type(role) is Leading else ()
        asked = dict(enumerate(in_flight, state.memory.first)).get(slot or 0)
        for_ = None if asked is None else self.entry(asked.entry)
        return evolve(shown, asks=role.ballot, for_=for_)

    def disk(self, records: tuple[Record[V], ...], slot: int | None) -> Look:
        """What the disk of a replica holds that is down."""
        return self._memory(summed(records, Memory(())), slot)

    def _memory(self, memory: Memory[V], slot: int | None) -> Look:
        found = None if slot is None else held(memory, slot)
        accepted = None if found is None else Proposal(found.ballot, self.entry(found.value))
        return Look(memory.promised, accepted, knows=_knows(memory.first, slot))

    def votes(self, said: Record[V] | Message[V]) -> tuple[Vote, ...]:
        """What a durable record accepts. A message names no entry."""
        if type(said) is not Delta:
            return ()
        return tuple(
            Vote(slot, it.ballot, self.entry(it.value))
            for slot, it in said.written
            if is_vote(said, slot, it)
        )


def _knows(first: int, slot: int | None) -> str | None:
    """What is known to be chosen of ``slot``, or of the whole log."""
    if slot is None:
        return f"all below {first}"
    return "it" if slot < first else None


def slot_of(it: Message[V] | Request[V] | LogTimer | Report[V]) -> int | None:
    """The slot that it is about; None: about all."""
    if type(it) is Accept or type(it) is Accepted:
        return it.slot
    if type(it) is Committed and len(it.proposals) == 1:
        return it.slot
    return None


def governs(state: Replica[V], slot: int) -> QuorumSystem:
    """The quorums of an open slot."""
    return governing(state.memory.configurations, slot)


def log_view(text: Callable[[V], str] = str) -> LogView[V]:
    """The view of a log whose commands ``text`` describes."""
    words = LogWords(text)
    return View(
        words.say,
        words.own,
        words.told,
        words.look,
        slot_of,
        words.votes,
        words.disk,
        governs,
    )
