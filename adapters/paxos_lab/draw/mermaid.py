"""A story as text for Mermaid: a sequence diagram, for pages that draw it themselves.

- A message stands where it arrives: a dotted line if it is late; a lost one where it was sent,
  with a cross.
- Notes tell what servers do by themselves, and when a value is chosen.
- What Mermaid would take for its own is escaped; a value can hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from paxos import ServerId
from paxos_lab.draw.layout import Layout, layout, shown
from paxos_lab.record.timeline import Arrow, Moment, Story


def mermaid(story: Story) -> str:
    """``story`` as a ``sequenceDiagram``."""
    return "\n".join(_lines(story)) + "\n"


def _lines(story: Story) -> Iterator[str]:
    found = layout(story)
    labels = found.labels
    yield "sequenceDiagram"
    yield from (f"    participant L{it} as {_safe(name)}" for it, name in story.lanes.items())
    lost: dict[int | None, list[Arrow]] = {}
    heard: dict[int | None, Arrow] = {}
    for arrow in story.arrows:
        if arrow.arrived is None:
            lost.setdefault(arrow.left, []).append(arrow)
        else:
            heard[arrow.arrived] = arrow
    decided = {it.step: it.choice.chosen for it in story.decided if it.step in found.column_of}
    ends = f"L{min(story.lanes)},L{max(story.lanes)}"
    for moment in story.moments:
        yield from _moment(moment, heard.get(moment.step), labels, found)
        yield from (_way(it, "-x") for it in lost.get(moment.step, []))
        if moment.step in decided:
            value, ballot = decided[moment.step].value, decided[moment.step].ballot
            yield f"    Note over {ends}: {_safe(shown(value))} is chosen under {ballot}"


def _moment(
    moment: Moment, heard: Arrow | None, labels: dict[int, str], found: Layout
) -> Iterator[str]:
    if heard is not None:
        yield _way(heard, "-->>" if heard in found.late else "->>")
    if moment.step in labels:
        yield f"    Note over {_lane(moment.lane)}: {_safe(labels[moment.step])}"


def _way(arrow: Arrow, line: str) -> str:
    ways = f"{_lane(arrow.sender)}{line}{_lane(arrow.receiver)}"
    return f"    {ways}: {_safe(shown(arrow.text, 60))}"


def _lane(lane: ServerId) -> str:
    return f"L{lane}"


def _safe(text: str) -> str:
    """``text`` as Mermaid shows it, whatever is in it."""
    return "".join(it if it.isalnum() or it in " .,!()…★" else f"#{ord(it)};" for it in text)
