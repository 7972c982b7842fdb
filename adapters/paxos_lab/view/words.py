"""Words: what happens in each moment of a timeline, in a sentence or two.

A text is one line: what cannot be seen is escaped, and what is too long is cut off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from paxos import ServerId
from paxos_adapters.printable import printable
from paxos_lab.explain.grammar import listed, named
from paxos_lab.machines.view import Look
from paxos_lab.record import Arrow, Moment, Timeline

MAX_TEXT = 500  # characters of one line: a value may be much longer


def fit(text: str) -> str:
    """``text`` in one line, with what cannot be seen escaped; what is too long is cut off."""
    seen = printable(text[: MAX_TEXT + 1])
    if len(seen) <= MAX_TEXT:
        return seen
    return f"{seen[:MAX_TEXT]}… ({len(text):,} characters)"


def words(timeline: Timeline, moments: Iterable[Moment]) -> Iterator[str]:
    """Of each of ``moments``: what happens, what leaves, and what is chosen by that."""
    leaving: dict[int, list[Arrow]] = defaultdict(list)
    for arrow in timeline.arrows:
        if arrow.left is not None and not arrow.is_repeated:
            leaving[arrow.left].append(arrow)
    chosen = _chosen(timeline)
    for moment in moments:
        told = [f"{timeline.lanes[moment.lane]} {moment.text}."]
        told.extend(_sent(leaving[moment.step], timeline.lanes))
        told.extend(chosen.get(moment.step, []))
        yield " ".join(map(fit, told))


def cells(look: Look | None) -> list[str] | None:
    """What a server has promised, has accepted, asks for and knows; empty, if nothing."""
    if look is None:
        return None
    accepted, asks = look.accepted, look.asks
    return [
        str(look.promised) if look.promised.round else "",
        "" if accepted is None else fit(f"{accepted.ballot} {accepted.value}"),
        "" if asks is None else fit(f"{asks}" if look.for_ is None else f"{asks} {look.for_}"),
        "" if look.knows is None else fit(look.knows),
    ]


def _chosen(timeline: Timeline) -> dict[int, list[str]]:
    """By step: that a value is chosen, and whether that breaks agreement."""
    found: dict[int, list[str]] = defaultdict(list)
    by_slot: dict[int | None, set[str]] = defaultdict(set)
    for decided in timeline.decided:
        value, values = decided.choice.chosen.value, by_slot[decided.slot]
        more = " once more" if value in values else ", too" if values else ""
        what = value if decided.slot is None else f"{decided.slot}: {value}"
        voters = named(decided.choice.voters)
        found[decided.step].append(f"{what} is chosen{more}: accepted by {voters}, a quorum.")
        values.add(value)
        if len(values) > 1:
            found[decided.step].append("Agreement is broken.")
    return found


def _sent(arrows: list[Arrow], lanes: Mapping[ServerId, str]) -> Iterator[str]:
    """``It sends Prepare 3.1 to S1 and S2; not to S3: lost, or late``."""
    for text in dict.fromkeys(it.text for it in arrows):
        same = [it for it in arrows if it.text == text]
        told = f"It sends {text} to {listed(lanes[it.receiver] for it in same)}"
        lost = [lanes[it.receiver] for it in same if it.arrived is None]
        if len(lost) == len(same):
            told += ", which is lost, or late" if len(same) == 1 else ", all lost, or late"
        elif lost:
            told += f"; to {listed(lost)} it is lost, or late"
        yield f"{told}."
