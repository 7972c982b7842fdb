"""All runs of a small log: its replicas and the network between them, as a system to explore.

What can happen:

- A message once sent can arrive at any later time, any number of times, in any order, or never. So
  the network is the set of all that was ever sent; loss, delay and repetition need no step.
- A server may ask for the lead at any time, even while another one leads. A leader may propose an
  entry of its own for each slot, and send a heartbeat at any time if the scope says so. The entry
  may change the members: then a slot is chosen by the quorums that what is chosen before it names.
- A process may crash between two steps, and starts again from its disk. A crash before it sends is
  one after it has, when nothing of that is received.
- No timer fires, and nothing waits for a save.

Two things are forgotten, so that runs meet in one state:

- A message, once its receiver ignores it from now on (see ``log_claims``). If a claim turns out to
  be wrong for a broken log, it is searched again without claims about messages of that kind.
- A vote, once its entry is chosen, or cannot be chosen under that ballot any more, since too many
  servers have promised more.

Source: the set of messages is that of Lamport's Paxos.tla.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from attrs import evolve

from paxos import Ballot, ServerId
from paxos.log import Noop
from paxos.log.events import LogTimer, Request
from paxos.log.leader import Leading
from paxos.log.messages import Message
from paxos_lab.claims import Vote
from paxos_lab.explore.cluster import Choice
from paxos_lab.explore.log_checking import refuted
from paxos_lab.explore.log_processes import LogProcesses, LogProcessState, LogStep
from paxos_lab.explore.log_scope import LogScope
from paxos_lab.explore.processes import iter_bits
from paxos_lab.explore.search import DEFAULT_MAX_STATES, Exploration, Progress, explore
from paxos_lab.rules import AGREEMENT, LOG_RULES, ONE_VALUE, REPORTED, VALIDITY

LogChoice: TypeAlias = Choice[Request[str], Message[str], LogTimer]
"""What one server does next."""

_BITS = {rule: 1 << place for place, rule in enumerate(LOG_RULES)}


class LogState(NamedTuple):
    """What is left and what was: sets are bits, and processes numbers of ``LogProcesses``.

    ``broken`` are rules; ``chosen`` what was ever chosen, for each slot; ``votes`` and ``sent``
    what is not forgotten of either.
    """

    crashes: int
    broken: int
    chosen: int
    votes: int
    sent: int
    processes: tuple[int, ...]


class LogSystem:
    """The system of ``scope``, for ``explore``."""

    def __init__(self, scope: LogScope) -> None:
        self.scope = scope
        self.processes = LogProcesses(scope)
        self._steps: dict[tuple[int, int], tuple[LogStep, ...]] = {}
        self._counts: dict[tuple[int, int, tuple[Ballot, ...]], tuple[int, int, int]] = {}

    def start(self) -> tuple[LogState]:
        """Nothing was sent."""
        return (LogState(self.scope.crashes, 0, 0, 0, 0, self.processes.start()),)

    def steps(self, state: LogState) -> Iterator[tuple[LogChoice, LogState]]:
        """What each server can do next, and where it leads."""
        for place, step, after in self.moves(state):
            me = self.processes.servers[place]
            yield Choice(me, step.event, crashes=step.event is None), after

    def moves(self, state: LogState) -> Iterator[tuple[int, LogStep, LogState]]:
        """The same, by the places of the servers and the steps of their processes."""
        for place, number in enumerate(state.processes):
            me = self.processes.servers[place]
            for step in self._steps_of(number, state.sent & self.processes.addressed[me]):
                after = self._after(state, place, step)
                if after != state:
                    yield place, step, after
            if state.crashes and (crash := self.processes.crash(number)).process != number:
                spent = state._replace(crashes=state.crashes - 1)
                yield place, crash, self._after(spent, place, crash)

    def breaks(self, rule: str) -> Callable[[LogState], bool]:
        """Whether ``rule`` is broken in a state."""
        bit = _BITS[rule]
        return lambda state: bool(state.broken & bit)

    def replicas(self, state: LogState) -> Iterator[LogProcessState]:
        """The replica of each server."""
        return (self.processes.known.all[number] for number in state.processes)

    def chosen_slots(self, state: LogState) -> frozenset[int]:
        """The slots for which an entry is chosen, known or not."""
        return frozenset(slot for slot, _ in self.processes.choices.among(state.chosen))

    def new_members_choose(self, state: LogState) -> bool:
        """Whether an entry is chosen for a slot that comes under the changed quorums."""
        chosen = [*self.processes.choices.among(state.chosen)]
        return any(self.scope.governing(it, chosen) is self.scope.change for it, _ in chosen)

    def has_caught_up(self, state: LogState) -> bool:
        """Whether a server has just been told what is chosen."""
        return not self.processes.caught_up.isdisjoint(state.processes)

    def leaders(self, state: LogState) -> int:
        """How many servers believe to lead."""
        return sum(type(it.state.role) is Leading for it in self.replicas(state))

    def _steps_of(self, number: int, inbox: int) -> tuple[LogStep, ...]:
        key = number, inbox
        steps = self._steps.get(key)
        if steps is None:
            received = (self.processes.receive(number, bit) for bit in iter_bits(inbox))
            noticed = (it for it in received if it.process != number or it.sent or it.broken)
            steps = self._steps[key] = (*noticed, *self.processes.own_steps(number))
        return steps

    # --- what follows from a step ---------------------------------------------------------------

    def _after(self, state: LogState, place: int, step: LogStep) -> LogState:
        crashes, broken, chosen, votes, sent, was = state
        processes = (*was[:place], step.process, *was[place + 1 :])
        if step.broken is not None:
            broken |= _BITS[step.broken]
        if any(self.processes.rivals[bit] & (sent | step.sent) for bit in iter_bits(step.sent)):
            broken |= _BITS[ONE_VALUE]
        sent |= step.sent
        for number in processes:
            sent &= ~self.processes.forgotten[number]
        if votes or step.votes:
            chosen, votes, found = self._count(chosen, votes | step.votes, processes)
            broken |= found
        if step.reports & ~chosen:
            broken |= _BITS[REPORTED]
        return LogState(crashes, broken, chosen, votes, sent, processes)

    def _count(self, chosen: int, votes: int, processes: tuple[int, ...]) -> tuple[int, int, int]:
        """What is chosen now, which votes are open, and which rules that breaks."""
        promised = tuple([self.processes.promised[number] for number in processes])
        key = chosen, votes, promised
        counts = self._counts.get(key)
        if counts is None:
            voters = self._voters(votes)
            now, broken = self._choose(chosen, voters)
            counts = self._counts[key] = now, self._open(now, votes, promised), broken
        return counts

    def _voters(self, votes: int) -> dict[Vote, set[ServerId]]:
        voters: dict[Vote, set[ServerId]] = {}
        for cast in self.processes.votes.among(votes):
            voters.setdefault(cast.vote, set()).add(cast.server)
        return voters

    def _choose(self, chosen: int, voters: dict[Vote, set[ServerId]]) -> tuple[int, int]:
        """What is chosen once ``voters`` have voted, and which rules that breaks."""
        choices, broken = self.processes.choices, 0
        for (slot, _, entry), those in voters.items():
            choice = choices.bit((slot, entry))
            quorum = self.scope.governing(slot, choices.among(chosen))
            if choice & chosen or not quorum.is_phase2(those):
                continue
            if any(slot == other for other, _ in choices.among(chosen)):
                broken |= _BITS[AGREEMENT]
            if type(entry) is not Noop and entry not in self.scope.entries(slot):
                broken |= _BITS[VALIDITY]
            chosen |= choice
        return chosen, broken

    def _open(self, chosen: int, votes: int, promised: tuple[Ballot, ...]) -> int:
        """The votes that can still lead to a choice."""
        open_, voters = 0, self._voters(votes)
        for cast in self.processes.votes.among(votes):
            slot, ballot, entry = cast.vote
            free = {
                me for me, it in zip(self.processes.servers, promised, strict=True) if it <= ballot
            }
            choices = self.processes.choices
            quorum = self.scope.governing(slot, choices.among(chosen))
            is_chosen = chosen & choices.bit((slot, entry))
            if not is_chosen and quorum.is_phase2(voters[cast.vote] | free):
                open_ |= self.processes.votes.bit(cast)
        return open_


def explore_log(
    scope: LogScope,
    *,
    rules: Iterable[str] = LOG_RULES,
    max_states: int = DEFAULT_MAX_STATES,
    on_progress: Callable[[Progress], bool] | None = None,
) -> tuple[LogSystem, Exploration[LogState, LogChoice]]:
    """Search all runs of the log in ``scope``, and hold them against ``rules``.

    Claims are tried out after a search that saw everything. If some are refuted, it is made again
    without those about messages of the same kinds.
    """
    system = LogSystem(scope)
    found = explore(
        system,
        always={it: _kept(system, it) for it in rules},
        sometimes=_coverage_rules(system),
        max_states=max_states,
        on_progress=on_progress,
    )
    if found.violation is None and found.exhausted:
        wrong = {type(it.sent.message) for it in refuted(system.processes)}
        if wrong:
            fewer = evolve(scope, forgets=scope.forgets - wrong)
            return explore_log(fewer, rules=rules, max_states=max_states, on_progress=on_progress)
    return system, found


def _kept(system: LogSystem, rule: str) -> Callable[[LogState], bool]:
    broken = system.breaks(rule)
    return lambda state: not broken(state)


def _coverage_rules(system: LogSystem) -> dict[str, Callable[[LogState], bool]]:
    """What must happen somewhere, or else the rules hold vacuously."""
    rules: dict[str, Callable[[LogState], bool]] = {
        "every slot is chosen": lambda it: len(system.chosen_slots(it)) == system.scope.slots
    }
    if system.scope.leaders > 1:
        rules["two servers lead"] = lambda it: system.leaders(it) > 1
        rules["a server catches up"] = system.has_caught_up
    if system.scope.change is not None:
        rules["new members choose"] = system.new_members_choose
    return rules
