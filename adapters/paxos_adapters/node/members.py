"""The members of a running cluster: ``node.members``.

    await node.members.add(ServerId(4), ("10.0.0.4", 47100))
    await node.members.replace(ServerId(3), ServerId(5), ("10.0.0.5", 47100))

- The members are the state of a log of its own, of all servers: ``replication/membership.py``. How
  this server takes part in it is in ``participant.py``.
- A change goes on by itself. A caller that leaves, or a time-out, does not take it back. To ask for
  the same change again is to wait for its end.
- A server that is removed stops, once no log needs it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

from attrs import evolve, frozen

from paxos import PaxosError, ServerId
from paxos.log import replica
from paxos_adapters import arguments
from paxos_adapters.host import ServerStopped
from paxos_adapters.limits import MAX_SERVER, MEMBERS_LOG
from paxos_adapters.node.epochs import MembersLog
from paxos_adapters.node.logs import Logs
from paxos_adapters.node.members_errors import (
    ChangeUnfinished,
    NotAllStarted,
    error_of,
)
from paxos_adapters.node.participant import MembersHost, Participant
from paxos_adapters.replication import membership
from paxos_adapters.replication.following import untaught
from paxos_adapters.replication.membership import (
    Begun,
    Change,
    Member,
    Membership,
    Move,
    Noted,
    OtherEpoch,
    Registered,
    Result,
)
from paxos_adapters.requests.errors import TOO_LATE, NoAnswer
from paxos_adapters.udp.addresses import Address
from paxos_adapters.udp.errors import Removed

LEAST_S = 1e-3
"""A time to wait that is over is so long: one of 0 would be refused."""

_NOBODY: Final = frozenset[ServerId]()


@frozen
class LogChange:
    """A log that a change waits for. ``held``: the first slot that each newcomer lacks.

    All slots below ``first`` are known to be chosen here. ``held`` is empty once the newcomers have
    been taught, and for a log that does not run here.
    """

    name: str
    first: int
    held: Mapping[ServerId, int]


@frozen
class MembersStatus:
    """The members, as this server knows them, and where they are; None: it has not heard.

    ``former`` were removed. ``leaving`` are those of them that a log may still need, and
    ``waiting`` the logs that the change to ``epoch`` waits for: none, if none is in progress. Named
    decisions are waited for as DECISIONS. The first change waits for the ``absent``, unless it
    removes them. The ``adopting`` are members that lack what was settled for named decisions; it is
    kept for them.
    """

    epoch: int
    addresses: Mapping[ServerId, Address | None]
    former: frozenset[ServerId] = _NOBODY
    leaving: frozenset[ServerId] = _NOBODY
    waiting: tuple[LogChange, ...] = ()
    absent: frozenset[ServerId] = _NOBODY
    adopting: frozenset[ServerId] = _NOBODY

    @property
    def is_changing(self) -> bool:
        """Whether a change is in progress."""
        return bool(self.waiting)


class _Wait:
    """A time to wait at most. ``left_s``: how much of it is left; None: there is no limit."""

    def __init__(self, timeout_s: float | None) -> None:
        self._clock = asyncio.get_running_loop().time
        self._end_s = None if timeout_s is None else self._clock() + timeout_s

    @property
    def left_s(self) -> float | None:
        return None if self._end_s is None else max(self._end_s - self._clock(), LEAST_S)

    @property
    def is_over(self) -> bool:
        return self._end_s is not None and self._clock() >= self._end_s


class Members:
    """The members, on one node, for programs."""

    def __init__(
        self,
        host: MembersHost,
        logs: Logs,
        participant: Participant,
        addresses: Mapping[ServerId, Address],
        check_address: Callable[[ServerId, Address], None],
    ) -> None:
        """``addresses`` are those of the configuration, before any change.

        ``check_address`` raises for one that no server can have: see ``ports.Links``.
        """
        self._host, self._logs, self._participant = host, logs, participant
        self._addresses = dict(addresses)
        self._check_address = check_address

    @property
    def is_in_use(self) -> bool:
        """Whether this server knows of the log of members."""
        return self._participant.is_in_use

    # --- what programs ask ------------------------------------------------------------------------

    async def add(
        self, server: ServerId, address: Address, *, timeout_s: float | None = None
    ) -> MembersStatus:
        """Let ``server``, which has never been a member, be one; wait until it is.

        Start it beforehand, or now: it is taught before it counts. Raises as ``change``.
        """
        return await self.change(add={server: address}, timeout_s=timeout_s)

    async def remove(self, *servers: ServerId, timeout_s: float | None = None) -> MembersStatus:
        """Let these be members no more; wait until no log needs them. Raises as ``change``."""
        return await self.change(remove=servers, timeout_s=timeout_s)

    async def replace(
        self, old: ServerId, new: ServerId, address: Address, *, timeout_s: float | None = None
    ) -> MembersStatus:
        """Let ``new`` be a member in the place of ``old``; wait until it is.

        Raises as ``change``.
        """
        return await self.change(add={new: address}, remove=[old], timeout_s=timeout_s)

    async def change(
        self,
        *,
        add: Mapping[ServerId, Address] | None = None,
        remove: Iterable[ServerId] = (),
        timeout_s: float | None = None,
    ) -> MembersStatus:
        """Add and remove servers in one change; wait until it is finished.

        With nothing begun it raises MembershipChanging, NotAllStarted, IdUsed, NotAMember,
        AddressTaken, BadMemberCount, BadNumber, BadAddress, Insecure for an address beyond
        loopback if this server has no key, NotStarted, ServerStopped, TooManyRequests, and NoAnswer
        if no quorum answers. CommandUnknown: it is not known whether the change has begun.
        ChangeUnfinished: it has, and ``timeout_s`` are over.
        """
        wait = _Wait(self._check(timeout_s))
        newcomers = tuple(self._member(it, at) for it, at in sorted((add or {}).items()))
        change = Change(0, newcomers, frozenset(map(_id, remove)))
        log = await self._begin(wait)
        try:
            return await self._finished(await self._begun(log, change, wait), change, wait)
        except ServerStopped as stopped:
            if isinstance(stopped.cause, Removed) and self._host.me in change.remove:
                return evolve(self.status(), leaving=_NOBODY, waiting=())
            raise

    async def move(
        self, server: ServerId, address: Address, *, timeout_s: float | None = None
    ) -> MembersStatus:
        """Let all others find ``server`` at another address.

        Raises NotAMember, AddressTaken, and as ``change`` does before it has begun; CommandUnknown.
        """
        wait = _Wait(self._check(timeout_s))
        moved = self._member(server, address)
        assert moved.address is not None
        log = await self._begin(wait)
        result = await log.submit(Move(moved.server, moved.address), timeout_s=wait.left_s)
        if type(result) is not Noted:
            raise self._error(result)
        return self.status()

    def status(self) -> MembersStatus:
        """The members, as this server knows them. Never raises."""
        state = self._participant.state
        waiting = tuple(self._log_change(state, it) for it in membership.unfinished(state))
        return MembersStatus(
            state.epoch,
            {it.server: it.address or self._addresses.get(it.server) for it in state.members},
            state.former,
            frozenset(it.server for it in state.leaving),
            waiting,
            membership.absent(state) if self.is_in_use else _NOBODY,
            membership.adopting(state),
        )

    async def changed(self) -> None:
        """Wait until the status may be another one: at most the time of a heartbeat."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._participant.news.wait()

    def _member(self, server: ServerId, address: Address) -> Member:
        self._check_address(server, address)
        return Member(_id(server), address)

    def _check(self, timeout_s: float | None) -> float | None:
        self._host.check_usable()
        return None if timeout_s is None else arguments.timeout(timeout_s)

    def _log_change(self, state: Membership, name: str) -> LogChange:
        running, wanted = self._logs.running.get(name), membership.wanted(state, name)
        if running is None or wanted is None:
            return LogChange(name, 0, {})
        log = running.state
        last, held = log.memory.configurations[-1].quorum, replica.progress(log)
        missing = untaught(log, last, wanted) if last in wanted.before else _NOBODY
        return LogChange(name, log.memory.first, {it: held.get(it, 1) for it in sorted(missing)})

    # --- a change ---------------------------------------------------------------------------------

    async def _begun(self, log: MembersLog, change: Change, wait: _Wait) -> int:
        """The epoch that ``change`` has begun, now or before."""
        while True:
            try:
                state = await log.read(_itself, timeout_s=wait.left_s)
            except NoAnswer as error:
                self._host.check_usable()
                raise _waits_for(log.state, change) or error from None
            if _is_made(state, change):
                return state.epoch
            if missing := membership.absent(state, change.remove):
                if wait.is_over:
                    raise NotAllStarted(missing)
                await self._host.pause()
                continue
            result = await log.submit(evolve(change, epoch=state.epoch), timeout_s=wait.left_s)
            if type(result) is Begun:
                return result.epoch
            if type(result) is not OtherEpoch:
                raise self._error(result)

    async def _finished(self, epoch: int, change: Change, wait: _Wait) -> MembersStatus:
        while True:
            news, state = self._participant.news, self._participant.state
            if state.epoch >= epoch and not membership.is_pending(state, change):
                return self.status()
            self._host.check_usable()
            try:
                async with asyncio.timeout(wait.left_s):
                    await news.wait()
            except TimeoutError:
                raise ChangeUnfinished(epoch, membership.unfinished(state)) from None

    def _error(self, result: Result) -> PaxosError:
        assert not isinstance(result, Noted | Registered | Begun)
        return error_of(self._participant.state, result)

    async def _begin(self, wait: _Wait) -> MembersLog:
        try:
            async with asyncio.timeout(wait.left_s):
                return await self._participant.begin()
        except TimeoutError:
            raise NoAnswer(MEMBERS_LOG, TOO_LATE) from None


def _waits_for(state: Membership, change: Change) -> PaxosError | None:
    """What ``change`` waits for, as far as this server knows; None: only for an answer."""
    if _is_made(state, change) and membership.is_pending(state, change):
        return ChangeUnfinished(state.epoch, membership.unfinished(state))
    missing = membership.absent(state, change.remove)
    return NotAllStarted(missing) if missing else None


def _is_made(state: Membership, change: Change) -> bool:
    """Whether the members are already as ``change`` wants them, and it has made them so."""
    members = {it.server: it.address for it in state.members}
    has_added = all(members.get(it.server) == it.address for it in change.add)
    return has_added and change.remove <= state.former and bool(change.add or change.remove)


def _itself(state: Membership) -> Membership:
    return state


def _id(server: int) -> ServerId:
    return ServerId(arguments.whole("the id of a server", server, 1, MAX_SERVER))
