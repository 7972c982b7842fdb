"""The kit for stores of logs: what each must do before a replica may trust its vote to it.

- A log saves Deltas. What is loaded is the sum of them all, as ``paxos.log.memory.fold`` makes it:
  a Delta with the open entries, and a Prefix with what is chosen below.
- A store may load the Prefix without its entries, since no replica starts from them. Then say in
  ``chosen`` how they are read.
- No snapshot is taken here, so no floor rises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from paxos import Ballot, From, Proposal, ServerId, majority
from paxos.log import Change, Command, Configuration, Delta, Lead, Memory, Noop, Propose
from paxos.log.events import LogTimer, Request
from paxos.log.memory import FIRST_SLOT, Prefix, Record, added, fold
from paxos.log.messages import Entry, Message
from paxos.log.replica import Replica
from paxos_adapters.host import Host
from paxos_adapters.log import LogHost, log
from paxos_adapters.memory import Clock, MemoryTimer, MemoryTransport, Network
from paxos_adapters.ports import Ports, Store
from paxos_testing.samples import like
from paxos_testing.sessions import ME, Batch, Kept, V, Variants, kept, say
from paxos_testing.stores import EXAMPLES, StoreTests

ALONE = majority([ME])
CONFIGURATIONS = (Configuration(FIRST_SLOT, ALONE),)
LATER = (Configuration(FIRST_SLOT, majority(map(ServerId, (1, 2, 3)))), Configuration(9, ALONE))
REACH = 6
"""From ``first`` on, so many slots are written to."""


class LogStoreKit(StoreTests[V, Record[V]]):
    """The tests of a store for a log of values of type V, once you say how it is made.

        class TestMyStore(LogStoreKit[str]):
            values = "red", "", "line\\n\\0", "x" * 5000
            errors = (MyStoreError,)

            def create(self, folder: Path) -> MyStore:
                return MyStore.create(folder / "log")

            def open(self, folder: Path) -> MyStore:
                return MyStore.open(folder / "log")

    Needs ``os.fork``. Keep what the store has to do with files within the folder that it is given.
    """  # noqa: D301 - the backslashes are those of the example

    def chosen(self, store: Store[Record[V]], prefix: Prefix[V]) -> Prefix[V]:
        """``prefix``, which ``store`` has loaded, with its entries."""
        del store
        return prefix

    @EXAMPLES
    @given(st.data())
    def test_what_is_loaded_is_the_sum_of_what_was_saved(
        self, tmp_path: Path, data: st.DataObject
    ) -> None:
        """The entries, chosen and open, and the last promise, ``first`` and quorums."""
        batches = data.draw(self._histories(), "saved one after another")
        with TemporaryDirectory(dir=tmp_path) as name:
            folder = Path(name)
            held = kept(self._ask(self._make, folder, *batches))
            sum_ = self._folded(record for batch in batches for record in batch)
            assert held == sum_, f"what was saved comes to {say(sum_)}, and {say(held)} is loaded"
            held = self._held(folder)
            assert held == sum_, f"what was saved comes to {say(sum_)}; after a crash {say(held)}"

    def test_a_replica_commits_on_it_and_remembers_its_log(self, tmp_path: Path) -> None:
        """A host of one replica commits an entry, is killed, starts again, and commits another."""
        commands = [Command(value) for value in self.values[:2]]
        for times, start in enumerate([self.create, self.open], 1):
            state, disk = self._ask(self._run, start, tmp_path, commands[times - 1])
            stored = [*_entries(disk)]
            told = f"{commands[:times]} are committed by start {times}, and the store has {stored}"
            assert [it for it in stored if type(it) is Command] == commands[:times], told
            assert state.memory.first == FIRST_SLOT + len(stored), told

    def _run(
        self, start: Callable[[Path], Store[Record[V]]], folder: Path, command: Command[V]
    ) -> tuple[Replica[V], Batch[Record[V]]]:
        """One replica alone that leads and commits ``command``: its state, and what is stored."""
        store = start(folder)
        network, timer = Network[Message[V]](), MemoryTimer(ME, Clock[LogTimer]())
        host: LogHost[V] = Host(log(), ME, ALONE, Ports(MemoryTransport(ME, network), timer, store))
        requests: tuple[Request[V], ...] = Lead(), Propose(command)
        for request in requests:
            host.receive(request)
            while network.queue:
                sender, _, message = network.queue.popleft()
                host.receive(From(sender, message))
        return host.state, self._read(store)

    # --- its records ----------------------------------------------------------------------------

    def _batch(self, number: int) -> Batch[Record[V]]:
        """Slot ``number`` is accepted, then chosen; and the slot after the next is accepted."""
        ballot = Ballot(number, ME)
        value = self.values[number % len(self.values)]
        entries: Sequence[Entry[V]] = Command(value), Noop(), Change(ALONE)
        one, other = (Proposal(ballot, entries[(number + it) % 3]) for it in range(2))
        return (
            Delta(ballot, number, CONFIGURATIONS, ((number, one),)),
            Delta(ballot, number + 1, CONFIGURATIONS, ((number, other), (number + 2, one))),
        )

    def _highest(self) -> Sequence[Record[V]]:
        top = self.highest
        promise = Delta[V](top, FIRST_SLOT, CONFIGURATIONS)
        return promise, _step(top, Proposal(top, self.values[0]), FIRST_SLOT)

    def _holding(self, value: V) -> Record[V]:
        return _step(Ballot(2, ME), Proposal(Ballot(2, ME), value), FIRST_SLOT)

    def _variants(self) -> Variants[Record[V]]:
        """A replica that knows slot 1 as chosen, and has accepted a command for a later one."""
        one, other = (
            like(self.values[0], text) or self.values[at] for at, text in enumerate(("one", "two"))
        )
        low, high, first = Ballot(2, ME), Ballot(4, ME), FIRST_SLOT + 1
        entry, slot = Proposal(low, one), FIRST_SLOT + 2
        return (_step(high, entry, slot, first),), {
            "its promise": (_step(Ballot(6, ME), entry, slot, first),),
            "the ballot of an entry": (_step(high, Proposal(Ballot(3, ME), one), slot, first),),
            "the command of an entry": (_step(high, Proposal(low, other), slot, first),),
            "the slot of an entry": (_step(high, entry, slot + 1, first),),
        }

    def _histories(self) -> st.SearchStrategy[Sequence[Batch[Record[V]]]]:
        return _histories(self.values)

    def _folded(self, records: Iterable[Record[V]]) -> Kept[Record[V]]:
        disk: Batch[Record[V]] = ()
        for record in records:
            disk = fold(disk, record)
        return kept(disk)

    def _number(self, held: Kept[Record[V]]) -> int:
        return max([0, *(it.promised.round for it in held.values() if type(it) is Delta)])

    def _read(self, store: Store[Record[V]]) -> Batch[Record[V]]:
        records = store.load().records
        return tuple(self.chosen(store, it) if type(it) is Prefix else it for it in records)


def _step(promised: Ballot, proposal: Proposal[V], slot: int, first: int = FIRST_SLOT) -> Delta[V]:
    """A step's record: the command of ``proposal`` is accepted for ``slot``."""
    accepted = Proposal[Entry[V]](proposal.ballot, Command(proposal.value))
    return Delta(promised, first, CONFIGURATIONS, ((slot, accepted),))


