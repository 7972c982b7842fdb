"""Recordings: what happened to servers, a line each; and the same functions that take it again.

    with Recorder(path, codec=TEXT, runtime="memory") as recorder:
        cluster = Cluster[str](5, witness=recorder)
    replay(path)                     the same states, or the first step that differs

Arrows point one way:
errors <- coding, core <- entries <- recorder <- reading;
post <- playing <- replaying <- examples, story.
"""

from __future__ import annotations

from paxos_adapters.broken import PROTOCOLS
from paxos_adapters.recording.coding import Coder
from paxos_adapters.recording.core import fingerprint
from paxos_adapters.recording.entries import (
    Began,
    Ended,
    Entry,
    Freed,
    Given,
    Header,
    Known,
    Took,
)
from paxos_adapters.recording.errors import Damaged, OtherFormat, RecordingError
from paxos_adapters.recording.playing import Place, Step
from paxos_adapters.recording.post import Arrival, Sent
from paxos_adapters.recording.reading import discard
from paxos_adapters.recording.recorder import MAX_BYTES, Recorder
from paxos_adapters.recording.replaying import Difference, Replay, replay
from paxos_adapters.recording.story import Arrow, Decided, Kind, Look, Moment, Story, story

__all__ = [
    "MAX_BYTES",
    "PROTOCOLS",
    "Arrival",
    "Arrow",
    "Began",
    "Coder",
    "Damaged",
    "Decided",
    "Difference",
    "Ended",
    "Entry",
    "Freed",
    "Given",
    "Header",
    "Kind",
    "Known",
    "Look",
    "Moment",
    "OtherFormat",
    "Place",
    "Recorder",
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
