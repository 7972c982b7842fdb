"""A replicated state machine in memory: what its user sees, and what survives crashes."""

from __future__ import annotations

from random import Random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from paxos import Ballot, Proposal, QuorumError, ServerId, UnknownServer
from paxos.log import Command, Noop, Rules
from paxos.log.events import LogTimer
from paxos.log.messages import Entry, Message
from paxos.log.sessions import Opened, OpenSession, Result, SessionCommand
from paxos_adapters.cannot_apply import LacksVersion
from paxos_adapters.log_cluster import LogCluster
from paxos_adapters.memory import DidNotSettle, Happened, ServerDown
from paxos_adapters.state_machine import LogCommand, StateMachine, applied, started

S1, S2, S3 = map(ServerId, (1, 2, 3))
SMALL = Rules(window=2, piece=1)


def append(line: tuple[str, ...], word: str) -> tuple[tuple[str, ...], int]:
    """The words in order; the result is how many there are."""
    return (*line, word), len(line) + 1


WORDS = StateMachine[tuple[str, ...], str, int]((), append)


def words(
    servers: int = 3, rules: Rules = SMALL, seed: int = 0
) -> LogCluster[tuple[str, ...], str, int]:
    return LogCluster(WORDS, servers, rules=rules, seed=seed)


def test_results_come_in_order_through_a_small_window() -> None:
    cluster = words()

    assert cluster.submit_many("abcdefg") == [1, 2, 3, 4, 5, 6, 7]
    assert cluster.submit("h") == 8
    assert cluster.read("".join) == "abcdefgh"


def test_nothing_submitted_is_no_work() -> None:
    assert words().submit_many([]) == []


def test_the_others_apply_the_same_later() -> None:
    cluster = words(5)
    cluster.submit_many("abc")
    cluster.run_until(lambda: len(set(cluster.states.values())) == 1, 1_000)

    assert cluster.states == dict.fromkeys(cluster.servers, ("a", "b", "c"))


def test_what_was_answered_survives_the_leader() -> None:
    cluster = words(5)
    cluster.submit_many("ab")
    first = cluster.lead()
    cluster.crash(first)
    assert cluster.submit("c") == 3
    cluster.restart(first)
    cluster.run_until(lambda: cluster.states[first] == ("a", "b", "c"), 1_000)

    assert cluster.lead() != first


def test_a_server_that_was_asked_takes_over() -> None:
    cluster = words()
    cluster.submit("a")
    other = next(it for it in cluster.servers if it != cluster.leader)

    assert cluster.lead(other) == other
    assert cluster.leader == other
    assert cluster.submit("b") == 2


def test_all_restart_from_their_stores() -> None:
    cluster = words()
    cluster.submit_many("abc")
    for me in cluster.servers:
        cluster.restart(me)

    assert cluster.leader is None
    assert cluster.read("".join) == "abc"
    assert cluster.submit("d") == 4


def test_a_read_goes_to_the_next_leader() -> None:
    """The old one is still asked, and says that its leadership has ended."""
    cluster = words()
    cluster.submit("a")
    old = cluster.lead()
    other = next(it for it in cluster.servers if it != old)
    cluster.lead(other)

    assert cluster.read("".join) == "a"


def test_without_a_quorum_nothing_is_answered_and_a_command_runs_once_later() -> None:
    cluster = words()
    cluster.submit("a")
    down = [it for it in cluster.servers if it != cluster.leader]
    for me in down:
        cluster.crash(me)
    with pytest.raises(DidNotSettle):
        cluster.submit("b", max_events=500)
    for me in down:
        cluster.restart(me)

    assert cluster.submit("c") == len(cluster.read("".join))
    assert cluster.read("".join) in ("abc", "ac")


def test_what_it_refuses() -> None:
    with pytest.raises(QuorumError):
        words(0)
    cluster = words()
    with pytest.raises(UnknownServer):
        cluster.lead(ServerId(4))
    cluster.crash(S1)
    with pytest.raises(ServerDown):
        cluster.lead(S1)
    with pytest.raises(ServerDown):
        cluster.crash(S1)


