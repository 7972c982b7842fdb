"""Pictures of a run, compared with diagrams drawn by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import pytest

from paxos import (
    Accept,
    Accepted,
    Answer,
    Chosen,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Query,
    ReadId,
    ServerId,
)
from paxos_adapters.memory import Cluster, Delivery
from paxos_lab.draw import ASCII, UNICODE, Glyphs, Moment, Row, describe, space_time
from tests.support import S1, S2, S3, S4, S5, ballot

Item: TypeAlias = Delivery[Message[str]] | Moment

PREPARE = Prepare(ballot("1.1"))


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Prepare(ballot("3.1")), "Prepare 3.1"),
        (Promise[str](ballot("3.1"), None), "Promise 3.1, nothing accepted"),
        (Promise(ballot("3.1"), Proposal(ballot("2.5"), "red")), "Promise 3.1, 2.5 red"),
        (Accept(ballot("3.1"), "red"), "Accept 3.1 red"),
        (Accepted(ballot("3.1"), "red"), "Accepted 3.1 red"),
        (Nack(ballot("3.1"), ballot("4.5")), "Nack 3.1, 4.5 is promised"),
        (Chosen(ballot("3.1"), "red"), "Chosen red"),
        (Heartbeat(), "Heartbeat"),
        (Query(ReadId(17, 4)), "Query 17/4"),
        (Answer[str](ReadId(17, 4), None), "Answer 17/4, nothing accepted"),
        (Answer(ReadId(17, 4), Proposal(ballot("2.5"), "red")), "Answer 17/4, 2.5 red"),
    ],
)
def test_a_message_in_a_few_words(message: Message[str], words: str) -> None:
    assert describe(message) == words


class TestOneToMany:
    """A broadcast, or part of one."""

    def test_from_the_left(self) -> None:
        assert draw(burst(PREPARE, "11", "12", "13")) == [
            "S1   S2   S3",
            "◉───▶┼───▶│  Prepare 1.1",
        ]

    def test_from_the_middle(self) -> None:
        assert draw(burst(PREPARE, "21", "22", "23")) == [
            "S1   S2   S3",
            "│◀───◉───▶│  Prepare 1.1",
        ]

    def test_from_the_right(self) -> None:
        assert draw(burst(PREPARE, "31", "32", "33")) == [
            "S1   S2   S3",
            "│◀───┼◀───◉  Prepare 1.1",
        ]

    def test_to_some_of_them(self) -> None:
        assert draw(burst(PREPARE, "21", "24"), servers=4) == [
            "S1   S2   S3   S4",
            "│◀───●────┼───▶│  Prepare 1.1",
        ]


class TestManyToOne:
    """The answers to a broadcast."""

    def test_in_the_middle(self) -> None:
        assert draw(burst(PREPARE, "12", "32")) == [
            "S1   S2   S3",
            "●───▶│◀───●  Prepare 1.1",
        ]

    def test_in_the_middle_and_itself(self) -> None:
        assert draw(burst(PREPARE, "13", "23", "33", "43", "53"), servers=5) == [
            "S1   S2   S3   S4   S5",
            "●────●───▶◉◀───●────●  Prepare 1.1",
        ]

    def test_on_the_left(self) -> None:
        assert draw(burst(PREPARE, "11", "21", "31")) == [
            "S1   S2   S3",
            "◉◀───●────●  Prepare 1.1",
        ]

    def test_on_the_right_past_one_that_is_silent(self) -> None:
        assert draw(burst(PREPARE, "14", "34"), servers=4) == [
            "S1   S2   S3   S4",
            "●────┼────●───▶│  Prepare 1.1",
        ]


class TestOneToOne:
    """A message alone."""

    def test_to_itself(self) -> None:
        assert draw(burst(PREPARE, "22")) == [
            "S1   S2   S3",
            "│    ◉    │  Prepare 1.1",
        ]

    def test_to_a_neighbour(self) -> None:
        assert draw(burst(PREPARE, "12")) == [
            "S1   S2   S3",
            "●───▶│    │  Prepare 1.1",
        ]

    def test_past_other_lanes(self) -> None:
        assert draw(burst(PREPARE, "52"), servers=5) == [
            "S1   S2   S3   S4   S5",
            "│    │◀───┼────┼────●  Prepare 1.1",
        ]


class TestRows:
    """What shares a row, and what does not."""

    def test_a_moment_has_its_own_row(self) -> None:
        assert draw([Moment(S1, "S1 proposes red"), Moment(S3, "S3 crashes")]) == [
            "S1   S2   S3",
            "◆    │    │  S1 proposes red",
            "│    │    ◆  S3 crashes",
        ]

    def test_a_moment_ends_a_burst(self) -> None:
        history = [*burst(PREPARE, "12"), Moment(S3, "S3 crashes"), *burst(PREPARE, "13")]
        assert draw(history) == [
            "S1   S2   S3",
            "●───▶│    │  Prepare 1.1",
            "│    │    ◆  S3 crashes",
            "●────┼───▶│  Prepare 1.1",
        ]

    def test_different_messages_never_share_a_row(self) -> None:
        other = Prepare(ballot("2.1"))
        assert draw([*burst(PREPARE, "12"), *burst(other, "13"), *burst(PREPARE, "13")]) == [
            "S1   S2   S3",
            "●───▶│    │  Prepare 1.1",
            "●────┼───▶│  Prepare 2.1",
            "●────┼───▶│  Prepare 1.1",
        ]

    def test_messages_of_equal_fields_are_still_different(self) -> None:
        accept, accepted = Accept(ballot("1.1"), "red"), Accepted(ballot("1.1"), "red")
        assert draw([*burst(accept, "12"), *burst(accepted, "13")]) == [
            "S1   S2   S3",
            "●───▶│    │  Accept 1.1 red",
            "●────┼───▶│  Accepted 1.1 red",
        ]

    def test_the_same_message_of_two_pairs_does_not_share_a_row(self) -> None:
        assert draw(burst(Heartbeat(), "12", "34"), servers=4) == [
            "S1   S2   S3   S4",
            "●───▶│    │    │  Heartbeat",
            "│    │    ●───▶│  Heartbeat",
        ]

    def test_nothing_happened(self) -> None:
        assert draw([]) == ["S1   S2   S3"]

    def test_a_row_belongs_to_the_ballot_that_it_is_about(self) -> None:
        history = [
            Moment(S1, "S1 proposes red"),
            *burst(PREPARE, "12"),
            *burst(Nack(ballot("1.1"), ballot("2.3")), "21"),
            *burst(Chosen(ballot("2.3"), "red"), "31"),
            *burst(Heartbeat(), "31"),
        ]
        assert [row.ballot for row in rows(history)] == [
            None,
            None,
            ballot("1.1"),
            ballot("1.1"),
            ballot("2.3"),
            None,
        ]


class TestStyle:
    """Characters and width."""

    def test_in_ascii(self) -> None:
        history = [Moment(S2, "S2 proposes red"), *burst(PREPARE, "22", "21", "24")]
        assert draw(history, servers=4, glyphs=ASCII) == [
            "S1   S2   S3   S4",
            "|    *    |    |  S2 proposes red",
            "|<---@----+--->|  Prepare 1.1",
        ]
        assert draw(burst(PREPARE, "13"), glyphs=ASCII)[1:] == [
            "o----+--->|  Prepare 1.1",
        ]

    def test_in_its_usual_width(self) -> None:
        lanes = [row.lanes for row in space_time([S1, S2, S3], burst(PREPARE, "21", "22", "23"))]
        assert lanes == [
            "S1       S2       S3",
            "│◀───────◉───────▶│",
        ]

    @pytest.mark.parametrize("width", [3, 6, 9, 12])
    @pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
    def test_every_row_is_as_wide_as_the_lanes(self, width: int, glyphs: Glyphs) -> None:
        cluster = Cluster[str](5)
        cluster.propose(S2, "red")
        cluster.propose(S5, "blue")
        deliveries = [event for event in cluster.run() if isinstance(event, Delivery)]
        _, *drawn = space_time(cluster.servers, deliveries, width=width, glyphs=glyphs)
        assert {len(row.lanes) for row in drawn} == {4 * width + 1}

    def test_a_decision_from_start_to_end(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        assert draw([event for event in cluster.run() if isinstance(event, Delivery)]) == [
            "S1   S2   S3",
            "◉───▶┼───▶│  Prepare 1.1",
            "◉◀───●────●  Promise 1.1, nothing accepted",
            "◉───▶┼───▶│  Accept 1.1 red",
            "◉◀───●────●  Accepted 1.1 red",
            "◉───▶┼───▶│  Chosen red",
        ]


def burst(message: Message[str], *ways: str) -> list[Item]:
    """``message`` on each of ``ways``: ``"13"`` is from server 1 to server 3."""
    return [Delivery(0.0, ServerId(int(way[0])), ServerId(int(way[1])), message) for way in ways]


def rows(
    history: Sequence[Item],
    servers: int = 3,
    glyphs: Glyphs = UNICODE,
) -> list[Row]:
    """The rows of a diagram that is narrow enough to be drawn by hand."""
    return list(space_time([S1, S2, S3, S4, S5][:servers], history, width=5, glyphs=glyphs))


def draw(
    history: Sequence[Item],
    *,
    servers: int = 3,
    glyphs: Glyphs = UNICODE,
) -> list[str]:
    """Lanes and label of each row."""
    return [f"{row.lanes}  {row.label}".rstrip() for row in rows(history, servers, glyphs)]
