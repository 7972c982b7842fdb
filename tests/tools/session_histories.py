"""Random histories of disks, copies, kills and late datagrams, for the sessions of a node.

- Each server has a file, and one of them may have backups that are put back, and copies that run
  beside it. A server is closed, or killed; datagrams come late, again, or not at all; a commit
  takes two steps, so that much may come between them.
- Strict, two disks of a server that do not descend from each other never both vote. No server whose
  disk was never put back or copied is ever stopped. Where that holds for all, they all vote in the
  end, after a restart of all.

``python -m tests.tools.session_histories SECONDS [SEED]``, part of ``make explore``.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random, SystemRandom
from tempfile import TemporaryDirectory

from attrs import frozen

from paxos import ServerId, majority
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.file import FileStore
from paxos_adapters.node import OlderCopy
from paxos_adapters.udp.links import Link
from paxos_adapters.udp.sessions import Registering, Sessions
from paxos_adapters.wire import Control, Missing, Reason, Received

STEPS = 400
ROUNDS = 12
"""How often all ping each other in the end."""

MOST_PLACES = 3
"""How many disks one server has at most."""


class Broken(AssertionError):
    """A claim does not hold in a history."""


@frozen
class Frame:
    """One datagram, which may come at any time."""

    number: int
    sender: ServerId
    receiver: ServerId
    disk_status: DiskStatus
    controls: tuple[Control, ...]


class Process:
    """A server that runs from the disk at ``place``. Raises OlderCopy."""

    def __init__(self, history: History, me: ServerId, place: Path) -> None:
        self.me = me
        self.has_opened = False
        self._history = history
        self._seen = set[int]()
        self._committing: tuple[Registering, ...] = ()
        self.file = FileStore.open(place / "n.db", cluster="c", server=me, quorum=history.quorum)
        self._links = {
            it: Link(("h", 1), [], known=self.file.peers.get(it))
            for it in history.servers
            if it != me
        }
        try:
            refused = Counter[Reason]()
            self.sessions = Sessions(
                self.file, self._links, refused, history.quorum, is_strict=history.is_strict
            )
        except OlderCopy:
            self.file.close()
            raise

    def ping(self) -> None:
        """Ask all peers."""
        self.sessions.ping(0.0)
        self._flush()

    def hear(self, frame: Frame) -> None:
        """Take a datagram, as the wire and the mesh do. Raises OlderCopy."""
        is_registered = self._links[frame.sender].session == frame.disk_status.session
        if is_registered and frame.number in self._seen:
            return
        opened = Received(frame.sender, frame.disk_status, is_registered, (), frame.controls, True)
        if is_registered:
            self._seen.add(frame.number)
            self.sessions.on_frame(opened)
        for control in frame.controls:
            self.sessions.on_control(opened, control, 0.0)
        self._flush()

    def commit(self) -> None:
        """Begin a commit; or end the one that was begun."""
        if not self._committing:
            self._committing = self.sessions.uncommitted()
        else:
            self.file.save(())
            self.sessions.on_committed(self._committing)
            self._committing = ()
            self._flush()

    def _flush(self) -> None:
        for peer, link in self._links.items():
            lines = link.drain()
            controls = tuple([it for it in lines if not isinstance(it, tuple | Missing)])
            if controls:
                self._history.send(self.me, peer, self.file.disk_status(link.entry), controls)


class History:
    """One life of a cluster."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seen = Counter[str]()
        chance = self._chance = Random(seed)
        self.servers = [ServerId(it) for it in range(1, chance.choice((3, 3, 5)) + 1)]
        self.quorum = majority(self.servers)
        self.is_strict = chance.random() < 0.6
        self._folder = folder
        self._suspect = chance.choice([None, *self.servers[:2]])
        self._is_tainted = False
        self._numbers = 0
        self._sent: list[Frame] = []
        self._places = {it: [folder / f"s{it}"] for it in self.servers}
        self._running: dict[Path, Process] = {}
        self._backups: list[Path] = []
        self._voted: dict[ServerId, list[str]] = {it: [] for it in self.servers}
        for server, (place,) in self._places.items():
            place.mkdir()
            FileStore.create(place / "n.db", cluster="c", server=server, quorum=self.quorum).close()

    def send(
        self, sender: ServerId, receiver: ServerId, said: DiskStatus, controls: tuple[Control, ...]
    ) -> None:
        """A datagram is on its way."""
        self._sent.append(Frame(self._next(), sender, receiver, said, controls))

    def live(self) -> Counter[str]:
        """Live it to its end; what happened. Raises Broken."""
        try:
            for _ in range(STEPS):
                self._step()
                self._judge()
            if not self._is_tainted:
                self._end()
        finally:
            for place in [*self._running]:
                self._running.pop(place).file.close()
        return self.seen

    def _step(self) -> None:
        kinds = [self._start] * 4 + [self._stop, self._back_up, self._put_back]
        kinds += [self._ping] * 7 + [self._commit] * 8 + [self._deliver] * 18
        self._chance.choice(kinds)()

    # --- disks ----------------------------------------------------------------------------------

    def _start(self) -> None:
        server = self._chance.choice(self.servers)
        self._start_at(server, self._chance.choice(self._places[server]))

    def _start_at(self, server: ServerId, place: Path) -> None:
        if place not in self._running:
            try:
                self._running[place] = Process(self, server, place)
            except OlderCopy:
                self._stopped(server)

    def _stop(self) -> None:
        if self._running:
            self._stop_at(self._chance.choice([*self._running]), self._chance.random() < 0.4)

    def _stop_at(self, place: Path, is_killed: bool) -> None:
        """Close it, or leave the disk as it is."""
        process, kept = self._running.pop(place), self._folder / "kept"
        if is_killed:
            shutil.copytree(place, kept)
        process.file.close()
        if is_killed:
            shutil.rmtree(place)
            kept.rename(place)
            self.seen["killed"] += 1

    def _back_up(self) -> None:
        if self._suspect is not None:
            place = self._chance.choice(self._places[self._suspect])
            if place not in self._running:
                self._backups.append(shutil.copytree(place, self._folder / f"b{self._next()}"))

    def _put_back(self) -> None:
        if self._suspect is None or not self._backups:
            return
        backup, places = self._chance.choice(self._backups), self._places[self._suspect]
        if self._chance.random() < 0.5 and len(places) < MOST_PLACES:
            places.append(shutil.copytree(backup, self._folder / f"c{self._next()}"))
        else:
            place = self._chance.choice(places)
            if place in self._running:
                return
            shutil.rmtree(place)
            shutil.copytree(backup, place)
        self._is_tainted = True
        self.seen["put back or copied"] += 1

    # --- messages -------------------------------------------------------------------------------

    def _ping(self) -> None:
        if self._running:
            self._chance.choice([*self._running.values()]).ping()

    def _commit(self) -> None:
        if self._running:
            self._chance.choice([*self._running.values()]).commit()

    def _deliver(self) -> None:
        if self._sent:
            newest = self._sent[-12:] if self._chance.random() < 0.85 else self._sent
            frame = self._chance.choice(newest)
            for place, process in [*self._running.items()]:
                if process.me == frame.receiver:
                    self._hear(place, process, frame)
                    return

    def _hear(self, place: Path, process: Process, frame: Frame) -> None:
        try:
            process.hear(frame)
            self.seen["heard"] += 1
        except OlderCopy:
            self._stop_at(place, self._chance.random() < 0.3)
            self._stopped(process.me)

    # --- claims ---------------------------------------------------------------------------------

    def _stopped(self, server: ServerId) -> None:
        self.seen["older copies stopped"] += 1
        if server != self._suspect or not self._is_tainted:
            raise Broken(f"server {server} is stopped, and its disk is whole")

    def _judge(self) -> None:
        for process in self._running.values():
            if process.sessions.registration.is_open and not process.has_opened:
                process.has_opened = True
                self._votes(process)

    def _votes(self, process: Process) -> None:
        self.seen["votes"] += 1
        voted, session = self._voted[process.me], process.file.session
        if self.is_strict:
            self.seen["votes, strict"] += 1
            lost = [it for it in voted if it != session and process.file.ended(it) is None]
            if lost:
                raise Broken(f"two disks of server {process.me} vote")
        voted.append(session)

    def _end(self) -> None:
        """All are killed and started again, and hear everything."""
        for place in [*self._running]:
            self._stop_at(place, is_killed=True)
        for server, (place,) in self._places.items():
            self._start_at(server, place)
        at = len(self._sent)
        for _ in range(ROUNDS):
            for process in self._running.values():
                process.ping()
            while at < len(self._sent):
                frame, at = self._sent[at], at + 1
                for process in self._running.values():
                    if process.me == frame.receiver:
                        process.hear(frame)
                    process.commit()
        if any(it.sessions.registration.missing for it in self._running.values()):
            raise Broken("not all have acknowledged each other in the end")
        self.seen["all vote in the end"] += 1

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def live(seed: int) -> Counter[str]:
    """One history. Raises Broken."""
    with TemporaryDirectory() as folder:
        return History(Path(folder), seed).live()


def main(words: Sequence[str]) -> int:
    """Live histories for so many seconds, from a seed on."""
    seconds, *more = map(int, words)
    first = more[0] if more else SystemRandom().randrange(1 << 32)
    print(
        f"seed {first}; again: python -m tests.tools.session_histories {seconds} {first}",
        flush=True,
    )
    logging.disable(logging.CRITICAL)
    seen, seed, until_s = Counter[str](), first, time.monotonic() + seconds
    while time.monotonic() < until_s:
        try:
            seen.update(live(seed))
        except Broken as broken:
            print(f"BROKEN: seed {seed}: {broken}")
            return 1
        seed += 1
    told = ", ".join(f"{what} {times:,}" for what, times in sorted(seen.items()))
    print(f"{seed - first:,} histories of sessions: {told}; claims broken: 0")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
