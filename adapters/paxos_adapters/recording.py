"""A recording of a run: what it takes to play it again, a line of JSON for each event.

- The first line says what was run: the format, the scope and the rule that the run breaks.
- Each line after it is an event in words, with its number among all that could happen then.
- To play it again is to take the same choices. The words are held against what happens, so that a
  recording of another protocol, or of another version, says where it differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict, cast

from paxos import PaxosError, ServerId, flexible
from paxos.quorum import Counted
from paxos_adapters.broken import BROKEN
from paxos_adapters.exploration.counterexamples import Counterexample, Taken, choices, words
from paxos_adapters.exploration.interleavings import Interleavings
from paxos_adapters.exploration.scopes import Scope
from paxos_adapters.protocols import LECTURE, PAXOS

FORMAT = 1
PROTOCOLS = {it.name: it for it in (PAXOS, *LECTURE, *BROKEN)}


class RecordingError(PaxosError, ValueError):
    """A file that is no recording, or a recording of something else."""


class Header(TypedDict):
    """The first line."""

    recording: int
    protocol: str
    acceptors: int
    proposers: int
    readers: int
    ballots: int
    crashes: int
    phase1: int
    phase2: int
    rule: str


class Line(TypedDict):
    """Every other line."""

    choice: int
    what: str


def write(path: Path, example: Counterexample) -> None:
    """Write the run of ``example``. Raises OSError; RecordingError if its quorums are no counts."""
    scope, quorum = example.scope, example.scope.quorum
    if not isinstance(quorum, Counted):
        raise RecordingError(
            "a recording names quorums by their size, and these are made otherwise."
        )
    header = Header(
        recording=FORMAT,
        protocol=scope.protocol.name,
        acceptors=scope.acceptors,
        proposers=scope.proposers,
        readers=scope.readers,
        ballots=scope.ballots,
        crashes=scope.crashes,
        phase1=quorum.phase1,
        phase2=quorum.phase2,
        rule=example.rule,
    )
    lines = [json.dumps(it) for it in (header, *_lines(example))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _lines(example: Counterexample) -> Iterator[Line]:
    for taken in example.run:
        acts = [act for act, _ in choices(example.machine, taken.before)]
        yield Line(choice=acts.index(taken.act), what=words(example.scope, taken.act))


def read(path: Path) -> Counterexample:
    """Play the recording at ``path`` again. Raises OSError, and RecordingError if it differs."""
    try:
        first, *rest = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        header, lines = cast("Header", first), [cast("Line", it) for it in rest]
        if header["recording"] != FORMAT:
            raise RecordingError(
                f"{path} has the format {header['recording']!r}, and this version reads {FORMAT}."
            )
        scope = Scope(
            acceptors=header["acceptors"],
            proposers=header["proposers"],
            ballots=header["ballots"],
            crashes=header["crashes"],
            readers=header["readers"],
            protocol=PROTOCOLS[header["protocol"]],
            quorum=flexible(
                map(ServerId, range(1, header["acceptors"] + 1)),
                phase1=header["phase1"],
                phase2=header["phase2"],
            ),
            reduced=False,
        )
        machine = Interleavings(scope)
        return Counterexample(header["rule"], machine, tuple(_played(machine, lines)))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(
            f"{path} is no recording that this version can read ({type(error).__name__}: {error}). "
            "Make it again with paxos explore."
        ) from error


def _played(machine: Interleavings, lines: Iterable[Line]) -> Iterator[Taken]:
    (state,) = machine.start()
    for number, line in enumerate(lines, start=1):
        open_to = list(choices(machine, state))
        choice = line["choice"]
        if not 0 <= choice < len(open_to):
            raise RecordingError(
                f"event {number} was choice {choice}, and only {len(open_to)} things can happen "
                "now: the protocol has changed since."
            )
        act, after = open_to[choice]
        if words(machine.scope, act) != line["what"]:
            raise RecordingError(
                f"event {number} was {line['what']!r}, and is {words(machine.scope, act)!r} now: "
                "the protocol has changed since."
            )
        yield Taken(act, state, after)
        state = after
