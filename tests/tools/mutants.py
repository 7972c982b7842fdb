"""Delete each safety clause in turn and show that a named test notices: ``make mutants``.

Reads mutants.toml. Prints a row for each mutant: the clause that is missing, the test that turned
red, the seconds it took. Exits 1 if a mutant survives, 2 if the catalogue does not fit the code.
Words on the command line keep only the mutants whose clause or module contains one of them; the
word ``short`` keeps those of the core and every tenth of the others, with all texts checked.
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NotRequired, TypedDict

from attrs import frozen

ROOT = Path(__file__).parents[2]
WORKERS = os.cpu_count() or 1
LIMIT_S = 90.0
"""A mutant whose tests take longer has been noticed: a thread or a loop does not end."""


class DoesNotFit(Exception):
    """The catalogue names a text that the code does not have, or has more than once."""


@frozen
class Mutant:
    """One missing clause: the module with each ``(find, into)`` of ``edits`` made once."""

    clause: str
    module: str
    tests: tuple[str, ...]
    edits: tuple[tuple[str, str], ...]

    def source(self) -> str:
        """The text of the module without the clause. Raises DoesNotFit."""
        text = (ROOT / self.module).read_text(encoding="utf-8")
        for find, into in self.edits:
            if text.count(find) != 1:
                raise DoesNotFit(
                    f"{self.clause!r}: {self.module} has this {text.count(find)} times, "
                    f"not once:\n{find}"
                )
            text = text.replace(find, into)
        return text


@frozen
class Outcome:
    """The first test that turned red, or None, and how long it took to find it."""

    killer: str | None
    seconds: float
    output: str


class Entry(TypedDict):
    """One table of mutants.toml: either ``find`` and ``into``, or several such ``edits``."""

    clause: str
    module: str
    find: NotRequired[str]
    into: NotRequired[str]
    edits: NotRequired[list[list[str]]]
    tests: NotRequired[list[str]]


def own_tests(module: Path) -> str:
    """Where the tests of a module are: in the folder of its package, under its name."""
    folder = module.parent.as_posix().removeprefix("adapters/")
    return f"tests/{folder}/test_{module.stem}.py"


def catalogue() -> Iterator[Mutant]:
    """Every mutant of mutants.toml."""
    with (ROOT / "tests/tools/mutants.toml").open("rb") as file:
        entries: list[Entry] = tomllib.load(file)["mutant"]
    for entry in entries:
        edits = entry.get("edits", [[entry.get("find", ""), entry.get("into", "")]])
        own = own_tests(Path(entry["module"]))
        yield Mutant(
            entry["clause"],
            entry["module"],
            tuple(entry.get("tests", [own])),
            tuple((find, into) for find, into in edits),
        )


def run_tests(house: Path, tests: Iterable[str], limit_s: float | None) -> Outcome:
    """Run ``tests`` against the packages in ``house``; stop at the first that turns red."""
    options = ["-x", "-q", "--no-header", "-rf", "--tb=no", "-p", "no:cacheprovider"]
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=house,
            env={**os.environ, "PYTHONPATH": f"{house}:{house / 'adapters'}"},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired as late:
        return Outcome(f"does not end within {late.timeout:.0f} s", late.timeout, "")
    seconds = time.perf_counter() - started
    red = re.search(r"^FAILED (.+?::.+?)(?: - |$)", done.stdout, re.MULTILINE)
    killer = red[1] if red else None
    if (done.returncode == 0) == (killer is not None):
        raise DoesNotFit(f"no test of {(*tests,)} could run:\n{done.stdout}{done.stderr}")
    return Outcome(killer, seconds, done.stdout)


def try_out(mutant: Mutant | None, tests: Iterable[str]) -> Outcome:
    """Run the tests in a copy of the house, with ``mutant`` in it if there is one."""
    with TemporaryDirectory() as folder:
        house = Path(folder)
        for name in ("paxos", "adapters", "tests", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, house / name)
        if mutant is not None:
            (house / mutant.module).write_text(mutant.source(), encoding="utf-8")
        return run_tests(house, tests, None if mutant is None else LIMIT_S)


def main(words: list[str]) -> int:
    """Try all mutants, or those that ``words`` ask for; print the table."""
    mutants = [*catalogue()]
    for mutant in mutants:
        mutant.source()
    if words == ["short"]:
        others = [it for it in mutants if not it.module.startswith("paxos/")]
        mutants = [it for it in mutants if it not in others] + others[::10]
    elif words:
        mutants = [it for it in mutants if any(word in it.clause + it.module for word in words)]
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    sound = try_out(None, tests)
    if sound.killer is not None:
        raise DoesNotFit(f"without any mutant, {sound.killer} fails:\n{sound.output}")
    print(f"without a mutant: all green in {sound.seconds:.1f} s, {len(tests)} files")

    survivors = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        outcomes = pool.map(try_out, mutants, [mutant.tests for mutant in mutants])
        for mutant, outcome in zip(mutants, outcomes, strict=True):
            killer = "SURVIVED" if outcome.killer is None else outcome.killer
            survivors += outcome.killer is None
            where = Path(mutant.module).stem
            print(f"{where:9} {mutant.clause:66} {outcome.seconds:5.1f} s  {killer}", flush=True)
    print(f"{len(mutants) - survivors} mutants killed, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except DoesNotFit as error:
        print(f"mutants: {error}", file=sys.stderr)
        sys.exit(2)
