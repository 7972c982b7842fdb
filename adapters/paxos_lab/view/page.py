"""The page: what happened to each decision of a replay, or to a log, put into a template.

- Words are made here, and the script of the page only shows them.
- A page is bounded in steps and in decisions, and each text in characters.
- A picture is cut into strips, of which a browser draws those in sight.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from importlib.resources import files

from attrs import evolve, frozen

from paxos_adapters.outputs import Kind
from paxos_lab.draw.layout import part
from paxos_lab.draw.strips import strips
from paxos_lab.draw.style import style
from paxos_lab.record import LogReplay, Replay
from paxos_lab.rules import AGREEMENT
from paxos_lab.view.data import data, inside
from paxos_lab.view.run import MAX_STEPS, Run, Shown, log_run, run
from paxos_lab.view.window import WHOLE, Window
from paxos_lab.view.words import fit, words

MARK = '<meta name="generator" content="paxos view">'
PAGE = Kind("a page of paxos view", MARK.encode(), 1_000)
SCRIPTS = "texts.js", "picture.js", "servers.js", "search.js", "next.js", "page.js"
"""The script, in the order in which its parts need each other."""


@frozen
class Page:
    """A page of HTML; ``left_out`` says what it does not show, and is empty if it shows all."""

    html: str
    left_out: str = ""


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
    return page_of(run(replay, title=title, name=name, window=window, max_steps=max_steps))


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
    return page_of(log_run(replay, title=title, slot=slot, window=window, max_steps=max_steps))


def page_of(one: Run, other: Run | None = None) -> Page:
    """The page of a run; of two of them, beside each other, which their titles tell apart."""
    return _page(one) if other is None else _page(_both(one, other), len(one.shown))


def _both(one: Run, other: Run) -> Run:
    both = one, other
    return Run(
        f"{one.title} and {other.title}",
        tuple(dict.fromkeys(it for of in both for it in of.about)),
        tuple(f"{fit(of.title)}: {it}" for of in both for it in of.notes),
        tuple(evolve(it, run=of.title) for of in both for it in of.shown),
        "\n".join(f"{of.title}: {of.left_out}" for of in both if of.left_out),
    )


def _page(of: Run, beside: int | None = None) -> Page:
    """``beside`` is the place of the decision that is beside the first one from the outset."""
    shown = of.shown
    script = "".join(map(_script, SCRIPTS))
    parts = {
        "mark": MARK,
        "title": escape(fit(of.title)),
        "about": escape(" ".join(of.about)),
        "notes": "".join(f"<li>{escape(it)}</li>" for it in of.notes),
        "what": "Decision" if beside is None else "Run",
        "options": _options(shown, 0),
        "beside": _options(shown, beside),
        "summaries": _each(shown, [_ending(it, most=1) for it in shown]),
        "pictures": _each(shown, [_sheet(it) for it in shown]),
        "ends": _each(shown, [_ending(it) for it in shown]),
        "lists": _each(shown, [_list(it) for it in shown]),
        "data": json.dumps([data(it) for it in shown]).replace("<", "\\u003c"),
        "style": _read("page.css") + style(),
        "script": f'"use strict";\n(() => {{\n{script}}})();\n',
    }
    parts["policy"] = _policy(parts["script"])
    html = re.sub(r"\{\{(\w+)\}\}", lambda it: parts[it[1]], _read("page.html"))
    return Page(html, of.left_out)


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


def _options(shown: Sequence[Shown], chosen: int | None) -> str:
    """A choice of decisions."""
    return "".join(
        f'<option value="{at}"{" selected" * (at == chosen)}>{_called(it)}</option>'
        for at, it in enumerate(shown)
    )


def _called(it: Shown) -> str:
    return escape(fit(it.name) or "without a name")


def _each(shown: Sequence[Shown], contents: list[str]) -> str:
    """One part of the page for each decision, of which the script shows one."""
    return "".join(
        f'<div data-decision="{at}">'
        f"{f'<h3>{_called(it)}</h3>' if len(shown) > 1 else ''}{content}</div>"
        for at, (it, content) in enumerate(zip(shown, contents, strict=True))
    )


def _sheet(shown: Shown) -> str:
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


def _ending(shown: Shown, most: int | None = None) -> str:
    """How a decision ended; if two values are chosen, in the colour of an alarm and with a sign."""
    first, *others = shown.end.splitlines()[:most]
    told = escape(fit(first))
    head = f'<p class="broken">✗ {told}</p>' if shown.is_broken else f"<p>{told}</p>"
    return head + "".join(f"<p>{escape(fit(it))}</p>" for it in others)


def _list(shown: Shown) -> str:
    moments = inside(shown.timeline, shown.window)
    items = "".join(
        f'<li value="{it.step}"><a href="#step={it.step}">{escape(said)}</a></li>'
        for it, said in zip(moments, words(shown.timeline, moments), strict=True)
    )
    return f"<ol>{items}</ol>"
