"""Do all servers hold the same? The digests of their snapshots are compared through the log.

- A snapshot is due after the same slot on every server. The leader proposes the digest of its own,
  and each server compares that with the digest of its own: a Check.
- A server that differs applies nothing more: see ``Diverged``. Which of the two is right, no digest
  says.
- Digests are compared of snapshots that programs of one version have written, in one layout. A
  later program may write other bytes for the same state.
- A snapshot counts only once it was compared, or after some heartbeats without a Check of it. So a
  server that was found to differ still has the snapshot before, and the entries since.
- The digests of the last few snapshots are kept, and the last few Checks that came before the
  snapshot here was written. What comes late is not compared.

Source: Chandra, Griesemer and Redstone, "Paxos Made Live" (2007), section 6.2.
"""

from __future__ import annotations

from paxos_adapters.replication.batches import Check

KEPT = 8
"""Digests that are kept: how many snapshots later a Check may come."""

HELD_BEATS = 32
"""For how many heartbeats a snapshot waits for its Check."""


class Consistency:
    """What one server knows of its snapshots.

    ``checked``: the last slot at which it was equal; 0 if it was not compared yet.
    """

    def __init__(self) -> None:
        self.checked = 0
        self._own: dict[int, Check] = {}
        self._asked: dict[int, Check] = {}

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
        return True


def _last(checks: dict[int, Check]) -> dict[int, Check]:
    return dict(sorted(checks.items())[-KEPT:])
