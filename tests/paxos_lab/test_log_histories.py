"""Random histories of a log, drawn and shrunk by hypothesis, and held against the checker.

- Any message once sent may arrive, at any later time and as often as hypothesis likes.
- Saves end one by one; a server may crash with some of its waiting steps durable.
- Any server may be asked to lead, to propose, to read or to change the members, at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run

from paxos import From, InvariantError, ServerId, UsageError, majority
from paxos.log import (
    CampaignTimer,
    Change,
    Command,
    HeartbeatTimer,
    Lead,
    Message,
    Propose,
    Read,
    Rules,
    invariants,
    replica,
)
from paxos.log.events import Effect, Event
from paxos.log.memory import Record
from paxos_adapters.driving import Driver
from paxos_adapters.log import Log, LogDriver, LogReceive, log
from paxos_adapters.ports import Place
from paxos_lab.checker import Checker
from paxos_lab.machines.log import LogChecker, claims
from tests.paxos_lab.test_simulate_log import answers_before_the_save, takes_back_promises
from tests.support import S1, S2, S3, S4, THREE

RULES = Rules(window=2, piece=1)
SERVERS = S1, S2, S3, S4
"""S4 is a newcomer, which a change may make a member."""

MOST = 40
"""How many messages arrive in one step of a history."""

QUORUMS = [majority(it) for it in ((S1, S2, S3), (S2, S3, S4), SERVERS)]
Servers = st.sampled_from(SERVERS)
Waits = st.sampled_from([False, False, True])
"""Whether steps wait for their saves."""


class LogHistory(RuleBasedStateMachine):
    """Replicas on drivers, all that they ever sent, and a checker that observes them."""

    def __init__(self, receive: LogReceive[str] = replica.receive) -> None:
        super().__init__()
        self.machine: Log[str] = log(RULES, receive)
        self.checker: LogChecker = Checker(claims(RULES.window))
        self.sent: list[tuple[ServerId, From[Message[str]]]] = []
        self.arrived = 0
        self.count = 0
        self.drivers = {me: self.started(me) for me in SERVERS}

    def started(self, me: ServerId, disk: tuple[Record[str], ...] = ()) -> LogDriver[str]:
        return Driver(self.machine, Place(me), THREE, disk, self.checker)

    def take(self, me: ServerId, event: Event[str], *, waits: bool = False) -> None:
        with suppress(UsageError, InvariantError):  # It is refused; or the checker is told.
            self.carry_out(me, self.drivers[me].take(event))
        if not waits:
            self.carry_out(me, self.drivers[me].save())

    def carry_out(self, me: ServerId, effects: Iterable[Effect[str]]) -> None:
        process = self.drivers[me].process
        leaving = self.machine.sort(process, effects)
        messages = [*leaving.messages]
        for report in leaving.reports:
            fetched = self.machine.fetch(process.disk, report) or ()
            messages += [(it.receiver, it.message) for it in fetched]
        self.sent += [(to, From(me, it)) for to, it in messages if to in SERVERS]

    @rule(losses=st.sets(st.integers(0, MOST), max_size=9), waits=Waits)
    def what_is_new_arrives(self, losses: set[int], waits: bool) -> None:
        """All that was sent last, and what is sent on account of it, but for ``losses``."""
        for number in range(MOST):
            if self.arrived == len(self.sent):
                return
            receiver, message = self.sent[self.arrived]
            self.arrived += 1
            if number not in losses:
                self.take(receiver, message, waits=waits)

    @precondition(lambda self: self.sent)
    @rule(place=st.integers(0, 1_000))
    def a_late_message_arrives(self, place: int) -> None:
        receiver, message = self.sent[place % len(self.sent)]
        self.take(receiver, message)

    @rule(me=Servers, waits=Waits)
    def it_is_asked_to_lead(self, me: ServerId, waits: bool) -> None:
        self.take(me, Lead(), waits=waits)

    @rule(me=Servers)
    def it_is_asked_to_propose(self, me: ServerId) -> None:
        self.count += 1
        self.take(me, Propose(Command(f"{self.count}")))

    @rule(me=Servers)
    def it_is_asked_to_read(self, me: ServerId) -> None:
        self.count += 1
        self.take(me, Read(self.count))

    @rule(me=Servers, number=st.integers(0, len(QUORUMS) - 1))
    def it_is_asked_to_change_the_members(self, me: ServerId, number: int) -> None:
        self.take(me, Propose(Change(QUORUMS[number])))

    @rule(me=Servers, campaigns=st.booleans())
    def its_timer_fires(self, me: ServerId, campaigns: bool) -> None:
        beat = self.drivers[me].process.state.election.beat
        self.take(me, CampaignTimer(beat) if campaigns else HeartbeatTimer(beat))

    @rule(me=Servers, count=st.integers(1, 3))
    def its_save_ends(self, me: ServerId, count: int) -> None:
        self.carry_out(me, self.drivers[me].save(count))

    @rule(me=Servers, durable=st.integers(0, 2))
    def it_crashes(self, me: ServerId, durable: int) -> None:
        disk = self.drivers[me].stop("crashes", durable)
        self.drivers[me] = self.started(me, disk)

    @invariant()
    def no_rule_is_broken(self) -> None:
        assert self.checker.broken is None
        for driver in self.drivers.values():
            memory = driver.process.state.memory
            invariants.window_holds(memory, RULES.window)
            invariants.promise_covers_accepted(memory)


TestLogHistory = LogHistory.TestCase
TestLogHistory.settings = settings(stateful_step_count=60)


def broken(receive: LogReceive[str]) -> type[LogHistory]:
    class Broken(LogHistory):
        def __init__(self) -> None:
            super().__init__(receive)

    return Broken


class NothingIsChosen(LogHistory):
    """Claims what is wrong, to see that histories come to a choice under two ballots."""

    @invariant()
    def nothing_is_chosen_twice(self) -> None:
        assert all(len(it.chosen) < 2 for it in self.checker.slots.values())


FOUND = settings(
    max_examples=1_000,
    stateful_step_count=60,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)


@pytest.mark.parametrize(
    "history",
    [broken(answers_before_the_save), broken(takes_back_promises), NothingIsChosen],
    ids=["answers before the save", "takes back promises", "chosen twice"],
)
def test_what_is_wrong_is_found(history: type[LogHistory]) -> None:
    with pytest.raises(AssertionError):
        run(history, settings=FOUND)
