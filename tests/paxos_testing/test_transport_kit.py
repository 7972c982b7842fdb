"""The kit for transports: honest ones pass it, and it catches each lie, by the test for it."""

from __future__ import annotations

import asyncio
import re
import socket
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from random import Random
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from attrs import frozen

from examples.tcp_transport import TcpTransport
from paxos import Heartbeat, Message, ServerId, UnknownServer, majority
from paxos_adapters.file import FileStore
from paxos_adapters.memory import MemoryTransport, Network
from paxos_adapters.node import DatagramTransport, NetworkConfig
from paxos_adapters.wire import TooLarge
from paxos_adapters.wire.body import encode_batch, encode_message
from paxos_testing import Deliver, TransportKit, traffic, transports
from tests.paxos_testing.faulty_transports import KITS
from tests.support.free_ports import free_addresses
from tests.support.kits import every_test_of, failures, run_pytest

ROOT = Path(__file__).parents[2]
IDS = [ServerId(number) for number in (1, 2, 3)]
VALUES = "red", "", "\0'é\n", "x" * 5000

# --- honest ones --------------------------------------------------------------------------------


class TestMemory(TransportKit[str]):
    """The network in memory, and a loop that is as plain as can be."""

    values: Sequence[str] = VALUES

    def setup_method(self) -> None:
        self.network = Network[Message[str]]()
        self.deliver: dict[ServerId, Deliver[str]] = {}

    @contextmanager
    def running(
        self, me: ServerId, deliver: Deliver[str]
    ) -> Generator[MemoryTransport[Message[str]]]:
        self.deliver[me] = deliver
        yield MemoryTransport(me, self.network)
        del self.deliver[me]

    def until(self, holds: Callable[[], bool], at_most_s: float) -> None:  # noqa: ARG002
        while not holds() and self.network.queue:
            sender, receiver, message = self.network.queue.popleft()
            if receiver in self.deliver:
                self.deliver[receiver](sender, message)


class TestBadNetwork(TestMemory):
    """The same, where a third is lost, a third comes twice, and nothing comes in order."""

    chance = Random(20131017)

    def until(self, holds: Callable[[], bool], at_most_s: float) -> None:
        chosen = [it for it in self.network.queue for _ in range(self.chance.choice((0, 1, 2)))]
        self.chance.shuffle(chosen)
        self.network.queue = deque(chosen)
        super().until(holds, at_most_s)


@frozen
class Letterbox:
    """A transport that delivers from a thread of each server."""

    me: ServerId
    boxes: dict[ServerId, SimpleQueue[tuple[ServerId, Message[str]] | None]]

    def send(self, receiver: ServerId, message: Message[str]) -> None:
        if receiver in self.boxes:
            self.boxes[receiver].put((self.me, message))


class TestThreads(TransportKit[str]):
    """One that delivers from threads needs no ``until`` of its own."""

    values = VALUES

    def setup_method(self) -> None:
        self.boxes: dict[ServerId, SimpleQueue[tuple[ServerId, Message[str]] | None]] = {}

    @contextmanager
    def running(self, me: ServerId, deliver: Deliver[str]) -> Generator[Letterbox]:
        box = self.boxes[me] = SimpleQueue()

        def work() -> None:
            while (it := box.get()) is not None:
                deliver(*it)

        thread = Thread(target=work)
        thread.start()
        yield Letterbox(me, self.boxes)
        del self.boxes[me]
        box.put(None)
        thread.join()


class TestTcp(TransportKit[bytes]):
    """The example of the documents, for which nothing but the kit was at hand."""

    values = *(it.encode() for it in VALUES), bytes(range(256)), b"x" * 65_536
    errors = UnknownServer, TooLarge

    def setup_method(self) -> None:
        self.runner, self.addresses = asyncio.Runner(), free_addresses(len(IDS), socket.SOCK_STREAM)

    def teardown_method(self) -> None:
        self.runner.close()

    @contextmanager
    def running(self, me: ServerId, deliver: Deliver[bytes]) -> Generator[TcpTransport]:
        transport = TcpTransport(me, self.addresses, deliver)
        self.runner.run(transport.start())
        yield transport
        self.runner.run(transport.close())

    def until(self, holds: Callable[[], bool], at_most_s: float) -> None:
        async def wait() -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(at_most_s):
                    while not holds():
                        await asyncio.sleep(0.001)

        self.runner.run(wait())


