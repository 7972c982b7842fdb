"""The recorder: an observer that writes down what it is told, in a file of bounded size.

- Each line is with the system before what it tells of has left the server. A server that is
  killed has recorded all that others can have received from it.
- When FILE is full it becomes FILE.1, and a new FILE begins. In it each server is told with its
  whole state before anything else about it, so that a file can be replayed by itself.
- A file that is there is appended to.
- A failure never affects the server: the recording stops, and one line is logged.

Not thread-safe: it belongs to the thread that steps the servers.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Self, TypedDict, TypeVar, Unpack
from uuid import uuid4

from attrs import Factory, frozen

from paxos import InvariantError, QuorumSystem, ServerId, server
from paxos.ballot import V
from paxos_adapters import arguments
from paxos_adapters.coding import Coder, dumped
from paxos_adapters.machine import Process, R, S
from paxos_adapters.outputs import RECORDING, OutputRefused, is_same, move, open_for_writing, remove
from paxos_adapters.ports import Codec, Place
from paxos_adapters.single import single_coder
from paxos_lab.record import entries
from paxos_lab.record.entries import Body, Digests, Header
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.fingerprint import fingerprint, version

E = TypeVar("E")
_logger = logging.getLogger(__name__)

MAX_BYTES = 64 * 2**20
"""How large FILE may get, and each older one, if nothing else is said."""

MIN_BYTES = 4_096
ROOM = 32
"""What a line has besides its body, in bytes."""

END_BYTES = 128
"""Room for the line that says that a recording has ended in good order."""


@frozen
class About:
    """What is recorded: what runs the servers, which machine, what else a reader should know.

    ``lanes`` are names for servers that are not called by their ids.
    """

    runtime: str
    machine: str
    facts: Mapping[str, str] = Factory(dict[str, str])
    lanes: Mapping[ServerId, str] = Factory(dict[ServerId, str])


class Rotation(TypedDict, total=False):
    """``max_bytes`` bounds each file, and ``keep`` says how many older files stay."""

    max_bytes: int
    keep: int
    clock: Callable[[], float]


class MachineRecorder(Generic[S, E, R]):
    """Records servers of any machine into the file ``path``.

    A context manager; ``failure`` is what has ended it, if so. ``max_bytes`` bounds each file,
    unless a header and one entry alone take more; ``keep`` says how many older files stay.
    """

    def __init__(
        self,
        path: Path,
        coder: Coder[S, E, R],
        about: About,
        *,
        max_bytes: int = MAX_BYTES,
        keep: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file.

        Raises OutputRefused if it cannot be, or must not: it is not a recording, or belongs to a
        server. Raises OSError; BadNumber for a bound below 4 kB.
        """
        arguments.whole("max_bytes", max_bytes, MIN_BYTES)
        arguments.whole("keep", keep, 0)
        self.path = path
        self.failure: Exception | None = None
        self._coder = coder
        self._parts = coder.kinds.parts
        self._about = about
        self._max_bytes = max_bytes
        self._keep = keep
        self._clock = clock
        self._now_s: float | None = None
        self._run = uuid4().hex
        self._part = 0
        self._quorum: QuorumSystem | None = None
        self._processes: dict[Place, Process[S, R, object]] = {}
        self._introduced: set[Place] = set()
        self._sum = self._empty_size = 0
        self._descriptor: int | None = self._open()

    # --- what an observer is told ---------------------------------------------------------------

    def set_time(self, now_s: float) -> None:
        """What comes next happens at ``now_s`` of a virtual time."""
        self._now_s = float(now_s)

    def started(self, place: Place, quorum: QuorumSystem, process: Process[S, R, object]) -> None:
        """A server starts from its disk."""
        if self._descriptor is None:
            return
        with self._giving_up():
            coded = [self._coder.encode(record) for record in process.disk]
            if self._quorum is None:
                self._quorum = quorum
                self._begin_part()
            elif quorum != self._quorum:
                raise RecordingError("a recording is of one quorum system, and this is another.")
            self._introduced.add(place)
            self._write(place, entries.began(place, coded))
            self._processes[place] = process

    def stepped(
        self,
        place: Place,
        event: E,
        before: Process[S, R, object],
        after: Process[S, R, object],
    ) -> None:
        """``event`` led from ``before`` to ``after``."""
        held = self._processes.get(place)
        if held is None:
            return
        waits = len(after.waiting) > len(before.waiting)
        with self._giving_up():
            changed = self._changed(held.state, after.state)
            self._write(place, entries.took(self._coder.encode(event), changed, waits, None))
            self._processes[place] = after

    def state_set(self, place: Place, process: Process[S, R, object]) -> None:
        """The server is in this state from here on."""
        if place in self._processes:
            with self._giving_up():
                self._write(place, {"given": self._coder.encode(process.state)})
                self._processes[place] = process

    def saved(
        self,
        place: Place,
        process: Process[S, R, object],
        records: tuple[R, ...],  # noqa: ARG002
        count: int,
    ) -> None:
        """What the first ``count`` waiting steps have to say is free; if they waited at all."""
        held = self._processes.get(place)
        if held is not None:
            with self._giving_up():
                if held.waiting:
                    self._write(place, {"freed": count})
                self._processes[place] = process

    def sent(
        self,
        place: Place,
        process: Process[S, R, object],
        effects: tuple[object, ...],
    ) -> None:
        """Follows from the entries before it."""

    def failed(self, place: Place, event: E, error: InvariantError) -> None:
        """``event`` raised ``error``."""
        if place in self._processes:
            with self._giving_up():
                coded = self._coder.encode(event)
                self._write(place, entries.took(coded, {}, False, type(error).__name__))

    def stopped(self, place: Place, records: tuple[R, ...], why: str) -> None:
        """The server has stopped; as many of its waiting steps were durable as ``records``."""
        if place in self._processes:
            with self._giving_up():
                self._write(place, entries.ended(why, len(records)))
                del self._processes[place]

    # --- the file -------------------------------------------------------------------------------

    def close(self) -> None:
        """Say that it ends in good order, and let go of the file. May be called again."""
        if self._descriptor is not None and self._quorum is not None:
            with self._giving_up():
                self._append(dumped({"at_s": self._time_s(), "closed": True}))
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _changed(self, before: S, after: S) -> Digests:
        """The digests of the parts that are other objects now."""
        parts = ((part, getattr(after, part)) for part in self._parts)
        return {
            part: self._coder.digest(now) for part, now in parts if now is not getattr(before, part)
        }

    def _write(self, place: Place, said: Body) -> None:
        body = self._body(place, said)
        due = [*self._due(place), body]
        if self._size > self._empty_size and self._size + _room(due) > self._max_bytes:
            self._rotate()
            due = [*self._due(place), body]
        self._introduced.add(place)
        for it in due:
            self._append(it)

    def _due(self, place: Place) -> Iterator[bytes]:
        """What stands in a file before the first line about a server: its whole state."""
        held = self._processes.get(place)
        if held is not None and place not in self._introduced:
            disk = [self._coder.encode(it) for it in held.disk]
            waiting = [self._coder.encode(it.record) for it in held.waiting]
            state = self._coder.encode(held.state)
            yield self._body(place, entries.known(place, state, disk, waiting))

    def _body(self, place: Place, said: Body) -> bytes:
        lane, name = place.key
        head: Body = {"at_s": self._time_s(), "server": lane, "name": name}
        return dumped(head | said)

    def _time_s(self) -> float:
        return round(self._clock() if self._now_s is None else self._now_s, 6)

    def _open(self) -> int:
        """Append to what is there; what a killed writer left unfinished gets its line end."""
        descriptor = open_for_writing(self.path, RECORDING)
        try:
            self._size = os.fstat(descriptor).st_size
            is_torn = self._size > 0 and os.pread(descriptor, 1, self._size - 1) != b"\n"
            if is_torn:
                self._size += os.write(descriptor, b"\n")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _begin_part(self) -> None:
        assert self._quorum is not None
        self._part += 1
        self._introduced.clear()
        about = self._about
        header = Header(
            self._run,
            self._part,
            about.runtime,
            about.machine,
            self._quorum,
            version(),
            fingerprint(self._coder.kinds.modules),
            dict(about.facts),
            {str(lane): name for lane, name in about.lanes.items()},
        )
        self._sum = 0
        self._empty_size = 0
        body = dumped(entries.header_body(header, self._coder))
        if self._size > 0 and self._size + _room([body]) > self._max_bytes:
            self._move_away()
        is_first = self._size == 0
        self._append(body)
        self._empty_size = self._size if is_first else 0

    def _rotate(self) -> None:
        self._move_away()
        self._begin_part()

    def _move_away(self) -> None:
        """Make room for a new file. Raises OutputRefused if another one took the place of ours."""
        assert self._descriptor is not None
        if not is_same(self.path, self._descriptor):
            raise OutputRefused(self.path, "is another file now: it was left alone.")
        for number in range(self._keep, 0, -1):
            newer = older(self.path, number - 1)
            if os.path.lexists(newer):
                move(newer, older(self.path, number), RECORDING)
        if self._keep == 0:
            remove(self.path, RECORDING)
        os.close(self._descriptor)
        self._descriptor = None
        self._descriptor = self._open()

    def _append(self, body: bytes) -> None:
        assert self._descriptor is not None
        line, self._sum = entries.sealed(body, self._sum)
        written = os.write(self._descriptor, line)
        self._size += written
        if written < len(line):
            raise OSError(f"only {written} of {len(line)} bytes were written to {self.path}")

    @contextmanager
    def _giving_up(self) -> Generator[None, None, None]:
        """After a failure nothing is recorded; the servers go on."""
        try:
            yield
        except Exception as error:
            self.failure = error
            self._let_go()
            _logger.error("%s is not recorded any further: %s", self.path, error)

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._processes.clear()


class Recorder(MachineRecorder[server.Server[V], server.Event[V], server.Record[V]]):
    """Records servers of one decision into the file ``path``; ``codec`` is for their values.

    ``runtime`` says what runs the servers, ``protocol`` what they do, ``facts`` whatever else a
    reader should know, ``lanes`` names for servers that are not called by their ids.
    """

    def __init__(
        self,
        path: Path,
        *,
        codec: Codec[V],
        runtime: str,
        protocol: str = "paxos",
        facts: Mapping[str, str] | None = None,
        lanes: Mapping[ServerId, str] | None = None,
        **rotation: Unpack[Rotation],
    ) -> None:
        """Open the file. Raises as MachineRecorder."""
        about = About(runtime, protocol, facts or {}, lanes or {})
        super().__init__(path, single_coder(codec), about, **rotation)


def _room(bodies: Sequence[bytes]) -> int:
    """How many bytes the lines of ``bodies`` take, and the one that ends a file."""
    return sum(len(it) + ROOM for it in bodies) + END_BYTES


def older(path: Path, number: int) -> Path:
    """The file that was FILE ``number`` rotations ago."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")
