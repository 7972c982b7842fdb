"""A run: what a page shows of one recording, and what it leaves out.

- It is bounded in steps and in decisions. Of what is too long, it is the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from attrs import evolve, frozen

from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_lab.draw.layout import conflicts
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
from paxos_lab.view.following import Following, following
from paxos_lab.view.window import WHOLE, Window, fitting, left_out
from paxos_lab.view.words import fit

MAX_STEPS = 10_000
MAX_DECISIONS = 50

NOTHING = "nothing has happened in it: there is nothing to see."


@frozen
class Shown:
    """One decision as it is shown: ``window`` of it, and how it ended after all of its steps.

    ``now`` is what can be said after each step that is shown, ``left_out`` what is not shown,
    and ``next_`` what could have happened then. ``run`` tells runs apart, if there are two.
    """

    timeline: Timeline
    window: Window
    now: tuple[str, ...]
    end: str
    left_out: str
    is_broken: bool
    next_: Following
    run: str = ""

    @property
    def name(self) -> str:
        """What tells it apart on a page: an address leads to it by that."""
        return ": ".join(filter(None, (self.run, self.timeline.name)))


@frozen
class Run:
    """What a page shows of one recording. ``about`` and ``notes`` are lines of text."""

    title: str
    about: tuple[str, ...]
    notes: tuple[str, ...]
    shown: tuple[Shown, ...]
    left_out: str


def run(
    replay: Replay,
    *,
    title: str,
    name: str | None = None,
    window: Window = WHOLE,
    max_steps: int = MAX_STEPS,
) -> Run:
    """The decision ``name``, or all. ``max_steps`` bounds it, over all decisions.

    Raises UnknownDecision, and RecordingError if nothing was recorded, or nothing in ``window``.
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
    return _run(title, replay, shown, _told(told))


def log_run(
    replay: LogReplay,
    *,
    title: str,
    slot: int | None = None,
    window: Window = WHOLE,
    max_steps: int = MAX_STEPS,
) -> Run:
    """A log, or one ``slot`` of it: the last ``max_steps`` steps of ``window``.

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
    return _run(title, replay, (shown,), _told([shown.left_out] * bool(shown.left_out)))


def _run(
    title: str,
    replay: MachineReplay[S, Q, M, T, R, P],
    shown: tuple[Shown, ...],
    left_out: str,
) -> Run:
    about = dict.fromkeys(fit(it.text) for it in replay.headers)
    return Run(title, tuple(about), tuple(_notes(replay, left_out)), shown, left_out)


def _shown(
    replay: Replay, names: tuple[str, ...], window: Window, max_steps: int
) -> Iterator[Shown]:
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
) -> Shown:
    of = f" of {fit(told.name)}" if told.name else ""
    rest = left_out([it.step for it in told.moments], window)
    words = f"of the {len(told.moments):,} steps{of}, {rest}" if rest else ""
    return Shown(told, window, now, end, words, bool(conflicts(told)), next_)


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
