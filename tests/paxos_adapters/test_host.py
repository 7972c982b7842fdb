"""The laws at the shell: saved before sent, one save for a batch, and a failed save is final."""

from __future__ import annotations

import logging
from math import inf
from random import Random
from typing import TypeAlias

import pytest
from attrs import evolve, frozen

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Busy,
    Chosen,
    Done,
    From,
    Heartbeat,
    HeartbeatTimer,
    Inquire,
    MaxRound,
    Message,
    Nack,
    NothingChosen,
    NotSaved,
    Prepare,
    Promise,
    Proposal,
    Propose,
    RetryTimer,
    Saved,
    ServerId,
    SetTimer,
    To,
    UnknownServer,
    server,
)
from paxos.invariants import AgreementBroken
from paxos.server import ServerTimer
from paxos_adapters import host as host_module
from paxos_adapters.arguments import BadNumber
from paxos_adapters.host import Host, ServerStopped
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.ports import Ports
from paxos_adapters.single import Single, SingleHost, single
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, InvalidTimeouts, Timeouts, delay_range, drawn
from tests.support import NON_MEMBER, S1, S2, S3, THREE, ballot

Record: TypeAlias = server.Record[str]
MACHINE: Single[str] = single()


@frozen
class Save:
    """A save that has returned."""

    records: tuple[Record, ...]


@frozen
class Send:
    """A message that has left."""

    receiver: ServerId
    message: Message[str]


@frozen
class Later:
    """A wake-up that was asked for."""

    wake: ServerTimer
    delay_s: float


class World:
    """A store, a transport and a timer that note what they were asked, in order."""

    def __init__(self, *records: Record) -> None:
        self.kept: dict[type[Record], Record] = {type(record): record for record in records}
        self.calls: list[Save | Send | Later] = []
        self.saves_begun = 0
        self.failure: BaseException | None = None
        self.unreachable: set[ServerId] = set()
        self.lie: Saved[Record] | None = None

    def load(self) -> Saved[Record]:
        return Saved(tuple(self.kept.values()))

    def save(self, records: tuple[Record, ...]) -> Saved[Record]:
        self.saves_begun += 1
        if self.failure is not None:
            raise self.failure
        self.kept.update({type(record): record for record in records})
        self.calls.append(Save(records))
        return Saved(records) if self.lie is None else self.lie

    def send(self, receiver: ServerId, message: Message[str]) -> None:
        if receiver in self.unreachable:
            raise OSError("network unreachable")
        self.calls.append(Send(receiver, message))

    def set_timer(self, timer: ServerTimer, delay_s: float) -> None:
        self.calls.append(Later(timer, delay_s))

    @property
    def saves(self) -> list[Save]:
        return [call for call in self.calls if isinstance(call, Save)]

    @property
    def sent(self) -> list[Send]:
        return [call for call in self.calls if isinstance(call, Send)]

    @property
    def delays_s(self) -> list[float]:
        return [call.delay_s for call in self.calls if isinstance(call, Later)]


def run_in(
    world: World,
    *,
    me: ServerId = S1,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    seed: int | None = 0,
) -> SingleHost[str]:
    """Server 1 of three, if not said."""
    random = None if seed is None else Random(seed)
    ports = Ports(world, world, world)
    return Host(single(), me, THREE, ports, timeouts=timeouts, random=random)


