"""Which core it is: a few characters for each of its modules, that change when its code does.

Comments and docstrings count too: a fingerprint that differs asks for a look, and says no more than
that. What has really changed is what a replay finds.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from importlib import metadata, resources

import paxos


@cache
def fingerprint() -> dict[str, str]:
    """Each module of the core by its name, and what stands for its source; none without sources."""
    return {
        it.name.removesuffix(".py"): blake2b(it.read_bytes(), digest_size=4).hexdigest()
        for it in sorted(resources.files(paxos).iterdir(), key=lambda it: it.name)
        if it.name.endswith(".py")
    }


@cache
def version() -> str:
    """The version of the package; empty if it is not installed."""
    try:
        return metadata.version("sansio-paxos")
    except metadata.PackageNotFoundError:
        return ""


def differing(recorded: Mapping[str, str]) -> tuple[str, ...]:
    """The modules in which the core of a recording differs from this one."""
    mine = fingerprint()
    return tuple(it for it in sorted({*mine, *recorded}) if mine.get(it) != recorded.get(it))
