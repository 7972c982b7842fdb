"""The style of a picture: one hue for each value, in light and in dark, and how signs look.

- A value that is called like a colour has that colour; others take what is left. A proposer has the
  hue of its first value: outlines and arrows are the proposer's, what is filled is the value's.
- No sign rests on its hue: values are written, their bands differ in dashes, and what is refused,
  chosen or broken has a sign of its own.
- Letters differ from their ground by 4.5 to 1 at least, in light and in dark.
- All colours are custom properties of the class ``paxos-picture``: a page can set them otherwise.
- Light or dark is that of the system, unless the page around the picture says it: Furo, Jupyter and
  Visual Studio Code do.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import TypeVar

from attrs import frozen

from paxos import ServerId
from paxos_lab.record.timeline import Timeline

X = TypeVar("X")

HUES: dict[str, tuple[str, str]] = {
    "blue": ("#1f66c1", "#74b3ff"),
    "orange": ("#b8540a", "#ffa35c"),
    "green": ("#2a8540", "#5fd382"),
    "plum": ("#8b3fa8", "#d3a2f2"),
    "teal": ("#0a7f86", "#4fcbd2"),
    "red": ("#c8322b", "#ff8078"),
    "gold": ("#9a6b00", "#e8bb50"),
    "pink": ("#c2317f", "#ff90c8"),
    "lime": ("#5a8200", "#acd652"),
    "gray": ("#606a76", "#aab4c0"),
}
"""Of each hue, its colour on light and on dark ground, in the order in which they are taken."""

GROUND: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#15181e"),
    "ink": ("#1b2027", "#e9edf2"),
    "soft": ("#5c6672", "#a3aebb"),
    "lane": ("#c3cad2", "#47515d"),
    "alarm": ("#b3001e", "#ff5d73"),
}
"""The colours of no value."""

DASHES = "", "18 5", "6 4", "18 4 4 4"
"""How the bands of the first values, the second, and so on are dashed."""

AROUND: dict[str, tuple[str, ...]] = {
    "light": ("[data-theme=light]", "[data-jp-theme-light=true]", ".vscode-light"),
    "dark": ("[data-theme=dark]", "[data-jp-theme-light=false]", ".vscode-dark"),
}
"""What says of a page that it is light or dark, whatever the system is."""

RULES = (
    ".paxos-picture{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,"
    "sans-serif;background:var(--paxos-paper)}"
    ".paxos-picture .ground{fill:var(--paxos-paper)}"
    ".paxos-picture text{fill:var(--paxos-ink);stroke:var(--paxos-paper);stroke-width:3px;"
    "stroke-opacity:.8;stroke-linejoin:round;paint-order:stroke;text-anchor:middle}"
    ".paxos-picture .lane line{stroke:var(--paxos-lane);stroke-width:1.5}"
    ".paxos-picture .lane .down{stroke-dasharray:2 6}"
    ".paxos-picture .lane .band{stroke:var(--hue);stroke-width:9;stroke-opacity:.45}"
    + "".join(
        f".paxos-picture .lane .dashes{place}{{stroke-dasharray:{it}}}"
        for place, it in enumerate(DASHES)
        if it
    )
    + ".paxos-picture .message{fill:none;stroke:var(--hue,var(--paxos-soft));stroke-width:2;"
    "stroke-linejoin:round}"
    ".paxos-picture .message .head{fill:var(--hue,var(--paxos-soft));stroke:none}"
    ".paxos-picture .answer{stroke-width:1.3}"
    ".paxos-picture .late{stroke-dasharray:6 4}"
    ".paxos-picture .message .cross{stroke-dasharray:none}"
    ".paxos-picture .box{fill:var(--paxos-paper);stroke:var(--hue);stroke-width:2}"
    ".paxos-picture .moment .what{fill:var(--hue);stroke:none;font-weight:600}"
    ".paxos-picture .accepted .box{fill:var(--held)}"
    ".paxos-picture .accepted .what{fill:var(--paxos-paper)}"
    ".paxos-picture .refused .box{stroke-dasharray:3 3}"
    ".paxos-picture .refused .no{stroke:var(--paxos-alarm);stroke-width:3}"
    ".paxos-picture .dot{fill:var(--hue,var(--paxos-soft))}"
    ".paxos-picture .badge circle{fill:var(--paxos-ink)}"
    ".paxos-picture .badge text{fill:var(--paxos-paper);stroke:none;font-weight:700}"
    ".paxos-picture .state{fill:var(--paxos-soft)}"
    ".paxos-picture .held{fill:var(--hue);font-weight:700}"
    ".paxos-picture .part{fill:var(--paxos-lane);fill-opacity:.25}"
    ".paxos-picture .choice rect{fill:none;stroke:var(--hue,var(--paxos-ink));stroke-width:3.5}"
    ".paxos-picture .choice path{fill:none;stroke:var(--hue,var(--paxos-ink));stroke-width:1.5;"
    "stroke-dasharray:2 4}"
    ".paxos-picture .choice.broken{--hue:var(--paxos-alarm)}"
    ".paxos-picture .verdict rect{fill:var(--paxos-alarm)}"
    ".paxos-picture .verdict text{fill:var(--paxos-paper);stroke:none;font-weight:700}"
    ".paxos-picture .choice text{fill:var(--hue,var(--paxos-ink));font-weight:700}"
    ".paxos-picture .choice.again text{font-weight:400}"
    ".paxos-picture .start{text-anchor:start}"
    ".paxos-picture .title,.paxos-picture .name{font-weight:700}"
    ".paxos-picture .key{fill:var(--paxos-soft)}"
)


@frozen
class Colours:
    """The hue of each value, and of each proposer: that of the first value that it asked for."""

    values: dict[str, str]
    proposers: dict[ServerId, str]


def colours(timeline: Timeline, values: Sequence[str] = ()) -> Colours:
    """The hues of ``timeline``, taken in the order in which values come up; first ``values``."""
    asked: dict[str, ServerId] = {}
    ballots: list[ServerId] = []
    for arrow in timeline.arrows:
        value, ballot = arrow.words.value, arrow.words.ballot
        if ballot is not None:
            ballots.append(ballot.server)
            if value is not None:
                asked.setdefault(value, ballot.server)
    held = [it.look.accepted for it in timeline.moments if it.look is not None]
    hues = of_values([*values, *asked, *(it.value for it in held if it is not None)])
    own: dict[ServerId, str] = {}
    for value, me in asked.items():
        own.setdefault(me, hues[value])
    return Colours(hues, own | _taken(sorted(set(ballots) - set(own)), {*hues.values()}))


def of_values(values: Sequence[str]) -> dict[str, str]:
    """A hue for each value, which there may be more of than hues: its own, if it is called so."""
    named = {it: it for it in values if it in HUES}
    others = [it for it in dict.fromkeys(values) if it not in named]
    return named | _taken(others, {*named})


def _taken(those: Sequence[X], taken: Set[str]) -> dict[X, str]:
    free = [hue for hue in HUES if hue not in taken] or list(HUES)
    return {it: free[place % len(free)] for place, it in enumerate(those)}


def contrast(one: str, other: str) -> float:
    """How much two colours, ``#rrggbb``, differ in lightness: 1 to 21. Source: WCAG 2.2."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (
        it / 12.92 if it <= 0.04 else ((it + 0.055) / 1.055) ** 2.4 for it in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def style() -> str:
    """The custom properties, and what is drawn with them."""
    both = {**GROUND, **HUES}
    light, dark = (
        "".join(f"--paxos-{name}:{pair[it]};" for name, pair in both.items()) for it in (0, 1)
    )
    hue = "".join(f".paxos-picture .{name}{{--hue:var(--paxos-{name})}}" for name in HUES)
    around = (",".join(f"{it} .paxos-picture" for it in AROUND[name]) for name in AROUND)
    is_light, is_dark = (
        f"{it}{{{those}}}" for it, those in zip(around, (light, dark), strict=True)
    )
    return (
        f".paxos-picture{{{light}}}"
        f"@media (prefers-color-scheme:dark){{.paxos-picture{{{dark}}}}}"
        f"{is_light}{is_dark}{hue}{RULES}"
    )