def _entries(disk: Batch[Record[V]]) -> Iterator[Entry[V]]:
    """What is stored for each slot, in order: chosen, then open."""
    for it in disk:
        if type(it) is Prefix:
            yield from (proposal.value for proposal in it.proposals)
        elif type(it) is Delta:
            yield from (proposal.value for _, proposal in it.written)


@st.composite
def _histories(draw: DrawFn, values: Sequence[V]) -> list[Batch[Record[V]]]:
    memory, batches = Memory[V](CONFIGURATIONS), list[Batch[Record[V]]]()
    for _ in range(draw(st.integers(0, 4))):
        batch = list[Record[V]]()
        for _ in range(draw(st.integers(0, 3))):
            record = draw(_deltas(memory, values))
            memory = added(memory, record)
            batch.append(record)
        batches.append(tuple(batch))
    return batches


@st.composite
def _deltas(draw: DrawFn, memory: Memory[V], values: Sequence[V]) -> Delta[V]:
    """A step's record after ``memory``: slots are written, and ``first`` moves up to a gap."""
    ballot = Ballot(memory.promised.round + draw(st.integers(0, 1 << 40)), ME)
    entries = st.one_of(
        st.sampled_from(values).map(Command[V]), st.just(Noop()), st.just(Change(ALONE))
    )
    slots = st.integers(memory.first, memory.first + REACH - 1)
    drawn = draw(st.dictionaries(slots, entries, max_size=REACH))
    written = tuple((slot, Proposal(ballot, it)) for slot, it in sorted(drawn.items()))
    configurations = draw(st.sampled_from([CONFIGURATIONS, LATER]))
    after = added(memory, Delta(ballot, memory.first, configurations, written))
    ready = next((place for place, it in enumerate(after.open) if it is None), len(after.open))
    first = memory.first + draw(st.integers(0, ready))
    return Delta(ballot, first, configurations, written)
