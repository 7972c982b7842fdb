"""Drive every mutant through explorer, specification and simulator: ``make scoreboard``.

Writes docs/scoreboard.md: for each clause of the core in mutants.toml which driver misses it, after
how many states or runs, and a shortest trace; then the clauses that no driver misses, and why.

- A driver *kills* a mutant by a rule that is broken, by an error that a server must not raise, by a
  step that is no action of Lamport's specification, or because something never happens that
  happens without the mutant.
- Other runs are not a kill: a mutant that only changes how far a search or a run goes does no harm
  that a driver could name. The table says so.
- A rung is one scope to explore or one setup to simulate. The explorer climbs until a rule breaks,
  the simulator until a run ends badly; what never happens is known at the end of a rung.
- Some rungs have quorums that can miss. The core must refuse them. If it does not, they are driven.
- The same file each time: no seconds, no chance, no order of discovery.

Exits 1 if a mutant is neither killed nor explained in EXPLAINED, or both; 2 if the catalogue does
not fit the code. Words on the command line keep only the mutants whose clause or module contains
one of them, and print the table instead of writing it. The word ``short`` drives every eighth
mutant, writes nothing, and exits 1 if the page has another line for one of them.
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from attrs import frozen

from paxos import (
    Done,
    InvariantError,
    Propose,
    QuorumError,
    QuorumSystem,
    ServerId,
    Tell,
    explicit,
    flexible,
    majority,
    server,
    weighted,
)
from paxos.proposer import Accepting, Preparing
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import Act, counterexample, words
from paxos_lab.explore.refinement import refine
from paxos_lab.explore.scopes import Scope
from paxos_lab.machines.protocols import Event, Protocol, Receive, Server, Step
from paxos_lab.record import Kind, SingleTrace, Trace, single_timeline
from paxos_lab.rules import UNDISTURBED
from paxos_lab.simulate.schedules import play, shrink
from paxos_lab.simulate.simulator import record, run_seed
from paxos_lab.simulate.single import SingleSetup
from tests.support import opened
from tests.tools.mutants import ROOT, WORKERS, DoesNotFit, Mutant, catalogue
from tests.tools.scoreboard_log import LOG_EXPLAINED
from tests.tools.scoreboard_log import driven as log_driven
from tests.tools.verdicts import (
    BROKEN,
    ERROR,
    NEVER,
    NO_ACTION,
    Finding,
    Verdict,
    Verdicts,
)

PAGE = ROOT / "docs/scoreboard.md"
DRIVE, DRIVE_LOG, SHORT = "--drive", "--drive-log", "short"
DRIVERS = "the explorer", "the specification", "the simulator"
MAX_STATES = 60_000
TIMEOUT_S = 600
"""Far above what any mutant takes: a run that reaches it is in an endless loop."""

OTHER, SAME = "other runs", "same runs"
OWN = "what is called its own is its own"

SLOWER = "Costs rounds and no rule: "
MISUSE = "The drivers never misuse what they call: "
NON_MEMBERS = "No driver has non-members, and a server drops what they send before a role sees it: "
FAITHFUL = "An alarm that no sound run sets off: "

EXPLAINED = {
    "a proposer that loses tells nobody": (
        "It changes which servers know, not what is chosen: no rule demands that all learn it."
    ),
    "evidence dropped: a promise that tells of a proposal above it": (
        "No driver uses a ballot twice, so there is no such evidence to drop."
    ),
    "evidence dropped: a promise that tells of what the ballot did not carry": (
        "No driver uses a ballot twice, so there is no such evidence to drop."
    ),
    "evidence dropped: something was accepted under a ballot that is still prepared": (
        "No driver uses a ballot twice, so there is no such evidence to drop."
    ),
    "evidence dropped: two promises tell of two values under one ballot": (
        "No driver uses a ballot twice, so there is no such evidence to drop."
    ),
    "evidence dropped: the ballot in progress is chosen with another value": (
        "No driver uses a ballot twice, so there is no such evidence to drop."
    ),
    "a query makes a record": "It costs a save, and no agreement.",
    "a read whose timer is stale queries again": "It costs messages, and no agreement.",
    "a read never falls back": "It costs time: another proposer completes the value in the end.",
    "a read falls back after one round": "It costs proposers time, and no agreement.",
    "a round of a read ends without a quorum": (
        "It falls back too early, which costs time, and no agreement."
    ),
    "a stalled read reports a ballot": (
        "What is reported is true as well: the read ran as an inquiry."
    ),
    "a stalled read begins below the ballots that it found": (
        "It costs refused rounds, and no agreement."
    ),
    "a read that has counted out the choice tells nobody": (
        "It changes which servers know, not what is chosen: no rule demands that all learn it."
    ),
    "a read announces what it is told": "It costs messages, and no agreement.",
    "a read that only queries sends heartbeats": "It costs proposers time, and no agreement.",
    "an answer to a query is not counted as a vote": "It is learnt later, from another message.",
    "a pattern opens a seal": (
        "Type checkers and tests of the outbound notice; no driver opens a seal by a pattern."
    ),
    "Accept above the promise is refused": SLOWER
    + "to refuse is always safe, and the ballot is sent again until its Prepare has arrived.",
    "a repeated Accept overwrites what was accepted": "Harmless as long as a ballot carries one "
    "value: what overwrites is equal. A second line of defence, behind the ballots.",
    "nack without the conflicting ballot: to Prepare": SLOWER
    + "the next round is one higher instead of high enough, and every refused round adds one.",
    "nack without the conflicting ballot: to Accept": SLOWER
    + "the next round is one higher instead of high enough, and every refused round adds one.",
    "the next round is not above what a nack named": SLOWER
    + "the next round is one higher instead of high enough, and every refused round adds one.",
    "a non-member's reply counted": NON_MEMBERS + "the proposer's own check is the second.",
    "a non-member's vote kept": NON_MEMBERS + "the learner's own check is the second.",
    "non-members count": NON_MEMBERS + "the quorum's own check is the third.",
    "a non-member is answered": "No driver has non-members to answer, and the other checks keep "
    "their words from counting.",
    "a retry proposes the adopted value instead of its own": "Safe: the adopted value was proposed "
    "too. What is lost is the promise to the program that its own value is tried again.",
    "one nack aborts a round that a quorum can still win": SLOWER
    + "a new ballot where the old one could have won.",
    "a wake-up starts over without sending again": SLOWER
    + "a new ballot where a lost message would have been sent again.",
    "a vote for another value under its ballot counted": FAITHFUL
    + "it takes an acceptor that lies, or another flaw besides this one.",
    "a second choice goes unnoticed": FAITHFUL
    + "it takes another flaw to choose twice. The drivers count votes themselves.",
    "two values under one ballot go unnoticed": FAITHFUL
    + "it takes another flaw to use a ballot twice. The drivers compare ballots themselves.",
    "a record that no acceptor can have saved is believed": FAITHFUL
    + "the disks of the drivers lose records, and never make one up.",
    "endless re-proposal: a proposer that knows begins again": SLOWER
    + "one round, whose Prepare is answered by a server that knows what was chosen.",
    "a second request replaces the one in progress": MISUSE
    + "a busy server is asked again only by chance, and answers the later request instead. "
    "That breaks what was promised to the program, and no rule of Paxos.",
    "tallies grow without bound": "Memory, not behaviour: no run here has more ballots than the "
    "bound allows tallies, and tallies of old ballots choose nothing new.",
    "a server weighed twice counts twice": MISUSE
    + "weights with a server named twice are no map. The sums would still intersect.",
    "a member named twice enlarges the majority": MISUSE
    + "no member is named twice. If one were, members are a set, and the majority stays right.",
    "an empty quorum is enough": "A second check refuses the same: an empty quorum misses every "
    "other one. Only the words of the error differ.",
    "any receipt opens any seal": MISUSE + "they open each seal with the receipt for its record.",
    "the receipt for an equal record opens a seal": MISUSE
    + "they open each seal with the receipt for its record.",
    "a part of a receipt speaks of what was not saved": MISUSE
    + "they open each seal with the receipt for its record.",
    "a part of a receipt speaks of all that was saved": MISUSE
    + "they open each seal with the receipt for its record.",
    "a silent server leads indefinitely": SLOWER
    + "every fourth retry proceeds anyway. To the explorer all timers are alike.",
    "a server yields to a lower one": SLOWER
    + "every fourth retry proceeds anyway. To the explorer all timers are alike.",
    "a server yields to a leader that receives nothing indefinitely": SLOWER
    + "a leader that stays deaf or down falls silent too, and the silent are forgotten; in a run "
    "all links come back. To the explorer all timers are alike.",
    "a server without a quorum sends heartbeats": SLOWER
    + "every fourth retry proceeds anyway. Where links stay missing it matters: "
    "tests/paxos_lab/test_networks.py.",
    "a server that has lost its quorum goes on to send heartbeats": SLOWER
    + "every fourth retry proceeds anyway.",
    "a server that refuses does not count as an answer": SLOWER
    + "a server that is only refused claims nothing, and others go on before it.",
    "rivals never give way": SLOWER
    + "chance alone separates the rivals. To the explorer all timers are alike.",
    "a repeated beat starts a second chain": "Costs messages and no rule: heartbeats "
    "decide nothing.",
    "new rounds start below the server's own promise": SLOWER
    + "its own acceptor refuses, and names the round to go above.",
    "late votes are told to nobody": SLOWER
    + "the server that knows still answers every server that asks.",
    "a server that knows the value does not answer with it": SLOWER
    + "a server that asks has to complete the value by a round of its own.",
    **LOG_EXPLAINED,
}
"""Why no driver kills a mutant, by its clause."""


# --- what is driven, in a process of its own, over a copy of the packages with the mutant in it ---


@frozen
class Rung:
    """A scope to explore, if it counts ``ballots``; or a setup to simulate, for so many ``runs``.

    ``drop_ignored_messages``: as in a Scope. ``calm``: the faults end. ``refused``: the core
    must not let these quorums through.
    """

    quorum: Callable[[], QuorumSystem]
    servers: int
    proposers: int
    ballots: int = 0
    readers: int = 0
    reads: int = 1
    inquirers: int = 0
    crashes: int = 0
    runs: int = 0
    drop_ignored_messages: bool = True
    calm: bool = False
    refused: bool = False
    label: str = ""

    def name(self) -> str:
        """The rung in a few words."""
        parts = [
            counted(self.servers, "acceptor" if self.ballots else "server"),
            counted(self.proposers, "proposer"),
            counted(self.ballots, "ballot"),
            counted(self.readers, "reader"),
            counted(self.reads, "read") if self.reads > 1 else "",
            counted(self.inquirers, "inquirer"),
            counted(self.crashes, "crash", "crashes"),
            "" if self.drop_ignored_messages else "nothing forgotten",
            "faults end" if self.calm else "",
            self.label,
        ]
        return ", ".join(filter(None, parts))


def counted(number: int, one: str, many: str = "") -> str:
    """``counted(2, "reader")`` is 2 readers; nothing for none."""
    return f"{number:,} {one if number == 1 else many or one + 's'}" if number else ""


def members(count: int) -> list[ServerId]:
    return [ServerId(number) for number in range(1, count + 1)]


def plain(count: int) -> Callable[[], QuorumSystem]:
    return lambda: majority(members(count))


def sizes(count: int, phase1: int, phase2: int) -> Callable[[], QuorumSystem]:
    return lambda: flexible(members(count), phase1=phase1, phase2=phase2)


def weights(*each: int, half: int | None = None) -> Callable[[], QuorumSystem]:
    return lambda: weighted(
        dict(zip(members(len(each)), each, strict=True)), phase1=half, phase2=half
    )


def apart() -> QuorumSystem:
    """Quorums by name that miss each other."""
    one, *others = members(3)
    return explicit(phase1=[[one]], phase2=[others])


LADDER = (
    Rung(plain(3), 3, 1, 2),
    Rung(plain(3), 3, 2, 1),
    Rung(plain(3), 3, 1, 1, inquirers=1),
    Rung(plain(2), 2, 1, 2, inquirers=1),
    Rung(plain(3), 3, 1, 1, readers=1, reads=2),
    Rung(plain(3), 3, 1, 1, readers=1, crashes=1),
    Rung(sizes(3, 3, 1), 3, 1, 1, readers=1, label="quorums of 3 and 1"),
    Rung(sizes(3, 1, 3), 3, 1, 1, readers=1, label="quorums of 1 and 3"),
    Rung(plain(2), 2, 1, 2, crashes=1),
    Rung(plain(3), 3, 1, 2, crashes=1),
    Rung(plain(3), 3, 1, 2, crashes=1, drop_ignored_messages=False),
    Rung(plain(3), 3, 2, 1, crashes=1),
    Rung(plain(4), 4, 2, 1),
    Rung(sizes(3, 3, 1), 3, 2, 1, label="quorums of 3 and 1"),
    Rung(sizes(3, 2, 3), 3, 2, 1, label="quorums of 2 and 3"),
    Rung(sizes(4, 3, 2), 4, 2, 1, label="quorums of 3 and 2"),
    Rung(weights(2, 1, 1), 3, 2, 1, label="weights 2, 1, 1"),
    Rung(sizes(3, 1, 2), 3, 2, 1, refused=True, label="quorums of 1 and 2"),
    Rung(sizes(3, 3, 0), 3, 2, 1, refused=True, label="quorums of 3 and 0"),
    Rung(weights(2, 1, 1, half=2), 3, 2, 1, refused=True, label="half the weight"),
    Rung(apart, 3, 2, 1, refused=True, label="quorums by name"),
    Rung(plain(3), 3, 2, 2),
)
SPECIFIED = (
    Rung(plain(3), 3, 1, 2),
    Rung(plain(2), 2, 2, 1),
    Rung(plain(2), 2, 1, 1, inquirers=1),
    Rung(plain(2), 2, 1, 2, crashes=1),
    Rung(plain(1), 1, 1, 3, crashes=2),
)
RUNS = (
    Rung(plain(3), 3, 2, readers=1, runs=3_000),
    Rung(plain(4), 4, 3, readers=1, runs=300),
    Rung(plain(5), 5, 3, readers=2, runs=300),
    Rung(sizes(4, 3, 2), 4, 3, readers=1, runs=300, label="quorums of 3 and 2"),
    Rung(sizes(4, 2, 3), 4, 3, readers=1, runs=300, label="quorums of 2 and 3"),
    Rung(sizes(3, 1, 2), 3, 2, runs=300, refused=True, label="quorums of 1 and 2"),
    Rung(weights(2, 1, 1, half=2), 3, 2, runs=300, refused=True, label="half the weight"),
    Rung(apart, 3, 2, runs=300, refused=True, label="quorums by name"),
    Rung(plain(3), 3, 2, readers=1, runs=600, calm=True),
    Rung(plain(5), 5, 3, readers=2, runs=300, calm=True),
)


def quorums(rung: Rung) -> tuple[QuorumSystem | None, Finding | None]:
    """The quorums of ``rung``, unless they are refused; that is a finding if they should not be."""
    try:
        return rung.quorum(), None
    except QuorumError as error:
        name = type(error).__name__
        return None, None if rung.refused else finding(ERROR, name, rung, 0)


def finding(kind: str, what: str, rung: Rung, after: int) -> Finding:
    return Finding(kind=kind, what=what, rung=rung.name(), after=after, events=0, trace=[])


class Watched:
    """The server; what it must not raise or report is made a broken rule, and remembered."""

    def __init__(self) -> None:
        self.noticed: tuple[str, str] | None = None

    def receive(self, state: Server, event: Event) -> Step:
        try:
            step = server.receive(state, event)
        except InvariantError:
            raise
        except Exception as error:
            self.noticed = ERROR, type(error).__name__
            raise InvariantError(type(error).__name__) from error
        if _claims_a_foreign_value(state, step):
            self.noticed = BROKEN, OWN
            raise InvariantError(OWN)
        return step


def _claims_a_foreign_value(state: Server, step: Step) -> bool:
    phase = state.proposer.phase
    if not isinstance(phase, Preparing | Accepting):
        return False
    request = phase.task.request
    given = request.value if isinstance(request, Propose) else None
    told = (it.report for it in opened(step[1]) if isinstance(it, Tell))
    reports = (it for it in told if isinstance(it, Done))
    return any(it.own and it.value != given for it in reports)


def scope(rung: Rung, quorum: QuorumSystem, receive: Receive) -> Scope:
    """What ``rung`` says, with servers that do as ``receive`` does."""
    return Scope(
        acceptors=rung.servers,
        proposers=rung.proposers,
        ballots=rung.ballots,
        crashes=rung.crashes,
        readers=rung.readers,
        reads=rung.reads,
        inquirers=rung.inquirers,
        drop_ignored_messages=rung.drop_ignored_messages,
        protocol=Protocol("paxos", "with a mutant", receive),
        quorum=quorum,
    )


def explored() -> Verdict:
    """Climb the ladder of scopes."""
    seen: dict[str, list[int]] = {}
    never: Finding | None = None
    for rung in LADDER:
        quorum, refusal = quorums(rung)
        if refusal:
            return Verdict(found=refusal, seen=seen)
        if quorum is None:
            continue
        watched = Watched()
        machine, walk = explore_cluster(scope(rung, quorum, watched.receive), max_states=MAX_STATES)
        if walk.violation is not None:
            example = counterexample(machine, walk.violation)
            rule = walk.violation.rule
            noticed = watched.noticed if rule == UNDISTURBED else None
            found = finding(*(noticed or (BROKEN, rule)), rung, walk.states)
            found["events"] = len(example.run)
            found["trace"] = [words(example.scope, taken.act) for taken in example.run]
            return Verdict(found=found, seen=seen)
        if walk.exhausted and walk.never and not never:
            never = finding(NEVER, ", ".join(sorted(walk.never)), rung, walk.states)
        seen[rung.name()] = [walk.states, walk.transitions, walk.depth]
    return Verdict(found=never, seen=seen)


def specified() -> Verdict:
    """Hold each step in a ladder of scopes against the specification."""
    seen: dict[str, list[int]] = {}
    for rung in SPECIFIED:
        quorum, _ = quorums(rung)
        if quorum is None:
            continue
        machine, walk = refine(scope(rung, quorum, server.receive), max_states=MAX_STATES)
        if walk.violation is not None:
            found = finding(NO_ACTION, action(walk.violation.end.wrong or ""), rung, walk.states)
            found["trace"] = [
                words(machine.system.scope, Act(move.process, move.events[-1], move.crash))
                if move.events
                else words(machine.system.scope, Act(move.process, None, move.crash))
                for move, _ in walk.violation.run
            ]
            found["events"] = len(found["trace"])
            return Verdict(found=found, seen=seen)
        seen[rung.name()] = [walk.states, walk.transitions, walk.depth]
    return Verdict(found=None, seen=seen)


def action(wrong: str) -> str:
    """The step that is none, out of the words of the error."""
    return wrong.split(" is not allowed")[0].rpartition(": ")[2]


def simulated() -> Verdict:
    """Run each setup, until one run ends badly."""
    seen: dict[str, list[int]] = {}
    for rung in RUNS:
        quorum, refusal = quorums(rung)
        if refusal:
            return Verdict(found=refusal, seen=seen)
        if quorum is None:
            continue
        where = SingleSetup(
            servers=rung.servers,
            proposers=rung.proposers,
            readers=rung.readers,
            liveness=rung.calm,
            quorum=quorum,
        )
        heard = ticks = chosen = 0
        for seed in range(rung.runs):
            try:
                run = run_seed(seed, where)
            except Exception as error:
                found = finding(ERROR, type(error).__name__, rung, seed + 1)
                return Verdict(found=found, seen=seen)
            if run.broken is not None:
                found = finding(BROKEN, run.broken, rung, seed + 1)
                found["events"], found["trace"] = schedule(seed, where, run.broken)
                return Verdict(found=found, seen=seen)
            heard += run.events
            ticks += run.ticks
            chosen += bool(run.chosen)
        if not chosen:
            return Verdict(found=finding(NEVER, "a value is chosen", rung, rung.runs), seen=seen)
        seen[rung.name()] = [heard, ticks, chosen]
    return Verdict(found=None, seen=seen)


def schedule(seed: int, where: SingleSetup, rule: str) -> tuple[int, list[str]]:
    """What has to happen in a run to break ``rule``, shrunk; nothing if that takes a clock."""
    _, acts = record(seed, where)
    played = shrink(where, acts, rule)
    if played.broken is None:
        return 0, []
    trace: SingleTrace[str] = Trace()
    play(where, played.acts, trace=trace)
    told = single_timeline(trace)
    sender = {it.arrived: f" from S{it.sender}" for it in told.delivered.arrows}
    lines = [
        f"S{it.lane} {it.does}{sender.get(it.step, '')}"
        for it in told.moments[where.servers :]  # These start.
        if it.kind is not Kind.HAS_SAVED
    ]
    return len(played.acts), lines


# --- the scoreboard -----------------------------------------------------------------------------


@frozen
class Score:
    """One mutant and what the drivers say of it; ``sound`` is what they say without a mutant."""

    mutant: Mutant
    verdicts: Verdicts
    sound: Verdicts | None = None

    @property
    def killed(self) -> bool:
        """Whether a driver kills it."""
        return any(killed_by(self))


def is_driven(mutant: Mutant) -> bool:
    """Whether it edits the core. The adapters have no drivers."""
    return mutant.module.startswith("paxos/")


def drivers_of(mutant: Mutant) -> str:
    """How to run the drivers of what it edits: a log, or one decision."""
    return DRIVE_LOG if mutant.module.startswith("paxos/log/") else DRIVE


def furnish(house: Path) -> None:
    """Copy what the drivers need."""
    for name in ("paxos", "adapters", "tests"):
        shutil.copytree(ROOT / name, house / name, ignore=shutil.ignore_patterns("__pycache__"))


def drive(mutant: Mutant | None, model: Path, mode: str) -> Verdicts:
    """Drive a copy of the house ``model``, with ``mutant`` in it if there is one, as ``mode``."""
    with TemporaryDirectory() as folder:
        house = Path(folder) / "house"
        shutil.copytree(model, house)
        if mutant is not None:
            (house / mutant.module).write_text(mutant.source(), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-B", "-m", "tests.tools.scoreboard", mode],
            cwd=house,
            env={**os.environ, "PYTHONPATH": f"{house}:{house / 'adapters'}"},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=TIMEOUT_S,
        )
    if done.returncode:
        name = mutant.clause if mutant else "without a mutant"
        raise DoesNotFit(f"{name!r}: the drivers could not run:\n{done.stderr}")
    return cast("Verdicts", json.loads(done.stdout))


def cell(verdict: Verdict | None, sound: Verdict | None, unit: str) -> str:
    """What one driver says, and after how many states or runs."""
    if verdict is None:
        return "not driven"
    found = verdict["found"]
    if found is not None:
        after = f"after {counted(found['after'], unit)}, " if found["after"] else ""
        return f"**{found['kind']}:** {found['what']} ({after}{found['rung']})"
    other = [name for name, it in verdict["seen"].items() if sound and sound["seen"][name] != it]
    return f"{OTHER} ({other[0]})" if other else SAME


def row(score: Score) -> str:
    """One line of the table."""
    found = shortest(score.verdicts)
    sound = dict(each(score.sound)) if score.sound else {}
    cells = [
        cell(verdict, sound.get(name), "run" if name == "simulator" else "state")
        for name, verdict in each(score.verdicts)
    ]
    return f"| {' | '.join([score.mutant.clause, *cells])} | {found['events'] if found else ''} |"


def each(verdicts: Verdicts) -> Iterator[tuple[str, Verdict | None]]:
    """Every driver's verdict, in the order of the table's columns."""
    yield "explorer", verdicts["explorer"]
    yield "specification", verdicts["specification"]
    yield "simulator", verdicts["simulator"]


def shortest(verdicts: Verdicts) -> Finding | None:
    """The finding with the shortest trace; of those as short, the first."""
    found = (verdict["found"] for _, verdict in each(verdicts) if verdict)
    return min((it for it in found if it and it["trace"]), key=events, default=None)


def events(found: Finding) -> int:
    """How many events its trace has."""
    return found["events"]


def page(scores: list[Score], mutants: int) -> str:
    """The whole document, of a catalogue of so many ``mutants``."""
    killers = [killed_by(it) for it in scores]
    killed = sum(map(any, killers))
    kills = ", ".join(
        f"{name} {count}"
        for name, count in zip(DRIVERS, map(sum, zip(*killers, strict=True)), strict=True)
    )
    parts = [
        HEADER,
        f"Of {mutants} mutants, {len(scores)} edit the core and are driven. "
        f"{killed} are killed: {kills}.\n"
        f"{len(scores) - killed} are not, and [below](#what-no-driver-misses) is why.\n",
        "## What each driver notices\n",
        *tables(scores, "explorer | specification | simulator | trace", row),
        SURVIVORS,
        *tables([it for it in scores if not it.killed], "why no driver misses it", survivor),
        TRACES,
        *(trace for it in scores for trace in traces(it)),
    ]
    return "\n".join(parts).rstrip() + "\n"


def tables(scores: list[Score], columns: str, line: Callable[[Score], str]) -> Iterator[str]:
    """A table for each module: its clauses, and beside each what ``line`` says of it."""
    for module in dict.fromkeys(it.mutant.module for it in scores):
        yield f"### {module}\n"
        yield f"| what is missing | {columns} |"
        yield "| --- |" + " --- |" * (columns.count("|") + 1)
        yield from (line(it) for it in scores if it.mutant.module == module)
        yield ""


def killed_by(score: Score) -> tuple[bool, ...]:
    """Which drivers kill it, in the order of the table's columns."""
    return tuple(bool(verdict and verdict["found"]) for _, verdict in each(score.verdicts))