class TestSavedBeforeSent:
    """Law 2."""

    def test_a_promise_leaves_after_its_save(self) -> None:
        world = World()
        run_in(world).receive(From(S2, Prepare(ballot("1.2"))))
        assert world.calls == [
            Save((Acceptor(ballot("1.2")),)),
            Send(S2, Promise(ballot("1.2"), None)),
        ]

    def test_an_acceptance_leaves_after_its_save(self) -> None:
        world = World()
        run_in(world).receive(From(S2, Accept(ballot("1.2"), "red")))
        assert world.calls == [
            Save((Acceptor(ballot("1.2"), Proposal(ballot("1.2"), "red")),)),
            Send(S2, Accepted(ballot("1.2"), "red")),
        ]

    @pytest.mark.parametrize("request_", [Propose("red"), Inquire()])
    def test_a_round_is_saved_before_its_first_prepare(
        self, request_: Propose[str] | Inquire
    ) -> None:
        world = World()
        run_in(world).receive(request_)
        first, *others = world.calls
        assert first == Save((MaxRound(1),))
        assert [call for call in others if isinstance(call, Send)] == [
            Send(member, Prepare(ballot("1.1"))) for member in (S1, S2, S3)
        ]

    def test_a_refusal_needs_no_save(self) -> None:
        world = World(Acceptor[str](ballot("5.3")))
        run_in(world).receive(From(S2, Prepare(ballot("1.2"))))
        assert world.calls == [Send(S2, Nack(ballot("1.2"), ballot("5.3")))]

    def test_one_save_for_a_batch(self) -> None:
        world = World()
        run_in(world).receive(
            From(S2, Prepare(ballot("1.2"))),
            From(S3, Prepare(ballot("1.3"))),
            From(S2, Prepare(ballot("1.2"))),
            Propose("red"),
        )
        assert world.calls[:4] == [
            Save((Acceptor(ballot("1.2")), Acceptor(ballot("1.3")), MaxRound(2))),
            Send(S2, Nack(ballot("1.2"), ballot("1.3"))),
            Send(S2, Promise(ballot("1.2"), None)),
            Send(S3, Promise(ballot("1.3"), None)),
        ]
        assert world.saves_begun == 1

    def test_no_event_is_no_step(self) -> None:
        world = World()
        assert run_in(world).receive() == ()
        assert world.calls == []


class TestSavedOnce:
    """A record that is durable already is not saved again, and what waited for it still leaves."""

    def test_a_repeated_prepare_is_answered_without_a_second_save(self) -> None:
        world = World()
        host = run_in(world)
        for _ in range(3):
            host.receive(From(S2, Prepare(ballot("1.2"))))
        assert world.calls == [
            Save((Acceptor(ballot("1.2")),)),
            *[Send(S2, Promise(ballot("1.2"), None))] * 3,
        ]

    def test_a_repeated_accept_is_answered_without_a_second_save(self) -> None:
        world = World()
        host = run_in(world)
        for _ in range(2):
            host.receive(From(S2, Accept(ballot("1.2"), "red")))
        assert world.saves_begun == 1
        assert world.sent == [Send(S2, Accepted(ballot("1.2"), "red"))] * 2

    def test_what_a_restart_has_loaded_is_not_saved_again(self) -> None:
        world = World(Acceptor[str](ballot("1.2")))
        run_in(world).receive(From(S2, Prepare(ballot("1.2"))))
        assert world.calls == [Send(S2, Promise(ballot("1.2"), None))]

    def test_a_batch_saves_only_what_is_new(self) -> None:
        world = World()
        host = run_in(world)
        host.receive(From(S2, Prepare(ballot("1.2"))))
        host.receive(From(S2, Prepare(ballot("1.2"))), From(S3, Prepare(ballot("1.3"))))
        assert world.calls[2:] == [
            Save((Acceptor(ballot("1.3")),)),
            Send(S2, Promise(ballot("1.2"), None)),
            Send(S3, Promise(ballot("1.3"), None)),
        ]

    def test_a_save_of_another_type_in_between_changes_nothing(self) -> None:
        world = World()
        host = run_in(world)
        host.receive(From(S2, Prepare(ballot("1.2"))))
        host.receive(Propose("red"))
        host.receive(From(S2, Prepare(ballot("1.2"))))
        assert world.saves == [Save((Acceptor(ballot("1.2")),)), Save((MaxRound(2),))]


