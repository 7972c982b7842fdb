"""Sessions: how a peer tells a disk that was rolled back from one that was merely restarted.

The rules:

- *Opening.* One commit appends (last session, saves found in the database) to the chain, and a new
  session. Then the mark is written and synced with (session, count). Then the first datagram.
  Every opening draws a session, after a kill too. A count is sent after its commit.
- *Peer* that knows (s, m), and receives session t at count n with one entry of t's chain:
  if t = s, the datagram is heard, and m only rises. If the entry is (s, e) with e >= m, it is
  heard, and the peer knows (t, n). Else it is not heard, knowledge does not move, and the peer
  sends "(s, m), of which t is short".
- *Server.* A refusal counts only if it names the running session, and if its sender has not
  acknowledged that session. Then the server looks into its own chain. It has s with m: it answers
  with that entry. It lacks it: it stops.
- *Mark.* A file is damaged unless its chain holds the mark's session with the mark's count.
- *Bound.* Entries before the running session are dropped once every peer has acknowledged it from
  durable knowledge. Beyond ``keep`` the oldest are dropped. The mark's entry is never dropped.

A disk may be copied at any moment and restored later, file, mark or both, also beside the
original. Processes and peers are killed, power cuts take back what the mark had not synced, and
every frame and every refusal may come late and again. A resumed memory image is not modelled.

What is true is kept apart from what is said: every opening starts a *branch* at a point of another
one, so that "descends" is known. Claims: no peer hears a disk that does not descend from what the
peer remembers; no server stops, and no file counts as damaged, that does descend; and every disk
that does not descend is refused by the peers and marks that can know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from random import Random
from typing import NamedTuple

from tests.tools.models.disks import (
    COMMITTED,
    NO_ENTRY,
    ROW_PENDING,
    UP,
    Entry,
    File,
    Frame,
    Outcome,
    Peer,
    Place,
    Point,
    Process,
    Refusal,
    World,
    at_stage,
    deliveries,
    descends,
    forgetting,
    is_pending,
    killable,
    look_up,
    mark_of,
    peers,
    place_at,
    process_of,
    put,
    put_peer,
    refusals,
    restores,
    running,
    sending,
    start,
    stopped,
    with_disk,
    with_one,
)


class Broken(Enum):
    """The broken variants; each replaces one clause of the rules."""

    GROWING_COUNTS = "a growing count is enough"
    NO_END_COUNTS = "no end counts"
    SESSION_KEPT_OVER_A_KILL = "session kept over a kill"
    KNOWLEDGE_FOLLOWS_LATE_ANCESTORS = "knowledge follows late ancestors"
    ROW_WRITTEN_AFTER_USE = "row written after use"
    END_FROM_THE_MARK = "end taken from the mark"
    END_MUST_BE_ABOVE = "end must be above"
    COUNT_TOLD_TOO_EARLY = "count told too early"
    MARK_WITHOUT_SESSION = "mark without session"
    MARKS_ENTRY_DROPPED = "the mark's entry dropped"
    DROPPED_BEFORE_DURABLE = "dropped before acknowledgements are durable"
    ANY_REFUSAL_COUNTS = "a refusal of any session counts, at any time"


HEARD = "a stale disk is heard"
NOT_TOLD = "a stale disk is not told"
MISSED = "damage is missed"
FALSE_ALARM = "a sound file counts as damaged"
STOPPED = "an honest server is stopped"
NOT_HEARD = "an honest server is not heard"


class Kind(NamedTuple):
    """One kind of step: what it may be taken with, how often it is drawn, what bounds it."""

    choices: Callable[[World], Sequence[tuple[object, ...]]]
    apply: Callable[..., Outcome]
    weight: int
    bound: str = ""


class Sessions:
    """The rules, of which one may be broken. ``keep`` bounds the chain."""

    def __init__(self, broken: Broken | None = None, keep: int = 3) -> None:
        self.broken = broken
        self.keep = keep
        self.kinds = {
            "open": Kind(stopped, self.open, 10, "openings"),
            "write the row": Kind(at_stage(ROW_PENDING), self.write_row, 8),
            "sync the mark": Kind(at_stage(COMMITTED), self.sync_mark, 20),
            "save": Kind(at_stage(UP), self.save, 8, "saves"),
            "send": Kind(sending, self.send, 14),
            "deliver": Kind(deliveries, self.deliver, 24),
            "refuse": Kind(refusals, self.refuse, 10),
            "acknowledge": Kind(self.acknowledging, self.acknowledge, 14),
            "forget": Kind(forgetting, self.forget, 20),
            "peer saves": Kind(peers, self.peer_saves, 4),
            "peer killed": Kind(peers, self.peer_killed, 1, "kills"),
            "kill": Kind(killable, self.kill, 2),
            "kill before the mark": Kind(at_stage(UP), self.kill_before_mark, 2, "saves"),
            "power cut": Kind(killable, self.power_cut, 1, "cuts"),
            "close": Kind(at_stage(UP), self.close, 2),
            "back up": Kind(with_disk, self.back_up, 2, "backups"),
            "restore": Kind(restores, self.restore, 3, "restores"),
        }

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """All that can happen next."""
        for name, kind in self.kinds.items():
            if kind.bound and not getattr(world.left, kind.bound):
                continue
            for choice in kind.choices(world):
                event, after = kind.apply(world, *choice)
                if kind.bound:
                    after = after._replace(left=after.left.without(kind.bound))
                yield f"{name}: {event}", after

    # --- opening and saving ---------------------------------------------------------------------

    def is_damaged(self, place: Place) -> bool:
        """Whether the mark shows that the file is older than it was."""
        file, mark = place.file, place.mark
        if self.broken is Broken.MARK_WITHOUT_SESSION:
            return file.saves < mark.saves
        entry = look_up(file, mark.session)
        return entry is None or entry.saves < mark.saves

    def open(self, world: World, at: int) -> Outcome:
        """The check of the mark, then the first commit: the old session's end and a new session."""
        place = place_at(world, at)
        here = Point(place.file.branch, place.file.saves)
        is_old = not descends(world, here, Point(place.mark.branch, place.mark.saves))
        if self.is_damaged(place):
            dropped = place.file.acknowledged + place.file.beyond_bound
            if is_old:
                return "damaged, and found", world
            if place.is_mixed and place.mark.session in dropped:
                return "mark older than the chain", world
            return "false alarm", world._replace(wrong=FALSE_ALARM)
        if is_old:
            return "damaged, and missed", world._replace(wrong=MISSED)
        new = len(world.branches)
        world = world._replace(branches=(*world.branches, here))
        file = place.file
        if self.broken is Broken.ROW_WRITTEN_AFTER_USE:
            return "opened", put(world, at, place._replace(process=Process(ROW_PENDING, new)))
        if self.broken is Broken.SESSION_KEPT_OVER_A_KILL and not file.was_closed:
            place = place._replace(file=file._replace(branch=new))
            process = Process(COMMITTED, file.session)
        else:
            place = place._replace(file=self.with_row(place, new))
            process = Process(COMMITTED, new)
        return "opened", put(world, at, place._replace(process=process))

    def with_row(self, place: Place, session: int) -> File:
        """The file after the first commit of an opening."""
        file, mark = place.file, place.mark
        end = file.saves
        if self.broken is Broken.END_FROM_THE_MARK:
            end = min(mark.saves, file.saves)
        chain = [*file.chain, Entry(file.session, end)]
        beyond = list(file.beyond_bound)
        while len(chain) > self.keep:
            may_go = [
                it
                for it in chain
                if it.session != mark.session or self.broken is Broken.MARKS_ENTRY_DROPPED
            ]
            chain.remove(may_go[0])
            beyond.append(may_go[0].session)
        return File(
            tuple(chain), session, file.saves + 1, session, False, file.acknowledged, tuple(beyond)
        )

    def write_row(self, world: World, at: int) -> Outcome:
        """Broken: the row of the session in use is written only now."""
        place = place_at(world, at)
        session = process_of(place).session
        place = place._replace(file=self.with_row(place, session))
        return "row", put(world, at, place._replace(process=Process(COMMITTED, session)))

    def sync_mark(self, world: World, at: int) -> Outcome:
        """The mark is written and synced; from now on the process may send."""
        place = place_at(world, at)
        mark = mark_of(place.file)
        process = process_of(place)._replace(stage=UP)
        place = place._replace(mark=mark, synced=mark, is_mixed=False, process=process)
        return "up", put(world, at, place)

    def save(self, world: World, at: int) -> Outcome:
        """One commit; the mark is written and not synced."""
        place = place_at(world, at)
        file = place.file._replace(saves=place.file.saves + 1)
        return "saved", put(world, at, place._replace(file=file, mark=mark_of(file)))

    def kill_before_mark(self, world: World, at: int) -> Outcome:
        """A kill between a commit and the mark."""
        place = place_at(world, at)
        file = place.file._replace(saves=place.file.saves + 1)
        return "killed", put(world, at, place._replace(file=file, process=None))

    def kill(self, world: World, at: int) -> Outcome:
        """The process ends; what it wrote stays."""
        return "killed", put(world, at, place_at(world, at)._replace(process=None))

    def power_cut(self, world: World, at: int) -> Outcome:
        """The process ends, and the mark says what it had synced."""
        place = place_at(world, at)
        return "power cut", put(world, at, place._replace(process=None, mark=place.synced))

    def close(self, world: World, at: int) -> Outcome:
        """A clean end: the mark is synced."""
        place = place_at(world, at)
        file = place.file
        if self.broken is Broken.SESSION_KEPT_OVER_A_KILL:
            file = file._replace(was_closed=True)
        return "closed", put(world, at, place._replace(file=file, synced=place.mark, process=None))

    def back_up(self, world: World, at: int) -> Outcome:
        """A copy of the file and of its mark, also of a running one."""
        place = place_at(world, at)
        return "backed up", world._replace(
            backups=(*world.backups, place._replace(process=None)),
        )

    def restore(self, world: World, at: int, which: int, what: str) -> Outcome:
        """File, mark or both come back, or turn up at another place."""
        backup = world.backups[which]
        backup = backup._replace(synced=backup.mark)
        place = world.places[at] or backup
        match what:
            case "file":
                place = place._replace(file=backup.file, is_mixed=True)
            case "mark":
                place = place._replace(mark=backup.mark, synced=backup.mark, is_mixed=True)
            case _:
                place = backup
        return "restored", put(world, at, place)

    # --- datagrams ------------------------------------------------------------------------------

    def send(self, world: World, at: int) -> Outcome:
        """A frame, with the entry before the running session."""
        place = place_at(world, at)
        file = place.file
        previous = file.chain[-1] if file.chain else NO_ENTRY
        if is_pending(place):
            previous = Entry(file.session, file.saves)
        return "sent", self._sent(world, place, previous)

    def frame(self, place: Place, previous: Entry) -> Frame:
        """What a process says of its disk, with one entry of its chain."""
        file = place.file
        saves = file.saves + (self.broken is Broken.COUNT_TOLD_TOO_EARLY)
        return Frame(process_of(place).session, saves, previous, Point(file.branch, file.saves))

    def _sent(self, world: World, place: Place, previous: Entry) -> World:
        return world._replace(frames=with_one(world.frames, self.frame(place, previous)))

    def covers(self, entry: Entry, known: Entry) -> bool:
        """Whether a chain with ``entry`` descends from ``known``."""
        if entry.session != known.session:
            return False
        match self.broken:
            case Broken.NO_END_COUNTS:
                return True
            case Broken.END_MUST_BE_ABOVE:
                return entry.saves > known.saves
            case _:
                return entry.saves >= known.saves

    def hears(self, peer: Peer, frame: Frame) -> bool:
        """Whether a peer takes what a frame says."""
        known = peer.known
        if known is None or frame.session == known.session:
            return True
        if self.broken is Broken.GROWING_COUNTS:
            return frame.previous.saves >= known.saves
        if self.broken is Broken.KNOWLEDGE_FOLLOWS_LATE_ANCESTORS and frame.session in peer.past:
            return True
        return self.covers(frame.previous, known)

    def deliver(self, world: World, frame: Frame, to: int) -> Outcome:
        """A frame reaches a peer, early, late or again."""
        peer = world.peers[to]
        known, truth = peer.known, peer.heard
        if not self.hears(peer, frame):
            assert known is not None
            assert truth is not None
            refusal = Refusal(frame.session, to, known, truth)
            is_late = descends(world, truth, frame.truth)
            is_short = descends(world, frame.truth, truth)
            world = world._replace(refusals=with_one(world.refusals, refusal))
            return "late, dropped" if is_late else "asked" if is_short else "stale, dropped", world
        if truth is None or descends(world, frame.truth, truth):
            truth = frame.truth
        elif not descends(world, truth, frame.truth):
            return "heard, wrongly", world._replace(wrong=HEARD)
        if known is not None and known.session == frame.session:
            known = Entry(known.session, max(known.saves, frame.saves))
        else:
            known = Entry(frame.session, frame.saves)
        peer = peer._replace(known=known, heard=truth)
        if self.broken is Broken.KNOWLEDGE_FOLLOWS_LATE_ANCESTORS:
            past = {*peer.past, frame.previous.session, frame.session}
            peer = peer._replace(past=tuple(sorted(past)))
        return "heard", put_peer(world, to, peer)

    def refuse(self, world: World, refusal: Refusal, at: int) -> Outcome:
        """A refusal reaches the process at ``at``, which looks into its own chain."""
        place = place_at(world, at)
        process, here = process_of(place), Point(place.file.branch, place.file.saves)
        is_of_now = process.session == refusal.refused and refusal.peer not in process.acknowledged
        if not is_of_now and self.broken is not Broken.ANY_REFUSAL_COUNTS:
            return "late refusal", world
        is_right = not descends(world, here, refusal.truth)
        entry = look_up(place.file, refusal.known.session)
        if entry is not None and self.covers(entry, refusal.known):
            if is_right:
                return "not stopped", world._replace(wrong=NOT_TOLD)
            return "answered", self._sent(world, place, entry)
        if is_right:
            return "stopped, rightly", put(world, at, place._replace(process=None))
        if refusal.known.session in place.file.beyond_bound:
            return "beyond the bound", put(world, at, place._replace(process=None))
        return "stopped, wrongly", world._replace(wrong=STOPPED)

    def acknowledging(self, world: World) -> list[tuple[int, int]]:
        """Peers that know a running session: durably, unless that clause is broken."""
        found: list[tuple[int, int]] = []
        for at, place in running(world, UP):
            session = process_of(place).session
            for by, peer in enumerate(world.peers):
                is_early = self.broken is Broken.DROPPED_BEFORE_DURABLE
                known = peer.known if is_early else peer.saved
                if known is not None and known.session == session:
                    found.append((by, at))
        return found

    def acknowledge(self, world: World, by: int, at: int) -> Outcome:
        """A peer that knows the running session, durably, says so."""
        place = place_at(world, at)
        process = process_of(place)
        acknowledged = tuple(sorted({*process.acknowledged, by}))
        place = place._replace(process=process._replace(acknowledged=acknowledged))
        return "acknowledged", put(world, at, place)

    def forget(self, world: World, at: int) -> Outcome:
        """All peers are beyond the earlier sessions, and so is the mark."""
        place = place_at(world, at)
        gone = tuple(it.session for it in place.file.chain)
        file = place.file._replace(chain=(), acknowledged=place.file.acknowledged + gone)
        return "forgotten", put(world, at, place._replace(file=file))

    def peer_saves(self, world: World, it: int) -> Outcome:
        """What a peer knows is saved with something else."""
        peer = world.peers[it]
        return "peer saved", put_peer(
            world, it, peer._replace(saved=peer.known, saved_heard=peer.heard)
        )

    def peer_killed(self, world: World, it: int) -> Outcome:
        """A peer knows again what it had saved."""
        peer = world.peers[it]
        peer = Peer(peer.saved, peer.saved, peer.saved_heard, peer.saved_heard)
        return "peer killed", put_peer(world, it, peer)


