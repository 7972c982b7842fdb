"""Many decisions on one server: named registers that are written once.

- Each name is a process of its own. An event steps it. Its effects are returned at once, or wait
  for a record. The node takes what waits, saves it in one commit, and gets the rest.
- Steps go on while a save is in progress. Their effects wait for records of their own, and a save
  that fails stops everything, so nothing that was not saved is ever sent.
- Rounds are reserved in blocks, for all names together: a round of the block may be used, and may
  be promised, as if that had been saved. After a restart this server's rounds begin above the
  block, and it promises nothing below: a promise that was not saved itself is kept anyway.
- So a promise waits for no save of its own. An acceptance does.
- A restarted server refuses ballots below its block. A refused proposer starts above it, for all
  names.
- A query is answered from what is durable: only a durable acceptance may be reported. It loads no
  name into memory, saves nothing and waits for nothing. A read leaves nothing behind either: a name
  of which nothing is known is dropped when the read ends, and so are late answers to it.
- A register that is not saved yet, or is working, stays in memory. Of the others the least recently
  used is dropped, by number and by the bytes of values, and loaded again on demand.
- Bounded, by number and by bytes: what waits for a save, and what is in memory. Beyond a bound,
  messages of other servers are dropped and counted by the bound; they are sent again. What this
  server begins itself is bounded by its callers.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from attrs import define, evolve

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
    server,
)
from paxos.proposer import Accepting, Preparing
from paxos.reader import Querying
from paxos_adapters.file.entries import Entry
from paxos_adapters.file.reserved_rounds import RESERVED, reserved, with_reservation
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES
from paxos_adapters.machine import Process
from paxos_adapters.ports import Place
from paxos_adapters.single import Single, SingleObserver, SingleProcess, SingleStep, single

BLOCK_ROUNDS = 1_000
MAX_AHEAD = 1 << 40
"""Messages whose round is further ahead than this are dropped: no correct server is there."""

CACHE_SIZE, CACHE_SLACK = 10_000, 1_000
"""How many idle registers stay in memory, and how many more there may be before any is dropped."""

CACHE_BYTES, CACHE_SLACK_BYTES = 64 << 20, 8 << 20
"""The same, for the bytes of their values."""

MAX_NAMES, MAX_BYTES = 12_000, 80 << 20
"""How many registers, and bytes of values, there may be in memory before messages are dropped."""

TOO_MANY, TOO_LARGE = "names in memory", "values in memory"
TOO_SLOW, TOO_FAR = "waiting for the disk", "rounds out of reach"
"""What a message is dropped for."""

NOTHING = Acceptor[bytes]()
"""What is durable for a name that nothing was saved for."""

NOTHING_SAVED: Saved[server.Record[bytes]] = Saved(())
"""The receipt of no save: a block stands for the record."""

Effects: TypeAlias = tuple[server.Effect[bytes], ...]
Named: TypeAlias = tuple[str, server.Effect[bytes]]
Waiting: TypeAlias = Entry
"""A step that waits: its name, and the record that it waits for."""


@define
class Register:
    """One name in memory: its process, whose disk is the acceptor that was saved of its own.

    One that is ``evicting`` has its promise saved by itself, so that it can be dropped.
    ``size_bytes`` is that of the values that it holds.
    """

    process: SingleProcess[bytes]
    evicting: bool = False
    size_bytes: int = 0

    @property
    def state(self) -> server.Server[bytes]:
        """The state after the last step."""
        return self.process.state

    @property
    def durable(self) -> Acceptor[bytes]:
        """What was saved of its own."""
        (acceptor,) = self.process.disk
        return acceptor if type(acceptor) is Acceptor else NOTHING

    @property
    def is_working(self) -> bool:
        """Whether a proposal, an inquiry or a read of this server is in progress."""
        return isinstance(self.state.proposer.phase, Querying | Preparing | Accepting)

    @property
    def is_blank(self) -> bool:
        """Whether nothing is known of the name, and nothing is in progress."""
        accepted, learner = self.state.acceptor.accepted, self.state.learner
        is_known = accepted is not None or learner.choice is not None or bool(learner.tallies)
        return not (is_known or self.process.waiting or self.is_working)


class Registers:
    """The registers of the server ``me``.

    ``load`` brings what was saved for a name. What may leave is returned. ``size_bytes`` is that of
    the values in memory.
    """

    def __init__(
        self,
        me: ServerId,
        quorum: QuorumSystem,
        *,
        load: Callable[[str], Saved[server.Record[bytes]]],
        observer: SingleObserver[bytes] | None = None,
    ) -> None:
        """Rounds begin above those that were reserved before; a new block must be saved first.

        ``observer`` is told what happens.
        """
        self.me = me
        self.quorum = quorum
        self._load = load
        machine: Single[bytes] = single()
        self._machine = evolve(machine, fold=_acceptor_alone)
        self._observer = observer
        self._open: OrderedDict[str, Register] = OrderedDict()
        self._waiting: list[Waiting] = []
        self._waiting_bytes = self.size_bytes = self._evicting = 0
        self._block = self._min_round = self._ceiling = reserved(load(RESERVED).records)
        self._promised = with_reservation((Acceptor[bytes](),), self._block)[0].promised
        self._full, self._full_bytes = CACHE_SIZE + CACHE_SLACK, CACHE_BYTES + CACHE_SLACK_BYTES
        self.dropped = Counter[str]()

    def __contains__(self, name: str) -> bool:
        """Whether the register ``name`` is in memory."""
        return name in self._open

    def __len__(self) -> int:
        """How many registers are in memory."""
        return len(self._open)

    @property
    def _is_slow(self) -> bool:
        """Whether as much waits for a save as may."""
        return len(self._waiting) >= MAX_WAITING or self._waiting_bytes >= MAX_WAITING_BYTES

    @property
    def promised(self) -> Ballot:
        """The highest promise of the registers in memory."""
        return max((it.state.acceptor.promised for it in self._open.values()), default=NO_BALLOT)

    def is_working(self, name: str) -> bool:
        """Whether a proposal or a read of the register ``name`` is in progress."""
        register = self._open.get(name)
        return register is not None and register.is_working

    def get(self, name: str) -> Register:
        """The register ``name``, loaded if it is not in memory."""
        register = self._open.get(name)
        if register is None:
            register = self._open[name] = self._loaded(name)
            self._weigh(register)
            self._make_room()
        else:
            self._open.move_to_end(name)
        return register

    def receive(self, name: str, event: server.Event[bytes]) -> Effects:
        """Take one event; what may leave. Raises Busy and InvariantError, and what loading raises.

        A message is dropped, and counted in ``dropped``, while there is no room for what it brings,
        or if its rounds are beyond their bound.
        """
        if type(event) is not From:
            return self._step(name, event)
        message = event.message
        if type(message) is Query:
            return self._answer(name, event.sender, message)
        if type(message) is Answer and name not in self._open:
            return ()
        if (reason := self._refusal(name, message)) is not None:
            self.dropped[reason] += 1
            return ()
        effects = self._step(name, event)
        if type(message) is Nack:
            self._min_round = max(self._min_round, message.promised.round)
        elif type(message) is Answer and self._open[name].is_blank:
            self._drop(name, self._open[name])
        return effects

    def _step(self, name: str, event: server.Event[bytes]) -> Effects:
        register = self.get(name)
        before = register.process
        try:
            after, effects = self._machine.take(before, event)
        except InvariantError as broken:
            if self._observer is not None:
                self._observer.failed(Place(self.me, name), event, broken)
            raise
        if after.waiting is not before.waiting:
            step = after.waiting[-1]
            if self._stands_for(register, step.record):
                after = Process(after.state, after.disk, before.waiting)
                effects = self._free(after.state, step)
            else:
                self._wait(name, step.record)
        register.process = after
        if _holds_other(after.state, before.state):
            self._weigh(register)
            if self.size_bytes > self._full_bytes:
                self._make_room()
        if self._observer is not None:
            self._observer.stepped(Place(self.me, name), event, before, after)
            if effects:
                self._observer.sent(Place(self.me, name), after, effects)
        return effects

    def _answer(self, name: str, reader: ServerId, query: Query) -> Effects:
        """Answer a query: the choice, if it is known, or what is durable."""
        if reader not in self.quorum.members:
            return ()
        register = self._open.get(name)
        choice = None if register is None else register.state.learner.choice
        if choice is not None:
            return (To(reader, choice.chosen),)
        durable = _acceptor(self._load(name).records) if register is None else register.durable
        return (To(reader, Answer(query.id, durable.accepted)),)

    def _refusal(self, name: str, message: Message[bytes]) -> str | None:
        """What ``message`` is dropped for; None if it is to be taken."""
        reach = 0
        if type(message) is Prepare or type(message) is Accept:
            reach = message.ballot.round
        elif type(message) is Nack:
            reach = message.promised.round
        if reach > self._ceiling + MAX_AHEAD:
            return TOO_FAR
        if self._is_slow:
            return TOO_SLOW
        if len(self._open) >= MAX_NAMES and name not in self._open:
            return TOO_MANY
        if self.size_bytes >= MAX_BYTES and not self.is_working(name):
            return TOO_LARGE
        return None

    def _weigh(self, register: Register) -> None:
        size_bytes = _held_bytes(register.state)
        self.size_bytes += size_bytes - register.size_bytes
        register.size_bytes = size_bytes

    def _free(self, state: server.Server[bytes], step: SingleStep[bytes]) -> Effects:
        """The effects of a step whose record the block stands for: it is as good as on the disk."""
        process: SingleProcess[bytes] = Process(state, (step.record,), (step,))
        _, effects = self._machine.saved(process, NOTHING_SAVED)
        return effects

    def _wait(self, name: str, record: server.Record[bytes]) -> None:
        self._waiting.append((name, record))
        if type(record) is Acceptor and record.accepted is not None:
            self._waiting_bytes += len(record.accepted.value)

    def take_waiting(self) -> Sequence[Waiting]:
        """What waits for a save now; it has to be saved and handed back, in this order."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return waiting

    def entries(self, waiting: Sequence[Waiting]) -> list[Entry]:
        """What must be saved so that ``waiting`` can leave."""
        entries: list[Entry] = []
        highest = 0
        for name, record in waiting:
            needed = _round_of(self._open[name], record)
            if needed is None:
                entries.append((name, record))
            else:
                highest = max(highest, needed)
        return [*entries, self.block(highest)] if highest > self._ceiling else entries

    def block(self, highest: int = 0) -> Entry:
        """What makes a new block of rounds safe, from ``highest`` on."""
        return RESERVED, MaxRound(max(highest, self._ceiling) + BLOCK_ROUNDS)

    def on_saved(
        self, waiting: Sequence[Waiting], receipt: Saved[server.Record[bytes]]
    ) -> list[Named]:
        """What may leave of all that waited, now that ``receipt`` covers its entries.

        Raises NotSaved if it does not.
        """
        self.on_reserved(receipt)
        freed: list[Named] = []
        for name, record in waiting:
            register = self._open[name]
            process = register.process
            if self._stands_for(register, record):
                register.process = Process(process.state, process.disk, process.waiting[1:])
                effects = self._free(process.state, process.waiting[0])
            else:
                register.process, effects = self._machine.saved(process, receipt, 1)
            if register.evicting and not register.process.waiting:
                register.evicting = False
                self._evicting -= 1
                self._drop(name, register)
            if self._observer is not None and effects:
                self._observer.saved(Place(self.me, name), register.process, (record,), 1)
                self._observer.sent(Place(self.me, name), register.process, effects)
            freed.extend((name, effect) for effect in effects)
        self._full, self._full_bytes = CACHE_SIZE + CACHE_SLACK, CACHE_BYTES + CACHE_SLACK_BYTES
        self._make_room()
        return freed

    def on_reserved(self, receipt: Saved[server.Record[bytes]]) -> None:
        """Use the rounds of the blocks that ``receipt`` speaks of."""
        self._ceiling = max(self._ceiling, reserved(receipt.records))

    def _stands_for(self, register: Register, record: server.Record[bytes]) -> bool:
        """Whether the block stands for the record, or it was saved by a step before."""
        needed = _round_of(register, record)
        return record is register.durable or (needed is not None and needed <= self._ceiling)

    def _loaded(self, name: str) -> Register:
        records = self._load(name).records
        durable = _acceptor(records)
        memory, max_round = with_reservation((durable, MaxRound(reserved(records))), self._block)
        known = memory, MaxRound(max(max_round.round, self._min_round))
        state = server.start(self.me, self.quorum, known)
        if self._observer is not None:
            self._observer.started(Place(self.me, name), self.quorum, Process(state, known))
        return Register(Process(state, (durable,)))

    def _make_room(self) -> None:
        """Drop what was not used for longest, and is neither working nor unsaved.

        What has to be saved before leaves with a save. If there is too little, it is not looked for
        again until there is much more, or a save has ended.
        """
        count, size_bytes = len(self._open) - self._evicting, self.size_bytes
        if count <= self._full and size_bytes <= self._full_bytes:
            return
        *older, _ = self._open.items()
        for name, register in older:
            if (count <= CACHE_SIZE and size_bytes <= CACHE_BYTES) or self._is_slow:
                break
            if register.evicting:
                size_bytes -= register.size_bytes
            elif not register.process.waiting and not register.is_working:
                count -= 1
                size_bytes -= register.size_bytes
                if not self._drop(name, register):
                    self._evict(name, register)
        self._full = max(CACHE_SIZE, count) + CACHE_SLACK
        self._full_bytes = max(CACHE_BYTES, size_bytes) + CACHE_SLACK_BYTES

    def _evict(self, name: str, register: Register) -> None:
        """Save the promise by itself; the register is dropped after that."""
        process, record = register.process, register.state.acceptor
        step: SingleStep[bytes] = AfterSave(record, ())
        register.process = Process(process.state, process.disk, (*process.waiting, step))
        register.evicting = True
        self._evicting += 1
        self._wait(name, record)

    def _drop(self, name: str, register: Register) -> bool:
        """Drop the register if it is idle. False, if its promise must be saved before."""
        promised = register.state.acceptor.promised
        is_saved = promised <= max(register.durable.promised, self._promised)
        if is_saved and not register.is_working:
            self._min_round = max(self._min_round, register.state.proposer.max_round)
            del self._open[name]
            self.size_bytes -= register.size_bytes
            if self._observer is not None:
                self._observer.stopped(Place(self.me, name), (), "dropped from memory")
        return is_saved


