"""Who has lost its memory, as far as others can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos_adapters.peers import Presence, Refusal, meet


@pytest.mark.parametrize(
    ("known", "now", "met"),
    [
        (None, Presence("a", "x", 3, 5), Presence("a", "x", 3, 5)),
        # the same life
        (Presence("a", "x", 3, 5), Presence("a", "x", 3, 7), Presence("a", "x", 3, 7)),
        (Presence("a", "x", 3, 5), Presence("a", "x", 3, 5), Presence("a", "x", 3, 5)),
        (Presence("a", "x", 3, 5), Presence("a", "x", 3, 4), Presence("a", "x", 3, 5)),
        # another life
        (Presence("a", "x", 3, 5), Presence("a", "y", 5, 5), Presence("a", "y", 5, 5)),
        (Presence("a", "x", 3, 5), Presence("a", "y", 9, 12), Presence("a", "y", 9, 12)),
        # an older disk, however often it has saved since
        (Presence("a", "x", 3, 5), Presence("a", "y", 4, 4), Refusal.OLDER_DISK),
        (Presence("a", "x", 3, 5), Presence("a", "y", 4, 99), Refusal.OLDER_DISK),
        (Presence("a", "x", 3, 5), Presence("a", "y", 3, 9), Refusal.OLDER_DISK),
        (Presence("a", "x", 3, 5), Presence("a", "y", 0, 0), Refusal.OLDER_DISK),
        # another disk
        (Presence("a", "x", 3, 5), Presence("b", "x", 3, 5), Refusal.OTHER_DISK),
        (Presence("a", "x", 3, 5), Presence("b", "y", 9, 9), Refusal.OTHER_DISK),
    ],
)
def test_meet(known: Presence | None, now: Presence, met: Presence | Refusal) -> None:
    assert meet(known, now) == met


LIVES = st.lists(st.integers(0, 5), min_size=1, max_size=6)
"""How often a server saves in each of its lives."""


def said(saves: list[int], mark: int = 0, disk: str = "first") -> list[Presence]:
    """All that a server says that keeps its disk, and starts with ``mark`` saves on it."""
    words: list[Presence] = []
    for life, often in enumerate(saves):
        name, opened = f"{disk} {life}", mark
        words += [Presence("a", name, opened, opened + more) for more in range(often + 1)]
        mark += often
    return words


@given(LIVES, st.data())
def test_who_keeps_its_disk_is_heard(saves: list[int], data: st.DataObject) -> None:
    """Whichever messages are lost."""
    known: Presence | None = None
    for now in said(saves):
        if data.draw(st.booleans()):
            met = meet(known, now)
            assert isinstance(met, Presence)
            known = met


@given(LIVES, LIVES, st.data())
def test_who_was_rolled_back_is_refused_by_whoever_heard_more(
    before: list[int], after: list[int], data: st.DataObject
) -> None:
    """In the first life after it, whatever it says."""
    known = data.draw(st.sampled_from(said(before)))
    kept = data.draw(st.integers(0, sum(before)))
    first_life = [it for it in said(after, kept, "copy") if it.life == "copy 0"]

    met = {meet(known, now) for now in first_life}
    assert met == ({Refusal.OLDER_DISK} if kept < known.mark else set(first_life))
