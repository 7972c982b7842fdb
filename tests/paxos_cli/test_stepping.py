"""A lecture in steps: what is on each screen, and what a key does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import click
import pytest
from rich.console import Console

from paxos_cli import app
from paxos_cli.canvas import Canvas
from paxos_cli.lecture import LANE, LOG_LANE, parts_of
from paxos_cli.stepping import HEIGHT, PROMPT, WIDTH, Screen
from paxos_lab.draw import UNICODE, text
from paxos_lab.draw.terminal import rows
from paxos_lab.lecture import LOG_SCENARIOS, SCENARIOS, LogScenario, Scenario
from paxos_lab.lecture.terms import TERMS

CLEAR = "(clear)"
WORDS = re.compile(
    r"\b(?:Prepare|Promise|Accepted|Accept|Nack|Chosen|Heartbeat|CatchUpRequest|CatchUp|commits|"
    r"leads|knows|proposes|asks|no-op|members)\b(?! again)|look\?"
)
EVERY: dict[str, Scenario | LogScenario] = {**SCENARIOS, **LOG_SCENARIOS}


class Shown:
    """A terminal of 80 columns, and a reader with a finger on one key."""

    def __init__(self, name: str, keys: Callable[[int], str] = lambda _: " ") -> None:
        self.screens: list[list[str]] = []
        self.presses = 0
        self._keys = keys
        console = Console(width=WIDTH, force_terminal=True, color_system=None, soft_wrap=True)
        self._drawing = Canvas(console, UNICODE, plain=False)
        self._capture = console.capture()
        with self._capture:
            screen = Screen(self._drawing, key=self._key, clear=self._clear)
            screen.show(parts_of(EVERY[name], EVERY[name].play(), self._drawing))
        self.screens = [it.splitlines() for it in self._capture.get().split(f"{CLEAR}\n") if it]

    def _key(self) -> str:
        self.presses += 1
        return self._keys(self.presses)

    def _clear(self) -> None:
        self._drawing.console.print(CLEAR)


@pytest.mark.parametrize("name", EVERY)
def test_every_screen_fits_on_the_smallest_terminal(name: str) -> None:
    for screen in Shown(name).screens:
        assert len(screen) <= HEIGHT
        assert max(map(len, screen)) <= WIDTH
        assert screen[-1] == PROMPT


@pytest.mark.parametrize("name", EVERY)
def test_every_screen_of_the_picture_repeats_its_heading(name: str) -> None:
    width = LOG_LANE if name in LOG_SCENARIOS else LANE
    heading, *drawn = text(EVERY[name].play().told.delivered, width=width).splitlines()
    seen: list[str] = []
    for screen in Shown(name).screens:
        lines = [line.rstrip() for line in screen]
        shown = [line for line in lines if line in drawn]
        seen += shown
        assert (heading in lines) == bool(shown)
    assert seen == drawn


def test_a_key_shows_the_next_row() -> None:
    told = EVERY["conflicting-choices"].play().told.delivered

    assert Shown("conflicting-choices").presses > len([*rows(told)]) - 1


def test_one_key_shows_the_rest_of_the_screen() -> None:
    shown = Shown("conflicting-choices", lambda _: "s")

    assert shown.screens == Shown("conflicting-choices").screens
    assert shown.presses < 8


def test_q_ends_it() -> None:
    shown = Shown("livelock", lambda _: "q")

    assert (shown.presses, len(shown.screens)) == (1, 1)


def test_the_last_screen_ends_with_what_is_broken() -> None:
    *_, last = Shown("looking-first").screens

    assert last[-3:] == ["✗ Broken rule: agreement", "", PROMPT]


def test_it_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["lecture", "livelock", "--step"]) == 2
    assert "--step waits for keys" in capsys.readouterr().err


def test_it_needs_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["lecture", "--step"]) == 2
    assert "--step takes the NAME of one scenario." in capsys.readouterr().err


class TestTerms:
    """Each word of the pictures is explained where it comes first."""

    def test_each_is_explained_once(self) -> None:
        terms = [term.split()[0] for those in TERMS.values() for term in those]

        assert len(terms) == len(set(terms))
        assert {*TERMS} <= {*EVERY}

    def test_a_message_is_explained_by_the_first_scenario_that_has_it(self) -> None:
        first: dict[str, str] = {}
        for name in EVERY:
            for label in labels(name):
                for word in WORDS.findall(label):
                    first.setdefault(word, name)

        explained = {term.split()[0]: name for name, those in TERMS.items() for term in those}
        assert first == {word: explained[word] for word in first}
        assert {"Prepare", "Accepted", "CatchUp", "no-op", "look?"} <= {*first}


def labels(name: str) -> Iterator[str]:
    return (row.label for row in rows(EVERY[name].play().told.delivered))


class TestColours:
    """Values have the colour of their name; what is broken is white on red."""

    def test_rows_have_the_colour_of_their_value(self) -> None:
        console = Console(width=WIDTH, force_terminal=True, color_system="standard")
        drawing = Canvas(console, UNICODE, plain=False)
        told = EVERY["conflicting-choices"].play().told.delivered

        drawn = [str(it.markup) for it in drawing.lines(lambda: drawing.timeline(told, width=7))]

        red, blue, alarm = "color(1)", "color(12)", "bold color(7) on color(1)"
        for end in (
            f"[{red}]accept?(red)[/{red}]",
            f"[{blue}]accept?(blue)[/{blue}]",
            f"[{alarm}]blue is chosen, too[/{alarm}]",
            "      S1 proposes red",
        ):
            assert [it for it in drawn if it.endswith(end)] != []

    def test_all_go_through_the_pager_of_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        paged: list[tuple[str, bool]] = []

        def page(text: str, *, color: bool) -> None:
            paged.append((text, color))

        monkeypatch.setattr(click, "echo_via_pager", page)
        drawing = Canvas(Console(force_terminal=True, color_system=None), UNICODE, plain=False)

        def draw() -> int:
            drawing.write("a lecture")
            return 7

        assert drawing.paged(draw) == 7
        assert (paged, capsys.readouterr().out) == ([("a lecture\n", True)], "")
