"""What a replica refuses: errors that say what to do, and can be copied and sent."""

from __future__ import annotations

import copy
import pickle

import pytest

from paxos import PaxosError, UsageError
from paxos.log import NotLeading, WindowFull
from tests.support import S1, S2

ERRORS: list[NotLeading | WindowFull] = [NotLeading(S1, S2), NotLeading(S1, None), WindowFull(3)]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_they_are_copied_whole(error: NotLeading | WindowFull) -> None:
    for again in copy.copy(error), pickle.loads(pickle.dumps(error)):
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_they_are_misuse_that_changed_nothing(error: PaxosError) -> None:
    assert isinstance(error, UsageError)
    assert "nothing was changed" in str(error)


def test_the_leader_is_named_if_there_is_one() -> None:
    assert "server 2 may lead" in str(NotLeading(S1, S2))
    assert "no replica is known to lead" in str(NotLeading(S1, None))
