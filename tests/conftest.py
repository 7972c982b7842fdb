"""What all tests have in common: how much the quick ones draw, and what they leave uncollected."""

from __future__ import annotations

import gc

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
