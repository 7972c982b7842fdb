"""A timeline as text for Mermaid: a sequence diagram, for pages that draw it themselves.

- A message stands where it arrives: a dotted line if it is late; a lost one where it was sent,
  with a cross.
- Notes tell what servers do by themselves, and when a value is chosen.
- What Mermaid would take for its own is escaped; a value can hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator

from paxos import ServerId
from paxos_lab.draw.layout import Cell, Layout, conflicts, layout, named, shown, under
from paxos_lab.record.timeline import Arrow, Moment, Timeline


def mermaid(timeline: Timeline) -> str:
    """``timeline`` as a ``sequenceDiagram``."""
    return "\n".join(_lines(timeline)) + "\n"


def _lines(timeline: Timeline) -> Iterator[str]:
    found = layout(timeline)
    labels = found.labels
    yield "sequenceDiagram"
    yield from (f"    participant L{it} as {_safe(name)}" for it, name in timeline.lanes.items())
    lost: dict[int | None, list[Arrow]] = {}
    received: dict[int | None, Arrow] = {}
    for arrow in timeline.arrows:
        if arrow.arrived is None:
            lost.setdefault(arrow.left, []).append(arrow)
        else:
            received[arrow.arrived] = arrow
    decided = {it.step: it for it in timeline.decided if it.step in found.column_of}
    broken = conflicts(timeline)
    ends = f"L{min(timeline.lanes)},L{max(timeline.lanes)}"
    for moment in timeline.moments:
        yield from _moment(moment, received.get(moment.step), labels, found)
        yield from (_way(it, "-x") for it in lost.get(moment.step, []))
        if moment.step in decided:
            it = decided[moment.step]
            attempt = under(it.choice.chosen.ballot, has_numbers=timeline.has_numbers)
            too = ", too" if moment.step in broken else ""
            yield f"    Note over {ends}: {_safe(named(it))} is chosen{attempt}{too}"


def _moment(
    moment: Moment, received: Arrow | None, labels: dict[int, Cell], found: Layout
) -> Iterator[str]:
    if received is not None:
        yield _way(received, "-->>" if moment.step in found.late else "->>")
    if moment.step in labels:
        yield f"    Note over {_lane(moment.lane)}: {_safe(labels[moment.step].label)}"


def _way(arrow: Arrow, line: str) -> str:
    ways = f"{_lane(arrow.sender)}{line}{_lane(arrow.receiver)}"
    return f"    {ways}: {_safe(shown(arrow.text, 60))}"


def _lane(lane: ServerId) -> str:
    return f"L{lane}"


def _safe(text: str) -> str:
    """``text`` as Mermaid shows it, whatever is in it."""
    return "".join(it if it.isalnum() or it in " .,!()…★" else f"#{ord(it)};" for it in text)
