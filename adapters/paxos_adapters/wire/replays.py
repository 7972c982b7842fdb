"""What was taken before, or comes from a session that is over, is not taken again.

- Within a session, a sender's datagrams are numbered. A receiver keeps the newest number and a
  bitmap of those just below it; what is seen, or too old to tell, is refused.
- There is one window for a sender: that of its known session. A datagram of another session is
  taken if it shows that its session descends from the known one, and then that one is over.
- What is known of a peer's disk survives the receiver, in its file; windows do not. What a server
  received in its last session can be repeated to it, once.
"""

from __future__ import annotations

from attrs import frozen

from paxos_adapters.peers import Known, NotDescended, Presence, meet
from paxos_adapters.wire.bounds import WINDOW
from paxos_adapters.wire.errors import Hostile, Reason
from paxos_adapters.wire.parts import Waiting

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
    """What is known of a sender: its disk, the numbers of its session, and what is unfinished."""

    known: Known
    window: Window = Window()
    waiting: Waiting = ()


def hear(heard: Heard | None, said: Presence, sequence: int) -> Heard:
    """What is known after datagram ``sequence`` of a sender that says ``said`` of its disk.

    Raises Hostile.
    """
    met = meet(None if heard is None else heard.known, said)
    if isinstance(met, NotDescended):
        raise Hostile(Reason.NOT_DESCENDED)
    if heard is None or met.session != heard.known.session:
        return Heard(met, take(Window(), sequence))
    return Heard(met, take(heard.window, sequence), heard.waiting)
