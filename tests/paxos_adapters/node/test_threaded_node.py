"""Nodes on threads of their own: the same verbs and errors, for programs without a loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from random import Random

import pytest

from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore, StoreError, database
from paxos_adapters.forks import Forked
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import (
    BadName,
    Found,
    Insecure,
    NetworkConfig,
    NoAnswer,
    Node,
    NotTheMembers,
    OutcomeUnknown,
    ThreadedNode,
)
from paxos_adapters.timeouts import Timeouts
from paxos_adapters.udp.endpoint import AddressError
from paxos_adapters.wire import TooLarge
from tests.paxos_adapters.node.test_node import IDS, QUICK
from tests.support.failing_put import put_unless
from tests.support.free_ports import free_addresses

ONE, TWO = IDS[:2]
SLOW = Timeouts(retry_min_s=60, retry_max_s=60)


class Cluster:
    """Three servers, each with a file, of which some run."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack = folder, stack
        self.addresses = free_addresses(3)
        self.files: dict[ServerId, FileStore] = {}
        for me in IDS[:3]:
            FileStore.create(
                self.path(me), cluster="c", server=me, quorum=majority(self.addresses)
            ).close()

    def path(self, me: ServerId) -> Path:
        return self.folder / f"n{me}.db"

    def open(self, me: ServerId) -> FileStore:
        file = FileStore.open(
            self.path(me), cluster="c", server=me, quorum=majority(self.addresses)
        )
        self.files[me] = file
        return self.stack.enter_context(file)

    def start(
        self,
        me: ServerId,
        timeouts: Timeouts = QUICK,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> ThreadedNode[str]:
        """The node of one server, which has to be down, with its file opened for it."""
        node = ThreadedNode(
            Node(
                self.open(me),
                NetworkConfig(self.addresses),
                codec=TEXT,
                timeouts=timeouts,
                random=Random(me),
            ),
            loop_factory=loop_factory,
        )
        return self.stack.enter_context(node)

    def stop(self, node: ThreadedNode[str]) -> None:
        node.close()
        self.files[node.me].close()


@pytest.fixture
def cluster(tmp_path: Path) -> Generator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(tmp_path, stack)


def when_asked(node: ThreadedNode[str], questions: int, act: Callable[[], object]) -> None:
    """Do this as soon as so many names are asked for."""
    while node.status().asked < questions:
        pass
    act()


@pytest.fixture
def interrupt() -> Iterator[Callable[[], None]]:
    """Interrupts the main thread, once.

    A signal that comes right before a wait is only seen after it. So it is sent until it is seen.
    """
    seen, main = threading.Event(), threading.main_thread().ident
    assert main is not None

    def stop(*_: object) -> None:
        if not seen.is_set():
            seen.set()
            raise KeyboardInterrupt

    def send() -> None:
        while not seen.wait(0.05):
            signal.pthread_kill(main, signal.SIGINT)

    before = signal.signal(signal.SIGINT, stop)
    yield send
    signal.signal(signal.SIGINT, before)


class TestVerbs:
    """What an asynchronous node does, called from a thread."""

    def test_they_agree(self, cluster: Cluster) -> None:
        one, two, three = map(cluster.start, IDS[:3])
        assert one.read("leader") is None
        assert one.propose("leader", "one") == "one"
        assert two.propose("leader", "two", timeout_s=60) == "one"
        assert three.watch("leader") == "one"
        assert (one.me, one.file.path) == (ONE, cluster.path(ONE))
        assert one.place[:2] == cluster.addresses[ONE]
        assert one.status().me == ONE

    def test_many_threads_share_a_node(self, cluster: Cluster) -> None:
        nodes = [cluster.start(me) for me in IDS[:3]]

        def ask(number: int) -> tuple[str, str]:
            name = f"name {number % 20}"
            return name, nodes[number % 3].propose(name, f"{number}", timeout_s=60)

        with ThreadPoolExecutor(20) as threads:
            answers = list(threads.map(ask, range(120)))
        assert len(answers) == 120
        assert len(set(answers)) == 20

    def test_watching_ends_when_something_is_chosen(self, cluster: Cluster) -> None:
        one, two, _ = map(cluster.start, IDS[:3])
        with ThreadPoolExecutor(1) as threads:
            watching = threads.submit(two.watch, "leader")
            one.propose("leader", "one")
            assert watching.result(60) == "one"

    def test_the_loop_is_the_one_that_was_asked_for(self, cluster: Cluster) -> None:
        made: list[asyncio.AbstractEventLoop] = []

        def factory() -> asyncio.AbstractEventLoop:
            made.append(asyncio.SelectorEventLoop())
            return made[-1]

        one, _ = cluster.start(ONE, loop_factory=factory), cluster.start(TWO)
        assert one.propose("leader", "one") == "one"
        assert [loop.is_running() for loop in made] == [True]
        one.close()
        assert [loop.is_closed() for loop in made] == [True]


class TestErrors:
    """They come through as they are."""

    def test_what_is_not_known_in_time(self, cluster: Cluster) -> None:
        one = cluster.start(ONE)
        with pytest.raises(OutcomeUnknown, match="may be chosen anyway"):
            one.propose("leader", "one", timeout_s=0.05)
        with pytest.raises(NoAnswer, match="no answer in time"):
            one.read("leader", timeout_s=0.05)
        with pytest.raises(NoAnswer, match="no answer in time"):
            one.watch("leader", timeout_s=0.05)

    def test_what_is_asked_wrongly(self, cluster: Cluster) -> None:
        one = cluster.start(ONE)
        with pytest.raises(BadName):
            one.read("")
        with pytest.raises(TooLarge):
            one.propose("leader", "x" * 65_537)
        assert one.status().asked == 0

    def test_a_node_that_cannot_start(self, cluster: Cluster) -> None:
        file, threads = cluster.open(ONE), threading.active_count()
        elsewhere = {**cluster.addresses, ONE: ("192.0.2.1", 0)}
        with pytest.raises(Insecure):
            ThreadedNode(Node(file, NetworkConfig(elsewhere), codec=TEXT))
        with pytest.raises(NotTheMembers):
            ThreadedNode(Node(file, NetworkConfig({ONE: ("127.0.0.1", 0)}), codec=TEXT))
        with pytest.raises(AddressError):
            ThreadedNode(Node(file, NetworkConfig(elsewhere, insecure=True), codec=TEXT))
        assert threading.active_count() == threads
        with ThreadedNode(Node(file, NetworkConfig(cluster.addresses), codec=TEXT)) as node:
            assert node.status().me == ONE

    def test_a_file_that_is_closed(self, cluster: Cluster) -> None:
        file = cluster.open(ONE)
        file.close()
        with pytest.raises(StoreError):
            ThreadedNode(Node(file, NetworkConfig(cluster.addresses), codec=TEXT))

    def test_a_save_that_fails_stops_the_node(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, _ = cluster.start(ONE), cluster.start(TWO)

        monkeypatch.setattr(database, "put", put_unless(OSError("no space"), ONE, "leader"))
        with pytest.raises(OutcomeUnknown, match="no space"):
            one.propose("leader", "one")
        with pytest.raises(ServerStopped, match="no space"):
            one.read("leader")
        one.close()
        monkeypatch.undo()


class TestTheEnd:
    """Nobody waits for a node that is closed, and nobody is told anything else."""

    def test_closing_ends_all_waits(self, cluster: Cluster) -> None:
        one = cluster.start(ONE, timeouts=SLOW)
        with ThreadPoolExecutor(3) as threads:
            proposing = threads.submit(one.propose, "a", "x")
            reading = threads.submit(one.read, "b")
            watching = threads.submit(one.watch, "c")
            when_asked(one, 3, one.close)
            with pytest.raises(OutcomeUnknown, match="the node was closed"):
                proposing.result(60)
            with pytest.raises(NoAnswer, match="the node was closed"):
                reading.result(60)
            with pytest.raises(NoAnswer, match="the node was closed"):
                watching.result(60)

    def test_closing_ends_a_watch_between_two_looks(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waits, pause = threading.Event(), Node[str]._pause  # pyright: ignore[reportPrivateUsage]

        def paused(node: Node[str], name: str, attempt: int) -> Coroutine[object, object, None]:
            monkeypatch.setattr(node, "_timeouts", SLOW)
            waits.set()
            return pause(node, name, attempt)

        monkeypatch.setattr(Node, "_pause", paused)
        one, _ = cluster.start(ONE), cluster.start(TWO)
        with ThreadPoolExecutor(1) as threads:
            watching = threads.submit(one.watch, "leader")
            assert waits.wait(60)
            one.close()
            with pytest.raises(NoAnswer, match="the node was closed"):
                watching.result(30)

    def test_after_the_end_it_is_stopped(self, cluster: Cluster) -> None:
        one = cluster.start(ONE)
        one.close()
        one.close()
        for ask in (
            partial(one.propose, "leader", "one"),
            partial(one.read, "leader"),
            partial(one.watch, "leader"),
            one.status,
        ):
            with pytest.raises(ServerStopped, match="the node was closed"):
                ask()

    def test_its_address_and_its_file_are_free_again(self, cluster: Cluster) -> None:
        cluster.start(TWO)
        for _ in range(3):
            one = cluster.start(ONE)
            assert one.propose("leader", "one") == "one"
            cluster.stop(one)

    @pytest.mark.slow
    def test_whoever_asks_while_it_is_closed_is_answered(self, cluster: Cluster) -> None:
        """By what the node says, whatever came first."""
        cluster.start(TWO)
        for number in range(10):
            one = cluster.start(ONE)

            def ask(name: str, node: ThreadedNode[str] = one) -> bool:
                try:
                    return node.propose(name, "x") == "x"
                except (OutcomeUnknown, ServerStopped) as told:
                    return "the node was closed" in str(told)

            with ThreadPoolExecutor(8) as threads:
                asking = [threads.submit(ask, f"{number} {it}") for it in range(40)]
                asking[number].result(60)
                cluster.stop(one)
                assert all(it.result(60) for it in asking)

    def test_to_interrupt_ends_the_wait_and_not_the_node(
        self, cluster: Cluster, interrupt: Callable[[], None]
    ) -> None:
        one = cluster.start(ONE)
        with ThreadPoolExecutor(1) as threads:
            interrupting = threads.submit(when_asked, one, 1, interrupt)
            with pytest.raises(KeyboardInterrupt) as stopped:
                one.propose("leader", "one")
            interrupting.result(60)
        (note,) = stopped.value.__notes__
        assert "'leader'" in note
        assert "may be chosen anyway" in note
        assert (one.status().asked, one.status().unresolved) == (0, 1)
        two = cluster.start(TWO)
        assert two.watch("leader") == "one"
        assert one.read("leader") == Found("one")
        assert one.status().unresolved == 0

    def test_a_process_that_is_forked_has_no_node(self, cluster: Cluster) -> None:
        one = cluster.start(ONE)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, as is the point here
            child = os.fork()
        if not child:
            signal.alarm(30)
            try:
                one.read("leader")
            except Forked as refusal:
                one.close()
                os._exit(7 if "forked" in str(refusal) else 1)
            finally:
                os._exit(2)
        _, ending = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(ending) == 7

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "ends",
        [
            pytest.param("", id="without closing"),
            pytest.param("atexit.register(node.close)", id="closing from atexit"),
            pytest.param("early.append(node.close)", id="closing at the very end"),
            pytest.param("early.append(lambda: propose('end'))", id="asking at the very end"),
        ],
    )
    @pytest.mark.parametrize("inline_save_s", [0.0, 1000.0], ids=["saving aside", "saving at once"])
    def test_a_program_ends_and_says_nothing(
        self, tmp_path: Path, ends: str, inline_save_s: float
    ) -> None:
        program = f"""
import atexit
early = []
atexit.register(lambda: [act() for act in early])
from pathlib import Path
from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node, ThreadedNode
from paxos_adapters.udp import mesh
mesh.LOOK_UP_S = mesh.PING_S = 0.001
path, me = Path({str(tmp_path)!r}) / "n1.db", ServerId(1)
file = FileStore.create(path, cluster="c", server=me, quorum=majority([me]))

network = NetworkConfig({{me: ("localhost", 0)}})
node = ThreadedNode(Node(file, network, codec=TEXT, inline_save_s={inline_save_s}))
def propose(name):
    assert node.propose(name, "one") == "one"
propose("leader")
{ends}
print("done")
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
