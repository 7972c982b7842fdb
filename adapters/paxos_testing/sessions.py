"""A store, and the processes that use it: they save, are killed, and what is loaded afterwards.

- Each session of the store is a process of its own, which is killed. See ``crashing.py``.
- Every choice is drawn from ``seed``: a failure prints it, and the same tests fail again.
- Batches are numbered, so that what is loaded says which of them it comes from.
- A kit says which records a machine saves, and how they fold: ``StoreKit``, ``LogStoreKit``.
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

from paxos import Ballot, ServerId
from paxos_adapters.ports import Store
from paxos_testing.crashing import calls_in, kill_after_calls, run_until_killed

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
V = TypeVar("V")

Batch: TypeAlias = tuple[R, ...]
Kept: TypeAlias = dict[type, R]
"""One record of each type."""
Variants: TypeAlias = tuple[Batch[R], dict[str, Batch[R]]]
"""A batch, and others that differ from it in one part alone, by the name of that."""

ME = ServerId(1)
SAVES = 2
"""How often a process that is to be killed saves."""
KILLS = 30


class StoreSessions(Generic[V, R]):
    """A store for records of type R about values of type V, in processes of its own.

    Its kit says how it is made.
    """

    values: Sequence[V]
    """At least two values of the kind that it is for: small, large, strange. They must pickle."""
    errors: tuple[type[Exception], ...] = (Exception,)
    """What it raises when it refuses. Name your own types, or a slip passes for a refusal."""
    highest: ClassVar[Ballot] = Ballot((1 << 63) - 1, ServerId((1 << 32) - 1))
    """The highest ballot that it keeps, and with it the highest round."""
    most_bytes: ClassVar[int] = 1 << 20
    """The largest value that it keeps, if values are strings or bytes; more than a node sends."""
    outlives_its_process: bool = True
    """False for one in memory: ``open`` then returns the store that ``create`` has made."""
    excludes_others: bool = True
    """False for one that does not notice that it is open twice: keep a second server away then."""
    notices_damage: bool = True
    """False for one that trusts its disk, or that has no files."""
    seed: ClassVar[int] = 20131017
    """What kills and damages are drawn from."""

    def create(self, folder: Path) -> Store[R]:
        """A new store in ``folder``, which is empty unless this is to be refused."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to create: {folder}")

    def open(self, folder: Path) -> Store[R]:
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

    def _make(self, folder: Path, *batches: Batch[R]) -> Batch[R]:
        store = self.create(folder)
        for batch in batches:
            store.save(batch)
        return self._read(store)

    def _save(self, folder: Path, batch: Batch[R]) -> Batch[R]:
        store = self.open(folder)
        store.save(batch)
        return self._read(store)

    def _load(self, folder: Path) -> Batch[R]:
        return self._read(self.open(folder))

    def _held(self, folder: Path) -> Kept[R]:
        return kept(self._ask(self._load, folder))

    def _is_refused(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        try:
            act(*args, **kwargs)
        except self.errors:
            return True
        return False

    def _load_or_refuse(self, folder: Path, damage: str) -> Kept[R] | None:
        try:
            return kept(self._load(folder))
        except self.errors:
            return None
        except Exception as slip:
            raise AssertionError(f"{damage}: what was raised is none of {self.errors}") from slip

    # --- the records of a machine ---------------------------------------------------------------

    def _batch(self, number: int) -> Batch[R]:
        """The records of round ``number``, together: two of them, each of which is told apart."""
        raise NotImplementedError(f"{type(self).__name__} has no batch {number}")

    def _histories(self) -> st.SearchStrategy[Sequence[Batch[R]]]:
        """Batches that are saved one after another."""
        raise NotImplementedError(f"{type(self).__name__} has no histories")

    def _folded(self, records: Iterable[R]) -> Kept[R]:
        """What is to be loaded once all of ``records`` were saved."""
        raise NotImplementedError(f"{type(self).__name__} does not fold {records}")

    def _number(self, held: Kept[R]) -> int:
        """The number of the last batch that these records come from; 0 if there are none."""
        raise NotImplementedError(f"{type(self).__name__} does not number {held}")

    def _highest(self) -> Sequence[R]:
        """Records with the highest numbers that are to be kept."""
        raise NotImplementedError(f"{type(self).__name__} has no highest records")

    def _holding(self, value: V) -> R:
        """A record with ``value``."""
        raise NotImplementedError(f"{type(self).__name__} has no record for {value!r}")

    def _variants(self) -> Variants[R]:
        """To be saved after ``_batch(1)``."""
        raise NotImplementedError(f"{type(self).__name__} has no variants")

    def _read(self, store: Store[R]) -> Batch[R]:
        """All that the store holds."""
        return store.load().records

    def _after(self, number: int) -> Kept[R]:
        """What is to be loaded once the first ``number`` batches were saved."""
        batches = map(self._batch, range(1, number + 1))
        return self._folded(record for batch in batches for record in batch)

    # --- saving, killing and loading ------------------------------------------------------------

    def _kills(self, tmp_path: Path) -> Iterator[tuple[str, int, Kept[R]]]:
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
            acknowledged = self._number(held)

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
        last = self._number(kept(self._read(store)))
        for number in range(last + 1, last + 1 + SAVES):
            store.save(self._batch(number))
            yield number

    def _fail(self, folder: Path) -> tuple[bool, Kept[R] | None, bool]:
        """Let a save fail: whether it raised, what is loaded then, and whether the next raised."""
        failing = self.failing()
        if failing is None:
            pytest.skip(f"{type(self).__name__} has no ``failing``: how do its writes fail?")

        def fail() -> tuple[bool, Kept[R] | None, bool]:
            store = self.create(folder)
            store.save(self._batch(1))
            with failing:
                raised = self._is_refused(store.save, self._batch(2))
            try:
                held = kept(self._read(store))
            except self.errors:
                held = None
            return raised, held, self._is_refused(store.save, self._batch(3))

        return self._ask(fail)


def kept(records: Iterable[R]) -> Kept[R]:
    """The last of each type."""
    return {type(record): record for record in records}


def say(held: Kept[R] | Batch[R]) -> str:
    """These records in words, of which none is long."""
    records = held.values() if isinstance(held, dict) else held
    return ", ".join(f"{record!r:.120}" for record in records) or "nothing"


def folder_of(tmp_path: Path, number: int) -> Path:
    """A new folder, which is empty."""
    folder = tmp_path / str(number)
    folder.mkdir()
    return folder