@pytest.mark.slow
class TestUdp(TransportKit[bytes]):
    """The datagrams of a node, for a host that one runs oneself."""

    values = *(it.encode() for it in VALUES), bytes(range(256)), b"x" * 65_536
    errors = UnknownServer, TooLarge

    def setup_method(self) -> None:
        self.runner, self.addresses = asyncio.Runner(), free_addresses(len(IDS))
        self.folder = TemporaryDirectory()
        for me in IDS:
            FileStore.create(
                self.path(me), cluster="c", server=me, quorum=majority(self.addresses)
            ).close()

    def teardown_method(self) -> None:
        self.runner.close()
        self.folder.cleanup()

    def path(self, me: ServerId) -> Path:
        return Path(self.folder.name, f"n{me}.db")

    @contextmanager
    def running(self, me: ServerId, deliver: Deliver[bytes]) -> Generator[DatagramTransport]:
        with FileStore.open(
            self.path(me), cluster="c", server=me, quorum=majority(self.addresses)
        ) as file:
            transport = DatagramTransport(
                file, NetworkConfig(self.addresses), decision="leader", receive=deliver
            )
            self.runner.run(transport.__aenter__())
            yield transport
            self.runner.run(transport.__aexit__(None, None, None))

    until = TestTcp.until

    def test_a_message_to_itself_arrives(self) -> None:
        """Once its session is registered: until then, a server must not decide, alone either."""
        with self._traffic(*IDS) as traffic:
            traffic.check_way(IDS[0], IDS[0], "with the others up")


def test_the_example_refuses_bytes_that_are_no_messages() -> None:
    """And hears whoever comes next."""
    heard: list[tuple[ServerId, Message[bytes]]] = []

    async def run() -> None:
        addresses = free_addresses(len(IDS), socket.SOCK_STREAM)
        one = TcpTransport(
            IDS[0], addresses, lambda sender, message: heard.append((sender, message))
        )
        await one.start()
        hello = (2).to_bytes(4)
        for noise in (
            b"",
            hello[:3],
            (9).to_bytes(4) + frame(Heartbeat()),  # a non-member
            hello + (1 << 31).to_bytes(4),
            hello + (3).to_bytes(4) + b"\xc1\xc1\xc1" + frame(Heartbeat()),
        ):
            reader, writer = await asyncio.open_connection(*addresses[IDS[0]])
            writer.write(noise)
            writer.write_eof()
            with suppress(ConnectionResetError):
                await reader.read()
            writer.close()
        one.send(IDS[0], Heartbeat())
        while not heard:
            await asyncio.sleep(0.001)
        await one.close()

    asyncio.run(asyncio.wait_for(run(), 60))

    assert heard == [(IDS[0], Heartbeat())]


def frame(message: Message[bytes]) -> bytes:
    body = encode_batch([encode_message("leader", message)])
    return len(body).to_bytes(4) + body


# --- liars --------------------------------------------------------------------------------------

EVERY_TEST = every_test_of(TransportKit)
WHOLE_SERVERS = {
    "test_three_servers_decide",
    "test_rivals_decide_on_one_value",
    "test_two_servers_decide_while_one_is_down",
}
"""Where whole servers run, a lie may do harm or not, as time will have it."""

