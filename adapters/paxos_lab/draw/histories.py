"""Histories that were put together by hand, as rows of a terminal: only until all are timelines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from paxos import Message, ServerId
from paxos_adapters.memory import Delivery
from paxos_lab.draw.terminal import UNICODE, Burst, Glyphs, Note, Row, rows_of
from paxos_lab.machines.single_view import say

V = TypeVar("V")


def space_time(
    servers: Sequence[ServerId],
    history: Iterable[Delivery[Message[V]] | Note],
    *,
    width: int = 9,
    glyphs: Glyphs = UNICODE,
    names: Mapping[ServerId, str] | None = None,
) -> Iterator[Row]:
    """The rows of a space-time diagram, the heading first."""
    named: Mapping[ServerId, str] = {} if names is None else names
    lanes = {server: named.get(server, f"S{server}") for server in servers}
    items = (
        it
        if isinstance(it, Note)
        else Burst(it.message, say(it.message), ((it.sender, it.receiver),))
        for it in history
    )
    return rows_of(lanes, items, width=width, glyphs=glyphs)
