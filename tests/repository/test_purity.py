"""The house, read from its walls: what the core may import, and in which direction.

The core is total, deterministic functions on immutable values. It imports attrs and a few pure
modules of the standard library, and its own modules in one order only.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import paxos
import paxos_adapters
from tests.support import PACKAGES

CORE = Path(paxos.__file__).parent
ADAPTERS = Path(paxos_adapters.__file__).parents[1]
SHELLS = [ADAPTERS / package for package in PACKAGES]

PURE = {"__future__", "attrs", "bisect", "collections.abc", "functools", "typing"}
ORDER = [
    "values",
    "ballot",
    "errors",
    "messages",
    "outbound",
    "quorum",
    "acceptor",
    "invariants",
    "learner",
    "reader",
    "proposer",
    "election",
    "server",
    "__init__",
    "log.messages",
    "log.memory",
    "log.invariants",
    "log.acceptor",
    "log.learner",
    "log.leader",
    "log.election",
    "log.events",
    "log.progress",
    "log.reads",
    "log.replica",
    "log.sessions",
    "log.__init__",
]


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a file's tree, at any depth."""
    return tuple(ast.walk(parsed(path)))


def imports(path: Path) -> Iterator[str]:
    """Every module that ``path`` imports, at any depth of its code."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            assert node.module is not None
            if node.module in ("paxos", "paxos.log"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            else:
                yield node.module


def name(path: Path) -> str:
    """The module of the core in ``path``, without ``paxos``."""
    return ".".join(path.relative_to(CORE).with_suffix("").parts)


def modules(*packages: Path) -> list[Path]:
    return sorted(path for package in packages for path in package.rglob("*.py"))


def test_the_order_names_every_module_of_the_core() -> None:
    assert sorted(ORDER) == sorted(map(name, modules(CORE)))


@pytest.mark.parametrize("path", modules(CORE), ids=name)
def test_the_core_imports_nothing_impure(path: Path) -> None:
    foreign = {it for it in imports(path) if not it.startswith("paxos.")}

    assert foreign <= PURE


@pytest.mark.parametrize("path", modules(CORE), ids=name)
def test_arrows_point_down_only(path: Path) -> None:
    above = ORDER[ORDER.index(name(path)) :]

    assert not {f"paxos.{it}" for it in above} & set(imports(path))


@pytest.mark.parametrize("path", modules(CORE), ids=name)
def test_the_core_reaches_for_nothing_that_changes_from_call_to_call(path: Path) -> None:
    calls = {
        node.func.id
        for node in nodes(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    assert not calls & {"open", "print", "input", "hash", "exec", "eval", "__import__"}


@pytest.mark.parametrize("path", modules(*SHELLS), ids=lambda path: path.stem)
def test_only_a_machine_opens_seals(path: Path) -> None:
    """All drivers step through it; but for what takes steps apart."""
    calls = {
        node.func.attr
        for node in nodes(path)
        # That of a lock has no argument; a seal opens with a receipt.
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args
    }

    assert ("release" in calls) == (path.name == "machine.py")


@pytest.mark.parametrize("path", modules(*SHELLS), ids=lambda path: path.stem)
def test_only_the_kits_for_tests_need_what_tests_need(path: Path) -> None:
    top = {name.split(".")[0] for name in imports(path)}
    needs = top & {"pytest", "hypothesis"}

    assert "paxos_testing" in path.relative_to(ADAPTERS).parts or not needs


@pytest.mark.parametrize("path", modules(*SHELLS), ids=lambda path: path.stem)
def test_packages_import_those_below(path: Path) -> None:
    own = PACKAGES.index(path.relative_to(ADAPTERS).parts[0])
    top = {name.split(".")[0] for name in imports(path)}

    assert not top & {*PACKAGES[own + 1 :]}


@pytest.mark.parametrize("path", modules(CORE, *SHELLS), ids=lambda path: path.stem)
def test_every_file_opens_with_its_rules(path: Path) -> None:
    assert ast.get_docstring(parsed(path))


ROOT = CORE.parent
PROGRAMS = [
    path
    for folder in (CORE, *SHELLS, ROOT / "benchmarks", ROOT / "examples", ROOT / "tests")
    for path in modules(folder)
    if folder.name != "tests" or not path.name.startswith("test_")
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_no_text_depends_on_the_locale(path: Path) -> None:
    """Whatever reads or writes text says its encoding: files, pipes, and what a child prints."""
    for call in nodes(path):
        if isinstance(call, ast.Call) and is_text(call):
            said = any(keyword.arg == "encoding" for keyword in call.keywords)
            assert said, f"{path.name}:{call.lineno} names no encoding"


def is_text(call: ast.Call) -> bool:
    """Whether ``call`` opens, reads or writes text."""
    texts = {"text", "universal_newlines"}
    if any(it.arg in texts and isinstance(it.value, ast.Constant) for it in call.keywords):
        return any(it.arg in texts and ast.unparse(it.value) == "True" for it in call.keywords)
    match call.func:
        case ast.Attribute(attr="read_text" | "write_text" | "NamedTemporaryFile" | "fdopen"):
            return not _is_binary(call)
        case ast.Name(id="open" | "TextIOWrapper" | "FileHandler" | "NamedTemporaryFile"):
            return not _is_binary(call)
        case ast.Attribute(attr="open", value=ast.Name(id="path" | "log" | "io")):
            return not _is_binary(call)
        case _:
            return False


def _is_binary(call: ast.Call) -> bool:
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(isinstance(it, ast.Constant) and it.value in ("rb", "wb", "ab") for it in values)
