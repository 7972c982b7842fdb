"""The page of a recording, as text: complete in itself, closed to what values say, and bounded."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TypedDict

import pytest

from paxos import From, Prepare, Propose
from paxos.quorum import majority
from paxos_adapters.codecs import SURROGATE_ESCAPE
from paxos_adapters.memory import Cluster
from paxos_cli import app
from paxos_lab.explain import UnknownDecision, explain, of_replay
from paxos_lab.lecture import SCENARIOS
from paxos_lab.record import Recorder, RecordingError, Replay, replay, single_timeline
from paxos_lab.view import MAX_DECISIONS, Window, around, explain_each_step, page
from tests.support import S1, S2, ballot
from tests.support.recordings import driven

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "</script><b>bold</b>",
    "<!--<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>&lt;{{script}}",
    "\u202etxt.exe\u2066",
    "\udcff\x00\x1b[31m\u2028",
    "]]>",
    "word" * 9_000,
]

SHAPES = {"svg", "g", "line", "path", "rect", "circle", "text", "title"}


class Element(TypedDict):
    """One start tag, and what it carries."""

    tag: str
    attributes: dict[str, str | None]


class Step(TypedDict):
    """A step of a decision, as far as tests look at it."""

    now: int


class Decided(TypedDict):
    """A decision in the data of a page, as far as tests look at it."""

    steps: list[Step]
    texts: list[tuple[int, int, list[str]]]


class Reader(HTMLParser):
    """What a browser would make of a page: its elements, and the text of its data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.data = ""
        self._in_data = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append({"tag": tag, "attributes": dict(attrs)})
        self._in_data = dict(attrs).get("id") == "data"

    def handle_data(self, data: str) -> None:
        if self._in_data:
            self.data += data

    def handle_endtag(self, tag: str) -> None:
        self._in_data &= tag != "script"

    @property
    def tags(self) -> set[str]:
        return {it["tag"] for it in self.elements}

    @property
    def attributes(self) -> set[str]:
        return {name for it in self.elements for name in it["attributes"]}

    @property
    def outside_pictures(self) -> list[str]:
        """All tags but those of pictures, which have more parts if a value is long."""
        return [
            it["tag"]
            for it in self.elements
            if it["tag"] not in SHAPES and it["attributes"].get("class") != "strip"
        ]

    def all(self, name: str) -> list[str]:
        """The values of all attributes of that name."""
        return [value for it in self.elements if (value := it["attributes"].get(name)) is not None]


def recorded(path: Path, *values: str, servers: int = 3) -> Replay:
    """Each of ``values`` is proposed by another server."""
    with Recorder(path, codec=SURROGATE_ESCAPE, runtime="test") as recorder:
        cluster = Cluster[str](servers, observer=recorder)
        for me, value in zip(cluster.servers, values, strict=False):
            cluster.propose(me, value)
        cluster.run()
    return replay(path)


def of_scenario(name: str, path: Path) -> Replay:
    scenario = SCENARIOS[name]
    protocol = scenario.protocol
    with Recorder(
        path, codec=SURROGATE_ESCAPE, runtime="lecture", protocol=protocol.name
    ) as recorder:
        scenario.schedule(scenario.stage(recorder))
    return replay(path, protocols={protocol.name: protocol})


def of_names(path: Path, *names: str) -> Replay:
    """A single server decides each of ``names``."""
    with Recorder(path, codec=SURROGATE_ESCAPE, runtime="test") as recorder:
        recorder.set_time(0)
        for name in names:
            it = driven(S1, majority([S1]), recorder, name=name)
            it.take(Propose(f"value of {name}"))
            it.save()
    return replay(path)


# --- what is in it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "alarms"), [("looking-first", 2), ("already-chosen", 0)], ids=["broken", "kept"]
)
def test_a_broken_agreement_is_an_alarm_in_the_headline_and_at_the_end(
    name: str, alarms: int, tmp_path: Path
) -> None:
    html = page(of_scenario(name, tmp_path / "run"), title="run").html

    assert html.count('<p class="broken">✗ Agreement is broken') == alarms
    assert ("✗ Broken rule: agreement" in html) == (alarms > 0)


