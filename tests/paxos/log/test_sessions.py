"""Exactly once: a command runs once, whatever is sent again, and all replicas answer the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from paxos.log.sessions import (
    Command,
    Opened,
    OpenSession,
    Outcome,
    Result,
    ResultDropped,
    SessionClosed,
    SessionCommand,
    Sessions,
    apply,
    apply_all,
)


def append(state: str, letter: str) -> tuple[str, int]:
    return state + letter, len(state) + 1


class Log:
    """The commands of a log, applied one after the other."""

    def __init__(self, most: int = 3) -> None:
        self.sessions: Sessions[int] = Sessions(most=most)
        self.state = ""
        self.place = 0

    def run(self, command: Command[str]) -> Outcome[int]:
        self.place += 1
        self.sessions, self.state, outcome = apply(
            append, self.sessions, self.state, self.place, command
        )
        return outcome


def test_a_session_is_named_by_its_place() -> None:
    log = Log()

    assert [log.run(OpenSession()), log.run(OpenSession())] == [Opened(1), Opened(2)]


def test_a_client_knows_its_session_by_the_nonce() -> None:
    assert Log().run(OpenSession(7)) == Opened(1, 7)


def test_a_command_that_was_run_is_answered_from_the_table() -> None:
    log = Log()
    log.run(OpenSession())
    first = log.run(SessionCommand(1, 1, 1, "a"))
    log.run(SessionCommand(1, 2, 1, "b"))

    assert first == log.run(SessionCommand(1, 1, 1, "a")) == Result(1)
    assert log.state == "ab"


def test_commands_may_come_in_any_order() -> None:
    log = Log()
    log.run(OpenSession())

    assert log.run(SessionCommand(1, 2, 1, "b")) == Result(1)
    assert log.run(SessionCommand(1, 1, 1, "a")) == Result(2)
    assert log.state == "ba"


def test_a_result_that_is_needed_no_more_is_dropped_and_its_command_never_run_again() -> None:
    log = Log()
    log.run(OpenSession())
    log.run(SessionCommand(1, 1, 1, "a"))
    log.run(SessionCommand(1, 2, 2, "b"))

    assert log.sessions.open[0].results == ((2, 2),)
    assert log.run(SessionCommand(1, 1, 1, "a")) == ResultDropped()
    assert log.run(SessionCommand(1, 2, 2, "b")) == Result(2)
    assert log.state == "ab"


def test_what_is_needed_no_more_is_not_needed_again() -> None:
    """A command that was sent before, and comes later, does not say what is needed."""
    log = Log()
    log.run(OpenSession())
    log.run(SessionCommand(1, 4, 3, "a"))
    log.run(SessionCommand(1, 3, 1, "b"))

    assert log.run(SessionCommand(1, 2, 1, "c")) == ResultDropped()
    assert log.state == "ab"


def test_a_command_without_a_session_is_not_run() -> None:
    log = Log()

    assert log.run(SessionCommand(1, 1, 1, "a")) == SessionClosed()
    assert log.state == ""


def test_the_session_that_was_used_least_recently_is_closed() -> None:
    log = Log(most=3)
    for _ in range(3):
        log.run(OpenSession())
    log.run(SessionCommand(1, 1, 1, "a"))
    log.run(OpenSession())

    assert [it.id for it in log.sessions.open] == [3, 1, 5]
    assert log.run(SessionCommand(2, 1, 1, "b")) == SessionClosed()
    assert log.run(SessionCommand(1, 1, 1, "a")) == Result(1)


def test_a_table_that_has_room_closes_none() -> None:
    log = Log(most=10)
    for _ in range(8):
        log.run(OpenSession())

    assert [it.id for it in log.sessions.open] == [*range(1, 9)]


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 5)), max_size=30))
def test_whatever_is_repeated_every_command_runs_once_as_it_first_came(
    sent: list[tuple[int, int]],
) -> None:
    log = Log()
    log.run(OpenSession())
    log.run(OpenSession())
    letters = {it: chr(ord("a") + 10 * it[0] + it[1]) for it in sent}
    first = [letters[it] for it in dict.fromkeys(sent)]
    outcomes = [log.run(SessionCommand(*it, 1, letters[it])) for it in sent]

    assert log.state == "".join(first)
    assert outcomes == [Result(first.index(letters[it]) + 1) for it in sent]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 9]),
            st.integers(1, 4),
            st.lists(st.tuples(st.integers(1, 6), st.sampled_from("abc")), max_size=5),
        )
    )
)
def test_many_commands_at_once_are_as_one_after_the_other(
    batches: list[tuple[int, int, list[tuple[int, str]]]],
) -> None:
    """But for numbers that the client needs no more: of those no result is kept."""
    one_by_one, at_once = Log(), Log()
    one_by_one.run(OpenSession())
    at_once.run(OpenSession())
    for session, done_below, batch in batches:
        commands = [(number, it) for number, it in batch if number >= done_below]
        outcomes = [
            one_by_one.run(SessionCommand(session, number, done_below, it))
            for number, it in commands
        ]
        found = apply_all(append, at_once.sessions, at_once.state, session, done_below, commands)
        at_once.sessions, at_once.state = found[:2]
        assert found[2] == outcomes
        assert found[:2] == (one_by_one.sessions, one_by_one.state)
