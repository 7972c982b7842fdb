"""What one server does so that its named decisions follow the members: one durable step at a time.

- *Begin* once the newcomers have been taught: the leader of the log of members says so.
- *Close* the epoch that is over, before all else: nothing is saved for it any more.
- *Report* to the log of members what is accepted here, in commands of a bounded size.
- *Adopt* what was settled, once a phase-1 quorum has reported. Only then does it vote again.
- Say that it has *adopted*.
- A member that was late adopts also while the next change waits for its newcomers: it votes then.
- Each step follows from what is applied and from the file alone. A server that was killed takes the
  same step again. One whose file is ahead of what it has applied waits until it has caught up.
- Requests of programs wait from the first step to the third, and then begin anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Final, Protocol, TypeAlias, final

from attrs import frozen

from paxos import Proposal, QuorumSystem, ServerId
from paxos.errors import assert_never
from paxos_adapters.file import epochs
from paxos_adapters.file.rows import Epoch
from paxos_adapters.node.ports import NodeFile
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.replication import settling
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.replication.membership import Command, Membership, Result
from paxos_adapters.replication.report_codec import ROW_BYTES
from paxos_adapters.replication.settling import (
    Accepted,
    Adopted,
    Held,
    HeldAll,
    HeldPart,
    Report,
    Settling,
    Taught,
)
from paxos_adapters.requests.errors import CommandUnknown, TooManyRequests

MembersLog: TypeAlias = ReplicatedLog[Membership, Command, Result]

AT_ONCE: Final = 500
"""How many decisions are read from the file at a time."""

REPORT_BYTES, PART_BYTES = 59_000, 9_000
"""A report has so many bytes at most, and a part of a large value so many: JSON may take six for
one of them. Either fits in an entry."""


@final
@frozen
class Begin:
    """Say that the newcomers to the members of the epoch of ``number`` have been taught."""

    number: int


@final
@frozen
class Close:
    """Close the epochs up to ``number``."""

    number: int


@final
@frozen
class Reporting:
    """Say what is accepted in the epoch of ``number``; nothing, if it ``is_empty`` here."""

    number: int
    is_empty: bool


@final
@frozen
class Adopt:
    """Begin the epoch of ``number``, with what was settled."""

    number: int
    quorum: QuorumSystem
    settled: PersistentMap[Proposal[bytes]]


@final
@frozen
class Tell:
    """Say that the epoch of ``number`` was adopted."""

    number: int


Step: TypeAlias = Begin | Close | Reporting | Adopt | Tell


def next_step(state: Membership, epoch: Epoch, me: ServerId, is_taught: bool) -> Step | None:
    """What ``me``, whose file is in ``epoch``, does next; None: it waits.

    ``state`` is what it has applied. ``is_taught``: it leads the log of members, and the newcomers
    have been taught.
    """
    decisions, over = state.decisions, state.epoch - 1
    if _waits_for_newcomers(state):
        return Begin(state.epoch) if is_taught else _adoption(decisions, epoch, me)
    if epochs.closed(epoch, over) != epoch:
        return Close(over)
    if not settling.is_open(decisions, state.epoch):
        is_asked = me in decisions.quorum.members and me not in decisions.reported
        if is_asked and epoch.number <= decisions.epoch:
            return Reporting(decisions.epoch, epoch.number < decisions.epoch)
        return None
    has_adopted = epoch == Epoch(decisions.epoch, decisions.quorum)
    if has_adopted and me in decisions.quorum.members - decisions.adopted:
        return Tell(decisions.epoch)
    return _adoption(decisions, epoch, me)


def _adoption(decisions: Settling, epoch: Epoch, me: ServerId) -> Close | Adopt | None:
    """What a member that lacks what was settled for its epoch does."""
    number = decisions.epoch
    if me not in decisions.quorum.members or epoch.number >= number or _is_ahead(epoch, number):
        return None
    if epochs.closed(epoch, number - 1) != epoch:
        return Close(number - 1)
    return Adopt(number, decisions.quorum, decisions.proposals)


def _waits_for_newcomers(state: Membership) -> bool:
    """Whether the epoch of decisions goes on though the next one of the members has begun."""
    return not (settling.is_open(state.decisions, state.epoch) or state.decisions.is_over)


def _is_ahead(epoch: Epoch, number: int) -> bool:
    """Whether a file in ``epoch`` is beyond that of ``number``: it knows of a later change."""
    return epoch.number > number or (epoch.closed is not None and epoch.closed >= number)


def reports(
    file: NodeFile, me: ServerId, step: Reporting, current: Callable[[], Settling]
) -> Iterator[Report]:
    """The commands of ``step``, each to be chosen before the next. ``current``: what is applied.

    What is known already is left out. It ends early if the decisions were settled without it.
    """
    last = ""
    while not step.is_empty and (page := file.accepted(last, AT_ONCE)):
        state, last = current(), page[-1][0]
        if state.epoch != step.number:
            return
        found = [(name, it) for name, it in page if it is not None]
        news = [(name, it) for name, it in found if settling.is_news(state, name, it)]
        yield from _held(step.number, me, news)
    yield HeldAll(step.number, me)


def _held(number: int, me: ServerId, accepted: Iterable[Accepted]) -> Iterator[Report]:
    batch, size_bytes = list[Accepted](), 0
    for name, proposal in accepted:
        own_bytes = len(name.encode()) + len(proposal.value) + ROW_BYTES
        if own_bytes > REPORT_BYTES:
            yield from _parts(number, me, name, proposal)
            continue
        if size_bytes + own_bytes > REPORT_BYTES:
            yield Held(number, me, tuple(batch))
            batch, size_bytes = [], 0
        batch.append((name, proposal))
        size_bytes += own_bytes
    if batch:
        yield Held(number, me, tuple(batch))


def _parts(number: int, me: ServerId, name: str, proposal: Proposal[bytes]) -> Iterator[HeldPart]:
    value = proposal.value
    for offset in range(0, len(value), PART_BYTES):
        end = offset + PART_BYTES
        part = Proposal(proposal.ballot, value[offset:end])
        yield HeldPart(number, me, name, part, offset, is_last=end >= len(value))


class EpochsHost(Protocol):
    """The node, as far as the epochs of its decisions need it."""

    me: ServerId
    file: NodeFile

    async def suspend_decisions(self) -> None:
        """Take nothing more for decisions, and wait until nothing is left to be saved."""
        ...

    def resume_decisions(self) -> None:
        """Begin anew with what the file has."""
        ...

    def is_log(self, name: str) -> bool:
        """Whether a log of this name runs here, or is in the file."""
        ...

    async def pause(self) -> None:
        """Wait for the time of a heartbeat."""
        ...


async def follow(
    host: EpochsHost,
    log: MembersLog,
    news: Callable[[], Awaitable[None]],
    is_taught: Callable[[], bool],
) -> None:
    """Take each step as it is due. ``news`` waits until more is applied. It never returns."""
    while True:
        step = next_step(log.state, host.file.epoch, host.me, is_taught())
        if step is None and _waits_for_newcomers(log.state):
            await host.pause()
            continue
        if step is None or (type(step) is Tell and lacks_some(log.state, host.is_log)):
            await news()
            continue
        try:
            await take(host, log, step)
        except (CommandUnknown, TooManyRequests):
            await host.pause()


def lacks_some(state: Membership, is_log: Callable[[str], bool]) -> bool:
    """Whether a name that was settled is a log here: it stays in the state of the members then."""
    settled = state.decisions.proposals
    return any(is_log(it.name) and settled.get(it.name) is not None for it in state.logs)


async def take(host: EpochsHost, log: MembersLog, step: Step) -> None:
    """Take ``step``, durably. Raises CommandUnknown, TooManyRequests, and as the file does."""
    file = host.file
    if type(step) is Begin:
        await log.submit(Taught(step.number))
    elif type(step) is Close:
        await host.suspend_decisions()
        await asyncio.to_thread(file.close_epoch, step.number)
    elif type(step) is Reporting:
        commands = reports(file, host.me, step, lambda: log.state.decisions)
        while (command := await asyncio.to_thread(next, commands, None)) is not None:
            await log.submit(command)
    elif type(step) is Adopt:
        await asyncio.to_thread(adopt, file, step, host.is_log)
        host.resume_decisions()
    elif type(step) is Tell:
        await log.submit(Adopted(step.number, host.me))
    else:
        assert_never(step)


def adopt(file: NodeFile, step: Adopt, is_log: Callable[[str], bool]) -> None:
    """Take ``step``, but for names that are logs here."""
    settled = {name: it for name, it in step.settled.scan() if not is_log(name)}
    file.adopt(step.number, step.quorum, settled)
