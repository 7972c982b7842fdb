"""A queue: first in, first out, each item once; against a deque."""

from __future__ import annotations

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from paxos_adapters.state_machines import QUEUE, queue
from paxos_adapters.state_machines.queue import Command, Empty, Pop, Popped, Push, Pushed, Result
from tests.support.state_machines import run_alone, run_replicated

COMMANDS = st.lists(
    st.builds(Push, st.sampled_from([b"", b"x", b"\xff"])) | st.builds(Pop),
    min_size=1,
    max_size=24,
)


@given(COMMANDS)
def test_what_was_pushed_first_is_popped_first(commands: list[Command]) -> None:
    waiting, pushed, expected = deque[tuple[int, bytes]](), 0, list[Result]()
    for command in commands:
        if type(command) is Push:
            waiting.append((pushed, command.item))
            expected.append(Pushed(pushed))
            pushed += 1
        elif waiting:
            number, item = waiting.popleft()
            expected.append(Popped(item, number))
        else:
            expected.append(Empty())
    state, results = run_alone(QUEUE, commands)

    assert results == expected
    assert queue.length(state) == len(state.items) == len(waiting)
    assert queue.peek(state) == (waiting[0][1] if waiting else None)


@settings(max_examples=20)
@given(COMMANDS, st.integers(0, 1_000_000))
def test_it_goes_on_when_the_leader_crashes(commands: list[Command], seed: int) -> None:
    run_replicated(QUEUE, commands, seed)


def test_a_snapshot_stays_as_it_is() -> None:
    commands: list[Command] = [Push(b""), Push(b"\xff"), Push(b"c"), Pop()]
    state, _ = run_alone(QUEUE, commands)
    encoded = b'["Queue",[["1",{"base64":"/w=="}],["2","c"]],1,3]'

    assert QUEUE.states is not None
    assert QUEUE.states.encode(state) == encoded
    assert QUEUE.states.decode(encoded) == state
