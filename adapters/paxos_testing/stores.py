"""The kit for stores: what every store must do before a server may trust its vote to it.

- ``StoreTests`` are those for the records of any machine; ``StoreKit`` is for decisions.
- A server that loses an acceptance after reporting it can help two values to be chosen. So a store
  that returns a receipt has its records on the disk; one that cannot, raises.
- Each session of the store is a process of its own, which is killed. See ``sessions.py``.
- Every choice is drawn from ``seed``; a failure prints it, and the same tests fail again.
- A store declares what it does not promise. The tests of that are skipped, with the reason.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

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
from paxos.server import ServerTimer
from paxos_adapters.host import Host
from paxos_adapters.memory import Clock, MemoryTimer, MemoryTransport, Network
from paxos_adapters.ports import Ports, Store
from paxos_adapters.single import SingleHost, single
from paxos_testing.corruption import Files, damages, files_in, foreign_bytes, write_files
from paxos_testing.crashing import calls_in, run_until_killed
from paxos_testing.samples import NOT_LIKE, edge_values, like, value_beyond
from paxos_testing.sessions import (
    ME,
    Batch,
    Kept,
    R,
    StoreSessions,
    V,
    Variants,
    folder_of,
    kept,
    say,
)

DAMAGES = 100
"""How often a bit flips or an end is cut off, and how often at most one part is aimed at."""

EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.differing_executors,
        HealthCheck.too_slow,
    ],
)


class StoreTests(StoreSessions[V, R]):
    """The tests of a store for the records of a machine, whichever that is."""

    # --- what is saved is loaded ----------------------------------------------------------------

    def test_a_new_store_holds_nothing(self, tmp_path: Path) -> None:
        """A server that has never run has promised nothing."""
        held = self._ask(self._make, tmp_path)
        assert held == (), f"a store that was just created holds {say(held)}"
        held = self._ask(self._load, tmp_path)
        assert held == (), f"nothing was saved, and a store that is reopened holds {say(held)}"

    def test_what_is_saved_is_loaded_after_a_crash(self, tmp_path: Path) -> None:
        """Every kind of record, and every value, comes back equal."""
        self._ask(self._make, tmp_path)
        for number in range(1, len(self.values) + 1):
            batch = self._batch(number)
            self._ask(self._save, tmp_path, batch)
            held = self._held(tmp_path)
            assert held == self._after(number), (
                f"{say(batch)} was saved, then the process was killed, and now the store holds "
                f"{say(held)}. A receipt says: this will be read back after a crash."
            )

    def test_nothing_is_loaded_that_was_not_saved(self, tmp_path: Path) -> None:
        """A type of which nothing was saved has no record, not even a harmless one."""
        for number, record in enumerate(self._batch(1)):
            folder = folder_of(tmp_path, number)
            self._ask(self._make, folder, (record,))
            held = self._held(folder)
            assert held == self._folded((record,)), (
                f"only {say((record,))} was saved, and {say(held)} is loaded. What was never "
                "saved was never said."
            )

    def test_the_highest_numbers_are_kept(self, tmp_path: Path) -> None:
        """Whole: of a round that is cut to 32 bits, or rounded, the server uses the next again."""
        for number, record in enumerate(self._highest()):
            folder = folder_of(tmp_path, number)
            self._ask(self._make, folder, (record,))
            held = self._held(folder)
            assert held == self._folded((record,)), (
                f"{say((record,))} was saved, and {say(held)} is loaded. If such numbers are "
                "beyond the bound of the store, refuse them by type, and declare ``highest``."
            )

    def test_padded_and_long_values_are_kept(self, tmp_path: Path) -> None:
        """To the last byte: blanks and zeros at the ends, and ``most_bytes``."""
        values = edge_values(self.values[0], self.most_bytes)
        if not values:
            pytest.skip(NOT_LIKE)
        for number, value in enumerate(values):
            folder, record = folder_of(tmp_path, number), self._holding(value)
            self._ask(self._make, folder, (record,))
            assert self._held(folder) == self._folded((record,)), (
                f"a value of {len(repr(value)):,} characters, {value!r:.40}, was saved, and "
                f"another one is loaded. Cut and strip nothing; what is too large is refused."
            )

    def test_a_value_beyond_the_bound_is_refused_or_kept_whole(self, tmp_path: Path) -> None:
        """Never cut. What is refused changes nothing."""
        value = value_beyond(self.values[0], self.most_bytes)
        if value is None:
            pytest.skip(NOT_LIKE)
        first, record = self._batch(1), self._holding(value)
        self._ask(self._make, tmp_path, first)
        refused = self._ask(self._is_refused, self._save, tmp_path, (record,))
        saved = first if refused else (*first, record)
        assert self._held(tmp_path) == self._folded(saved), (
            f"a value of {self.most_bytes + 1:,} bytes was {'refused' if refused else 'saved'}, "
            "and something else is loaded. Refuse what is too large before you write anything."
        )

    # --- receipts -------------------------------------------------------------------------------

    def test_a_receipt_covers_the_very_records_that_were_saved(self, tmp_path: Path) -> None:
        """``save(records)`` returns ``Saved(records)``: these objects, replaced ones too."""
        batch = (*self._batch(1), *self._batch(2))

        def save() -> Batch[R]:
            receipt = self.create(tmp_path).save(batch)
            return tuple(record for record in batch if not receipt.covers(record))

        left_out = self._ask(save)
        assert left_out == (), (
            f"the receipt does not cover {say(left_out)}. It must speak of the very objects that "
            "were passed, not of equal ones: return Saved(records)."
        )

    def test_loaded_records_come_with_a_receipt(self, tmp_path: Path) -> None:
        """``load()`` returns one receipt, for one record of each type."""
        batch = (*self._batch(1), *self._batch(2))
        self._ask(self._make, tmp_path, batch)

        def load() -> tuple[bool, Batch[R]]:
            receipt = self.open(tmp_path).load()
            return all(map(receipt.covers, receipt.records)), receipt.records

        covered, records = self._ask(load)
        assert covered, f"the receipt does not cover the records that it brings: {say(records)}"
        assert len(kept(records)) == len(records), (
            f"more than one record of a type is loaded: {say(records)}. Only the latest counts."
        )

    # --- kills ----------------------------------------------------------------------------------

    def test_every_receipt_survives_a_kill(self, tmp_path: Path) -> None:
        """What a receipt was given for is there, or something later, whenever the process ends."""
        for killed, acknowledged, held in self._kills(tmp_path):
            latest = self._number(held)
            assert latest >= acknowledged, (
                f"{killed}: a receipt had been given for batch {acknowledged}, and batch {latest} "
                "is loaded. The records must be on the disk before ``save`` returns."
            )

    def test_a_batch_is_whole_or_absent_after_a_kill(self, tmp_path: Path) -> None:
        """What is saved together is there together."""
        for killed, _, held in self._kills(tmp_path):
            latest = self._number(held)
            assert held == self._after(latest), (
                f"{killed}: half a batch is loaded, {say(held)}. Put all the records of a batch "
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
        assert held == self._after(1), (
            f"``create`` was refused, and {say(batch)} has become {say(held)}"
        )

    def test_a_second_open_is_refused(self, tmp_path: Path) -> None:
        """Two servers with one memory contradict each other."""
        self._needs(excludes_others=True)

        def open_twice() -> tuple[bool, Saved[R]]:
            first = self.create(tmp_path)
            return self._is_refused(self.open, tmp_path), first.load()

        refused, _ = self._ask(open_twice)
        assert refused, "a store was opened twice in one process. Hold a lock while it is open."

    def test_a_second_open_in_another_process_is_refused(self, tmp_path: Path) -> None:
        """And when the first process has ended, however that was, the store can be opened."""
        self._needs(excludes_others=True, outlives_its_process=True)

        def hold() -> Iterator[Saved[R]]:
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
        calls = self._ask(calls_in, partial(self.create, folder_of(tmp_path, -1)))
        for call in self._points(calls):
            folder = folder_of(tmp_path, call)
            list(run_until_killed(partial(self._creating, folder, call)))
            there = not self._ask(self._is_refused, self._load, folder)
            assert there or not self._ask(self._is_refused, self.create, folder), (
                f"killed at call {call} of {calls} of ``create`` (seed {self.seed}): what is there "
                "can neither be opened nor created. Let it appear at once, by a rename."
            )
            held = self._held(folder)
            assert held == {}, f"a store that was created again holds {say(held)}"

    # --- damage ---------------------------------------------------------------------------------

    def test_damage_is_noticed(self, tmp_path: Path) -> None:
        """Whatever happens to a file, opening and loading raises, or loads what was saved."""
        self._needs(notices_damage=True, outlives_its_process=True)
        folder, saved = folder_of(tmp_path, 1), self._after(2)
        self._ask(self._make, folder, self._batch(1))
        before = files_in(folder)
        self._ask(self._save, folder, self._batch(2))
        files = files_in(folder)
        assert any(files.values()), (
            "nothing is written in the folder. If there are no files to be damaged, declare "
            "notices_damage = False."
        )
        for damage, corrupt in damages(files, before, DAMAGES, Random(self.seed)):
            self._is_noticed(folder, corrupt, damage, saved)

    def test_damage_to_each_part_is_noticed(self, tmp_path: Path) -> None:
        """Single bytes of a promise, or a round, become those that stand for another one."""
        self._needs(notices_damage=True, outlives_its_process=True)
        batch, variants = self._variants()
        saved = self._folded((*self._batch(1), *batch))
        files, again = (self._written(tmp_path / it, batch) for it in ("saved", "again"))
        for part, other in variants.items():
            others = self._written(tmp_path / part, other)
            places = foreign_bytes(files, again, others, DAMAGES, Random(self.seed))
            for place, corrupt in places:
                damage = f"{place} is that of a store which differs in {part}"
                self._is_noticed(tmp_path / "saved", corrupt, damage, saved)

    def _written(self, folder: Path, batch: Batch[R]) -> Files:
        """What the files of a new store hold when ``batch`` was saved, after another one."""
        folder.mkdir()
        self._ask(self._make, folder, self._batch(1))
        self._ask(self._save, folder, batch)
        return files_in(folder)

    def _is_noticed(self, folder: Path, corrupt: Files, damage: str, saved: Kept[R]) -> None:
        write_files(folder, corrupt)
        held = self._ask(self._load_or_refuse, folder, damage)
        assert held is None or held == saved, (
            f"{damage} (seed {self.seed}): {say(saved)} was saved, and {say(held)} is loaded. Keep "
            "a checksum of everything, raise where it does not fit, and use no older copy."
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
        before, failed = self._after(1), self._after(2)
        assert held is None or held == before, (
            f"{say(before)} was saved, the next save failed, and {say(held or {})} is loaded. "
            "Change what you keep in memory after the disk has it, not before."
        )
        held = self._held(tmp_path)
        assert held in (before, failed), (
            f"after a failed save the store was opened anew, and holds {say(held)}. It must be "
            f"what was saved before, {say(before)}, or what failed, {say(failed)}, as a whole."
        )


class StoreKit(StoreTests[V, server.Record[V]]):
    """The tests of a store for decisions about values of type V, once you say how it is made.

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

    @EXAMPLES
    @given(st.data())
    def test_the_latest_record_of_each_type_is_loaded(
        self, tmp_path: Path, data: st.DataObject
    ) -> None:
        """A later record replaces an earlier one of its type, within a batch and across."""
        batches = data.draw(self._histories(), "saved one after another")
        with TemporaryDirectory(dir=tmp_path) as name:
            folder = Path(name)
            held = kept(self._ask(self._make, folder, *batches))
            saved = self._folded(record for batch in batches for record in batch)
            assert held == saved, f"{say(saved)} was saved last, and {say(held)} is loaded"
            held = self._held(folder)
            assert held == saved, f"{say(saved)} was saved last; after a crash it is {say(held)}"

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
            f"{value!r} was chosen, twice, and an inquiry is told {reports}"
        )

    def _run(
        self, start: Callable[[Path], Store[server.Record[V]]], folder: Path, event: server.Event[V]
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

    # --- its records ----------------------------------------------------------------------------

    def _batch(self, number: int) -> Batch[server.Record[V]]:
        ballot = Ballot(number, ME)
        value = self.values[number % len(self.values)]
        return Acceptor(ballot, Proposal(ballot, value)), MaxRound(number)

    def _highest(self) -> Sequence[server.Record[V]]:
        top = self.highest
        proposal = Proposal(Ballot(top.round - 1, top.server), self.values[0])
        return MaxRound(top.round), Acceptor[V](top), Acceptor(top, proposal)

    def _holding(self, value: V) -> server.Record[V]:
        return Acceptor(Ballot(2, ME), Proposal(Ballot(2, ME), value))

    def _variants(self) -> Variants[server.Record[V]]:
        """A server that has promised 4.1, accepted a value under 2.1, and used round 4."""
        one, other = (
            like(self.values[0], text) or self.values[at] for at, text in enumerate(("one", "two"))
        )
        low, high = Ballot(2, ME), Ballot(4, ME)
        vote, most = Acceptor(high, Proposal(low, one)), MaxRound(4)
        return (vote, most), {
            "its promise": (Acceptor(Ballot(6, ME), vote.accepted), most),
            "the ballot that it accepted": (Acceptor(high, Proposal(Ballot(3, ME), one)), most),
            "the value that it accepted": (Acceptor(high, Proposal(low, other)), most),
            "the rounds that it used": (vote, MaxRound(6)),
        }

    def _histories(self) -> st.SearchStrategy[Sequence[Batch[server.Record[V]]]]:
        ballots = st.builds(Ballot, st.integers(0, 1 << 40), st.integers(-9, 9).map(ServerId))
        pairs = st.tuples(ballots, ballots).map(sorted)
        values = st.sampled_from(self.values)
        records = st.one_of(
            st.builds(MaxRound, st.integers(0, 1 << 40)),
            st.builds(Acceptor[V], ballots),
            st.builds(_vote, pairs, values),
        )
        return st.lists(st.lists(records, max_size=4).map(tuple), max_size=4)

    def _folded(self, records: Iterable[server.Record[V]]) -> Kept[server.Record[V]]:
        return kept(records)

    def _number(self, held: Kept[server.Record[V]]) -> int:
        return max([0, *map(_round, held.values())])


def _vote(ballots: list[Ballot], value: V) -> Acceptor[V]:
    accepted, promised = ballots
    return Acceptor(promised, Proposal(accepted, value))


def _round(record: server.Record[V]) -> int:
    return record.round if isinstance(record, MaxRound) else record.promised.round
