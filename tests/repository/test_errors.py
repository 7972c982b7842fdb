"""Every error of the library is of one kind, so that a program can catch a kind."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import paxos
from paxos import InvariantError, OperationalError, PaxosError, UsageError
from tests.support import PACKAGES

KINDS = UsageError, OperationalError, InvariantError
FAMILIES = {"StoreError", "MembersError", "WireError"}
"""All errors of a package, whatever their kind: none of these is raised itself."""


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
