"""Every step of every run, held against Lamport's specifications: it is one action, or none.

A state of the explored system is mapped to the variables of the specifications. Then each step must
be an action of each module, or stuttering. Nothing else is asked: neither the rules of ``rules.py``
nor those of ``invariants`` have a say.

- ``maxBal``, ``maxVBal`` and ``maxVal`` are what an acceptor has in memory, which after a crash is
  what it had saved. So a crash must be stuttering; one that loses a promise is not an action.
- ``msgs`` is what was ever sent. What was saved, and not sent because of a crash, counts as sent:
  a history variable. A message that was lost cannot be told from one that was never sent.
- Refusals, timers and repetitions are stuttering too.

Source: Abadi and Lamport, "The Existence of Refinement Mappings" (1991).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from attrs import evolve

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Chosen,
    Done,
    From,
    Message,
    Prepare,
    Promise,
    ServerId,
)
from paxos_lab.explore import interleavings
from paxos_lab.explore.interleavings import Crash, Interleavings, Move
from paxos_lab.explore.processes import ProcessState, iter_bits
from paxos_lab.explore.scopes import Scope
from paxos_lab.explore.search import DEFAULT_MAX_STATES, Exploration, explore
from paxos_lab.explore.specification import (
    Actions,
    NoSuchAction,
    Spec,
    Vote,
    check,
    start,
    with_memory,
)

REFINES = "every step is an action"


class State(NamedTuple):
    """A state of the cluster, the number of what it is mapped to, and what was wrong on the way."""

    concrete: interleavings.State
    spec: int
    wrong: str | None = None


class Refinement:
    """The system of ``scope`` that leaves nothing out, with every step held against ``check``.

    Another ``check`` can ask for less.
    """

    def __init__(self, scope: Scope, check: Callable[[Spec, Spec], Actions] = check) -> None:
        self.system = Interleavings(evolve(scope, reduced=False))
        self._check = check
        self._specs = [start(scope.quorum)]
        self._numbers = {self._specs[0]: 0}
        self._next: dict[tuple[int, int, int, int], int] = {}
        self._judged: dict[tuple[int, int], Actions | str] = {}
        self._taken: Counter[tuple[Crash, int, int]] = Counter()

    @property
    def seen(self) -> Counter[tuple[Crash, Actions]]:
        """How many steps were searched, by the crash at them and by what they are."""
        counts: Counter[tuple[Crash, Actions]] = Counter()
        for (crash, before, after), count in self._taken.items():
            verdict = self._judge(before, after)
            if not isinstance(verdict, str):
                counts[crash, verdict] += count
        return counts

    def start(self) -> Iterator[State]:
        """Nothing was sent."""
        for state in self.system.start():
            yield State(state, 0)

    def steps(self, state: State) -> Iterator[tuple[Move, State]]:
        """Each step, and where it leads; the state says if it is not an action."""
        for move, after in self.system.steps(state.concrete):
            spec = self._mapped(state.spec, move)
            verdict = self._judge(state.spec, spec)
            self._taken[move.crash, state.spec, spec] += 1
            yield move, State(after, spec, verdict if isinstance(verdict, str) else None)

    def spec(self, state: State) -> Spec:
        """What ``state`` is mapped to."""
        return self._specs[state.spec]

    def _mapped(self, before: int, move: Move) -> int:
        key = before, move.process, move.step.local, move.sent
        if key not in self._next:
            processes = self.system.processes
            local = processes.states[move.step.local]
            sent = [processes.message(bit) for bit in iter_bits(move.sent)]
            spec = self._specs[before]
            if move.process in processes.acceptors:
                me = processes.ids[move.process]
                spec = _after_acceptor(spec, me, local.state.acceptor, sent)
            else:
                spec = _after_client(spec, local, sent)
            self._next[key] = self._numbers.setdefault(spec, len(self._specs))
            if self._next[key] == len(self._specs):
                self._specs.append(spec)
        return self._next[key]

    def _judge(self, before: int, after: int) -> Actions | str:
        key = before, after
        if key not in self._judged:
            try:
                self._judged[key] = self._check(self._specs[before], self._specs[after])
            except NoSuchAction as error:
                self._judged[key] = str(error)
        return self._judged[key]


def _after_client(spec: Spec, local: ProcessState, sent: Iterable[Message[str]]) -> Spec:
    """What ``spec`` becomes when a client has come to ``local`` and sent something new."""
    sent, learned = [*sent], {*spec.learned}
    learned.update(it for it in sent if isinstance(it, Chosen))
    if isinstance(done := local.state.proposer.phase, Done):
        learned.add(Chosen(done.ballot, done.value))
    return evolve(
        spec,
        sent_1a=spec.sent_1a.union(it for it in sent if isinstance(it, Prepare)),
        sent_2a=spec.sent_2a.union(it for it in sent if isinstance(it, Accept)),
        learned=frozenset(learned),
    )


def _after_acceptor(
    spec: Spec, me: ServerId, memory: Acceptor[str], sent: Iterable[Message[str]]
) -> Spec:
    """What ``spec`` becomes when an acceptor has come to ``memory`` and sent something new."""
    answers = [it for it in sent if isinstance(it, Promise | Accepted)]
    was, vote = dict(spec.memory)[me], memory.accepted
    if not answers and vote is not None and vote != was.accepted:
        answers = [Accepted(vote.ballot, vote.value)]
    elif not answers and memory.promised > was.promised:
        answers = [Promise(memory.promised, vote)]
    votes = spec.sent_2b.union(From(me, it) for it in answers if isinstance(it, Accepted))
    promises = (From(me, it) for it in answers if isinstance(it, Promise))
    news = (it for it in promises if not _repeats(it, votes))
    return evolve(
        spec, memory=with_memory(spec, me, memory), sent_2b=votes, sent_1b=spec.sent_1b.union(news)
    )


def _repeats(sent: From[Promise[str]], votes: frozenset[Vote]) -> bool:
    vote = sent.message.accepted
    if vote is None or vote.ballot != sent.message.ballot:
        return False
    return From(sent.sender, Accepted(vote.ballot, vote.value)) in votes


def refine(
    scope: Scope,
    check: Callable[[Spec, Spec], Actions] = check,
    *,
    max_states: int = DEFAULT_MAX_STATES,
) -> tuple[Refinement, Exploration[State, Move]]:
    """Search all runs in ``scope``, and stop at the first step that is not an action."""
    system = Refinement(scope, check)
    always: dict[str, Callable[[State], bool]] = {REFINES: lambda state: state.wrong is None}
    return system, explore(system, always=always, max_states=max_states)
