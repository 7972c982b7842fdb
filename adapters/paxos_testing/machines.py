"""A state machine run alone, one step looked at closely; and what may be wrong with it.

- What comes back from a codec equals what went in, and has the same bytes. Without codecs, a deep
  copy stands for it.
- ``apply`` changes nothing that it was given, and answers the same if it is asked again.
- It answers the same from what was encoded and decoded, as after a snapshot.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Generic, TypeVar

from attrs import frozen

from paxos_adapters.ports import Codec
from paxos_adapters.printable import brief
from paxos_adapters.replication.snapshots import StreamedCodec
from paxos_adapters.state_machine import StateMachine

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")
V = TypeVar("V")

CODECS = "commands", "states", "results"

CONTRACT = (
    "It uses something besides its arguments: a clock, chance, a global variable, an attribute. "
    "Put that into the command, or into the state."
)


SORT = (
    "Servers compare the digests of their snapshots, and one with other bytes stops. Sort what has "
    "no order, as the elements of a set or the keys of a dict, before it is written."
)


class BadStateMachine(AssertionError):
    """A state machine that replicas cannot run; the text says what it did, and what to do."""


@frozen
class Copied(Generic[V]):
    """A value, and what comes back if it is encoded and decoded."""

    value: V
    copy: V


def require_codecs(machine: StateMachine[S, C, R]) -> None:
    """All codecs, or none of them. Raises BadStateMachine."""
    missing = [name for name in CODECS if getattr(machine, name) is None]
    if missing and len(missing) < len(CODECS):
        raise BadStateMachine(
            f"the machine has no codec for {' and '.join(missing)}: pass one to StateMachine. "
            "A file or a datagram carries commands; a snapshot carries the state, and the results "
            "that a client may ask for again. In memory a machine needs no codec at all."
        )


def copied(kind: str, codec: Codec[V] | None, value: V) -> Copied[V]:
    """``value`` and its copy. Raises BadStateMachine if they are not equal."""
    if codec is None:
        copy = deepcopy(value)
        if copy != value:
            raise BadStateMachine(
                f"a {kind} does not equal a copy of itself: {brief(value)}. Replicas are compared "
                "with ==. Give its class one: a frozen dataclass has it."
            )
        return Copied(value, copy)
    try:
        encoded = codec.encode(value)
        copy = codec.decode(encoded)
    except Exception as error:
        raise BadStateMachine(
            f"the codec for {kind}s raised {error!r} for {brief(value)}. It has to carry every "
            f"{kind} there can be."
        ) from error
    if copy != value:
        raise BadStateMachine(
            f"the codec for {kind}s loses something: decode(encode({kind})) is another one.\n"
            f"  {kind}: {brief(value)}\n  bytes: {brief(encoded)}\n  decoded: {brief(copy)}"
        )
    require_same_bytes(kind, codec, value, copy)
    return Copied(value, copy)


def bytes_of(codec: Codec[V], value: V) -> bytes:
    """``value`` as a snapshot has it."""
    if isinstance(codec, StreamedCodec):
        streamed: StreamedCodec[V] = codec
        return b"".join(streamed.encode_parts(value))
    return codec.encode(value)


def require_same_bytes(kind: str, codec: Codec[V] | None, value: V, equal: V) -> None:
    """Raises BadStateMachine if the codec writes other bytes for an equal value."""
    if codec is None:
        return
    first, then = bytes_of(codec, value), bytes_of(codec, equal)
    if first != then:
        raise BadStateMachine(
            f"the codec for {kind}s writes other bytes for an equal {kind}.\n"
            f"  {kind}: {brief(value)}\n  bytes: {brief(first)}\n  then: {brief(then)}\n{SORT}"
        )


def run(machine: StateMachine[S, C, R], state: S, command: C) -> tuple[S, R]:
    """``apply``. Raises BadStateMachine if that raises, or returns something else."""
    try:
        answer: object = (returned := machine.apply(state, command))
    except Exception as error:
        raise BadStateMachine(
            f"apply raised {error!r}.\n  state: {brief(state)}\n  command: {brief(command)}\n"
            "The command is chosen, and every replica would stop at it. Return a result that says "
            "what is wrong, and the state as it was."
        ) from error
    if type(answer) is not tuple or len(returned) != 2:
        raise BadStateMachine(
            f"apply returned {brief(answer)} for {brief(command)}: return (state, result)."
        )
    return returned


def step(
    machine: StateMachine[S, C, R], state: Copied[S], command: Copied[C]
) -> tuple[Copied[S], Copied[R]]:
    """One command, and what comes of it. Raises BadStateMachine."""
    after, result = run(machine, state.value, command.value)
    _require_unchanged("state", state, command)
    _require_unchanged("command", command, command)
    copies = copied("state", machine.states, after), copied("result", machine.results, result)
    again = run(machine, state.value, command.value)
    if again != (copies[0].copy, copies[1].copy):
        raise BadStateMachine(
            "apply answers otherwise if it is asked again.\n"
            f"{_answers((after, result), again)}\n{_given(state, command)}\n{CONTRACT}"
        )
    restored = run(machine, state.copy, command.copy)
    if restored != again:
        raise BadStateMachine(
            "apply answers otherwise from a state that was encoded and decoded, although the two "
            f"are equal.\n{_answers(again, restored)}\n{_given(state, command)}\n"
            "It looks at something that == does not: the order of a dict or a set, an attribute "
            "outside of the comparison, the identity of an object."
        )
    return copies


def _require_unchanged(kind: str, given: Copied[V], command: Copied[C]) -> None:
    if given.value != given.copy:
        raise BadStateMachine(
            f"apply changed the {kind} that it was given.\n  {kind} before: {brief(given.copy)}\n"
            f"  {kind} now: {brief(given.value)}\n  command: {brief(command.copy)}\n"
            "Clients, snapshots and other replicas may hold the same object. Build a new one, and "
            "return that."
        )


def require_kept(result: Copied[R]) -> None:
    """Raises BadStateMachine if a later call has changed a result."""
    if result.value != result.copy:
        raise BadStateMachine(
            "apply changed a result that it had returned before.\n"
            f"  result before: {brief(result.copy)}\n  result now: {brief(result.value)}\n"
            "A client that asks again gets the first one. Return a new object each time."
        )


def _answers(first: tuple[S, R], then: tuple[S, R]) -> str:
    """What differs of two answers: the result, and only if that is the same the state."""
    kind, place = ("result", 1) if first[1] != then[1] else ("state", 0)
    return f"  first {kind}: {brief(first[place])}\n  then: {brief(then[place])}"


def _given(state: Copied[S], command: Copied[C]) -> str:
    return f"  state before: {brief(state.copy)}\n  command: {brief(command.copy)}"