def survivor(score: Score) -> str:
    """One line of the table of those that no driver kills."""
    return f"| {score.mutant.clause} | {EXPLAINED.get(score.mutant.clause, 'NOT EXPLAINED')} |"


def traces(score: Score) -> Iterator[str]:
    """The shortest trace, folded."""
    found = shortest(score.verdicts)
    if found:
        yield "<details>"
        yield f"<summary>{Path(score.mutant.module).stem}: {score.mutant.clause}</summary>\n"
        yield f"{found['what'].capitalize()} ({found['rung']}):\n"
        yield from (f"{number}. {what}" for number, what in enumerate(found["trace"], start=1))
        yield "\n</details>\n"


HEADER = """# Scoreboard: what the drivers say of each mutant

For users: it shows how well the tests of this project notice mistakes in the protocol.
Each line is one mistake, put into the code on purpose, and which search found it.
You need nothing of it to run a cluster; it is evidence for [why it is safe](safety.md).

`make scoreboard` writes this page. Each line is a clause of
[mutants.toml](../tests/tools/mutants.toml) that is taken out of the code. The explorer searches
every run of a ladder of small scopes. So does the specification, in smaller ones: each step must be
an action of Lamport's modules, or stuttering ([exploring](exploring.md)). The simulator runs
seeds 0, 1, 2 and so on, first without and then with an end to the faults. A mutant of `paxos/log`
is driven by the simulator of logs, with snapshots, and has no trace.

- **broken**: a rule of the protocol does not hold. **error**: the core raises what it must not
  raise. **no action**: a step that the specification does not know. **never**: what happens
  somewhere without the mutant happens nowhere. These are kills.
- *Other runs*: no rule is broken, and a search or a run is longer or shorter than without the
  mutant. *Same runs*: not even that.
- In brackets: how many states of that scope had been seen by then, or how many runs were made.
  *Trace* is the number of events in the shortest run that a driver found.
- Quorums that the core must refuse are driven where it does not: see the end of the brackets.
"""
SURVIVORS = """## What no driver misses

`make mutants` shows that a named test misses each of these.
"""
TRACES = """## Shortest traces

No event can be spared. A1 is an acceptor, P1 a proposer, R1 a reader and I1 an inquirer; in the
runs of the simulator every server S1 is all of these.
"""


