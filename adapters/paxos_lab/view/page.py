"""The page: what happened to each decision of a replay, or to a log, put into a template.

- Words are made here, and the script of the page only shows them.
- A page is bounded in steps and in decisions, and each text in characters.
- A picture is cut into strips, of which a browser draws those in sight.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from importlib.resources import files
from itertools import islice

from attrs import evolve, frozen

from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_adapters.outputs import Kind
from paxos_lab.draw.layout import conflicts, part
from paxos_lab.draw.strips import strips
from paxos_lab.draw.style import style
from paxos_lab.explain import (
    UnknownDecision,
    explain,
    explain_log,
    explain_slot,
    of_log,
    of_replay,
)
from paxos_lab.machines.log_view import LogView, log_view
from paxos_lab.machines.single_view import SingleView, single_view
from paxos_lab.record import (
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
from paxos_lab.rules import AGREEMENT
from paxos_lab.view.data import data, inside
from paxos_lab.view.each_step import explain_each_step, explain_log_each_step
from paxos_lab.view.following import Following, following
from paxos_lab.view.window import WHOLE, Window, fitting, left_out
from paxos_lab.view.words import fit, words

MAX_STEPS = 10_000
MAX_DECISIONS = 50

NOTHING = "nothing has happened in it: there is nothing to see."
MARK = '<meta name="generator" content="paxos view">'
PAGE = Kind("a page of paxos view", MARK.encode(), 1_000)
SCRIPTS = "texts.js", "picture.js", "servers.js", "search.js", "next.js", "page.js"
"""The script, in the order in which its parts need each other."""


@frozen
class Page:
    """A page of HTML; ``left_out`` says what it does not show, and is empty if it shows all."""

    html: str
    left_out: str = ""


@frozen
class _Shown:
    """One decision as it is shown: ``window`` of it, and how it ended after all of its steps.

    ``now`` is what can be said after each step that is shown, ``left_out`` what is not shown,
    and ``next_`` what could have happened then.
    """

    timeline: Timeline
    window: Window
    now: tuple[str, ...]
    end: str
    left_out: str
    is_broken: bool
    next_: Following

    @property
    def called(self) -> str:
        """What a choice of decisions calls it."""
        return fit(self.timeline.name) or "without a name"


def page(
    replay: Replay,
    *,
    title: str,
    name: str | None = None,
    window: Window = WHOLE,
    max_steps: int = MAX_STEPS,
) -> Page:
    """The page of the decision ``name``, or of all. ``max_steps`` bounds it, over all decisions.

    Of what is too long, it shows the end. Raises UnknownDecision, and RecordingError if nothing
    was recorded, or nothing in ``window``.
    """
    if not replay.names:
        raise RecordingError(NOTHING)
    if name is not None and name not in replay.names:
        raise UnknownDecision(name, replay.names)
    names = replay.names if name is None else (name,)
    shown = tuple(islice(_shown(replay, names, window, max_steps), MAX_DECISIONS))
    if not shown:
        raise RecordingError(_outside(window, len(replay.steps)))
    told = [it.left_out for it in shown if it.left_out]
    if window is WHOLE and len(names) > len(shown):
        told.append(f"{len(names) - len(shown):,} of {len(names):,} decisions: name one to see it")
    return _page(title, replay, shown, _told(told))


def log_page(
    replay: LogReplay,
    *,
    title: str,
    slot: int | None = None,
    window: Window = WHOLE,
    max_steps: int = MAX_STEPS,
) -> Page:
    """The page of a log, or of one ``slot`` of it: the last ``max_steps`` steps of ``window``.

    Raises RecordingError if nothing was recorded, or nothing in ``window``.
    """
    if not replay.steps:
        raise RecordingError(NOTHING)
    evidence = of_log(replay)
    end = explain_log(evidence) if slot is None else explain_slot(evidence, slot)
    told = log_timeline(replay, slot=slot)
    steps = [it.step for it in told.moments]
    window = fitting(steps, window, max_steps)
    here = {it for it in steps if it in window}
    if not here:
        raise RecordingError(_outside(window, len(replay.steps)))
    until = evolve(replay, steps=replay.steps[: window.last])
    said = explain_log_each_step(until, slot, window.first)
    each = zip(until.steps[window.first - 1 :], said, strict=True)
    now = tuple(text for step, text in each if step.number in here)
    view: LogView[str] = log_view()
    next_ = following(replay, view, told.name, here, slot)
    shown = _part(told, window, now, end.text, next_)
    return _page(title, replay, (shown,), _told([shown.left_out] * bool(shown.left_out)))


def _page(
    title: str,
    replay: MachineReplay[S, Q, M, T, R, P],
    shown: tuple[_Shown, ...],
    left_out: str,
) -> Page:
    script = "".join(map(_script, SCRIPTS))
    parts = {
        "mark": MARK,
        "title": escape(fit(title)),
        "about": _about(replay.headers),
        "notes": "".join(f"<li>{escape(it)}</li>" for it in _notes(replay, left_out)),
        "options": "".join(
            f'<option value="{at}">{escape(it.called)}</option>' for at, it in enumerate(shown)
        ),
        "summaries": _each(shown, [_ending(it, most=1) for it in shown]),
        "pictures": _each(shown, [_sheet(it) for it in shown]),
        "ends": _each(shown, [_ending(it) for it in shown]),
        "lists": _each(shown, [_list(it) for it in shown]),
        "data": json.dumps(
            [data(it.timeline, it.window, it.now, it.next_) for it in shown]
        ).replace("<", "\\u003c"),
        "style": _read("page.css") + style(),
        "script": f'"use strict";\n(() => {{\n{script}}})();\n',
    }
    parts["policy"] = _policy(parts["script"])
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda it: parts[it[1]], _read("page.html")), left_out)


# --- what fits ----------------------------------------------------------------------------------


def _shown(
    replay: Replay, names: tuple[str, ...], window: Window, max_steps: int
) -> Iterator[_Shown]:
    steps: dict[str, list[SingleStep[str]]] = defaultdict(list)
    for step in replay.steps:
        steps[step.entry.name].append(step)
    room = max_steps
    for name in names:
        own = [it.number for it in steps[name]]
        fits = fitting(own, window, room)
        here = [it for it in own if it in fits]
        if not here or not room:
            continue
        room -= len(here)
        whole = evolve(replay, steps=steps[name])
        until = evolve(whole, steps=[it for it in whole.steps if it.number <= here[-1]])
        now = tuple(explain_each_step(until, name, here[0]))
        end = explain(of_replay(whole, name), name).text
        view: SingleView[str] = single_view()
        next_ = following(replay, view, name, here)
        yield _part(single_timeline(whole, name), fits, now, end, next_)


def _part(
    told: Timeline, window: Window, now: tuple[str, ...], end: str, next_: Following
) -> _Shown:
    of = f" of {fit(told.name)}" if told.name else ""
    rest = left_out([it.step for it in told.moments], window)
    words = f"of the {len(told.moments):,} steps{of}, {rest}" if rest else ""
    return _Shown(told, window, now, end, words, bool(conflicts(told)), next_)


def _outside(window: Window, steps: int) -> str:
    last = "the end" if window.last is None else f"{window.last:,}"
    return f"no step is from {window.first:,} to {last}: there are steps 1 to {steps:,}."


def _told(parts: list[str]) -> str:
    return f"Left out are {'; and '.join(parts)}." if parts else ""


def _notes(replay: MachineReplay[S, Q, M, T, R, P], left_out: str) -> Iterator[str]:
    if left_out:
        yield left_out
    if replay.difference is not None:
        yield fit(f"The replay ends where it diverges: {replay.difference.text}.")
    yield from map(fit, replay.remarks)


# --- markup -------------------------------------------------------------------------------------


def _read(name: str) -> str:
    return (files("paxos_lab.view") / name).read_text(encoding="utf-8")


def _script(name: str) -> str:
    return (files("paxos_lab.view") / "scripts" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing from anywhere; one script, this one."""
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _about(headers: Iterable[Header]) -> str:
    return " ".join(dict.fromkeys(escape(fit(it.text)) for it in headers))


