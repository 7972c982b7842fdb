"""Who holds which part of the log, and when a change of members is finished."""

from __future__ import annotations

import pytest

from paxos import ServerId, flexible, majority
from paxos.log.memory import Configuration
from paxos.log.progress import is_finished, said
from tests.support import S1, S2, S3, S4, THREE

OTHERS = majority((S2, S3, S4))
CHANGE = (Configuration(1, THREE), Configuration(7, OTHERS))


def test_the_highest_number_of_a_server_counts_and_servers_are_in_order() -> None:
    progress = said(said((), S2, 4), S1, 3)
    assert progress == ((S1, 3), (S2, 4))
    assert said(progress, S2, 3) is said(progress, S2, 4) is progress
    assert said(progress, S1, 9) == ((S1, 9), (S2, 4))


@pytest.mark.parametrize(
    ("holders", "finished"),
    [
        ((), False),
        ((S2,), False),
        ((S1, S2), False),
        ((S2, S4), True),
        ((S1, S2, S3), True),
    ],
)
def test_a_quorum_of_the_new_members_must_hold_all_below(
    holders: tuple[ServerId, ...], finished: bool
) -> None:
    behind = tuple((it, 6) for it in (S1, S2, S3, S4) if it not in holders)
    progress = tuple(sorted((*behind, *((it, 7) for it in holders))))

    assert is_finished(CHANGE, 7, progress) == finished


def test_all_below_must_be_chosen_here() -> None:
    """Else another change may be on its way."""
    progress = ((S2, 7), (S3, 7))

    assert not is_finished(CHANGE, 6, progress)
    assert is_finished(CHANGE, 7, progress)
    assert is_finished(CHANGE[1:], 9, progress)


def test_it_is_the_quorum_of_phase_2() -> None:
    quorum = flexible((S1, S2, S3), phase1=3, phase2=1)

    assert is_finished((Configuration(5, quorum),), 5, ((S1, 4), (S2, 5)))


def test_the_founders_have_no_change_to_finish() -> None:
    assert is_finished((Configuration(1, THREE),), 1, ((S1, 1), (S3, 1)))
