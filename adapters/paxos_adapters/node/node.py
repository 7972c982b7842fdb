"""A node: one server of a cluster on UDP and a file, with any number of named decisions.

    async with Node(file, addresses, protection=Signed(keyring)) as node:
        value = await node.propose("leader", "me")
        value = await node.read("leader")

- A turn: take what has arrived, step through all of it, send what is free, save the rest at once.
  While a save is under way the next turns go on; what they have to save goes together into the
  next one.
- Messages for one peer share datagrams. A message to itself does not leave the node.
- A value that is chosen answers everybody who asked for its name, whoever proposed it.
- A save that fails, or proof that some server broke the protocol, stops the node for good.
- Whoever gives up waiting does not take back what was begun: its outcome is unknown, and says so.
- Every second each peer is asked whether it is there, so that an idle node knows too.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import Generic, Self, TypeVar

from attrs import define

from paxos import (
    NO_BALLOT,
    Ballot,
    Broadcast,
    Done,
    From,
    Inquire,
    InvariantError,
    Message,
    NothingChosen,
    Prepare,
    Promise,
    Propose,
    QuorumSystem,
    Saved,
    ServerId,
    To,
    UnknownServer,
    Wake,
    WakeMe,
    majority,
    server,
)
from paxos.errors import assert_never
from paxos.server import Wakeup
from paxos_adapters.committing import Committer
from paxos_adapters.file import FileStore, StoreError
from paxos_adapters.host import DEFAULT_PACE, Pace, Stopped
from paxos_adapters.node.errors import (
    MAX_ASKED,
    TOO_LATE,
    BadName,
    Crowded,
    Insecure,
    NoAnswer,
    NodeClosed,
    OutcomeUnknown,
)
from paxos_adapters.node.links import Link
from paxos_adapters.node.status import Status, tolerance
from paxos_adapters.registers import RESERVED, Entry, Registers, Waiting
from paxos_adapters.udp import Address, Endpoint, Place, resolve
from paxos_adapters.wire import (
    Checked,
    Hostile,
    Opened,
    Protection,
    Reason,
    TooLarge,
    Wire,
    WireError,
)
from paxos_adapters.wire.bounds import MAX_NAME_BYTES, MAX_VALUE_BYTES

F = TypeVar("F")
V = TypeVar("V")
_logger = logging.getLogger(__name__)

WINDOW = 64
"""How many names a node has at work at a time: more would not fit into the buffers of sockets."""

PING_S = 1.0
RESOLVE_S, UNRESOLVED_S = 30.0, 1.0
"""How often names of peers are resolved anew: those that were found, and those that were not."""

MARKS_APART = 1_000
"""After how many saves of a peer what is known of its disk is saved anew."""

LOST_MEMORY = Reason.OTHER_DISK, Reason.OLDER_DISK


@define
class _Asked(Generic[V]):
    """Who waits for the answer to one name."""

    proposals: list[tuple[V, asyncio.Future[Done[V]]]]
    readers: list[asyncio.Future[server.Report[V]]]

    def futures(self) -> list[asyncio.Future[Done[V]] | asyncio.Future[server.Report[V]]]:
        """All that somebody waits for."""
        return [*(it for _, it in self.proposals), *self.readers]


class Node(Generic[V]):
    """One server. Belongs to the event loop that it is entered on."""

    def __init__(
        self,
        file: FileStore[V],
        addresses: Mapping[ServerId, Address],
        *,
        protection: Protection | None = None,
        insecure: bool = False,
        quorum: QuorumSystem | None = None,
        pace: Pace = DEFAULT_PACE,
        random: Random | None = None,
    ) -> None:
        """The server whose memory ``file`` is; ``addresses`` are those of all members.

        Without ``protection`` a checksum finds accidents and nothing else: only for loopback
        addresses, or if ``insecure``. Raises Insecure; UnknownServer if the file's server, or
        another member, has no address.
        """
        self.me = file.identity.server
        self.file = file
        self._quorum = majority(addresses) if quorum is None else quorum
        for member in {self.me, *self._quorum.members} - addresses.keys():
            raise UnknownServer(member, addresses.keys())
        if protection is None and not insecure and not all(map(_is_loopback, addresses.values())):
            raise Insecure(addresses)
        self._wire = Wire(
            cluster=file.identity.cluster,
            me=self.me,
            members=self._quorum.members,
            codec=file.codec,
            protection=protection or Checked(),
            presence=lambda: file.presence,
            known=file.peers,
        )
        self._address = addresses[self.me]
        self._links = {
            it: Link(at, list[tuple[str, Message[V]]]())
            for it, at in addresses.items()
            if it != self.me
        }
        self._members = tuple(sorted(self._quorum.members))
        self._pace = pace
        self._random = Random() if random is None else random
        self._registers = Registers(self.me, self._quorum, load=file.load, perform=self._perform)
        self._asked: dict[str, _Asked[V]] = {}
        self._own: deque[tuple[str, server.Event[V]]] = deque()
        self._reports: deque[tuple[str, server.Report[V]]] = deque()
        self._refused: Counter[Reason] = Counter()
        self._at_work: set[str] = set()
        self._later: deque[str] = deque()
        self._is_saving = False
        self._pings = 0
        self._stopped: Stopped | None = None

    # --- life -----------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Listen. Raises AddressError, and Failed if nothing can be saved."""
        self._loop = asyncio.get_running_loop()
        self._committer = Committer[Entry[V], server.Record[V]](self.file.save)
        try:
            self._registers.reserved(await self._committer.save([self._registers.block()]))
            self._endpoint = await Endpoint.bind(
                self._address, receive=self._receive, drained=self._turn
            )
        except BaseException:
            self._committer.close()
            raise
        await self._resolve()
        chores = self._resolve_again(), self._ping_again()
        self._chores = [self._loop.create_task(it) for it in chores]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go, as ``close`` does."""
        await self.close()

    async def close(self) -> None:
        """Save what is under way, and let go. Who still waits gets no answer."""
        self._stop(Stopped(self.me, NodeClosed()))
        for chore in self._chores:
            chore.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._loop.run_in_executor(None, self._committer.close)
        with suppress(StoreError):  # A file that has failed, or is closed, says so to who uses it.
            for peer, link in self._links.items():
                if link.presence is not None:
                    self.file.remember(peer, link.presence)

    @property
    def place(self) -> Place:
        """Where it listens, as the system says it."""
        return self._endpoint.place

    def _stop(self, stopped: Stopped) -> None:
        if self._stopped is None:
            self._stopped = stopped
            if not isinstance(stopped.cause, NodeClosed):
                _logger.critical("%s", stopped)
            self._endpoint.close()
            for asked in self._asked.values():
                for future in asked.futures():
                    if not future.done():
                        future.set_exception(stopped)
            self._asked.clear()

    # --- what programs ask ----------------------------------------------------------------------

    async def propose(self, name: str, value: V, *, timeout_s: float | None = None) -> V:
        """Get a value chosen for ``name``: ``value``, unless another one is or may be already.

        Returns what is chosen. Raises OutcomeUnknown after ``timeout_s``, or if the node stops
        before there is an answer; BadName, TooLarge and Crowded with nothing begun, and Stopped.
        Cancelled, it goes on in the background.
        """
        encoded = self.file.codec.encode(value)
        if len(encoded) > MAX_VALUE_BYTES:
            raise TooLarge(f"the value for {name!r}", len(encoded), MAX_VALUE_BYTES)
        asked = self._asked_for(name)
        future: asyncio.Future[Done[V]] = self._loop.create_future()
        asked.proposals.append((value, future))
        return (await self._answer(name, future, timeout_s, OutcomeUnknown)).value

    async def read(self, name: str, *, timeout_s: float | None = None) -> V | None:
        """What is chosen for ``name``; None if nothing was when it was asked.

        Raises NoAnswer after ``timeout_s`` or if the node stops; BadName, Crowded and Stopped.
        """
        asked = self._asked_for(name)
        future: asyncio.Future[server.Report[V]] = self._loop.create_future()
        asked.readers.append(future)
        report = await self._answer(name, future, timeout_s, NoAnswer)
        return report.value if type(report) is Done else None

    async def watch(self, name: str, *, timeout_s: float | None = None) -> V:
        """What is chosen for ``name``, as soon as something is: asks now and then until it is.

        Raises as ``read`` does.
        """
        attempt = 0
        try:
            async with asyncio.timeout(timeout_s):
                while (value := await self.read(name)) is None:
                    wish = WakeMe[Wakeup](Wake(NO_BALLOT), attempt)
                    await asyncio.sleep(self._pace.delay_s(wish, self._random))
                    attempt += 1
                return value
        except NoAnswer:
            raise
        except TimeoutError:
            raise NoAnswer(name, TOO_LATE) from None

    def status(self) -> Status:
        """How it is now."""
        now_s = self._loop.time()
        peers = {it: link.peer(now_s) for it, link in sorted(self._links.items())}
        up = frozenset(it for it, peer in peers.items() if peer.is_up) | {self.me}
        return Status(
            self.me,
            peers,
            tolerance(self._quorum, up),
            self.file.mark,
            len(self._registers),
            len(self._asked),
            {reason.name.lower(): times for reason, times in self._refused.items()},
            dict(self._endpoint.counts),
        )

    def _asked_for(self, name: str) -> _Asked[V]:
        if self._stopped is not None:
            raise self._stopped
        if not _is_name(name):
            raise BadName(name)
        if name not in self._asked and len(self._asked) >= MAX_ASKED:
            raise Crowded
        return self._asked.setdefault(name, _Asked([], []))

    async def _answer(
        self,
        name: str,
        future: asyncio.Future[F],
        timeout_s: float | None,
        late: type[NoAnswer] | type[OutcomeUnknown],
    ) -> F:
        self._begin(name)
        self._turn()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise late(name, TOO_LATE) from None
        except Stopped as stopped:
            raise late(name, str(stopped)) from stopped

    def _begin(self, name: str) -> None:
        """Have a register that is not at work begin with what was asked first, or wait its turn."""
        asked = self._asked.get(name)
        if asked is None or self._is_at_work(name):
            return
        if name not in self._at_work and len(self._at_work) >= WINDOW:
            self._later.append(name)
            return
        values = [value for value, future in asked.proposals if not future.done()]
        if values:
            self._at_work.add(name)
            self._step(name, Propose(values[0]))
        elif any(not future.done() for future in asked.readers):
            self._at_work.add(name)
            self._step(name, Inquire())
        else:
            del self._asked[name]

    def _is_at_work(self, name: str) -> bool:
        """Whether there is nothing to begin with: it was begun, or the node has to stop."""
        try:
            return self._registers.of(name).is_at_work
        except StoreError as error:
            self._stop(Stopped(self.me, error))
            return True

    def _answered(self, name: str, report: server.Report[V]) -> None:
        self._at_work.discard(name)
        asked = self._asked.get(name)
        if asked is None:
            return
        readers, asked.readers = asked.readers, []
        for reader in readers:
            if not reader.done():
                reader.set_result(report)
        if type(report) is Done:
            del self._asked[name]
            for _, proposer in asked.proposals:
                if not proposer.done():
                    proposer.set_result(report)
        elif type(report) is NothingChosen:
            self._begin(name)
        else:
            assert_never(report)

    # --- a turn ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        """Step through what has come, send what is free, and save what waits."""
        while (self._own or self._reports or self._has_room()) and self._stopped is None:
            while self._own:
                self._step(*self._own.popleft())
            while self._reports:
                self._answered(*self._reports.popleft())
            while self._has_room():
                self._begin(self._later.popleft())
        if self._stopped is None:
            self._send()
            self._save()

    def _has_room(self) -> bool:
        return bool(self._later) and len(self._at_work) < WINDOW

    def _step(self, name: str, event: server.Event[V]) -> None:
        if self._stopped is not None:
            return
        try:
            self._registers.receive(name, event)
        except (InvariantError, StoreError) as error:
            self._stop(Stopped(self.me, error))

    def _perform(self, name: str, effect: server.Effect[V]) -> None:
        if type(effect) is To:
            self._post(effect.receiver, name, effect.message)
        elif type(effect) is Broadcast:
            for member in self._members:
                self._post(member, name, effect.message)
        elif type(effect) is WakeMe:
            delay_s = self._pace.delay_s(effect, self._random)
            self._loop.call_later(delay_s, self._wake, name, effect.wake)
        elif type(effect) is Done or type(effect) is NothingChosen:
            self._reports.append((name, effect))
        else:
            assert_never(effect)

    def _wake(self, name: str, wake: Wakeup) -> None:
        if name in self._registers:
            self._step(name, wake)
            self._turn()

    def _post(self, receiver: ServerId, name: str, message: Message[V]) -> None:
        if receiver == self.me:
            self._own.append((name, From(self.me, message)))
        else:
            self._links[receiver].outbox.append((name, message))

    def _send(self) -> None:
        for receiver, link in self._links.items():
            if link.outbox:
                messages, link.outbox = link.outbox, []
                if link.place is None:
                    self._endpoint.counts["no address"] += 1
                    continue
                try:
                    datagrams = self._wire.seal(receiver, messages)
                except WireError as error:
                    _logger.warning("messages to server %s are lost: %s", receiver, error)
                    self._endpoint.counts[type(error).__name__] += 1
                    continue
                for datagram in datagrams:
                    self._endpoint.send(datagram, link.place)

    def _save(self) -> None:
        """Save all that waits at once, unless a save is under way: it comes after that one."""
        if self._is_saving:
            return
        waiting = self._registers.take()
        if waiting:
            self._is_saving = True
            saving = self._committer.submit(self._registers.entries(waiting))
            saving.add_done_callback(
                lambda saved: self._loop.call_soon_threadsafe(self._saved, waiting, saved)
            )

    def _saved(
        self, waiting: Sequence[Waiting[V]], saving: Future[Saved[server.Record[V]]]
    ) -> None:
        self._is_saving = False
        error = saving.exception()
        if error is not None:
            self._stop(Stopped(self.me, error))
        elif self._stopped is None:
            self._registers.saved(waiting, saving.result())
            self._turn()

    # --- peers ----------------------------------------------------------------------------------

    def _receive(self, datagram: bytes, place: Place) -> None:
        if self._stopped is not None:
            return
        link = None
        try:
            link = self._links.get(self._wire.claimed_sender(datagram))
            if link is None or not link.is_at(place):
                raise Hostile(Reason.WRONG_ADDRESS)
            opened = self._wire.open(datagram)
        except Hostile as hostile:
            self._refuse(link, hostile.reason)
            return
        self._note(link, opened)
        for name, message in opened.messages:
            if name == RESERVED:
                self._pinged(link, message)
            else:
                self._own.append((name, From(opened.sender, message)))

    def _refuse(self, link: Link[V] | None, reason: Reason) -> None:
        """Count it. That a peer has lost its memory is news for whoever runs it."""
        self._refused[reason] += 1
        if link is not None and reason in LOST_MEMORY and link.refused is not reason:
            link.refused = reason
            _logger.error(
                "the server at %s:%s is not heard: %s. If it may be, see paxos readmit",
                *link.address,
                reason.value,
            )

    def _note(self, link: Link[V], opened: Opened[V]) -> None:
        """Remember that a peer was heard, and now and then, for good, how its disk is."""
        link.heard_at_s, link.refused = self._loop.time(), None
        now, before = opened.presence, link.remembered
        link.presence = now
        if before is None or now.life != before.life or now.mark >= before.mark + MARKS_APART:
            link.remembered = now
            self.file.remember(opened.sender, now)

    def _pinged(self, link: Link[V], message: Message[V]) -> None:
        """A register without a name is asked for nothing but whether somebody is there."""
        if type(message) is Prepare:
            link.outbox.append((RESERVED, Promise(message.ballot, None)))
        elif type(message) is Promise and message.ballot == Ballot(self._pings, self.me):
            link.trip_s = self._loop.time() - link.asked_at_s

    async def _ping_again(self) -> None:
        while True:
            self._pings += 1
            for link in self._links.values():
                link.asked_at_s = self._loop.time()
                link.outbox.append((RESERVED, Prepare(Ballot(self._pings, self.me))))
            self._turn()
            await asyncio.sleep(PING_S)

    async def _resolve_again(self) -> None:
        while True:
            is_lost = any(link.place is None for link in self._links.values())
            await asyncio.sleep(UNRESOLVED_S if is_lost else RESOLVE_S)
            await self._resolve()

    async def _resolve(self) -> None:
        for peer, link in self._links.items():
            try:
                link.place = await resolve(link.address, self._endpoint.family)
            except OSError as error:
                _logger.warning("server %s is not to be found at %s: %s", peer, link.address, error)


def _is_name(name: str) -> bool:
    try:
        return 1 <= len(name.encode()) <= MAX_NAME_BYTES
    except UnicodeEncodeError:
        return False


def _is_loopback(address: Address) -> bool:
    host, _ = address
    try:
        return bool(ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return host == "localhost"
