"""What a node raises for a request: what happened, what it means, and what to do."""

from __future__ import annotations

from paxos import OperationalError, UsageError
from paxos_adapters.host import EndedByProgram
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES

TOO_LATE = "there was no answer in time"
LEFT = "its caller waits for the proposal no more, and it goes on"


class NoAnswer(OperationalError, TimeoutError):
    """A question was not answered in time. Nothing is known; ask again, or ask another node."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name!r}: {why.rstrip('.')}. Ask again, or ask another node.")
        self.name, self.why = name, why


class OutcomeUnknown(OperationalError, TimeoutError):
    """A proposal was not answered in time. Its value may be chosen, now or later, or never be.

    As long as the node runs, the proposal goes on, and a read of the name waits for what comes of
    it.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(outcome_unknown(name, why))
        self.name, self.why = name, why


class CommandUnknown(OutcomeUnknown):
    """A command was not answered in time. It may have been run, or be run later, once; or never.

    ``number``: by it the program can ask again for the result, from the same log of the same node,
    or from the same client.
    """

    def __init__(self, name: str, why: str, number: int | None) -> None:
        OperationalError.__init__(self, command_unknown(name, why, number))
        self.name = name
        self.why = why
        self.number = number

    def __reduce__(self) -> tuple[object, ...]:
        return CommandUnknown, (self.name, self.why, self.number)


def command_unknown(name: str, why: str, number: int | None) -> str:
    """What is to be known of a command that its caller does not wait for any more."""
    ask = "Read the state to find out" if number is None else f"Wait for it by outcome({number})"
    return (
        f"{name!r}: {why.rstrip('.')}. The command may have been run, or be run later, once. "
        f"{ask}; to submit it again may run it twice."
    )


class UnknownSubmission(UsageError, LookupError):
    """A log was asked for the outcome of a submission that it does not know."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(
            f"{name!r} has no submission number {number} whose caller has left: its result was "
            "handed out, or is too old to be kept, or another node or client has it."
        )
        self.name, self.number = name, number

    def __reduce__(self) -> tuple[object, ...]:
        return UnknownSubmission, (self.name, self.number)


def outcome_unknown(name: str, why: str) -> str:
    """What is to be known of a proposal that its caller does not wait for any more."""
    return (
        f"{name!r}: {why.rstrip('.')}. The proposed value may be chosen anyway, "
        "now or later. Read the name to find out; to propose it again does no harm."
    )


class TooManyRequests(OperationalError):
    """Too much is asked at a time."""

    def __init__(self, count: int, size_bytes: int) -> None:
        super().__init__(
            f"{count:,} questions with {size_bytes:,} bytes of values wait already, and at most "
            f"{MAX_WAITING:,} with {MAX_WAITING_BYTES:,} bytes may; this one was not taken. Wait "
            "for some answers."
        )


class NotStarted(UsageError):
    """A node was asked for something before it was entered."""

    def __init__(self) -> None:
        super().__init__("the node was not entered yet: async with node")


class NodeClosed(EndedByProgram, UsageError):
    """The node was closed."""

    def __init__(self) -> None:
        super().__init__(
            "the node was closed. To go on, open its file again, and enter a new node on it."
        )


class BadValue(UsageError, ValueError):
    """A value that the codec of the node does not carry; nothing was proposed."""

    def __init__(self, name: str, codec: object, why: str) -> None:
        super().__init__(
            f"the value for {name!r} cannot be proposed: {type(codec).__name__} {why}. Nothing was "
            "sent. Propose a value that the codec brings back equal, or correct the codec."
        )
        self.name = name


class Undecodable(OperationalError, ValueError):
    """A value is chosen, and the codec of this node cannot decode it. It stays chosen."""

    def __init__(self, name: str, codec: object, why: str) -> None:
        super().__init__(
            f"a value is chosen for {name!r}, and {type(codec).__name__} cannot decode it ({why}). "
            "The server and all other names go on. Read it with the codec that it was proposed "
            "with; a codec has to decode what its earlier versions encoded."
        )
        self.name = name
