"""The log, simulated: every server is asked again and again, whether it leads or not.

- Most requests propose a command, so that several slots are in flight. One in four is a read, and
  one in sixty-four asks for the lead, although another server may have it.
- A server that does not lead refuses. All that believe to lead answer, which is what the checker
  has to see.
- With ``changes``, one in thirty-two makes other servers the members: any two of three, or three of
  five. ``newcomers`` are no founders: such a server runs from the start, and is a member once a
  change says so. Removed servers go on running, and may become members again.
- With ``snapshots``, the program takes one once the store keeps too many entries, which are dropped
  with it. A server that asks for a dropped entry is sent a snapshot instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import TypeAlias

from attrs import Factory, evolve, field, frozen

from paxos import QuorumSystem, ServerId, To, UsageError, majority
from paxos.log import (
    Change,
    Command,
    Committed,
    Delta,
    Fetch,
    Lead,
    NotLeading,
    Prefix,
    Propose,
    Read,
    Replica,
    Rules,
    SnapshotInstalled,
)
from paxos.log.events import LogTimer, Report, Request
from paxos.log.leader import Leading
from paxos.log.memory import Record, fold
from paxos.log.messages import Message
from paxos_adapters.log import Log, LogReceive, log
from paxos_lab.machines.log import LogClaims, claims
from paxos_lab.rules import SIMULATED_LOG_RULES
from paxos_lab.simulate.networks import Network, is_quorum_connected
from paxos_lab.simulate.setup import Act, Requests, Setup, SetupError, all_links

RULES_OF_RUNS = Rules(window=4, piece=2)
"""A small window and small pieces, so that each bound is met often."""

MOST_KEPT = 4
"""How many entries a store keeps at most before its program takes a snapshot."""

LOG_TICKS = 640
"""How long faults last."""

LogAct: TypeAlias = Act[Request[str], Message[str], LogTimer]
LogDisk: TypeAlias = tuple[Record[str], ...]


@frozen
class CommandsAndReads(Requests[Replica[str], Request[str], Report[str]]):
    """What every server is asked for, in turn."""

    members: tuple[ServerId, ...]
    changes: bool = False

    def request(
        self,
        place: int,
        session: int,
        count: int,
        report: Report[str] | None,
    ) -> Request[str]:
        """A command of its own for each server, start and count; or what stands in for it."""
        turn = count + 7 * place
        if turn % 64 == 63:
            return Lead()
        if self.changes and turn % 32 == 31:
            quorums = [*combinations(self.members, len(self.members) // 2 + 1)]
            return Propose(Change(majority(quorums[turn // 32 % len(quorums)])))
        if turn % 4 == 3:
            return Read(count)
        return self.request_after_faults(place, session, count, report)

    def request_after_faults(
        self,
        place: int,
        session: int,
        count: int,
        report: Report[str] | None,  # noqa: ARG002
    ) -> Request[str]:
        """A command: nothing else helps a log to go on."""
        return Propose(Command(f"{place}.{session}.{count}"))

    def must_answer(self, network: Network, quorum: QuorumSystem) -> frozenset[ServerId]:
        """All that reach a quorum."""
        return frozenset(it for it in network.servers if is_quorum_connected(network, quorum, it))

    def is_answer(self, request: Request[str], report: Report[str]) -> bool:
        """A command is answered once it is committed at the server of its client."""
        if type(request) is not Propose or type(report) is not Committed:
            return False
        return any(it.value == request.entry for it in report.proposals)

    def redirect(self, request: Request[str], refusal: UsageError) -> ServerId | None:
        """A command that is refused goes to the server that may lead."""
        if type(request) is not Propose or not isinstance(refusal, NotLeading):
            return None
        return refusal.leader

    def has_settled(self, states: Iterable[Replica[str]]) -> bool:
        """A server leads, nothing is in flight, and no server lags behind another."""
        every = list(states)
        leading = [it.role for it in every if type(it.role) is Leading]
        is_level = len({it.memory.first for it in every}) == 1
        return is_level and bool(leading) and not any(it.in_flight for it in leading)


def fold_with_snapshots(disk: tuple[Record[str], ...], record: Record[str]) -> LogDisk:
    """``fold``, and with the entry that is one too many the program takes a snapshot."""
    match fold(disk, record):
        case Prefix(proposals=kept) as prefix, Delta() as saved if len(kept) > MOST_KEPT:
            return fold((prefix, saved), evolve(saved, floor=saved.first))
        case folded:
            return folded


def snapshot(disk: LogDisk, report: Report[str]) -> To[Request[str]] | None:
    """What stands for the entries below the floor of ``disk``, if one of them is looked up."""
    match report, disk:
        case Fetch(receiver, slot), (Prefix(floor), Delta() as saved) if slot < floor:
            return To(receiver, SnapshotInstalled(saved.first, saved.configurations))
        case _:
            return None


def _machine(setup: LogSetup) -> Log[str]:
    machine = log(RULES_OF_RUNS, setup.receive)
    return evolve(machine, fold=fold_with_snapshots) if setup.snapshots else machine


def _founders(setup: LogSetup) -> QuorumSystem:
    founders = max(setup.servers - setup.newcomers, 1)
    return majority(map(ServerId, range(1, founders + 1)))


def _requests(setup: LogSetup) -> CommandsAndReads:
    return CommandsAndReads(setup.members, setup.changes)


@frozen(kw_only=True)
class LogSetup(Setup[Replica[str], Request[str], Message[str], LogTimer, Record[str], Report[str]]):
    """A log of ``servers``, or a variant of it with another ``receive``. Raises SetupError.

    The last ``newcomers`` of the servers are no founders.
    """

    servers: int = 3
    changes: bool = False
    newcomers: int = 0
    snapshots: bool = False
    receive: LogReceive[str] | None = None
    quorum: QuorumSystem = field(init=False, default=Factory(_founders, takes_self=True))
    network: Network = field(default=Factory(all_links, takes_self=True))
    machine: Log[str] = field(init=False, default=Factory(_machine, takes_self=True))
    requests: CommandsAndReads = field(default=Factory(_requests, takes_self=True))
    claims: LogClaims = field(init=False, default=claims(RULES_OF_RUNS.window))
    faulty_ticks: int = LOG_TICKS
    pace: int | None = 6
    rules: tuple[str, ...] = SIMULATED_LOG_RULES
    snapshot: Callable[[LogDisk, Report[str]], To[Request[str]] | None] = field(
        init=False, default=snapshot
    )

    @property
    def members(self) -> tuple[ServerId, ...]:
        """The founders and the newcomers, by their places."""
        return tuple(map(ServerId, range(1, self.servers + 1)))

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.newcomers < self.servers or (self.newcomers and not self.changes):
            raise SetupError(
                f"{self.newcomers} newcomers among {self.servers} servers: a log has a founder, "
                "and a newcomer needs changes to become a member."
            )
        if self.liveness and self.changes:
            raise SetupError(
                "liveness is not held against a log whose members change: a server that is removed "
                "need not be answered. Leave out one of them."
            )
        super().__attrs_post_init__()
