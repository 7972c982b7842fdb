"""What was taken before, or comes from a session that is over, is not taken again.

- Within a session, a sender's datagrams are numbered. A receiver keeps the newest number and a
  bitmap of those just below it; what is seen, or too old to tell, is refused.
- There is one window for a sender: that of its registered session. When another session is
  registered, that one begins with the numbers that came before, in control messages.
- Which session is registered survives the receiver, in its file; windows do not. What a server
  received in its last session can be repeated to it, once.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TypeAlias

from attrs import field, frozen

from paxos_adapters.wire.bounds import MAX_EARLY, WINDOW
from paxos_adapters.wire.errors import Reason, RejectedDatagram
from paxos_adapters.wire.fragments import Waiting
from paxos_adapters.wire.resending import Asked, Asking

_FULL = (1 << WINDOW) - 1


@frozen
class Window:
    """The numbers that were taken: bit n of ``seen`` stands for ``newest - n``. Zero is none."""

    newest: int = 0
    seen: int = 1


def take(window: Window, sequence: int) -> Window:
    """The window with ``sequence`` in it. Raises RejectedDatagram if it may have been taken."""
    ahead = sequence - window.newest
    if ahead > 0:
        moved = window.seen << ahead if ahead < WINDOW else 0
        return Window(sequence, moved & _FULL | 1)
    if -ahead >= WINDOW or window.seen >> -ahead & 1:
        raise RejectedDatagram(Reason.REPLAYED)
    return Window(window.newest, window.seen | 1 << -ahead)


@frozen
class PeerSession:
    """What was taken from the registered session of a sender, and what of it is unfinished."""

    session: str
    window: Window = Window()
    waiting: Waiting = ()
    asking: Asking = field(factory=dict[int, Asked])


Early: TypeAlias = tuple[PeerSession, ...]
"""The numbers of sessions of one sender that are not registered, the last ones that spoke."""


def note(early: Early, session: str, sequence: int) -> Early:
    """What is known after a datagram of a session that is not registered; it may be repeated."""
    window = begun(early, session).window
    with suppress(RejectedDatagram):
        window = take(window, sequence)
    others = tuple(it for it in early if it.session != session)
    return (*others, PeerSession(session, window))[-MAX_EARLY:]


def begun(early: Early, session: str) -> PeerSession:
    """What a session begins with when it is registered."""
    return next((it for it in early if it.session == session), PeerSession(session))
