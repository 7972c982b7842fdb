"""Proposal numbers, from a run: what they are made of, and their order.

Rounds run to the right, servers down; the path leads from each number that was used to the next
higher one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from paxos import Ballot, Prepare, ServerId
from paxos_lab.draw.shapes import MARGIN, Point, head, number, text, tip
from paxos_lab.draw.style import colours
from paxos_lab.record import Timeline

WIDTH, HEIGHT = 960.0, 470.0
LEFT, TOP, ACROSS, ROW = 476.0, 138.0, 104.0, 124.0
CHIP_WIDE, CHIP_TALL = 66.0, 42.0


def numbers(timeline: Timeline, title: str) -> str:
    """The numbers that were used in ``timeline``."""
    said = (arrow.message for arrow in timeline.arrows)
    used = sorted({it.ballot for it in said if isinstance(it, Prepare)})
    hue = colours(timeline).proposers
    return "\n".join(_parts(used, timeline.lanes, hue, title)) + "\n"


def _parts(
    used: Sequence[Ballot], lanes: dict[ServerId, str], hue: dict[ServerId, str], title: str
) -> Iterator[str]:
    servers = sorted({it.server for it in used})
    rounds = range(used[0].round, used[-1].round + 1)
    y = {server: TOP + place * ROW for place, server in enumerate(servers)}
    x = {round_: LEFT + place * ACROSS for place, round_ in enumerate(rounds)}
    bottom = TOP + ROW * (len(servers) - 1)
    yield from head(WIDTH, HEIGHT, title)
    yield text(MARGIN, MARGIN + 18, title, 22, "title start")
    yield from _made_of(next(it for it in used if it.round != it.server), hue)
    for server in servers:
        yield '<g class="lane">' + text(LEFT - 92, y[server] + 6, lanes[server], 18, "name start")
        yield (
            f'<line x1="{number(LEFT - 50)}" y1="{number(y[server])}"'
            f' x2="{number(x[rounds[-1]] + 50)}" y2="{number(y[server])}"/></g>'
        )
    for round_ in rounds:
        yield text(x[round_], TOP - 48, f"round {round_}", 16, "state")
    places = {it: (x[it.round], y[it.server]) for it in used}
    for low, high in pairwise(used):
        yield from _step(places[low], places[high])
    for it in used:
        yield from _chip(places[it], str(it), hue[it.server])
    yield text((LEFT + x[rounds[-1]]) / 2, bottom + 78, "  <  ".join(map(str, used)), 22, "title")
    for row, words in enumerate(_reasons(used)):
        yield text((LEFT + x[rounds[-1]]) / 2, bottom + 110 + 22 * row, words, 16, "state")
    words = "A server goes one above the highest round that it has seen, and saves it before use."
    yield text(MARGIN, HEIGHT - 28, words, 16, "start")
    yield "</svg>"


def _reasons(used: Sequence[Ballot]) -> Iterator[str]:
    """Why one is below the next, once for each reason."""
    pairs = list(pairwise(used))
    for low, high in [it for it in pairs if it[0].round == it[1].round][:1]:
        yield f"{low} < {high}: in the same round, the server decides"
    for low, high in [it for it in pairs if it[0].server > it[1].server][:1]:
        yield f"{low} < {high}: the round comes first, whatever the server"


def _made_of(ballot: Ballot, hue: dict[ServerId, str]) -> Iterator[str]:
    """One number in large type, and what its two parts are for."""
    colour, y = hue[ballot.server], TOP + 12
    for x, digits, name, use in (
        (MARGIN + 70, ballot.round, "round", "compared first"),
        (MARGIN + 234, ballot.server, "server", "decides a tie"),
    ):
        yield (
            f'<g class="moment {colour}"><rect class="box" x="{number(x - 68)}"'
            f' y="{number(y - 46)}" width="136" height="78" rx="8"/>'
        )
        yield text(x, y + 6, str(digits), 44, "what") + "</g>"
        yield text(x, y + 62, name, 18, "title")
        yield text(x, y + 86, use, 16, "state")
    yield text(MARGIN + 152, y + 14, ".", 44, "title")
    yield text(MARGIN + 152, y + 136, "No two servers draw the same,", 16, "state")
    yield text(MARGIN + 152, y + 156, "and none draws one twice.", 16, "state")


def _step(low: Point, high: Point) -> Iterator[str]:
    """From the edge of one chip to that of the next."""
    dx, dy = high[0] - low[0], high[1] - low[1]
    share = 1 / max(abs(dx) / (CHIP_WIDE / 2 + 5), abs(dy) / (CHIP_TALL / 2 + 5))
    start = low[0] + dx * share, low[1] + dy * share
    end = high[0] - dx * share, high[1] - dy * share
    way = f"M{number(start[0])} {number(start[1])}L{number(end[0])} {number(end[1])}"
    yield f'<g class="message"><path d="{way}"/><path class="head" d="{tip(start, end)}"/></g>'


def _chip(at: Point, words: str, hue: str) -> Iterator[str]:
    x, y = at
    yield (
        f'<g class="moment accepted {hue}" style="--held:var(--paxos-{hue})"><rect class="box"'
        f' x="{number(x - CHIP_WIDE / 2)}" y="{number(y - CHIP_TALL / 2)}"'
        f' width="{number(CHIP_WIDE)}" height="{number(CHIP_TALL)}" rx="8"/>'
    )
    yield text(x, y + 7, words, 20, "what") + "</g>"
