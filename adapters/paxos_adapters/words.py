"""Numbers of things and ids of servers, as a sentence has them."""

from __future__ import annotations

from collections.abc import Collection


def counted(count: int, noun: str) -> str:
    """How many of what ``noun`` names, which takes an s: ``1 name``, ``2,000 names``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def servers(ids: Collection[int]) -> str:
    """These servers: ``server 3``, or ``servers 3, 4``. There is one at least."""
    return f"server{'s' * (len(ids) > 1)} {', '.join(map(str, sorted(ids)))}"
