"""Messages in flight: each arrival is matched with the sending that caused it.

- An arrival is the first such message that is still in flight: equal ones are not told apart.
- If all such messages have arrived, it is a repetition of the last one.
- If no server was seen to send one, it was sent before the trace began, or by a server outside it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Generic, TypeAlias

from attrs import define, field, frozen

from paxos import From, ServerId
from paxos_adapters.machine import M

Route: TypeAlias = tuple[ServerId, ServerId, str, Hashable]
"""Sender, receiver, the name of the decision, and the message."""


@frozen
class Sent(Generic[M]):
    """A message that left in the step ``step``, the ``number``-th of all.

    ``lane`` is what its sender is called, ``sender`` the id under which it speaks.
    """

    number: int
    step: int
    at_s: float
    lane: ServerId
    sender: ServerId
    receiver: ServerId
    name: str
    message: M


@frozen
class Arrival(Generic[M]):
    """A message that arrived, and when it was sent: None if no server was seen to send it."""

    received: From[M]
    sent: Sent[M] | None
    is_repeated: bool = False


@define
class _Channel(Generic[M]):
    """All that was sent on one route: what is in flight, and the last that has arrived."""

    flying: deque[Sent[M]] = field(factory=deque[Sent[M]])
    last: Sent[M] | None = None


class InFlight(Generic[M]):
    """What was sent so far."""

    def __init__(self) -> None:
        self._channels: dict[Route, _Channel[M]] = {}

    def send(self, sent: Iterable[Sent[M]]) -> None:
        """These have left."""
        for it in sent:
            route = _route(it.sender, it.receiver, it.name, it.message)
            self._channels.setdefault(route, _Channel()).flying.append(it)

    def can_arrive(self, me: ServerId, name: str, received: From[M]) -> bool:
        """Whether a server was seen to send this."""
        return _route(received.sender, me, name, received.message) in self._channels

    def arrive(self, me: ServerId, name: str, received: From[M]) -> Arrival[M]:
        """It has arrived at ``me``."""
        channel = self._channels.get(_route(received.sender, me, name, received.message))
        if channel is None:
            return Arrival(received, None)
        if not channel.flying:
            return Arrival(received, channel.last, is_repeated=True)
        channel.last = channel.flying.popleft()
        return Arrival(received, channel.last)


def _route(sender: ServerId, receiver: ServerId, name: str, message: object) -> Route:
    """Messages of values that cannot be hashed are told apart by how Python writes them."""
    try:
        hash(message)
    except TypeError:
        return sender, receiver, name, repr(message)
    return sender, receiver, name, message
