"""What a node and its callers on this machine say: one JSON object a line, both ways.

    {"ask": "propose", "name": "leader", "value": "bWU=", "timeout_s": 5}
    {"answer": "chosen", "value": "bWU="}

- One question at a time, and one answer; then the next question may come. Hanging up takes a
  question back. Only a watch of a log, a snapshot and a change of members have many answers, and
  no other question follows them.
- Commands of a log come with the session and the numbers of their client, which may send them again
  by way of another server.
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
from paxos_adapters.node.members import MembersStatus
from paxos_adapters.node.status import Status
from paxos_adapters.replication.batches import MAX_BATCH
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.udp.endpoint import Address

MAX_LINE_BYTES = 1 << 18
"""Room for the largest value, and for what a node says of itself and fifteen servers."""

MAX_PATH_BYTES = 100
"""What every system takes as the path of a socket; Linux takes 107."""

MAX_TIMEOUT_S = 1e6
Seconds = Annotated[float, Meta(gt=0, le=MAX_TIMEOUT_S)]
Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


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
class LogsRequest(_Ask, frozen=True, tag="logs"):
    """How the logs of the node are: ``ReplicatedLog.status``."""


@final
class OpenRequest(_Ask, frozen=True, tag="open"):
    """Open a session in the log ``name``. Its client knows it by the ``nonce``, drawn by chance."""

    name: str
    nonce: Number
    timeout_s: Seconds | None = None


@final
class SubmitRequest(_Ask, frozen=True, tag="submit"):
    """Run commands of a session, each with its number, and each once.

    Their client needs no results of numbers below ``done_below`` any more.
    """

    name: str
    session: Number
    done_below: Number
    commands: Annotated[list[tuple[Number, bytes]], Meta(min_length=1, max_length=MAX_BATCH)]
    timeout_s: Seconds | None = None


@final
class QueryRequest(_Ask, frozen=True, tag="query"):
    """What a query of the state machine finds: ``ReplicatedLog.read``."""

    name: str
    query: str
    question: bytes
    timeout_s: Seconds | None = None


@final
class CheckRequest(_Ask, frozen=True, tag="check"):
    """Compare the state of the log ``name`` with that of its leader: ``ReplicatedLog.check``."""

    name: str
    timeout_s: Seconds | None = None


@final
class StepsRequest(_Ask, frozen=True, tag="steps"):
    """What the node applies from now on, until one side hangs up: ``ReplicatedLog.watch``."""

    name: str


@final
class MembersRequest(_Ask, frozen=True, tag="members"):
    """Which servers are members: ``Members.status``."""


@final
class ChangeRequest(_Ask, frozen=True, tag="change"):
    """Add and remove members: ``Members.change``. Told how it goes, until it is finished."""

    add: dict[ServerId, Address]
    remove: list[ServerId]
    timeout_s: Seconds | None = None


@final
class MoveRequest(_Ask, frozen=True, tag="move"):
    """Let a server be found at another address: ``Members.move``."""

    server: ServerId
    address: Address
    timeout_s: Seconds | None = None


@final
class ContentsRequest(_Ask, frozen=True, tag="contents"):
    """What the node has that a backup is made of: names of decisions behind ``after``."""

    after: str = ""


@final
class SnapshotRequest(_Ask, frozen=True, tag="snapshot"):
    """What the log ``name`` has applied, with at least all that was answered before.

    ``alone``: no quorum is asked, so what others know may be missing.
    """

    name: str
    timeout_s: Seconds | None = None
    alone: bool = False


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
    """What server ``me`` holds and knows, as recordings write it; it sees that these are ``up``.

    Long values are cut.
    """

    me: ServerId
    quorum: object
    state: object
    up: list[ServerId]


@final
class LogsReply(_Answer, frozen=True, tag="logs"):
    """How each log is, on server ``me``, which sees that these servers are ``up``.

    ``members`` of each log, and how many more of them may fail: ``tolerance``, -1: too many did.
    """

    me: ServerId
    logs: dict[str, LogStatus]
    up: list[ServerId]
    members: dict[str, list[ServerId]]
    tolerance: dict[str, int]


@final
class OpenedReply(_Answer, frozen=True, tag="opened"):
    """The session is open."""

    session: int


@final
class ResultsReply(_Answer, frozen=True, tag="results"):
    """The results of the first commands, in order: as many as fit in a line, and at least one.

    All commands were run. Ask again for the other results, by the same numbers.
    """

    results: list[bytes]


@final
class FoundReply(_Answer, frozen=True, tag="found"):
    """What a query has found."""

    found: bytes


@final
class WatchingReply(_Answer, frozen=True, tag="watching"):
    """What is applied from now on will follow."""


@final
class StepReply(_Answer, frozen=True, tag="step"):
    """``command`` was run in ``slot``, and came to ``result``."""

    slot: int
    command: bytes
    result: bytes


@final
class MembersReply(_Answer, frozen=True, tag="members"):
    """The members, as server ``me`` knows them: the last answer to what was asked."""

    me: ServerId
    members: MembersStatus


@final
class ProgressReply(_Answer, frozen=True, tag="progress"):
    """How a change goes; more answers follow."""

    members: MembersStatus


@final
class ContentsReply(_Answer, frozen=True, tag="contents"):
    """Of which cluster the node is, the ``logs`` that it runs, and the next names of decisions.

    ``idle`` are logs of its file that it does not run. There are no more names if none is told.
    """

    cluster: str
    quorum: str
    membership: str
    me: ServerId
    logs: list[str]
    idle: list[str]
    decisions: list[str]


@final
class SnapshotReply(_Answer, frozen=True, tag="snapshot"):
    """The pieces will follow of what is applied of all slots below ``slot``."""

    slot: int


@final
class PieceReply(_Answer, frozen=True, tag="piece"):
    """A piece of a snapshot; an empty one ends it."""

    data: bytes


@final
class CheckedReply(_Answer, frozen=True, tag="checked"):
    """The node holds the same as the leader, in all slots below ``slot``."""

    slot: int


@final
class ErrorReply(_Answer, frozen=True, tag="problem"):
    """Why there is no answer; ``kind`` is the name of the error that a node raises.

    ``why`` is the cause alone, if ``text`` says more of the request, such as what came of it.
    """

    kind: str
    text: str
    why: str = ""

    @property
    def cause(self) -> str:
        """The cause alone."""
        return self.why or self.text


OfLog: TypeAlias = OpenRequest | SubmitRequest | QueryRequest | CheckRequest
Waiting: TypeAlias = ProposeRequest | ReadRequest | WatchRequest | OfLog | MoveRequest
"""What the cluster has to answer."""

Continuing: TypeAlias = StepsRequest | SnapshotRequest | ChangeRequest
"""What has many answers; no other question follows."""

Brief: TypeAlias = StatusRequest | StateRequest | LogsRequest | MembersRequest | ContentsRequest
"""What the node answers at once."""

Question: TypeAlias = Waiting | Continuing | Brief
Answer: TypeAlias = (
    ChosenReply
    | NotChosenReply
    | StatusReply
    | StateReply
    | LogsReply
    | OpenedReply
    | ResultsReply
    | FoundReply
    | CheckedReply
    | WatchingReply
    | StepReply
    | MembersReply
    | ProgressReply
    | ContentsReply
    | SnapshotReply
    | PieceReply
    | ErrorReply
)


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
