"""How a program that embeds the core tests single transitions: by tables.

Run it: ``python -m pytest examples/transition_test.py``

No network, no clock, no mock: a state and an event go in, a state and an outbound come out. A seal
is part of what is expected.
"""

from __future__ import annotations

import pytest

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Ballot,
    Broadcast,
    From,
    Nack,
    Now,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Request,
    RetryTimer,
    Saved,
    ServerId,
    acceptor,
    majority,
    proposer,
)
from paxos.proposer import Accepting

S1, S2, S3 = (ServerId(number) for number in (1, 2, 3))
B1, B2, B3 = Ballot(1, S1), Ballot(2, S2), Ballot(3, S3)
RED = Proposal(B1, "red")
PROMISED_B2 = Acceptor(promised=B2, accepted=RED)
ACCEPTED_B2 = Acceptor(promised=B2, accepted=Proposal(B2, "blue"))
ACCEPTED_B3 = Acceptor(promised=B3, accepted=Proposal(B3, "blue"))

ANSWERED = [
    ("promises what is higher", Prepare(B3), Acceptor(B3, RED), Promise(B3, RED)),
    ("promises the same again", Prepare(B2), PROMISED_B2, Promise(B2, RED)),
    ("accepts what it promised", Accept(B2, "blue"), ACCEPTED_B2, Accepted(B2, "blue")),
    ("accepts what is higher", Accept(B3, "blue"), ACCEPTED_B3, Accepted(B3, "blue")),
]


@pytest.mark.parametrize(
    ("why", "asked", "after", "answer"), ANSWERED, ids=[it[0] for it in ANSWERED]
)
def test_an_acceptor_saves_before_it_answers(
    why: str, asked: Request[str], after: Acceptor[str], answer: acceptor.Response[str]
) -> None:
    """The answer is sealed with the state that it speaks of."""
    state, outbound = acceptor.receive(PROMISED_B2, asked)

    assert state == after, why
    assert isinstance(outbound, AfterSave)
    assert outbound.release(Saved((state,))) == (answer,)


@pytest.mark.parametrize("asked", [Prepare(B1), Accept(B1, "red")], ids=["prepare", "accept"])
def test_an_acceptor_refuses_what_is_lower(asked: Request[str]) -> None:
    """A refusal commits to nothing: it changes no state, and waits for no save."""
    assert acceptor.receive(PROMISED_B2, asked) == (PROMISED_B2, Now((Nack(B1, B2),)))


FOUND = [
    ("its own value, if nothing is found", None, None, "mine"),
    ("what one of them has accepted", None, RED, "red"),
    ("what was accepted under the highest ballot", RED, Proposal(B2, "blue"), "blue"),
    ("what the first answer says", Proposal(B2, "blue"), RED, "blue"),
]


@pytest.mark.parametrize(("what", "first", "second", "value"), FOUND, ids=[it[0] for it in FOUND])
def test_a_proposer_goes_on_with(
    what: str, first: Proposal[str] | None, second: Proposal[str] | None, value: str
) -> None:
    """Promises of two out of three are enough."""
    state = Proposer[str](S3, majority([S1, S2, S3]), max_round=2)
    state, _ = proposer.receive(state, Propose("mine"))
    state, outbound = proposer.receive(state, From(S1, Promise(B3, first)))
    assert outbound == Now(())
    state, outbound = proposer.receive(state, From(S2, Promise(B3, second)))

    assert isinstance(state.phase, Accepting), what
    assert outbound == Now((Broadcast(Accept(B3, value)),))


def test_a_stale_wake_up_changes_nothing() -> None:
    """A wake-up carries its ballot, so that nobody has to cancel it."""
    state, _ = proposer.receive(Proposer[str](S3, majority([S1, S2, S3])), Propose("mine"))

    assert proposer.receive(state, RetryTimer(B3)) == (state, Now(()))
