"""Every error of the library is of one kind, so that a program can catch a kind."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import paxos
from paxos import InvariantError, OperationalError, PaxosError, UsageError
from tests.support import PACKAGES

KINDS = UsageError, OperationalError, InvariantError
FAMILIES = {"StoreError", "MembersError", "WireError", "EndedByProgram"}
"""What has errors of several kinds below it: none of these is raised itself."""


def errors() -> list[type[PaxosError]]:
    """All that any module of the packages defines."""
    for name in ("paxos", *PACKAGES):
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return sorted(set(below(PaxosError)), key=lambda kind: (kind.__module__, kind.__name__))


def below(kind: type[PaxosError]) -> Iterator[type[PaxosError]]:
    for it in kind.__subclasses__():
        if it.__module__.partition(".")[0] in (paxos.__name__, *PACKAGES):
            yield it
        yield from below(it)


@pytest.mark.parametrize("error", errors(), ids=lambda it: f"{it.__module__}.{it.__name__}")
def test_an_error_is_of_exactly_one_kind(error: type[PaxosError]) -> None:
    kinds = [kind for kind in KINDS if issubclass(error, kind)]
    assert len(kinds) == (0 if error.__name__ in FAMILIES else 1)
    assert error.__doc__


def raised_by(public: type) -> set[str]:
    """The names of errors after "raises" in the docstrings of what programs call."""
    kinds = [it for it in public.__mro__ if it.__module__.partition(".")[0] in PACKAGES]
    called = {"__init__", "__enter__", "__aenter__"}
    docstrings = [str(kind.__doc__) for kind in kinds] + [
        str(member.__doc__)
        for kind in kinds
        for name, member in vars(kind).items()
        if name in called or not name.startswith("_")
    ]
    sentences = re.findall(r"[Rr]aises?\b(.*?)(?:\n\s*\n|$)", "\n\n".join(docstrings), re.S)
    known = {it.__name__ for it in errors()}
    return known.intersection(*[re.findall(r"[A-Z]\w+", " ".join(sentences))])


@pytest.mark.parametrize("package", ["node", "client", "file"])
def test_what_a_call_raises_can_be_imported_from_where_the_call_is(package: str) -> None:
    module = importlib.import_module(f"paxos_adapters.{package}")
    public = [it for it in map(vars(module).get, module.__all__) if isinstance(it, type)]
    names = {name for it in public for name in raised_by(it)}

    assert len(names) > 5
    assert {it for it in names if not hasattr(module, it) and not hasattr(paxos, it)} == set()
