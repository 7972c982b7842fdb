"""The messages: immutable values, never mistaken for each other."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import pytest
from attrs import AttrsInstance, fields, has
from attrs.exceptions import FrozenInstanceError

from paxos import (
    Accept,
    Accepted,
    Answer,
    Chosen,
    From,
    Heartbeat,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Query,
    QueryTimer,
    ReadId,
    Reply,
    RetryTimer,
    messages,
)
from tests.support import S1, S2, ballot

ONE, TWO = ballot("1.1"), ballot("2.2")
READ = ReadId(1, 1)
RED = Proposal(ONE, "red")
NOTHING_ACCEPTED: Promise[str] = Promise(ONE, None)


def one_of_each() -> tuple[AttrsInstance, ...]:
    return (
        Prepare(ONE),
        Promise(ONE, RED),
        Accept(ONE, "red"),
        Accepted(ONE, "red"),
        Nack(ONE, TWO),
        Query(READ),
        Answer(READ, RED),
        Chosen(ONE, "red"),
        Heartbeat(),
        From(S1, Prepare(ONE)),
    )


EACH = [pytest.param(message, id=type(message).__name__) for message in one_of_each()]


def test_these_tests_know_every_class_of_the_module() -> None:
    classes = {
        thing
        for thing in vars(messages).values()
        if isinstance(thing, type) and has(thing) and thing.__module__ == messages.__name__
    }
    assert {type(message) for message in one_of_each()} == classes


@pytest.mark.parametrize("message", EACH)
def test_a_message_cannot_be_changed(message: AttrsInstance) -> None:
    for name in [*(field.name for field in fields(type(message))), "anything_else"]:
        with pytest.raises(FrozenInstanceError):
            setattr(message, name, TWO)
        with pytest.raises(FrozenInstanceError):
            delattr(message, name)


def test_messages_with_equal_fields_are_equal_and_hash_alike() -> None:
    for message, again in zip(one_of_each(), one_of_each(), strict=True):
        assert message == again
        assert hash(message) == hash(again)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *combinations([Accept(ONE, TWO), Accepted(ONE, TWO), Chosen(ONE, TWO), Nack(ONE, TWO)], 2),
        *combinations([Accept(ONE, None), Accepted(ONE, None), NOTHING_ACCEPTED], 2),
        (Prepare(ONE), RetryTimer(ONE)),
        (Prepare(ONE), NOTHING_ACCEPTED),
        (Query(READ), QueryTimer(READ)),
        (Answer(READ, RED), Promise(ONE, RED)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_of_two_classes_differ_even_if_their_fields_are_equal(
    one: object, other: object
) -> None:
    assert one != other
    assert len({one, other}) == 2


@pytest.mark.parametrize("message", EACH)
def test_no_message_is_a_kind_of_another(message: AttrsInstance) -> None:
    kinds = [type(other) for other in one_of_each() if isinstance(message, type(other))]
    assert kinds == [type(message)]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Prepare(ONE), Prepare(TWO)),
        (Promise(ONE, RED), Promise(TWO, RED)),
        (Promise(ONE, RED), NOTHING_ACCEPTED),
        (Accept(ONE, "red"), Accept(TWO, "red")),
        (Accept(ONE, "red"), Accept(ONE, "blue")),
        (Accepted(ONE, "red"), Accepted(TWO, "red")),
        (Accepted(ONE, "red"), Accepted(ONE, "blue")),
        (Nack(ONE, TWO), Nack(TWO, TWO)),
        (Nack(ONE, TWO), Nack(ONE, ONE)),
        (Query(READ), Query(ReadId(1, 2))),
        (Query(READ), Query(ReadId(2, 1))),
        (Answer(READ, RED), Answer(ReadId(1, 2), RED)),
        (Answer(READ, RED), Answer[str](READ, None)),
        (Chosen(ONE, "red"), Chosen(TWO, "red")),
        (Chosen(ONE, "red"), Chosen(ONE, "blue")),
        (From(S1, Heartbeat()), From(S2, Heartbeat())),
        (From(S1, Prepare(ONE)), From(S1, Prepare(TWO))),
    ],
    ids=repr,
)
def test_messages_of_one_class_differ_by_every_field(one: object, other: object) -> None:
    assert one != other


def test_every_answer_names_the_ballot_or_the_read_that_it_answers() -> None:
    answers: list[Reply[str]] = [
        Promise(ONE, RED),
        Accepted(ONE, "red"),
        Nack(ONE, TWO),
        Answer(READ, RED),
        Chosen(ONE, "red"),
    ]
    named = [it.id if isinstance(it, Answer) else it.ballot for it in answers]
    assert named == [ONE, ONE, ONE, READ, ONE]
    assert len(answers) == len(get_args(Reply))


def test_a_read_id_is_written_as_session_and_number() -> None:
    assert str(ReadId(17, 4)) == "17/4"


def test_a_message_carries_a_value_that_cannot_be_hashed() -> None:
    assert Accept(ONE, ["red"]) == Accept(ONE, ["red"])
    with pytest.raises(TypeError, match="unhashable"):
        hash(Accept(ONE, ["red"]))
