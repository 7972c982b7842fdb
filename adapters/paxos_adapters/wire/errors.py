"""Everything that the wire can raise: what happened, what it means, and what to do."""

from __future__ import annotations

from enum import Enum

from paxos import OperationalError, PaxosError, UsageError


class Reason(Enum):
    """Why a datagram is refused, in the order of the checks.

    ``Wire.open`` raises all of them but WRONG_ADDRESS and NOT_DESCENDED: these are for the owner of
    the socket and of the file.
    """

    TOO_SHORT = "it is shorter than a frame without a body"
    TOO_LONG = "it is longer than any datagram of this format"
    WRONG_VERSION = "it is not a frame, or one of another version"
    OTHER_CLUSTER = "it belongs to another cluster"
    NOT_FOR_US = "it is addressed to another server"
    UNKNOWN_SENDER = "its sender is not another member"
    OTHER_PROTECTION = "it is protected in another way than this server's own datagrams"
    WRONG_ADDRESS = "it does not come from the address of its sender"
    UNKNOWN_KEY = "its key is not on the keyring"
    BAD_MAC = "it was altered, or was not made by its sender"
    OUT_OF_BOUNDS = "a number, a size or a count in it is beyond its bound"
    OTHER_MEMBERS = "its sender has other members, another quorum system or another membership"
    REMOVED_SENDER = "its sender was removed from the cluster"
    NOT_REGISTERED = "its session is not registered here, and it is more than control messages"
    NOT_DESCENDED = "its session does not descend from what is known of its sender's disk"
    REPLAYED = "it was received before, or is too old to tell"
    MALFORMED = "its body is not a batch of messages"
    IMPOSSIBLE = "no correct server sends what is in it"


class WireError(PaxosError):
    """A message that cannot be sent, or a datagram that was refused."""


class RejectedDatagram(WireError, OperationalError):
    """A datagram that is refused. Nothing was changed by it: count it, drop it, do not answer."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(
            f"a datagram was refused: {reason.value}. Nothing was changed. A few are normal on "
            "a network; many indicate a wrong configuration or an attack."
        )
        self.reason = reason


class TooLarge(WireError, UsageError, ValueError):
    """Something too large was to be sent; nothing was."""

    def __init__(self, what: str, size: int, most: int) -> None:
        super().__init__(
            f"{what} has {size:,} bytes, and at most {most:,} can be sent. Nothing was. Keep it "
            "elsewhere, and agree on a name for it."
        )
        self.size = size
        self.most = most


class NotBytes(WireError, UsageError, TypeError):
    """A value that is not bytes was to be sent; nothing was."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"a value of type {type(value).__name__} was to be sent, and the wire takes bytes. "
            "Nothing was. Encode values before they come here; a node does it with its codec."
        )


class OutOfBounds(WireError, UsageError, ValueError):
    """A number that the format has no room for was to be sent; nothing was."""

    def __init__(self, what: str, number: int, least: int, most: int) -> None:
        super().__init__(
            f"{what} is {number:,}, and on the wire it is from {least:,} to {most:,}. Nothing was "
            "sent."
        )
        self.number = number


class BadDiskStatus(WireError, UsageError, ValueError):
    """A disk status that does not fit into a frame; nothing was sent."""

    def __init__(self, session: str, size: int) -> None:
        super().__init__(
            f"a session is {session!r}, and on the wire it is {size} bytes, not all zero, written "
            f"as {2 * size} hexadecimal digits in small letters. Nothing was sent. A file store "
            "draws such sessions."
        )


class BadKey(WireError, UsageError, ValueError):
    """A keyring that cannot be used. Nothing of a key is shown."""

    def __init__(self, place: str, what: str) -> None:
        super().__init__(
            f"{place}: {what}. A key is 32 random bytes in base64url, one on each line; what "
            "follows a # is a comment. paxos keygen makes one."
        )
        self.what = what


class MissingExtra(WireError, OperationalError, ImportError):
    """The library for encryption is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "encryption needs cryptography, which comes with the extra 'aead': pip install "
            "'sansio-paxos[aead]'. Authentication works without it."
        )
