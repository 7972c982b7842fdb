"""The built wheel, tested as its users get it; ``make wheel`` runs this.

- Build the sdist, and from it the wheel.
- Look into the wheel: the packages, their markers, one dependency, and nothing else.
- Install it into a new environment, and run the quick tests there, with the sources away: each
  module is imported, and each file that is data is read.
- Install it without any extra, and see that the library works and the command says what it needs.
"""
# ruff: noqa: T201 (a script that tells what it does)

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from email.parser import Parser
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = "paxos", "paxos_adapters", "paxos_lab", "paxos_testing", "paxos_cli"
OUTPUT = ROOT / "build" / "wheel"
DOCUMENTS = ("docs", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
NEED_THE_SOURCES = (
    "tests/repository/test_docs.py::test_every_link_to_a_file_leads_to_one",
    "tests/repository/test_scoreboard.py::test_a_line_is_what_the_drivers_say_today",
    "tests/repository/test_scoreboard.py::test_each_mutant_fits_the_code",
)
NEEDED = ("tests", "typings", "examples", "pyproject.toml", *DOCUMENTS)
FOREIGN = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}

DECIDE = """
import paxos, paxos_adapters.memory
cluster = paxos_adapters.memory.Cluster()
cluster.propose(1, "red")
cluster.run()
assert cluster.chosen == {1: "red", 2: "red", 3: "red"}, cluster.chosen
"""


class Failed(Exception):
    """The wheel is not fit for use, and why."""


def main() -> int:
    """Check everything; the exit code."""
    try:
        with TemporaryDirectory(prefix="paxos-wheel-") as scratch:
            wheel = build(Path(scratch))
            look_into(wheel)
            test_away_from_the_sources(wheel, Path(scratch) / "full")
            test_without_extras(wheel, Path(scratch) / "bare")
    except Failed as failure:
        print(f"wheel: {failure}", file=sys.stderr)
        return 1
    say(f"{wheel.name} is good")
    return 0


def build(scratch: Path) -> Path:
    """Build both distributions; the wheel."""
    say(f"building the sdist and the wheel into {OUTPUT.relative_to(ROOT)}")
    shutil.rmtree(OUTPUT, ignore_errors=True)
    run("the build", [sys.executable, "-m", "build", "--outdir", OUTPUT, ROOT], scratch)
    wheels, sdists = list(OUTPUT.glob("*.whl")), list(OUTPUT.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        raise Failed(f"one wheel and one sdist were expected in {OUTPUT}")
    return wheels[0]


def look_into(wheel: Path) -> None:
    """Check the names in the wheel, and what it requires."""
    say("looking into the wheel")
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata_of = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
        metadata = Parser().parsestr(archive.read(f"{metadata_of}/METADATA").decode())
    expect(
        "the top level",
        {name.split("/")[0] for name in names},
        {*PACKAGES, metadata_of},
    )
    for package in PACKAGES:
        if f"{package}/py.typed" not in names:
            raise Failed(f"{package}/py.typed is not in the wheel")
    parts = {part for name in names for part in name.split("/")}
    ours = {"tests", "typings", "benchmarks", "examples"}
    expect("the folders that users must not get", parts & ours, set())
    if "paxos_testing/__init__.py" not in names:
        raise Failed("the kits that users run on their own adapters are not in the wheel")
    requires: list[str] = metadata.get_all("Requires-Dist", [])
    always = {line.split(">")[0].strip() for line in requires if "extra ==" not in line}
    expect("the unconditional dependencies", always, {"attrs"})
    page = metadata.get_payload()
    expect("links of the first page that an index cannot follow", dead_links(f"{page}"), set())


def dead_links(page: str) -> set[str]:
    """The relative links of a Markdown page, which lead nowhere away from the repository."""
    return {it for it in re.findall(r"\]\(([^)]+)\)", page) if not it.startswith("https:")}


def test_away_from_the_sources(wheel: Path, home: Path) -> None:
    """Run the quick tests against the installed wheel."""
    say("installing the wheel with the extra 'test' into a new environment")
    python = environment(home / "venv", f"{wheel}[test]")
    away = home / "away"
    away.mkdir()
    for name in NEEDED:
        copy(ROOT / name, away / name)
    for package in PACKAGES:
        where = run(
            "the import", [python, "-c", f"import {package}; print({package}.__file__)"], away
        )
        if not Path(where.strip()).is_relative_to(home / "venv"):
            raise Failed(f"{package} was imported from {where.strip()} and not from the wheel")
    say("running the quick tests against it, with the sources away")
    left_out = [word for test in NEED_THE_SOURCES for word in ("--deselect", test)]
    pytest: list[str | Path] = [python, "-m", "pytest", "-n", "auto", "-m", "not slow", *left_out]
    run("the tests against the installed wheel", pytest, away, show=True)


def test_without_extras(wheel: Path, home: Path) -> None:
    """Run the library with its one dependency."""
    say("installing the wheel without extras into a new environment")
    python = environment(home / "venv", str(wheel))
    listing = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    installed = set(run("the list of packages", [python, "-c", listing], home).split())
    expect("what came with it", installed - {"pip", "setuptools"}, {"attrs", "sansio-paxos"})
    say("deciding with attrs only")
    run("a decision with attrs only", [python, "-c", DECIDE], home)
    say("asking for the command, which needs the extra 'cli'")
    asked = subprocess.run(
        [python.with_name("paxos")],
        capture_output=True,
        encoding="utf-8",
        env=clean(),
        cwd=home,
        check=False,
    )
    hint = asked.stderr.splitlines()
    if (asked.returncode, asked.stdout, len(hint)) != (1, "", 1) or "sansio-paxos[cli]" not in hint[
        0
    ]:
        print(asked.stdout, asked.stderr, sep="", end="", file=sys.stderr)
        raise Failed("without its extra the command should name it in one line, and did not")


def environment(place: Path, requirement: str) -> Path:
    """Make a virtual environment with ``requirement`` in it; its Python."""
    run("the new environment", [sys.executable, "-m", "venv", place], ROOT)
    python = place / "bin" / "python"
    install = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run(f"the installation of {requirement}", [python, *install, requirement], place)
    return python


def run(what: str, command: Iterable[str | Path], folder: Path, *, show: bool = False) -> str:
    """Run ``command`` in ``folder``; what it printed, unless that was shown."""
    ended = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=clean(),
        stdout=None if show else subprocess.PIPE,
        stderr=None if show else subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if ended.returncode:
        print(ended.stdout or "", end="", file=sys.stderr)
        raise Failed(f"{what} failed with exit code {ended.returncode}")
    return ended.stdout or ""


def clean() -> dict[str, str]:
    """An environment that leads to no other Python."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


def copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, if there is one."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy(source, target)


def expect(what: str, found: set[str], wanted: set[str]) -> None:
    """Compare two sets of names."""
    if found != wanted:
        raise Failed(f"{what} should be {sorted(wanted)}, found: {sorted(found)}")


def say(text: str) -> None:
    """One step."""
    print(f"-- {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
