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
from paxos_adapters.memory import Cluster
from paxos_lab.draw.terminal import ASCII, UNICODE, Burst, Glyphs, Note, Row, rows_of, text
from paxos_lab.draw.terminal import rows as rows_of_timeline
from paxos_lab.machines.single_view import describe, say
from paxos_lab.record import SingleTrace, Trace, single_timeline
from tests.support import S1, S2, S3, S4, S5, ballot

Item: TypeAlias = Burst | Note

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
        assert draw([Note(S1, "S1 proposes red"), Note(S3, "S3 crashes")]) == [
            "S1   S2   S3",
            "◆    │    │  S1 proposes red",
            "│    │    ◆  S3 crashes",
        ]

    def test_a_moment_ends_a_burst(self) -> None:
        history = [*burst(PREPARE, "12"), Note(S3, "S3 crashes"), *burst(PREPARE, "13")]
        assert draw(history) == [
            "S1   S2   S3",
            "●───▶│    │  Prepare 1.1",
            "│    │    ◆  S3 crashes",
            "●────┼───▶│  Prepare 1.1",
        ]

    def test_what_follows_from_a_burst_stands_below_it(self) -> None:
        history = [*burst(PREPARE, "12"), Note(S2, "S2 knows", True), *burst(PREPARE, "13")]
        assert draw(history) == [
            "S1   S2   S3",
            "●───▶┼───▶│  Prepare 1.1",
            "│    ◆    │  S2 knows",
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
            Note(S1, "S1 proposes red"),
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
        history = [Note(S2, "S2 proposes red"), *burst(PREPARE, "22", "21", "24")]
        assert draw(history, servers=4, glyphs=ASCII) == [
            "S1   S2   S3   S4",
            "|    *    |    |  S2 proposes red",
            "|<---@----+--->|  Prepare 1.1",
        ]
        assert draw(burst(PREPARE, "13"), glyphs=ASCII)[1:] == [
            "o----+--->|  Prepare 1.1",
        ]

    @pytest.mark.parametrize("width", [3, 6, 9, 12])
    @pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
    def test_every_row_is_as_wide_as_the_lanes(self, width: int, glyphs: Glyphs) -> None:
        trace = run(5, red=S2, blue=S5)
        _, *drawn = rows_of_timeline(single_timeline(trace), width=width, glyphs=glyphs)
        assert {len(row.lanes) for row in drawn} == {4 * width + 1}

    def test_a_decision_from_start_to_end(self) -> None:
        assert text(single_timeline(run(3, red=S1)), width=5).splitlines() == [
            "S1   S2   S3",
            "◆    │    │    S1 proposes red",
            "◉───▶┼───▶│    Prepare 1.1",
            "◉◀───●────●    Promise 1.1, nothing accepted",
            "◉───▶┼───▶│    Accept 1.1 red",
            "│    ◆    │    red is chosen under 1.1",
            "◉◀───●────●    Accepted 1.1 red",
            "◆    │    │    S1 knows that red is chosen",
            "◉───▶┼───▶│    Chosen red",
            "│    ◆    │    S2 knows that red is chosen",
            "│    │    ◆    S3 knows that red is chosen",
        ]


def run(servers: int, **proposers: ServerId) -> SingleTrace[str]:
    """A run in memory; each of ``proposers`` proposes the value that it is named by."""
    trace: SingleTrace[str] = Trace()
    cluster = Cluster[str](servers, observer=trace)
    for value, me in proposers.items():
        cluster.propose(me, value)
    cluster.run()
    return trace


def burst(message: Message[str], *ways: str) -> list[Item]:
    """``message`` on each of ``ways``: ``"13"`` is from server 1 to server 3."""
    pairs = [(ServerId(int(way[0])), ServerId(int(way[1]))) for way in ways]
    return [Burst(message, say(message), (pair,)) for pair in pairs]


def rows(
    history: Sequence[Item],
    servers: int = 3,
    glyphs: Glyphs = UNICODE,
) -> list[Row]:
    """The rows of a diagram that is narrow enough to be drawn by hand."""
    lanes = {me: f"S{me}" for me in [S1, S2, S3, S4, S5][:servers]}
    return list(rows_of(lanes, history, width=5, glyphs=glyphs))


def draw(
    history: Sequence[Item],
    *,
    servers: int = 3,
    glyphs: Glyphs = UNICODE,
) -> list[str]:
    """Lanes and label of each row."""
    return [f"{row.lanes}  {row.label}".rstrip() for row in rows(history, servers, glyphs)]
