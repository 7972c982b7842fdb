"""Logs for programs without an event loop: the same verbs and errors, from any thread.

The nodes are in memory, each on an event loop in a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random

import pytest

from paxos import ServerId
from paxos_adapters.codecs import TEXT
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import (
    CommandUnknown,
    LogClosed,
    MemoryNetwork,
    MemoryNode,
    NoAnswer,
    Step,
    ThreadedLog,
    ThreadedNode,
    UnknownSubmission,
)
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.node.test_node import IDS
from tests.paxos_adapters.node.test_threaded_node import interrupt as interrupt

ONE, TWO, THREE = IDS[:3]

Counter = ThreadedLog[int, int, int]


class Cluster:
    """Three servers in memory, of which some run."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack
        self.network = MemoryNetwork(3, random=Random(3))

    def start(self, me: ServerId) -> ThreadedNode[str]:
        return self.stack.enter_context(ThreadedNode(MemoryNode(self.network, me, codec=TEXT)))

    def log(self, me: ServerId) -> Counter:
        return self.stack.enter_context(self.start(me).log("log", COUNTER))


@pytest.fixture
def cluster() -> Generator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(stack)


def total(state: int) -> int:
    return state


def test_the_verbs(cluster: Cluster) -> None:
    one, two, three = map(cluster.log, IDS[:3])
    assert one.submit(5) == 5
    assert two.submit_many([1, 2], timeout_s=60) == [6, 8]
    assert three.read(total, timeout_s=60) == 8
    assert three.state == 8
    assert three.status().pending == 0
    assert two.check(timeout_s=60) > 1
    with pytest.raises(UnknownSubmission):
        one.outcome(1)


def test_many_threads_share_a_log(cluster: Cluster) -> None:
    logs = [cluster.log(me) for me in IDS[:3]]

    def submit(number: int) -> int:
        return logs[number % 3].submit(1)

    with ThreadPoolExecutor(10) as threads:
        results = list(threads.map(submit, range(60)))
    assert sorted(results) == [*range(1, 61)]


def test_the_leader_crashes_and_the_others_go_on(cluster: Cluster) -> None:
    logs = {me: cluster.log(me) for me in IDS[:3]}
    logs[TWO].lead()
    while not logs[TWO].status().leads:
        pass
    assert logs[ONE].submit(1) == 1
    cluster.network.crash(TWO)
    assert logs[ONE].submit(1, timeout_s=60) == 2


def test_steps_are_watched_from_the_call_on(cluster: Cluster) -> None:
    one, _, _ = map(cluster.log, IDS[:3])
    one.submit(1)
    steps = one.watch()
    one.submit_many([2, 3])
    assert [(it.command, it.result) for it in (next(steps), next(steps))] == [(2, 3), (3, 6)]


def test_watching_can_end_in_the_middle(cluster: Cluster) -> None:
    one, _, _ = map(cluster.log, IDS[:3])
    for first in 1, 2:
        steps = one.watch()
        one.submit(first)
        for step in steps:
            assert step.command == first
            break
    assert one.submit(1) == 4


def test_what_is_not_known_in_time(cluster: Cluster) -> None:
    one = cluster.log(ONE)
    with pytest.raises(CommandUnknown, match="no answer in time") as late:
        one.submit(7, timeout_s=0.01)
    with pytest.raises(NoAnswer, match="no answer in time"):
        one.read(total, timeout_s=0.01)
    assert late.value.number is not None
    cluster.log(TWO)
    assert one.outcome(late.value.number) == [7]


def test_closing_the_node_ends_all_waits(cluster: Cluster) -> None:
    node = cluster.start(ONE)
    log = cluster.stack.enter_context(node.log("log", COUNTER))
    steps = log.watch()
    with ThreadPoolExecutor(3) as threads:
        submitting = threads.submit(log.submit, 1)
        reading = threads.submit(log.read, total)
        watching = threads.submit(next, steps)
        while log.status().pending == 0:
            pass
        node.close()
        with pytest.raises(CommandUnknown, match="the node was closed"):
            submitting.result(60)
        with pytest.raises((NoAnswer, ServerStopped), match="the node was closed"):
            reading.result(60)
        with pytest.raises(ServerStopped, match="the node was closed"):
            watching.result(60)
    with pytest.raises(ServerStopped):
        log.submit(1)
    with pytest.raises(ServerStopped):
        log.status()
    assert log.state == 0


def test_a_log_that_was_left_says_so(cluster: Cluster) -> None:
    node = cluster.start(ONE)
    cluster.start(TWO)
    with node.log("log", COUNTER) as log:
        waiting: list[Step[int, int]] = []

        def watch() -> None:
            with pytest.raises(LogClosed):
                waiting.extend(steps)

        steps = log.watch()
        thread = threading.Thread(target=watch)
        thread.start()
    thread.join()
    with pytest.raises(LogClosed):
        log.submit(1)
    assert node.propose("other", "x") == "x"


def test_an_interrupt_ends_the_wait_and_says_what_is_not_known(
    cluster: Cluster, interrupt: Callable[[], None]
) -> None:
    one = cluster.log(ONE)
    with ThreadPoolExecutor(1) as threads:

        def when_submitted() -> None:
            while one.status().pending == 0:
                pass
            interrupt()

        threads.submit(when_submitted)
        with pytest.raises(KeyboardInterrupt) as interrupted:
            one.submit(7)
    assert "may have been run" in interrupted.value.__notes__[0]
    cluster.log(TWO)
    assert one.outcome(1) == [7]
    assert one.read(total) == 7
