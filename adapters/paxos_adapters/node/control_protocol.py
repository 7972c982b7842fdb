"""What a node and those who ask it on its machine say: one JSON object a line, both ways.

    {"ask": "propose", "name": "leader", "value": "bWU=", "timeout_s": 5}
    {"answer": "chosen", "value": "bWU="}

- One question a connection, and one answer; hanging up takes the question back.
- The socket stands beside the data file, for its owner only. A process that may open it may make
  every request.
- Values are base64. Every line has a bound, and a field that nobody knows is an error.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias, final

from msgspec import Meta, Struct

from paxos import OperationalError, ServerId
from paxos_adapters.node.status import Status
from paxos_adapters.udp.endpoint import Address

MAX_LINE_BYTES = 1 << 18
"""Room for the largest value, and for what a node says of itself and fifteen servers."""

MAX_PATH_BYTES = 100
"""What every system takes as the path of a socket; Linux takes 107."""

MAX_TIMEOUT_S = 1e6
Seconds = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S)]


class _Ask(Struct, frozen=True, tag_field="ask", forbid_unknown_fields=True):
    """A question."""


class _Answer(Struct, frozen=True, tag_field="answer", forbid_unknown_fields=True):
    """An answer."""


@final
class ProposeRequest(_Ask, frozen=True, tag="propose"):
    """Get ``value`` chosen for ``name``: ``Node.propose``."""

    name: str
    value: bytes
    timeout_s: Seconds | None = None


@final
class ReadRequest(_Ask, frozen=True, tag="read"):
    """What is chosen for ``name``: ``Node.read``."""

    name: str
    timeout_s: Seconds | None = None


@final
class WatchRequest(_Ask, frozen=True, tag="watch"):
    """What is chosen for ``name``, as soon as something is: ``Node.watch``."""

    name: str
    timeout_s: Seconds | None = None


@final
class StatusRequest(_Ask, frozen=True, tag="status"):
    """How the node is: ``Node.status``."""


@final
class StateRequest(_Ask, frozen=True, tag="state"):
    """What the node holds and knows of ``name``: ``Node.state``."""

    name: str


@final
class ChosenReply(_Answer, frozen=True, tag="chosen"):
    """What is chosen."""

    value: bytes


@final
class NotChosenReply(_Answer, frozen=True, tag="nothing"):
    """Nothing was chosen when it was asked."""


@final
class StatusReply(_Answer, frozen=True, tag="status"):
    """How the node is, and where it listens."""

    cluster: str
    address: Address
    status: Status


@final
class StateReply(_Answer, frozen=True, tag="state"):
    """What server ``me`` holds and knows, as recordings write it, and who is ``up``, as it sees it.

    Long values are cut.
    """

    me: ServerId
    quorum: object
    state: object
    up: list[ServerId]


@final
class ErrorReply(_Answer, frozen=True, tag="problem"):
    """Why there is no answer; ``kind`` is the name of the error that a node raises."""

    kind: str
    text: str


Question: TypeAlias = ProposeRequest | ReadRequest | WatchRequest | StatusRequest | StateRequest
Answer: TypeAlias = ChosenReply | NotChosenReply | StatusReply | StateReply | ErrorReply


class ControlError(OperationalError):
    """A socket beside a data file that cannot be used."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} cannot be used to talk to the server: {what}.")
        self.path = path


def socket_path(data: Path) -> Path:
    """Where the server whose memory ``data`` is listens to its own machine."""
    data = data.resolve()
    return data.with_name(data.name + ".sock")


@contextmanager
def reachable(path: Path) -> Generator[str, None, None]:
    """What to call ``path`` when a socket is bound or connected, however long it is.

    Raises ControlError where the system knows no shorter way, and OSError.
    """
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        short = Path(f"/proc/self/fd/{folder}/{path.name}")
        if len(os.fsencode(short)) > MAX_PATH_BYTES or not short.parent.exists():
            raise ControlError(path, f"its path is too long, choose one below {MAX_PATH_BYTES}")
        yield str(short)
    finally:
        os.close(folder)
