"""The recorder: a witness that writes down what it is told, in a file of bounded size.

- Each line is with the system before what it tells of has left the server. Whoever is killed has
  recorded all that anybody can have heard.
- When FILE is full it becomes FILE.1, and a new FILE begins. In it each server is told with its
  whole state before anything else about it, so that a file can be replayed by itself.
- A file that is there is appended to.
- To record never harms: whatever goes wrong ends the recording, is logged once, and nothing else.

Not thread-safe: it belongs to whoever steps the servers.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Generic, Self
from uuid import uuid4

from attrs import define

from paxos import PaxosError, QuorumSystem, ServerId, server
from paxos.ballot import V
from paxos_adapters import numbers
from paxos_adapters.coding import Coder, CodingError, dumped
from paxos_adapters.outputs import RECORDING, OutputRefused, is_same, move, open_for_writing, remove
from paxos_adapters.ports import Codec
from paxos_lab.record import entries
from paxos_lab.record.entries import PARTS, Body, Digests, Header
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.fingerprint import fingerprint, version

_logger = logging.getLogger(__name__)

MAX_BYTES = 64 * 2**20
"""How large FILE may get, and each older one, if nothing else is said."""

MIN_BYTES = 4_096
ROOM = 32
"""What a line has besides its body, in bytes."""

END_BYTES = 128
"""Room for the line that says that a recording has ended in good order."""


@define
class _Server(Generic[V]):
    """What a server was after its last step, and how many steps wait for a save."""

    state: server.Server[V]
    waiting: int = 0


class Recorder(Generic[V]):
    """Records into the file ``path``. A context manager; ``failure`` is what has ended it, if so.

    ``runtime`` says what runs the servers, ``protocol`` what they do, ``facts`` whatever else a
    reader should know, ``lanes`` names for servers that are not called by their ids.
    ``max_bytes`` bounds each file, unless a header and one entry alone take more; ``keep`` says
    how many older files stay.
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
        max_bytes: int = MAX_BYTES,
        keep: int = 1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the file.

        Raises OutputRefused if it cannot be, or must not: it is not a recording, or belongs to a
        server. Raises OSError; BadNumber for a bound below 4 kB.
        """
        numbers.whole("max_bytes", max_bytes, MIN_BYTES)
        numbers.whole("keep", keep, 0)
        self.path = path
        self.failure: Exception | None = None
        self._coder = Coder(codec)
        self._about = runtime, protocol
        self._facts = dict(facts or {})
        self._lanes = {str(lane): name for lane, name in (lanes or {}).items()}
        self._max_bytes = max_bytes
        self._keep = keep
        self._clock = clock
        self._now_s: float | None = None
        self._run = uuid4().hex
        self._part = 0
        self._quorum: QuorumSystem | None = None
        self._servers: dict[tuple[ServerId, str], _Server[V]] = {}
        self._introduced: set[tuple[ServerId, str]] = set()
        self._sum = self._empty_size = 0
        self._descriptor: int | None = self._open()

    # --- what a witness is told -----------------------------------------------------------------

    def at(self, now_s: float) -> None:
        """What comes next happens at ``now_s`` of a virtual time."""
        self._now_s = float(now_s)

    def began(
        self,
        me: ServerId,
        name: str,
        quorum: QuorumSystem,
        records: Iterable[server.Record[V]],
        *,
        lane: ServerId | None = None,
    ) -> None:
        """A server starts from ``records``; it is called by its ``lane`` from here on."""
        if self._descriptor is None:
            return
        try:
            known = tuple(records)
            coded = [self._coder.encode(record) for record in known]
            if self._quorum is None:
                self._quorum = quorum
                self._begin_part()
            elif quorum != self._quorum:
                raise RecordingError("a recording is of one quorum system, and this is another.")
            lane = me if lane is None else lane
            self._introduced.add((lane, name))
            self._write(lane, name, entries.began(me, lane, coded))
            self._servers[lane, name] = _Server(server.start(me, quorum, known))
        except PaxosError as error:
            if isinstance(error, CodingError):
                self._give_up(error)
        except Exception as error:
            self._give_up(error)

    def took(
        self, me: ServerId, name: str, event: server.Event[V], after: server.Server[V], waits: bool
    ) -> None:
        """``event`` led to ``after``."""
        held = self._servers.get((me, name))
        if self._descriptor is None or held is None:
            return
        try:
            changed = self._changed(held.state, after)
            self._write(me, name, entries.took(self._coder.encode(event), changed, waits, None))
            held.state = after
            held.waiting += waits
        except Exception as error:
            self._give_up(error)

    def saved(self, me: ServerId, name: str, steps: int) -> None:
        """What the first ``steps`` that wait have to say is free."""
        held = self._servers.get((me, name))
        if held is not None:
            self._tell(me, name, {"freed": steps})
            held.waiting -= steps

    def broke(self, me: ServerId, name: str, event: server.Event[V], error: BaseException) -> None:
        """``event`` raised ``error``."""
        if self._descriptor is None or (me, name) not in self._servers:
            return
        try:
            coded = self._coder.encode(event)
            self._write(me, name, entries.took(coded, {}, False, type(error).__name__))
        except Exception as failure:
            self._give_up(failure)

    def given(self, me: ServerId, name: str, state: server.Server[V]) -> None:
        """The server is in ``state`` from here on."""
        try:
            self._tell(me, name, {"given": self._coder.encode(state)})
            self._servers[me, name] = _Server(state)
        except Exception as error:
            self._give_up(error)

    def ended(self, me: ServerId, name: str, why: str) -> None:
        """The server is no more."""
        if (me, name) in self._servers:
            self._tell(me, name, {"ended": why})
            del self._servers[me, name]

    # --- the file -------------------------------------------------------------------------------

    def close(self) -> None:
        """Say that it ends in good order, and let go of the file. May be called again."""
        if self._descriptor is not None and self._quorum is not None:
            try:
                self._append(dumped({"at_s": self._time_s(), "closed": True}))
            except Exception as error:
                self._give_up(error)
        self._let_go()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _changed(self, before: server.Server[V], after: server.Server[V]) -> Digests:
        """The digests of the parts that are other objects now."""
        parts = ((part, getattr(after, part)) for part in PARTS)
        return {
            part: self._coder.digest(now) for part, now in parts if now is not getattr(before, part)
        }

    def _tell(self, me: ServerId, name: str, said: Body) -> None:
        if self._descriptor is not None:
            try:
                self._write(me, name, said)
            except Exception as error:
                self._give_up(error)

    def _write(self, me: ServerId, name: str, said: Body) -> None:
        body = self._body(me, name, said)
        due = [*self._due(me, name), body]
        if self._size > self._empty_size and self._size + _room(due) > self._max_bytes:
            self._rotate()
            due = [*self._due(me, name), body]
        self._introduced.add((me, name))
        for it in due:
            self._append(it)

    def _due(self, me: ServerId, name: str) -> Iterator[bytes]:
        """What stands in a file before the first line about a server: its whole state."""
        held = self._servers.get((me, name))
        if held is not None and (me, name) not in self._introduced:
            state = self._coder.encode(held.state)
            yield self._body(me, name, {"known": state, "waiting": held.waiting})

    def _body(self, me: ServerId, name: str, said: Body) -> bytes:
        head: Body = {"at_s": self._time_s(), "server": me, "name": name}
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
        runtime, protocol = self._about
        header = Header(
            self._run,
            self._part,
            runtime,
            protocol,
            self._quorum,
            version(),
            fingerprint(),
            self._facts,
            self._lanes,
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

    def _give_up(self, error: Exception) -> None:
        """From here on nothing is recorded; who runs the servers goes on."""
        self.failure = error
        self._let_go()
        _logger.error("%s is not recorded any further: %s", self.path, error)

    def _let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._servers.clear()


def _room(bodies: Sequence[bytes]) -> int:
    """How many bytes the lines of ``bodies`` take, and the one that ends a file."""
    return sum(len(it) + ROOM for it in bodies) + END_BYTES


def older(path: Path, number: int) -> Path:
    """The file that was FILE ``number`` rotations ago."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")
