"""Recordings: what happened to servers, a line each; and the same functions that take it again.

    with Recorder(path, codec=TEXT, runtime="memory") as recorder:
        cluster = Cluster[str](5, observer=recorder)
    replay(path)                     the same states, or the first step that differs
    timeline(trace, view)            one decision of a run or a replay, ready to be drawn

Arrows point one way:
errors, fingerprint <- entries <- recorder <- reading;
entries, in_flight <- trace <- replayer <- replay <- logs; trace <- timeline.
"""

from __future__ import annotations

from paxos_adapters.coding import Coder, Kinds
from paxos_adapters.ports import Key
from paxos_adapters.single import single_coder
from paxos_lab.machines.faulty import PROTOCOLS
from paxos_lab.record.entries import (
    Began,
    Ended,
    Entry,
    Freed,
    Given,
    Header,
    Known,
    Noted,
    Took,
)
from paxos_lab.record.errors import OtherFormat, RecordingCorrupted, RecordingError
from paxos_lab.record.fingerprint import fingerprint
from paxos_lab.record.in_flight import Arrival, Sent
from paxos_lab.record.logs import LogRecorder, LogReplay, is_of_log, replay_log
from paxos_lab.record.reading import discard
from paxos_lab.record.recorder import MAX_BYTES, About, MachineRecorder, Recorder
from paxos_lab.record.replay import Difference, MachineReplay, Replay, replay, replay_machine
from paxos_lab.record.timeline import (
    Arrow,
    Decided,
    Kind,
    Moment,
    Timeline,
    log_timeline,
    single_timeline,
    timeline,
)
from paxos_lab.record.trace import LogTrace, SingleStep, SingleTrace, Step, Trace

__all__ = [
    "MAX_BYTES",
    "PROTOCOLS",
    "About",
    "Arrival",
    "Arrow",
    "Began",
    "Coder",
    "Decided",
    "Difference",
    "Ended",
    "Entry",
    "Freed",
    "Given",
    "Header",
    "Key",
    "Kind",
    "Kinds",
    "Known",
    "LogRecorder",
    "LogReplay",
    "LogTrace",
    "MachineRecorder",
    "MachineReplay",
    "Moment",
    "Noted",
    "OtherFormat",
    "Recorder",
    "RecordingCorrupted",
    "RecordingError",
    "Replay",
    "Sent",
    "SingleStep",
    "SingleTrace",
    "Step",
    "Timeline",
    "Took",
    "Trace",
    "discard",
    "fingerprint",
    "is_of_log",
    "log_timeline",
    "replay",
    "replay_log",
    "replay_machine",
    "single_coder",
    "single_timeline",
    "timeline",
]
