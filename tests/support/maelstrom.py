"""A stand-in for Maelstrom: a network of JSON messages, a random lin-kv workload, and a history.

- Delays, losses and partitions are drawn from one seed. Time is virtual, or that of an event loop.
- A client asks one thing at a time. Without an answer in time its outcome is unknown, and the
  client goes on as another process.
- Errors 20 and 22 are answers. An operation with another definite error has not happened.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Protocol, TypedDict

from attrs import evolve, frozen

from examples.maelstrom_node import Answer, Node
from paxos_testing.history import Operation
from tests.support.histories import CompareAndSet, Input, Output, Read, Register, Write

ROOT = Path(__file__).parents[2]
NODES = "n1", "n2", "n3"
TIMEOUT_S = 1.0
DEFINITE = 10, 11


class Message(TypedDict):
    """A line of JSON."""

    src: str
    dest: str
    body: Answer


class Time(Protocol):
    """What an event loop has of it."""

    def time(self) -> float:
        """Seconds from any moment."""
        ...

    def call_later(self, delay: float, callback: Callable[[], None], /) -> object:
        """Call ``callback`` in ``delay`` seconds."""
        ...


class VirtualTime:
    """Time that passes when there is nothing to do."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def time(self) -> float:
        """Seconds from the beginning."""
        return self._now_s

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call ``callback`` in ``delay`` seconds."""
        heapq.heappush(self._due, (self._now_s + delay, next(self._numbers), callback))

    def run_until(self, is_over: Callable[[], bool]) -> None:
        """Let time pass."""
        while not is_over():
            self._now_s, _, callback = heapq.heappop(self._due)
            callback()


@frozen
class Plan:
    """How the network is, and what the clients do."""

    operations: int = 300
    clients: int = 6
    keys: int = 3
    values: int = 5
    delay_s: float = 0.01
    loss: float = 0.02
    partition_s: float = 1.0


class Network:
    """Routes messages between nodes and clients; every while a node is cut off from the others."""

    def __init__(
        self,
        plan: Plan,
        time: Time,
        random: Random,
        nodes: Mapping[str, Callable[[str], None]],
    ) -> None:
        self.plan, self.time, self.random, self.nodes = plan, time, random, nodes
        self.history: list[Register] = []
        self.lost = self.partitions = 0
        self.cut_off: str | None = None
        self.on_over: Callable[[], None] = lambda: None
        self.clients = {f"c{number}": Client(f"c{number}", self) for number in range(plan.clients)}

    def start(self) -> None:
        """The workload begins."""
        for client in self.clients.values():
            self.time.call_later(self.plan.delay_s, client.ask)
        self.time.call_later(self.plan.partition_s, self._partition)

    @property
    def is_over(self) -> bool:
        """Whether enough was asked."""
        return len(self.history) >= self.plan.operations

    def add(self, operation: Register) -> None:
        """An operation has ended."""
        self.history.append(operation)
        if self.is_over:
            self.on_over()

    def result(self) -> list[Register]:
        """The history, with what is still running."""
        running = (client.operation for client in self.clients.values())
        return [*self.history, *(it for it in running if it is not None)]

    def route(self, line: str) -> None:
        """A message is sent: it arrives later, or never."""
        message: Message = json.loads(line)
        ends = {message["src"], message["dest"]}
        is_between_nodes = ends <= self.nodes.keys()
        if is_between_nodes and (self.cut_off in ends or self.random.random() < self.plan.loss):
            self.lost += 1
            return
        delay_s = self.random.expovariate(1 / self.plan.delay_s)
        self.time.call_later(delay_s, lambda: self._deliver(message["dest"], line))

    def _deliver(self, dest: str, line: str) -> None:
        if dest in self.nodes:
            self.nodes[dest](line)
        elif dest in self.clients:
            self.clients[dest].receive(line)

    def _partition(self) -> None:
        self.cut_off = self.random.choice([*self.nodes]) if self.cut_off is None else None
        self.partitions += self.cut_off is not None
        self.time.call_later(self.plan.partition_s, self._partition)


class Client:
    """One client of lin-kv."""

    def __init__(self, name: str, network: Network) -> None:
        self.name, self.network = name, network
        self.operation: Register | None = None
        self._number = 0
        self._process = name

    def ask(self) -> None:
        """Send a random request to a random node."""
        network, random = self.network, self.network.random
        self._number += 1
        number, key = self._number, random.randrange(network.plan.keys)
        old, new = (random.randrange(network.plan.values) for _ in range(2))
        inputs: list[Input] = [Read(), Write(new), CompareAndSet(old, new)]
        given = random.choice(inputs)
        self.operation = Operation(self._process, key, network_time(network), None, given)
        body = {**body_of(given), "key": key, "msg_id": number}
        network.route(written(self.name, random.choice([*network.nodes]), body))
        network.time.call_later(TIMEOUT_S, lambda: self._give_up(number))

    def receive(self, line: str) -> None:
        """An answer; if it is late, the client has given up."""
        body, operation = answered(line), self.operation
        if operation is None or body["in_reply_to"] != self._number:
            return
        self.operation = None
        if body.get("code") not in DEFINITE:
            now = network_time(self.network)
            output = output_of(operation.input, body)
            self.network.add(evolve(operation, returned=now, output=output))
        self.network.time.call_later(self.network.plan.delay_s, self.ask)

    def _give_up(self, number: int) -> None:
        if self.operation is not None and number == self._number:
            self.network.add(self.operation)
            self.operation = None
            self._process = f"{self.name}'{number}"
            self.ask()


def network_time(network: Network) -> int:
    """The time in microseconds."""
    return int(network.time.time() * 1e6)


def body_of(given: Input) -> Answer:
    """What a client sends."""
    match given:
        case Read():
            return {"type": "read"}
        case Write(value):
            return {"type": "write", "value": value}
        case CompareAndSet(old, new):
            return {"type": "cas", "from": old, "to": new}


def output_of(given: Input, body: Answer) -> Output:
    """What a client has got. A read of no key and a write return None."""
    match given:
        case Read():
            value = body.get("value")
            assert value is None or isinstance(value, int)
            return value
        case Write():
            return None
        case CompareAndSet():
            return body["type"] == "cas_ok"


def written(src: str, dest: str, body: Answer) -> str:
    """A message as a line."""
    return json.dumps({"src": src, "dest": dest, "body": body})


def answered(line: str) -> Answer:
    """The body of a message."""
    message: Message = json.loads(line)
    return message["body"]


def init(name: str, *names: str) -> str:
    """The first message to a node of ``names``."""
    ids = {"node_id": name, "node_ids": [*names]}
    return written("c", name, {"type": "init", "msg_id": 0, **ids})


def simulated(seed: int, plan: Plan, make: type[Node] = Node) -> Network:
    """A run in virtual time, with the nodes in this process."""
    random, time = Random(seed), VirtualTime()
    nodes: dict[str, Callable[[str], None]] = {}
    network = Network(plan, time, random, nodes)
    for name in NODES:
        nodes[name] = make(init(name, *NODES), network.route, time.call_later, random).receive
    network.start()
    time.run_until(lambda: network.is_over)
    return network


async def in_processes(seed: int, plan: Plan, *command: str) -> Network:
    """A run in real time: each node is a process, started as ``python command``."""
    loop, random = asyncio.get_running_loop(), Random(seed)
    processes = {name: await _started(*command) for name in NODES}
    nodes = {name: partial(_write, process) for name, process in processes.items()}
    network, over = Network(plan, loop, random, nodes), asyncio.Event()
    network.on_over = over.set
    readers = [loop.create_task(_read(it, network)) for it in processes.values()]
    for name, write in nodes.items():
        write(init(name, *NODES))
    network.start()
    try:
        done, _ = await asyncio.wait(
            [*readers, loop.create_task(over.wait())], return_when=asyncio.FIRST_COMPLETED
        )
        assert over.is_set(), f"a node has ended: {done}"
    finally:
        for process in processes.values():
            process.kill()
            await process.wait()
        await asyncio.gather(*readers)
    return network


async def _started(*command: str) -> Process:
    limit_bytes = 1 << 24
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=ROOT, stdin=PIPE, stdout=PIPE, limit=limit_bytes
    )


def _write(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line.encode() + b"\n")


async def _read(process: Process, network: Network) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        network.route(line.decode().rstrip("\n"))
