"""The fields that messages of decisions and of logs share: checked both ways.

What cannot be sent is not received.
"""

from __future__ import annotations

from paxos import Ballot, ServerId
from paxos_adapters.limits import MAX_NAME_BYTES, MAX_ROUND, MAX_SERVER, MAX_VALUE_BYTES
from paxos_adapters.wire.errors import NotBytes, OutOfBounds, TooLarge


def checked_name(name: str) -> str:
    """The name of a decision or a log. Raises OutOfBounds, TooLarge."""
    size = len(name.encode())
    if not size:
        raise OutOfBounds("the size of a name", size, 1, MAX_NAME_BYTES)
    if size > MAX_NAME_BYTES:
        raise TooLarge("a name", size, MAX_NAME_BYTES)
    return name


def checked_ballot(ballot: Ballot, least: int = 1) -> Ballot:
    """A ballot, of a round from ``least`` on. Raises OutOfBounds."""
    if not least <= ballot.round <= MAX_ROUND:
        raise OutOfBounds("a round", ballot.round, least, MAX_ROUND)
    if not 0 <= ballot.server <= MAX_SERVER:
        raise OutOfBounds("the server of a ballot", ballot.server, 0, MAX_SERVER)
    return ballot


def ballot_of(number: int, server: int, least: int = 1) -> Ballot:
    """The ballot that is written so. Raises OutOfBounds."""
    return checked_ballot(Ballot(number, ServerId(server)), least)


def checked_value(value: object) -> bytes:
    """An encoded value. Raises NotBytes, TooLarge."""
    if not isinstance(value, bytes):
        raise NotBytes(value)
    if len(value) > MAX_VALUE_BYTES:
        raise TooLarge("a value", len(value), MAX_VALUE_BYTES)
    return value


def checked_number(what: str, number: int, most: int, least: int = 0) -> int:
    """``number``, if it is from ``least`` to ``most``. Raises OutOfBounds."""
    if not least <= number <= most:
        raise OutOfBounds(what, number, least, most)
    return number
