"""Recordings: what happened to servers, a line each; and the same functions that take it again.

    with Recorder(path, codec=TEXT, runtime="memory") as recorder:
        cluster = Cluster[str](5, witness=recorder)
    replay(path)                     the same states, or the first step that differs

Arrows point one way:
errors <- coding, core <- entries <- recorder <- reading; post <- playing <- replaying <- examples.
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

__all__ = [
    "MAX_BYTES",
    "PROTOCOLS",
    "Arrival",
    "Began",
    "Coder",
    "Damaged",
    "Difference",
    "Ended",
    "Entry",
    "Freed",
    "Given",
    "Header",
    "Known",
    "OtherFormat",
    "Place",
    "Recorder",
    "RecordingError",
    "Replay",
    "Sent",
    "Step",
    "Took",
    "discard",
    "fingerprint",
    "replay",
]
