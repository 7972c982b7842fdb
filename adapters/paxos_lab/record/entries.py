"""The format: a line of JSON for each thing that happened, under a header that says what was run.

- A header begins a file, and again each start of a recorder. ``part`` counts the files that
  it has filled.
- Every other line is an entry: when, which server, which decision, and what happened to it.
- Each line ends in a checksum over itself and all lines before it, up to the header: what is
  altered, missing or out of place is noticed.
- Appended to, and never changed. A line without an end is one that was being written when its
  writer was killed.
"""

from __future__ import annotations

import json
import re
from typing import Generic, TypeAlias, cast, final
from zlib import crc32

from attrs import Factory, frozen

from paxos import QuorumSystem, ServerId
from paxos_adapters.coding import Coder, E_co, Json
from paxos_adapters.machine import R, S
from paxos_adapters.ports import Place
from paxos_lab.record.errors import RecordingError

FORMAT = 3
SUM = re.compile(rb',"sum":"([0-9a-f]{8})"\}')

Digests: TypeAlias = dict[str, str]
"""What stands for those parts of a state that have changed, by name."""


@frozen
class Header:
    """What was run, by which core, and who recorded it.

    ``core`` is the fingerprint of each module. ``lanes`` names servers that are called otherwise
    than by their ids. ``facts`` are for people. ``run`` is different for each start.
    """

    run: str
    part: int
    runtime: str
    protocol: str
    quorum: QuorumSystem
    version: str
    core: dict[str, str]
    facts: dict[str, str]
    lanes: dict[str, str]

    @property
    def text(self) -> str:
        """The same in one line."""
        facts = "".join(f", {name} {value}" for name, value in self.facts.items())
        made = f" with version {self.version}" if self.version else ""
        return f"Recorded by {self.runtime}{made}: {self.protocol}{facts}."


@final
@frozen
class Began(Generic[R]):
    """A server starts from ``records``, under the id ``me``."""

    me: ServerId
    records: tuple[R, ...]


@final
@frozen
class Took(Generic[E_co]):
    """It takes ``event``; ``digests`` are those of what has changed.

    ``waits``: what it says then waits for a save. ``raised``: it takes nothing, but finds the
    protocol broken, by an error of that name.
    """

    event: E_co
    digests: Digests = Factory(dict[str, str])
    waits: bool = False
    raised: str | None = None


@final
@frozen
class Freed:
    """A save is over: what the first ``steps`` that wait have to say leaves."""

    steps: int


@final
@frozen
class Given(Generic[S]):
    """It is in ``state``, by no event: a schedule says so."""

    state: S


@final
@frozen
class Known(Generic[S, R]):
    """At the beginning of a file ``me`` is in ``state``, with the records on its ``disk``.

    ``waiting`` are those that steps wait for, in order.
    """

    me: ServerId
    state: S
    disk: tuple[R, ...]
    waiting: tuple[R, ...]


@final
@frozen
class Ended:
    """It has stopped, and ``why``; the first ``durable`` of its waiting steps were saved."""

    why: str
    durable: int = 0


@final
@frozen
class Noted:
    """Something happened by no event: a schedule says so, for readers of the run."""

    text: str


What: TypeAlias = Began[R] | Took[E_co] | Freed | Given[S] | Known[S, R] | Ended | Noted


@frozen
class Entry(Generic[S, E_co, R]):
    """What happened to ``server``, in the decision ``name``, at ``at_s``.

    Seconds since 1970, or those of a virtual clock; ticks or steps where there are no seconds.
    """

    at_s: float
    server: ServerId
    name: str
    what: What[R, E_co, S]


@frozen
class Closed:
    """The recorder has ended in good order."""

    at_s: float


Body: TypeAlias = dict[str, Json]


def sealed(body: bytes, before: int) -> tuple[bytes, int]:
    """A line with its checksum, after a line whose checksum was ``before``; and that checksum."""
    body = body[:-1]
    sum_ = crc32(body, before)
    return b'%s,"sum":"%08x"}\n' % (body, sum_), sum_


def opened(line: bytes, before: int) -> tuple[Body, int]:
    """What a line says, and its checksum. Raises RecordingError."""
    end = SUM.fullmatch(line, max(len(line) - 18, 0))
    if end is None:
        raise RecordingError("it does not end in a checksum")
    body = line[: end.start()]
    sum_ = int(end[1], 16)
    is_first = body.startswith(b'{"recording":')
    if crc32(body, 0 if is_first else before) != sum_:
        raise RecordingError("its checksum does not fit, or a line before it is missing")
    try:
        found: object = json.loads(body + b"}")
    except (ValueError, RecursionError) as error:
        raise RecordingError(f"it is not JSON ({error})") from error
    return cast("Body", found), sum_


