"""Which versions of the state machine the programs of the servers have, as far as they have said.

- Each server says it with each heartbeat, and what it says last holds: a program may be replaced.
- A version that all members have may run. Until each of them has said so, none is known to.
- A server that is down is taken at its last word. If it comes back with a program that lacks what
  runs by then, it stops applying, and harms no other: see ``LacksVersion``.
"""

from __future__ import annotations

from collections.abc import Iterable

from paxos import ServerId
from paxos_adapters.log_messages import HasVersions


class Versions:
    """What the servers of one log have said, since this one was started."""

    def __init__(self, own: range) -> None:
        """The program of this server has ``own``."""
        self.message = HasVersions(own[0], own[-1])
        self._said: dict[ServerId, HasVersions] = {}

    def on_said(self, server: ServerId, message: HasVersions) -> None:
        """``server`` has said what it has."""
        self._said[server] = message

    def of_all(self, members: Iterable[ServerId]) -> int | None:
        """The highest version that all ``members`` have; None until each has said so."""
        said = [self._said.get(it) for it in members]
        known = [it for it in said if it is not None]
        if len(known) < len(said) or not known:
            return None
        highest = min(it.last for it in known)
        return highest if all(it.first <= highest for it in known) else None