def unexplained(scores: list[Score]) -> Iterator[str]:
    """What does not add up: mutants that survive without a reason, reasons without a survivor."""
    clauses = {it.mutant.clause: it for it in scores}
    for clause, it in clauses.items():
        if it.killed == (clause in EXPLAINED):
            yield f"{clause}: {'killed, and explained' if it.killed else 'SURVIVED'}"


def main(words: list[str]) -> int:
    """Drive all mutants; write the page, or print it for some of them."""
    if words == [DRIVE_LOG]:
        print(json.dumps(log_driven()))
        return 0
    if words == [DRIVE]:
        drivers = Verdicts(explorer=explored(), specification=specified(), simulator=simulated())
        print(json.dumps(drivers))
        return 0
    every = list(catalogue())
    if unknown := EXPLAINED.keys() - {it.clause for it in every}:
        raise DoesNotFit(f"explained, and not in the catalogue: {sorted(unknown)}")
    mutants = kept(every, words)
    for mutant in mutants:
        mutant.source()
    with TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as pool:
        model = Path(folder)
        furnish(model)

        def judge(mutant: Mutant) -> Score:
            mode = drivers_of(mutant)
            return Score(mutant, drive(mutant, model, mode), sound[mode])

        sound = {mode: drive(None, model, mode) for mode in sorted({*map(drivers_of, mutants)})}
        if any(verdict and verdict["found"] for it in sound.values() for _, verdict in each(it)):
            raise DoesNotFit(f"without any mutant: {sound}")
        scores: list[Score] = []
        for score in pool.map(judge, mutants):
            scores.append(score)
            print(f"\r{len(scores)} of {len(mutants)}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    problems = list(unexplained(scores))
    if words == [SHORT]:
        problems += stale(scores)
        print(f"{PAGE.relative_to(ROOT)}: {len(scores)} mutants were driven")
    elif words:
        print(page(scores, len(every)), end="")
    else:
        PAGE.write_text(page(scores, len(every)), encoding="utf-8")
        print(f"{PAGE.relative_to(ROOT)}: {sum(it.killed for it in scores)} killed")
    print(*problems, sep="\n")
    return 1 if problems else 0


def kept(every: list[Mutant], words: list[str]) -> list[Mutant]:
    """The mutants that are judged."""
    driven = [it for it in every if is_driven(it)]
    if words == [SHORT]:
        return driven[::8]
    return [
        it for it in driven if not words or any(word in it.clause + it.module for word in words)
    ]


def stale(scores: list[Score]) -> Iterator[str]:
    """The lines that the page does not have."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return (f"not on the page: {line}" for line in map(row, scores) if line not in lines)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DoesNotFit as error:
        print(f"scoreboard: {error}", file=sys.stderr)
        sys.exit(2)