CAUGHT = {
    "DropsEverything": dict.fromkeys(EVERY_TEST, ""),
    "DropsOneKind": {
        "test_every_kind_of_message_arrives_unaltered": "Nothing came instead",
        "test_messages_drawn_at_random_arrive_unaltered": "Nothing came instead",
        "test_a_burst_arrives_in_good_part": "none of these kinds arrived: Nack",
    },
    "KeepsTooFew": {"test_a_burst_arrives_in_good_part": "lengthen your queue"},
    "StripsValues": {
        "test_every_kind_of_message_arrives_unaltered": "value='blue')",
        "test_padded_and_long_values_arrive_unaltered": "value='padded')",
        "test_messages_drawn_at_random_arrive_unaltered": "value='blue')",
    },
    "RepeatsTheFirstValue": {
        "test_every_kind_of_message_arrives_unaltered": "value=' blue ') was sent 10 times",
        "test_padded_and_long_values_arrive_unaltered": "What came instead",
        "test_messages_drawn_at_random_arrive_unaltered": "What came instead",
    },
    "Truncates": {
        "test_a_value_beyond_the_bound_is_refused_or_carried_whole": "What came instead: "
    },
    "TripsOverSize": {
        "test_a_value_beyond_the_bound_is_refused_or_carried_whole": "Here it may raise Refused"
    },
    "RoundsRounds": {
        "test_every_kind_of_message_arrives_unaltered": "Ballot(round=9223372036854775808, "
    },
    "ForgetsTypes": {
        "test_every_kind_of_message_arrives_unaltered": "Accepted(ballot=(1, 0)",
        "test_padded_and_long_values_arrive_unaltered": "(ballot=(",
        "test_messages_drawn_at_random_arrive_unaltered": "build Ballot, Proposal and message anew",
    },
    "NamesTheSenderBefore": {
        "test_the_sender_is_the_true_one": "server 2 sent Prepare(ballot=Ballot(round=1003, "
        "server=1)) to server 1, where it came as one from server 1"
    },
    "MissesTheWay": {"test_only_the_receiver_gets_it": "Deliver to the receiver alone"},
    "LosesWhatIsTooLarge": {
        "test_a_value_beyond_the_bound_is_refused_or_carried_whole": "and never arrived"
    },
    "CutsAt64KiB": {
        "test_padded_and_long_values_arrive_unaltered": "value='')",
        "test_a_value_beyond_the_bound_is_refused_or_carried_whole": "value='x')",
    },
    "BlocksOnALongQueue": {
        "test_a_flood_to_a_peer_that_is_down_is_dropped": "drop what does not fit into the queue"
    },
    "StaysFull": {
        "test_a_flood_to_a_peer_that_is_down_is_dropped": "20,000 messages to it while it was down"
    },
    "TellsEverybody": {"test_only_the_receiver_gets_it": "Deliver to the receiver alone"},
    "DeliversAtOnce": {"test_nothing_is_delivered_within_a_send": "before it returned"},
    "DeliversToItselfAtOnce": {
        "test_nothing_is_delivered_within_a_send": "``send`` to server 1 delivered"
    },
    "LocksWhileItDelivers": {
        "test_a_delivery_can_be_answered_at_once": "within a delivery to it: no return"
    },
    "LosesAnswers": {"test_a_delivery_can_be_answered_at_once": "Hold no lock while you deliver"},
    "NeverToItself": dict.fromkeys(
        {
            "test_a_message_to_itself_arrives",
            "test_the_sender_is_the_true_one",
            "test_only_the_receiver_gets_it",
            "test_nothing_is_delivered_within_a_send",
            "test_an_unknown_receiver_harms_nobody",
            "test_a_flood_to_a_peer_that_is_down_is_dropped",
            "test_a_peer_that_is_down_is_felt_by_nobody_else",
            "test_a_peer_that_comes_back_hears_and_is_heard",
            "test_nothing_is_delivered_after_the_end",
        },
        "was sent 10 times from server 1 to server 1, and never arrived",
    ),
    "BlocksWhenFull": dict.fromkeys(
        {
            "test_a_burst_arrives_in_good_part",
            "test_a_flood_to_a_peer_that_is_down_is_dropped",
            "test_a_peer_that_comes_back_hears_and_is_heard",
            "test_nothing_is_delivered_after_the_end",
        },
        "drop what does not fit into the queue",
    ),
    "WaitsForThePeer": dict.fromkeys(
        {
            "test_a_flood_to_a_peer_that_is_down_is_dropped",
            "test_a_peer_that_is_down_is_felt_by_nobody_else",
            "test_servers_start_in_any_order",
            "test_a_peer_that_comes_back_hears_and_is_heard",
            "test_nothing_is_delivered_after_the_end",
            "test_two_servers_decide_while_one_is_down",
        },
        "It may not wait for anybody",
    ),
    "RaisesForThePeer": dict.fromkeys(
        {
            "test_a_flood_to_a_peer_that_is_down_is_dropped",
            "test_a_peer_that_is_down_is_felt_by_nobody_else",
            "test_servers_start_in_any_order",
            "test_a_peer_that_comes_back_hears_and_is_heard",
            "test_nothing_is_delivered_after_the_end",
        },
        "What cannot be sent is lost, and that is not an error",
    ),
    "HoldsUpTheOthers": {
        "test_a_peer_that_is_down_is_felt_by_nobody_else": "while server 2 is down, and sent to",
        "test_a_flood_to_a_peer_that_is_down_is_dropped": "to server 2, which is down",
        "test_servers_start_in_any_order": "server 3 sent to server 2 before that was up",
        "test_a_peer_that_comes_back_hears_and_is_heard": "while server 2 is down, and sent to",
        "test_nothing_is_delivered_after_the_end": "never arrived",
        "test_two_servers_decide_while_one_is_down": "no end came of it",
    },
    "GivesUpForGood": {
        "test_a_flood_to_a_peer_that_is_down_is_dropped": "while it was down",
        "test_servers_start_in_any_order": "server 3 sent to server 1 before that was up",
        "test_a_peer_that_comes_back_hears_and_is_heard": "after 1 messages to it",
        "test_two_servers_decide_while_one_is_down": "then the third came up, and asked",
    },
    "KeepsTheOldWay": {
        "test_a_flood_to_a_peer_that_is_down_is_dropped": "while it was down",
        "test_a_peer_that_comes_back_hears_and_is_heard": "from server 1 to server 2, and never",
    },
    "IsNotBelievedAgain": {
        "test_a_peer_that_comes_back_hears_and_is_heard": "from server 2 to server 1, and never"
    },
    "OutlivesItsEnd": {
        "test_nothing_is_delivered_after_the_end": "messages were delivered to it after that"
    },
    "KnowsNoNonMembers": {"test_an_unknown_receiver_harms_nobody": "raised KeyError"},
}
"""For each lying transport, the tests of the kit that fail it, and why they say they do."""


