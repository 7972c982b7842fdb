"""Several observers told the same, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, ParamSpec

from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_adapters.ports import Observer

Told = ParamSpec("Told")


class Observers(Generic[S, Q, M, T, R, P]):
    """An observer that tells all of ``each``, in their order."""

    def __init__(self, each: Iterable[Observer[S, Q, M, T, R, P]]) -> None:
        all_ = tuple(each)
        self.set_time = _in_turn(it.set_time for it in all_)
        self.started = _in_turn(it.started for it in all_)
        self.stepped = _in_turn(it.stepped for it in all_)
        self.state_set = _in_turn(it.state_set for it in all_)
        self.saved = _in_turn(it.saved for it in all_)
        self.sent = _in_turn(it.sent for it in all_)
        self.failed = _in_turn(it.failed for it in all_)
        self.stopped = _in_turn(it.stopped for it in all_)


def _in_turn(each: Iterable[Callable[Told, None]]) -> Callable[Told, None]:
    """One call that makes all of ``each``."""
    calls = tuple(each)

    def call(*args: Told.args, **kwargs: Told.kwargs) -> None:
        for it in calls:
            it(*args, **kwargs)

    return call
