"""The size of functions, the arrows between folders, and the words.

- A function has at most LINES lines and PARAMETERS parameters; that of a command or a test, too.
- No folder under ``adapters`` imports another that imports it, directly or over others.
- Code, messages and pages use the words of the field. Those in WORDS are not among them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.repository.test_purity import ADAPTERS, CORE, SHELLS, modules, parsed
from tests.support import PACKAGES

LINES = 50
PARAMETERS = 7

WORDS = {
    "all the same": r"all the same",
    "at work": r"at work",
    "be it": r"be it",
    "ever after": r"ever after",
    "for ever": r"for ever",
    "is no X": r"(?<!there )is no (?!longer|more|less|later|earlier|lower|higher)",
    "lives": r"lives",
    "meanwhile": r"meanwhile",
    "mend": r"mend(s|ed|ing)?",
    "of late": r"of late",
    "spoilt": r"spoil(t|s)",
    "stranger": r"strangers?",
    "under way": r"under way",
    "vouch": r"vouch(es|ed|ing)?",
    "weather": r"weather",
    "whoever": r"whoever",
}

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PROGRAMS = modules(CORE, *SHELLS)
TESTS = sorted((ROOT / "tests").rglob("*.py"))


def place(path: Path) -> str:
    """Where a file is in the repository, from wherever the packages were imported."""
    for above in CORE.parent, ADAPTERS:
        if path.is_relative_to(above):
            inside = path.relative_to(above).as_posix()
            return inside.removeprefix("adapters/")
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every function of a file, with the names of what it is in."""

    def walk(
        node: ast.AST, inside: str
    ) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
        for child in ast.iter_child_nodes(node):
            name = inside
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                name = f"{inside}.{child.name}".lstrip(".")
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{place(path)}::{name}", child
            yield from walk(child, name)

    yield from walk(parsed(path), "")


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    every = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return sum(it.arg not in ("self", "cls") for it in every)


def long_functions() -> list[str]:
    every = (it for path in [*PROGRAMS, *TESTS] for it in functions(path))
    return sorted(name for name, function in every if lines_of(function) > LINES)


def wide_functions() -> list[str]:
    every = (it for path in [*PROGRAMS, *TESTS] for it in functions(path))
    return sorted(name for name, function in every if parameters_of(function) > PARAMETERS)


def test_functions_fit_on_a_screen() -> None:
    assert long_functions() == []


def test_functions_take_few_parameters() -> None:
    assert wide_functions() == []


# --- circles ------------------------------------------------------------------------------------


def folder_of(module: str) -> str | None:
    """The folder under ``adapters`` that a module is in; None for those of others."""
    if module.partition(".")[0] not in PACKAGES:
        return None  # Where the packages are installed, others stand beside them.
    path = ADAPTERS.joinpath(*module.split("."))
    if path.is_dir():
        return place(path) if (path / "__init__.py").exists() else None
    return place(path.parent) if path.with_suffix(".py").exists() else None


def arrows() -> dict[str, set[str]]:
    """For each folder, those that its modules import."""
    found: dict[str, set[str]] = {}
    for path in modules(*SHELLS):
        targets = found.setdefault(place(path.parent), set())
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                inner = [folder_of(f"{node.module}.{it.name}") for it in node.names]
                targets |= {it or folder_of(node.module) or "" for it in inner}
        targets |= {folder_of(name) or "" for name in plain_imports(path)}
        targets -= {"", place(path.parent)}
    return found


def plain_imports(path: Path) -> Iterator[str]:
    """What ``import module`` names."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    """What one comes to from ``start``, which is in it only on a circle."""
    seen: set[str] = set()
    waiting = [*graph[start]]
    while waiting:
        folder = waiting.pop()
        if folder not in seen:
            seen.add(folder)
            waiting += graph.get(folder, ())
    return seen


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The folders that import each other, circle by circle."""
    reach = {folder: reachable(folder, graph) for folder in graph}
    found = {
        tuple(sorted(it for it in reach[folder] if folder in reach[it]))
        for folder in graph
        if folder in reach[folder]
    }
    return [list(it) for it in sorted(found)]


def test_no_folder_imports_what_imports_it() -> None:
    assert circles(arrows()) == []


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "d"}}

    assert circles(graph) == [["b", "c"], ["d"]]
    assert folder_of("paxos_adapters.file.rows") == "paxos_adapters/file"
    assert folder_of("paxos_adapters.host") == "paxos_adapters"
    assert folder_of("paxos.server") is None


# --- words --------------------------------------------------------------------------------------


def where(word: str) -> list[str]:
    """The files in which it occurs."""
    pattern = re.compile(rf"\b{WORDS[word]}\b", re.IGNORECASE)
    return sorted(
        place(path)
        for path in [*PROGRAMS, *PAGES]
        if pattern.search(" ".join(path.read_text(encoding="utf-8").split()))
    )


@pytest.mark.parametrize("word", WORDS)
def test_words_of_the_field(word: str) -> None:
    assert where(word) == []
