"""Milliseconds from a key or the mouse to the frame that shows it, on a page of a recording.

Run it on a quiet machine: ``python benchmarks/frames.py``. It needs Chromium.

- Inputs are real ones: keys that step, clicks on the slider that jump, the mouse that drags it.
- Chromium itself says how long a key or a click took, to the frame on the screen (the Event Timing
  API). It rounds to 8 ms, and does not report what took less than 16 ms: that counts as 16.
- It reports no movements. Of these, the page takes the time from the movement to the end of its
  work on the next frame.
- ``--steps`` says how long the recording is, and ``--beside`` shows two of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import which
from tempfile import TemporaryDirectory
from typing import TypeAlias

import click
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from paxos_adapters.codecs import TEXT
from paxos_adapters.memory import Cluster
from paxos_lab.record import Recorder, replay
from paxos_lab.view import page_of, run

CHROMIUM = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
LEAST_MS = 16
WATCH = """() => {
  window.taken = [];
  window.counts = { keydown: 0, pointerdown: 0, pointermove: 0 };
  const count = ({ type }) => { counts[type] += 1; };
  for (const name of ["keydown", "pointerdown"]) addEventListener(name, count, true);
  new PerformanceObserver((list) => {
    for (const it of list.getEntries()) if (it.name in counts) taken.push([it.name, it.duration]);
  }).observe({ type: "event", durationThreshold: 16 });
  const framed = (timeStamp) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => taken.push(["pointermove", performance.now() - timeStamp]);
    port2.postMessage(null);
  };
  addEventListener("pointermove", ({ buttons, type, timeStamp }) => {
    if (!buttons) return;
    count({ type });
    requestAnimationFrame(() => framed(timeStamp));
  }, true);
}"""
READ = """() => {
  const found = [taken, counts];
  taken = [];
  counts = { keydown: 0, pointerdown: 0, pointermove: 0 };
  return found;
}"""

Act: TypeAlias = Callable[[Page, int], None]


def recorded(path: Path, steps: int) -> None:
    """Write a recording of five servers, of at least that many steps."""
    with Recorder(path, codec=TEXT, runtime="bench") as recorder:
        cluster = Cluster[str](5, observer=recorder)
        while len(path.read_bytes().splitlines()) < steps + 100:
            for me, value in zip(cluster.servers, ("red", "blue", "green"), strict=False):
                cluster.propose(me, value)
            cluster.run()


def step(page: Page, at: int) -> None:
    """A key: forward for ten steps, then back for ten."""
    page.keyboard.press("ArrowRight" if at // 10 % 2 == 0 else "ArrowLeft")


def jump(page: Page, at: int) -> None:
    """A click anywhere on the slider."""
    left, top, width = slider(page)
    page.mouse.click(left + width * Random(at).uniform(0.02, 0.98), top)


def drag(page: Page, at: int) -> None:
    """The mouse goes on by three pixels, with the button pressed; and back at the end."""
    left, top, width = slider(page)
    if at == 0:
        page.mouse.move(left + width * 0.1, top)
        page.mouse.down()
    page.mouse.move(left + width * 0.1 + abs((at * 3 + 300) % 600 - 300), top)


def slider(page: Page) -> tuple[float, float, float]:
    """Where it begins, how high it is in the window, and how wide."""
    box = page.get_by_role("slider", name="Step").bounding_box()
    assert box is not None
    return box["x"], box["y"] + box["height"] / 2, box["width"]


def measured(page: Page, act: Act, event: str, count: int) -> list[float]:
    """How long each of ``count`` inputs took, sorted, in milliseconds."""
    page.evaluate(READ)
    for at in range(count):
        act(page, at)
    page.mouse.up()
    page.wait_for_timeout(500)
    taken, counts = page.evaluate(READ)
    times = [float(duration) for name, duration in taken if name == event]
    unreported = int(counts[event]) - len(times)
    return sorted([*times, *[LEAST_MS] * unreported])


def percentile(times: list[float], part: float) -> float:
    """The time that a part of the inputs did not exceed."""
    return times[min(len(times) - 1, math.ceil(len(times) * part) - 1)]


@click.command()
@click.option("--steps", default=10_000, show_default=True, help="How long the recording is.")
@click.option("--count", default=300, show_default=True, help="How many inputs of each kind.")
@click.option("--beside", is_flag=True, help="Two runs beside each other.")
def main(steps: int, count: int, beside: bool) -> None:
    """Measure, and print a table."""
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "run.jsonl"
        recorded(path, steps)
        runs = [run(replay(path), title=title) for title in ("one", "other")[: 1 + beside]]
        html = path.with_suffix(".html")
        html.write_text(page_of(*runs).html, encoding="utf-8")
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(viewport={"width": 1_280, "height": 800})
        page.goto(f"{html.as_uri()}#step=5000")
        page.evaluate(WATCH)
        table = Table("input", "inputs", "p50 ms", "p95 ms", "worst ms")
        kinds: list[tuple[str, Act, str]]
        kinds = [
            ("step", step, "keydown"),
            ("jump", jump, "pointerdown"),
            ("drag", drag, "pointermove"),
        ]
        for name, act, event in kinds:
            measured(page, act, event, 20)  # what is compiled and read once
            times = measured(page, act, event, count)
            found = (
                f"{it:.0f}" for it in (percentile(times, 0.5), percentile(times, 0.95), times[-1])
            )
            table.add_row(name, str(len(times)), *found)
        Console().print(table)
        browser.close()


if __name__ == "__main__":
    main()
