"""The page in a browser: clicked through, by mouse, by keys, and as a screen reader hears it.

Chromium is Debian's; it is driven through its own protocol, and runs without a display.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Protocol, TypedDict
from urllib.parse import quote

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    expect,
    sync_playwright,
)

from paxos_adapters.codecs import TEXT
from paxos_adapters.memory import Cluster
from paxos_lab.record import Recorder, replay
from paxos_lab.view import page, page_of, run
from tests.paxos_lab.test_viewer import HOSTILE, of_names, of_scenario, recorded

CHROMIUM = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="Chromium is not there: on Debian, apt-get install chromium"
    ),
]

PHONE, DESK = (360, 740), (1280, 800)
LOW = (1024, 600)
PANES = "#scroll", "#scroll2"
STEP_MS = 1200


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lecture's example c, of 48 steps: S1 proposes X, S5 proposes Y, and Y is chosen."""
    folder = tmp_path_factory.mktemp("lecture")
    found = of_scenario("not-chosen-unseen", folder / "run")
    return written(folder / "run.html", page(found, title="run").html)


def written(path: Path, html: str) -> Path:
    path.write_text(html, encoding="utf-8")
    return path


@contextmanager
def opened(
    browser: Browser,
    path: Path,
    fragment: str = "",
    size: tuple[int, int] = DESK,
    dark: bool = False,
    scripts: bool = True,
) -> Generator[Page, None, None]:
    """The page at ``path``, which must do nothing but load: no request, no word on the console."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
    )
    asked: list[str] = []
    said: list[str] = []

    def requested(it: Request) -> None:
        asked.append(it.url)

    def logged(it: ConsoleMessage) -> None:
        said.append(it.text)

    def failed(it: Error) -> None:
        said.append(str(it))

    context.on("request", requested)
    context.on("console", logged)
    it = context.new_page()
    it.on("pageerror", failed)
    it.clock.install()
    it.goto(path.as_uri() + fragment)
    yield it
    context.close()
    assert {url.partition("#")[0] for url in asked} == {path.as_uri()}
    assert said == []


def button(it: Page, name: str) -> None:
    it.get_by_role("button", name=name, exact=True).click(force=True)


def at(it: Page, step: int, count: int = 48) -> None:
    """It shows ``step``, and everything says so."""
    expect(it.locator("#place")).to_have_text(f"{step} / {count}")
    expect(it.get_by_role("slider", name="Step")).to_have_value(str(step))
    expect(it.locator("#at")).to_have_text(f"Step {step}")


def row(it: Page, server: str) -> list[str]:
    """What the table says of ``server``."""
    line = it.locator("#servers tr").filter(has=it.locator("th", has_text=server))
    cells = line.locator("td:not(.toggles)")
    return cells.all_inner_texts()


# --- through time -------------------------------------------------------------------------------


def test_it_opens_where_something_happens_and_says_what_became_of_it(
    browser: Browser, lecture: Path
) -> None:
    with opened(browser, lecture) as it:
        at(it, 7)
        expect(it.locator("#words")).to_contain_text("S1 proposes X.")
        expect(it.locator(".summary")).to_have_text(
            "'Y' is chosen under 4.5: accepted by S3, S4 and S5, a quorum."
        )
        expect(it.get_by_role("region", name="What became of it")).to_contain_text(
            "3.1 'X' of S1: accepted by S1"
        )
        it.keyboard.press("End")
        at(it, 48)
        expect(it.locator("#now p").first).to_have_text(it.locator(".summary").inner_text())


def test_the_slider_changes_the_table(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture) as it:
        it.get_by_role("slider", name="Step").fill("20")
        at(it, 20)
        assert row(it, "S5") == ["4.5\nnew", "—", "4.5", "—"]
        words = "S5 receives Prepare 4.5. It sends Promise 4.5"
        expect(it.locator("#words")).to_contain_text(words)
        it.get_by_role("slider", name="Step").fill("32")
        assert row(it, "S5") == ["4.5", "4.5 Y\nnew", "4.5 Y", "—"]
        assert row(it, "S1") == ["3.1", "3.1 X", "3.1 X", "—"]
        expect(it.locator("#now p").first).to_have_text(re.compile("'Y' is chosen under 4.5"))
        it.get_by_role("slider", name="Step").fill("1")
        assert [row(it, "S1"), row(it, "S2")] == [["—", "—", "—", "—"], ["not there"]]


def test_the_mouse_moves_the_slider(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture) as it:
        box = it.get_by_role("slider").bounding_box()
        assert box is not None
        it.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        step = int(it.get_by_role("slider").input_value())
        assert 22 <= step <= 27
        at(it, step)


def test_buttons_go_through_every_step_and_back(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture) as it:
        words = it.locator("#all li").all_text_contents()
        assert len(words) == 48
        button(it, "First step")
        at(it, 1)
        for step in range(1, 49):
            expect(it.locator("#words")).to_have_text(words[step - 1])
            expect(it.locator("#all [aria-current=step]")).to_have_count(1)
            button(it, "Step forward")
        at(it, 48)  # and no further
        expect(it.get_by_role("button", name="Step forward")).to_have_attribute(
            "aria-disabled", "true"
        )
        button(it, "Step back")
        at(it, 47)
        button(it, "First step")
        button(it, "Step back")
        at(it, 1)
        button(it, "Last step")
        at(it, 48)


def test_the_picture_follows(browser: Browser, lecture: Path) -> None:
    """What is ahead is faint; what happens now is in sight, and so are the names of the lanes."""
    with opened(browser, lecture, "#step=1", PHONE) as it:
        for step in (7, 20, 32, 48):
            it.get_by_role("slider").fill(str(step))
            moment = it.locator(f".moment[data-step='{step}']").first
            expect(moment).to_be_in_viewport()
            shown = it.locator("#scroll .moment:not(.ahead)")
            steps = [int(it) for it in shown.evaluate_all("all => all.map(it => it.dataset.step)")]
            assert max(steps) == step
            name = "text" if step == 7 else "span"  # at the left edge it is there anyhow
            expect(it.locator(f"#scroll {name}", has_text="S1").first).to_be_in_viewport()


def test_a_lane_is_not_filled_before_its_server_has_accepted(
    browser: Browser, lecture: Path
) -> None:
    with opened(browser, lecture, "#step=30") as it:
        bands = it.locator("#scroll g:not(.ahead) > .band")
        for step, lanes in [(30, "13"), (31, "134"), (32, "1345")]:
            it.get_by_role("slider").fill(str(step))
            filled = bands.evaluate_all("all => all.map(it => it.closest('.lane').dataset.lane)")
            assert "".join(sorted(set(filled))) == lanes


def test_a_click_on_the_picture_leads_to_its_step(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        it.locator(".moment[data-step='25'] .what").first.click()
        at(it, 25)


def test_it_plays_and_stops_at_the_end(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=46") as it:
        button(it, "Play")
        at(it, 46)
        it.clock.run_for(STEP_MS)
        at(it, 47)
        expect(it.get_by_role("button", name="Pause")).to_be_visible()
        it.clock.run_for(STEP_MS)
        at(it, 48)
        expect(it.get_by_role("button", name="Play")).to_be_visible()
        it.clock.run_for(5 * STEP_MS)
        at(it, 48)
        button(it, "Play")  # once more, from the first
        at(it, 1)
        it.clock.run_for(STEP_MS)
        button(it, "Pause")
        it.clock.run_for(5 * STEP_MS)
        at(it, 2)


def test_whoever_goes_elsewhere_while_it_plays_stops_it(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=10") as it:
        button(it, "Play")
        button(it, "Step back")
        it.clock.run_for(5 * STEP_MS)
        at(it, 9)


# --- the address --------------------------------------------------------------------------------


def test_a_link_leads_to_a_step_and_the_address_follows(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=12") as it:
        at(it, 12)
        button(it, "Step forward")
        it.clock.run_for(1_000)
        assert it.url == lecture.as_uri() + "#step=13"
        it.get_by_text("All steps in words").click()
        it.get_by_role("link", name="S5 proposes Y").click()
        step = int(it.url.rpartition("=")[2])
        at(it, step)
        it.go_back()
        at(it, 13)


@pytest.mark.parametrize("fragment", ["#step=999", "#step=nonsense", "#", "#step=%ZZ&decision=no"])
def test_an_address_that_leads_nowhere_leads_to_where_something_happens(
    fragment: str, browser: Browser, lecture: Path
) -> None:
    with opened(browser, lecture, fragment) as it:
        at(it, 7)


def test_one_of_several_decisions_is_chosen(browser: Browser, tmp_path: Path) -> None:
    found = of_names(tmp_path / "run", "a", "b & <i>c</i>")
    path = written(tmp_path / "run.html", page(found, title="run").html)
    with opened(browser, path) as it:
        expect(it.locator("#at")).to_have_text("Step 2")
        expect(it.locator("svg.paxos-picture:visible")).to_have_count(1)
        it.get_by_label("Decision").select_option("b & <i>c</i>")
        expect(it.locator("#at")).to_have_text("Step 5 (2 of 3)")
        expect(it.locator("#words")).to_contain_text("S1 proposes")
        expect(it.locator(".end p:visible").first).to_contain_text("chosen")
        it.clock.run_for(1_000)
        assert it.url.endswith("#decision=b+%26+%3Ci%3Ec%3C%2Fi%3E&step=5")
        it.goto(path.as_uri() + f"#decision={quote('a')}&step=2")
        expect(it.locator("#place")).to_have_text("2 / 3")
        expect(it.get_by_label("Decision")).to_have_value("0")


# --- search, servers, size ----------------------------------------------------------------------


def test_a_search_leads_from_hit_to_hit(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=1") as it:
        it.keyboard.press("/")
        it.keyboard.type("S3 accept 4.5")
        expect(it.locator("#found")).to_have_text("5")
        words = it.locator("#all .hit").all_text_contents()
        assert len(words) == 5
        assert all("S3" in it and "Accept " in it and "4.5" in it for it in words)
        it.keyboard.press("Enter")
        expect(it.locator("#found")).to_have_text("1 of 5")
        expect(it.locator("#words")).to_have_text(words[0])
        it.keyboard.press("Shift+Enter")
        expect(it.locator("#found")).to_have_text("5 of 5")
        it.get_by_role("searchbox").fill("5.4")
        expect(it.locator("#found")).to_have_text("no step")


def test_whole_words_are_found_and_parts_only_if_there_is_none(
    browser: Browser, tmp_path: Path
) -> None:
    html = page(recorded(tmp_path / "run", "red", "redder"), title="run").html
    with opened(browser, written(tmp_path / "run.html", html)) as it:
        hits = it.locator("#all .hit")
        it.get_by_role("searchbox").fill("red")
        assert not any("redder" in words for words in hits.all_text_contents())
        it.get_by_role("searchbox").fill("redd")
        assert hits.count() > 0


def test_servers_are_hidden_and_stand_out(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        own = it.locator("#scroll .moment[data-step='20']").first
        expect(own).to_be_visible()
        button(it, "Hide S5")
        expect(own).to_be_hidden()
        expect(it.get_by_role("button", name="Hide S5")).to_be_focused()
        expect(it.get_by_role("button", name="Hide S5")).to_have_attribute("aria-pressed", "true")
        button(it, "Hide S5")
        expect(own).to_be_visible()
        button(it, "Highlight S1")
        opacity = "it => getComputedStyle(it.closest('[data-lanes]')).opacity"
        assert float(own.evaluate(opacity)) < 0.5
        assert float(it.locator("#scroll [data-lanes='1'] .moment").first.evaluate(opacity)) == 1


def test_a_picture_zooms_and_fits(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        sheet = it.locator(".sheet")

        def width() -> float:
            box = sheet.bounding_box()
            assert box is not None
            return box["width"]

        fitted = width()
        it.keyboard.press("+")
        assert width() > fitted
        expect(it.locator(".moment[data-step='20']").first).to_be_in_viewport()
        it.keyboard.press("-")
        it.keyboard.press("-")
        assert width() < fitted
        button(it, "Fit")
        assert width() == fitted


@pytest.mark.parametrize("size", [(1280, 800), (1024, 600), (1920, 1080), (390, 844)])
def test_the_server_that_acts_and_what_is_broken_stay_in_sight(
    size: tuple[int, int], browser: Browser, tmp_path: Path
) -> None:
    found = of_scenario("conflicting-choices", tmp_path / "broken")
    path = written(tmp_path / "broken.html", page(found, title="run").html)
    with opened(browser, path, "#step=12", size) as it:
        expect(it.locator(".summary .broken")).to_be_in_viewport()
    nine = page(recorded(tmp_path / "run", "red", "blue", servers=9), title="run").html
    with opened(browser, written(tmp_path / "nine.html", nine), "", size) as it:
        steps = int(it.get_by_role("slider").get_attribute("max") or "0")
        controls = it.locator("#controls").bounding_box()
        assert controls is not None
        for step in range(20, steps + 1, 7):
            it.get_by_role("slider").fill(str(step))
            here = it.locator("#scroll .moment.here").first
            if here.count() and size[0] > 900:
                box = here.bounding_box()
                assert box is not None
                assert box["y"] + box["height"] <= controls["y"]


def test_what_could_have_happened_is_taken_by_clicks_and_left(
    browser: Browser, lecture: Path
) -> None:
    with opened(browser, lecture, "#step=20") as it:
        before = [row(it, server) for server in ("S1", "S2")]
        taken = "S2 receives Accept 3.1 X, from S1. It sends Accepted 3.1 X to S1."
        it.locator("#possible").get_by_role("button", name=taken).click()
        expect(it.locator("#at")).to_have_text("Not recorded: what could happen after step 20")
        expect(it.locator("#words")).to_have_text(taken)
        assert row(it, "S2") == ["3.1", "3.1 X\nnew", "—", "—"]
        expect(it.get_by_role("region", name="What can be said by now")).to_be_hidden()
        button(it, "Back to the recording")
        at(it, 20)
        assert [row(it, server) for server in ("S1", "S2")] == before
        expect(it.get_by_role("button", name="Step forward")).to_be_focused()
        it.locator("#possible button").last.press("Enter")
        it.keyboard.press("ArrowRight")
        at(it, 21)


def test_two_decisions_are_shown_beside_each_other(browser: Browser, tmp_path: Path) -> None:
    found = of_names(tmp_path / "run", "a", "b & <i>c</i>")
    path = written(tmp_path / "run.html", page(found, title="run").html)
    with opened(browser, path, "#decision=a&step=3") as it:
        it.get_by_label("Beside it", exact=True).select_option("b & <i>c</i>")
        expect(it.locator("svg.paxos-picture:visible")).to_have_count(2)
        expect(it.locator("#words2")).to_have_text("Nothing yet.")
        it.get_by_label("Decision").select_option("b & <i>c</i>")
        expect(it.get_by_label("Beside it", exact=True)).to_have_value("0")
        expect(it.locator("#words2")).to_contain_text("S1 has saved")
        it.get_by_label("Beside it", exact=True).select_option("nothing")
        expect(it.locator("#other")).to_be_hidden()


def test_two_runs_are_shown_beside_each_other(browser: Browser, tmp_path: Path) -> None:
    one = run(of_scenario("not-chosen-unseen", tmp_path / "one"), title="one")
    other = run(of_scenario("conflicting-choices", tmp_path / "other"), title="other")
    path = written(tmp_path / "both.html", page_of(one, other).html)
    with opened(browser, path, "#step=9") as it:
        expect(it.locator(".sheet:visible")).to_have_count(2)
        expect(it.locator(".summary")).to_contain_text("'Y' is chosen under 4.5")
        expect(it.locator(".summary .broken")).to_be_in_viewport()
        expect(it.locator("#at")).to_have_text("Step 9")
        beside = it.locator("#all [data-decision='1'] li").nth(8).text_content()
        expect(it.locator("#words2")).to_have_text(beside or "")
        it.keyboard.press("End")
        last = it.locator("#all [data-decision='1'] li").last.text_content()
        expect(it.locator("#words2")).to_have_text(last or "")
        it.get_by_label("Run").select_option("other")
        expect(it.get_by_label("Beside it", exact=True)).to_have_value("0")
        it.clock.run_for(1_000)
        assert "#decision=other&step=" in it.url
        assert it.evaluate("document.documentElement.scrollWidth") == DESK[0]


def test_two_runs_are_as_high_as_a_low_window(browser: Browser, tmp_path: Path) -> None:
    one = run(of_scenario("not-chosen-unseen", tmp_path / "one"), title="one")
    other = run(of_scenario("conflicting-choices", tmp_path / "other"), title="other")
    path = written(tmp_path / "both.html", page_of(one, other).html)
    with opened(browser, path, "#step=20", LOW) as it:
        one_pane, other_pane = (it.locator(pane).bounding_box() for pane in PANES)
        assert one_pane is not None
        assert other_pane is not None
        assert min(one_pane["height"], other_pane["height"]) >= 250
        assert one_pane["x"] + one_pane["width"] < other_pane["x"]
        expect(it.locator(".summary .broken")).to_be_in_viewport(ratio=1)
        expect(it.locator("#words")).to_be_in_viewport(ratio=1)
        expect(it.locator("#scroll .moment.here .box")).to_be_in_viewport(ratio=0.9)
        assert it.evaluate("document.documentElement.scrollWidth") == LOW[0]


def test_labels_are_printed_on_what_they_are_filled_with(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        it.emulate_media(media="print")
        fill = it.locator("#scroll .accepted .what").first.evaluate(
            "it => getComputedStyle(it).fill"
        )
        assert fill == "rgb(255, 255, 255)"


# --- a long run ---------------------------------------------------------------------------------

JUMPS, MOST_CHANGED = 40, 2_000


class Metric(TypedDict):
    """One of the figures that Chromium counts of a page."""

    name: str
    value: float


class Driver(Protocol):
    """A session of Chromium's own protocol, as far as it is asked for figures."""

    def send(self, method: str) -> Mapping[str, Sequence[Metric]]: ...