def _acceptor_alone(
    disk: tuple[server.Record[bytes], ...], record: server.Record[bytes]
) -> tuple[server.Record[bytes], ...]:
    """Rounds are reserved for all names together: of a name, only its acceptor is kept."""
    return (record,) if type(record) is Acceptor else disk


def _acceptor(records: Iterable[server.Record[bytes]]) -> Acceptor[bytes]:
    return next((it for it in records if type(it) is Acceptor), NOTHING)


def _held_bytes(state: server.Server[bytes]) -> int:
    """How many bytes of values a state holds; those being proposed are bounded by the callers."""
    accepted, learner = state.acceptor.accepted, state.learner
    held = 0 if accepted is None else len(accepted.value)
    for tally in learner.tallies:
        held += len(tally.value)
    return held if learner.choice is None else held + len(learner.choice.chosen.value)


def _holds_other(state: server.Server[bytes], before: server.Server[bytes]) -> bool:
    """Whether the values that it holds may have changed."""
    return state.acceptor is not before.acceptor or state.learner is not before.learner


def _round_of(register: Register, record: server.Record[bytes]) -> int | None:
    """The round that has to be reserved for ``record``; None if it must be saved itself."""
    if type(record) is MaxRound:
        return record.round
    is_promise = record.accepted is register.durable.accepted
    return record.promised.round if is_promise and not register.evicting else None
