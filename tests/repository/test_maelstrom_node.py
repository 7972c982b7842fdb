"""The node for Maelstrom, on a stand-in for it: what it answers is linearizable.

The nodes run in virtual time, many runs long, and as the processes that they are.
"""

from __future__ import annotations

import asyncio
import os
from itertools import count

import pytest

from examples import maelstrom_node
from examples.maelstrom_node import Answer, Message, Node
from paxos_testing.linearizable import Violation, check
from tests.support import histories
from tests.support.histories import Input, Output
from tests.support.maelstrom import (
    Network,
    Plan,
    VirtualTime,
    answered,
    in_processes,
    init,
    simulated,
    written,
)
from tests.support.stale_maelstrom_node import StaleNode

LIMIT_S = 60


class DoublingNode(Node):
    """Proposes twice what another node has sent on to it, as if that were sent again."""

    def serve(self, request: Message, *, may_forward: bool = True) -> None:
        for _ in range(1 if may_forward else 2):
            super().serve(request, may_forward=may_forward)


def violation(network: Network) -> Violation[Input, Output] | None:
    return check(network.result(), histories.apply, None)


@pytest.mark.parametrize("seed", range(10))
def test_histories_are_linearizable(seed: int) -> None:
    network = simulated(seed, Plan())
    history = network.result()

    assert violation(network) is None, violation(network)
    assert network.lost > 50
    assert network.partitions > 1
    assert sum(it.returned is not None for it in history) > 250, "most are answered"


def test_a_run_repeats_with_its_seed() -> None:
    assert simulated(3, Plan()).result() == simulated(3, Plan()).result()


@pytest.mark.slow
def test_five_thousand_operations_are_linearizable() -> None:
    network = simulated(1, Plan(operations=5_000, clients=10, keys=20))

    assert violation(network) is None, violation(network)


@pytest.mark.parametrize("make", [StaleNode, DoublingNode])
@pytest.mark.parametrize("seed", range(3))
def test_a_planted_fault_is_found(seed: int, make: type[Node]) -> None:
    assert violation(simulated(seed, Plan(), make)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_three_processes_are_linearizable(seed: int) -> None:
    run = in_processes(seed, Plan(), "examples/maelstrom_node.py")
    network = asyncio.run(asyncio.wait_for(run, LIMIT_S))

    assert violation(network) is None, violation(network)
    assert network.lost > 50


@pytest.mark.slow
def test_three_processes_that_answer_from_their_own_state_are_not() -> None:
    run = in_processes(1, Plan(), "-m", "tests.support.stale_maelstrom_node")

    assert violation(asyncio.run(asyncio.wait_for(run, LIMIT_S))) is not None


def test_the_node_can_be_started_as_a_program() -> None:
    assert os.access(maelstrom_node.__file__, os.X_OK)


# --- single answers -------------------------------------------------------------------------------


class Single:
    """A node that is alone, and leads once time has passed."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self._numbers = count(1)
        self._time = VirtualTime()
        self._node = Node(init("n1", "n1"), self._keep, self._time.call_later)

    def _keep(self, line: str) -> None:
        self.answers.append(answered(line))

    def ask(self, body: Answer) -> Answer:
        """The answer, without the text of an error."""
        number, expected = next(self._numbers), len(self.answers) + 1
        self._node.receive(written("c1", "n1", {**body, "msg_id": number}))
        self._time.run_until(lambda: len(self.answers) == expected)
        answer = self.answers[-1]
        assert answer.pop("in_reply_to", None) == number
        answer.pop("text", None)
        return answer

    def wait(self) -> None:
        """Let a second pass."""
        end_s = self._time.time() + 1
        self._time.run_until(lambda: self._time.time() > end_s)


def refused(code: int) -> Answer:
    return {"type": "error", "code": code}


def test_every_answer_of_lin_kv() -> None:
    node = Single()

    assert node.answers == [{"type": "init_ok", "in_reply_to": 0}]
    assert node.ask({"type": "write", "key": 1, "value": 2}) == refused(11), "none leads yet"
    node.wait()
    assert node.ask({"type": "read", "key": 1}) == refused(20)
    assert node.ask({"type": "cas", "key": 1, "from": 2, "to": 3}) == refused(20)
    assert node.ask({"type": "write", "key": 1, "value": 2}) == {"type": "write_ok"}
    assert node.ask({"type": "read", "key": 1}) == {"type": "read_ok", "value": 2}
    assert node.ask({"type": "cas", "key": 1, "from": 1, "to": 3}) == refused(22)
    assert node.ask({"type": "cas", "key": 1, "from": 2, "to": [3]}) == {"type": "cas_ok"}
    assert node.ask({"type": "read", "key": 1}) == {"type": "read_ok", "value": [3]}
    assert node.ask({"type": "read", "key": "1"}) == refused(20), "a string is another key"
    assert node.ask({"type": "txn"}) == refused(10)
