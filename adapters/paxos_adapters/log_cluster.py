"""A replicated state machine in memory: replicas, a virtual clock, and a client with a session.

    cluster = LogCluster(StateMachine(0, add), servers=5)
    cluster.submit(5)                        the result, once the command is chosen and applied
    cluster.read(lambda total: total)        linearizable, without an entry in the log

- A command goes to the leader. If another replica leads before it is answered, it goes there, too:
  its session sees to it that it is run once.
- Each replica applies what it reports as committed. After a restart it applies its log again.
- Each server has a program of its own, so that they can be upgraded one after the other. Once all
  have a later version of the state machine, it runs from the next command on.
- Timers fire in virtual time, so nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Generic, TypeVar

from paxos import Proposal, ServerId
from paxos.log import Command, Committed, Lead, Prefix, Propose, Read, Readable, replica
from paxos.log.events import LogTimer, Report, Request
from paxos.log.leader import Leading
from paxos.log.memory import Record
from paxos.log.messages import Entry, Message
from paxos.log.replica import DEFAULT_RULES, Replica, Rules
from paxos.log.sessions import Opened, OpenSession, Outcome, Result, SessionCommand
from paxos_adapters import arguments
from paxos_adapters.cannot_apply import LacksVersion
from paxos_adapters.log import Log, LogHost, LogObserver, log
from paxos_adapters.memory import MemoryCluster, majority_of
from paxos_adapters.ports import Store
from paxos_adapters.state_machine import (
    Applied,
    LogCommand,
    StateMachine,
    UseVersion,
    VersionMissing,
    applied,
    started,
)
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, Timeouts

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
X = TypeVar("X")

MAX_EVENTS = 100_000
"""How many events may pass before a command is answered, if not said otherwise."""


class LogCluster(
    MemoryCluster[
        Replica[LogCommand[C]],
        Request[LogCommand[C]],
        Message[LogCommand[C]],
        LogTimer,
        Record[LogCommand[C]],
        Report[LogCommand[C]],
    ],
    Generic[S, C, R],
):
    """Servers in one process that run the same commands in the same order.

    Methods that take a server raise UnknownServer for one that is not a member.

    >>> def add(total: int, number: int) -> tuple[int, int]:
    ...     return total + number, total + number
    >>> cluster = LogCluster(StateMachine(0, add), servers=5)
    >>> cluster.submit_many([1, 2, 3])
    [1, 3, 6]
    >>> cluster.crash(cluster.lead())
    >>> cluster.submit(4)
    10
    """

    def __init__(
        self,
        machine: StateMachine[S, C, R],
        servers: int = 3,
        *,
        rules: Rules = DEFAULT_RULES,
        stores: Callable[[ServerId], Store[Record[LogCommand[C]]]] | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        seed: int = 0,
        observer: LogObserver[LogCommand[C]] | None = None,
    ) -> None:
        """Servers 1 to ``servers`` under their majority.

        ``stores`` gives each of them its store, one in memory if not said. ``observer`` is told
        what happens. Raises QuorumError for less than one server, BadNumber, BadArgument.
        """
        arguments.one_of("machine", machine, StateMachine)
        quorum = majority_of(servers)
        self._programs = dict.fromkeys(quorum.members, machine)
        self._stopped: dict[ServerId, LacksVersion] = {}
        self._applied: dict[ServerId, Applied[S, R]] = {}
        self._session: int | None = None
        self._results: dict[int, R] = {}
        self._readable: dict[int, int | None] = {}
        self._numbers, self._reads = count(1), count(1)
        replicas: Log[LogCommand[C]] = log(rules)
        super().__init__(
            replicas,
            quorum,
            stores=stores,
            timeouts=timeouts,
            seed=seed,
            observer=observer,
        )

    @property
    def leader(self) -> ServerId | None:
        """The server that leads under the highest ballot; None, if none leads."""
        roles = ((me, self.state(me).role) for me in self.up)
        found = [(role.ballot, me) for me, role in roles if type(role) is Leading]
        return max(found)[1] if found else None

    @property
    def states(self) -> dict[ServerId, S]:
        """What each server that is up has applied; it may be old."""
        return {me: self._applied[me].state for me in self.up}

    @property
    def versions(self) -> dict[ServerId, int]:
        """The version of the state machine that runs on each server that is up."""
        return {me: self._applied[me].version for me in self.up}

    @property
    def stopped(self) -> Mapping[ServerId, LacksVersion]:
        """Why servers apply nothing more. They go on voting."""
        return self._stopped

    def upgrade(self, me: ServerId, machine: StateMachine[S, C, R]) -> None:
        """Start one server again with another program, after a crash if it is up.

        Once all servers have a later version of the state machine, the next command brings it into
        use. Raises BadArgument.
        """
        arguments.one_of("machine", machine, StateMachine)
        self._check_member(me)
        self._programs[me] = machine
        self.restart(me)

    def lead(self, me: ServerId | None = None, max_events: int = MAX_EVENTS) -> ServerId:
        """Let ``me`` take over the leadership, or wait for any leader; the server that leads then.

        Raises ServerDown; DidNotSettle after ``max_events``, BadNumber.
        """
        if me is not None:
            self.receive(me, Lead())
        self.run_until(lambda: self.leader is not None and me in (None, self.leader), max_events)
        assert self.leader is not None
        return self.leader

    def submit(self, command: C, max_events: int = MAX_EVENTS) -> R:
        """The result of ``command``, run exactly once. Raises as ``submit_many``."""
        (result,) = self.submit_many([command], max_events)
        return result

    def submit_many(self, commands: Iterable[C], max_events: int = MAX_EVENTS) -> list[R]:
        """The results of ``commands``, in order; many of them are on their way at once.

        Raises DidNotSettle after ``max_events``, for instance without a quorum: the commands may
        run later, once. BadNumber.
        """
        session = self._opened(max_events)
        self._results.clear()  # Of commands that were given up.
        numbered = [(next(self._numbers), command) for command in commands]
        done_below = numbered[0][0] if numbered else 1
        asked = [SessionCommand(session, it, done_below, command) for it, command in numbered]
        self._complete(asked, lambda: all(it in self._results for it, _ in numbered), max_events)
        return [self._results.pop(it) for it, _ in numbered]

    def read(self, query: Callable[[S], X], max_events: int = MAX_EVENTS) -> X:
        """What ``query`` finds in the state, as of now.

        Raises DidNotSettle, BadNumber and BadArgument; LacksVersion if the leader has stopped.
        """
        arguments.callable_("query", query, "a function of a state")
        me, first = self._asked(max_events)
        while first is None:  # The leadership has ended: the next leader is asked.
            me, first = self._asked(max_events)
        if me in self._stopped:
            raise self._stopped[me]
        return query(self._applied[me].state)

    def _asked(self, max_events: int) -> tuple[ServerId, int | None]:
        """What comes of one read at the leader; None if its leadership has ended."""
        leader, number = self.lead(max_events=max_events), next(self._reads)
        self.receive(leader, Read(number))
        self.run_until(lambda: number in self._readable, max_events)
        return leader, self._readable.pop(number)

    def reported(self, me: ServerId, report: Report[LogCommand[C]]) -> None:
        """Apply what is committed, and keep what answers the client.

        A host here saves after each event, so reports come in the order of the slots.
        """
        if type(report) is Readable:
            self._readable[report.number] = report.first
        elif type(report) is Committed:
            for proposal in report.proposals:
                outcome = self._apply(me, proposal)
                if type(outcome) is Opened and self._session is None:
                    self._session = outcome.session
                if type(outcome) is Result and type(proposal.value) is Command:
                    self._keep(proposal.value.value, outcome.result)

    def _apply(self, me: ServerId, proposal: Proposal[Entry[LogCommand[C]]]) -> Outcome[R] | None:
        """One slot more on ``me``, unless it has stopped, and what came of its command."""
        before, program = self._applied[me], self._programs[me]
        if me in self._stopped:
            return None
        try:
            self._applied[me], outcome = applied(program, before, proposal)
        except VersionMissing as missing:
            stopped = LacksVersion("log", before.slot, missing.version, program.versions)
            self._stopped[me] = stopped
            return None
        return outcome

    def _keep(self, command: LogCommand[C], result: R) -> None:
        if type(command) is SessionCommand:
            self._results.setdefault(command.number, result)

    def _opened(self, max_events: int) -> int:
        if self._session is None:
            self._complete([OpenSession()], lambda: self._session is not None, max_events)
        assert self._session is not None
        return self._session

    def _complete(
        self,
        commands: Sequence[LogCommand[C]],
        is_answered: Callable[[], bool],
        max_events: int,
    ) -> None:
        """Propose ``commands`` to each new leader in turn, as far as it has room.

        Those that it has found in its promises are left out. Otherwise each leader that crashes
        would leave one more slot to the next one, which has to propose all of them first.
        """
        ballot, missing = None, list[Command[LogCommand[C]]]()

        def propose() -> bool:
            nonlocal ballot, missing
            me = self.leader
            if me is not None and not is_answered():
                role = self.state(me).role
                assert type(role) is Leading
                if role.ballot != ballot:
                    ballot, found = role.ballot, [it.entry for it in role.in_flight]
                    due = [*self._version_due(), *commands]
                    missing = [it for it in map(Command, reversed(due)) if it not in found]
                while missing and replica.room(self.state(me)):
                    self.receive(me, Propose(missing.pop()))
            return is_answered()

        self.run_until(propose, max_events)

    def _version_due(self) -> list[LogCommand[C]]:
        """The highest version that all servers have, unless it runs somewhere already."""
        highest = min(it.version for it in self._programs.values())
        is_of_all = all(highest in it.versions for it in self._programs.values())
        is_later = highest > max(it.version for it in self._applied.values())
        return [UseVersion(highest)] if is_of_all and is_later else []

    def _start(self, me: ServerId) -> LogHost[LogCommand[C]]:
        self._stopped.pop(me, None)
        self._applied[me] = started(self._programs[me])
        for record in self._stores[me].load().records:
            for proposal in record.proposals if type(record) is Prefix else ():
                self._apply(me, proposal)
        return super()._start(me)
