"""Edit the adapters at random and see whether a test notices: ``make edits``.

- The tests run once under coverage, with the test's name as the context of each line. A process
  that a test starts is measured as well: it inherits the name of the test.
- Each edit changes one expression or drops one statement, in a copy of the tree. The tests that
  reached the line run, the quickest first, until one fails: all that fit into some minutes.
- Prints a row for each edit, and the edits that nothing noticed at the end. A person judges
  whether such an edit changes what the program does, or is equivalent.

    python -m tests.tools.random_edits --seed 7 --count 100 [--only node/] [--fresh]

Source: Petrović and Ivanković, "State of Mutation Testing at Google" (2018), on edits of covered
lines only.
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from attrs import frozen
from coverage import CoverageData

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "edits"
MEASURED = "adapters"
MAX_S = 240.0
"""How long the tests of an edit may take, without the edit; the quickest that reach its line."""

LIMIT_S = 120.0
"""An edit whose tests take so much longer has been noticed: something hangs."""

CONFIGURATION = """\
[run]
branch = false
parallel = true
source = {source}
data_file = {data}
dynamic_context = test_function
context = ${{PYTEST_CURRENT_TEST-}}
sigterm = true
"""

COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Div: "*",
    ast.Mod: "*",
}

DROPPED = ast.Raise | ast.Continue | ast.Break | ast.Assert | ast.AugAssign
"""Statements that may be missing."""


@frozen
class Edit:
    """The text from ``start`` to ``end`` of ``module`` becomes ``into``; ``line`` has it."""

    module: str
    line: int
    start: int
    end: int
    into: str

    def apply(self, text: str) -> str:
        """``text`` with the edit."""
        return text[: self.start] + self.into + text[self.end :]

    def shown(self, text: str) -> str:
        """What is replaced by what, on one line."""
        before = " ".join(text[self.start : self.end].split())
        return f"{self.module.removeprefix(MEASURED)}:{self.line}: {before[:60]} -> {self.into}"


# --- what can be edited -------------------------------------------------------------------------


def edits_of(module: str) -> Iterator[Edit]:
    """Every edit of ``module``."""
    text = (ROOT / module).read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        first, last = lines[node.lineno - 1], lines[node.end_lineno - 1]
        before = len(first.encode()[: node.col_offset].decode())
        behind = len(last.encode()[: node.end_col_offset].decode())
        return starts[node.lineno - 1] + before, starts[node.end_lineno - 1] + behind

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.expr | ast.stmt):
            start, end = span(node)
            for into in _replacements(node):
                yield Edit(module, node.lineno, start, end, into)


def _replacements(node: ast.expr | ast.stmt) -> Iterator[str]:
    """What may stand in the place of ``node``."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
        yield f"({left} {COMPARISONS[type(node.ops[0])]} {right})"
    elif isinstance(node, ast.BoolOp):
        other = " or " if isinstance(node.op, ast.And) else " and "
        yield f"({other.join(f'({ast.unparse(it)})' for it in node.values)})"
        yield f"({ast.unparse(node.values[0])})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"bool({ast.unparse(node.operand)})"
    elif isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        left, right = ast.unparse(node.left), ast.unparse(node.right)
        yield f"(({left}) {OPERATORS[type(node.op)]} ({right}))"
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield str(node.value + 1)
    elif isinstance(node, ast.Constant) and type(node.value) is bool:
        yield str(not node.value)
    elif isinstance(node, ast.IfExp):
        yield f"({ast.unparse(node.body)})"
        yield f"({ast.unparse(node.orelse)})"
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "return None"
    elif isinstance(node, DROPPED) or _is_a_call(node):
        yield "pass"


def _is_a_call(node: ast.expr | ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)


def chosen(seed: int, count: int, only: str) -> list[Edit]:
    """``count`` edits, drawn by ``seed``."""
    modules = sorted(str(it.relative_to(ROOT)) for it in (ROOT / MEASURED).rglob("*.py"))
    possible = [edit for module in modules if only in module for edit in edits_of(module)]
    return random.Random(seed).sample(possible, min(count, len(possible)))


# --- which test reaches which line --------------------------------------------------------------


def measure() -> None:
    """Run all tests under coverage, and keep how long each takes."""
    shutil.rmtree(BUILD, ignore_errors=True)
    BUILD.mkdir(parents=True)
    configuration = BUILD / "coveragerc"
    configuration.write_text(
        CONFIGURATION.format(source=ROOT / MEASURED, data=BUILD / "data"), encoding="utf-8"
    )
    pytest = [sys.executable, "-m", "pytest", "-n", "auto", f"--junitxml={BUILD / 'tests.xml'}"]
    environment = {**os.environ, "COVERAGE_PROCESS_START": str(configuration)}
    print("the tests run under coverage, some minutes", flush=True)
    subprocess.run(pytest, cwd=ROOT, env=environment, check=False)
    combine = [sys.executable, "-m", "coverage", "combine", f"--rcfile={configuration}"]
    subprocess.run(combine, cwd=BUILD, check=True)


