"""What one server knows and counts of a log: for operators, and for metrics."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, frozen

from paxos import ServerId


@frozen
class LogFigures:
    """A log on one server, in numbers.

    ``held``: for each server the first slot of which it is not known here that it holds it. Of the
    ``window``, the slots that may be open, ``in_flight`` are. ``snapshot_age_s``: since the
    snapshot was saved; None if that was before the server was started. ``commands`` were applied,
    ``reads`` answered, and ``leaders`` followed, since then.
    """

    held: Mapping[ServerId, int] = Factory(dict[ServerId, int])
    in_flight: int = 0
    window: int = 0
    snapshot_age_s: float | None = None
    commands: int = 0
    reads: int = 0
    leaders: int = 0
