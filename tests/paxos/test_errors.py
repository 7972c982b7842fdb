"""The errors: what each says, what it carries, and what it can be caught as."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from inspect import getmembers, isclass

import pytest

from paxos import (
    Acceptor,
    AfterSave,
    Busy,
    Chosen,
    DisjointQuorums,
    From,
    InvariantError,
    Learner,
    MaxRound,
    NotSaved,
    PaxosError,
    Prepare,
    Promise,
    Propose,
    Proposer,
    QuorumError,
    Saved,
    ServerId,
    UnexpectedInput,
    UnknownServer,
    acceptor,
    errors,
    invariants,
    learner,
    majority,
    proposer,
    server,
)
from paxos.errors import format_ids
from paxos.invariants import AgreementBroken, Decision
from tests.support import NON_MEMBER, S1, S2, S3, THREE, ballot

A_CHOICE = Decision(Chosen(ballot("1.1"), "a"), frozenset({S1, S2}))
ANOTHER = Decision(Chosen(ballot("2.3"), "b"), frozenset({S3, S2}))


@pytest.mark.parametrize(
    ("error", "happened", "means", "to_do"),
    [
        (
            DisjointQuorums({S2, S1}, {S3}),
            "the phase-1 quorum {1, 2} and the phase-2 quorum {3} share no server",
            "a proposer could look at the one and miss the value that the other chose",
            "Enlarge the quorums until every phase-1 quorum meets every phase-2 quorum",
        ),
        (
            UnknownServer(NON_MEMBER, {S3, S1, S2}),
            "server 9 is not among the members {1, 2, 3}",
            "nobody would count its votes",
            "Give it one of those ids, or name it when you make the quorum system",
        ),
        (
            Busy(ballot("3.1")),
            "ballot 3.1 is still in progress",
            "nothing was changed",
            "Wait until the proposer reports Done, NothingChosen or NotYetChosen, then ask again",
        ),
        (
            NotSaved(MaxRound(4)),
            "this receipt does not say that MaxRound(round=4) is durable",
            "the messages that depend on it stay sealed",
            "Save that very record, and release with the receipt for it",
        ),
        (
            AgreementBroken(A_CHOICE, ANOTHER),
            "two values are chosen: 'a' under ballot 1.1 by the quorum {1, 2}, "
            "and 'b' under ballot 2.3 by the quorum {2, 3}",
            "some server broke it: a lost or restored disk, an id in use twice, or an answer",
            "Stop the servers, and find that one before any starts again",
        ),
    ],
)
def test_each_error_says_what_happened_what_it_means_and_what_to_do(
    error: PaxosError, happened: str, means: str, to_do: str
) -> None:
    """In this order, as whole sentences."""
    text = str(error)
    assert -1 < text.find(happened) < text.find(means) < text.find(to_do)
    assert text.endswith(".")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PaxosError, Exception),
        (QuorumError, ValueError),
        (DisjointQuorums, QuorumError),
        (UnknownServer, ValueError),
        (Busy, RuntimeError),
        (NotSaved, ValueError),
        (InvariantError, PaxosError),
        (AgreementBroken, InvariantError),
    ],
)
def test_each_error_is_one_of_a_kind_that_callers_know(
    error: type[Exception], kind: type[Exception]
) -> None:
    """``except ValueError`` catches bad arguments, ``except PaxosError`` catches all."""
    assert issubclass(error, kind)


def test_all_errors_are_paxos_errors() -> None:
    """Every exception of these modules."""
    found = {
        member
        for module in (errors, invariants)
        for _, member in getmembers(module, isclass)
        if issubclass(member, Exception)
    }
    assert all(issubclass(error, PaxosError) for error in found)
    assert {DisjointQuorums, UnknownServer, Busy, NotSaved, AgreementBroken} < found


def test_quorums_miss_carries_both() -> None:
    """As sets of their own, which the caller's later changes do not reach."""
    first, second = {S1, S2}, {S3}
    error = DisjointQuorums(first, second)
    first.clear()
    assert (error.phase1, error.phase2) == (frozenset({S1, S2}), frozenset({S3}))


def test_unknown_server_carries_the_server_and_the_members() -> None:
    """As sets of their own."""
    members = {S1, S2}
    error = UnknownServer(NON_MEMBER, members)
    members.clear()
    assert (error.server, error.members) == (NON_MEMBER, frozenset({S1, S2}))


def test_busy_carries_the_ballot() -> None:
    """Of the round in progress."""
    assert Busy(ballot("3.1")).ballot == ballot("3.1")


def test_wrong_receipt_carries_the_record() -> None:
    """The very object that has to be saved."""
    record = MaxRound(1)
    assert NotSaved(record).record is record


def test_agreement_broken_carries_both_choices() -> None:
    """In the order in which they became known."""
    error = AgreementBroken(A_CHOICE, ANOTHER)
    assert (error.first, error.second) == (A_CHOICE, ANOTHER)


@pytest.mark.parametrize(
    ("ids", "text"),
    [([], "{}"), ([3], "{3}"), ([10, 9, 1], "{1, 9, 10}"), ([0, -2], "{-2, 0}")],
)
def test_servers_are_shown_in_order(ids: list[int], text: str) -> None:
    """By number, not by name."""
    assert format_ids(set(map(ServerId, ids))) == text


def test_errors_are_raised_where_they_belong() -> None:
    """Each by the call that is documented to raise it."""
    with pytest.raises(UnknownServer):
        server.start(NON_MEMBER, THREE)
    with pytest.raises(QuorumError):
        majority([])
    with pytest.raises(NotSaved):
        AfterSave(MaxRound(1), ()).release(Saved(()))
    at_work, _ = proposer.receive(Proposer[str](S1, THREE), Propose("a"))
    with pytest.raises(Busy) as busy:
        proposer.receive(at_work, Propose("b"))
    assert busy.value.ballot == ballot("1.1")


@pytest.mark.parametrize(
    "error",
    [
        DisjointQuorums({S1}, {S2}),
        UnknownServer(NON_MEMBER, {S1}),
        Busy(ballot("3.1")),
        NotSaved(MaxRound(4)),
        AgreementBroken(A_CHOICE, ANOTHER),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_to_another_process(error: PaxosError) -> None:
    """With all that it carries, so that a pool of workers can report it."""
    arrived = pickle.loads(pickle.dumps(error))

    assert type(arrived) is type(error)
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))


@pytest.mark.parametrize(
    "step",
    [
        lambda: acceptor.receive(Acceptor[str](), Promise[str](ballot("1.1"), None)),  # type: ignore[arg-type]
        lambda: proposer.receive(Proposer[str](S1, THREE), "red"),  # type: ignore[arg-type]
        lambda: server.receive(server.start(S1, THREE), Prepare(ballot("1.1"))),  # type: ignore[arg-type]
        lambda: learner.receive(Learner(THREE), From(S1, Chosen(ballot("1.1"), "a"))),  # type: ignore[arg-type]
    ],
    ids=["another role", "no event", "without its sender", "wrapped"],
)
def test_what_is_out_of_place_is_an_error(step: Callable[[], object]) -> None:
    """An untyped program hears it at once, where a typed one is told before it runs."""
    with pytest.raises(UnexpectedInput, match="unexpected input") as misplaced:
        step()
    assert "nothing was changed" in str(misplaced.value)
