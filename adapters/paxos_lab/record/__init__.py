"""Recordings: what happened to servers, a line each; and the same functions that take it again.

    with Recorder(path, codec=TEXT, runtime="memory") as recorder:
        cluster = Cluster[str](5, observer=recorder)
    replay(path)                     the same states, or the first step that differs

Arrows point one way:
errors <- coding, core <- entries <- recorder <- reading;
post <- playing <- replaying <- examples, story.
"""

from __future__ import annotations

from paxos_adapters.coding import Coder
from paxos_lab.machines.faulty import PROTOCOLS
from paxos_lab.record.entries import (
    Began,
    Ended,
    Entry,
    Freed,
    Given,
    Header,
    Known,
    Took,
)
from paxos_lab.record.errors import OtherFormat, RecordingCorrupted, RecordingError
from paxos_lab.record.fingerprint import fingerprint
from paxos_lab.record.in_flight import Arrival, Sent
from paxos_lab.record.reading import discard
from paxos_lab.record.recorder import MAX_BYTES, Recorder
from paxos_lab.record.replay import Difference, Replay, replay
from paxos_lab.record.replayer import Key, Step
from paxos_lab.record.timeline import Arrow, Decided, Kind, Look, Moment, Story, story

__all__ = [
    "MAX_BYTES",
    "PROTOCOLS",
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
    "Known",
    "Look",
    "Moment",
    "OtherFormat",
    "Recorder",
    "RecordingCorrupted",
    "RecordingError",
    "Replay",
    "Sent",
    "Step",
    "Story",
    "Took",
    "discard",
    "fingerprint",
    "replay",
    "story",
]
