"""The stage of a log: whole replicas of Multi-Paxos, driven by a schedule.

- A command is text. Its Accept reaches the servers that the schedule names, and no others.
- ``lead`` is phase 1, ``propose`` phase 2. ``beat`` lets one interval T pass at one server.
- The window is small, so that its bound is met.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import TypeGuard

from attrs import frozen

from paxos import Ballot, From, Proposal, ServerId
from paxos.log import (
    Accept,
    CampaignTimer,
    Change,
    Command,
    Committed,
    HeartbeatTimer,
    Lead,
    Memory,
    Message,
    Noop,
    Prefix,
    Propose,
    Replica,
    Rules,
)
from paxos.log.events import LogTimer, Report, Request
from paxos.log.leader import Leading
from paxos.log.memory import Record, summed
from paxos.log.messages import Entry
from paxos_adapters.log import LogObserver
from paxos_lab.draw.picture import Picture
from paxos_lab.lecture.machine_stage import ImpossibleStep, MachineStage
from paxos_lab.machines.log import claims
from paxos_lab.machines.log_protocols import LOG, LogProtocol
from paxos_lab.machines.log_view import LogWords
from paxos_lab.record import LogTrace, log_timeline

RULES = Rules(window=4, piece=2)
WORDS = LogWords[str](str)


@frozen
class Held:
    """What a server has: its memory, and by slot what it knows to be ``chosen``.

    If it is down, that is what it has saved.
    """

    is_up: bool
    memory: Memory[str]
    chosen: dict[int, Proposal[Entry[str]]]

    @property
    def accepted(self) -> dict[int, Proposal[Entry[str]]]:
        """By slot: what it has accepted, and does not know to be chosen."""
        slots = enumerate(self.memory.open, self.memory.first)
        return {slot: it for slot, it in slots if it is not None}


def held(trace: LogTrace[str], last: int | None = None) -> dict[ServerId, Held]:
    """What each server has after the step ``last`` of ``trace``; in the end, if not said."""
    found: dict[ServerId, Held] = {}
    for step in trace.steps[:last]:
        begins_anew = step.before is None or step.after is None
        chosen = _on_disk(step.disk) if begins_anew else found[step.me].chosen
        for report in step.reports:
            if type(report) is Committed:
                chosen = chosen | dict(enumerate(report.proposals, report.slot))
        is_up = step.after is not None
        memory = summed(step.disk, Memory(())) if step.after is None else step.after.memory
        found[step.me] = Held(is_up, memory, chosen)
    return found


def _on_disk(disk: Iterable[Record[str]]) -> dict[int, Proposal[Entry[str]]]:
    """By slot: what a disk has of the chosen prefix."""
    prefix = next((it for it in disk if type(it) is Prefix), Prefix[str]())
    return dict(enumerate(prefix.proposals, prefix.floor))


@frozen
class LogChoice:
    """What a quorum has accepted for ``slot``, under ``ballot``."""

    slot: int
    entry: str
    ballot: Ballot
    voters: frozenset[ServerId]


class LogStage(
    MachineStage[Replica[str], Request[str], Message[str], LogTimer, Record[str], Report[str]]
):
    """Replicas that do one thing at a time, when the schedule says so.

    >>> from paxos_lab.lecture import S1, S2, LogStage
    >>> stage = LogStage(servers=3)
    >>> stage.lead(S1, to=(S1, S2))
    >>> stage.propose(S1, "X", to=(S1, S2))
    >>> stage.chosen(1), stage.log(S1), stage.log(S2), stage.accepted(S2)
    (['X'], {1: 'X'}, {}, {1: '1.1 X'})
    """

    def __init__(
        self,
        protocol: LogProtocol = LOG,
        servers: int = 3,
        members: Iterable[ServerId] = (),
        observer: LogObserver[str] | None = None,
    ) -> None:
        """Servers 1 to ``servers``; all of them are ``members``, if those are not said."""
        everyone = map(ServerId, range(1, servers + 1))
        super().__init__(
            protocol.machine(RULES), servers, [*members] or everyone, claims(RULES.window), observer
        )

    @property
    def picture(self) -> Picture:
        """What has happened so far; a notebook shows it."""
        return Picture(log_timeline(self.trace))

    def _repr_html_(self) -> str:
        return self.picture.svg

    # --- what a schedule says -------------------------------------------------------------------

    def lead(self, me: ServerId, *, to: Sequence[ServerId]) -> None:
        """``me`` is asked to lead; its Prepare reaches ``to``, and what they promise reaches it."""
        self._step(me, Lead())
        self.deliver(me, to=to)

    def propose(
        self, me: ServerId, entry: str | Noop | Change, *, to: Sequence[ServerId] = ()
    ) -> None:
        """``me`` proposes ``entry`` for its next slot; its Accept reaches ``to``, and they answer.

        Raises NotLeading and WindowFull.
        """
        self._step(me, Propose(Command(entry) if isinstance(entry, str) else entry))
        self.deliver(me, to=to)

    def accept(self, me: ServerId, slot: int) -> Accept[str]:
        """The Accept for ``slot`` that ``me`` has sent last."""
        for step in reversed(self.trace.steps):
            for it in step.sent:
                if it.sender == me and type(it.message) is Accept and it.message.slot == slot:
                    return it.message
        raise ImpossibleStep(me, f"has asked for nothing in slot {slot}")

    def deliver_slots(self, me: ServerId, *slots: int, to: Sequence[ServerId]) -> None:
        """What ``me`` asks for in ``slots`` reaches ``to``, and they answer."""
        for slot in slots:
            self.exchange(me, self.accept(me, slot), to=to)

    def beat(self, me: ServerId, *, to: Sequence[ServerId] = ()) -> None:
        """An interval is over at ``me``: what it says then reaches ``to``, and they answer."""
        sent = self._step(me, self._timer(me, HeartbeatTimer, "has no heartbeat timer"))
        messages = [(it, self.said(me)) for it in to]
        messages += [(it.receiver, it.message) for it in sent]
        self._exchange(((it, From(me, message)) for it, message in messages), (me, *to))

    def campaign(self, me: ServerId, *, to: Sequence[ServerId]) -> None:
        """``me`` has waited for a leader, and now asks ``to`` for a promise."""
        self._step(me, self._timer(me, CampaignTimer, "does not campaign"))
        self.deliver(me, to=to)

    # --- what has come of it --------------------------------------------------------------------

    def leads(self, me: ServerId) -> bool:
        """Whether ``me`` believes that it leads."""
        return type(self.state(me).role) is Leading

    @property
    def campaigning(self) -> set[ServerId]:
        """Which servers have set a timer to campaign."""
        return {me for me, kind in self._timers if kind is CampaignTimer}

    def log(self, me: ServerId) -> dict[int, str]:
        """By slot: what ``me`` knows to be chosen."""
        chosen = held(self.trace)[me].chosen
        return {slot: WORDS.entry(it.value) for slot, it in chosen.items()}

    def accepted(self, me: ServerId) -> dict[int, str]:
        """By slot: what ``me`` has accepted, and does not know to be chosen."""
        accepted = held(self.trace)[me].accepted
        return {slot: f"{it.ballot} {WORDS.entry(it.value)}" for slot, it in accepted.items()}

    def memory(self, me: ServerId) -> Memory[str]:
        """What ``me`` must not forget, or has saved of it if it is down."""
        return held(self.trace)[me].memory

    @property
    def choices(self) -> list[LogChoice]:
        """What a quorum has accepted, slot by slot, in the order in which it was."""
        return [
            LogChoice(number, WORDS.entry(entry), ballot, frozenset(slot.voters[ballot, entry]))
            for (_, number), slot in sorted(self.checker.slots.items())
            for ballot, entry in slot.chosen
            if _is_entry(entry)
        ]

    def chosen(self, slot: int) -> list[str]:
        """What is chosen for ``slot``, each entry once; more than one is a broken log."""
        return list(dict.fromkeys(it.entry for it in self.choices if it.slot == slot))


def _is_entry(value: Hashable) -> TypeGuard[Entry[str]]:
    return isinstance(value, Command | Noop | Change)