# --- versions -------------------------------------------------------------------------------------


def shout(line: tuple[str, ...], word: str) -> tuple[tuple[str, ...], int]:
    return (*line, word.upper()), len(line) + 1


LOUD = evolve(WORDS, apply=shout, version=2, earlier={1: append})


def test_a_later_version_runs_once_all_servers_have_it() -> None:
    cluster = words()
    for me, word in zip(cluster.servers, "abc", strict=True):
        cluster.submit(word)
        cluster.upgrade(me, LOUD)
    assert set(cluster.versions.values()) == {1}
    cluster.submit("d")
    for me in cluster.servers:
        cluster.restart(me)  # Each replays its log from the first slot on.

    assert cluster.read("".join) == "abcD"
    assert cluster.versions[cluster.lead()] == 2


def test_a_server_without_the_version_stops_and_goes_on_with_it() -> None:
    cluster = words()
    for me in cluster.servers:
        cluster.upgrade(me, LOUD)
    cluster.submit("a")
    cluster.upgrade(S1, WORDS)
    cluster.crash(S3)
    assert cluster.submit("b") == 2  # It votes.
    cluster.lead(S1)
    with pytest.raises(LacksVersion, match="version 2"):
        cluster.read("".join)
    assert [*cluster.stopped] == [S1]
    cluster.upgrade(S1, LOUD)

    assert cluster.read("".join) == "AB"
    assert not cluster.stopped


@given(st.integers(0, 1_000_000))
def test_any_crashes_and_handovers_leave_every_command_run_once_in_order(seed: int) -> None:
    random = Random(seed)
    cluster = words(5, seed=seed)
    for number in range(6):
        assert cluster.submit(str(number)) == number + 1
        for _ in range(random.randrange(30)):
            cluster.step()
        victim = random.choice(cluster.servers)
        if victim not in cluster.up:
            cluster.restart(victim)
        elif random.random() < 0.5 and len(cluster.up) > 3:
            cluster.crash(victim)
        elif random.random() < 0.5:
            cluster.lead(victim)
    assert cluster.read("".join) == "012345"


# --- the state machine ----------------------------------------------------------------------------


def chosen(entry: Entry[LogCommand[str]]) -> Proposal[Entry[LogCommand[str]]]:
    return Proposal(Ballot(1, S1), entry)


def test_each_slot_is_applied_once_and_a_repeated_command_is_not_run_again() -> None:
    state = started(WORDS)
    state, none = applied(WORDS, state, chosen(Noop()))
    state, opened = applied(WORDS, state, chosen(Command(OpenSession())))
    command: Command[LogCommand[str]] = Command(SessionCommand(2, 1, 1, "a"))
    state, first = applied(WORDS, state, chosen(command))
    state, again = applied(WORDS, state, chosen(command))

    assert none is None
    assert opened == Opened(2)
    assert first == again == Result(1)
    assert state.state == ("a",)
    assert state.slot == 5


class Crashing(LogCluster[tuple[str, ...], str, int]):
    """Whichever server leads crashes after any event with a chance of 0.05, and starts again."""

    def __init__(self, servers: int) -> None:
        self._chance = Random(1)
        super().__init__(WORDS, servers)

    def step(self) -> Happened[Message[LogCommand[str]], LogTimer] | None:
        happened = super().step()
        if (me := self.leader) is not None and self._chance.random() < 0.05:
            self.crash(me)
            self.restart(me)
        return happened


@pytest.mark.parametrize("servers", [3, 5])
def test_leaders_that_crash_leave_no_pile_of_the_same_command(servers: int) -> None:
    """A leader proposes all open slots anew: the more there are, the longer it must not crash."""
    cluster = Crashing(servers)

    found = [cluster.submit("a", max_events=5_000) for _ in range(20)]

    assert found == [*range(1, 21)]
    slots = max(cluster.state(me).memory.first for me in cluster.servers)
    assert slots < 40
