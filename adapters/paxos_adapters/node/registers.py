"""Many decisions on one server: named registers that are written once.

- Each name is a process of its own. An event steps it. Its effects are returned at once, or wait
  for a record. The node takes what waits, saves it in one commit, and gets the rest.
- Steps go on while a save is in progress. Their effects wait for records of their own, and a save
  that fails stops everything, so nothing that was not saved is ever sent.
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
from collections.abc import Callable, Sequence
from typing import TypeAlias

from attrs import define

from paxos import (
    NO_BALLOT,
    Accept,
    Acceptor,
    Answer,
    Ballot,
    From,
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
from paxos_adapters.driving import Driver
from paxos_adapters.file.entries import Entry
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES
from paxos_adapters.ports import Place
from paxos_adapters.single import Single, SingleDriver, SingleObserver, single

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

Effects: TypeAlias = tuple[server.Effect[bytes], ...]
Named: TypeAlias = tuple[str, server.Effect[bytes]]


@define
class Register:
    """One name in memory. ``size_bytes`` is that of the values that it holds."""

    driver: SingleDriver[bytes]
    size_bytes: int = 0

    @property
    def state(self) -> server.Server[bytes]:
        """The state after the last step."""
        return self.driver.process.state

    @property
    def highest_round(self) -> int:
        """The highest round that was promised, used or seen."""
        return max(self.state.acceptor.promised.round, self.state.proposer.max_round)

    @property
    def is_working(self) -> bool:
        """Whether a proposal, an inquiry or a read of this server is in progress."""
        return isinstance(self.state.proposer.phase, Querying | Preparing | Accepting)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in progress, and nothing waits for a save."""
        return not (self.driver.process.waiting or self.is_working)

    @property
    def is_blank(self) -> bool:
        """Whether nothing is known of the name, and nothing is in progress."""
        learner = self.state.learner
        is_known = self.driver.process.disk or learner.choice is not None or learner.tallies
        return self.is_idle and not is_known


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
        """``observer`` is told what happens."""
        self.me = me
        self.quorum = quorum
        self._load = load
        self._machine: Single[bytes] = single()
        self._observer = observer
        self._open: OrderedDict[str, Register] = OrderedDict()
        self._waiting: list[Entry] = []
        self._waiting_bytes = self.size_bytes = 0
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

    @property
    def is_saving(self) -> bool:
        """Whether something waits for a save, or for the end of one."""
        return any(it.driver.process.waiting for it in self._open.values())

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

    def close(self) -> None:
        """Drop all of them, whatever is in progress."""
        for name in list(self._open):
            self._drop(name)

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
        if type(message) is Answer and self._open[name].is_blank:
            self._drop(name)
        return effects

    def _step(self, name: str, event: server.Event[bytes]) -> Effects:
        register = self.get(name)
        before = register.driver.process
        effects = register.driver.take(event)
        after = register.driver.process
        if after.waiting is not before.waiting:
            self._wait(name, after.waiting[-1].record)
        if _holds_other(after.state, before.state):
            self._weigh(register)
            if self.size_bytes > self._full_bytes:
                self._make_room()
        return effects

    def _answer(self, name: str, reader: ServerId, query: Query) -> Effects:
        """Answer a query: the choice, if it is known, or what is durable."""
        if reader not in self.quorum.members:
            return ()
        register = self._open.get(name)
        choice = None if register is None else register.state.learner.choice
        if choice is not None:
            return (To(reader, choice.chosen),)
        durable = self._load(name).records if register is None else register.driver.process.disk
        accepted = next((it.accepted for it in durable if type(it) is Acceptor), None)
        return (To(reader, Answer(query.id, accepted)),)

    def _refusal(self, name: str, message: Message[bytes]) -> str | None:
        """What ``message`` is dropped for; None if it is to be taken."""
        if self._is_slow:
            return TOO_SLOW
        if len(self._open) >= MAX_NAMES and name not in self._open:
            return TOO_MANY
        if self.size_bytes >= MAX_BYTES and not self.is_working(name):
            return TOO_LARGE
        if _round_of(message) > self.get(name).highest_round + MAX_AHEAD:
            return TOO_FAR
        return None

    def _weigh(self, register: Register) -> None:
        size_bytes = _held_bytes(register.state)
        self.size_bytes += size_bytes - register.size_bytes
        register.size_bytes = size_bytes

    def _wait(self, name: str, record: server.Record[bytes]) -> None:
        self._waiting.append((name, record))
        if type(record) is Acceptor and record.accepted is not None:
            self._waiting_bytes += len(record.accepted.value)

    def take_waiting(self) -> Sequence[Entry]:
        """What must be saved so that what waits can leave; to be handed back in this order."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        return waiting

    def on_saved(
        self, waiting: Sequence[Entry], receipt: Saved[server.Record[bytes]]
    ) -> list[Named]:
        """What may leave of all that waited, now that ``receipt`` covers it.

        Raises NotSaved if it does not.
        """
        freed: list[Named] = []
        for name, _ in waiting:
            freed.extend((name, effect) for effect in self._open[name].driver.stored(receipt, 1))
        self._full, self._full_bytes = CACHE_SIZE + CACHE_SLACK, CACHE_BYTES + CACHE_SLACK_BYTES
        self._make_room()
        return freed

    def _loaded(self, name: str) -> Register:
        place, records = Place(self.me, name), self._load(name).records
        return Register(Driver(self._machine, place, self.quorum, records, self._observer))

    def _make_room(self) -> None:
        """Drop what was not used for longest, and is idle.

        If there is too little, it is not looked for again until there is much more, or a save has
        ended.
        """
        if len(self._open) <= self._full and self.size_bytes <= self._full_bytes:
            return
        *older, _ = self._open.items()
        for name, register in older:
            if len(self._open) <= CACHE_SIZE and self.size_bytes <= CACHE_BYTES:
                break
            if register.is_idle:
                self._drop(name)
        self._full = max(CACHE_SIZE, len(self._open)) + CACHE_SLACK
        self._full_bytes = max(CACHE_BYTES, self.size_bytes) + CACHE_SLACK_BYTES

    def _drop(self, name: str) -> None:
        register = self._open.pop(name)
        self.size_bytes -= register.size_bytes
        register.driver.stop("dropped from memory")


def _round_of(message: Message[bytes]) -> int:
    """The round that ``message`` would have this server promise, or go above; 0 without one."""
    if type(message) is Prepare or type(message) is Accept:
        return message.ballot.round
    return message.promised.round if type(message) is Nack else 0


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
