"""``--record`` and ``paxos replay``: what happened, into a file; and once more, from it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import click

from paxos.log import Rules
from paxos_adapters.codecs import TEXT
from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_adapters.outputs import RECORDING, OutputRefused, check
from paxos_adapters.printable import printable
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, failing
from paxos_cli.help import Command
from paxos_cli.options import PLAIN
from paxos_cli.output import say
from paxos_cli.paths import InputFile, OutputFile, as_utf8, input_file
from paxos_lab.lecture import LOG_SCENARIOS, SCENARIOS
from paxos_lab.machines.faulty_log import VARIANTS
from paxos_lab.machines.log_protocols import LOG, LogProtocol
from paxos_lab.machines.protocols import Protocol
from paxos_lab.record import (
    PROTOCOLS,
    Began,
    Ended,
    LogRecorder,
    LogReplay,
    MachineRecorder,
    MachineReplay,
    Recorder,
    RecordingError,
    Replay,
    Took,
    discard,
    is_of_log,
    replay,
    replay_log,
)

E = TypeVar("E")

KNOWN = {**{it.protocol.name: it.protocol for it in SCENARIOS.values()}, **PROTOCOLS}
"""Every protocol that a command can record."""

LOG_VARIANTS = {it.protocol.name: it.protocol.receive for it in LOG_SCENARIOS.values()} | VARIANTS
"""Every variant of a log that a command can record."""

FILES = click.argument("files", nargs=-1, required=True, type=InputFile())
record_option = click.option(
    "--record",
    type=OutputFile(RECORDING),
    metavar="FILE",
    help="Record what happens, in place of what is in FILE; paxos replay plays it again.",
)


def has_numbers(found: Replay) -> bool:
    """Whether the protocol that was recorded compares ballots, so that a picture shows them."""
    return all(KNOWN[it.protocol].has_numbers for it in found.headers)


@contextmanager
def recording(
    path: Path | None,
    runtime: str,
    protocol: Protocol,
    facts: Mapping[str, str],
    *,
    keep_out: Iterable[Path] = (),
) -> Generator[Recorder[str] | None, None, None]:
    """A recorder for ``path``, if there is one, and a word about it afterwards.

    ``keep_out`` names files of servers, which it must not be.
    """
    if path is None:
        yield None
        return
    with _refusals():
        check(path, RECORDING, keep_out=keep_out)
        discard(path)
        recorder = Recorder(path, codec=TEXT, runtime=runtime, protocol=protocol.name, facts=facts)
    with _told(path, recorder):
        yield recorder


@contextmanager
def log_recording(
    path: Path | None,
    runtime: str,
    rules: Rules,
    facts: Mapping[str, str],
    *,
    protocol: LogProtocol = LOG,
) -> Generator[LogRecorder[str] | None, None, None]:
    """As ``recording``, for a log under ``rules``, or a variant of it."""
    if path is None:
        yield None
        return
    with _refusals():
        check(path, RECORDING)
        discard(path)
        recorder = LogRecorder(
            path, codec=TEXT, runtime=runtime, rules=rules, protocol=protocol.name, facts=facts
        )
    with _told(path, recorder):
        yield recorder


@contextmanager
def _refusals() -> Generator[None, None, None]:
    try:
        yield
    except (RecordingError, OutputRefused, OSError) as error:
        raise click.BadParameter(str(error), param_hint="'--record'") from error


@contextmanager
def _told(path: Path, recorder: MachineRecorder[S, E, R]) -> Generator[None, None, None]:
    """Close ``recorder`` in the end, and say what has become of the recording."""
    with recorder:
        yield
    if recorder.failure is not None:
        raise Failure(f"{path} is incomplete: {recorder.failure}")
    say(f"Recorded: paxos replay {printable(path)} plays it again.")


def asked(words: tuple[str, ...]) -> tuple[list[Path], str | None]:
    """Files, and the name of a decision: what does not exist, and comes last, is one."""
    *most, last = words
    if most and not os.path.exists(last):
        return [*map(input_file, most)], as_utf8(last)
    return [*map(input_file, words)], None


def slot_of(name: str) -> int:
    """The slot of a log that ``name`` is."""
    if not re.fullmatch(r"[1-9][0-9]{0,17}", name):
        raise click.UsageError(f"{name!r} is not a slot of a log: slots are counted from 1.")
    return int(name)


def replayed(files: tuple[Path, ...]) -> Replay:
    """The replay of ``files``; what is wrong with them is one line."""
    with failing():
        return replay(*files, protocols=KNOWN)


def replayed_log(files: tuple[Path, ...]) -> LogReplay | None:
    """The replay of ``files`` if they are of a log."""
    with failing():
        return replay_log(*files, variants=LOG_VARIANTS) if is_of_log(files[0]) else None


@click.command("replay", cls=Command, short_help="Play a recording again, and compare.")
@FILES
@PLAIN
def replay_files(files: tuple[Path, ...], plain: bool) -> ExitCode:
    """Take what was recorded in FILES again, step by step, and compare the states.

    Name the recordings of all servers of a cluster together. Older parts, FILE.1 and so on, are
    found by themselves. Exits with 0 if all states are the same, and with 1 and the first step that
    differs if not.
    """
    log = replayed_log(files)
    drawn = canvas(plain)
    return _compared(drawn, replayed(files)) if log is None else _compared(drawn, log)


def _compared(drawn: Canvas, found: MachineReplay[S, Q, M, T, R, P]) -> ExitCode:
    """What was recorded, and whether it came again."""
    for about in dict.fromkeys(it.text for it in found.headers):
        drawn.write(printable(about))
    _servers(drawn, found)
    _messages(drawn, found)
    for remark in found.remarks:
        drawn.write(printable(remark))
    steps = f"{len(found.steps):,} steps"
    if found.difference is not None:
        drawn.write(f"After {steps} with the same states: {printable(found.difference.text)}.")
        return ExitCode.FAILED
    drawn.write(f"{steps}, and every state is the one that was recorded.")
    return ExitCode.DONE


def _servers(drawn: Canvas, found: MachineReplay[S, Q, M, T, R, P]) -> None:
    events, starts, ends = Counter[int](), Counter[int](), Counter[int]()
    for step in found.steps:
        what, lane = step.entry.what, step.entry.server
        events[lane] += isinstance(what, Took)
        starts[lane] += isinstance(what, Began)
        ends[lane] += isinstance(what, Ended)
    rows: list[tuple[str, ...]] = []
    for lane, name in found.lanes.items():
        decisions = len({it.entry.name for it in found.steps if it.entry.server == lane})
        counts = decisions, events[lane], starts[lane], ends[lane]
        rows.append((name, *(f"{count:,}" for count in counts)))
    numbers = "decisions", "events", "starts", "ends"
    drawn.table(("server", *numbers), rows, numbers=numbers)


def _messages(drawn: Canvas, found: MachineReplay[S, Q, M, T, R, P]) -> None:
    sent = sum(len(step.sent) for step in found.steps)
    arrivals = [step.arrival for step in found.steps if step.arrival is not None]
    repeated = sum(it.is_repeated for it in arrivals)
    unknown = sum(it.sent is None for it in arrivals)
    told = [f"{sent:,} messages were sent", f"{len(arrivals):,} arrived"]
    if repeated:
        told.append(f"{repeated:,} of these for a second time")
    if unknown:
        told.append(f"{unknown:,} of these from senders without a recording")
    if undelivered := found.undelivered:
        told.append(f"{len(undelivered):,} are lost, or late")
    drawn.write(f"{', '.join(told)}.")
