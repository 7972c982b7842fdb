"""Which code it is: a few characters for each module of a machine, that change when its code does.

Comments and docstrings count too: a fingerprint that differs asks for a look, and says no more than
that. What has really changed is what a replay finds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import blake2b
from importlib import metadata, resources
from importlib.util import find_spec
from pathlib import Path

import paxos


@cache
def fingerprint(modules: tuple[str, ...] = ()) -> dict[str, str]:
    """What stands for the source of each module of the core, and of ``modules``, by name.

    Without sources there is none.
    """
    core = {
        it.name.removesuffix(".py"): _digest(it.read_bytes())
        for it in sorted(resources.files(paxos).iterdir(), key=lambda it: it.name)
        if it.name.endswith(".py")
    }
    others = (it for name in modules for it in _sources(name))
    return core | {name: _digest(path.read_bytes()) for name, path in others}


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    """The file of a module, or those of a package."""
    spec = find_spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        for folder in spec.submodule_search_locations:
            for path in sorted(Path(folder).glob("*.py")):
                yield f"{name}.{path.stem}", path
    elif spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
        yield name, Path(spec.origin)


def _digest(source: bytes) -> str:
    return blake2b(source, digest_size=4).hexdigest()


@cache
def version() -> str:
    """The version of the package; empty if it is not installed."""
    try:
        return metadata.version("sansio-paxos")
    except metadata.PackageNotFoundError:
        return ""


def differing(recorded: Mapping[str, str], modules: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The modules in which the code of a recording differs from this one."""
    mine = fingerprint(modules)
    return tuple(it for it in sorted({*mine, *recorded}) if mine.get(it) != recorded.get(it))