def test_the_same_replay_gives_the_same_page(tmp_path: Path) -> None:
    found = recorded(tmp_path / "run", "red", "blue")

    assert page(found, title="run").html == page(replay(tmp_path / "run"), title="run").html


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_step_is_in_words_in_the_picture_and_in_the_data(
    scenario: str, tmp_path: Path
) -> None:
    found = of_scenario(scenario, tmp_path / "run")
    steps = [step.number for step in found.steps]

    read = Reader(page(found, title="run").html)

    assert [int(it) for it in read.all("value") if it.isdigit()][-len(steps) :] == steps
    drawn = {int(it) for it in read.all("data-step")}
    assert drawn
    assert drawn <= set(steps)
    (decision,) = json.loads(read.data)
    assert [it["step"] for it in decision["steps"]] == steps
    assert all(said(decision))
    for step in decision["steps"]:
        assert step["words"].startswith(decision["lanes"][step["lane"]])


def test_a_step_is_told_with_what_it_sends_and_what_is_chosen_by_it(tmp_path: Path) -> None:
    found = of_scenario("not-chosen-unseen", tmp_path / "run")

    (decision,) = json.loads(Reader(page(found, title="run").html).data)
    words = [step["words"] for step in decision["steps"]]

    assert words[6] == (
        "S1 proposes X. It sends Prepare 3.1 to S1, S2, S3, S4 and S5; "
        "to S4 and S5 it is lost, or late."
    )
    (chosen, again) = (step for step in decision["steps"] if step["chosen"])
    assert chosen["words"].endswith("Y is chosen: accepted by S3, S4 and S5, a quorum.")
    assert chosen["look"] == ["4.5", "4.5 Y", "4.5 Y", ""]
    assert "Y is chosen once more: accepted by S1, S2 and S3, a quorum." in again["words"]


def test_broken_agreement_is_told_in_the_step_that_breaks_it(tmp_path: Path) -> None:
    found = of_scenario("conflicting-choices", tmp_path / "run")

    (decision,) = json.loads(Reader(page(found, title="run").html).data)

    first, second, *_ = (step["words"] for step in decision["steps"] if step["chosen"])
    assert "is chosen: accepted by" in first
    assert "is chosen, too: accepted by" in second
    assert second.endswith("Agreement is broken.")
    assert "is broken" not in first


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_can_be_said_unfolds_to_what_is_said_in_the_end(scenario: str, tmp_path: Path) -> None:
    found = of_scenario(scenario, tmp_path / "run")

    said = list(explain_each_step(found))

    assert len(said) == len(found.steps)
    assert said[-1] == explain(of_replay(found)).text
    assert len(set(said)) > 1


@pytest.mark.parametrize("steps", [1, 7, 20, 33])
def test_what_is_said_at_a_step_is_what_a_recording_up_to_there_says(
    steps: int, tmp_path: Path
) -> None:
    """Each line but the header is a step: the first ones alone are a recording, too."""
    said = list(explain_each_step(of_scenario("not-chosen-unseen", tmp_path / "run")))
    lines = (tmp_path / "run").read_bytes().splitlines(keepends=True)
    (tmp_path / "part").write_bytes(b"".join(lines[: 1 + steps]))

    assert said[steps - 1] == explain(of_replay(replay(tmp_path / "part"))).text


def test_a_server_that_comes_back_with_an_empty_disk_has_promised_nothing(tmp_path: Path) -> None:
    """If it still had, 1.1 would be overtaken by its promise of 5.2."""
    quorum = majority([S1, S2])
    with Recorder(tmp_path / "run", codec=SURROGATE_ESCAPE, runtime="test") as recorder:
        for event in From(S2, Prepare(ballot("5.2"))), Propose("red"):
            it = driven(S1, quorum, recorder)
            it.take(event)
            it.save()
    found = replay(tmp_path / "run")

    *_, last = explain_each_step(found)

    assert last == explain(of_replay(found)).text
    assert "5.2" not in last


# --- what it is closed to -----------------------------------------------------------------------


def test_it_asks_nothing_of_the_network(tmp_path: Path) -> None:
    html = page(recorded(tmp_path / "run", "http://example.org/", "blue"), title="run").html
    read = Reader(html)

    (policy,) = (it for it in read.all("content") if "default-src" in it)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert [it for it in read.all("href") + read.all("src") if it[:1] != "#"] == ["data:,"]
    assert re.findall(r"url\((?!#)|@import", html) == []
    markup = html.replace("http://www.w3.org/2000/svg", "")
    assert all(
        it.startswith("http://exam"[: len(it)]) for it in re.findall(r"http[:/a-z]*", markup)
    )


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_values_are_text_and_never_markup(value: str, tmp_path: Path) -> None:
    plain = Reader(page(recorded(tmp_path / "plain", "red"), title="run").html)

    html = page(recorded(tmp_path / "run", value), title=value).html
    read = Reader(html)

    assert read.outside_pictures == plain.outside_pictures
    assert read.tags == plain.tags
    assert read.attributes == plain.attributes
    assert "{{" not in html.replace("{{script}}", "")
    assert all(it.isprintable() or it == "\n" for it in html)
    assert len(html) < 500_000
    assert ("… (36,000 characters)" in html) == (len(value) == 36_000)
    (decision,) = json.loads(read.data)
    assert any("proposes" in step["words"] for step in decision["steps"])


