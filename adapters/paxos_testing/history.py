"""A history: what processes asked of something that they share, and what they got for it.

- Times are whole numbers of any one clock. Only their order counts, and two operations of which
  neither returned before the other was called are concurrent; so are those at the same time.
- An operation that never returned has an unknown outcome: it may have happened at any time after
  its call, or never. One that is known not to have happened is left out of a history.
- A process is only a name in a picture: nothing assumes that it waits for one call to return.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from attrs import Attribute, field, frozen

from paxos_adapters import arguments

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741

STEP = 2
"""How many columns of a picture lie between two times that follow each other."""


def _check_returned(
    operation: Operation[I, O], _: Attribute[int | None], returned: int | None
) -> None:
    if returned is not None:
        arguments.whole("returned", returned, operation.called)


@frozen
class Operation(Generic[I, O]):
    """``input`` was asked of the object ``key`` at the time ``called``; ``output`` came of it.

    ``returned`` is None for one whose outcome is unknown; its ``output`` is not looked at. Raises
    BadNumber for one that returned before it was called.
    """

    process: Hashable
    key: Hashable
    called: int
    returned: int | None = field(validator=_check_returned)
    input: I
    output: O | None = None

    def __str__(self) -> str:
        output = "unknown" if self.returned is None else repr(self.output)
        return f"{self.input!r} -> {output}"


def draw(operations: Sequence[Operation[I, O]], marked: Operation[I, O] | None = None) -> str:
    """A line for each operation: its process, what it was, and from when to when it ran.

    Time runs to the right, and one column stands for each time at which anything happened.
    """
    times = {time for it in operations for time in (it.called, it.returned) if time is not None}
    columns = {time: STEP * rank for rank, time in enumerate(sorted(times))}
    ordered = sorted(operations, key=lambda it: it.called)
    processes = [f"process {it.process}" for it in ordered]
    widths = max(map(len, processes), default=0), max((len(str(it)) for it in ordered), default=0)
    return "\n".join(
        f"{process:{widths[0]}}  {operation!s:{widths[1]}}  {_bar(operation, columns)}"
        + ("  <- cannot be placed" if operation is marked else "")
        for process, operation in zip(processes, ordered, strict=True)
    )


def _bar(operation: Operation[I, O], columns: dict[int, int]) -> str:
    begin = columns[operation.called]
    if operation.returned is None:
        return " " * begin + "├" + "─" * (max(columns.values()) - begin) + "╌"
    length = columns[operation.returned] - begin
    return " " * begin + ("├" + "─" * (length - 1) + "┤" if length else "│")
