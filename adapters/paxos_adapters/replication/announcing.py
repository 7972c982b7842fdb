"""When the leader announces what is chosen, beside its proposals, which say it anyway.

A leader that has nothing more to propose tells the servers that have forwarded commands, so that
they have the results a moment later, and not with the next heartbeat.
"""

from __future__ import annotations

from paxos import ServerId, To
from paxos.log import replica
from paxos.log.replica import Replica
from paxos_adapters.log_messages import LogMessage

FORWARDER_BEATS = 4
"""For how many heartbeats a server that has forwarded commands is told at once what is chosen."""


class Announcements:
    """To whom this server announces. All below ``first`` is announced."""

    def __init__(self, first: int) -> None:
        self.first = first
        self._forwarders: dict[ServerId, int] = {}

    def on_forward(self, sender: ServerId) -> None:
        """``sender`` has forwarded commands."""
        self._forwarders[sender] = FORWARDER_BEATS

    def on_beat(self) -> None:
        """A heartbeat has passed."""
        self._forwarders = {it: left - 1 for it, left in self._forwarders.items() if left > 1}

    def due(self, state: Replica[bytes]) -> list[To[LogMessage]]:
        """What is to be announced now."""
        first = state.memory.first
        message = replica.announcement(state) if first > self.first else None
        if message is None or not self._forwarders:
            return []
        self.first = first
        return [To(it, message) for it in self._forwarders]
