#!/usr/bin/env python3
"""A node for Maelstrom: the workload lin-kv, answered by a replicated log. See docs/examples.md.

Run it: ``maelstrom test -w lin-kv --bin examples/maelstrom_node.py --node-count 3``

- Maelstrom is the transport: a message between replicas is a line of JSON on standard output.
- A client may ask any node. One that does not lead sends the request on to the leader, once, and
  the leader answers the client.
- A request is proposed once, so no session is needed. What is lost, the client takes for a timeout.
- Error 11 says that a request was not proposed, and never will be.
- A read has no entry in the log. The leader answers it when a quorum has confirmed that it leads.
- The log is in memory: a node that was killed must not come back.

Source: the documents "Protocol" and "Workloads" of https://github.com/jepsen-io/maelstrom.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from functools import partial
from itertools import count
from random import Random
from typing import Protocol, TypeAlias, TypedDict, final

from attrs import frozen

from paxos import From, ServerId, majority
from paxos.errors import assert_never
from paxos.log import Command, Committed, NotLeading, Propose, Read, Readable, WindowFull
from paxos.log.events import Event, LogTimer, Report
from paxos.log.messages import Message as ReplicaMessage
from paxos_adapters.host import Host
from paxos_adapters.log import Log, LogHost, log, log_coder
from paxos_adapters.memory import MemoryStore
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.ports import Ports
from paxos_adapters.timeouts import Timeouts
from paxos_adapters.value_codec import ValueCodec

HEARTBEAT_S = 0.1
"""Let it be more than a round trip of the network that Maelstrom is told to simulate."""

NOT_SUPPORTED, TEMPORARILY_UNAVAILABLE, KEY_DOES_NOT_EXIST, PRECONDITION_FAILED = 10, 11, 20, 22

MAX_LINE_BYTES = 1 << 24

# --- what Maelstrom sends -------------------------------------------------------------------------

Body = TypedDict(
    "Body",
    {
        "type": str,
        "msg_id": int,
        "node_id": str,
        "node_ids": list[str],
        "key": object,
        "value": object,
        "from": object,
        "to": object,
        "event": object,
        "request": "Message",
    },
)
"""Which of these are there depends on ``type``. ``event`` and ``request`` are between nodes."""


class Message(TypedDict):
    """A line of JSON."""

    src: str
    dest: str
    body: Body


Answer: TypeAlias = dict[str, object]
"""The body of a message that a node sends."""


def error(code: int, text: str) -> Answer:
    """The body of an error."""
    return {"type": "error", "code": code, "text": text}


# --- the state machine ----------------------------------------------------------------------------


@final
@frozen
class Write:
    """Let ``key`` have ``value``: both are JSON."""

    key: str
    value: str


@final
@frozen
class CompareAndSet:
    """Let ``key`` have ``new``, if it has ``old``."""

    key: str
    old: str
    new: str


@final
@frozen
class Asked:
    """A command, and where its answer is waited for: the request ``number`` of ``node``."""

    node: int
    number: int
    command: Write | CompareAndSet


State: TypeAlias = PersistentMap[str]


def apply(state: State, command: Write | CompareAndSet) -> tuple[State, Answer]:
    """Carry out ``command``; the next state, and the answer."""
    if type(command) is Write:
        return state.put(command.key, command.value), {"type": "write_ok"}
    if type(command) is CompareAndSet:
        found = state.get(command.key)
        if found is None:
            return state, error(KEY_DOES_NOT_EXIST, f"there is no key {command.key}")
        if found != command.old:
            return state, error(PRECONDITION_FAILED, f"it is {found}, not {command.old}")
        return state.put(command.key, command.new), {"type": "cas_ok"}
    assert_never(command)


def command_of(body: Body) -> Write | CompareAndSet:
    """The command that a client asks for."""
    key = json.dumps(body["key"])
    if body["type"] == "write":
        return Write(key, json.dumps(body["value"]))
    return CompareAndSet(key, json.dumps(body["from"]), json.dumps(body["to"]))


# --- the node -------------------------------------------------------------------------------------


class CallLater(Protocol):
    """As that of an event loop."""

    def __call__(self, delay: float, callback: Callable[[], None], /) -> object:
        """Call ``callback`` in ``delay`` seconds."""
        ...


class Node:
    """One replica, and the clients that wait for it; it is its own transport and timer."""

    def __init__(
        self,
        init: str,
        emit: Callable[[str], None],
        call_later: CallLater,
        random: Random | None = None,
    ) -> None:
        """Start as the line ``init`` says, and answer it; ``emit`` takes each line to send.

        ``random`` draws delays: pass a seeded one to repeat a run.
        """
        first: Message = json.loads(init)
        self._name = first["body"]["node_id"]
        self._emit = emit
        self._call_later = call_later
        self._names = {ServerId(it): name for it, name in enumerate(first["body"]["node_ids"], 1)}
        self._me = next(it for it, name in self._names.items() if name == self._name)
        self._coder = log_coder(ValueCodec[Asked](Asked, __name__))
        self._numbers = count(1)
        self._waiting: dict[int, Message] = {}
        self.state: State = PersistentMap()
        machine: Log[Asked] = log()
        self._host: LogHost[Asked] = Host(
            machine,
            self._me,
            majority(self._names),
            Ports(self, self, MemoryStore(machine.fold)),
            timeouts=Timeouts(heartbeat_s=HEARTBEAT_S),
            random=random,
        )
        self.reply(first, {"type": "init_ok"})

    def send(self, receiver: ServerId, message: ReplicaMessage[Asked]) -> None:
        """Send what the replica says: to itself without the network."""
        event = From(self._me, message)
        if receiver == self._me:
            self._call_later(0, lambda: self.step(event))
        else:
            coded = self._coder.encode(event)
            self._send(self._names[receiver], {"type": "replica", "event": coded})

    def set_timer(self, timer: LogTimer, delay_s: float) -> None:
        """Hand ``timer`` back later."""
        self._call_later(delay_s, lambda: self.step(timer))

    def receive(self, line: str) -> None:
        """Take one line."""
        message: Message = json.loads(line)
        body = message["body"]
        match body["type"]:
            case "replica":
                self.step(self._coder.event(body["event"]))
            case "forward":
                self.serve(body["request"], may_forward=False)
            case "read" | "write" | "cas":
                self.serve(message)
            case other:
                self.reply(message, error(NOT_SUPPORTED, f"{other} is not part of lin-kv"))

    def serve(self, request: Message, *, may_forward: bool = True) -> None:
        """Ask the replica, or let the leader do so."""
        number, body = next(self._numbers), request["body"]
        self._waiting[number] = request
        try:
            if body["type"] == "read":
                self.step(Read(number))
            else:
                self.step(Propose(Command(Asked(self._me, number, command_of(body)))))
        except NotLeading as refused:
            del self._waiting[number]
            if may_forward and refused.leader is not None:
                self._send(self._names[refused.leader], {"type": "forward", "request": request})
            else:
                self.reply(request, error(TEMPORARILY_UNAVAILABLE, str(refused)))
        except WindowFull as refused:
            del self._waiting[number]
            self.reply(request, error(TEMPORARILY_UNAVAILABLE, str(refused)))

    def step(self, event: Event[Asked]) -> None:
        """Let the replica take one event."""
        for report in self._host.receive(event):
            self._on_report(report)

    def _on_report(self, report: Report[Asked]) -> None:
        if type(report) is Readable:
            request = self._waiting.pop(report.number)
            ended = error(TEMPORARILY_UNAVAILABLE, "another replica leads")
            self.reply(request, ended if report.first is None else self.found(request))
        elif type(report) is Committed:
            for proposal in report.proposals:
                if type(proposal.value) is Command:
                    self._apply(proposal.value.value)

    def _apply(self, asked: Asked) -> None:
        self.state, answer = apply(self.state, asked.command)
        if asked.node == self._me and asked.number in self._waiting:
            self.reply(self._waiting.pop(asked.number), answer)

    def found(self, request: Message) -> Answer:
        """The answer to a read."""
        value = self.state.get(json.dumps(request["body"]["key"]))
        if value is None:
            return error(KEY_DOES_NOT_EXIST, "there is no such key")
        return {"type": "read_ok", "value": json.loads(value)}

    def reply(self, request: Message, answer: Answer) -> None:
        """Answer ``request``."""
        self._send(request["src"], {**answer, "in_reply_to": request["body"]["msg_id"]})

    def _send(self, dest: str, body: Answer) -> None:
        self._emit(json.dumps({"src": self._name, "dest": dest, "body": body}))


async def main(make: type[Node] = Node) -> None:
    """Read lines until there are no more; the first is ``init``."""
    loop, lines = asyncio.get_running_loop(), asyncio.StreamReader(MAX_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    first = await lines.readline()
    node = make(first.decode(), partial(print, flush=True), loop.call_later)
    async for line in lines:
        node.receive(line.decode())


if __name__ == "__main__":
    asyncio.run(main())