# --- histories and walks -------------------------------------------------------------------------

STEPS = 120
PEERS = 2
MOODS = 0.2, 1, 5
"""Each history draws how much more often than usual each kind of step is taken in it."""
NEWEST = 0.3
"""How often the newest choice is taken, rather than any."""


class History(NamedTuple):
    """One random history: what was wrong in it, and how often each thing happened."""

    wrong: str
    events: Counter[str]


def history(rules: Sessions, seed: int, *, copies: bool) -> History:
    """``STEPS`` steps of a random history, with backups and restores, or of one disk."""
    random = Random(seed)
    kinds = {
        name: kind
        for name, kind in rules.kinds.items()
        if copies or kind.apply not in (rules.back_up, rules.restore)
    }
    weights = [it.weight * random.choice(MOODS) for it in kinds.values()]
    drawn = random.choices([*kinds.values()], weights, k=4 * STEPS)
    world = start(PEERS, places=1 + copies)
    events: Counter[str] = Counter()
    for kind in drawn:
        if not (choices := kind.choices(world)):
            continue
        choice = choices[-1] if random.random() < NEWEST else random.choice(choices)
        event, world = kind.apply(world, *choice)
        events[event] += 1
        if world.wrong:
            return History(world.wrong, events)
        if events.total() == STEPS:
            break
    return History("" if copies else _is_heard_in_the_end(rules, world), events)


def _is_heard_in_the_end(rules: Sessions, world: World) -> str:
    """A disk of which there is no copy is heard, after one question and its answer at most."""
    if place_at(world, 0).process is None:
        _, world = rules.open(world, 0)
    if is_pending(place_at(world, 0)):
        _, world = rules.write_row(world, 0)
    if world.wrong:
        return world.wrong
    if process_of(place_at(world, 0)).stage == COMMITTED:
        _, world = rules.sync_mark(world, 0)
    place = place_at(world, 0)
    for peer in world.peers:
        known = peer.known
        if known is None or known.session in place.file.beyond_bound:
            continue
        entry = look_up(place.file, known.session)
        if entry is None or not rules.hears(peer, rules.frame(place, entry)):
            return NOT_HEARD
    return world.wrong