# --- headers ------------------------------------------------------------------------------------


def header_body(header: Header, coder: Coder[S, E_co, R]) -> Body:
    """What a header says."""
    return {
        "recording": FORMAT,
        "run": header.run,
        "part": header.part,
        "runtime": header.runtime,
        "protocol": header.protocol,
        "quorum": coder.encode(header.quorum),
        "version": header.version,
        "core": dict[str, Json](header.core),
        "facts": dict[str, Json](header.facts),
        "lanes": dict[str, Json](header.lanes),
    }


def header_of(body: Body, coder: Coder[S, E_co, R]) -> Header:
    """Back to a header. Raises RecordingError."""
    return Header(
        _text(body, "run"),
        _count(body, "part"),
        _text(body, "runtime"),
        _text(body, "protocol"),
        coder.quorum(body.get("quorum")),
        _text(body, "version"),
        _texts(body, "core"),
        _texts(body, "facts"),
        _texts(body, "lanes"),
    )


# --- entries ------------------------------------------------------------------------------------


def began(place: Place, records: list[Json]) -> Body:
    """What is written for Began."""
    body: Body = {"began": records}
    return body | _id(place)


def known(place: Place, state: Json, disk: list[Json], waiting: list[Json]) -> Body:
    """What is written for Known."""
    body: Body = {"known": state, "disk": disk, "waiting": waiting}
    return body | _id(place)


def _id(place: Place) -> Body:
    """The id of a server, if its lane is not that."""
    return {} if place.lane in (None, place.server) else {"me": place.server}


def took(event: Json, digests: Digests, waits: bool, raised: str | None) -> Body:
    """What is written for Took."""
    body: Body = {"took": event}
    if waits:
        body["waits"] = True
    if digests:
        body["now"] = dict[str, Json](digests)
    if raised is not None:
        body["raised"] = raised
    return body


def ended(why: str, durable: int) -> Body:
    """What is written for Ended."""
    return {"ended": why, "durable": durable} if durable else {"ended": why}


def entry_of(body: Body, coder: Coder[S, E_co, R]) -> Entry[S, E_co, R] | Closed:
    """Back to an entry. Raises RecordingError."""
    at_s = body.get("at_s")
    if not isinstance(at_s, int | float) or isinstance(at_s, bool):
        raise RecordingError("it does not say when it happened")
    if "closed" in body:
        return Closed(float(at_s))
    lane = coder.number(body.get("server"))
    return Entry(float(at_s), ServerId(lane), _text(body, "name"), _what(body, lane, coder))


def _what(body: Body, lane: int, coder: Coder[S, E_co, R]) -> What[R, E_co, S]:
    if "took" in body:
        return _took(body, coder)
    if "freed" in body:
        return Freed(_count(body, "freed"))
    if "began" in body:
        return Began(_me(body, lane, coder), _records(body, "began", coder))
    if "ended" in body:
        return Ended(_text(body, "ended"), _count(body, "durable") if "durable" in body else 0)
    if "known" in body:
        disk, waiting = _records(body, "disk", coder), _records(body, "waiting", coder)
        return Known(_me(body, lane, coder), coder.state(body["known"]), disk, waiting)
    if "given" in body:
        return Given(coder.state(body["given"]))
    raise RecordingError(f"it says nothing that is known here, but {sorted(body)}")


def _took(body: Body, coder: Coder[S, E_co, R]) -> Took[E_co]:
    digests = _texts(body, "now") if "now" in body else {}
    raised = _text(body, "raised") if "raised" in body else None
    return Took(coder.event(body["took"]), digests, body.get("waits") is True, raised)


def _me(body: Body, lane: int, coder: Coder[S, E_co, R]) -> ServerId:
    return ServerId(coder.number(body.get("me", lane)))


def _records(body: Body, key: str, coder: Coder[S, E_co, R]) -> tuple[R, ...]:
    return tuple(coder.record(it) for it in _list(body, key))


def _text(body: Body, key: str) -> str:
    found = body.get(key)
    if not isinstance(found, str):
        raise RecordingError(f"{key!r} is {found!r}, not text")
    return found


def _texts(body: Body, key: str) -> dict[str, str]:
    found = body.get(key)
    if not isinstance(found, dict):
        raise RecordingError(f"{key!r} is {found!r}, not texts by name")
    return {name: _text(found, name) for name in found}


def _count(body: Body, key: str) -> int:
    found = body.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise RecordingError(f"{key!r} is {found!r}, not a number from 0")
    return found


def _list(body: Body, key: str) -> list[Json]:
    found = body.get(key)
    if not isinstance(found, list):
        raise RecordingError(f"{key!r} is {found!r}, not a list")
    return found
