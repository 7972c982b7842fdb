"""Random histories of a bounded table of sessions: exactly once, whatever is sent again.

- A command has an effect at most once, and none once its session is closed.
- A command that was run is answered by the same result, unless its client has said that it needs
  none of that number any more.
- The session that is closed is the one whose last command was run least recently.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

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
)

MOST = 3
Effect = tuple[int, int]


def note(state: tuple[Effect, ...], effect: Effect) -> tuple[tuple[Effect, ...], int]:
    """A state machine that keeps what it has run; the result is how much that is."""
    return (*state, effect), len(state) + 1


class SessionHistories(RuleBasedStateMachine):
    """Commands in the order of a log. A session and a number name a command."""

    ids: Bundle[int] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.sessions: Sessions[int] = Sessions(most=MOST)
        self.state: tuple[Effect, ...] = ()
        self.place = 0
        self.open: list[int] = []  # The least recently used first.
        self.done_below: dict[int, int] = {}

    def apply(self, command: Command[Effect]) -> Outcome[int]:
        self.place += 1
        self.sessions, self.state, outcome = apply(
            note, self.sessions, self.state, self.place, command
        )
        return outcome

    @rule(target=ids)
    def opens_a_session(self) -> int:
        assert self.apply(OpenSession()) == Opened(self.place)
        self.open = [*self.open, self.place][-MOST:]
        self.done_below[self.place] = 1
        return self.place

    @rule(session=ids, number=st.integers(1, 4), done_below=st.integers(1, 4))
    def sends_a_command(self, session: int, number: int, done_below: int) -> None:
        before, effect = self.state, (session, number)
        outcome = self.apply(SessionCommand(session, number, done_below, effect))
        if session not in self.open:
            assert (outcome, self.state) == (SessionClosed(), before)
        elif effect in before:
            self.is_answered_again(outcome, effect, before)
        elif number < self.done_below[session]:
            assert (outcome, self.state) == (ResultDropped(), before)
        else:
            assert (outcome, self.state) == (Result(len(before) + 1), (*before, effect))
            self.open = [*(it for it in self.open if it != session), session]
            self.done_below[session] = max(self.done_below[session], done_below)

    def is_answered_again(
        self, outcome: Outcome[int], effect: Effect, before: tuple[Effect, ...]
    ) -> None:
        assert self.state == before
        session, number = effect
        is_dropped = number < self.done_below[session] and outcome == ResultDropped()
        assert is_dropped or outcome == Result(before.index(effect) + 1)

    @invariant()
    def every_effect_is_there_once(self) -> None:
        assert len(set(self.state)) == len(self.state)

    @invariant()
    def the_table_is_bounded(self) -> None:
        assert [it.id for it in self.sessions.open] == self.open


TestSessionHistories = SessionHistories.TestCase
