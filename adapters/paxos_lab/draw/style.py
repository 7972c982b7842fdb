"""The style of a picture: one hue for each proposer, in light and in dark, and how signs look.

- A server that proposes a value called like a colour has that colour; others take what is left.
- All colours are custom properties of the class ``paxos-picture``: a page can set them otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from paxos import Ballot, ServerId
from paxos_lab.record.timeline import Timeline

HUES: dict[str, tuple[str, str]] = {
    "blue": ("#1f66c1", "#74b3ff"),
    "orange": ("#c25a0c", "#ffa35c"),
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
"""The colours of no proposer."""

RULES = (
    ".paxos-picture{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,"
    "sans-serif;background:var(--paxos-paper)}"
    ".paxos-picture .ground{fill:var(--paxos-paper)}"
    ".paxos-picture text{fill:var(--paxos-ink);stroke:var(--paxos-paper);stroke-width:3px;"
    "stroke-opacity:.8;stroke-linejoin:round;paint-order:stroke;text-anchor:middle}"
    ".paxos-picture .lane line{stroke:var(--paxos-lane);stroke-width:1.5}"
    ".paxos-picture .lane .down{stroke-dasharray:2 6}"
    ".paxos-picture .lane .band{stroke:var(--hue);stroke-width:9;stroke-opacity:.3}"
    ".paxos-picture .message{fill:none;stroke:var(--hue,var(--paxos-soft));stroke-width:2;"
    "stroke-linejoin:round}"
    ".paxos-picture .message .head{fill:var(--hue,var(--paxos-soft));stroke:none}"
    ".paxos-picture .answer{stroke-width:1.3;opacity:.7}"
    ".paxos-picture .late{stroke-dasharray:6 4}"
    ".paxos-picture .message .cross{stroke-dasharray:none}"
    ".paxos-picture .box{fill:var(--paxos-paper);stroke:var(--hue);stroke-width:2}"
    ".paxos-picture .moment .what{fill:var(--hue);stroke:none;font-weight:600}"
    ".paxos-picture .accepted .box{fill:var(--held)}"
    ".paxos-picture .accepted .what{fill:var(--paxos-paper)}"
    ".paxos-picture .refused .box{stroke-dasharray:3 3}"
    ".paxos-picture .refused .what{opacity:.65}"
    ".paxos-picture .refused .no{stroke:var(--paxos-alarm);stroke-width:3}"
    ".paxos-picture .dot{fill:var(--hue,var(--paxos-soft))}"
    ".paxos-picture .badge circle{fill:var(--paxos-ink)}"
    ".paxos-picture .badge text{fill:var(--paxos-paper);stroke:none;font-weight:700}"
    ".paxos-picture .state{fill:var(--paxos-soft)}"
    ".paxos-picture .held{fill:var(--hue);font-weight:700}"
    ".paxos-picture .choice rect{fill:var(--hue,var(--paxos-soft));fill-opacity:.12}"
    ".paxos-picture .choice text{fill:var(--hue,var(--paxos-ink));font-weight:700}"
    ".paxos-picture .choice.again text{font-weight:400}"
    ".paxos-picture .choice.broken text{fill:var(--paxos-alarm)}"
    ".paxos-picture .start{text-anchor:start}"
    ".paxos-picture .title,.paxos-picture .name{font-weight:700}"
    ".paxos-picture .key{fill:var(--paxos-soft)}"
)


def owners(timeline: Timeline) -> dict[str, ServerId]:
    """By value: the server that asked first to accept it."""
    first: dict[str, Ballot] = {}
    for arrow in timeline.arrows:
        value, ballot = arrow.words.value, arrow.words.ballot
        if value is not None and ballot is not None:
            first[value] = min(ballot, first.get(value, ballot))
    return {value: ballot.server for value, ballot in first.items()}


def hues(proposers: Iterable[ServerId], owner: Mapping[str, ServerId]) -> dict[ServerId, str]:
    """A hue for each of ``proposers``, which there may be more of than hues."""
    named = {me: value for value, me in owner.items() if value in HUES}
    free = [hue for hue in HUES if hue not in named.values()] or list(HUES)
    others = sorted(set(proposers) - set(named))
    return named | {me: free[place % len(free)] for place, me in enumerate(others)}


def style() -> str:
    """The custom properties, and what is drawn with them."""
    both = {**GROUND, **HUES}
    light, dark = (
        "".join(f"--paxos-{name}:{pair[it]};" for name, pair in both.items()) for it in (0, 1)
    )
    hue = "".join(f".paxos-picture .{name}{{--hue:var(--paxos-{name})}}" for name in HUES)
    return (
        f".paxos-picture{{{light}}}"
        f"@media (prefers-color-scheme:dark){{.paxos-picture{{{dark}}}}}{hue}{RULES}"
    )