def test_names_and_facts_are_text_and_never_markup(tmp_path: Path) -> None:
    facts = {"<i>": "</p><script>"}
    with Recorder(tmp_path / "run", codec=SURROGATE_ESCAPE, runtime="<u>", facts=facts) as recorder:
        for name in HOSTILE[:4]:
            driven(S1, majority([S1, S2]), recorder, name=name)
    read = Reader(page(replay(tmp_path / "run"), title="run").html)

    assert not read.tags & {"i", "u", "b", "img"}
    assert [it["tag"] for it in read.elements].count("script") == 2
    assert [it["name"] for it in json.loads(read.data)] == HOSTILE[:4]


# --- what is left out ---------------------------------------------------------------------------


def test_a_page_is_bounded_in_steps_and_shows_the_last(tmp_path: Path) -> None:
    found = recorded(tmp_path / "run", "red", "blue")

    part = page(found, title="run", max_steps=10)
    (decision,) = json.loads(Reader(part.html).data)

    assert len(found.steps) == 50
    assert part.left_out == "Left out are of the 50 steps, 40 before step 41."
    assert part.left_out in part.html
    assert [it["step"] for it in decision["steps"]] == list(range(41, 51))
    assert "is chosen under" in part.html
    assert page(found, title="run").left_out == ""


def test_a_window_shows_what_was_held_before_it_and_said_in_it(tmp_path: Path) -> None:
    found = of_scenario("not-chosen-unseen", tmp_path / "run")
    (whole,) = json.loads(Reader(page(found, title="run").html).data)

    part = page(found, title="run", window=Window(20, 31))
    (decision,) = json.loads(Reader(part.html).data)

    assert part.left_out == (
        "Left out are of the 48 steps, 19 before step 20 and 17 after step 31."
    )
    assert [it["step"] for it in decision["steps"]] == list(range(20, 32))
    assert [it["words"] for it in decision["steps"]] == [
        it["words"] for it in whole["steps"][19:31]
    ]
    held: list[object] = [None] * 5
    for it in whole["steps"][:19]:
        held[it["lane"]] = it["look"]
    assert decision["before"] == held
    assert (
        "is chosen under 4.5: accepted by S3, S4 and S5" in part.html
    )  # how it ended is not cut off
    assert said(decision) == said(whole)[19:31]


def said(decision: Decided) -> list[list[str]]:
    """What can be said after each step: each text is a difference to the one before."""
    texts: list[list[str]] = []
    for head, tail, between in decision["texts"]:
        last = texts[-1] if texts else []
        texts.append([*last[:head], *between, *last[len(last) - tail :]])
    return [texts[it["now"]] for it in decision["steps"]]


def test_the_window_around_a_choice_opens_at_it(tmp_path: Path) -> None:
    found = of_scenario("not-chosen-unseen", tmp_path / "run")
    told = single_timeline(found)

    it = around(told)
    (decision,) = json.loads(Reader(page(found, title="run", window=it).html).data)

    assert it.opens == told.decided[0].step
    assert decision["steps"][decision["opens"]]["chosen"]


def test_a_page_opens_at_the_first_step_in_which_something_happens(tmp_path: Path) -> None:
    found = of_scenario("not-chosen-unseen", tmp_path / "run")

    (decision,) = json.loads(Reader(page(found, title="run").html).data)

    assert decision["steps"][decision["opens"]]["words"].startswith("S1 proposes X.")


def test_a_page_is_bounded_in_decisions(tmp_path: Path) -> None:
    names = [f"slot {number}" for number in range(MAX_DECISIONS + 2)]
    found = of_names(tmp_path / "run", *names)

    part = page(found, title="run")
    few = page(found, title="run", max_steps=4)

    assert part.left_out == "Left out are 2 of 52 decisions: name one to see it."
    assert [it["name"] for it in json.loads(Reader(part.html).data)] == names[:MAX_DECISIONS]
    assert [len(it["steps"]) for it in json.loads(Reader(few.html).data)] == [3, 1]
    assert "of the 3 steps of slot 1, 2 before step 6; and 50 of 52" in few.left_out


