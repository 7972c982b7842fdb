"""Many decisions on one server: named registers that are written once.

- Each name is a ``Server`` of its own. An event steps it, and what it says leaves at once, or waits
  for its record. Whoever drives takes what waits, saves it in one commit, and says so. Beside the
  host, this is where a running server opens seals.
- Steps go on while a save is under way. What they say rests on records of their own, and a save
  that fails stops everything, so nothing that was not saved is ever heard of.
- Rounds are reserved in blocks, for all names together: a round of the block may be used, and may
  be promised, as if that had been saved. After a restart this server's rounds begin above the
  block, and it promises nothing below: a promise that was not saved itself is kept all the same.
- So a promise waits for no save of its own. What is accepted does.
- A server that was restarted refuses what others begin below its block. Who is refused begins
  above, for all names.
- A query is answered from what is durable, which is what may be told of an acceptance. It loads no
  name into memory, saves nothing and waits for nothing. A read leaves nothing behind either: where
  nothing is held of a name, it is dropped when the read is over, and late answers to it are too.
- Bounded: messages are dropped, and will come again, while too many steps wait for a save.
- What is not saved yet, or is at work, stays in memory. Of all else the least used is dropped, and
  loaded when it is asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeAlias

from attrs import define

from paxos import (
    NO_BALLOT,
    Accept,
    Acceptor,
    AfterSave,
    Answer,
    Ballot,
    From,
    InvariantError,
    MaxRound,
    Message,
    Nack,
    Prepare,
    Query,
    QuorumSystem,
    Saved,
    ServerId,
    To,
    acceptor,
    server,
)
from paxos.proposer import Accepting, Preparing
from paxos.reader import Querying
from paxos_adapters.blocks import RESERVED, kept, reserved
from paxos_adapters.ports import Witness

BLOCK_ROUNDS = 1_000
MAX_AHEAD = 1 << 40
"""Nobody honest is so many rounds ahead of us: who says so is not heard."""

MAX_WAITING = 10_000
"""How many steps may wait for a save, before messages are dropped."""

MAX_IDLE, SPARE = 10_000, 1_000
"""How many idle registers stay in memory, and how many more there may be before any is dropped."""

Entry: TypeAlias = tuple[str, server.Record[bytes]]
Waiting: TypeAlias = tuple[str, AfterSave[server.Record[bytes], server.Effect[bytes]]]


@define
class Register:
    """One name in memory: its state, what is durable of its own, and how many steps wait.

    One that is ``leaving`` has its promise saved by itself, so that it can be dropped.
    """

    state: server.Server[bytes]
    durable: Acceptor[bytes]
    waiting: int = 0
    leaving: bool = False

    @property
    def is_at_work(self) -> bool:
        """Whether this server has a proposal, an inquiry or a read under way."""
        return isinstance(self.state.proposer.phase, Querying | Preparing | Accepting)

    @property
    def is_blank(self) -> bool:
        """Whether nothing is known of the name, and nothing is under way."""
        accepted, learner = self.state.acceptor.accepted, self.state.learner
        is_known = accepted is not None or learner.choice is not None or bool(learner.tallies)
        return not (is_known or self.waiting or self.is_at_work)


class Registers:
    """The registers of the server ``me``.

    ``load`` brings what was saved for a name; ``perform`` is called with each effect that is free.
    """

    def __init__(
        self,
        me: ServerId,
        quorum: QuorumSystem,
        *,
        load: Callable[[str], Saved[server.Record[bytes]]],
        perform: Callable[[str, server.Effect[bytes]], None],
        witness: Witness[bytes] | None = None,
    ) -> None:
        """Rounds begin above those that were reserved before; a new block must be saved first.

        ``witness`` is told what happens.
        """
        self.me = me
        self.quorum = quorum
        self._load = load
        self._perform = perform
        self._witness = witness
        self._open: OrderedDict[str, Register] = OrderedDict()
        self._waiting: list[Waiting] = []
        self._block = self._floor = self._ceiling = reserved(load(RESERVED).records)
        self._promised = kept((Acceptor[bytes](),), self._block)[0].promised
        self._full = MAX_IDLE + SPARE
        self.dropped = 0

    def __len__(self) -> int:
        """How many registers are in memory."""
        return len(self._open)

    @property
    def promised(self) -> Ballot:
        """The highest promise of the registers in memory."""
        return max((it.state.acceptor.promised for it in self._open.values()), default=NO_BALLOT)

    def is_at_work(self, name: str) -> bool:
        """Whether the register ``name`` has something under way."""
        register = self._open.get(name)
        return register is not None and register.is_at_work

    def of(self, name: str) -> Register:
        """The register ``name``, loaded if it is not in memory."""
        register = self._open.get(name)
        if register is None:
            register = self._open[name] = self._loaded(name)
            self._make_room()
        else:
            self._open.move_to_end(name)
        return register

    def receive(self, name: str, event: server.Event[bytes]) -> None:
        """Take one event. Raises Busy and InvariantError, and what loading raises.

        A message is dropped, and counted in ``dropped``, while too many steps wait for a save, or
        if its rounds are out of all reason.
        """
        if type(event) is From:
            if type(event.message) is Query:
                self._tell(name, event.sender, event.message)
                return
            if type(event.message) is Answer and name not in self._open:
                return
            if self._is_too_much(event.message):
                self.dropped += 1
                return
        register = self.of(name)
        try:
            register.state, outbound = server.receive(register.state, event)
        except InvariantError as broken:
            if self._witness is not None:
                self._witness.broke(self.me, name, event, broken)
            raise
        if type(event) is From and type(event.message) is Nack:
            self._floor = max(self._floor, event.message.promised.round)
        waits = type(outbound) is AfterSave and not self._is_durable(register, outbound.record)
        if self._witness is not None:
            self._witness.took(self.me, name, event, register.state, waits)
        if type(outbound) is AfterSave:
            if waits:
                self._wait(name, register, outbound)
                return
            outbound = outbound.release(Saved((outbound.record,)))
        for effect in outbound.messages:
            self._perform(name, effect)
        if type(event) is From and type(event.message) is Answer and register.is_blank:
            self._drop(name, register)

    def _tell(self, name: str, reader: ServerId, query: Query) -> None:
        """Answer a query: the choice, if it is known, or what is durable."""
        if reader not in self.quorum.members:
            return
        register = self._open.get(name)
        choice = None if register is None else register.state.learner.choice
        if choice is not None:
            self._perform(name, To(reader, choice.chosen))
            return
        durable = _acceptor(self._load(name).records) if register is None else register.durable
        _, outbound = acceptor.receive(durable, query)
        if type(outbound) is AfterSave:
            outbound = outbound.release(Saved((durable,)))
        for answer in outbound.messages:
            self._perform(name, To(reader, answer))

    def _is_too_much(self, message: Message[bytes]) -> bool:
        reach = 0
        if type(message) is Prepare or type(message) is Accept:
            reach = message.ballot.round
        elif type(message) is Nack:
            reach = message.promised.round
        return reach > self._ceiling + MAX_AHEAD or len(self._waiting) >= MAX_WAITING

    def _wait(
        self,
        name: str,
        register: Register,
        outbound: AfterSave[server.Record[bytes], server.Effect[bytes]],
    ) -> None:
        register.waiting += 1
        self._waiting.append((name, outbound))

    def take(self) -> Sequence[Waiting]:
        """What waits for a save now; it has to be saved and handed back, in this order."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def entries(self, waiting: Sequence[Waiting]) -> list[Entry]:
        """What must be saved so that ``waiting`` can leave."""
        entries: list[Entry] = []
        highest = 0
        for name, outbound in waiting:
            needed = _round_of(self._open[name], outbound.record)
            if needed is None:
                entries.append((name, outbound.record))
            else:
                highest = max(highest, needed)
        return [*entries, self.block(highest)] if highest > self._ceiling else entries

    def block(self, highest: int = 0) -> Entry:
        """What makes a new block of rounds safe, from ``highest`` on."""
        return RESERVED, MaxRound(max(highest, self._ceiling) + BLOCK_ROUNDS)

    def saved(self, waiting: Sequence[Waiting], receipt: Saved[server.Record[bytes]]) -> None:
        """Let out what waited, now that ``receipt`` says that its entries are durable.

        Raises WrongReceipt if it does not say so.
        """
        self.reserved(receipt)
        for name, outbound in waiting:
            register, record = self._open[name], outbound.record
            register.waiting -= 1
            if self._is_durable(register, record):
                free = outbound.release(Saved((record,)))
            else:
                free = outbound.release(receipt)
                if type(record) is Acceptor:
                    register.durable = record
            if register.leaving and not register.waiting:
                register.leaving = False
                self._drop(name, register)
            if self._witness is not None and free.messages:
                self._witness.saved(self.me, name, 1)
            for effect in free.messages:
                self._perform(name, effect)

    def reserved(self, receipt: Saved[server.Record[bytes]]) -> None:
        """Use the rounds of the blocks that ``receipt`` speaks of."""
        self._ceiling = max(self._ceiling, reserved(receipt.records))

    def _is_durable(self, register: Register, record: server.Record[bytes]) -> bool:
        """Whether the record, or what stands for it, is durable already."""
        needed = _round_of(register, record)
        return record is register.durable or (needed is not None and needed <= self._ceiling)

    def _loaded(self, name: str) -> Register:
        records = self._load(name).records
        durable = _acceptor(records)
        memory, max_round = kept((durable, MaxRound(reserved(records))), self._block)
        known = memory, MaxRound(max(max_round.round, self._floor))
        state = server.start(self.me, self.quorum, known)
        if self._witness is not None:
            self._witness.began(self.me, name, self.quorum, known)
        return Register(state, durable)

    def _make_room(self) -> None:
        """Drop what was not used for longest, and is neither at work nor unsaved."""
        if len(self._open) <= self._full:
            return
        *older, _ = self._open.items()
        idle = ((name, it) for name, it in older if not it.waiting and not it.is_at_work)
        for name, register in [*islice(idle, len(self._open) - MAX_IDLE)]:
            if not self._drop(name, register):
                register.leaving = True
                self._wait(name, register, AfterSave(register.state.acceptor, ()))
        self._full = max(MAX_IDLE, len(self._open)) + SPARE

    def _drop(self, name: str, register: Register) -> bool:
        """Drop the register if it is idle. False, if its promise must be saved before."""
        promised = register.state.acceptor.promised
        is_saved = promised <= max(register.durable.promised, self._promised)
        if is_saved and not register.is_at_work:
            self._floor = max(self._floor, register.state.proposer.max_round)
            del self._open[name]
            if self._witness is not None:
                self._witness.ended(self.me, name, "dropped from memory")
        return is_saved


def _acceptor(records: Iterable[server.Record[bytes]]) -> Acceptor[bytes]:
    return next((it for it in records if type(it) is Acceptor), Acceptor[bytes]())


def _round_of(register: Register, record: server.Record[bytes]) -> int | None:
    """The round that has to be reserved for ``record``; None if it must be saved itself."""
    if type(record) is MaxRound:
        return record.round
    is_promise = record.accepted is register.durable.accepted
    return record.promised.round if is_promise and not register.leaving else None