def _each(shown: tuple[_Shown, ...], contents: list[str]) -> str:
    """One part of the page for each decision, of which the script shows one."""
    return "".join(
        f'<div data-decision="{at}">'
        f"{f'<h3>{escape(it.called)}</h3>' if len(shown) > 1 else ''}{content}</div>"
        for at, (it, content) in enumerate(zip(shown, contents, strict=True))
    )


def _sheet(shown: _Shown) -> str:
    """A picture in strips, and below it, in sight whatever is scrolled, its key."""
    told, window = shown.timeline, shown.window
    sheet = strips(told if window.is_open else part(told, window.first, window.last))
    label = f"Space-time diagram {fit(told.name)}".strip()
    if shown.is_broken:
        label += f". ✗ Broken rule: {AGREEMENT}"
    names = "".join(
        f'<span style="--y: {y:.0f}px">{escape(fit(name))}</span>'
        for name, y in sheet.lanes.items()
    )
    drawn = "".join(
        f'<div class="strip" style="--w: {it.width:.1f}px">{it.svg}</div>' for it in sheet.strips
    )
    verdict = f'<p class="verdict">✗ Broken rule: {AGREEMENT}</p>' if shown.is_broken else ""
    return (
        f'<div class="sheet" style="--wide: {sheet.width:.1f}px; --high: {sheet.height:.1f}px">'
        f'<div class="lanes" aria-hidden="true">{names}</div>'
        f'<div class="strips" role="img" aria-label="{escape(label)}">{drawn}</div></div>'
        f'<p class="key">{escape(sheet.key)}</p>{verdict}'
    )


def _ending(shown: _Shown, most: int | None = None) -> str:
    """How a decision ended; if two values are chosen, in the colour of an alarm and with a sign."""
    first, *others = shown.end.splitlines()[:most]
    told = escape(fit(first))
    head = f'<p class="broken">✗ {told}</p>' if shown.is_broken else f"<p>{told}</p>"
    return head + "".join(f"<p>{escape(fit(it))}</p>" for it in others)


def _list(shown: _Shown) -> str:
    moments = inside(shown.timeline, shown.window)
    items = "".join(
        f'<li value="{it.step}"><a href="#step={it.step}">{escape(said)}</a></li>'
        for it, said in zip(moments, words(shown.timeline, moments), strict=True)
    )
    return f"<ol>{items}</ol>"
