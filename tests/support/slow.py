"""Parameters of a test of which some are quick, and the others are left to ``make check``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

T = TypeVar("T")


def slow_but_for(quick: Callable[[T], bool], every: Iterable[T]) -> list[object]:
    """All of them, with those marked slow for which ``quick`` does not hold."""
    return [it if quick(it) else pytest.param(it, marks=pytest.mark.slow) for it in every]