class TestStops:
    """Law 3: a host that cannot save stops, and one that finds the protocol broken does too."""

    @pytest.mark.parametrize("failure", [OSError(28, "disk full"), RuntimeError("no idea")])
    def test_a_failed_save_is_final(self, failure: Exception) -> None:
        world = World(Acceptor[str](ballot("1.3")))
        host = run_in(world)
        before = host.state
        world.failure = failure
        with pytest.raises(ServerStopped) as stopped:
            host.receive(From(S3, Prepare(ballot("1.2"))), From(S2, Prepare(ballot("2.2"))))
        assert stopped.value.cause is failure
        assert f"has stopped for good ({type(failure).__name__}: {failure})" in str(stopped.value)
        assert world.saves_begun == 1
        assert world.calls == []
        assert host.state is before

    def test_an_interruption_of_a_save_is_final_too(self) -> None:
        world = World()
        host = run_in(world)
        world.failure = SystemExit()
        with pytest.raises(SystemExit):
            host.receive(From(S2, Prepare(ballot("2.2"))))
        with pytest.raises(ServerStopped, match="SystemExit"):
            host.receive(From(S2, Prepare(ballot("2.2"))))
        assert (world.saves_begun, world.calls) == (1, [])

    def test_a_stopped_host_does_nothing_ever_again(self) -> None:
        world = World()
        host = run_in(world)
        before = host.state
        world.failure = OSError("disk full")
        with pytest.raises(ServerStopped) as first:
            host.receive(From(S2, Prepare(ballot("1.2"))))
        world.failure = None
        for event in (
            From(S2, Prepare(ballot("1.2"))),
            From(S2, Chosen(ballot("1.2"), "red")),
            Propose("red"),
            Inquire(),
            RetryTimer(ballot("1.1")),
            HeartbeatTimer(1),
        ):
            with pytest.raises(ServerStopped) as again:
                host.receive(event)
            assert again.value.cause is first.value.cause
        assert world.saves_begun == 1
        assert world.calls == []
        assert host.state is before

    def test_a_receipt_for_another_record_stops_the_host(self) -> None:
        world = World()
        host = run_in(world)
        before = host.state
        world.lie = Saved((MaxRound(1),))
        with pytest.raises(ServerStopped) as stopped:
            host.receive(From(S2, Prepare(ballot("1.2"))))
        assert isinstance(stopped.value.cause, NotSaved)
        assert world.sent == []
        assert host.state is before

    def test_a_receipt_for_part_of_a_batch_lets_nothing_leave(self) -> None:
        world = World(Acceptor[str](ballot("1.2")))
        host = run_in(world)
        world.lie = Saved(())
        with pytest.raises(ServerStopped):
            host.receive(From(S2, Prepare(ballot("1.2"))), Propose("red"))
        assert world.sent == []
        assert world.delays_s == []

    def test_an_equal_record_is_not_the_record_saved(self) -> None:
        world = World()
        host = run_in(world)
        world.lie = Saved((Acceptor[str](ballot("1.2")),))
        with pytest.raises(ServerStopped):
            host.receive(From(S2, Prepare(ballot("1.2"))))
        assert world.sent == []

    def test_a_broken_protocol_stops_the_host_before_anything_is_saved(self) -> None:
        world = World()
        host = run_in(world)
        before = host.state
        with pytest.raises(ServerStopped) as stopped:
            host.receive(
                From(S2, Prepare(ballot("3.2"))),
                From(S2, Chosen(ballot("1.2"), "red")),
                From(S3, Chosen(ballot("2.3"), "blue")),
            )
        assert isinstance(stopped.value.cause, AgreementBroken)
        assert world.saves_begun == 0
        assert world.calls == []
        assert host.state is before
        with pytest.raises(ServerStopped):
            host.receive(From(S2, Prepare(ballot("3.2"))))

    def test_another_host_goes_on_from_what_the_store_holds(self) -> None:
        world = World(Acceptor[str](ballot("5.3")))
        world.failure = OSError("disk full")
        with pytest.raises(ServerStopped):
            run_in(world).receive(From(S2, Prepare(ballot("6.2"))))
        world.failure = None
        run_in(world).receive(From(S2, Prepare(ballot("4.2"))))
        assert world.calls == [Send(S2, Nack(ballot("4.2"), ballot("5.3")))]


class TestBusy:
    """Law 5: misuse raises at once and leaves everything as it was."""

    @pytest.mark.parametrize("request_", [Propose("blue"), Inquire()])
    def test_busy_leaves_all_as_it_was(self, request_: Propose[str] | Inquire) -> None:
        world = World()
        host = run_in(world)
        host.receive(Propose("red"))
        before, calls = host.state, list(world.calls)
        with pytest.raises(Busy):
            host.receive(From(S2, Prepare(ballot("9.2"))), request_)
        assert host.state is before
        assert world.calls == calls

    def test_the_host_goes_on_after_busy(self) -> None:
        world = World()
        host = run_in(world)
        host.receive(Propose("red"))
        with pytest.raises(Busy):
            host.receive(Propose("blue"))
        assert decide(host) == (Done(ballot("1.1"), "red", own=True),)

    def test_only_a_member_can_be_run(self) -> None:
        world = World()
        with pytest.raises(UnknownServer):
            run_in(world, me=NON_MEMBER)
        assert world.calls == []