def durations() -> dict[str, float]:
    """The seconds that each test took, by its name without parameters."""
    took: dict[str, float] = {}
    for case in ElementTree.parse(BUILD / "tests.xml").iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name', '').partition('[')[0]}"
        took[name] = took.get(name, 0.0) + float(case.get("time", 0))
    return took


def test_names(contexts: Sequence[str]) -> set[str]:
    """Tests as ``tests.paxos.test_ballot.test_it``; for those of a kit, the file that runs them."""
    names: set[str] = set()
    for context in contexts:
        for part in context.split("|"):
            started = re.fullmatch(r"(tests/\S+?)\.py::(\S+?)(\[.*)? \(\w+\)", part, re.DOTALL)
            if started:
                names.add(f"{started[1]}.{started[2]}".replace("/", ".").replace("::", "."))
            elif re.match(r"tests\.[\w.]+\.test_", part):
                names.add(part)
            elif kit := re.match(r"paxos_testing\.(store|transport|codec)s\.\w+\.test_", part):
                names.add(f"tests.paxos_testing.test_{kit[1]}_kit")
    return names


def node_id(name: str) -> str:
    """``tests/paxos/test_ballot.py::test_it`` for ``tests.paxos.test_ballot.test_it``."""
    parts = name.split(".")
    module = next(at for at, part in enumerate(parts) if part.startswith("test_"))
    return "::".join(["/".join(parts[: module + 1]) + ".py", *parts[module + 1 :]])


# --- one edit -----------------------------------------------------------------------------------


@frozen
class Outcome:
    """Which test noticed an edit, or why none could; and how many were tried."""

    edit: Edit
    killer: str | None
    tried: int
    seconds: float


def quickest(tests: Iterable[str], took: Mapping[str, float]) -> tuple[list[str], float]:
    """Those of ``tests`` that fit into the time, the quickest first, and how long they take."""
    found: list[str] = []
    total_s = 0.0
    for test in sorted(tests, key=lambda it: took.get(it, 1.0)):
        if total_s + took.get(test, 1.0) <= MAX_S:
            found.append(test)
            total_s += took.get(test, 1.0)
    return found, total_s


def try_edit(edit: Edit, tests: Sequence[str], limit_s: float) -> Outcome:
    """Run ``tests`` in a copy of the tree with ``edit``, until one fails."""
    started = time.perf_counter()
    with TemporaryDirectory() as folder:
        tree = Path(folder)
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
        )
        for name in filter(None, listed.stdout.split("\0")):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
        edited = tree / edit.module
        edited.write_text(edit.apply(edited.read_text(encoding="utf-8")), encoding="utf-8")
        killer = run(tree, tests, limit_s)
    return Outcome(edit, killer, len(tests), time.perf_counter() - started)


def run(tree: Path, tests: Sequence[str], limit_s: float) -> str | None:
    """The first of ``tests`` that fails in ``tree``; whole files, if a name is not found."""
    if not tests:
        return None
    options = ["-x", "-q", "-n0", "--no-header", "-rfE", "--tb=no", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *tests],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": f"{tree}:{tree / 'adapters'}"},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode == pytest.ExitCode.USAGE_ERROR and any("::" in it for it in tests):
        return run(tree, sorted({it.partition("::")[0] for it in tests}), limit_s + MAX_S)
    red = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return None if done.returncode == 0 else (red[1] if red else f"exit {done.returncode}")


def main(words: Sequence[str]) -> int:
    """Try the edits, print the table, and exit 1 if more than 3 in 100 were not noticed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--only", default="", help="only modules with this in their path")
    parser.add_argument(
        "--fresh", action="store_true", help="measure again which test reaches what"
    )
    given = parser.parse_args(words)
    if given.fresh or not (BUILD / "data").exists():
        measure()
    data, took = CoverageData(str(BUILD / "data")), durations()
    data.read()

    def attempt(edit: Edit) -> Outcome:
        reached = data.contexts_by_lineno(str(ROOT / edit.module)).get(edit.line, [])
        tests, total_s = quickest(test_names(reached), took)
        return try_edit(edit, [node_id(it) for it in tests], total_s + LIMIT_S)

    alive: list[str] = []
    outcomes = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for outcome in pool.map(attempt, chosen(given.seed, given.count, given.only)):
            outcomes += 1
            text = (ROOT / outcome.edit.module).read_text(encoding="utf-8")
            row = outcome.edit.shown(text)
            killer = outcome.killer or f"NOT NOTICED by {outcome.tried} tests"
            print(f"{outcome.seconds:5.1f} s  {row}  {killer}", flush=True)
            if outcome.killer is None:
                alive.append(f"{row}  ({outcome.tried} tests)")
    print(f"seed {given.seed}: {outcomes} edits, {len(alive)} not noticed")
    print("\n".join(alive))
    return 1 if len(alive) * 100 > 3 * outcomes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