def test_one_decision_can_be_named(tmp_path: Path) -> None:
    found = of_names(tmp_path / "run", "a", "b")

    (decision,) = json.loads(Reader(page(found, title="run", name="b").html).data)

    assert decision["name"] == "b"
    assert [it["step"] for it in decision["steps"]] == [4, 5, 6]
    with pytest.raises(UnknownDecision, match="nothing about a decision 'c'"):
        page(found, title="run", name="c")


def test_without_a_step_there_is_no_page(tmp_path: Path) -> None:
    recorded(tmp_path / "run", "red")
    header, *_ = (tmp_path / "run").read_bytes().splitlines(keepends=True)
    (tmp_path / "run").write_bytes(header)
    with pytest.raises(RecordingError, match="nothing has happened"):
        page(replay(tmp_path / "run"), title="run")


# --- the command --------------------------------------------------------------------------------


def view(*words: object) -> int:
    return app.run(["view", *map(str, words)])


Captured = pytest.CaptureFixture[str]


def test_the_command_writes_beside_the_recording(tmp_path: Path, capsys: Captured) -> None:
    found = recorded(tmp_path / "run.jsonl", "red")

    assert view(tmp_path / "run.jsonl") == 0

    assert capsys.readouterr().out == f"{tmp_path / 'run.html'}\n"
    assert (tmp_path / "run.html").read_text() == page(found, title="run.jsonl").html
    assert stat.S_IMODE((tmp_path / "run.html").stat().st_mode) == 0o600
    assert view(tmp_path / "run.jsonl") == 0  # in place of its own page
    assert {it.name for it in tmp_path.iterdir()} == {"run.jsonl", "run.html"}


def test_what_is_not_a_page_is_kept(tmp_path: Path, capsys: Captured) -> None:
    recorded(tmp_path / "run", "red")
    (tmp_path / "run.html").write_text("my own")

    assert view(tmp_path / "run") == 1
    assert "run.html is there already, and is not a page of paxos view" in capsys.readouterr().err
    assert (tmp_path / "run.html").read_text() == "my own"


def test_a_recording_is_never_overwritten(tmp_path: Path, capsys: Captured) -> None:
    recorded(tmp_path / "run.html", "red")
    (tmp_path / "other").symlink_to("run.html")
    before = (tmp_path / "run.html").read_bytes()

    assert view(tmp_path / "run.html") == 1
    assert "is not a page of paxos view" in capsys.readouterr().err
    assert view(tmp_path / "run.html", "--out", tmp_path / "other") == 2
    assert "is a link. Name the file itself." in capsys.readouterr().err
    assert view(tmp_path / "run.html", "--out", "/dev/null") == 2
    assert (tmp_path / "run.html").read_bytes() == before


def test_a_decision_and_a_place_can_be_named(tmp_path: Path, capsys: Captured) -> None:
    of_names(tmp_path / "run", "a", "b")

    assert view(tmp_path / "run", "b", "--out", tmp_path / "b.html") == 0
    assert capsys.readouterr().err == ""
    (decision,) = json.loads(Reader((tmp_path / "b.html").read_text()).data)
    assert decision["name"] == "b"


def test_recordings_of_several_servers_become_one_page(tmp_path: Path) -> None:
    quorum = majority([S1, S2])
    for me in S1, S2:
        with Recorder(tmp_path / f"n{me}", codec=SURROGATE_ESCAPE, runtime="node") as recorder:
            recorder.set_time(float(me))
            driven(me, quorum, recorder)

    assert view(tmp_path / "n1", tmp_path / "n2") == 0
    html = (tmp_path / "n1.html").read_text()
    assert "<title>n1, n2 - paxos</title>" in html
    (decision,) = json.loads(Reader(html).data)
    assert [it["words"] for it in decision["steps"]] == ["S1 starts.", "S2 starts."]


