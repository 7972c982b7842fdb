"""What a node answers its own machine about its logs."""

from __future__ import annotations

from collections.abc import Sequence

from paxos import UsageError
from paxos.errors import assert_never
from paxos_adapters.node.control_protocol import (
    MAX_LINE_BYTES,
    Answer,
    CheckedReply,
    CheckRequest,
    FoundReply,
    OfLog,
    OpenedReply,
    OpenRequest,
    QueryRequest,
    ResultsReply,
    SubmitRequest,
)
from paxos_adapters.node.node import Node
from paxos_adapters.replication.batches import Commands
from paxos_adapters.replication.served import ServedLog

_FRAME_BYTES = 100
"""What a line has beside its results."""


class NoSuchLog(UsageError, LookupError):
    """A log was asked for that does not run on this node. Nothing was begun."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"no log {name!r} runs on this server; nothing was begun. Name one that runs, or have "
            "the program of the server enter it: node.log(...)."
        )
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return NoSuchLog, (self.name,)


def log_of(node: Node[bytes], name: str) -> ServedLog:
    """The log of that name. Raises NoSuchLog."""
    found = node.served.get(name)
    if found is None:
        node.ask_for_log(name)
        raise NoSuchLog(name)
    return found


async def answer_of_log(node: Node[bytes], question: OfLog) -> Answer:
    """The answer to a question about a log. Raises PaxosError."""
    log, timeout_s = log_of(node, question.name), question.timeout_s
    if type(question) is OpenRequest:
        return OpenedReply(await log.open_session(question.nonce, timeout_s))
    if type(question) is SubmitRequest:
        commands = Commands(question.session, question.done_below, question.commands)
        return ResultsReply(_fitting(await log.run(commands, timeout_s)))
    if type(question) is QueryRequest:
        return FoundReply(await log.query(question.query, question.question, timeout_s))
    if type(question) is CheckRequest:
        return CheckedReply(await log.check(timeout_s=timeout_s))
    assert_never(question)


def _fitting(results: Sequence[bytes]) -> list[bytes]:
    """The first results, as many as fit in a line in base64, and at least one."""
    room = MAX_LINE_BYTES - _FRAME_BYTES
    found: list[bytes] = []
    for result in results:
        room -= 4 * (len(result) // 3 + 1) + len('"",')
        if found and room < 0:
            break
        found.append(result)
    return found
