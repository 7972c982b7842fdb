"""What a client raises, beside ``NoAnswer`` and ``CommandUnknown`` (an ``OutcomeUnknown``)."""

from __future__ import annotations

from paxos import OperationalError, UsageError


class NotReached(OperationalError, ConnectionError):
    """No server of this machine has taken a request in time. Nothing was begun."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"{name!r}: {why.rstrip('.')}. Nothing was begun. Start a server on this machine, or "
            "give the client more time."
        )
        self.name, self.why = name, why

    def __reduce__(self) -> tuple[object, ...]:
        return NotReached, (self.name, self.why)


class Refused(OperationalError):
    """A server refuses a request for what it is. ``kind`` names what it has raised."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"the server refuses this request ({kind}): {text}")
        self.kind, self.text = kind, text

    def __reduce__(self) -> tuple[object, ...]:
        return Refused, (self.kind, self.text)


class WatchEnded(OperationalError):
    """No more steps come to a watcher, and some may be lost to it."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"{name!r}: {why.rstrip('.')}. Steps may be missing from here on: watch anew, and read "
            "the state then."
        )
        self.name, self.why = name, why

    def __reduce__(self) -> tuple[object, ...]:
        return WatchEnded, (self.name, self.why)


class ClientClosed(UsageError):
    """The client was closed, or not entered yet."""

    def __init__(self) -> None:
        super().__init__("the client is not open: use it in its context, with Client(...) as kv")
