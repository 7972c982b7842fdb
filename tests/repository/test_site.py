"""The site that ``make docs`` writes: its links, its sources, and what axe-core finds.

- Every link within the site leads to a page, and to a place in it.
- A link to a file of the repository leads to its source, on a page.
- The lines of a drawing touch, and no page is wider than the window of a phone.
- axe-core finds nothing serious on any page that is written by hand, light or dark.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Generator
from functools import cache
from html import unescape
from importlib.resources import files
from pathlib import Path
from shutil import which
from typing import Literal
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = sorted(
    it.relative_to(ROOT / "docs").with_suffix(".html") for it in ROOT.glob("docs/**/*.md")
)
SERIOUS = """
async () => (await axe.run()).violations
    .filter(it => ["serious", "critical"].includes(it.impact))
    .map(it => it.id + ": " + it.nodes.slice(0, 3).map(node => node.target.join(" ")).join(", "))
"""

APART = """() => [...document.querySelectorAll("pre")]
    .filter(it => /[\u2500-\u257f]/.test(it.textContent))
    .map(it => getComputedStyle(it))
    .filter(it => parseFloat(it.lineHeight) > 1.2 * parseFloat(it.fontSize))
    .map(it => it.lineHeight)
"""
PHONE = 390

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning: every page in its place, and every docstring in order."""
    for package in "sphinx", "myst_parser", "furo":
        pytest.importorskip(package, reason=f"{package} comes with the extra 'docs'")
    folder = tmp_path_factory.mktemp("site")
    options = ["-b", "html", "-q", "-n", "-W", "--keep-going", "-d", str(folder / "doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


@pytest.fixture(scope="module")
def browser() -> Generator[Browser, None, None]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not there: on Debian, apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@cache
def ids(path: Path) -> set[str]:
    """The places of a page that a link can lead to."""
    return set(map(unescape, re.findall(r'\bid="([^"]+)"', path.read_text(encoding="utf-8"))))


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere within the site."""
    found: list[str] = []
    for link in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', page.read_text(encoding="utf-8")):
        target, _, place = unquote(unescape(link)).partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = page.parent.joinpath(target).resolve() if target else page
        if not path.is_file() or (place and path.suffix == ".html" and place not in ids(path)):
            found.append(link)
    return found


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = [site / it for it in PAGES]

    assert {str(it): broken(it) for it in pages if broken(it)} == {}


def test_a_file_of_the_repository_is_shown_and_not_downloaded(site: Path) -> None:
    assert [*site.glob("_downloads/**/*.py")] == []
    acceptor = (site / "sources/paxos/acceptor.py.html").read_text(encoding="utf-8")
    assert '<div class="highlight">' in acceptor
    assert "A duplicate" in acceptor or "receive" in acceptor


def test_the_lines_of_drawings_touch_and_no_page_is_wider_than_a_phone(
    site: Path, browser: Browser
) -> None:
    context = browser.new_context(viewport={"width": PHONE, "height": 844})
    page = context.new_page()
    apart: dict[str, list[str]] = {}
    wide: dict[str, int] = {}
    for path in PAGES:
        page.goto((site / path).as_uri())
        if found := page.evaluate(APART):
            apart[str(path)] = found
        if (width := page.evaluate("document.documentElement.scrollWidth")) > PHONE:
            wide[str(path)] = width
    context.close()

    assert (apart, wide) == ({}, {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    site: Path, browser: Browser, scheme: Literal["light", "dark"]
) -> None:
    name = "axe_playwright_python"
    pytest.importorskip(name, reason="axe-core comes with the extra 'docs'")
    axe = files(name).joinpath("axe.min.js").read_text(encoding="utf-8")
    context = browser.new_context(color_scheme=scheme)
    found: dict[str, list[str]] = {}
    for path in PAGES:
        page = context.new_page()
        page.goto((site / path).as_uri())
        page.evaluate(axe)
        if serious := page.evaluate(SERIOUS):
            found[str(path)] = serious
        page.close()
    context.close()

    assert found == {}
