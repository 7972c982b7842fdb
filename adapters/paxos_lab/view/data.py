"""Data: what the script of a page shows, as JSON. All words are made here, and none by the script.

- A text that changes a little with each step is a difference to the one before: lines kept at its
  beginning, lines kept at its end, and new lines in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from paxos_lab.record import Kind, Moment, Timeline
from paxos_lab.view.following import MOST, Following
from paxos_lab.view.run import Shown
from paxos_lab.view.window import Window
from paxos_lab.view.words import cells, fit, words

EPOCH_S = 1e9  # times above are those of a clock, and others those of a schedule
BEGINNINGS = Kind.STARTS, Kind.IS_KNOWN

Json: TypeAlias = bool | int | str | Sequence["Json"] | dict[str, "Json"] | None


def data(shown: Shown) -> dict[str, Json]:
    """One decision: its lanes, its steps in a window, and what can be said after each."""
    timeline, window, now = shown.timeline, shown.window, shown.now
    moments = inside(timeline, window)
    texts = list(dict.fromkeys(now))
    place_of = {text: place for place, text in enumerate(texts)}
    lanes = {lane: place for place, lane in enumerate(timeline.lanes)}
    chosen = {it.step for it in timeline.decided}
    start_s = timeline.moments[0].at_s
    before = {it.lane: it.look for it in timeline.moments if it.step < window.first}
    steps: list[Json] = [
        {
            "step": it.step,
            "lane": lanes[it.lane],
            "words": told,
            "look": cells(it.look),
            "now": place_of[text],
            "chosen": it.step in chosen,
            "time": f"{it.at_s - start_s:.3f} s" if start_s > EPOCH_S else "",
        }
        for it, told, text in zip(moments, words(timeline, moments), now, strict=True)
    ]
    return {
        "name": shown.name,
        "run": shown.run,
        "lanes": [fit(it) for it in timeline.lanes.values()],
        "ids": [int(it) for it in timeline.lanes],
        "before": [cells(before.get(it)) for it in timeline.lanes],
        "opens": _opens(moments, window),
        "steps": steps,
        "texts": list(_differences([[fit(line) for line in it.splitlines()] for it in texts])),
        "next": _next(shown.next_),
    }


def _next(found: Following) -> Json:
    """Places, and the events that are possible there; words and looks by their places in lists."""
    events = [event for place in found.places for event in place]
    said = {it: at for at, it in enumerate(dict.fromkeys(it.words for it in events))}
    looks = {it: at for at, it in enumerate(dict.fromkeys(it.look for it in events))}
    return {
        "most": MOST,
        "after": {str(step): place for step, place in found.after.items()},
        "words": [fit(it) for it in said],
        "looks": [cells(it) for it in looks],
        "places": [
            [[int(it.me), said[it.words], looks[it.look], it.chooses, it.place] for it in place]
            for place in found.places
        ],
    }


def inside(timeline: Timeline, window: Window) -> list[Moment]:
    """The moments that are shown."""
    return [it for it in timeline.moments if it.step in window]


def _opens(moments: Sequence[Moment], window: Window) -> int:
    """The place of the first step of interest: servers have started, and something happens."""
    at = window.opens or 0
    places = (
        place
        for place, it in enumerate(moments)
        if (it.step >= at if at else it.changes and it.kind not in BEGINNINGS)
    )
    return next(places, 0)


def _differences(texts: Iterable[list[str]]) -> Iterator[Json]:
    last: list[str] = []
    for text in texts:
        same = min(len(last), len(text))
        head = next((it for it in range(same) if last[it] != text[it]), same)
        rest = same - head
        tail = next((it for it in range(rest) if last[-1 - it] != text[-1 - it]), rest)
        yield [head, tail, text[head : len(text) - tail]]
        last = text