def layouts(driver: Driver) -> int:
    """How often the page was laid out since this was asked for the first time."""
    driver.send("Performance.enable")
    metrics = driver.send("Performance.getMetrics")["metrics"]
    return next(int(it["value"]) for it in metrics if it["name"] == "LayoutCount")


COUNTED = """jumps => {
  const slider = document.getElementById("slider");
  const seen = new MutationObserver(() => {});
  const whole = { subtree: true, childList: true, attributes: true, characterData: true };
  seen.observe(document.documentElement, whole);
  const size = (node) => 1 + (node.querySelectorAll?.("*").length ?? 0);
  const sum = (all, of) => [...all].reduce((total, it) => total + of(it), 0);
  return Array.from({ length: jumps }, (_, at) => {
    slider.value = String(1 + ((at * 7919) % Number(slider.max)));
    slider.dispatchEvent(new Event("input"));
    return sum(seen.takeRecords(), (it) => Math.max(1, sum(it.addedNodes, size)));
  });
}"""


@pytest.mark.parametrize("steps", [400, 4_000])
def test_a_jump_changes_as_much_and_lays_out_as_often_in_a_long_run_as_in_a_short_one(
    steps: int, browser: Browser, tmp_path: Path
) -> None:
    """Counts, for a clock would measure the machine: nodes that are changed, and layouts."""
    path = tmp_path / "run"
    with Recorder(path, codec=TEXT, runtime="test") as recorder:
        cluster = Cluster[str](5, observer=recorder)
        while len(path.read_bytes().splitlines()) < steps:
            for me, value in zip(cluster.servers, ("red", "blue", "green"), strict=False):
                cluster.propose(me, value)
            cluster.run()
    long = written(tmp_path / "run.html", page(replay(path), title="run").html)
    with opened(browser, long) as it:
        driver = it.context.new_cdp_session(it)
        before = layouts(driver)
        changed: list[int] = it.evaluate(COUNTED, JUMPS)

        assert max(changed) <= MOST_CHANGED
        assert layouts(driver) - before <= JUMPS + 5


