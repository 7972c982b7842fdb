"""A server that lost its memory is not received, as far as others can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos_adapters.disk_status import DiskStatus, Known, NotDescended, check_descent


@pytest.mark.parametrize(
    ("known", "said", "met"),
    [
        # nothing is known
        (None, DiskStatus("x", 5, "w", 3), Known("x", 5)),
        (None, DiskStatus("x", 0), Known("x", 0)),
        # the same session
        (Known("x", 5), DiskStatus("x", 7, "w", 3), Known("x", 7)),
        (Known("x", 5), DiskStatus("x", 5, "w", 3), Known("x", 5)),
        (Known("x", 5), DiskStatus("x", 4, "w", 3), Known("x", 5)),
        # a later session, which ended the known one at that count or above it
        (Known("x", 5), DiskStatus("y", 6, "x", 5), Known("y", 6)),
        (Known("x", 5), DiskStatus("z", 99, "x", 40), Known("z", 99)),
        # a copy from before that count, however often it was saved since
        (Known("x", 5), DiskStatus("y", 5, "x", 4), NotDescended(Known("x", 5))),
        (Known("x", 5), DiskStatus("y", 99, "x", 4), NotDescended(Known("x", 5))),
        # another session is named, or none
        (Known("x", 5), DiskStatus("y", 99, "w", 98), NotDescended(Known("x", 5))),
        (Known("x", 5), DiskStatus("y", 99), NotDescended(Known("x", 5))),
        (Known("x", 0), DiskStatus("y", 99), NotDescended(Known("x", 0))),
    ],
)
def test_meet(known: Known | None, said: DiskStatus, met: Known | NotDescended) -> None:
    assert check_descent(known, said) == met


SAVES = st.lists(st.integers(0, 5), min_size=1, max_size=6)
"""How often a server saves in each of its sessions, after the one of its opening."""


def chain(saves: list[int], before: list[Known], name: str) -> list[Known]:
    """The end of each session of a disk that goes on from ``before``."""
    ends = [*before]
    for number, often in enumerate(saves):
        count = (ends[-1].saves if ends else 0) + 1 + often
        ends.append(Known(f"{name} {number}", count))
    return ends


def told(ends: list[Known], saves: list[int]) -> list[tuple[int, DiskStatus]]:
    """All that a disk says, with each entry of its chain, and the place of the session in it."""
    first = len(ends) - len(saves)
    return [
        (place, DiskStatus(end.session, count, entry.session, entry.saves))
        for place, end in enumerate(ends)
        if place >= first
        for count in range(end.saves - saves[place - first], end.saves + 1)
        for entry in ends[:place] or [Known("", 0)]
    ]


@given(SAVES, st.data())
def test_a_disk_that_is_as_it_was_left_is_received(saves: list[int], data: st.DataObject) -> None:
    """If it names the entry that its peer knows, whichever of its datagrams are lost."""
    words = told(chain(saves, [], "x"), saves)
    known: Known | None = None
    for _, said in words:
        answers = known is None or known.session in (said.session, said.previous)
        if answers and data.draw(st.booleans()):
            met = check_descent(known, said)
            assert isinstance(met, Known)
            known = met


@given(SAVES, st.data())
def test_knowledge_does_not_follow_a_late_datagram(saves: list[int], data: st.DataObject) -> None:
    words = told(chain(saves, [], "x"), saves)
    place, said = data.draw(st.sampled_from(words))
    known = Known(said.session, said.saves)

    for earlier, late in words:
        met = check_descent(known, late)
        if earlier < place:
            assert met == NotDescended(known)
        elif isinstance(met, Known):
            assert met.saves >= known.saves


@given(SAVES, SAVES, st.data())
def test_a_copy_is_refused_by_every_peer_that_knows_a_later_count(
    before: list[int], after: list[int], data: st.DataObject
) -> None:
    """In all its sessions, whatever it saves, and whichever entry it names."""
    ends = chain(before, [], "x")
    _, said = data.draw(st.sampled_from(told(ends, before)))
    known = Known(said.session, said.saves)
    copied = data.draw(st.integers(0, known.saves - 1))
    place = next(it for it, end in enumerate(ends) if copied <= end.saves)
    begun = ends[: place + 1] if copied else []
    kept = [*begun[:-1], Known(begun[-1].session, copied)] if begun else []

    for _, word in told(chain(after, kept, "copy"), after):
        assert check_descent(known, word) == NotDescended(known)
