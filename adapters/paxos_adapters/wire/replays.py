"""What was received before, or comes from a session that has ended, is not received again.

- Within a session, a sender's datagrams are numbered. A receiver keeps the newest number and a
  bitmap of those just below it; what is in it, or too old to tell, is refused.
- There is one window for a sender: that of its registered session. When another session is
  registered, it begins with the numbers that came before, in control messages.
- Which session is registered survives the receiver, in its file; windows do not. What a server
  received in its last session can be repeated to it, once.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TypeAlias

from attrs import field, frozen

from paxos_adapters.wire.bounds import MAX_EARLY, WINDOW
from paxos_adapters.wire.errors import Reason, RejectedDatagram
from paxos_adapters.wire.fragments import Unfinished
from paxos_adapters.wire.resending import Requested, Requests

_FULL = (1 << WINDOW) - 1


@frozen
class ReplayWindow:
    """The numbers that were received: bit n of ``seen`` stands for ``newest - n``. Zero is none."""

    newest: int = 0
    seen: int = 1

    def accept(self, sequence: int) -> ReplayWindow:
        """The window with ``sequence`` in it. Raises RejectedDatagram if it may be in already."""
        ahead = sequence - self.newest
        if ahead > 0:
            moved = self.seen << ahead if ahead < WINDOW else 0
            return ReplayWindow(sequence, moved & _FULL | 1)
        if -ahead >= WINDOW or self.seen >> -ahead & 1:
            raise RejectedDatagram(Reason.REPLAYED)
        return ReplayWindow(self.newest, self.seen | 1 << -ahead)


@frozen
class PeerSession:
    """What was received in the registered session of a sender, and what of it is unfinished."""

    session: str
    window: ReplayWindow = ReplayWindow()
    unfinished: Unfinished = ()
    requests: Requests = field(factory=dict[int, Requested])


EarlySessions: TypeAlias = tuple[PeerSession, ...]
"""The numbers of sessions of one sender that are not registered, the last ones that spoke."""


def note_early(early: EarlySessions, session: str, sequence: int) -> EarlySessions:
    """What is known after a datagram of a session that is not registered; it may be repeated."""
    window = begin_session(early, session).window
    with suppress(RejectedDatagram):
        window = window.accept(sequence)
    others = tuple(it for it in early if it.session != session)
    return (*others, PeerSession(session, window))[-MAX_EARLY:]


def begin_session(early: EarlySessions, session: str) -> PeerSession:
    """What a session begins with when it is registered."""
    return next((it for it in early if it.session == session), PeerSession(session))


def end_session(peer: PeerSession) -> PeerSession:
    """What is kept of a sender that was removed: its numbers, so that none comes again."""
    return PeerSession(peer.session, peer.window)
