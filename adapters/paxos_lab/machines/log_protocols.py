"""A log to drive: the library's own, or one with another ``receive``."""

from __future__ import annotations

from attrs import frozen

from paxos.log import Rules, replica
from paxos_adapters.log import Log, LogReceive, log


@frozen
class LogProtocol:
    """What the replicas do: its name, in a sentence, and as a function like ``replica.receive``."""

    name: str
    summary: str
    receive: LogReceive[str]

    def machine(self, rules: Rules) -> Log[str]:
        """What a server runs under ``rules``."""
        return log(rules, self.receive, self.name)


LOG = LogProtocol("log", "the library's own replica", replica.receive)
