"""Seen through any one slot, every explored step of a log is a step of Basic Paxos.

Each step is projected on each slot, and held against Lamport's modules as ``specification`` has
them. Nothing else is asked: neither the rules of ``rules.py`` nor those of ``invariants``.

- A slot's acceptor is what a replica holds at an open slot. Below ``first`` it is the last vote
  there, and the promise, which goes on rising.
- A Prepare is the 1a message of every slot. A promise that rises is a 1b message of every slot,
  with the vote of that slot, whether it is sent, left out or lost: a history variable.
- The step that draws a ballot promises it, too: Phase1a, and then Phase1b.
- A crash is stuttering, and so are a retry and what is caught up with. What is committed must be
  chosen at that moment.

Source: the lecture, "Multi-Paxos"; Abadi and Lamport, "The Existence of Refinement Mappings"
(1991).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from attrs import evolve

from paxos import NO_BALLOT, Acceptor, Chosen, From, Proposal, ServerId
from paxos import Accept as AcceptOne
from paxos import Accepted as AcceptedOne
from paxos import Prepare as PrepareOne
from paxos import Promise as PromiseOne
from paxos.log import Accept, Prepare
from paxos.log.memory import held
from paxos_lab.explore.log import LogState, LogSystem
from paxos_lab.explore.log_processes import LogStep
from paxos_lab.explore.log_scope import LogScope
from paxos_lab.explore.refinement import REFINES
from paxos_lab.explore.search import DEFAULT_MAX_STATES, Exploration, explore
from paxos_lab.explore.specification import (
    Action,
    Actions,
    NoSuchAction,
    Spec,
    check,
    start,
    with_memory,
)

Taken: TypeAlias = tuple[ServerId, LogStep]
"""A server, and the step that it takes."""


class State(NamedTuple):
    """A state of the log, the numbers of what each slot is mapped to, and what was wrong."""

    concrete: LogState
    specs: tuple[int, ...]
    wrong: str | None = None


class LogRefinement:
    """The system of ``scope``, with every step held against ``check`` at every slot.

    ``seen`` counts the actions of Paxos, over all steps and slots. Another ``check`` can ask less.
    """

    def __init__(self, scope: LogScope, check: Callable[[Spec, Spec], Actions] = check) -> None:
        self.system = LogSystem(scope)
        self.seen: Counter[Action] = Counter()
        self._check = check
        self._specs = [start(scope.quorum)]
        self._numbers = {self._specs[0]: 0}
        self._projected: dict[tuple[int, ...], tuple[int, Counter[Action], str | None]] = {}

    def start(self) -> Iterator[State]:
        """Nothing was sent."""
        for state in self.system.start():
            yield State(state, (0,) * self.system.scope.slots)

    def steps(self, state: State) -> Iterator[tuple[Taken, State]]:
        """Each step, and where it leads; the state says if it is not a step of Basic Paxos."""
        for place, step, after in self.system.moves(state.concrete):
            specs: list[int] = []
            wrong: str | None = None
            for slot, spec in enumerate(state.specs, start=1):
                number, actions, broken = self._project(spec, slot, step)
                self.seen += actions
                specs.append(number)
                wrong = wrong or broken
            taken = self.system.processes.servers[place], step
            yield taken, State(after, tuple(specs), wrong)

    def _project(
        self, spec: int, slot: int, step: LogStep
    ) -> tuple[int, Counter[Action], str | None]:
        """What ``slot`` is mapped to after a step, by which actions, and which clause fails."""
        key = spec, slot, step.process, step.sent, step.votes, step.reports
        if key not in self._projected:
            before, actions, wrong = self._specs[spec], Counter[Action](), None
            for after in self._phases(before, slot, step):
                if after == before:
                    continue
                try:
                    actions[self._check(before, after).paxos] += 1
                except NoSuchAction as error:
                    wrong = f"slot {slot}: {error}"
                    break
                before = after
            actions = actions or Counter([Action.STUTTERING])
            number = self._numbers.setdefault(before, len(self._specs))
            if number == len(self._specs):
                self._specs.append(before)
            self._projected[key] = number, actions, wrong
        return self._projected[key]

    def _phases(self, spec: Spec, slot: int, step: LogStep) -> Iterator[Spec]:
        """What ``spec`` becomes in ``step``, one action after the other."""
        processes = self.system.processes
        sent = [it.message for it in processes.sent.among(step.sent)]
        prepares = {PrepareOne(it.ballot) for it in sent if type(it) is Prepare}
        yield (spec := evolve(spec, sent_1a=spec.sent_1a | prepares))
        yield (spec := self._after_acceptor(spec, slot, step))
        accepts = {
            AcceptOne(it.ballot, str(it.entry))
            for it in sent
            if type(it) is Accept and it.slot == slot
        }
        yield (spec := evolve(spec, sent_2a=spec.sent_2a | accepts))
        reports = processes.choices.among(step.reports)
        learned = {_learned(spec, str(entry)) for at, entry in reports if at == slot}
        yield evolve(spec, learned=spec.learned | learned)

    def _after_acceptor(self, spec: Spec, slot: int, step: LogStep) -> Spec:
        processes = self.system.processes
        state = processes.known.all[step.process].state
        memory, was = state.memory, dict(spec.memory)[state.me]
        cast = [it.vote for it in processes.votes.among(step.votes) if it.vote.slot == slot]
        vote = was.accepted
        if slot >= memory.first:
            found = held(memory, slot)
            vote = None if found is None else Proposal(found.ballot, str(found.value))
        elif cast:
            vote = Proposal(cast[0].ballot, str(cast[0].value))
        now = Acceptor(memory.promised, vote)
        if now == was:
            return spec
        spec = evolve(spec, memory=with_memory(spec, state.me, now))
        if cast:
            votes = {From(state.me, AcceptedOne(it.ballot, str(it.value))) for it in cast}
            return evolve(spec, sent_2b=spec.sent_2b | votes)
        if now.promised > was.promised:
            promise = From(state.me, PromiseOne(now.promised, vote))
            return evolve(spec, sent_1b=spec.sent_1b | {promise})
        return spec


def _learned(spec: Spec, value: str) -> Chosen[str]:
    """``value``, under the lowest ballot under which it is chosen, if there is one."""
    ballots = {it.message.ballot for it in spec.sent_2b}
    chosen = (it for it in ballots if spec.voting.is_chosen(it, value))
    return Chosen(min(chosen, default=NO_BALLOT), value)


def refine_log(
    scope: LogScope,
    check: Callable[[Spec, Spec], Actions] = check,
    *,
    max_states: int = DEFAULT_MAX_STATES,
) -> tuple[LogRefinement, Exploration[State, Taken]]:
    """Search all runs in ``scope``, and stop at the first step that is none of Basic Paxos."""
    system = LogRefinement(scope, check)
    always: dict[str, Callable[[State], bool]] = {REFINES: lambda state: state.wrong is None}
    return system, explore(system, always=always, max_states=max_states)
