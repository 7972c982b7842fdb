"""Versions of a state machine, simulated: with changes of members, snapshots and every fault.

- Each server of a simulated log runs a program. One that starts again may be a later one, which has
  a version of ``apply`` more.
- Entries ask for versions at random. A leader of a node does so only once all members have one; no
  state may depend on that.
- A program without the version that runs stops applying, and its server goes on voting. Started
  again as a later program, it goes on.
- After the same slots all programs have the same state as one with all versions, run alone.

``python -m tests.tools.versions_simulated [--seed N] [--runs N]``: a part of ``make simulate``.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TypeAlias
from zlib import crc32

from attrs import define, evolve, field

from paxos import Proposal, ServerId
from paxos.log import Change, Command, Noop
from paxos.log.memory import FIRST_SLOT
from paxos.log.messages import Entry
from paxos.log.sessions import Session, Sessions
from paxos_adapters.codecs import TEXT
from paxos_adapters.replication.applying import Applied, applied, started
from paxos_adapters.replication.batches import Commands, VersionChange, batch, encoded
from paxos_adapters.state_machine import StateMachine, VersionMissing
from paxos_lab.simulate import LogSetup
from paxos_lab.simulate.log import RULES_OF_RUNS
from paxos_testing.histories import Source, Told, Watched

State: TypeAlias = tuple[int, int]
"""How many commands were run, and a checksum of them all with the versions that ran them."""

Replica: TypeAlias = Applied[State, int]

VERSIONS = 3
SESSION = 0
"""The session of all commands. It was opened before the first slot."""

VERSION_EVERY = 12
"""Of how many entries one has a version in the midst of its commands."""

PORTION = 50
REPORT_S = 10
KINDS = (
    "slots",
    "changes",
    "versions changed",
    "programs stopped",
    "programs went on",
    "snapshots installed",
)
"""What must have happened, or nothing was shown."""

SETUP = LogSetup(servers=5, changes=True, newcomers=2, snapshots=True)


class Broken(AssertionError):
    """Programs differ, or a rule of the log is broken."""


def apply(version: int, state: State, command: str) -> tuple[State, int]:
    """Another result for each version."""
    done, checksum = state
    checksum = crc32(f"{version} {command}".encode(), checksum)
    return (done + 1, checksum), checksum


def program(versions: int) -> StateMachine[State, str, int]:
    """The program that has the first so many versions."""
    *earlier, last = (partial(apply, it) for it in range(1, versions + 1))
    return StateMachine((0, 0), last, version=versions, earlier=dict(enumerate(earlier, 1)))


PROGRAMS = [program(it) for it in range(1, VERSIONS + 1)]


def entry_of(entry: Entry[str]) -> Entry[bytes]:
    """What stands in the log for a label: a batch of two commands, perhaps with a version."""
    if type(entry) is not Command:
        assert type(entry) is Noop or type(entry) is Change
        return entry
    label = entry.value
    number = crc32(label.encode())
    one, two = ((number * 2 + it, f"{label} {it}".encode()) for it in (1, 2))
    items = [encoded(Commands(SESSION, 1, [it])) for it in (one, two)]
    if number % VERSION_EVERY == 0:
        version = 1 + number // VERSION_EVERY % VERSIONS
        items.insert(1, encoded(VersionChange(version)))
    return Command(batch(items))


@define
class Server:
    """The program on one server, and what it was told too early. None: it applies nothing."""

    starts: int = 0
    replica: Replica | None = None
    waiting: dict[int, Proposal[Entry[bytes]]] = field(factory=dict[int, Proposal[Entry[bytes]]])

    @property
    def machine(self) -> StateMachine[State, str, int]:
        """Each second start is one of a later program."""
        return PROGRAMS[min(self.starts // 2, VERSIONS - 1)]


class Versions(Watched):
    """One run. ``seen``: what has happened."""

    def __init__(self, seed: int, setup: LogSetup) -> None:
        self.seen = Counter[str]()
        first = evolve(started(PROGRAMS[-1], setup.quorum), sessions=Sessions((Session(SESSION),)))
        self._alone: list[Replica] = [first]
        self._chosen: dict[int, Proposal[Entry[bytes]]] = {}
        self._servers = {it: Server() for it in setup.members}
        super().__init__(seed, setup)

    def tell(self, told: Told) -> None:
        """See ``Watched``. Raises Broken."""
        proposals = {
            slot: Proposal(it.ballot, entry_of(it.value))
            for slot, it in enumerate(told.proposals, told.slot)
        }
        for slot, proposal in proposals.items():
            self._chosen.setdefault(slot, proposal)
        self._run_alone()
        server = self._servers[told.server]
        if told.by is Source.STORE:
            self._start_program(server, told.slot)
        elif told.by is Source.PEER:
            self._install(server, told.slot)
        if server.replica is not None:
            server.waiting.update(proposals)
            self._apply(told.server, server, server.replica)

    def _run_alone(self) -> None:
        while (slot := self._alone[-1].slot) in self._chosen:
            after, _ = applied(
                PROGRAMS[-1], TEXT, RULES_OF_RUNS.window, self._alone[-1], self._chosen[slot]
            )
            self.seen["versions changed"] += after.version != self._alone[-1].version
            self._alone.append(after)

    def _snapshot(self, slot: int) -> Replica | None:
        """What is restored from a snapshot of all below ``slot``; None if nobody has told it."""
        place = slot - FIRST_SLOT
        return self._alone[place] if place < len(self._alone) else None

    def _start_program(self, server: Server, slot: int) -> None:
        had_stopped = server.starts > 0 and server.replica is None
        server.starts += 1
        server.waiting.clear()
        server.replica = self._having(server, self._snapshot(slot))
        self.seen["programs went on"] += had_stopped and server.replica is not None

    def _install(self, server: Server, slot: int) -> None:
        if server.replica is not None and server.replica.slot < slot:
            self.seen["snapshots installed"] += 1
            server.replica = self._having(server, self._snapshot(slot))

    def _having(self, server: Server, restored: Replica | None) -> Replica | None:
        """A program does not go on from a version that it lacks."""
        if restored is None or restored.version in server.machine.versions:
            return restored
        self.seen["programs stopped"] += 1
        return None

    def _apply(self, me: ServerId, server: Server, replica: Replica) -> None:
        try:
            while replica.slot in server.waiting:
                proposal = server.waiting.pop(replica.slot)
                replica, _ = applied(server.machine, TEXT, RULES_OF_RUNS.window, replica, proposal)
        except VersionMissing:
            self.seen["programs stopped"] += 1
            server.replica = None
        else:
            server.replica = replica
        if replica != self._alone[replica.slot - FIRST_SLOT]:
            raise Broken(f"S{me} differs from the program run alone before slot {replica.slot}")


def run(seed: int, setup: LogSetup = SETUP) -> Counter[str]:
    """The run of ``seed``; what has happened. Raises Broken."""
    simulated = Versions(seed, setup)
    again = f"python -m tests.tools.versions_simulated --seed {seed} --runs 1"
    try:
        result = simulated.run()
    except Broken as broken:
        raise Broken(f"{broken}; again: {again}") from None
    if result.broken is not None:
        raise Broken(f"{result.broken}; again: {again}")
    simulated.seen.update(slots=result.slots, changes=result.changes, runs=1)
    return simulated.seen


def portion(seeds: range) -> Counter[str]:
    """The runs of ``seeds``, together. Raises Broken."""
    return sum(map(run, seeds), Counter[str]())


# --- the program --------------------------------------------------------------------------------


def counts(seen: Mapping[str, int]) -> str:
    return ", ".join(f"{what} {times:,}" for what, times in sorted(seen.items()))


def main(words: Sequence[str]) -> int:
    """Simulate: 0, 1 if something is broken or did not happen, 130 if interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.versions_simulated")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--runs", type=int, default=70_000, help="how many seeds")
    asked = parser.parse_args(words)
    last = asked.seed + asked.runs
    portions = [range(it, min(it + PORTION, last)) for it in range(asked.seed, last, PORTION)]
    seen, shown_s = Counter[str](), time.monotonic()
    executor = ProcessPoolExecutor()
    try:
        for done in executor.map(portion, portions):
            seen += done
            if time.monotonic() - shown_s > REPORT_S:
                shown_s = time.monotonic()
                print(f"... {counts(seen)}", flush=True)
    except Broken as broken:
        print(f"BROKEN: {broken}\nbefore: {counts(seen)}")
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; {counts(seen)}; nothing broken")
        return 130
    finally:
        executor.shutdown(cancel_futures=True)
    missing = "".join(f"; there were no {it}" for it in KINDS if not seen[it])
    print(f"{counts(seen)}; nothing broken{missing}")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
