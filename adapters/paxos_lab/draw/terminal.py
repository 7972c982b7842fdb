"""Pictures of a run, made from the messages that were really delivered.

A space-time diagram for a terminal: a lane for each server, time runs down, one row for each
burst of the same message (a broadcast, or the same answer from several servers to one). Rows are
plain, printable text with the proposer whose ballot they belong to, so that a caller can colour
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar, assert_never

from attrs import frozen

from paxos import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Chosen,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Query,
    ServerId,
)
from paxos_adapters.memory import Delivery
from paxos_adapters.printable import printable

V = TypeVar("V")


@frozen
class Glyphs:
    """The characters that a diagram is drawn with, each one column wide."""

    lane: str
    crossing: str
    line: str
    sender: str
    itself: str
    right: str
    left: str
    moment: str


UNICODE = Glyphs("│", "┼", "─", "●", "◉", "▶", "◀", "◆")
ASCII = Glyphs("|", "+", "-", "o", "@", ">", "<", "*")


@frozen
class Row:
    """One line of a diagram; ``ballot`` says to whose attempt it belongs, None to nobody's."""

    lanes: str
    label: str
    ballot: Ballot | None


@frozen
class Moment:
    """Something that happened at one server, with no message to show for it."""

    server: ServerId
    label: str


@frozen
class Burst(Generic[V]):
    """The same message on several ways: from one server to many, or from many to one."""

    message: Message[V]
    ways: tuple[tuple[ServerId, ServerId], ...]

    def takes(self, delivery: Delivery[Message[V]]) -> bool:
        """Whether ``delivery`` belongs to this burst."""
        if delivery.message != self.message or (delivery.sender, delivery.receiver) in self.ways:
            return False
        senders = {delivery.sender, *(sender for sender, _ in self.ways)}
        receivers = {delivery.receiver, *(receiver for _, receiver in self.ways)}
        return len(senders) == 1 or len(receivers) == 1


def describe(message: Message[V]) -> str:
    """``message`` in a few words."""
    if type(message) is Prepare:
        return f"Prepare {message.ballot}"
    if type(message) is Promise:
        found = message.accepted
        if found is None:
            return f"Promise {message.ballot}, nothing accepted"
        return f"Promise {message.ballot}, {found.ballot} {printable(found.value)}"
    if type(message) is Accept:
        return f"Accept {message.ballot} {printable(message.value)}"
    if type(message) is Accepted:
        return f"Accepted {message.ballot} {printable(message.value)}"
    if type(message) is Nack:
        return f"Nack {message.ballot}, {message.promised} is promised"
    if type(message) is Chosen:
        return f"Chosen {printable(message.value)}"
    if type(message) is Heartbeat:
        return "Heartbeat"
    if type(message) is Query:
        return f"Query {message.id}"
    if type(message) is Answer:
        held = message.accepted
        told = "nothing accepted" if held is None else f"{held.ballot} {printable(held.value)}"
        return f"Answer {message.id}, {told}"
    assert_never(message)


def ballot_of(message: Message[V]) -> Ballot | None:
    """To whose attempt ``message`` belongs; None: to nobody's."""
    if isinstance(message, Heartbeat | Query | Answer):
        return None
    return message.ballot


def space_time(
    servers: Sequence[ServerId],
    history: Iterable[Delivery[Message[V]] | Moment],
    *,
    width: int = 9,
    glyphs: Glyphs = UNICODE,
    names: Mapping[ServerId, str] | None = None,
) -> Iterator[Row]:
    """The rows of a space-time diagram, the heading first.

    ``width`` is the distance between two lanes, in characters, at least 3. A lane is headed by the
    name of its server, S and its id if it has none.
    """
    width = max(width, 3)
    named: Mapping[ServerId, str] = {} if names is None else names
    names_shown = (printable(named.get(server, f"S{server}")) for server in servers)
    heading = "".join(it.ljust(width) for it in names_shown)
    yield Row(heading.rstrip(), "", None)
    for item in _bursts(history):
        if isinstance(item, Moment):
            yield Row(
                _lanes(servers, {item.server: glyphs.moment}, width, glyphs),
                printable(item.label),
                None,
            )
        else:
            lanes = _arrows(servers, item.ways, width, glyphs)
            yield Row(lanes, describe(item.message), ballot_of(item.message))


def _bursts(
    history: Iterable[Delivery[Message[V]] | Moment],
) -> Iterator[Burst[V] | Moment]:
    burst: Burst[V] | None = None
    for item in history:
        if not isinstance(item, Moment) and burst is not None and burst.takes(item):
            burst = Burst(burst.message, (*burst.ways, (item.sender, item.receiver)))
            continue
        if burst is not None:
            yield burst
        burst = None
        if isinstance(item, Moment):
            yield item
        else:
            burst = Burst(item.message, ((item.sender, item.receiver),))
    if burst is not None:
        yield burst


def _arrows(
    servers: Sequence[ServerId],
    ways: tuple[tuple[ServerId, ServerId], ...],
    width: int,
    glyphs: Glyphs,
) -> str:
    place = {server: index * width for index, server in enumerate(servers)}
    cells = list(_lanes(servers, {}, width, glyphs))
    for sender, receiver in ways:
        low, high = sorted((place[sender], place[receiver]))
        for column in range(low + 1, high):
            cells[column] = glyphs.crossing if column % width == 0 else glyphs.line
    for sender, receiver in ways:
        start, end = place[sender], place[receiver]
        cells[start] = glyphs.itself if (sender, sender) in ways else glyphs.sender
        if start < end:
            cells[end - 1] = glyphs.right
        elif end < start:
            cells[end + 1] = glyphs.left
    return "".join(cells)


def _lanes(
    servers: Sequence[ServerId], marks: dict[ServerId, str], width: int, glyphs: Glyphs
) -> str:
    return "".join(
        marks.get(server, glyphs.lane).ljust(width if server != servers[-1] else 1)
        for server in servers
    )
