"""All runs of a small cluster: its processes and the network between them, as a machine to explore.

What can happen:

- A message once said can arrive at any later time, any number of times, in any order, or never. So
  the network is the set of all that was ever said; loss, delay and repetition need no step.
- An asker may begin at any time, and its wake-ups may come at any time.
- A process may crash at rest, before each save and after it. It starts again from its disk.

Five reductions keep the walk small, and none of them loses a broken rule:

- A step that tells nothing new waits until what it leads to is told: messages do not go away.
- An answer that changes nothing at its acceptor is given at once: nobody has to hear it.
- A message that nobody will take notice of any more is forgotten. What an asker takes no notice of
  is a claim; ``refuted`` tries it out in every state that was reached. (A server that knows what is
  chosen may still complain of such a message: of a broken rule that is found all the same.)
- A crash between a save and the sending is one after the sending, when nobody hears what was sent.
- Acceptors that count alike may change places.

Source: the set of messages is that of Lamport's Paxos.tla; for the reductions see Clarke, Grumberg
and Peled, "Model Checking" (1999), on partial orders and symmetry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from operator import le
from typing import TypeAlias

from attrs import evolve, frozen

from paxos import (
    Accept,
    Accepted,
    Ballot,
    Chosen,
    Done,
    From,
    NotYetChosen,
    Proposal,
    Read,
)
from paxos.proposer import Accepting, Phase, Preparing
from paxos.quorum import BySize
from paxos_lab.explore.processes import Processes, Step, Taken, bits
from paxos_lab.explore.scopes import Scope
from paxos_lab.explore.search import DEFAULT_MAX_STATES, Exploration, Glimpse, explore
from paxos_lab.machines.protocols import LECTURE, Event
from paxos_lab.rules import (
    AGREEMENT,
    CHOOSABLE,
    LINEARIZABLE,
    ONE_VALUE,
    REPORTED,
    RULES,
    VALIDITY,
)

State: TypeAlias = tuple[int, ...]
"""Crashes left, what has come true, and then one cell for each process."""

Heard: TypeAlias = tuple[int, ...]
"""What each process has said that one process can hear."""

Path: TypeAlias = tuple[Event, ...]
"""What one process takes, one after the other."""


Mark: TypeAlias = str | Chosen[str] | int
"""What has come true: a rule is broken, a value is chosen, a process began to read after that."""


class Fate(Enum):
    """What becomes of a process after a step."""

    GOES_ON = "goes on"
    UNSENT = "crashes after the save, before it sends"
    CRASHES = "crashes at rest"


@frozen
class Move:
    """What ``process`` does: it takes ``events``, and what the last of them leads to is ``step``.

    ``told`` is what is new of what the step tells, ``cell`` where it leaves the process, ``marks``
    the rules that it breaks by that alone.
    """

    process: int
    events: Path
    step: Step
    fate: Fate
    told: int
    cell: int
    marks: int


@frozen
class Walk:
    """Where a process gets without telling anything new, and how; what can follow from there."""

    paths: dict[int, Path]
    noticed: list[tuple[Path, Step, int]]
    crashes: list[tuple[Path, Step, Fate]]


class Interleavings:
    """The machine of ``scope``, for ``explore``.

    A cell is a process in some local state that has said certain things. A mark is something that
    has come true.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.processes = Processes(scope)
        self._acceptors = self.processes.acceptors
        self._askers = self.processes.askers
        self._local: list[int] = []
        self._said: list[int] = []
        self._cells: dict[tuple[int, int], int] = {}
        self._marks: dict[Mark, int] = {}
        self._values: dict[int, frozenset[str]] = {}
        self._first = 2 + scope.acceptors
        self._asked: dict[tuple[int, ...], Heard] = {}
        self._dead: dict[tuple[int, int, State], int] = {}
        self._moves: dict[tuple[int, int, Heard, int, bool], tuple[Move, ...]] = {}
        self._walks: dict[tuple[int, int, Heard, int], Walk] = {}
        self._takens: dict[tuple[int, int, int], tuple[Taken, ...]] = {}
        self._settled: dict[tuple[int, Heard, int], int] = {}
        self._places: dict[tuple[int, tuple[int, ...]], int] = {}

    def start(self) -> tuple[State]:
        """Nobody has said anything."""
        cells = (self._cell(local, 0) for local in self.processes.start())
        return ((self.scope.crashes, 0, *cells),)

    def steps(self, state: State) -> Iterator[tuple[Move, State]]:
        """Each move of each process, and where it leads."""
        for move, after in self.moves(state):
            yield move, self.in_order(after)

    def moves(self, state: State) -> Iterator[tuple[Move, State]]:
        """The same, with each acceptor left in its place."""
        survivors = {state}
        crashing: list[tuple[Move, State]] = []
        asks, dead = self._asks(state), self._forgotten(state)
        for process in range(len(state) - 2):
            for move in self._moves_of(process, state, asks, dead):
                after = self._after(state, move)
                if move.fate is not Fate.GOES_ON:
                    crashing.append((move, after))
                elif after != state:
                    survivors.add(after)
                    yield move, after
        for move, after in crashing:
            # Where it gets without a crash, it gets with one more crash still to come.
            if (state[0], *after[1:]) not in survivors:
                yield move, after

    def in_order(self, state: State) -> State:
        """``state`` with the acceptors sorted, if they count alike."""
        if not (self.scope.reduced and isinstance(self.scope.quorum, BySize)):
            return state
        last = self._first
        cells = state[2:last]
        if all(map(le, cells, cells[1:])):
            return state
        order = tuple(sorted(self._acceptors, key=cells.__getitem__))
        askers = (self._renamed(cell, order) for cell in state[last:])
        return (*state[:2], *(cells[place] for place in order), *askers)

    def breaks(self, rule: str) -> Callable[[State], bool]:
        """Whether ``rule`` is broken in a state."""
        bit = self._mark(rule)
        return lambda state: bool(state[1] & bit)

    def chosen(self, state: State) -> frozenset[str]:
        """The values that are chosen in ``state``, whoever knows it."""
        return self._chosen(state[1])

    def at_work(self, state: State) -> int:
        """How many askers have a ballot under way."""
        phases = self._phases(state)
        return sum(isinstance(it, Preparing | Accepting) for it in phases)

    def is_adopting(self, state: State) -> bool:
        """Whether an asker asks for a value that it found and was not given."""
        return any(isinstance(it, Accepting) and not it.own for it in self._phases(state))

    def _phases(self, state: State) -> Iterator[Phase[str]]:
        for cell in state[2 + len(self._acceptors) :]:
            yield self.processes.locals[self._local[cell]].state.proposer.phase

    def given_at_once(self, before: State, move: Move, after: State) -> Iterator[tuple[int, Event]]:
        """The answers that ``after`` has got besides what ``move`` told: by whom, and to what."""
        heard = self._heard(0, after)
        for it in self._acceptors:
            given = self._said[after[2 + it]] & ~self._said[before[2 + it]]
            if it == move.process:
                given &= ~move.told
            for event, step in self._steps(it, self._local[after[2 + it]], heard) if given else ():
                if step.told & given:
                    yield it, event

    def accepted(self, state: State) -> tuple[Proposal[str] | None, ...]:
        """What each acceptor holds."""
        places = (self._local[state[2 + it]] for it in self._acceptors)
        return tuple(self.processes.locals[local].state.acceptor.accepted for local in places)

    # --- what a process can do ------------------------------------------------------------------

    def _moves_of(self, process: int, state: State, asks: Heard, dead: int) -> tuple[Move, ...]:
        """What ``process`` can do that others notice; acceptors hear ``asks``, ``dead`` is dead."""
        cell, crashes = state[2 + process], state[0] > 0
        if process < self._askers.start:
            key = process, cell, asks, dead, crashes
        else:
            key = process, cell, self._heard(process, state), 0, crashes
        moves = self._moves.get(key)
        if moves is None:
            known = len(self.processes.said)
            moves = tuple(self._find_moves(*key))
            if known < len(self.processes.said):
                # Something was said for the first time, and may be of no interest to anybody.
                return self._moves_of(process, state, asks, self._forgotten(state))
            self._moves[key] = moves
        return moves

    def _heard(self, process: int, state: State) -> Heard:
        hears, said = self.processes.hears(process), self._said
        return tuple([said[cell] & hears for cell in state[2:]])

    def _asks(self, state: State) -> Heard:
        """What acceptors hear."""
        askers = state[self._first :]
        asks = self._asked.get(askers)
        if asks is None:
            asks = self._asked[askers] = self._heard(0, state)
        return asks

    def _find_moves(
        self, process: int, cell: int, heard: Heard, dead: int, crashes: bool
    ) -> Iterator[Move]:
        local, said = self._local[cell], self._said[cell]
        gone = said | dead
        kept: dict[object, list[int]] = {}
        restarts = {local}
        walk = self._walk(process, local, heard, gone)
        for path, step, told in walk.noticed:
            same = kept.setdefault((told, step.broken, step.report), [])
            if not self._could_wait(process, step.local, same, heard, gone | told):
                same.append(step.local)
                yield self._move(process, path, step, Fate.GOES_ON, said, told)
        for path, step, fate in walk.crashes if crashes else ():
            if step.local not in restarts and not self.processes.is_spent(step.local):
                restarts.add(step.local)
                yield self._move(process, path, step, fate, said, 0)

    def _move(
        self, process: int, events: Path, step: Step, fate: Fate, said: int, told: int
    ) -> Move:
        marks = 0 if step.broken is None else self._mark(step.broken)
        if self._differ(said | told):
            marks |= self._mark(ONE_VALUE)
        return Move(process, events, step, fate, told, self._cell(step.local, said | told), marks)

    def _differ(self, said: int) -> bool:
        """Whether two requests under one ballot ask for different values."""
        asked: dict[Ballot, str] = {}
        for bit in bits(said & self.processes.requests):
            ask = self.processes.said_by(bit).message
            if isinstance(ask, Accept) and asked.setdefault(ask.ballot, ask.value) != ask.value:
                return True
        return False

    def _is_noticed(self, at: int, event: Event, step: Step, told: int) -> bool:
        """Whether anybody but the process itself can tell that it took this step."""
        if told or step.broken is not None or not self.scope.reduced:
            return bool(told) or step.broken is not None or step.local != at
        repeats = isinstance(event, From) and isinstance(event.message, Chosen)
        return step.report is not None and not repeats

    def _could_wait(
        self, process: int, local: int, others: list[int], heard: Heard, gone: int
    ) -> bool:
        """Whether part of what was heard on the way could as well be heard afterwards."""
        for other in others:
            if local in self._walk(process, other, heard, gone).paths:
                return self.scope.reduced
        return False

    def _walk(self, process: int, local: int, heard: Heard, gone: int) -> Walk:
        # One acceptor is like another.
        key = max(process, self._askers.start - 1), local, heard, gone
        walk = self._walks.get(key)
        if walk is None:
            walk = self._walks[key] = self._take_walk(*key)
        return walk

    def _take_walk(self, process: int, local: int, heard: Heard, gone: int) -> Walk:
        paths: dict[int, Path] = {local: ()}
        walk = Walk(paths, [], [])
        for at in (frontier := [local]):
            for event, step in self._steps(process, at, heard):
                path, told = (*paths[at], event), step.told & ~gone
                if self._is_noticed(at, event, step, told):
                    walk.noticed.append((path, step, told))
                elif step.local not in paths:
                    paths[step.local] = path
                    frontier.append(step.local)
                if step.unsent is not None and not self.scope.reduced:
                    walk.crashes.append((path, step.unsent, Fate.UNSENT))
            if self.scope.crashes:
                walk.crashes.append((paths[at], self.processes.crash(at), Fate.CRASHES))
        return walk

    def _steps(self, process: int, local: int, heard: Heard) -> Iterator[Taken]:
        ignored = self.processes.ignored(local) if process in self._askers else 0
        for sender, mask in enumerate(heard):
            if mask & ~ignored:
                yield from self._arrivals(local, sender, mask & ~ignored)
        taken = self.processes.doing(process, local)
        if taken is not None:
            yield taken

    def _arrivals(self, local: int, sender: int, mask: int) -> tuple[Taken, ...]:
        """What hearing each message of ``mask`` does, where it does anything."""
        key = local, sender, mask
        takens = self._takens.get(key)
        if takens is None:
            heard = (self.processes.hearing(local, sender, bit) for bit in bits(mask))
            takens = self._takens[key] = tuple(it for it in heard if it and it[1] != Step(local))
        return takens

    # --- what follows from it -------------------------------------------------------------------

    def _after(self, state: State, move: Move) -> State:
        process, place = move.process, 2 + move.process
        crashes = state[0] - (move.fate is not Fate.GOES_ON)
        after = (crashes, state[1] | move.marks, *state[2:place], move.cell, *state[place + 1 :])
        if process in self._askers:
            after = self._settle(after, self._acceptors)
        else:
            after = self._settle(after, (process,))
            after = self._count(after, self._said[after[place]] & ~self._said[state[place]])
        marks = self._judged(after[1], move)
        return after if marks == after[1] else (crashes, marks, *after[2:])

    def _judged(self, marks: int, move: Move) -> int:
        """The marks, now that a read has begun, or that something was reported."""
        if any(isinstance(it, Read) for it in move.events) and self._chosen(marks):
            marks |= self._mark(move.process)
        report = move.step.report
        if type(report) is Done and report.value not in self._chosen(marks):
            marks |= self._mark(REPORTED)
        if type(report) is NotYetChosen and marks & self._mark(move.process):
            marks |= self._mark(LINEARIZABLE)
        return marks

    def _count(self, state: State, told: int) -> State:
        """What is chosen, now that an acceptor has told something."""
        marks = state[1]
        said = [self._said[state[2 + it]] for it in self._acceptors]
        for ballot, value, voters in self.processes.voters(told, said):
            chosen = self._chosen(marks)
            if value not in chosen and self.scope.quorum.is_phase2(voters):
                marks |= self._mark(Chosen(ballot, value))
                marks |= self._mark(AGREEMENT) if chosen else 0
                marks |= self._mark(VALIDITY) if value not in self.scope.values else 0
        if marks == state[1]:
            return state
        return self._settle((state[0], marks, *state[2:]), self._acceptors)

    def _settle(self, state: State, acceptors: range | tuple[int, ...]) -> State:
        """Forget what nobody will notice; give every answer that changes nothing."""
        if not self.scope.reduced:
            return state
        known = len(self.processes.said)
        asks, dead = self._asks(state), self._forgotten(state)
        cells = [*state]
        for place in acceptors:
            key = state[2 + place], asks, dead
            cell = self._settled.get(key)
            if cell is None:
                cell = self._settled[key] = self._settle_one(*key)
            cells[2 + place] = cell
        if known < len(self.processes.said):
            return self._settle(state, acceptors)
        return tuple(cells)

    def _settle_one(self, cell: int, heard: Heard, dead: int) -> int:
        local, said = self._local[cell], self._said[cell]
        for _, step in self._steps(0, local, heard):
            if step.local == local and step.broken is None:
                said |= step.told
        return self._cell(local, said & ~dead)

    def _forgotten(self, state: State) -> int:
        """What no asker takes notice of, except votes for a value that is not chosen yet."""
        if not self.scope.reduced:
            return 0
        key = state[1], len(self.processes.said), state[self._first :]
        dead = self._dead.get(key)
        if dead is None:
            addressed, announced = 0, self.processes.announcements
            for process in self._askers:
                ignored = self.processes.ignored(self._local[state[2 + process]])
                addressed |= ignored & self.processes.answers[self.processes.ids[process]]
                announced &= ignored
            open_votes = self._open_votes(self._chosen(state[1]))
            dead = self._dead[key] = (addressed | announced) & ~open_votes
        return dead

    def _open_votes(self, chosen: frozenset[str]) -> int:
        votes = ((bit, self.processes.said_by(bit).message) for bit in bits(self.processes.votes))
        return sum(bit for bit, it in votes if isinstance(it, Accepted) and it.value not in chosen)

    def _chosen(self, marks: int) -> frozenset[str]:
        if marks not in self._values:
            self._values[marks] = frozenset(
                mark.value
                for mark, bit in self._marks.items()
                if bit & marks and isinstance(mark, Chosen)
            )
        return self._values[marks]

    def _renamed(self, cell: int, order: tuple[int, ...]) -> int:
        key = cell, order
        if key not in self._places:
            local = self.processes.renamed(self._local[cell], order)
            self._places[key] = self._cell(local, self._said[cell])
        return self._places[key]

    def _cell(self, local: int, said: int) -> int:
        number = self._cells.setdefault((local, said), len(self._local))
        if number == len(self._local):
            self._local.append(local)
            self._said.append(said)
        return number

    def _mark(self, mark: Mark) -> int:
        return self._marks.setdefault(mark, 1 << len(self._marks))