def test_a_browser_is_asked_to_open_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    recorded(tmp_path / "run", "red")
    asked: list[str] = []

    def opener(answer: bool) -> Callable[[str], bool]:
        def opens(url: str) -> bool:
            asked.append(url)
            return answer

        return opens

    monkeypatch.setattr("webbrowser.open", opener(True))
    assert view(tmp_path / "run", "--open") == 0
    assert asked == [(tmp_path / "run.html").as_uri()]
    monkeypatch.setattr("webbrowser.open", opener(False))
    assert view(tmp_path / "run", "--open") == 1
    assert "no browser was found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Missing argument"),
        (("nowhere",), "cannot be used"),
        (("junk",), "is not a recording"),
        (("run", "other"), "nothing about a decision 'other'"),
        (("run", "--out", "no/such/page"), "no/such/page cannot be written"),
        (("run", "--out", "."), "is a directory"),
        (("run", "--beside", "nowhere"), "nowhere cannot be used"),
        (("run", "--beside", "junk"), "is not a recording"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: tuple[str, ...],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded(tmp_path / "run", "red")
    (tmp_path / "junk").write_text("junk")

    assert view(*words) != 0

    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
    assert len(printed.err.splitlines()) == 1
    assert not list(tmp_path.glob("*.html"))


def test_the_document_shows_what_the_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    document = (ROOT / "docs" / "viewing.md").read_text()
    (session,) = re.findall(r"^```console\n(.*?)^```$", document, re.M | re.S)
    record, command, shown = (
        re.findall(r"^\$ paxos (.*)$", session, re.M) + session.split("\n")[-2:-1]
    )
    monkeypatch.chdir(tmp_path)

    assert app.run(record.split()) == 0
    capsys.readouterr()
    assert app.run(command.split()) == 0
    assert capsys.readouterr().out == f"{shown}\n"


def test_what_is_left_out_is_told(tmp_path: Path, capsys: Captured) -> None:
    of_names(tmp_path / "run", *map(str, range(MAX_DECISIONS + 1)))

    assert view(tmp_path / "run") == 0
    assert capsys.readouterr().err == "Left out are 1 of 51 decisions: name one to see it.\n"


def test_the_command_shows_a_part(tmp_path: Path, capsys: Captured) -> None:
    of_names(tmp_path / "run", "a", "b")

    assert view(tmp_path / "run", "--from", 2, "--to", 5) == 0
    assert capsys.readouterr().err == (
        "Left out are of the 3 steps of a, 1 before step 2; "
        "and of the 3 steps of b, 1 after step 5.\n"
    )
    decisions = json.loads(Reader((tmp_path / "run.html").read_text()).data)
    assert [[it["step"] for it in decision["steps"]] for decision in decisions] == [[2, 3], [4, 5]]
    assert view(tmp_path / "run", "--around", "b") == 0
    _, second = json.loads(Reader((tmp_path / "run.html").read_text()).data)
    assert second["opens"] == 2  # nothing is chosen: where it ends


def test_two_runs_are_on_one_page_and_have_their_names(tmp_path: Path, capsys: Captured) -> None:
    of_names(tmp_path / "run", "a", "b")
    of_scenario("not-chosen-unseen", tmp_path / "other")

    assert view(tmp_path / "run", "--beside", tmp_path / "other") == 0

    assert capsys.readouterr().err == ""
    html = (tmp_path / "run.html").read_text()
    assert "<title>run and other - paxos</title>" in html
    assert [it["name"] for it in json.loads(Reader(html).data)] == ["run: a", "run: b", "other"]
    assert '<option value="2" selected>other</option>' in html


def test_runs_in_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in tmp_path / "a", tmp_path / "b":
        folder.mkdir()
        recorded(folder / "run", "red")

    assert view(tmp_path / "a" / "run", "--beside", tmp_path / "b" / "run") == 0

    data = json.loads(Reader((tmp_path / "a" / "run.html").read_text()).data)
    assert [it["name"] for it in data] == [f"{tmp_path / it / 'run'}" for it in ("a", "b")]


def test_each_of_two_runs_says_what_of_it_is_left_out(tmp_path: Path, capsys: Captured) -> None:
    of_names(tmp_path / "run", "a")
    of_names(tmp_path / "other", "a")

    assert view(tmp_path / "run", "--beside", tmp_path / "other", "--from", 2) == 0
    assert capsys.readouterr().err == (
        "run: Left out are of the 3 steps of a, 1 before step 2.\n"
        "other: Left out are of the 3 steps of a, 1 before step 2.\n"
    )
    assert view(tmp_path / "run", "--beside", tmp_path / "other", "--beside", tmp_path / "run") == 2
    assert "run is of both runs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", 5, "--to", 4), "--from 5 comes after --to 4"),
        (("--from", 99), "no step is from 99 to the end: there are steps 1 to 6."),
        (("--around", "c"), "says nothing about a decision 'c'"),
        (("--around", "a", "--to", 4), "leave out the others"),
    ],
)
def test_a_part_that_is_not_there_is_told(
    words: tuple[object, ...], told: str, tmp_path: Path, capsys: Captured
) -> None:
    of_names(tmp_path / "run", "a", "b")

    assert view(tmp_path / "run", *words) != 0

    assert told in capsys.readouterr().err
    assert not list(tmp_path.glob("*.html"))
