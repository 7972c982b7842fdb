"""Do all servers hold the same? The digests of their snapshots are compared through the log.

- A snapshot is due after the same slot on every server. The leader proposes the digest of its own,
  and each server compares that with the digest of its own: a Check.
- A server that differs applies nothing more: see ``Diverged``. Which of the two is right, no digest
  says.
- Digests are compared of snapshots that programs of one version have written, in one layout. A
  later program may write other bytes for the same state.
- A snapshot counts only once it was compared, or after some heartbeats without a Check of it. So a
  server that was found to differ still has the snapshot before, and the entries since.
- A caller that wants to know now has a snapshot made due, by an item: again after some heartbeats,
  as long as it waits.
- The digests of the last few snapshots are kept, and the last few Checks that came before the
  snapshot here was written. What comes late is not compared.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), section 6.2.
"""

from __future__ import annotations

import asyncio

from attrs import frozen

from paxos import PaxosError
from paxos_adapters.replication.batches import Check

KEPT = 8
"""Digests that are kept: how many snapshots later a Check may come."""

HELD_BEATS = 32
"""For how many heartbeats a snapshot waits for its Check."""

ASK_BEATS = 16
"""After how many heartbeats without a Check another snapshot is made due, if a caller waits."""


@frozen
class _Waiting:
    """A caller waits for a Check of all slots below ``slot``, or more."""

    slot: int
    answer: asyncio.Future[int]


class Consistency:
    """What one server knows of its snapshots.

    ``checked``: the last slot at which it was equal; 0 if it was not compared yet. ``asked_at``:
    the slot of the last snapshot that a caller has made due.
    """

    def __init__(self) -> None:
        self.checked = 0
        self._own: dict[int, Check] = {}
        self._asked: dict[int, Check] = {}
        self.asked_at = 0
        self._waiting: list[_Waiting] = []
        self._beats = 0

    def wait(self, slot: int, answer: asyncio.Future[int]) -> None:
        """``answer`` gets the slot of the next Check that finds the same below ``slot``."""
        self._waiting.append(_Waiting(slot, answer))
        self._beats = 0

    def is_asked(self) -> bool:
        """Whether a snapshot is to be made due now: to be called with each heartbeat."""
        self._waiting = [it for it in self._waiting if not it.answer.done()]
        self._beats = self._beats + 1 if self._waiting else 0
        return self._beats % ASK_BEATS == 1

    def end(self, error: PaxosError) -> None:
        """Nothing is compared any more: all that wait get ``error``."""
        for it in self._waiting:
            if not it.answer.done():
                it.answer.set_exception(error)

    def keep(self, own: Check) -> Check | None:
        """A snapshot of this server has that digest; the Check that it differs from."""
        self._own = _last({**self._own, own.slot: own})
        asked = self._asked.pop(own.slot, None)
        return None if asked is None or self._agrees(own, asked) else asked

    def compare(self, check: Check) -> Check | None:
        """``check`` is chosen; what this server has instead."""
        own = self._own.get(check.slot)
        if own is None:
            self._asked = _last({**self._asked, check.slot: check})
            return None
        return None if self._agrees(own, check) else own

    def _agrees(self, own: Check, check: Check) -> bool:
        """Whether they are equal, or cannot be compared."""
        if (own.layout, own.program) != (check.layout, check.program):
            return True
        if own.digest != check.digest:
            return False
        self.checked = max(self.checked, check.slot)
        for it in self._waiting:
            if it.slot <= self.checked and not it.answer.done():
                it.answer.set_result(self.checked)
        return True


def _last(checks: dict[int, Check]) -> dict[int, Check]:
    return dict(sorted(checks.items())[-KEPT:])
