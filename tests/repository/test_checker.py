"""The checker of clusters: nothing to say of a good log, and a fault found in each bad one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from paxos import Acceptor, Ballot, Proposal, ServerId, majority
from paxos_adapters.file import FileStore
from tests.tools.checker import Entry, Vote, check, chosen_by_majority, read_log, read_votes

NODES = 1, 2, 3
CALM_S = 10.0
GOOD = [
    Entry(1, "propose", "n", "red", 1.0, 3.0, "red"),
    Entry(2, "propose", "n", "blue", 1.1, 3.2, "red"),
    Entry(3, "propose", "n", "green", 1.2),
    Entry(3, "read", "n", "", 2.0, 4.0),
    Entry(2, "watch", "n", "", 2.0, 2.5, "red"),
    Entry(1, "read", "n", "", 2.4, 2.6),
    *(Entry(node, "read", "n", "", 11.0, 11.1, "red") for node in NODES),
]
VOTES = [Vote(1, "n", (1, 1), "red"), Vote(2, "n", (1, 1), "red"), Vote(3, "n", (3, 3), "red")]


def faults(log: list[Entry], votes: list[Vote] = VOTES) -> str:
    return "\n".join(check(log, votes, NODES, CALM_S))


def test_nothing_is_said_of_a_good_run() -> None:
    assert faults(GOOD) == ""
    assert chosen_by_majority(VOTES, NODES) == 1


def test_two_values() -> None:
    assert "2 values were told: ['blue', 'red']" in faults(
        [*GOOD, Entry(2, "read", "n", "", 5.0, 5.1, "blue")]
    )


def test_a_value_from_nowhere() -> None:
    log = [it for it in GOOD if it.said != "red"]
    assert faults(log) == "'n': 'red' comes from nowhere"


def test_a_value_of_another_name() -> None:
    other = [msgspec.structs.replace(it, name="m") for it in GOOD if it.said != "red"]
    votes = [Vote(it.acceptor, "m", it.ballot, it.value) for it in VOTES]
    assert faults([*GOOD, *other], [*VOTES, *votes]) == "'m': 'red' comes from nowhere"


def test_a_value_that_was_told_before_it_was_proposed() -> None:
    early = Entry(2, "watch", "n", "", 0.5, 0.9, "red")
    assert "told before anybody proposed it" in faults([*GOOD, early])


@pytest.mark.parametrize(("asked_s", "is_stale"), [(2.45, False), (2.55, True), (9.0, True)])
def test_a_stale_read(asked_s: float, is_stale: bool) -> None:
    """The first answer was complete at 2.5 s, whoever was told."""
    found = faults([*GOOD, Entry(3, "read", "n", "", asked_s, 9.9)])
    assert ("node 3 read nothing" in found) == is_stale


def test_a_read_without_an_answer_says_nothing() -> None:
    assert faults([*GOOD, Entry(3, "read", "n", "", 9.0)]) == ""


@pytest.mark.parametrize("verb", ["propose", "watch"])
def test_nothing_where_only_a_value_can_be_told(verb: str) -> None:
    entry = msgspec.convert({**_EMPTY, "verb": verb}, Entry)
    assert f"answered a {verb} with nothing" in faults([*GOOD, entry])


_EMPTY = {"node": 1, "name": "n", "said": "red", "asked_s": 1.0, "done_s": 2.0, "told": None}


def test_a_name_that_never_decides() -> None:
    asked = [Entry(node, "read", "m", "", 12.0) for node in NODES]
    assert faults([*GOOD, *asked]).count("never decided") == 3
    assert faults(GOOD[:-1]) == "'n': node 3 never decided"


def test_two_values_at_one_ballot() -> None:
    votes = [Vote(1, "n", (1, 1), "red"), Vote(2, "n", (1, 1), "blue"), VOTES[2]]
    assert "['blue', 'red'] were accepted at ballot (1, 1)" in faults(GOOD, votes)


def test_a_majority_for_what_nobody_was_told() -> None:
    votes = [Vote(it, "n", (1, 1), "blue") for it in NODES]
    assert "{'blue'} was chosen at ballot (1, 1), and {'red'} told" in faults(GOOD, votes)


def test_a_majority_that_could_choose_another_value() -> None:
    votes = [*VOTES[:2], Vote(3, "n", (3, 3), "blue")]
    assert "(1, 3) could choose 'blue', not {'red'}" in faults(GOOD, votes)


def test_a_majority_that_has_forgotten() -> None:
    assert "(2, 3) could choose 'anything', not {'red'}" in faults(GOOD, VOTES[:1])


def test_a_vote_on_what_nobody_asked_for() -> None:
    assert "'x' was voted on, and nobody asked" in faults(
        GOOD, [*VOTES, Vote(1, "x", (1, 1), "red")]
    )


def test_logs_and_votes_come_from_files(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(msgspec.json.encode(it) + b"\n" for it in GOOD))
    ballot = Ballot(12, ServerId(7))
    with FileStore.create(
        tmp_path / "n", cluster="c", server=ServerId(7), quorum=majority([ServerId(7)])
    ) as file:
        memory = Acceptor(Ballot(99, ServerId(1)), Proposal(ballot, b"red"))
        file.save([("n", memory), ("promised only", Acceptor[bytes](ballot))])

    assert read_log(log) == GOOD
    assert [*read_votes({7: tmp_path / "n"})] == [Vote(7, "n", (12, 7), "red")]
