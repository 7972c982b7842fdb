"""One server in the log of members: it takes part, and does what follows from it.

- The log begins with the first change, or with the first message about it, and then never ends.
- A founder says which logs it has, once the log of members is in its file: so it knows of it after
  a crash, too. From then on it begins no other log before that is registered.
- What is applied of it decides which links there are, and what each log is to follow. Whichever
  server leads a log says when that is done.
- Named decisions follow, too: see ``epochs.py``.
- The log goes on without a server that leaves, while other logs still need it: that asks the peers
  that know more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Protocol

from paxos import QuorumSystem, ServerId
from paxos.log.memory import FIRST_SLOT
from paxos_adapters.guard import Guard
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.node import epochs
from paxos_adapters.node.epochs import EpochsHost, MembersLog
from paxos_adapters.node.logs import Logs, Running
from paxos_adapters.replication import membership
from paxos_adapters.replication.following import have_been_taught
from paxos_adapters.replication.membership import Done, Membership, Register, Started
from paxos_adapters.requests.errors import CommandUnknown, TooManyRequests
from paxos_adapters.udp.addresses import Address


class MembersHost(EpochsHost, Protocol):
    """The node, as far as its members need it."""

    guard: Guard

    def log_of_members(self) -> AbstractAsyncContextManager[MembersLog]:
        """Take part in it, until left."""
        ...

    @property
    def advertised(self) -> Address:
        """Where the others find this server."""
        ...

    def link(self, state: Membership) -> None:
        """Link this server to those that ``state`` names. Raises Removed if it is none of them."""
        ...

    def check_usable(self) -> None:
        """Raise NotStarted, ServerStopped or Forked, if so."""
        ...

    @property
    def teachers(self) -> frozenset[ServerId]:
        """The peers that know more of the members."""
        ...

    def ask_for_members(self, peers: frozenset[ServerId], first: int) -> None:
        """Ask ``peers`` for what is chosen in the log of members, from the slot ``first`` on."""
        ...


class Participant:
    """One server in the log of members. ``is_in_use``: it knows of it.

    ``news`` is set once the state, or whether it takes part, is another one: then there is a new
    ``news``.
    """

    def __init__(
        self, host: MembersHost, logs: Logs, addresses: Mapping[ServerId, Address]
    ) -> None:
        """``addresses`` are those of the configuration, before any change."""
        self._host, self._logs = host, logs
        self._addresses = dict(addresses)
        self.is_in_use = False
        self.news = asyncio.Event()
        self._entered: set[str] = set()
        self._log: MembersLog | None = None
        self._seen: Membership | None = None
        self._reported: set[tuple[str, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def state(self) -> Membership:
        """The members, as this server has applied them."""
        if self._log is not None:
            return self._log.state
        return membership.founded(self._host.file.quorum) if self._seen is None else self._seen

    async def begin(self) -> MembersLog:
        """The log, once this server takes part. Raises ServerStopped."""
        self.use()
        while self._log is None:
            await self._next()
        return self._log

    def use(self) -> None:
        """From now on this server takes part in the log of members."""
        if not self.is_in_use:
            self.is_in_use = True
            self._spawn(self._take_part)

    async def recover(self) -> None:
        """Take part in it at once if the file has it, or if this server is to join."""
        self._spawn(self._ask)
        file = self._host.file
        if not file.has_log(MEMBERS_LOG) and self._host.me in file.quorum.members:
            return
        await self.begin()

    async def founding_quorum(self, name: str) -> QuorumSystem:
        """What governs the first slots of the log ``name``, which this server is about to enter."""
        if not self.is_in_use or name == MEMBERS_LOG:
            self._entered.add(name)
            return self._host.file.quorum
        log = await self.begin()
        while (known := membership.known(log.state, name)) is None:
            try:
                await log.submit(Register(name))
            except TooManyRequests:
                await self._host.pause()
        return known.founded

    def on_entered(self, log: Running) -> None:
        """``log`` runs from now on."""
        log.on_followed = self._on_followed
        self._let_follow(log, self.state)

    def on_left(self, name: str) -> None:
        """The log ``name`` runs here no more."""
        self._entered.discard(name)

    def look(self) -> None:
        """Do what follows from what is applied, if that is new: called with each turn."""
        if self._log is None or self._log.state is self._seen:
            return
        state = self._seen = self._log.state
        self._host.link(state)
        for log in self._logs.running.values():
            self._let_follow(log, state)
        self.ask_for_logs()
        self._tell()

    def ask_for_logs(self) -> None:
        """The logs that are known and do not run here are missing."""
        for it in self.state.logs:
            if it.name not in self._logs and it.name != MEMBERS_LOG:
                self._logs.on_missing(it.name)

    def end(self) -> None:
        """The node has stopped."""
        for task in self._tasks:
            task.cancel()
        self._tell()

    async def wait_ended(self) -> None:
        """Wait until nothing of it runs any more."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take_part(self) -> None:
        async with self._host.log_of_members() as log:
            self._log = log
            self.look()
            self._tell()
            taught = self._have_been_taught
            self._spawn(partial(epochs.follow, self._host, log, self._next, taught))
            if self._host.me in self._host.file.quorum.members:
                await self._list_logs(log)
            await asyncio.Event().wait()

    async def _ask(self) -> None:
        """Ask the peers that know more, as long as there are any.

        The log of members goes on without a server that leaves, while other logs still need it:
        then no leader tells it anything.
        """
        while True:
            await self._host.pause()
            if teachers := self._host.teachers:
                self.use()
                first = FIRST_SLOT if self._log is None else self._log.status().applied
                self._host.ask_for_members(teachers, first)

    async def _list_logs(self, log: MembersLog) -> None:
        """Say once which logs this founder has."""
        me, file = self._host.me, self._host.file
        while not file.has_log(MEMBERS_LOG):
            await self._host.pause()
        address = self._host.advertised
        while log.state.epoch == membership.FOUNDING_EPOCH and me not in log.state.started:
            names = {*self._entered, *file.logs()} - {MEMBERS_LOG}
            with suppress(CommandUnknown, TooManyRequests):
                await log.submit(Started(me, address, tuple(sorted(names))))
            await self._host.pause()

    def _let_follow(self, log: Running, state: Membership) -> None:
        configured = self._addresses.keys() - state.former  # All that it knows may be gone.
        name = log.place.name
        wanted = membership.wanted(state, name) if membership.may_follow(state, name) else None
        log.follow(membership.ids(state) | configured, wanted)

    def _have_been_taught(self) -> bool:
        """Whether this server leads the log of members, and knows that newcomers hold it."""
        log = self._logs.running.get(MEMBERS_LOG)
        return log is not None and have_been_taught(log.state, membership.ids(self.state))

    def _on_followed(self, name: str, epoch: int) -> None:
        if (name, epoch) not in self._reported:
            self._reported.add((name, epoch))
            self._spawn(partial(self._report, name, epoch))

    async def _report(self, name: str, epoch: int) -> None:
        """Say that the log is done; with a later heartbeat again, unless it was heard."""
        log = await self.begin()
        with suppress(CommandUnknown, TooManyRequests):
            await log.submit(Done(epoch, name))
        self._reported.discard((name, epoch))

    # --- tasks ------------------------------------------------------------------------------------

    def _spawn(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        task = self._host.guard.task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _tell(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()

    async def _next(self) -> None:
        await self.news.wait()
        self._host.check_usable()
