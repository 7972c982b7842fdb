"""All runs of a small cluster: its processes and the network between them, as a system to explore.

What can happen:

- A message once sent can arrive at any later time, any number of times, in any order, or never. So
  the network is the set of all that was ever sent; loss, delay and repetition need no step.
- A client may begin at any time, and its timers may fire at any time.
- A process may crash at rest, before each save and after it. It starts again from its disk.

Five reductions keep the search small, and none of them loses a broken rule:

- A step that sends nothing new waits until a later one does: messages do not go away.
- An answer that changes nothing at its acceptor is sent at once: it need not be received.
- A message that every process would ignore from now on is dropped. What a client ignores is a
  claim; ``unsound_ignores`` tries it out in every state that was reached. (A server that knows the
  choice may still refuse such a message; then a rule was broken that is found without it.)
- A crash between a save and the sending is one after the sending, when nothing sent is received.
- Acceptors that count alike may change places.

Source: the set of messages is that of Lamport's Paxos.tla; for the reductions see Clarke, Grumberg
and Peled, "Model Checking" (1999), on partial orders and symmetry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from operator import le
from typing import TypeAlias

from attrs import frozen

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
from paxos_lab.explore.processes import Processes, Step, Transition, iter_bits
from paxos_lab.explore.scopes import Scope
from paxos_lab.machines.protocols import Event
from paxos_lab.rules import (
    AGREEMENT,
    LINEARIZABLE,
    ONE_VALUE,
    REPORTED,
    VALIDITY,
)

State: TypeAlias = tuple[int, ...]
"""Crashes left, what has come true, and then one cell for each process."""

Inbox: TypeAlias = tuple[int, ...]
"""What each process has sent that one process can receive."""

Path: TypeAlias = tuple[Event, ...]
"""What one process takes, one after the other."""

Fact: TypeAlias = str | Chosen[str] | int
"""What has come true: a rule is broken, a value is chosen, a process began to read after that."""


class Crash(Enum):
    """Whether and when a process crashes at a step."""

    NONE = "goes on"
    BEFORE_SENDING = "crashes after the save, before it sends"
    AT_REST = "crashes at rest"


@frozen
class Move:
    """What ``process`` does: it takes ``events``, and what the last of them leads to is ``step``.

    ``sent`` is what is new of what the step sends, ``cell`` where it leaves the process, ``facts``
    the rules that it breaks by that alone.
    """

    process: int
    events: Path
    step: Step
    crash: Crash
    sent: int
    cell: int
    facts: int


@frozen
class LocalSearch:
    """Where a process gets without sending anything new, and how; what can follow from there."""

    paths: dict[int, Path]
    observable: list[tuple[Path, Step, int]]
    crashes: list[tuple[Path, Step, Crash]]


class Interleavings:
    """The system of ``scope``, for ``explore``.

    A cell is a process in some local state that has sent certain messages. A fact is something that
    has come true.
    """

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.processes = Processes(scope)
        self._acceptors = self.processes.acceptors
        self._clients = self.processes.clients
        self._local: list[int] = []
        self._history: list[int] = []
        self._cells: dict[tuple[int, int], int] = {}
        self._facts: dict[Fact, int] = {}
        self._values: dict[int, frozenset[str]] = {}
        self._first = 2 + scope.acceptors
        self._request_inboxes: dict[tuple[int, ...], Inbox] = {}
        self._dropped_masks: dict[tuple[int, int, State], int] = {}
        self._moves: dict[tuple[int, int, Inbox, int, bool], tuple[Move, ...]] = {}
        self._local_searches: dict[tuple[int, int, Inbox, int], LocalSearch] = {}
        self._transitions: dict[tuple[int, int, int], tuple[Transition, ...]] = {}
        self._normalized: dict[tuple[int, Inbox, int], int] = {}
        self._places: dict[tuple[int, tuple[int, ...]], int] = {}

    def start(self) -> tuple[State]:
        """Nothing was sent."""
        cells = (self._cell(local, 0) for local in self.processes.start())
        return ((self.scope.crashes, 0, *cells),)

    def steps(self, state: State) -> Iterator[tuple[Move, State]]:
        """Each move of each process, and where it leads."""
        for move, after in self.moves(state):
            yield move, self.canonical(after)

    def moves(self, state: State) -> Iterator[tuple[Move, State]]:
        """The same, with each acceptor left in its place."""
        survivors = {state}
        crashing: list[tuple[Move, State]] = []
        requests, dropped = self._requests(state), self._dropped(state)
        for process in range(len(state) - 2):
            for move in self._moves_of(process, state, requests, dropped):
                after = self._after(state, move)
                if move.crash is not Crash.NONE:
                    crashing.append((move, after))
                elif after != state:
                    survivors.add(after)
                    yield move, after
        for move, after in crashing:
            # Where it gets without a crash, it gets with one more crash still to come.
            if (state[0], *after[1:]) not in survivors:
                yield move, after

    def canonical(self, state: State) -> State:
        """``state`` with the acceptors sorted, if they count alike."""
        if not (self.scope.reduced and isinstance(self.scope.quorum, BySize)):
            return state
        last = self._first
        cells = state[2:last]
        if all(map(le, cells, cells[1:])):
            return state
        order = tuple(sorted(self._acceptors, key=cells.__getitem__))
        clients = (self._permuted(cell, order) for cell in state[last:])
        return (*state[:2], *(cells[place] for place in order), *clients)

    def breaks(self, rule: str) -> Callable[[State], bool]:
        """Whether ``rule`` is broken in a state."""
        bit = self._fact(rule)
        return lambda state: bool(state[1] & bit)

    def chosen(self, state: State) -> frozenset[str]:
        """The values that are chosen in ``state``, known or not."""
        return self._chosen(state[1])

    def active_ballots(self, state: State) -> int:
        """How many clients have a ballot in progress."""
        phases = self._phases(state)
        return sum(isinstance(it, Preparing | Accepting) for it in phases)

    def is_adopting(self, state: State) -> bool:
        """Whether a client requests for a value that it found and was not given."""
        return any(isinstance(it, Accepting) and not it.own for it in self._phases(state))

    def _phases(self, state: State) -> Iterator[Phase[str]]:
        for cell in state[2 + len(self._acceptors) :]:
            yield self.processes.states[self._local[cell]].state.proposer.phase

    def immediate_answers(
        self, before: State, move: Move, after: State
    ) -> Iterator[tuple[int, Event]]:
        """The answers in ``after`` besides what ``move`` sent: which acceptor, and to what."""
        inbox = self._inbox(0, after)
        for it in self._acceptors:
            given = self._history[after[2 + it]] & ~self._history[before[2 + it]]
            if it == move.process:
                given &= ~move.sent
            for event, step in self._steps(it, self._local[after[2 + it]], inbox) if given else ():
                if step.sent & given:
                    yield it, event

    def accepted(self, state: State) -> tuple[Proposal[str] | None, ...]:
        """What each acceptor holds."""
        places = (self._local[state[2 + it]] for it in self._acceptors)
        return tuple(self.processes.states[local].state.acceptor.accepted for local in places)

    # --- what a process can do ------------------------------------------------------------------

    def _moves_of(
        self, process: int, state: State, requests: Inbox, dropped: int
    ) -> tuple[Move, ...]:
        """What ``process`` can do that others observe."""
        cell, crashes = state[2 + process], state[0] > 0
        if process < self._clients.start:
            key = process, cell, requests, dropped, crashes
        else:
            key = process, cell, self._inbox(process, state), 0, crashes
        moves = self._moves.get(key)
        if moves is None:
            known = len(self.processes.sent_messages)
            moves = tuple(self._find_moves(*key))
            if known < len(self.processes.sent_messages):
                # A message was sent for the first time, and may be one to drop.
                return self._moves_of(process, state, requests, self._dropped(state))
            self._moves[key] = moves
        return moves

    def _inbox(self, process: int, state: State) -> Inbox:
        receivable, history = self.processes.receives(process), self._history
        return tuple([history[cell] & receivable for cell in state[2:]])

    def _requests(self, state: State) -> Inbox:
        """What acceptors receive."""
        clients = state[self._first :]
        requests = self._request_inboxes.get(clients)
        if requests is None:
            requests = self._request_inboxes[clients] = self._inbox(0, state)
        return requests

    def _find_moves(
        self, process: int, cell: int, inbox: Inbox, dropped: int, crashes: bool
    ) -> Iterator[Move]:
        local, history = self._local[cell], self._history[cell]
        stale = history | dropped
        kept: dict[object, list[int]] = {}
        restarts = {local}
        search = self._local_search(process, local, inbox, stale)
        for path, step, sent in search.observable:
            same = kept.setdefault((sent, step.broken, step.report), [])
            if not self._could_wait(process, step.local, same, inbox, stale | sent):
                same.append(step.local)
                yield self._move(process, path, step, Crash.NONE, history, sent)
        for path, step, crash in search.crashes if crashes else ():
            if step.local not in restarts and not self.processes.crash_is_redundant(step.local):
                restarts.add(step.local)
                yield self._move(process, path, step, crash, history, 0)

    def _move(
        self, process: int, events: Path, step: Step, crash: Crash, history: int, sent: int
    ) -> Move:
        facts = 0 if step.broken is None else self._fact(step.broken)
        if self._differ(history | sent):
            facts |= self._fact(ONE_VALUE)
        return Move(
            process, events, step, crash, sent, self._cell(step.local, history | sent), facts
        )

    def _differ(self, history: int) -> bool:
        """Whether two requests under one ballot ask for different values."""
        asked: dict[Ballot, str] = {}
        for bit in iter_bits(history & self.processes.requests):
            ask = self.processes.message(bit)
            if isinstance(ask, Accept) and asked.setdefault(ask.ballot, ask.value) != ask.value:
                return True
        return False

    def _is_observable(self, at: int, event: Event, step: Step, sent: int) -> bool:
        """Whether any other process can tell that this one took the step."""
        if sent or step.broken is not None or not self.scope.reduced:
            return bool(sent) or step.broken is not None or step.local != at
        repeats = isinstance(event, From) and isinstance(event.message, Chosen)
        return step.report is not None and not repeats

    def _could_wait(
        self, process: int, local: int, others: list[int], inbox: Inbox, stale: int
    ) -> bool:
        """Whether part of what was received on the way could as well be received afterwards."""
        for other in others:
            if local in self._local_search(process, other, inbox, stale).paths:
                return self.scope.reduced
        return False

    def _local_search(self, process: int, local: int, inbox: Inbox, stale: int) -> LocalSearch:
        # One acceptor is like another.
        key = max(process, self._clients.start - 1), local, inbox, stale
        search = self._local_searches.get(key)
        if search is None:
            search = self._local_searches[key] = self._search_locally(*key)
        return search

    def _search_locally(self, process: int, local: int, inbox: Inbox, stale: int) -> LocalSearch:
        paths: dict[int, Path] = {local: ()}
        search = LocalSearch(paths, [], [])
        for at in (frontier := [local]):
            for event, step in self._steps(process, at, inbox):
                path, sent = (*paths[at], event), step.sent & ~stale
                if self._is_observable(at, event, step, sent):
                    search.observable.append((path, step, sent))
                elif step.local not in paths:
                    paths[step.local] = path
                    frontier.append(step.local)
                if step.unsent is not None and not self.scope.reduced:
                    search.crashes.append((path, step.unsent, Crash.BEFORE_SENDING))
            if self.scope.crashes:
                search.crashes.append((paths[at], self.processes.crash(at), Crash.AT_REST))
        return search

    def _steps(self, process: int, local: int, inbox: Inbox) -> Iterator[Transition]:
        ignored = self.processes.ignored_mask(local) if process in self._clients else 0
        for sender, mask in enumerate(inbox):
            if mask & ~ignored:
                yield from self._arrivals(local, sender, mask & ~ignored)
        transition = self.processes.own_step(process, local)
        if transition is not None:
            yield transition

    def _arrivals(self, local: int, sender: int, mask: int) -> tuple[Transition, ...]:
        """What each message of ``mask`` does, where it does anything."""
        key = local, sender, mask
        transitions = self._transitions.get(key)
        if transitions is None:
            all_of_them = (self.processes.receive(local, sender, bit) for bit in iter_bits(mask))
            transitions = tuple(it for it in all_of_them if it and it[1] != Step(local))
            self._transitions[key] = transitions
        return transitions

    # --- what follows from it -------------------------------------------------------------------

    def _after(self, state: State, move: Move) -> State:
        process, place = move.process, 2 + move.process
        crashes = state[0] - (move.crash is not Crash.NONE)
        after = (crashes, state[1] | move.facts, *state[2:place], move.cell, *state[place + 1 :])
        if process in self._clients:
            after = self._normalize(after, self._acceptors)
        else:
            after = self._normalize(after, (process,))
            after = self._count(after, self._history[after[place]] & ~self._history[state[place]])
        facts = self._with_reports(after[1], move)
        return after if facts == after[1] else (crashes, facts, *after[2:])

    def _with_reports(self, facts: int, move: Move) -> int:
        """The facts, now that a read has begun, or that something was reported."""
        if any(isinstance(it, Read) for it in move.events) and self._chosen(facts):
            facts |= self._fact(move.process)
        report = move.step.report
        if type(report) is Done and report.value not in self._chosen(facts):
            facts |= self._fact(REPORTED)
        if type(report) is NotYetChosen and facts & self._fact(move.process):
            facts |= self._fact(LINEARIZABLE)
        return facts

    def _count(self, state: State, sent: int) -> State:
        """What is chosen, now that an acceptor has sent something."""
        facts = state[1]
        histories = [self._history[state[2 + it]] for it in self._acceptors]
        for ballot, value, voters in self.processes.voters(sent, histories):
            chosen = self._chosen(facts)
            if value not in chosen and self.scope.quorum.is_phase2(voters):
                facts |= self._fact(Chosen(ballot, value))
                facts |= self._fact(AGREEMENT) if chosen else 0
                facts |= self._fact(VALIDITY) if value not in self.scope.values else 0
        if facts == state[1]:
            return state
        return self._normalize((state[0], facts, *state[2:]), self._acceptors)

    def _normalize(self, state: State, acceptors: range | tuple[int, ...]) -> State:
        """Drop what is ignored by all; send every answer that changes nothing."""
        if not self.scope.reduced:
            return state
        known = len(self.processes.sent_messages)
        requests, dropped = self._requests(state), self._dropped(state)
        cells = [*state]
        for place in acceptors:
            key = state[2 + place], requests, dropped
            cell = self._normalized.get(key)
            if cell is None:
                cell = self._normalized[key] = self._normalize_one(*key)
            cells[2 + place] = cell
        if known < len(self.processes.sent_messages):
            return self._normalize(state, acceptors)
        return tuple(cells)

    def _normalize_one(self, cell: int, inbox: Inbox, dropped: int) -> int:
        local, history = self._local[cell], self._history[cell]
        for _, step in self._steps(0, local, inbox):
            if step.local == local and step.broken is None:
                history |= step.sent
        return self._cell(local, history & ~dropped)

    def _dropped(self, state: State) -> int:
        """What no client takes notice of, except votes for a value that is not chosen yet."""
        if not self.scope.reduced:
            return 0
        key = state[1], len(self.processes.sent_messages), state[self._first :]
        dropped = self._dropped_masks.get(key)
        if dropped is None:
            addressed, announced = 0, self.processes.announcements
            for process in self._clients:
                ignored = self.processes.ignored_mask(self._local[state[2 + process]])
                addressed |= ignored & self.processes.answers[self.processes.ids[process]]
                announced &= ignored
            open_votes = self._open_votes(self._chosen(state[1]))
            dropped = self._dropped_masks[key] = (addressed | announced) & ~open_votes
        return dropped

    def _open_votes(self, chosen: frozenset[str]) -> int:
        votes = ((bit, self.processes.message(bit)) for bit in iter_bits(self.processes.votes))
        return sum(bit for bit, it in votes if isinstance(it, Accepted) and it.value not in chosen)

    def _chosen(self, facts: int) -> frozenset[str]:
        if facts not in self._values:
            self._values[facts] = frozenset(
                fact.value
                for fact, bit in self._facts.items()
                if bit & facts and isinstance(fact, Chosen)
            )
        return self._values[facts]

    def _permuted(self, cell: int, order: tuple[int, ...]) -> int:
        key = cell, order
        if key not in self._places:
            local = self.processes.permuted(self._local[cell], order)
            self._places[key] = self._cell(local, self._history[cell])
        return self._places[key]

    def _cell(self, local: int, history: int) -> int:
        number = self._cells.setdefault((local, history), len(self._local))
        if number == len(self._local):
            self._local.append(local)
            self._history.append(history)
        return number

    def _fact(self, fact: Fact) -> int:
        return self._facts.setdefault(fact, 1 << len(self._facts))
