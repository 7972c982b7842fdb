"""A store, and the processes that use it: they save, are killed, and what is loaded afterwards.

- Each session of the store is a process of its own, which is killed. See ``crashing.py``.
- Every choice is drawn from ``seed``: a failure prints it, and the same tests fail again.
- Batches are numbered, so that what is loaded says which of them it comes from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from random import Random
from typing import ClassVar, Generic, ParamSpec, TypeAlias, TypeVar

import pytest
from hypothesis import strategies as st

from paxos import Acceptor, Ballot, From, MaxRound, Message, Proposal, ServerId, majority, server
from paxos.server import ServerTimer
from paxos_adapters.host import Host
from paxos_adapters.memory import Clock, MemoryTimer, MemoryTransport, Network
from paxos_adapters.ports import Ports, Store
from paxos_adapters.single import SingleHost, single
from paxos_testing.crashing import calls_in, kill_after_calls, run_until_killed

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")

Record: TypeAlias = server.Record[V]
Batch: TypeAlias = tuple[Record[V], ...]
Kept: TypeAlias = dict[type, Record[V]]
"""One record of each type."""

ME = ServerId(1)
SAVES = 2
"""How often a process that is to be killed saves."""
KILLS = 30


class StoreSessions(Generic[V]):
    """A store for values of type V, as its kit says how it is made, in processes of its own."""

    values: Sequence[V]
    """At least two values of the kind that it is for: small, large, strange. They must pickle."""
    errors: tuple[type[Exception], ...] = (Exception,)
    """What it raises when it refuses. Name your own types, or a slip passes for a refusal."""
    outlives_its_process: bool = True
    """False for one in memory: ``open`` then returns the store that ``create`` has made."""
    excludes_others: bool = True
    """False for one that does not notice that it is open twice: keep a second server away then."""
    notices_damage: bool = True
    """False for one that trusts its disk, or that has no files."""
    seed: ClassVar[int] = 20131017
    """What kills and damages are drawn from."""

    def create(self, folder: Path) -> Store[Record[V]]:
        """A new store in ``folder``, which is empty unless this is to be refused."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to create: {folder}")

    def open(self, folder: Path) -> Store[Record[V]]:
        """The store that is in ``folder``."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to open: {folder}")

    def failing(self) -> AbstractContextManager[object] | None:
        """Within this context writes fail, as on a full or broken disk; after it they work again.

        It is entered when the store is open. None: failed saves are not tested, and it is said.
        """
        return None

    def _needs(self, **promises: bool) -> None:
        for name in promises:
            if not getattr(self, name):
                pytest.skip(f"{type(self).__name__} declares {name} = False")

    def _ask(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` returns, in a process of its own if the store outlives that."""
        if not self.outlives_its_process:
            return work(*args, **kwargs)
        with closing(run_until_killed(lambda: iter([work(*args, **kwargs)]))) as items:
            return next(items)

    def _make(self, folder: Path, *batches: Batch[V]) -> Batch[V]:
        store = self.create(folder)
        for batch in batches:
            store.save(batch)
        return store.load().records

    def _save(self, folder: Path, batch: Batch[V]) -> Batch[V]:
        store = self.open(folder)
        store.save(batch)
        return store.load().records

    def _load(self, folder: Path) -> Batch[V]:
        return self.open(folder).load().records

    def _held(self, folder: Path) -> Kept[V]:
        return kept(self._ask(self._load, folder))

    def _is_refused(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        try:
            act(*args, **kwargs)
        except self.errors:
            return True
        return False

    def _load_or_refuse(self, folder: Path, damage: str) -> Kept[V] | None:
        try:
            return kept(self._load(folder))
        except self.errors:
            return None
        except Exception as slip:
            raise AssertionError(f"{damage}: what was raised is none of {self.errors}") from slip

    def _batch(self, number: int) -> Batch[V]:
        """The records of round ``number``, together."""
        ballot = Ballot(number, ME)
        value = self.values[number % len(self.values)]
        return Acceptor(ballot, Proposal(ballot, value)), MaxRound(number)

    def _batches(self) -> st.SearchStrategy[Batch[V]]:
        ballots = st.builds(Ballot, st.integers(0, 1 << 40), st.integers(-9, 9).map(ServerId))
        pairs = st.tuples(ballots, ballots).map(sorted)
        values = st.sampled_from(self.values)
        records = st.one_of(
            st.builds(MaxRound, st.integers(0, 1 << 40)),
            st.builds(Acceptor[V], ballots),
            st.builds(_vote, pairs, values),
        )
        return st.lists(records, max_size=4).map(tuple)

    def _kills(self, tmp_path: Path) -> Iterator[tuple[str, int, Kept[V]]]:
        """How a process was killed, its last batch with a receipt, and what is loaded then."""
        self._needs(outlives_its_process=True)
        chance, folder = Random(self.seed), folder_of(tmp_path, 1)
        self._ask(self._make, folder)
        calls = self._ask(calls_in, lambda: list(self._saving(folder)))
        began = time.perf_counter()
        list(run_until_killed(partial(self._saving, folder)))
        lasted_s = time.perf_counter() - began
        ends: list[tuple[str, int | None, float | None]] = [
            (f"killed at call {call} of {calls}", call, None) for call in self._points(calls)
        ]
        for _ in range(KILLS // 3):
            after_s = chance.random() * lasted_s
            ends.append((f"killed after {after_s * 1000:.2f} ms", None, after_s))
        acknowledged = 2 * SAVES
        for killed, call, moment_s in ends:
            told = list(run_until_killed(partial(self._saving, folder, call), moment_s))
            held = self._held(folder)
            yield f"{killed} (seed {self.seed})", max([acknowledged, *told]), held
            acknowledged = max(numbers(held))

    def _points(self, calls: int) -> Iterable[int]:
        """At most KILLS calls, evenly spread, so that none of the longer stretches is missed."""
        step = -(-calls // KILLS)
        return range(Random(self.seed).randrange(step), calls, step)

    def _creating(self, folder: Path, dies_at: int) -> Iterator[None]:
        kill_after_calls(dies_at)
        self.create(folder)
        yield

    def _saving(self, folder: Path, dies_at: int | None = None) -> Iterator[int]:
        """Open, save some batches, and tell the number of each that there is a receipt for."""
        if dies_at is not None:
            kill_after_calls(dies_at)
        store = self.open(folder)
        last = max(numbers(kept(store.load().records)))
        for number in range(last + 1, last + 1 + SAVES):
            store.save(self._batch(number))
            yield number

    def _run(
        self, start: Callable[[Path], Store[Record[V]]], folder: Path, event: server.Event[V]
    ) -> tuple[list[server.Report[V]], Acceptor[V]]:
        """One server alone: what it reports after ``event``, and its vote."""
        network, timer = Network[Message[V]](), MemoryTimer(ME, Clock[ServerTimer]())
        transport = MemoryTransport(ME, network)
        ports = Ports(transport, timer, start(folder))
        host: SingleHost[V] = Host(single(), ME, majority([ME]), ports)
        reports = list(host.receive(event))
        while network.queue:
            sender, _, message = network.queue.popleft()
            reports += host.receive(From(sender, message))
        return reports, host.state.acceptor

    def _fail(self, folder: Path) -> tuple[bool, Kept[V] | None, bool]:
        """Let a save fail: whether it raised, what is loaded then, and whether the next raised."""
        failing = self.failing()
        if failing is None:
            pytest.skip(f"{type(self).__name__} has no ``failing``: how do its writes fail?")

        def fail() -> tuple[bool, Kept[V] | None, bool]:
            store = self.create(folder)
            store.save(self._batch(1))
            with failing:
                raised = self._is_refused(store.save, self._batch(2))
            try:
                held = kept(store.load().records)
            except self.errors:
                held = None
            return raised, held, self._is_refused(store.save, self._batch(3))

        return self._ask(fail)


def kept(records: Iterable[Record[V]]) -> Kept[V]:
    """The last of each type."""
    return {type(record): record for record in records}


def say(held: Kept[V] | Batch[V]) -> str:
    """These records in words, of which none is long."""
    records = held.values() if isinstance(held, dict) else held
    return ", ".join(f"{record!r:.120}" for record in records) or "nothing"


def numbers(held: Kept[V]) -> list[int]:
    """The numbers of the batches that these records come from; 0 if there are none."""
    return [0] + [
        it.round if isinstance(it, MaxRound) else it.promised.round for it in held.values()
    ]


def folder_of(tmp_path: Path, number: int) -> Path:
    """A new folder, which is empty."""
    folder = tmp_path / str(number)
    folder.mkdir()
    return folder


def _vote(ballots: list[Ballot], value: V) -> Acceptor[V]:
    accepted, promised = ballots
    return Acceptor(promised, Proposal(accepted, value))
