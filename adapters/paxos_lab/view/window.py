"""The window of a page: which steps of a recording it shows.

- Without a window, a page shows the end of what does not fit: that is what people look for.
- ``around`` is the time in which a decision, or a slot of a log, was chosen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from paxos_lab.record import Timeline

AROUND = 250
"""How many steps before and after a choice belong to the window around it."""


@frozen
class Window:
    """Steps ``first`` to ``last``; None: to the end. The page opens at ``opens``, if it is said."""

    first: int = 1
    last: int | None = None
    opens: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it holds all."""
        return self.first == 1 and self.last is None

    def __contains__(self, step: int) -> bool:
        return self.first <= step and (self.last is None or step <= self.last)


WHOLE = Window()


def around(told: Timeline, slot: int | None = None) -> Window:
    """The window around the choice of ``told``, or of one ``slot`` of it; else around its end."""
    choices = [it.step for it in told.decided if slot is None or it.slot == slot]
    at = choices[0] if choices else told.moments[-1].step
    return Window(max(1, at - AROUND), at + AROUND, at)


def fitting(steps: Iterable[int], window: Window, room: int) -> Window:
    """The part of ``window`` that holds at most ``room`` of ``steps``: the last of them."""
    inside = [it for it in steps if it in window]
    return window if len(inside) <= room else Window(inside[-room], window.last, window.opens)


def left_out(steps: Sequence[int], window: Window) -> str:
    """What of ``steps`` is not in ``window``; nothing, if all is."""
    before = sum(it < window.first for it in steps)
    after = sum(window.last is not None and it > window.last for it in steps)
    told = [f"{before:,} before step {window.first:,}"] * bool(before)
    if window.last is not None and after:
        told.append(f"{after:,} after step {window.last:,}")
    return " and ".join(told)
