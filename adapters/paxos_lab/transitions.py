"""One step of a server with its seal open, for drivers that are the disk themselves.

An explorer and a simulator decide what a crash leaves behind. They need both halves of a step: the
record, and what may leave once it is durable. A program that runs a server for real never does
this; its host opens seals against the receipts of a store.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from attrs import frozen

from paxos import AfterSave, Outbound, Saved

F = TypeVar("F")
R = TypeVar("R")
S = TypeVar("S")


@frozen
class Transition(Generic[S, R, F]):
    """The state after a step, what must be durable first, and what leaves then."""

    state: S
    record: R | None
    effects: tuple[F, ...]


def settle(step: tuple[S, Outbound[R, F]]) -> Transition[S, R, F]:
    """Take a step apart, as if its record had been saved."""
    state, outbound = step
    if type(outbound) is AfterSave:
        record = outbound.record
        return Transition(state, record, outbound.release(Saved((record,))))
    return Transition(state, None, outbound.messages)
