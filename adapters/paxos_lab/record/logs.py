"""Recordings of logs: the bounds of a log are facts of its recording, so a replay has the same.

with LogRecorder(path, codec=TEXT, runtime="my program", rules=rules) as recorder:
MemoryCluster(log(rules), majority_of(3), observer=recorder)
replay_log(path)                 the same states, or the first step that differs
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias, Unpack

from paxos.ballot import V
from paxos.log import Rules, events
from paxos.log.events import Event, LogTimer, Report
from paxos.log.memory import Record
from paxos.log.messages import Message
from paxos.log.replica import Replica
from paxos_adapters.codecs import SURROGATE_ESCAPE
from paxos_adapters.log import Log, LogCoder, LogReceive, log, log_coder
from paxos_adapters.ports import Codec
from paxos_lab.record.entries import Header
from paxos_lab.record.errors import RecordingError
from paxos_lab.record.reading import parts, read
from paxos_lab.record.recorder import About, MachineRecorder, Rotation
from paxos_lab.record.replay import MachineReplay, replay_machine

LogReplay: TypeAlias = MachineReplay[
    Replica[str], events.Request[str], Message[str], LogTimer, Record[str], Report[str]
]
"""A replay of replicas of a log, whose commands are text."""

LOG = "log"
WINDOW, PIECE = "window", "piece"


class LogRecorder(MachineRecorder[Replica[V], Event[V], Record[V]]):
    """Records replicas of a log under ``rules`` into the file ``path``, as a Recorder does.

    ``protocol`` is the name of a variant. ``codec`` is for commands.
    """

    def __init__(
        self,
        path: Path,
        *,
        codec: Codec[V],
        runtime: str,
        rules: Rules,
        protocol: str = LOG,
        facts: Mapping[str, str] | None = None,
        **rotation: Unpack[Rotation],
    ) -> None:
        """Open the file. Raises as MachineRecorder."""
        bounds = {WINDOW: str(rules.window), PIECE: str(rules.piece)}
        about = About(runtime, protocol, {**bounds, **(facts or {})})
        super().__init__(path, log_coder(codec), about, **rotation)


def is_of_log(path: Path) -> bool:
    """Whether the recording at ``path`` is one of a log. Raises OSError and RecordingError."""
    return WINDOW in _header(path).facts


def replay_log(*paths: Path, variants: Mapping[str, LogReceive[str]] | None = None) -> LogReplay:
    """Take all that ``paths`` tell of a log again; commands are text.

    ``variants`` may have been recorded, too, by name. Raises as ``replay``.
    """
    if not paths:
        raise RecordingError("there is nothing to replay: name a recording.")
    rules = _rules(paths[0], _header(paths[0]))
    machines: dict[str, Log[str]] = {
        name: log(rules, receive, name) for name, receive in (variants or {}).items()
    }
    machines[LOG] = log(rules)
    return replay_machine(machines, log_coder(SURROGATE_ESCAPE), *paths)


def _header(path: Path) -> Header:
    coder: LogCoder[str] = log_coder(SURROGATE_ESCAPE)
    line = next(read(parts(path)[0], coder), None)
    if line is None or not isinstance(line.item, Header):
        raise RecordingError(f"{path} holds no whole line: nothing was recorded.")
    return line.item


def _rules(path: Path, header: Header) -> Rules:
    try:
        return Rules(int(header.facts[WINDOW]), int(header.facts[PIECE]))
    except (KeyError, ValueError) as error:
        raise RecordingError(
            f"{path} does not name the window and the piece of a log: it is not a recording of one."
        ) from error
