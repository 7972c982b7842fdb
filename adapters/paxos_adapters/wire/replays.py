"""What was taken before, or comes from a life that is over, is not taken again.

Within a life, a sender's datagrams are numbered. A receiver keeps the newest number and a bitmap of
those just below it; what is seen, or too old to tell, is refused.

Lives follow each other, and presences order them, since a disk is opened at the highest mark of all
lives before, or above it:

- a life that was opened at a higher mark is later, and so is one that has saved meanwhile;
- what was opened below the mark that is known comes from an earlier life, or from an older disk.

When a later life is heard, the earlier ones are over for good. Lives that began and ended at the
same mark cannot be put in order. Each of those has a window, so that none is heard twice, and none
can silence the one that is running; their number is bounded.

What is known of a peer's disk survives the receiver, in its file; windows do not. What a server
heard in its last life can be repeated to it, once.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Factory, frozen

from paxos_adapters.peers import Presence, Refusal, meet
from paxos_adapters.wire.bounds import MAX_LIVES, WINDOW
from paxos_adapters.wire.errors import Hostile, Reason
from paxos_adapters.wire.parts import Waiting

_REASONS = {Refusal.OTHER_DISK: Reason.OTHER_DISK, Refusal.OLDER_DISK: Reason.OLDER_DISK}
_FULL = (1 << WINDOW) - 1


@frozen
class Window:
    """The numbers that were taken: bit n of ``seen`` stands for ``newest - n``. Zero is none."""

    newest: int = 0
    seen: int = 1


def take(window: Window, sequence: int) -> Window:
    """The window with ``sequence`` in it. Raises Hostile if it was taken, or may have been."""
    ahead = sequence - window.newest
    if ahead > 0:
        moved = window.seen << ahead if ahead < WINDOW else 0
        return Window(sequence, moved & _FULL | 1)
    if -ahead >= WINDOW or window.seen >> -ahead & 1:
        raise Hostile(Reason.REPLAYED)
    return Window(window.newest, window.seen | 1 << -ahead)


@frozen
class Heard:
    """What is known of a sender: its disk, the window of each life, and what is not finished.

    There is more than one window only for lives that nothing tells apart.
    """

    presence: Presence
    windows: Mapping[str, Window] = Factory(dict[str, Window])
    waiting: Waiting = ()


def hear(known: Heard | None, now: Presence, sequence: int) -> Heard:
    """What is known after datagram ``sequence`` of a sender that says ``now`` of its disk.

    Raises Hostile.
    """
    if known is None:
        return Heard(now, {now.life: take(Window(), sequence)})
    was, windows = known.presence, known.windows
    met = meet(was, now)
    if isinstance(met, Refusal):
        raise Hostile(_REASONS[met])
    if (met.opened, met.mark) > (was.opened, was.mark):
        windows = {life: window for life, window in windows.items() if life == now.life}
    elif now.life not in windows and len(windows) == MAX_LIVES:
        raise Hostile(Reason.TOO_MANY_LIVES)
    window = take(windows.get(now.life, Window()), sequence)
    waiting = known.waiting if now.life == was.life else ()
    return Heard(met, {**windows, now.life: window}, waiting)