class TestLies:
    """The kit is worth what it catches."""

    @pytest.mark.parametrize("liar", CAUGHT)
    def test_a_lie_is_caught_and_what_is_said_teaches(self, liar: str, tmp_path: Path) -> None:
        told = failures(KITS[liar], CAUGHT[liar], tmp_path)
        for test, words in CAUGHT[liar].items():
            assert words in told.get(test, ""), test

    @pytest.mark.slow
    @pytest.mark.parametrize("liar", KITS)
    def test_a_lie_is_caught_by_no_other_test(self, liar: str, tmp_path: Path) -> None:
        others = EVERY_TEST.difference(CAUGHT.get(liar, ()), WHOLE_SERVERS)
        assert failures(KITS[liar], others, tmp_path) == {}

    def test_every_test_of_the_kit_catches_some_lie(self) -> None:
        lies = {liar: tests for liar, tests in CAUGHT.items() if liar != "DropsEverything"}
        tests = {test for caught in lies.values() for test in caught}
        assert EVERY_TEST - tests <= WHOLE_SERVERS
        assert CAUGHT.keys() == KITS.keys() - {"Post"}


class Words(str):
    """A type of a program, which the kit does not know."""


class TestItself:
    """What the kit asks of its user."""

    def test_an_until_that_asks_nothing_is_named(self) -> None:
        class Idle(TestMemory):
            def until(self, holds: Callable[[], bool], at_most_s: float) -> None:
                pass

        kit = Idle()
        kit.setup_method()
        with pytest.raises(AssertionError, match="has to call what it is given"):
            kit.test_a_message_to_itself_arrives()

    def test_what_is_not_promised_is_skipped_and_said(self) -> None:
        kit = TestMemory()
        kit.setup_method()
        kit.comes_back = False
        with pytest.raises(pytest.skip.Exception, match="declares comes_back = False"):
            kit.test_a_peer_that_comes_back_hears_and_is_heard()
        kit.values = Words("red"), Words("blue")
        with pytest.raises(pytest.skip.Exception, match="names no value that is ``too_large``"):
            kit.test_a_value_beyond_the_bound_is_refused_or_carried_whole()
        with pytest.raises(pytest.skip.Exception, match="neither strings nor bytes"):
            kit.test_padded_and_long_values_arrive_unaltered()

    def test_who_does_not_say_how_to_run_is_told(self) -> None:
        with pytest.raises(NotImplementedError, match="does not say how to run 1"):
            TransportKit[str]().test_a_message_to_itself_arrives()


def test_the_page_says_what_the_kit_does() -> None:
    page = " ".join((ROOT / "docs" / "transports.md").read_text().split())

    assert f"{transports.BURST} messages at once: a tenth at least" in page
    assert f"{transports.FLOOD:,} messages: no send waits for room" in page
    assert f"{TransportKit.most_bytes:,} if not said" in page
    assert (traffic.TRIES, "was sent ten times" in page) == (10, True)
    assert (traffic.STUCK_S, "has not returned after five seconds" in page) == (5.0, True)
    assert f"{TransportKit.patience_s:.0f} s if not said" in page


@pytest.mark.slow
def test_the_transport_of_the_how_to_passes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "transports.md").read_text()
    (program,) = (it for it in re.findall(r"```python\n(.*?)```", page, re.S) if "Kit[" in it)
    (tmp_path / "test_mine.py").write_text(program)

    done = run_pytest(tmp_path / "test_mine.py", "-p", "no:cacheprovider")

    assert f"{len(EVERY_TEST)} passed" in done.stdout, done.stdout
