"""What the model of sessions is about: disks, peers, frames; and what is true of them.

What is said is kept apart from what is true: every opening starts a *branch* at a point of another
one, so that it is known whether a disk *descends* from another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeVar

ROW_PENDING, COMMITTED, UP = range(3)
"""How far a process is with its opening."""


class Entry(NamedTuple):
    """A session, and a count of saves in it."""

    session: int
    saves: int


class Point(NamedTuple):
    """What is true of a disk: the branch of history that it is on, and how far."""

    branch: int
    saves: int


class File(NamedTuple):
    """``chain`` has the ended sessions. The last two fields are truth: what was dropped and why."""

    chain: tuple[Entry, ...]
    session: int
    saves: int
    branch: int
    was_closed: bool = False
    acknowledged: tuple[int, ...] = ()
    beyond_bound: tuple[int, ...] = ()


class Mark(NamedTuple):
    """What stands beside a file."""

    session: int
    saves: int
    branch: int


class Process(NamedTuple):
    """A process that has a file open."""

    stage: int
    session: int
    acknowledged: tuple[int, ...] = ()


class Place(NamedTuple):
    """A place where a process may run with a disk; ``synced`` is what a power cut leaves.

    ``is_mixed``: file and mark were restored one without the other.
    """

    file: File
    mark: Mark
    synced: Mark
    is_mixed: bool = False
    process: Process | None = None


class Peer(NamedTuple):
    """What a peer knows; ``heard`` is the truth of it. ``saved...`` is what a kill leaves."""

    known: Entry | None = None
    saved: Entry | None = None
    heard: Point | None = None
    saved_heard: Point | None = None
    past: tuple[int, ...] = ()


class Frame(NamedTuple):
    """A datagram: its session and count, one entry of its chain, and the true state behind it."""

    session: int
    saves: int
    previous: Entry
    truth: Point


class Refusal(NamedTuple):
    """``peer`` knows ``known``, and ``refused`` has not shown that it descends from it."""

    refused: int
    peer: int
    known: Entry
    truth: Point


class Left(NamedTuple):
    """How often each may still happen."""

    openings: int = 999
    saves: int = 999
    backups: int = 999
    restores: int = 999
    cuts: int = 999
    kills: int = 999

    def without(self, name: str) -> Left:
        """One less of ``name``."""
        return Left(*(n - (field == name) for field, n in zip(self._fields, self, strict=True)))


class World(NamedTuple):
    """Everything. ``branches`` has the point at which each branch of history began."""

    places: tuple[Place | None, ...]
    peers: tuple[Peer, ...]
    left: Left
    branches: tuple[Point | None, ...] = (None,)
    backups: tuple[Place, ...] = ()
    frames: tuple[Frame, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    wrong: str = ""


Outcome: TypeAlias = tuple[str, World]
"""What happened, in words to be counted, and the world after it."""

T = TypeVar("T", Frame, Refusal)
NO_ENTRY = Entry(-1, -1)


def descends(world: World, later: Point, earlier: Point) -> bool:
    """The truth: whether the disk at ``later`` holds all that it held at ``earlier``."""
    point: Point | None = later
    while point is not None:
        if point.branch == earlier.branch:
            return point.saves >= earlier.saves
        point = world.branches[point.branch]
    return False


def is_pending(place: Place) -> bool:
    """Whether the session in use is not in the file (only if the row is written after use)."""
    return place.process is not None and place.process.stage == ROW_PENDING


def look_up(file: File, session: int) -> Entry | None:
    """What a file's own chain says of a session, the running one included."""
    if session == file.session:
        return Entry(session, file.saves)
    return next((it for it in file.chain if it.session == session), None)


def mark_of(file: File) -> Mark:
    """The mark as it is written beside ``file``."""
    return Mark(file.session, file.saves, file.branch)


def place_at(world: World, at: int) -> Place:
    """A place that has a disk."""
    place = world.places[at]
    assert place is not None
    return place


def process_of(place: Place) -> Process:
    """The process of a place where one runs."""
    assert place.process is not None
    return place.process


def put(world: World, at: int, place: Place) -> World:
    """The world with another place."""
    return world._replace(places=(*world.places[:at], place, *world.places[at + 1 :]))


def put_peer(world: World, at: int, peer: Peer) -> World:
    """The world with another peer."""
    return world._replace(peers=(*world.peers[:at], peer, *world.peers[at + 1 :]))


def with_one(all_: tuple[T, ...], one: T) -> tuple[T, ...]:
    """Datagrams are never lost from the model; they are kept in order, each once."""
    return all_ if one in all_ else tuple(sorted(set(all_) | {one}))


def start(peers: int, places: int = 1, left: Left | None = None) -> World:
    """One new disk, at the first place, and peers that know nothing."""
    file = File((), 0, 0, 0)
    first = Place(file, mark_of(file), mark_of(file))
    return World((first, *(None,) * (places - 1)), (Peer(),) * peers, left or Left())


# --- what each step may be taken with ------------------------------------------------------------


def running(world: World, *stages: int) -> list[tuple[int, Place]]:
    """The places where a process runs, at one of these stages."""
    return [
        (at, place)
        for at, place in enumerate(world.places)
        if place is not None and place.process is not None and place.process.stage in stages
    ]


def at_stage(stage: int) -> Callable[[World], list[tuple[int]]]:
    """The choices of a step that takes place at this stage."""
    return lambda world: [(at,) for at, _ in running(world, stage)]


def killable(world: World) -> list[tuple[int]]:
    """Where a process runs."""
    return [(at,) for at, _ in running(world, ROW_PENDING, COMMITTED, UP)]


def sending(world: World) -> list[tuple[int]]:
    """Where a process sends."""
    return [(at,) for at, _ in running(world, ROW_PENDING, UP)]


def with_disk(world: World) -> list[tuple[int]]:
    """Where a disk is."""
    return [(at,) for at, place in enumerate(world.places) if place is not None]


def stopped(world: World) -> list[tuple[int]]:
    """Where a disk is, and no process."""
    places = enumerate(world.places)
    return [(at,) for at, place in places if place is not None and place.process is None]


def peers(world: World) -> list[tuple[int]]:
    """Every peer."""
    return [(it,) for it in range(len(world.peers))]


def deliveries(world: World) -> list[tuple[Frame, int]]:
    """Every frame that was ever sent, to every peer."""
    return [(frame, to) for frame in world.frames for to in range(len(world.peers))]


def refusals(world: World) -> list[tuple[Refusal, int]]:
    """Every refusal that was ever sent, to every process."""
    return [(it, at) for it in world.refusals for at, _ in running(world, UP)]


def forgetting(world: World) -> list[tuple[int]]:
    """Where a process may drop entries that every peer is beyond."""
    return [
        (at,)
        for at, place in running(world, UP)
        if place.file.chain and len(process_of(place).acknowledged) == len(world.peers)
    ]


def restores(world: World) -> list[tuple[int, int, str]]:
    """Every backup, to every place without a process."""
    found: list[tuple[int, int, str]] = []
    for at, place in enumerate(world.places):
        if place is None:
            found += [(at, which, "both") for which in range(len(world.backups))]
        elif place.process is None:
            whats = ("file", "mark", "both")
            found += [(at, which, it) for which in range(len(world.backups)) for it in whats]
    return found
