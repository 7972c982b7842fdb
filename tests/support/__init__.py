"""Short names for what nearly every test writes."""

from __future__ import annotations

import asyncio
import traceback
from typing import TypeVar

from paxos import AfterSave, Ballot, Now, Saved, ServerId, majority
from paxos_adapters.guard import Guard

PACKAGES = "paxos_adapters", "paxos_lab", "paxos_testing", "paxos_cli"
"""The import packages of ``adapters``, each above the one before."""

M = TypeVar("M")
R = TypeVar("R")

S1, S2, S3, S4, S5 = (ServerId(number) for number in range(1, 6))
NON_MEMBER = ServerId(9)
THREE = majority([S1, S2, S3])
FIVE = majority([S1, S2, S3, S4, S5])


def ballot(number: str) -> Ballot:
    """``ballot("3.1")`` is round 3 of server 1, as the lecture writes it."""
    round_, server = number.split(".")
    return Ballot(int(round_), ServerId(int(server)))


def free(outbound: AfterSave[R, M] | Now[M]) -> tuple[M, ...]:
    """The messages of a transition whose outbound must not be sealed."""
    assert isinstance(outbound, Now), f"sealed: {outbound}"
    return outbound.messages


def sealed(outbound: AfterSave[R, M] | Now[M], record: R) -> tuple[M, ...]:
    """The messages of a transition whose outbound must be sealed by ``record``."""
    assert isinstance(outbound, AfterSave), f"not sealed: {outbound}"
    assert outbound.record == record
    return outbound.release(Saved((outbound.record,)))


def opened(outbound: AfterSave[R, M] | Now[M]) -> tuple[M, ...]:
    """The messages of a transition, once what they wait for is saved."""
    if isinstance(outbound, Now):
        return outbound.messages
    return outbound.release(Saved((outbound.record,)))


def _fail(error: BaseException) -> None:
    """What waits in the event loop ends with an error, and so does the test."""
    traceback.print_exception(error)
    asyncio.get_running_loop().stop()


UNBROKEN = Guard(_fail)
"""What a test gives to the parts of a node that are guarded."""


class Untouchable:
    """A value that breaks whoever compares, hashes or judges it."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    def __hash__(self) -> int:
        raise AssertionError("hashed")

    def __bool__(self) -> bool:
        raise AssertionError("judged")


ANY_VALUES = [None, 0, "", [], {"a": 1}, ["a"], float("nan"), Untouchable()]
