"""Messages on their way, in a replay: each arrival is matched with the sending that caused it.

- An arrival is the first such message that is still on its way: equal ones are not told apart.
- If all such messages have arrived, it is a repetition of the last one.
- If nobody was seen to send one, it was sent before the recording began, or by somebody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeAlias

from attrs import define, field, frozen

from paxos import From, Message, ServerId
from paxos.ballot import V
from paxos_adapters.coding import Coder, dumped

Way: TypeAlias = tuple[ServerId, ServerId, str, bytes]
"""Who says what to whom, and about which decision."""


@frozen
class Sent(Generic[V]):
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
    message: Message[V]


@frozen
class Arrival(Generic[V]):
    """Which message it was that arrived: None if nobody was seen to send it."""

    sent: Sent[V] | None
    is_repeated: bool = False


@define
class _Mail(Generic[V]):
    """All that was said in one way: what is on its way still, and the last that has arrived."""

    flying: deque[Sent[V]] = field(factory=deque[Sent[V]])
    last: Sent[V] | None = None


class Post(Generic[V]):
    """What was sent so far."""

    def __init__(self, coder: Coder[V]) -> None:
        self._coder = coder
        self._mail: dict[Way, _Mail[V]] = {}

    @property
    def on_the_way(self) -> list[Sent[V]]:
        """What has not arrived, in the order in which it was sent: it is lost, or late."""
        flying = (sent for mail in self._mail.values() for sent in mail.flying)
        return sorted(flying, key=lambda it: it.number)

    def send(self, sent: Iterable[Sent[V]]) -> None:
        """These have left."""
        for it in sent:
            way = self._way(it.sender, it.receiver, it.name, it.message)
            self._mail.setdefault(way, _Mail()).flying.append(it)

    def can_arrive(self, me: ServerId, name: str, heard: From[Message[V]]) -> bool:
        """Whether anybody was seen to send this."""
        return self._way(heard.sender, me, name, heard.message) in self._mail

    def arrive(self, me: ServerId, name: str, heard: From[Message[V]]) -> Arrival[V]:
        """It has arrived at ``me``."""
        mail = self._mail.get(self._way(heard.sender, me, name, heard.message))
        if mail is None:
            return Arrival(None)
        if not mail.flying:
            return Arrival(mail.last, is_repeated=True)
        mail.last = mail.flying.popleft()
        return Arrival(mail.last)

    def _way(self, sender: ServerId, receiver: ServerId, name: str, message: Message[V]) -> Way:
        return sender, receiver, name, dumped(self._coder.encode(message))
