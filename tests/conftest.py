"""How the tests run: how many at a time, and how much the quick ones draw."""

from __future__ import annotations

import gc
import os

import pytest
from hypothesis import settings

settings.register_profile("quick", max_examples=30)


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples for ``make test``; ``make check`` and the mutants draw all of them."""
    if config.option.markexpr == "not slow":
        settings.load_profile("quick")


def pytest_collection_finish() -> None:
    """Freeze the thousands of tests: each full collection would walk all of them again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for a timer, a disk or another process."""
    return (os.cpu_count() or 1) + 1
