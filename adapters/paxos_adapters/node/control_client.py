"""Asking a node that runs on this machine: one question, one answer or many."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import closing, suppress
from io import BufferedReader
from pathlib import Path

from msgspec import MsgspecError
from msgspec.json import Decoder, encode

from paxos import OperationalError, UsageError
from paxos_adapters import arguments
from paxos_adapters.node.control_protocol import (
    MAX_LINE_BYTES,
    Answer,
    ControlError,
    Question,
    reachable,
    socket_path,
)

_answer: Decoder[Answer] = Decoder(Answer)


class NotRunning(OperationalError):
    """No server runs on a data file; the question has reached nobody."""

    def __init__(self, data: Path) -> None:
        super().__init__(f"no server runs on {data}. Start it: paxos node.")


class NoReply(OperationalError, TimeoutError):
    """A server took a question, and has not answered it."""

    def __init__(self, data: Path, what: str) -> None:
        super().__init__(f"the server on {data} {what}, so it is not known what came of it.")


class TooLong(UsageError, ValueError):
    """A question that is too long; it was not asked."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(
            f"the question has {size_bytes:,} bytes, and at most {MAX_LINE_BYTES:,} are taken. "
            "Keep the value elsewhere, and agree on a name for it."
        )


def ask(data: Path, question: Question, *, patience_s: float | None) -> Answer:
    """What the server whose memory ``data`` is answers within ``patience_s``.

    Raises BadNumber, NotRunning, TooLong and ControlError with nothing asked; NoReply.
    """
    with closing(answers(data, question, patience_s=patience_s)) as all_of_them:
        return next(all_of_them)


def answers(
    data: Path, question: Question, *, patience_s: float | None
) -> Generator[Answer, None, None]:
    """The answers, one after the other, each within ``patience_s`` of the one before.

    Raises as ``ask`` does: NoReply after the last one, so stop there.
    """
    arguments.timeout(patience_s, "patience_s")
    line = encode(question) + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise TooLong(len(line))
    path = socket_path(data)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(patience_s)
        _connect(sock, data, path)
        with suppress(ConnectionError):  # It may have answered before it had read all.
            _send(sock, line, data, patience_s)
        with sock.makefile("rb") as reader:
            while True:
                yield _next(reader, data, patience_s)


def _send(sock: socket.socket, line: bytes, data: Path, patience_s: float | None) -> None:
    try:
        sock.sendall(line)
    except TimeoutError:
        raise _late(data, patience_s) from None


def _next(reader: BufferedReader, data: Path, patience_s: float | None) -> Answer:
    try:
        said = reader.readline(MAX_LINE_BYTES)
    except TimeoutError:
        raise _late(data, patience_s) from None
    except ConnectionError:
        said = b""
    if not said.endswith(b"\n"):
        raise NoReply(data, "has ended before it answered")
    try:
        answer: Answer = _answer.decode(said)
    except MsgspecError as error:
        what = f"what it says cannot be read ({error}); are both of one version?"
        raise ControlError(socket_path(data), what) from error
    return answer


def _late(data: Path, patience_s: float | None) -> NoReply:
    return NoReply(data, f"has not answered within {patience_s or 0:g} s")


def _connect(sock: socket.socket, data: Path, path: Path) -> None:
    """Raises NotRunning, NoReply, ControlError."""
    try:
        with reachable(path) as address:
            sock.connect(address)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        raise NotRunning(data) from None
    except (TimeoutError, BlockingIOError):
        raise NoReply(data, "takes no questions now") from None
    except OSError as error:
        raise ControlError(path, f"{error.strerror}") from error