# --- keys and ears ------------------------------------------------------------------------------


def test_keys_lead_through_time(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        for key, step in [
            ("ArrowRight", 21),
            ("ArrowRight", 22),
            ("ArrowLeft", 21),
            ("Home", 1),
            ("ArrowLeft", 1),
            ("End", 48),
            ("ArrowRight", 48),
            ("Home", 1),
        ]:
            it.keyboard.press(key)
            at(it, step)
        it.keyboard.press("Space")
        it.clock.run_for(2 * STEP_MS)
        at(it, 3)
        it.keyboard.press("Space")
        it.clock.run_for(2 * STEP_MS)
        at(it, 3)


def test_keys_do_on_a_control_what_they_do_there(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        it.get_by_role("slider").focus()
        it.keyboard.press("ArrowRight")
        at(it, 21)  # and not two steps, by the slider and by the page
        it.get_by_role("button", name="Step back").focus()
        it.keyboard.press("Space")
        at(it, 20)
        expect(it.get_by_role("button", name="Play")).to_be_visible()
        it.keyboard.press("Control+Home")
        at(it, 20)


def test_help_opens_closes_and_turns_the_keys_off(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        dialog = it.get_by_role("dialog", name="Keys")
        expect(dialog).to_be_hidden()
        it.keyboard.press("?")
        expect(dialog).to_be_visible()
        it.keyboard.press("ArrowRight")
        at(it, 20)
        it.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        button(it, "Keys")
        dialog.get_by_role("checkbox").uncheck()
        button(it, "Close")
        expect(it.get_by_role("button", name="Keys")).to_be_focused()
        it.keyboard.press("End")
        it.keyboard.press("?")
        at(it, 20)
        expect(dialog).to_be_hidden()


def test_the_tab_key_goes_from_top_to_bottom(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        names: list[str] = []
        for _ in range(24):
            it.keyboard.press("Tab")
            names.append(
                it.evaluate(
                    "document.activeElement.ariaLabel || document.activeElement.id"
                    " || document.activeElement.localName"
                )
            )
        assert names == [
            *("First step", "Step back", "Play", "Step forward", "Last step"),
            *("slider", "Keys", "Search steps", "Step found before", "Step found next"),
            *("Smaller", "Larger", "fitted", "scroll"),
            *(f"{does} S{me}" for me in range(1, 6) for does in ("Highlight", "Hide")),
        ]


def test_a_screen_reader_is_told_all_of_it(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        expect(it.locator("body")).to_match_aria_snapshot("""
            - banner:
              - heading "run" [level=1]
              - paragraph: /Recorded by lecture/
            - main:
              - paragraph: /'Y' is chosen/
              - group "Time":
                - button "First step"
                - button "Step back"
                - button "Play"
                - button "Step forward"
                - button "Last step"
                - text: Step
                - slider "Step": "20"
                - status: 20 / 48
                - button "Keys": "?"
              - region "Step 20":
                - heading "Step 20" [level=2]
                - paragraph: S5 receives Prepare 4.5. It sends Promise 4.5, nothing accepted to S5.
              - region "What happens":
                - heading "What happens" [level=2]
                - search:
                  - searchbox "Search steps"
                  - button "Step found before"
                  - button "Step found next"
                - group "Size of the picture":
                  - button "Smaller"
                  - button "Larger"
                  - button "Fit"
                - region "What happens":
                  - img "Space-time diagram"
              - region "Who holds what":
                - table "Who holds what":
                  - rowgroup:
                    - row "Server Promised Accepted Asks for Knows In the picture"
                  - rowgroup:
                    - row "S1 3.1 3.1 X 3.1 X — Highlight S1 Hide S1"
                    - row "S2 3.1 — — — Highlight S2 Hide S2"
                    - row "S3 4.5 — — — Highlight S3 Hide S3"
                    - row "S4 4.5 — — — Highlight S4 Hide S4"
                    - row "S5 (its step) 4.5 new — 4.5 — Highlight S5 Hide S5":
                      - rowheader "S5 (its step)"
              - region "What can be said by now"
              - region "What became of it"
              - group: All steps in words
        """)
        expect(it.locator("#words")).to_have_attribute("aria-live", "polite")
        expect(it.get_by_role("slider")).to_have_attribute("aria-valuetext", "20 of 48")


# --- how it looks -------------------------------------------------------------------------------

CONTRASTS = """() => {
  const linear = (it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((it) => linear(it / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
  const ground = (it) => {
    for (; it; it = it.parentElement) {
      const found = numbers(getComputedStyle(it).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const it of document.querySelectorAll("body *:not(svg *, script, [aria-disabled=true])")) {
    const isText = [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!isText || !it.checkVisibility()) continue;
    const ink = numbers(getComputedStyle(it).color).slice(0, 3);
    const [one, other] = [ink, ground(it)].map(light);
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) poor.push(`${it.textContent}: ${ratio}`);
  }
  return poor;
}"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("values", [("red", "blue"), HOSTILE[:2], (HOSTILE[-1], "שלום\u0301")])
def test_nothing_sticks_out_and_everything_can_be_read(
    values: tuple[str, ...], size: tuple[int, int], dark: bool, browser: Browser, tmp_path: Path
) -> None:
    html = page(recorded(tmp_path / "run", *values, servers=5), title=values[0]).html
    path = written(tmp_path / "run.html", html)
    with opened(browser, path, "", size, dark) as it:
        it.get_by_text("All steps in words").click()
        for step in ("1", "12", "30"):
            it.get_by_role("slider").fill(step)
            assert it.evaluate("document.documentElement.scrollWidth") == size[0]
            assert it.evaluate(CONTRASTS) == []
        for name in ("First step", "Keys"):
            box = it.get_by_role("button", name=name).bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]
            assert min(box["width"], box["height"]) >= 44
        background = it.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert (background == "rgb(17, 20, 26)") == dark


@pytest.mark.parametrize("value", HOSTILE[:4], ids=range(4))
def test_a_value_does_nothing(value: str, browser: Browser, tmp_path: Path) -> None:
    html = page(recorded(tmp_path / "run", value), title=value).html
    with opened(browser, written(tmp_path / "run.html", html)) as it:
        assert it.locator("script").count() == 2
        assert it.locator("b, img, [onload], [onerror]").count() == 0
        expect(it.locator(".summary")).to_contain_text(value)
        expect(it.get_by_role("heading", level=1)).to_have_text(value)
        button(it, "First step")


def test_what_is_smuggled_in_is_not_run(browser: Browser, lecture: Path, tmp_path: Path) -> None:
    """The policy is another lock, should one ever fail: here the page is altered on purpose."""
    smuggled = "<script>document.title = 'run'</script><img src=x onerror=\"document.title='run'\">"
    html = lecture.read_text(encoding="utf-8").replace("</main>", f"{smuggled}</main>")
    context = browser.new_context()
    it = context.new_page()
    it.goto(written(tmp_path / "run.html", html).as_uri())
    at(it, 7)
    assert it.title() == "run - paxos"
    context.close()


def test_without_scripts_all_is_shown_at_once(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, scripts=False) as it:
        expect(it.get_by_role("img", name="Space-time diagram")).to_be_visible()
        expect(it.get_by_text("this page shows the whole run at once")).to_be_visible()
        expect(it.get_by_role("region", name="What became of it")).to_be_visible()
        expect(it.get_by_role("slider")).to_be_hidden()


def test_on_paper_there_are_no_controls_and_all_steps(browser: Browser, lecture: Path) -> None:
    with opened(browser, lecture, "#step=20") as it:
        it.emulate_media(media="print")
        it.evaluate("dispatchEvent(new Event('beforeprint'))")
        expect(it.get_by_role("slider")).to_be_hidden()
        expect(it.get_by_role("link", name="S5 proposes Y")).to_be_visible()
        overflow = it.locator("#scroll").evaluate("it => it.scrollWidth - it.clientWidth")
        assert overflow <= 0
