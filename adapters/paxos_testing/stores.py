"""The kit for stores: what every store must do before a server may trust its vote to it.

- A server that loses an acceptance after reporting it can help two values to be chosen. So a store
  that returns a receipt has its records on the disk; one that cannot, raises.
- Each session of the store is a process of its own, which is killed. See ``crashing.py``.
- Every choice is drawn from ``seed``; a failure prints it, and the same tests fail again.
- A store declares what it does not promise. The tests of that are skipped, with the reason.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import ClassVar, Generic, ParamSpec, TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxos import (
    Acceptor,
    Ballot,
    Done,
    From,
    Inquire,
    MaxRound,
    Message,
    Proposal,
    Propose,
    Saved,
    ServerId,
    majority,
    server,
)
from paxos_adapters.host import Host
from paxos_adapters.memory import Clock, MemoryTimer, MemoryTransport, Network
from paxos_adapters.ports import Ports, Store
from paxos_adapters.single import SingleHost, single
from paxos_testing.corruption import damages, files_in, write_files
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
DAMAGES = 100

EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class StoreKit(Generic[V]):
    """The tests of a store for values of type V, which run once you say how yours is made.

        class TestMyStore(StoreKit[str]):
            values = "red", "", "line\\n\\0", "x" * 5000
            errors = (MyStoreError,)

            def create(self, folder: Path) -> MyStore:
                return MyStore.create(folder / "votes")

            def open(self, folder: Path) -> MyStore:
                return MyStore.open(folder / "votes")

            def failing(self) -> AbstractContextManager[object]:
                return patch("os.fsync", side_effect=OSError("the disk is on fire"))

    Needs ``os.fork``. Keep what the store has to do with files within the folder that it is given.
    """  # noqa: D301 - the backslashes are those of the example

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

    # --- what is saved is loaded ----------------------------------------------------------------

    def test_a_new_store_holds_nothing(self, tmp_path: Path) -> None:
        """A server that has never run has promised nothing."""
        held = self._ask(self._make, tmp_path)
        assert held == (), f"a store that was just created holds {_say(held)}"
        held = self._ask(self._load, tmp_path)
        assert held == (), f"nothing was saved, and a store that is reopened holds {_say(held)}"

    def test_what_is_saved_is_loaded_after_a_crash(self, tmp_path: Path) -> None:
        """Every kind of record, and every value, comes back equal."""
        self._ask(self._make, tmp_path)
        for number in range(1, len(self.values) + 1):
            batch = self._batch(number)
            self._ask(self._save, tmp_path, batch)
            held = self._held(tmp_path)
            assert held == _kept(batch), (
                f"{_say(batch)} was saved, then the process was killed, and now the store holds "
                f"{_say(held)}. A receipt says: this will be read back after a crash."
            )

    def test_nothing_is_loaded_that_was_not_saved(self, tmp_path: Path) -> None:
        """A type of which nothing was saved has no record, not even a harmless one."""
        for number, record in enumerate(self._batch(1)):
            folder = _folder(tmp_path, number)
            self._ask(self._make, folder, (record,))
            held = self._held(folder)
            assert held == _kept((record,)), (
                f"only {_say((record,))} was saved, and {_say(held)} is loaded. What was never "
                "saved was never said."
            )

    @EXAMPLES
    @given(st.data())
    def test_the_latest_record_of_each_type_is_loaded(
        self, tmp_path: Path, data: st.DataObject
    ) -> None:
        """A later record replaces an earlier one of its type, within a batch and across."""
        batches = data.draw(st.lists(self._batches(), max_size=4), "saved one after another")
        with TemporaryDirectory(dir=tmp_path) as name:
            folder = Path(name)
            held = _kept(self._ask(self._make, folder, *batches))
            saved = _kept(record for batch in batches for record in batch)
            assert held == saved, f"{_say(saved)} was saved last, and {_say(held)} is loaded"
            held = self._held(folder)
            assert held == saved, f"{_say(saved)} was saved last; after a crash it is {_say(held)}"

    # --- receipts -------------------------------------------------------------------------------

    def test_a_receipt_covers_the_very_records_that_were_saved(self, tmp_path: Path) -> None:
        """``save(records)`` returns ``Saved(records)``: these objects, replaced ones too."""
        batch = (*self._batch(1), *self._batch(2))

        def save() -> Batch[V]:
            receipt = self.create(tmp_path).save(batch)
            return tuple(record for record in batch if not receipt.covers(record))

        left_out = self._ask(save)
        assert left_out == (), (
            f"the receipt does not cover {_say(left_out)}. It must speak of the very objects that "
            "were passed, not of equal ones: return Saved(records)."
        )

    def test_loaded_records_come_with_a_receipt(self, tmp_path: Path) -> None:
        """``load()`` returns one receipt, for one record of each type."""
        batch = (*self._batch(1), *self._batch(2))
        self._ask(self._make, tmp_path, batch)

        def load() -> tuple[bool, Batch[V]]:
            receipt = self.open(tmp_path).load()
            return all(map(receipt.covers, receipt.records)), receipt.records

        covered, records = self._ask(load)
        assert covered, f"the receipt does not cover the records that it brings: {_say(records)}"
        assert len(_kept(records)) == len(records), (
            f"more than one record of a type is loaded: {_say(records)}. Only the latest counts."
        )

    # --- kills ----------------------------------------------------------------------------------

    def test_every_receipt_survives_a_kill(self, tmp_path: Path) -> None:
        """What a receipt was given for is there, or something later, whenever the process ends."""
        for killed, vouched, held in self._kills(tmp_path):
            latest = max(_numbers(held))
            assert latest >= vouched, (
                f"{killed}: a receipt had been given for batch {vouched}, and batch {latest} is "
                "loaded. The records must be on the disk before ``save`` returns."
            )

    def test_a_batch_is_whole_or_absent_after_a_kill(self, tmp_path: Path) -> None:
        """What is saved together is there together."""
        for killed, _, held in self._kills(tmp_path):
            latest = max(_numbers(held))
            assert held == (_kept(self._batch(latest)) if latest else {}), (
                f"{killed}: half a batch is loaded, {_say(held)}. Put all the records of a batch "
                "into one commit, or one rename."
            )

    # --- creating and opening -------------------------------------------------------------------

    def test_opening_what_is_not_there_is_refused(self, tmp_path: Path) -> None:
        """A lost disk must not look like a new server: that one would vote again."""
        refused = self._ask(self._is_refused, self.open, tmp_path)
        assert refused, "a store was opened where there is none. Only ``create`` makes a new one."
        self._ask(self._make, tmp_path)

    def test_creating_what_is_there_is_refused(self, tmp_path: Path) -> None:
        """A server that has voted must not lose its memory to a slip."""
        batch = self._batch(1)
        self._ask(self._make, tmp_path, batch)
        refused = self._ask(self._is_refused, self.create, tmp_path)
        assert refused, "a store was created where there is one. Its server has forgotten its vote."
        held = self._held(tmp_path)
        assert held == _kept(batch), (
            f"``create`` was refused, and {_say(batch)} has become {_say(held)}"
        )

    def test_a_second_open_is_refused(self, tmp_path: Path) -> None:
        """Two servers with one memory contradict each other."""
        self._needs(excludes_others=True)

        def open_twice() -> tuple[bool, Saved[Record[V]]]:
            first = self.create(tmp_path)
            return self._is_refused(self.open, tmp_path), first.load()

        refused, _ = self._ask(open_twice)
        assert refused, "a store was opened twice in one process. Hold a lock while it is open."

    def test_a_second_open_in_another_process_is_refused(self, tmp_path: Path) -> None:
        """And when the first process has ended, however that was, the store can be opened."""
        self._needs(excludes_others=True, outlives_its_process=True)

        def hold() -> Iterator[Saved[Record[V]]]:
            first = self.create(tmp_path)
            yield first.load()
            signal.pause()
            yield first.load()

        with closing(run_until_killed(hold)) as holder:
            next(holder)
            refused = self._ask(self._is_refused, self.open, tmp_path)
        assert refused, "a store was opened in two processes. Lock something that both can see."
        self._ask(self._load, tmp_path)

    def test_a_creation_that_is_killed_can_be_done_again(self, tmp_path: Path) -> None:
        """After it there is a new store or none: never half of one, which nobody can repair."""
        self._needs(outlives_its_process=True)
        calls = self._ask(calls_in, partial(self.create, _folder(tmp_path, -1)))
        for call in self._points(calls):
            folder = _folder(tmp_path, call)
            list(run_until_killed(partial(self._creating, folder, call)))
            there = not self._ask(self._is_refused, self._load, folder)
            assert there or not self._ask(self._is_refused, self.create, folder), (
                f"killed at call {call} of {calls} of ``create`` (seed {self.seed}): what is there "
                "can neither be opened nor created. Let it appear at once, by a rename."
            )
            held = self._held(folder)
            assert held == {}, f"a store that was created again holds {_say(held)}"

    # --- damage ---------------------------------------------------------------------------------

    def test_damage_is_noticed(self, tmp_path: Path) -> None:
        """Whatever happens to a file, opening and loading raises, or loads what was saved."""
        self._needs(notices_damage=True, outlives_its_process=True)
        folder, saved = _folder(tmp_path, 1), _kept(self._batch(2))
        self._ask(self._make, folder, self._batch(1))
        self._ask(self._save, folder, self._batch(2))
        files = files_in(folder)
        assert any(files.values()), (
            "nothing is written in the folder. If there are no files to be damaged, declare "
            "notices_damage = False."
        )
        for damage, corrupt in damages(files, DAMAGES, Random(self.seed)):
            write_files(folder, corrupt)
            held = self._ask(self._load_or_refuse, folder, damage)
            assert held is None or held == saved, (
                f"{damage} (seed {self.seed}): {_say(saved)} was saved, and {_say(held)} is "
                "loaded. Keep a checksum of everything, and raise where it does not fit."
            )

    # --- saves that fail ------------------------------------------------------------------------

    def test_a_save_that_fails_raises(self, tmp_path: Path) -> None:
        """No receipt without the disk."""
        raised, _, _ = self._fail(tmp_path)
        assert raised, (
            "``save`` returned although its writes failed (or ``failing`` does not reach them). "
            "Never swallow an error of the disk."
        )

    def test_a_save_that_failed_is_the_last(self, tmp_path: Path) -> None:
        """After a failed sync nobody knows what is on the disk; a retry can seem to succeed."""
        _, _, final = self._fail(tmp_path)
        assert final, (
            "a save failed, and a later one returned a receipt. The first failure is final: raise "
            "from then on, until the store is opened anew."
        )

    def test_a_save_that_failed_leaves_nothing_in_memory(self, tmp_path: Path) -> None:
        """No phantom: what could not be saved is not loaded as if it had been."""
        _, held, _ = self._fail(tmp_path)
        before, failed = _kept(self._batch(1)), _kept(self._batch(2))
        assert held is None or held == before, (
            f"{_say(before)} was saved, the next save failed, and {_say(held or {})} is loaded. "
            "Change what you keep in memory after the disk has it, not before."
        )
        held = self._held(tmp_path)
        assert held in (before, failed), (
            f"after a failed save the store was opened anew, and holds {_say(held)}. It must be "
            f"what was saved before, {_say(before)}, or what failed, {_say(failed)}, as a whole."
        )

    # --- a whole server -------------------------------------------------------------------------

    def test_a_server_decides_on_it_and_remembers_its_vote(self, tmp_path: Path) -> None:
        """A host of one server proposes, is killed, starts again, and is asked what is chosen."""
        value, other = self.values[:2]
        reports, vote = self._ask(self._run, self.create, tmp_path, Propose(value))
        first = Ballot(1, ME)
        assert reports == [Done(first, value, own=True)], f"it was to decide, and told: {reports}"
        assert vote == Acceptor(first, Proposal(first, value)), f"it has voted for {vote}"
        reports, _ = self._ask(self._run, self.open, tmp_path, Propose(other))
        assert [it.value for it in reports if isinstance(it, Done)] == [value], (
            f"{value!r} was chosen. After a restart {other!r} was proposed, and what came of it is "
            f"{reports}: the server has forgotten its vote."
        )
        reports, _ = self._ask(self._run, self.open, tmp_path, Inquire())
        assert [it.value for it in reports if isinstance(it, Done)] == [value], (
            f"{value!r} was chosen, twice, and who asks is told {reports}"
        )

    # --- how it is done -------------------------------------------------------------------------

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
        return _kept(self._ask(self._load, folder))

    def _is_refused(self, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        try:
            act(*args, **kwargs)
        except self.errors:
            return True
        return False

    def _load_or_refuse(self, folder: Path, damage: str) -> Kept[V] | None:
        try:
            return _kept(self._load(folder))
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
        chance, folder = Random(self.seed), _folder(tmp_path, 1)
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
        vouched = 2 * SAVES
        for killed, call, moment_s in ends:
            told = list(run_until_killed(partial(self._saving, folder, call), moment_s))
            held = self._held(folder)
            yield f"{killed} (seed {self.seed})", max([vouched, *told]), held
            vouched = max(_numbers(held))

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
        last = max(_numbers(_kept(store.load().records)))
        for number in range(last + 1, last + 1 + SAVES):
            store.save(self._batch(number))
            yield number

    def _run(
        self, start: Callable[[Path], Store[Record[V]]], folder: Path, event: server.Event[V]
    ) -> tuple[list[server.Report[V]], Acceptor[V]]:
        """One server alone: what it reports after ``event``, and its vote."""
        network, timer = Network[Message[V]](), MemoryTimer(ME, Clock())
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
                held = _kept(store.load().records)
            except self.errors:
                held = None
            return raised, held, self._is_refused(store.save, self._batch(3))

        return self._ask(fail)


def _kept(records: Iterable[Record[V]]) -> Kept[V]:
    return {type(record): record for record in records}


def _say(held: Kept[V] | Batch[V]) -> str:
    """These records in words, of which none is long."""
    records = held.values() if isinstance(held, dict) else held
    return ", ".join(f"{record!r:.120}" for record in records) or "nothing"


def _numbers(held: Kept[V]) -> list[int]:
    """The numbers of the batches that these records come from; 0 if there are none."""
    return [0] + [
        it.round if isinstance(it, MaxRound) else it.promised.round for it in held.values()
    ]


def _folder(tmp_path: Path, number: int) -> Path:
    folder = tmp_path / str(number)
    folder.mkdir()
    return folder


def _vote(ballots: list[Ballot], value: V) -> Acceptor[V]:
    accepted, promised = ballots
    return Acceptor(promised, Proposal(accepted, value))