def explore_cluster(
    scope: Scope,
    *,
    rules: Iterable[str] = RULES,
    max_states: int = DEFAULT_MAX_STATES,
    watch: Callable[[Glimpse], bool] | None = None,
) -> tuple[Interleavings, Exploration[State, Move]]:
    """Walk all runs of the cluster in ``scope``, and hold them against ``rules``.

    If forgetting messages turns out to be unsound for its protocol, it is walked again without.
    The lecture's flawed protocols know nothing of promises: of them only agreement is asked, and
    that a value can be chosen whatever has happened.
    """
    machine = Interleavings(scope)
    flawed = scope.protocol in LECTURE
    found = explore(
        machine,
        always={it: _kept(machine, it) for it in ((AGREEMENT,) if flawed else rules)},
        sometimes=_signs_of_life(machine),
        possible={CHOOSABLE: lambda state: bool(machine.chosen(state))} if flawed else None,
        max_states=max_states,
        watch=watch,
    )
    if found.violation is None and found.exhausted and machine.processes.refuted():
        unforgetful = evolve(scope, forgetful=False)
        return explore_cluster(unforgetful, rules=rules, max_states=max_states, watch=watch)
    return machine, found


def _kept(machine: Interleavings, rule: str) -> Callable[[State], bool]:
    broken = machine.breaks(rule)
    return lambda state: not broken(state)


def _signs_of_life(machine: Interleavings) -> dict[str, Callable[[State], bool]]:
    """What must happen somewhere, or else the rules hold for want of anything that could break."""
    signs: dict[str, Callable[[State], bool]] = {}
    signs["a value is chosen"] = lambda state: bool(machine.chosen(state))
    if machine.scope.proposers > 1:
        signs["two ballots compete"] = lambda state: machine.at_work(state) > 1
    if machine.scope.proposers > 1 and machine.scope.protocol not in LECTURE:
        signs["a foreign value is adopted"] = machine.is_adopting
    return signs
