"""What one server knows and counts of a log: for operators, and for metrics."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, frozen

from paxos import Ballot, ServerId
from paxos_adapters.state_machine import FIRST_VERSION


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


@frozen
class LogStatus:
    """A log on one server. ``leader``: the ballot of the server that it takes for the leader.

    All slots below ``chosen`` are known to be chosen, those below ``applied`` are applied, and a
    snapshot stands for those below ``floor``. ``pending`` commands of this program have no answer
    yet; the callers of ``unresolved`` submissions have left. ``stopped``: why nothing more is
    applied. ``version`` of the state machine runs here, and all members have those up to
    ``version_of_all``, which is None while one of them has not said what it has. ``checked``: the
    last slot at which a check found the same state here as on the server that led. ``lease_s``: for
    how long this server may answer reads without asking others; None: it asks. ``figures``: more
    numbers.
    """

    leader: Ballot | None
    leads: bool
    chosen: int
    applied: int
    floor: int
    pending: int
    unresolved: int
    stopped: str | None
    version: int = FIRST_VERSION
    version_of_all: int | None = None
    checked: int | None = None
    lease_s: float | None = None
    figures: LogFigures = Factory(LogFigures)
