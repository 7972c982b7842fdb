"""The page: what happened to each decision of a replay, or to a log, put into a template.

- Words are made here, and the script of the page only shows them.
- A page is bounded in steps and in decisions, and each text in characters.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import TypeAlias

from attrs import evolve, frozen

from paxos import ServerId
from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_adapters.outputs import Kind
from paxos_adapters.printable import printable
from paxos_lab.draw.layout import conflicts
from paxos_lab.draw.svg import svg
from paxos_lab.explain import (
    UnknownDecision,
    explain,
    explain_log,
    explain_slot,
    of_log,
    of_replay,
)
from paxos_lab.explain.grammar import listed, named
from paxos_lab.machines.view import Look
from paxos_lab.record import (
    Arrow,
    Header,
    LogReplay,
    MachineReplay,
    RecordingError,
    Replay,
    SingleStep,
    Timeline,
    log_timeline,
    single_timeline,
)
from paxos_lab.view.each_step import explain_each_step, explain_log_each_step

MAX_STEPS = 1_000
MAX_DECISIONS = 50
MAX_TEXT = 500  # characters of one line: a value may be much longer

NOTHING = "nothing has happened in it: there is nothing to see."
MARK = '<meta name="generator" content="paxos view">'
PAGE = Kind("a page of paxos view", MARK.encode(), 1_000)
EPOCH_S = 1e9  # times above are those of a clock, and others those of a schedule

Json: TypeAlias = bool | int | str | list["Json"] | dict[str, "Json"] | None


@frozen
class Page:
    """A page of HTML; ``left_out`` says what it does not show, and is empty if it shows all."""

    html: str
    left_out: str = ""


@frozen
class _Shown:
    """One decision as it is shown: the steps that fit, and how it ended after all of them."""

    timeline: Timeline
    now: tuple[str, ...]
    end: str
    steps: int

    @property
    def called(self) -> str:
        """What a choice of decisions calls it."""
        return fit(self.timeline.name) or "without a name"


def page(
    replay: Replay, *, title: str, name: str | None = None, max_steps: int = MAX_STEPS
) -> Page:
    """The page of the decision ``name``, or of all. ``max_steps`` bounds it, over all decisions.

    Raises UnknownDecision, and RecordingError if nothing was recorded.
    """
    if not replay.names:
        raise RecordingError(NOTHING)
    if name is not None and name not in replay.names:
        raise UnknownDecision(name, replay.names)
    names = replay.names if name is None else (name,)
    shown = tuple(_shown(replay, names, max_steps))
    left_out = _left_out(shown, len(names))
    return _page(title, replay.headers, shown, left_out, _notes(replay, left_out))


def log_page(
    replay: LogReplay, *, title: str, slot: int | None = None, max_steps: int = MAX_STEPS
) -> Page:
    """The page of a log, or of one ``slot`` of it: its first ``max_steps`` steps.

    Raises RecordingError if nothing was recorded.
    """
    if not replay.steps:
        raise RecordingError(NOTHING)
    part = evolve(replay, steps=replay.steps[:max_steps])
    evidence = of_log(replay)
    end = explain_log(evidence) if slot is None else explain_slot(evidence, slot)
    told = log_timeline(part, slot=slot)
    steps = {it.step for it in told.moments}
    each = zip(part.steps, explain_log_each_step(part, slot), strict=True)
    now = tuple(text for step, text in each if step.number in steps)
    shown = (_Shown(told, now, end.text, len(replay.steps)),)
    left_out = ""
    if len(part.steps) < len(replay.steps):
        left_out = (
            f"Left out are, of the {len(replay.steps):,} steps, all after the first "
            f"{len(part.steps):,}."
        )
    return _page(title, replay.headers, shown, left_out, _notes(replay, left_out))


def _page(
    title: str,
    headers: list[Header],
    shown: tuple[_Shown, ...],
    left_out: str,
    notes: Iterable[str],
) -> Page:
    parts = {
        "mark": MARK,
        "title": escape(fit(title)),
        "about": " ".join(dict.fromkeys(escape(fit(it.text)) for it in headers)),
        "notes": "".join(f"<li>{escape(it)}</li>" for it in notes),
        "options": "".join(
            f'<option value="{at}">{escape(it.called)}</option>' for at, it in enumerate(shown)
        ),
        "summaries": _each(shown, [_ending(it, most=1) for it in shown]),
        "pictures": _each(shown, [_sheet(svg(it.timeline)) for it in shown]),
        "ends": _each(shown, [_ending(it) for it in shown]),
        "lists": _each(shown, [_list(it.timeline) for it in shown]),
        "data": json.dumps([_data(it) for it in shown]).replace("<", "\\u003c"),
        "style": _read("page.css"),
        "script": _read("page.js"),
    }
    parts["policy"] = _policy(parts["script"])
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda it: parts[it[1]], _read("page.html")), left_out)


def fit(text: str) -> str:
    """``text`` in one line, with what cannot be seen escaped; what is too long is cut off."""
    seen = printable(text[: MAX_TEXT + 1])
    if len(seen) <= MAX_TEXT:
        return seen
    return f"{seen[:MAX_TEXT]}… ({len(text):,} characters)"


# --- what fits ----------------------------------------------------------------------------------


def _shown(replay: Replay, names: tuple[str, ...], max_steps: int) -> Iterator[_Shown]:
    steps: dict[str, list[SingleStep[str]]] = defaultdict(list)
    for step in replay.steps:
        steps[step.entry.name].append(step)
    room = max_steps
    for name in names[:MAX_DECISIONS]:
        if room > 0:
            whole = evolve(replay, steps=steps[name])
            part = evolve(replay, steps=steps[name][:room])
            room -= len(part.steps)
            end = explain(of_replay(whole, name), name).text
            told, now = single_timeline(part, name), tuple(explain_each_step(part, name))
            yield _Shown(told, now, end, len(whole.steps))


def _left_out(shown: tuple[_Shown, ...], decisions: int) -> str:
    told = [
        f"of the {it.steps:,} steps{f' of {it.called}' if it.timeline.name else ''}, all after the "
        f"first {len(it.timeline.moments):,}"
        for it in shown
        if it.steps > len(it.timeline.moments)
    ]
    if decisions > len(shown):
        told.append(f"{decisions - len(shown):,} of {decisions:,} decisions: name one to see it")
    return f"Left out are {'; and '.join(told)}." if told else ""


def _notes(replay: MachineReplay[S, Q, M, T, R, P], left_out: str) -> Iterator[str]:
    if left_out:
        yield left_out
    if replay.difference is not None:
        yield fit(f"The replay ends where it diverges: {replay.difference.text}.")
    yield from map(fit, replay.remarks)


# --- markup -------------------------------------------------------------------------------------


def _read(name: str) -> str:
    return (files("paxos_lab.view") / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing from anywhere; one script, this one."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _each(shown: tuple[_Shown, ...], contents: list[str]) -> str:
    """One part of the page for each decision, of which the script shows one."""
    return "".join(
        f'<div data-decision="{at}">'
        f"{f'<h3>{escape(it.called)}</h3>' if len(shown) > 1 else ''}{content}</div>"
        for at, (it, content) in enumerate(zip(shown, contents, strict=True))
    )


def _sheet(picture: str) -> str:
    """A picture as large as it wants to be: its width is that of its view box, in pixels."""
    found = re.search(r'viewBox="0 0 ([\d.]+) ', picture)
    return f'<div class="sheet" style="--wide: {found[1] if found else 800}px">{picture}</div>'


def _ending(shown: _Shown, most: int | None = None) -> str:
    """How a decision ended; if two values are chosen, in the colour of an alarm and with a sign."""
    first, *others = shown.end.splitlines()[:most]
    is_broken = bool(conflicts(shown.timeline))
    head = f'<p class="broken">✗ {escape(fit(first))}</p>' if is_broken else _lines([first])
    return head + _lines(others)


def _lines(lines: list[str]) -> str:
    return "".join(f"<p>{escape(fit(it))}</p>" for it in lines)


def _list(timeline: Timeline) -> str:
    items = "".join(
        f'<li value="{it.step}"><a href="#step={it.step}">{escape(words)}</a></li>'
        for it, words in zip(timeline.moments, _words(timeline), strict=True)
    )
    return f"<ol>{items}</ol>"


# --- words --------------------------------------------------------------------------------------


def _data(shown: _Shown) -> Json:
    timeline = shown.timeline
    texts = list(dict.fromkeys(shown.now))
    places = {lane: place for place, lane in enumerate(timeline.lanes)}
    start_s = timeline.moments[0].at_s
    steps: list[Json] = [
        {
            "step": it.step,
            "lane": places[it.lane],
            "words": words,
            "look": _cells(it.look),
            "now": texts.index(now),
            "chosen": it.step in {choice.step for choice in timeline.decided},
            "time": f"{it.at_s - start_s:.3f} s" if start_s > EPOCH_S else "",
        }
        for it, words, now in zip(timeline.moments, _words(timeline), shown.now, strict=True)
    ]
    return {
        "name": timeline.name,
        "lanes": [fit(it) for it in timeline.lanes.values()],
        "steps": steps,
        "texts": [[fit(line) for line in it.splitlines()] for it in texts],
    }


def _cells(look: Look | None) -> Json:
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


def _words(timeline: Timeline) -> Iterator[str]:
    """Each moment in a sentence or two: what happens, what leaves, and what is chosen by that."""
    leaving: dict[int, list[Arrow]] = defaultdict(list)
    for arrow in timeline.arrows:
        if arrow.left is not None and not arrow.is_repeated:
            leaving[arrow.left].append(arrow)
    decided = {it.step: it for it in timeline.decided}
    by_slot: dict[int | None, set[str]] = defaultdict(set)
    for moment in timeline.moments:
        told = [f"{timeline.lanes[moment.lane]} {moment.text}."]
        told.extend(_sent(leaving[moment.step], timeline.lanes))
        if moment.step in decided:
            slot, choice = decided[moment.step].slot, decided[moment.step].choice
            value, values, voters = choice.chosen.value, by_slot[slot], named(choice.voters)
            more = " once more" if value in values else ", too" if values else ""
            what = value if slot is None else f"{slot}: {value}"
            told.append(f"{what} is chosen{more}: accepted by {voters}, a quorum.")
            values.add(value)
            if len(values) > 1:
                told.append("Agreement is broken.")
        yield " ".join(map(fit, told))


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
