"""The messages of a log: immutable values, never mistaken for each other."""

from __future__ import annotations

from itertools import combinations

import pytest
from attrs import AttrsInstance, fields, has
from attrs.exceptions import FrozenInstanceError

from paxos.log import (
    Accept,
    Accepted,
    CatchUp,
    CatchUpRequest,
    Change,
    Command,
    Confirm,
    Confirmed,
    Heartbeat,
    Noop,
    Prepare,
    Promise,
    messages,
)
from tests.support import THREE, ballot
from tests.support.logs import held

ONE = ballot("1.1")
RED = held("1.1", "red")


def one_of_each() -> tuple[AttrsInstance, ...]:
    return (
        Command("red"),
        Noop(),
        Change(THREE),
        Prepare(ONE, 1),
        Promise(ONE, 1, 1, ((1, RED),), True),
        Accept(ONE, 1, Command("red"), 1),
        Accepted(ONE, 1),
        Heartbeat(ONE, True, True, 1),
        CatchUpRequest(1),
        CatchUp(1, (RED,)),
        Confirm(ONE, 1),
        Confirmed(ONE, 1),
    )


EACH = [pytest.param(message, id=type(message).__name__) for message in one_of_each()]


def test_these_tests_know_every_class_of_the_module() -> None:
    classes = {
        it
        for it in vars(messages).values()
        if isinstance(it, type) and has(it) and it.__module__ == messages.__name__
    }

    assert classes == {type(it) for it in one_of_each()}


@pytest.mark.parametrize("message", EACH)
def test_they_are_immutable(message: AttrsInstance) -> None:
    for name in [it.name for it in fields(type(message))] or ["new"]:
        with pytest.raises((FrozenInstanceError, AttributeError)):
            setattr(message, name, None)


@pytest.mark.parametrize("message", EACH)
def test_equal_messages_are_one(message: AttrsInstance) -> None:
    (same,) = (it for it in one_of_each() if type(it) is type(message))

    assert (message, hash(message)) == (same, hash(same))


def test_no_two_kinds_are_equal() -> None:
    for one, other in combinations(one_of_each(), 2):
        assert one != other
