"""A state machine in other processes, in which strings have other hashes, and sets another order.

- A process has its hash seed for as long as it runs, so there are two of them, with two seeds.
- ``apply``, states and commands go there by pickle. So ``apply`` stands at the top of a module.
- What cannot be sent is not tried, and ``Elsewhere.refusal`` says why.
- The codec of states goes there, too, if it can be sent: a snapshot has the same bytes everywhere.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from typing import BinaryIO, Generic, TypeAlias, TypeVar

from paxos_adapters.ports import Codec
from paxos_adapters.printable import brief
from paxos_adapters.state_machine import StateMachine
from paxos_testing.machines import CONTRACT, SORT, BadStateMachine, bytes_of, run

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

Steps: TypeAlias = list[tuple[object, object, bytes]]
"""After each command the state, the result, and the bytes of the state; none without a codec."""

SEEDS = "1", "2"
SETS = (
    "Replicas are such processes. It goes through a set, or uses hash(), or something else that "
    "each process has of its own. Sort what has no order before you go through it."
)
PROGRAM = "from paxos_testing.hash_seeds import serve; serve()"


class Elsewhere(Generic[S, C, R]):
    """Two processes that run a machine. ``refusal`` is why they do not, if they do not."""

    def __init__(self, machine: StateMachine[S, C, R]) -> None:
        """Start them."""
        self.refusal: str | None = None
        self._machine = machine
        self._processes = [_started(seed) for seed in SEEDS]
        self._ask((machine.start, machine.apply, _sendable(machine.states)))

    def check(self, commands: Sequence[C]) -> None:
        """Run ``commands`` in both. Raises BadStateMachine if the answers differ."""
        answers = self._ask([*commands]) if self.refusal is None else []
        if not answers:
            return
        if min(map(len, answers)) < len(commands):
            self._raise(commands)
        if answers[0] != answers[1]:
            if self._ask([*commands]) != answers:
                raise BadStateMachine(
                    f"apply answers otherwise if the same commands are run again.\n{CONTRACT}"
                )
            raise _differ(commands, answers)

    def _raise(self, commands: Sequence[C]) -> None:
        """What ``apply`` has raised there, it raises here; or else it depends on the process."""
        state = deepcopy(self._machine.start)
        for command in commands:
            state, _ = run(self._machine, state, command)
        raise BadStateMachine(
            f"apply raises in another process, and not in this one: {brief(commands)}.\n{CONTRACT}"
        )

    def close(self) -> None:
        """End the processes."""
        for it in self._processes:
            it.kill()
            it.communicate()

    def _ask(self, question: object) -> list[Steps]:
        """What each process answers; nothing from the first refusal on."""
        try:
            asked = pickle.dumps(question)
            for process in self._processes:
                assert process.stdin is not None
                process.stdin.write(asked)
                process.stdin.flush()
            answers: list[Steps] = []
            for process in self._processes:
                assert process.stdout is not None
                answer: Steps | str = pickle.load(process.stdout)
                if isinstance(answer, str):
                    raise ValueError(answer)
                answers.append(answer)
        except Exception as error:
            self.refusal = f"{type(error).__name__}: {error}"
            return []
        return answers


def _started(seed: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def _differ(commands: Sequence[C], answers: list[Steps]) -> BadStateMachine:
    """What is different first."""
    steps = zip(commands, *answers, strict=True)
    command, one, other = next(it for it in steps if it[1] != it[2])
    if one[:2] == other[:2]:
        what, kind, place, why = "the codec for states writes other bytes", "bytes", 2, SORT
    else:
        what, why = "apply answers otherwise", SETS
        kind, place = ("result", 1) if one[1] != other[1] else ("state", 0)
    return BadStateMachine(
        f"{what} in a process in which strings have other hashes.\n"
        f"  command: {brief(command)}\n"
        f"  {kind} with PYTHONHASHSEED={SEEDS[0]}: {brief(one[place])}\n"
        f"  {kind} with PYTHONHASHSEED={SEEDS[1]}: {brief(other[place])}\n{why}"
    )


def _sendable(codec: Codec[S] | None) -> Codec[S] | None:
    """The codec, if another process can have it."""
    try:
        pickle.dumps(codec)
    except Exception:
        return None
    return codec


def serve() -> None:
    """Be one of the processes: run what comes, as long as something comes."""
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # A module may print.
    try:
        _serve(sys.stdin.buffer, answers)
    except Exception as error:
        _answer(answers, f"{type(error).__name__}: {error}")


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    start: object
    apply: Callable[[object, object], tuple[object, object]]
    states: Codec[object] | None
    start, apply, states = pickle.load(questions)
    _answer(answers, [])
    while True:
        try:
            commands: list[object] = pickle.load(questions)
        except EOFError:
            return
        _answer(answers, [*_steps(deepcopy(start), apply, states, commands)])


def _steps(
    state: object,
    apply: Callable[[object, object], tuple[object, object]],
    states: Codec[object] | None,
    commands: Sequence[object],
) -> Iterator[tuple[object, object, bytes]]:
    """The states and results, up to the command for which ``apply`` raises."""
    for command in commands:
        try:
            state, result = apply(state, command)
        except Exception:
            return
        yield state, result, b"" if states is None else bytes_of(states, state)


def _answer(answers: BinaryIO, answer: Steps | str) -> None:
    answers.write(pickle.dumps(answer))
    answers.flush()
