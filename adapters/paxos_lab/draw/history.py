"""A story as a history for ``space_time``: what a terminal draws.

- A message stands where it arrives, and says so if it is late; a lost one where it was sent.
- What servers do by themselves, and the choice of a value, have rows of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from paxos import Message, ServerId
from paxos_adapters.memory import Delivery
from paxos_lab.draw.layout import layout, shown
from paxos_lab.draw.terminal import UNICODE, Glyphs, Moment, describe, space_time
from paxos_lab.record.timeline import Arrow, Story

History: TypeAlias = list[Delivery[Message[str]] | Moment]


def history(story: Story) -> History:
    """What happened in ``story``, in order."""
    return list(_items(story))


def text(story: Story, *, width: int = 7, glyphs: Glyphs = UNICODE) -> str:
    """``story`` as a diagram in text, ``width`` characters from lane to lane."""
    rows = space_time(
        tuple(story.lanes), history(story), width=width, glyphs=glyphs, names=story.lanes
    )
    room = width * len(story.lanes)
    return "".join(f"{row.lanes.ljust(room)}{row.label}".rstrip() + "\n" for row in rows)


def _items(story: Story) -> Iterator[Delivery[Message[str]] | Moment]:
    found = layout(story)
    labels = found.labels
    heard = {it.arrived: it for it in story.arrows if it.arrived is not None}
    decided = {it.step: it.choice.chosen for it in story.decided if it.step in found.column_of}
    late: Message[str] | None = None
    for moment in story.moments:
        arrow, lane = heard.get(moment.step), moment.lane
        if arrow is not None:
            if arrow in found.late and arrow.message != late:
                late = arrow.message
                yield Moment(lane, f"late: {shown(describe(late), 40)}")
            if arrow.sender in story.lanes:
                yield Delivery(moment.at_s, arrow.sender, arrow.receiver, arrow.message)
        if moment.step in decided:
            chosen = decided[moment.step]
            yield Moment(lane, f"{shown(chosen.value)} is chosen under {chosen.ballot}")
        if moment.step in labels:
            yield Moment(lane, f"{story.lanes[lane]} {labels[moment.step]}")
        yield from _lost(story, moment.step, lane)


def _lost(story: Story, step: int, lane: ServerId) -> Iterator[Moment]:
    lost: dict[Message[str], list[Arrow]] = {}
    for it in story.arrows:
        if it.left == step and it.arrived is None:
            lost.setdefault(it.message, []).append(it)
    for message, those in lost.items():
        names = ", ".join(story.lanes.get(it.receiver, f"S{it.receiver}") for it in those)
        yield Moment(lane, f"lost: {shown(describe(message), 40)} to {names}")
