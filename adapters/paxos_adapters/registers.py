"""Many decisions on one server: named registers that are written once.

- Each name is a ``Server`` of its own. An event steps it, and what it says leaves at once, or waits
  for its record. Whoever drives takes what waits, saves it in one commit, and says so. Beside the
  host, this is where a running server opens seals.
- Steps go on while a save is under way. What they say rests on records of their own, and a save
  that fails stops everything, so nothing that was not saved is ever heard of.
- Rounds are reserved in blocks for all names together: a round below the block is safe to use, as
  if it had been saved. After a restart rounds begin above the block.
- What is not saved yet, or is at work, stays in memory. Of all else the least used is dropped, and
  loaded when it is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, TypeAlias, TypeVar

from attrs import define

from paxos import AfterSave, MaxRound, QuorumSystem, Saved, ServerId, server
from paxos.proposer import Accepting, Preparing

V = TypeVar("V")

RESERVED = ""
"""The name under which the block of rounds is saved; no register has it."""

BLOCK_ROUNDS = 1_000
MAX_IDLE, SPARE = 10_000, 1_000
"""How many idle registers stay in memory, and how many more there may be before any is dropped."""

Entry: TypeAlias = tuple[str, server.Record[V]]
Waiting: TypeAlias = tuple[str, AfterSave[server.Record[V], server.Effect[V]]]


@define
class Register(Generic[V]):
    """One name in memory: its state, the record that is durable, and how many steps wait."""

    state: server.Server[V]
    durable: server.Record[V] | None
    waiting: int = 0

    @property
    def is_at_work(self) -> bool:
        """Whether this server has a proposal or an inquiry under way."""
        phase = self.state.proposer.phase
        return type(phase) is Preparing or type(phase) is Accepting


class Registers(Generic[V]):
    """The registers of the server ``me``.

    ``load`` brings what was saved for a name; ``perform`` is called with each effect that is free.
    """

    def __init__(
        self,
        me: ServerId,
        quorum: QuorumSystem,
        *,
        load: Callable[[str], Saved[server.Record[V]]],
        perform: Callable[[str, server.Effect[V]], None],
    ) -> None:
        """Rounds begin above those that were reserved before; a new block must be saved first."""
        self.me = me
        self.quorum = quorum
        self._load = load
        self._perform = perform
        self._open: OrderedDict[str, Register[V]] = OrderedDict()
        self._waiting: list[Waiting[V]] = []
        rounds = (it.round for it in load(RESERVED).records if isinstance(it, MaxRound))
        self._floor = self._ceiling = max(rounds, default=0)

    def __len__(self) -> int:
        """How many registers are in memory."""
        return len(self._open)

    def is_at_work(self, name: str) -> bool:
        """Whether the register ``name`` has something under way."""
        register = self._open.get(name)
        return register is not None and register.is_at_work

    def of(self, name: str) -> Register[V]:
        """The register ``name``, loaded if it is not in memory."""
        register = self._open.get(name)
        if register is None:
            register = self._open[name] = self._loaded(name)
            self._make_room()
        else:
            self._open.move_to_end(name)
        return register

    def receive(self, name: str, event: server.Event[V]) -> None:
        """Take one event. Raises Busy and InvariantError, and what loading raises."""
        register = self.of(name)
        register.state, outbound = server.receive(register.state, event)
        if type(outbound) is AfterSave:
            if not self._is_durable(register, outbound.record):
                register.waiting += 1
                self._waiting.append((name, outbound))
                return
            outbound = outbound.release(Saved((outbound.record,)))
        for effect in outbound.messages:
            self._perform(name, effect)

    def take(self) -> Sequence[Waiting[V]]:
        """What waits for a save now; it has to be saved and handed back, in this order."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def entries(self, waiting: Sequence[Waiting[V]]) -> list[Entry[V]]:
        """What must be saved so that ``waiting`` can leave."""
        rounds = [it.record.round for _, it in waiting if isinstance(it.record, MaxRound)]
        saved: list[Entry[V]] = [
            (name, it.record) for name, it in waiting if not isinstance(it.record, MaxRound)
        ]
        return saved + ([self.block(max(rounds))] if rounds else [])

    def block(self, highest: int = 0) -> Entry[V]:
        """What makes a new block of rounds safe, from ``highest`` on."""
        return RESERVED, MaxRound(max(highest, self._ceiling) + BLOCK_ROUNDS)

    def saved(self, waiting: Sequence[Waiting[V]], receipt: Saved[server.Record[V]]) -> None:
        """Let out what waited, now that ``receipt`` says that its entries are durable.

        Raises WrongReceipt if it does not say so.
        """
        self.reserved(receipt)
        for name, outbound in waiting:
            register, record = self._open[name], outbound.record
            register.waiting -= 1
            if isinstance(record, MaxRound) and record.round <= self._ceiling:
                free = outbound.release(Saved((record,)))
            else:
                free = outbound.release(receipt)
                register.durable = record
            for effect in free.messages:
                self._perform(name, effect)

    def reserved(self, receipt: Saved[server.Record[V]]) -> None:
        """Use the rounds of the blocks that ``receipt`` speaks of."""
        rounds = (it.round for it in receipt.records if isinstance(it, MaxRound))
        self._ceiling = max((self._ceiling, *rounds))

    def _is_durable(self, register: Register[V], record: server.Record[V]) -> bool:
        if isinstance(record, MaxRound):
            return record.round <= self._ceiling
        return record is register.durable

    def _loaded(self, name: str) -> Register[V]:
        records = self._load(name).records
        state = server.start(self.me, self.quorum, (*records, MaxRound(self._floor)))
        return Register(state, state.acceptor if records else None)

    def _make_room(self) -> None:
        """Drop what was not used for longest, and is neither at work nor unsaved."""
        if len(self._open) > MAX_IDLE + SPARE:
            *older, _ = self._open.items()
            idle = (name for name, it in older if not it.waiting and not it.is_at_work)
            for name in [*islice(idle, len(self._open) - MAX_IDLE)]:
                del self._open[name]
