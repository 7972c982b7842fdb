"""From a life to a schedule that a person can follow: every choice written out, and none too many.

- A schedule is a list of acts: who takes which event, and what becomes of it. Nothing in it is
  left to chance, and no time passes: a message can arrive once it was sent, a wake-up can come once
  it was asked for. What is impossible is left out.
- It is played by the servers themselves, without the table of steps, and held against the rules.
- To shrink it, acts are left out, many at once and then one by one and in pairs, as long as the
  same rule stays broken.

Source: delta debugging (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
2002).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TypeAlias

from attrs import Factory, define, frozen

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Answer,
    Ballot,
    Broadcast,
    Busy,
    Done,
    From,
    Inquire,
    InvariantError,
    MaxRound,
    Message,
    NothingChosen,
    NotYetChosen,
    Prepare,
    Promise,
    Propose,
    QuorumSystem,
    Read,
    ReadId,
    ServerId,
    SetTimer,
    Tell,
    To,
    invariants,
    server,
)
from paxos.errors import assert_never
from paxos_adapters.machine import Process
from paxos_adapters.memory import Delivery
from paxos_adapters.ports import Place
from paxos_adapters.single import SingleObserver, SingleProcess
from paxos_lab.draw import Moment
from paxos_lab.machines.protocols import Event, Server
from paxos_lab.rules import (
    AGREEMENT,
    KEPT,
    LINEARIZABLE,
    ONE_VALUE,
    REPORTED,
    SAVED,
    UNDISTURBED,
    VALIDITY,
    is_durable,
    is_kept,
)
from paxos_lab.simulate.setup import Act, Fate, Setup
from paxos_lab.transitions import Transition, settle

MAX_PAIRED = 60
"""Up to how many acts are also left out in pairs, since their number grows with the square."""

NEVER_SAVED = Fate.BEFORE_SAVE, Fate.STORE_FAILS
SAVED_UNSENT = Fate.UNSENT, Fate.STORE_LIES
STARTS = Fate.RESTARTS, Fate.RESTORED, Fate.WIPED
SHOWN_ONLY = (
    *(Fate.PAUSES, Fate.RESUMES, Fate.CUT, Fate.MENDED, Fate.SEVERED),
    *(Fate.CALM, Fate.REFUSED),
)

History: TypeAlias = tuple[Delivery[Message[str]] | Moment, ...]
Taken: TypeAlias = Transition[Server, server.Record[str], server.Effect[str]]
Disk: TypeAlias = tuple[Acceptor[str], MaxRound]


@frozen
class Played:
    """The acts that were possible, the rule that they broke in the end, and what is to be seen."""

    acts: tuple[Act, ...]
    broken: str | None
    history: History


def shrink(setup: Setup, acts: Sequence[Act], rule: str) -> Played:
    """Leave out what is not needed to break ``rule``, as long as anything can be left out."""
    best = play(setup, [act for act in acts if act.fate not in SHOWN_ONLY])
    if best.broken != rule:
        return play(setup, acts)
    size = len(best.acts)
    while size:
        best, shorter = _leave_out(setup, best, rule, size), best
        size = size if len(best.acts) < len(shorter.acts) else size // 2
    while len(best.acts) <= MAX_PAIRED:
        fewer = _without_a_pair(setup, best, rule)
        if fewer is None:
            break
        best = fewer
    return best


def _leave_out(setup: Setup, best: Played, rule: str, size: int) -> Played:
    for start in reversed(range(0, len(best.acts), size)):
        rest = best.acts[:start] + best.acts[start + size :]
        shorter = play(setup, rest)
        if shorter.broken == rule:
            best = shorter
    return best


def _without_a_pair(setup: Setup, best: Played, rule: str) -> Played | None:
    for pair in combinations(range(len(best.acts)), 2):
        rest = [act for place, act in enumerate(best.acts) if place not in pair]
        shorter = play(setup, rest)
        if shorter.broken == rule:
            return shorter
    return None


def play(setup: Setup, acts: Iterable[Act], observer: SingleObserver[str] | None = None) -> Played:
    """Play ``acts`` in order, up to the first broken rule, without those that are impossible.

    ``observer`` is told what happens, and the ticks.
    """
    stage = _Stage(setup, observer)
    taken: list[Act] = []
    for act in acts:
        try:
            if stage.play(act):
                taken.append(act)
        except _RuleBroken as broken:
            return Played((*taken, act), broken.rule, tuple(stage.history))
    return Played(tuple(taken), None, tuple(stage.history))


class _RuleBroken(Exception):
    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


@define
class _Actor:
    """One server, its disk, a backup of that, and the steps that wait for a save."""

    state: Server | None
    disk: Disk = (Acceptor[str](), MaxRound(0))
    backup: Disk = (Acceptor[str](), MaxRound(0))
    batch: list[Taken] = Factory(list[Taken])
    wakes: set[server.ServerTimer] = Factory(set[server.ServerTimer])


@frozen
class _Tells:
    """Tells an observer of the steps of a schedule."""

    observer: SingleObserver[str]
    quorum: QuorumSystem

    def at(self, now_s: float) -> None:
        self.observer.set_time(now_s)

    def began(self, me: ServerId, records: tuple[server.Record[str], ...]) -> None:
        process: SingleProcess[str] = Process(server.start(me, self.quorum, records), records)
        self.observer.started(Place(me), self.quorum, process)

    def took(self, me: ServerId, event: Event, before: Server, taken: Taken) -> None:
        waiting = () if taken.record is None else (AfterSave(taken.record, taken.effects),)
        at_rest = Process[Server, server.Record[str], server.Effect[str]](before, ())
        self.observer.stepped(Place(me), event, at_rest, Process(taken.state, (), waiting))

    def saved(self, me: ServerId, batch: list[Taken]) -> None:
        records = tuple(it.record for it in batch if it.record is not None)
        self.observer.saved(Place(me), Process(batch[-1].state, records), records, len(batch))

    def broke(self, me: ServerId, event: Event, error: InvariantError) -> None:
        self.observer.failed(Place(me), event, error)

    def ended(self, me: ServerId, why: str) -> None:
        self.observer.stopped(Place(me), (), why)


class _Stage:
    """What was sent, accepted, chosen and reported so far, and by whom."""

    def __init__(self, setup: Setup, observer: SingleObserver[str] | None) -> None:
        self.setup = setup
        self.observer = None if observer is None else _Tells(observer, setup.quorum)
        if observer is not None:
            observer.set_time(0)
        self.actors = {me: _Actor(self._start(me, ())) for me in sorted(setup.quorum.members)}
        self.history: list[Delivery[Message[str]] | Moment] = []
        self.sent: set[tuple[ServerId, From[Message[str]]]] = set()
        self.votes: list[From[Accepted[str]]] = []
        self.asked: dict[Ballot, str] = {}
        self.proposed: set[str] = set()
        self.chosen: dict[Ballot, str] = {}
        self.nothing_below: list[Ballot] = []
        self.is_late: dict[tuple[ServerId, ReadId | None], bool] = {}

    def play(self, act: Act) -> bool:
        """Whether ``act`` was possible. Raises _RuleBroken."""
        me, actor, fate = act.server, self.actors[act.server], act.fate
        if self.observer is not None:
            self.observer.at(act.tick)
        if fate in SHOWN_ONLY:
            return self._show(me, fate)
        if fate in STARTS:
            return self._restart(me, actor, fate)
        if fate is Fate.BACKS_UP:
            actor.backup = actor.disk
            return self._show(me, fate)
        if actor.state is None:
            return False
        if fate is Fate.CRASHES:
            return self._crash(me, actor, fate)
        if act.event is None:
            return self._end_save(me, actor, fate, act.saved)
        return self._take(me, actor, actor.state, act.event, fate)

    # --- one server -----------------------------------------------------------------------------

    def _take(self, me: ServerId, actor: _Actor, state: Server, event: Event, fate: Fate) -> bool:
        if not self._can_come(me, actor, event):
            return False
        self._come(me, event)
        try:
            taken = settle(self.setup.protocol.receive(state, event))
        except Busy:
            return True
        except InvariantError as error:
            if self.observer is not None:
                self.observer.broke(me, event, error)
            self._break(me, UNDISTURBED)
            return True
        if self.observer is not None:
            self.observer.took(me, event, state, taken)
        self._never_back(me, state, taken.state)
        if taken.record is not None and (actor.batch or fate is Fate.SAVES_SLOWLY):
            actor.state = taken.state
            actor.batch.append(taken)
            return self._show(me, Fate.SAVES_SLOWLY)
        if fate in NEVER_SAVED:
            return self._crash(me, actor, fate)
        self._save(me, actor, [taken])
        if fate in SAVED_UNSENT:
            return self._crash(me, actor, fate)
        actor.state = taken.state
        if self.observer is not None and taken.record is not None:
            self.observer.saved(me, [taken])
        self._release(me, actor, taken)
        return True

    def _end_save(self, me: ServerId, actor: _Actor, fate: Fate, saved: int) -> bool:
        if not actor.batch:
            return False
        if fate in NEVER_SAVED:
            return self._crash(me, actor, fate)
        batch, actor.batch = actor.batch, []
        self._save(me, actor, batch[:saved] if fate is Fate.TORN else batch)
        if fate is not Fate.SAVED:
            return self._crash(me, actor, fate)
        self._show(me, fate)
        if self.observer is not None:
            self.observer.saved(me, batch)
        for taken in batch:
            self._release(me, actor, taken)
        return True

    def _crash(self, me: ServerId, actor: _Actor, fate: Fate) -> bool:
        actor.state = None
        actor.batch.clear()
        if self.observer is not None:
            self.observer.ended(me, fate.value)
        return self._show(me, fate)

    def _restart(self, me: ServerId, actor: _Actor, fate: Fate) -> bool:
        if actor.state is not None:
            return False
        if fate is Fate.RESTORED:
            actor.disk = actor.backup
        elif fate is Fate.WIPED:
            actor.disk = Acceptor[str](), MaxRound(0)
        self._show(me, fate)
        try:
            actor.state = self._start(me, actor.disk)
        except InvariantError:
            self._break(me, UNDISTURBED)
        return True

    def _start(self, me: ServerId, records: tuple[server.Record[str], ...]) -> Server:
        if self.observer is not None:
            self.observer.began(me, records)
        return server.start(me, self.setup.quorum, records)

    def _can_come(self, me: ServerId, actor: _Actor, event: Event) -> bool:
        if isinstance(event, From):
            return (me, event) in self.sent
        return isinstance(event, Propose | Inquire | Read) or event in actor.wakes

    def _come(self, me: ServerId, event: Event) -> None:
        if isinstance(event, From):
            self.history.append(Delivery(0.0, event.sender, me, event.message))
        elif isinstance(event, Propose):
            self.proposed.add(event.value)
            self._say(me, f"proposes {event.value}")
        elif isinstance(event, Read):
            self.is_late[me, event.id] = self.is_late[me, None] = bool(self.chosen)
            self._say(me, "reads")
        else:
            self._say(me, "inquires" if isinstance(event, Inquire) else "is woken")

    # --- saving and sending ---------------------------------------------------------------------

    def _save(self, me: ServerId, actor: _Actor, batch: Iterable[Taken]) -> None:
        for taken in batch:
            memory, max_round = actor.disk
            if isinstance(taken.record, MaxRound):
                actor.disk = memory, taken.record
            elif taken.record is not None:
                actor.disk = taken.record, max_round
                held = taken.record.accepted
                if held is not None:
                    self._vote(me, Accepted(held.ballot, held.value))

    def _release(self, me: ServerId, actor: _Actor, taken: Taken) -> None:
        for effect in taken.effects:
            if type(effect) is To:
                self._send(me, actor, effect.receiver, effect.message)
            elif type(effect) is Broadcast:
                for receiver in self.actors:
                    self._send(me, actor, receiver, effect.message)
            elif type(effect) is SetTimer:
                actor.wakes.add(effect.timer)
            elif type(effect) is Tell:
                self._report(me, effect.report)
            else:
                assert_never(effect)

    def _send(self, me: ServerId, actor: _Actor, receiver: ServerId, message: Message[str]) -> None:
        memory, max_round = actor.disk
        if isinstance(message, Promise | Accepted | Answer) and not is_durable(memory, message):
            self._break(me, SAVED)
        if isinstance(message, Prepare | Accept) and message.ballot.round > max_round.round:
            self._break(me, SAVED)
        if isinstance(message, Accepted):
            self._vote(me, message)
        if isinstance(message, Accept):
            value = self.asked.setdefault(message.ballot, message.value)
            if value != message.value:
                self._break(me, ONE_VALUE)
        self.sent.add((receiver, From(me, message)))

    # --- the rules ------------------------------------------------------------------------------

    def _never_back(self, me: ServerId, before: Server, after: Server) -> None:
        if not is_kept(before.acceptor, after.acceptor):
            self._break(me, KEPT)

    def _vote(self, me: ServerId, vote: Accepted[str]) -> None:
        word = From(me, vote)
        if word in self.votes:
            return
        self.votes.append(word)
        for choice in invariants.choices(
            (it for it in self.votes if it.message == vote), self.setup.quorum
        ):
            self._choose(me, choice.chosen.ballot, choice.chosen.value)

    def _choose(self, me: ServerId, ballot: Ballot, value: str) -> None:
        if ballot in self.chosen:
            return
        before = set(self.chosen.values())
        self.chosen[ballot] = value
        if value not in before:
            self.history.append(Moment(me, f"{value} is chosen"))
        if before - {value}:
            self._break(me, AGREEMENT)
        if value not in self.proposed:
            self._break(me, VALIDITY)
        if any(ballot < below for below in self.nothing_below):
            self._break(me, REPORTED)

    def _report(self, me: ServerId, report: server.Report[str]) -> None:
        if type(report) is Done:
            self._say(me, f"reports {report.value}")
            if report.value not in self.chosen.values():
                self._break(me, REPORTED)
        elif type(report) is NothingChosen:
            self._say(me, f"reports nothing chosen below {report.ballot}")
            self.nothing_below.append(report.ballot)
            if any(ballot < report.ballot for ballot in self.chosen):
                self._break(me, REPORTED)
        elif type(report) is NotYetChosen:
            self._say(me, "reports nothing chosen when it began to read")
            if self.is_late.get((me, report.id), self.is_late.get((me, None), False)):
                self._break(me, LINEARIZABLE)
        else:
            assert_never(report)

    def _break(self, me: ServerId, rule: str) -> None:
        if rule in self.setup.rules:
            self.history.append(Moment(me, f"broken: {rule}"))
            raise _RuleBroken(rule)

    # --- what there is to see -------------------------------------------------------------------

    def _show(self, me: ServerId, fate: Fate) -> bool:
        self._say(me, fate.value)
        return True

    def _say(self, me: ServerId, text: str) -> None:
        self.history.append(Moment(me, f"S{me} {text}"))