class TestCarriesOut:
    """What the core wants done is done, in its order."""

    def test_an_answer_goes_to_who_asked_and_to_nobody_else(self) -> None:
        world = World()
        run_in(world).receive(From(S3, Prepare(ballot("1.3"))))
        assert world.sent == [Send(S3, Promise(ballot("1.3"), None))]

    def test_a_broadcast_goes_to_all_and_to_itself(self) -> None:
        world = World()
        host = run_in(world)
        host.receive(Propose("red"))
        decide(host)
        assert world.sent == [
            *(Send(member, Prepare(ballot("1.1"))) for member in (S1, S2, S3)),
            *(Send(member, Accept(ballot("1.1"), "red")) for member in (S1, S2, S3)),
            *(Send(member, Chosen(ballot("1.1"), "red")) for member in (S1, S2, S3)),
        ]

    def test_a_peer_that_is_down_does_not_flood_the_log(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A thousand messages to it, of hosts of their own: one line."""
        monkeypatch.setattr(host_module, "_log", LimitedLog(logging.getLogger("test")))
        for _ in range(1_000):
            world = World()
            world.unreachable = {S2}
            run_in(world).receive(Propose("red"))
        assert len(caplog.messages) == 1

    def test_a_send_that_fails_is_a_lost_message(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(host_module, "_log", LimitedLog(logging.getLogger("test")))
        world = World()
        world.unreachable = {S2}
        host = run_in(world)
        host.receive(Propose("red"))
        assert [call.receiver for call in world.sent] == [S1, S3]
        assert [it.exc_info for it in caplog.records] == [None]
        assert len(world.delays_s) == 2, "the wake-up and the heartbeat are asked for all the same"
        assert caplog.messages == [
            "a message to server 2 is lost, a Prepare (OSError: network unreachable). More are "
            "counted"
        ]
        assert host.receive(From(S2, Chosen(ballot("1.2"), "red"))) != ()

    def test_wake_ups_reach_the_timer(self) -> None:
        world = World()
        timeouts = Timeouts(retry_min_s=1.0, retry_max_s=10.0, heartbeat_s=0.25)
        run_in(world, timeouts=timeouts).receive(Propose("red"))
        wake, beat = (call for call in world.calls if isinstance(call, Later))
        assert wake.wake == RetryTimer(ballot("1.1"))
        assert 1.0 <= wake.delay_s <= 2.0
        assert beat == Later(HeartbeatTimer(1), 0.25)

    def test_a_decision_is_reported(self) -> None:
        host = run_in(World())
        assert host.receive(Propose("red")) == ()
        assert decide(host) == (Done(ballot("1.1"), "red", own=True),)
        assert host.receive(Inquire()) == (Done(ballot("1.1"), "red", own=False),)

    def test_an_inquiry_that_finds_nothing_is_reported(self) -> None:
        host = run_in(World())
        host.receive(Inquire())
        promises = (From(member, Promise[str](ballot("1.1"), None)) for member in (S2, S3))
        assert host.receive(*promises) == (NothingChosen(ballot("1.1")),)

    def test_reports_of_a_batch_come_in_order(self) -> None:
        host = run_in(World())
        reports = host.receive(From(S2, Chosen(ballot("1.2"), "red")), Propose("blue"))
        assert reports == (Done(ballot("1.2"), "red", own=False),) * 2


class TestRestart:
    """A new host on the old store is the same server."""

    def test_promise_and_accepted_value_survive(self) -> None:
        world = World()
        run_in(world).receive(From(S2, Accept(ballot("3.2"), "red")))
        again = World(*world.kept.values())
        run_in(again).receive(From(S3, Prepare(ballot("2.3"))), From(S3, Prepare(ballot("4.3"))))
        assert again.sent == [
            Send(S3, Nack(ballot("2.3"), ballot("3.2"))),
            Send(S3, Promise(ballot("4.3"), Proposal(ballot("3.2"), "red"))),
        ]

    def test_no_round_is_used_twice(self) -> None:
        world = World()
        run_in(world).receive(Propose("red"))
        again = World(*world.kept.values())
        run_in(again).receive(Propose("blue"))
        assert world.sent[0] == Send(S1, Prepare(ballot("1.1")))
        assert again.sent[0] == Send(S1, Prepare(ballot("2.1")))

    def test_a_new_store_makes_a_new_server(self) -> None:
        assert run_in(World()).state == server.start(S1, THREE)


class Extreme(Random):
    """A source of chance that always draws one end of a range: 0.0 the lower, 1.0 the upper."""

    def __init__(self, end: float) -> None:
        super().__init__(0)
        self.end = end

    def random(self) -> float:
        return self.end


class TestPace:
    """Law 7: a wish to be woken becomes a range of delays, and chance draws in it."""

    @pytest.mark.parametrize(
        ("retry_min_s", "retry_max_s", "heartbeat_s"),
        [(0.0, 5.0, 0.1), (-1.0, 5.0, 0.1), (2.0, 1.0, 0.1), (1.0, 2.0, 0.0), (1.0, inf, 1.0)],
    )
    def test_a_pace_without_room_is_refused(
        self, retry_min_s: float, retry_max_s: float, heartbeat_s: float
    ) -> None:
        with pytest.raises((InvalidTimeouts, BadNumber), match="_s"):
            Timeouts(retry_min_s, retry_max_s, heartbeat_s)

    def test_delays_lie_in_the_range_of_their_attempt(self) -> None:
        timeouts = Timeouts(retry_min_s=0.05, retry_max_s=5.0)
        random = Random(0)
        for attempt in range(101):
            upper_s = min(5.0, 0.05 * 2 ** (attempt + 1))
            for _ in range(50):
                delay_s = drawn(delay_range(retry(attempt), timeouts), random)
                assert 0.05 <= delay_s <= upper_s, f"attempt {attempt}"

    def test_the_range_doubles_up_to_the_longest(self) -> None:
        timeouts = Timeouts(retry_min_s=1.0, retry_max_s=20.0)
        lower_s = [delay_range(retry(attempt), timeouts)[0] for attempt in range(101)]
        upper_s = [delay_range(retry(attempt), timeouts)[1] for attempt in range(101)]
        assert lower_s == [1.0] * 101
        assert upper_s == [2.0, 4.0, 8.0, 16.0, *[20.0] * 97]

    def test_a_heartbeat_comes_at_a_fixed_distance(self) -> None:
        timeouts = Timeouts(heartbeat_s=0.25)
        delays_s = {
            drawn(delay_range(SetTimer(HeartbeatTimer(1), attempt), timeouts), Random(attempt))
            for attempt in range(50)
        }
        assert delays_s == {0.25}

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_a_seed_repeats_the_delays(self, seed: int) -> None:
        assert delays_s(seed) == delays_s(seed)
        assert delays_s(seed) != delays_s(seed + 1)

    def test_without_a_seed_two_hosts_draw_apart(self) -> None:
        assert delays_s(None) != delays_s(None)


class TestMachine:
    """What a machine asks of its host beside its steps."""

    def test_its_first_timers_fire_at_once(self) -> None:
        world, machine = World(), MACHINE
        machine = evolve(machine, first=(HeartbeatTimer(1), HeartbeatTimer(2)))
        Host(machine, S1, THREE, Ports(world, world, world))
        assert world.calls == [Later(HeartbeatTimer(1), 0.0), Later(HeartbeatTimer(2), 0.0)]

    def test_what_a_report_asks_of_the_disk_is_sent_and_not_reported(self) -> None:
        disks: list[tuple[Record, ...]] = []

        def fetch(
            disk: tuple[Record, ...], report: server.Report[str]
        ) -> tuple[To[Message[str]], ...] | None:
            disks.append(disk)
            return (To(S2, Heartbeat()),) if isinstance(report, Done) else None

        world = World()
        host = Host(evolve(MACHINE, fetch=fetch), S1, THREE, Ports(world, world, world))
        host.receive(Propose("red"))
        assert decide(host) == ()
        assert world.sent[-1] == Send(S2, Heartbeat())
        assert disks == [(MaxRound(1),)]

    def test_other_reports_are_for_the_program(self) -> None:
        host = run_in(World())
        host.receive(Propose("red"))
        assert decide(host) == (Done(ballot("1.1"), "red", own=True),)


def decide(host: SingleHost[str]) -> tuple[server.Report[str], ...]:
    """Let server 2 and 3 agree to ballot 1.1 for "red"; what the host reports then."""
    host.receive(*(From(member, Promise[str](ballot("1.1"), None)) for member in (S2, S3)))
    return host.receive(*(From(member, Accepted(ballot("1.1"), "red")) for member in (S2, S3)))


def retry(attempt: int) -> SetTimer[ServerTimer]:
    """The wish of a proposer at its ``attempt``."""
    return SetTimer(RetryTimer(ballot("1.1")), attempt)


def delays_s(seed: int | None) -> list[float]:
    """The delays of a proposer that nobody answers."""
    world = World()
    host = run_in(world, seed=seed)
    host.receive(Propose("red"))
    for _ in range(10):
        host.receive(RetryTimer(ballot("1.1")))
    return world.delays_s
