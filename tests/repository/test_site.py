"""The site that ``make docs`` writes: its links, its sources, and what axe-core finds.

- Every link within the site leads to a page, and to a place in it.
- A link to a file of the repository leads to its source, on a page.
- The lines of a drawing touch, no page is wider than the window of a phone, no diagram is made
  smaller for it, and no word of code is broken where a line ends, nor parted from the comma behind
  it. On paper nothing is cut off.
- Lists of tests are folded.
- axe-core finds nothing serious. Contrast is measured where pages are written by hand, light and
  dark: pages of the reference have the same colours, and thousands of words.
- ``make docs`` names the site that it has written: PAXOS_SITE. Otherwise one is built here.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from html import unescape
from importlib.resources import files
from pathlib import Path
from shutil import which
from typing import Literal
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = sorted(
    it.relative_to(ROOT / "docs").with_suffix(".html") for it in ROOT.glob("docs/**/*.md")
)
BY_HAND = [it for it in PAGES if it.parent.name != "reference" and it.stem != "scoreboard"]
CONTRAST = "color-contrast"
SERIOUS = """
async options => (await axe.run(options)).violations
    .filter(it => ["serious", "critical"].includes(it.impact))
    .map(it => it.id + ": " + it.nodes.slice(0, 3).map(node => node.target.join(" ")).join(", "))
"""
APART = """() => [...document.querySelectorAll("pre")]
    .filter(it => /[\u2500-\u257f]/.test(it.textContent))
    .map(it => getComputedStyle(it))
    .filter(it => parseFloat(it.lineHeight) > 1.2 * parseFloat(it.fontSize))
    .map(it => it.lineHeight)
"""
CUT = """() => [...document.querySelectorAll("article :is(pre, table, dt, p, img), .paxos-figure")]
    .filter(it => it.checkVisibility() && (it.scrollWidth > it.clientWidth + 1
        || it.getBoundingClientRect().right > document.documentElement.clientWidth))
    .map(it => it.textContent.slice(0, 60))
"""
BROKEN = """() => [...document.querySelectorAll("article :is(p, li, td) code .pre")]
    .filter(it => it.textContent.length <= 24 && !it.closest(".paths"))
    .filter(it => it.getClientRects().length > 1
        || it.offsetHeight > 2 * parseFloat(getComputedStyle(it).fontSize))
    .map(it => it.textContent)
"""
APART_FROM_CODE = """() => [...document.querySelectorAll("article code.literal")]
    .filter(it => it.getClientRects().length && /^[,.;:)]/.test(it.nextSibling?.data ?? ""))
    .filter(it => {
        const mark = document.createRange();
        mark.setStart(it.nextSibling, 0);
        mark.setEnd(it.nextSibling, 1);
        const words = [...it.getClientRects()].at(-1);
        return mark.getBoundingClientRect().top >= words.bottom;
    })
    .map(it => it.textContent)
"""
SMALL = """() => [...document.querySelectorAll("article img")]
    .filter(it => it.clientWidth < it.naturalWidth)
    .map(it => it.alt)
"""
PHONE = 390
PAPER = 703  # A4 with margins of 12 mm, in pixels

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning: every page in its place, and every docstring in order."""
    if "PAXOS_SITE" in os.environ:
        return Path(os.environ["PAXOS_SITE"]).resolve()
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


@contextmanager
def opened(
    browser: Browser, path: Path, *, width: int = 1_280, scheme: Literal["light", "dark"] = "light"
) -> Generator[Page, None, None]:
    """The page at ``path``, in a window of its own."""
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.goto(path.as_uri())
    yield page
    context.close()


@cache
def axe() -> str:
    """The script of axe-core."""
    name = "axe_playwright_python"
    pytest.importorskip(name, reason="axe-core comes with the extra 'docs'")
    return files(name).joinpath("axe.min.js").read_text(encoding="utf-8")


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    pages = [site / it for it in PAGES]

    assert {str(it): broken(it) for it in pages if broken(it)} == {}


def test_a_file_of_the_repository_is_shown_and_not_downloaded(site: Path) -> None:
    assert [*site.glob("_downloads/**/*.py")] == []
    acceptor = (site / "sources/paxos/acceptor.py.html").read_text(encoding="utf-8")
    assert '<div class="highlight">' in acceptor
    assert "A duplicate" in acceptor or "receive" in acceptor


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_on_a_phone_lines_of_drawings_touch_and_nothing_is_too_wide_or_broken(
    path: Path, site: Path, browser: Browser
) -> None:
    with opened(browser, site / path, width=PHONE) as page:
        assert page.evaluate(APART) == []
        assert page.evaluate(BROKEN) == []
        assert page.evaluate(APART_FROM_CODE) == []
        assert page.evaluate(SMALL) == []
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE


@pytest.mark.parametrize("name", ["lecture", "safety"])
def test_lists_of_tests_are_folded(name: str, site: Path, browser: Browser) -> None:
    with opened(browser, site / f"{name}.html") as page:
        lists = page.locator("li p:has(code)", has_text=re.compile(r"^\s*tests/"))
        assert lists.count() > 10
        assert [it for it in lists.all() if it.is_visible()] == []


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_on_paper_nothing_is_cut_off(path: Path, site: Path, browser: Browser) -> None:
    with opened(browser, site / path, width=PAPER) as page:
        page.emulate_media(media="print")
        assert page.evaluate(CUT) == []


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_axe_finds_nothing_serious(path: Path, site: Path, browser: Browser) -> None:
    rules = {CONTRAST: {"enabled": path in BY_HAND}}
    with opened(browser, site / path) as page:
        page.evaluate(axe())
        assert page.evaluate(SERIOUS, {"rules": rules}) == []


@pytest.mark.parametrize("path", BY_HAND, ids=str)
def test_in_the_dark_letters_differ_from_their_ground(
    path: Path, site: Path, browser: Browser
) -> None:
    with opened(browser, site / path, scheme="dark") as page:
        page.evaluate(axe())
        assert page.evaluate(SERIOUS, {"runOnly": [CONTRAST]}) == []
