"""The predicates: each accepts what is right, and names what is wrong."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from paxos import (
    NO_BALLOT,
    Accepted,
    Acceptor,
    Answer,
    Ballot,
    Chosen,
    From,
    InvariantError,
    Promise,
    Proposal,
    QuorumSystem,
    ReadId,
    ServerId,
    explicit,
    flexible,
    weighted,
)
from paxos.invariants import (
    AgreementBroken,
    Decision,
    acceptor_monotonic,
    agreement,
    choices,
    durable_before_sent,
    one_value_per_ballot,
    promise_covers_accepted,
    unused_while_preparing,
    validity,
)
from tests.support import NON_MEMBER, S1, S2, S3, THREE, ballot

BALLOTS = [ballot("1.2"), ballot("2.1"), ballot("2.3")]
"""In rising order, by round and by server."""


def acceptor(promised: Ballot, accepted: Ballot | None, value: str = "a") -> Acceptor[str]:
    """An acceptor that promised and accepted these."""
    return Acceptor(promised, accepted and Proposal(accepted, value))


ACCEPTORS = [
    acceptor(promised, accepted)
    for promised, accepted in product([NO_BALLOT, *BALLOTS], [None, *BALLOTS])
]
"""Every promise with every accepted ballot, the impossible ones included."""


def test_a_choice_reads_well() -> None:
    """With the quorum, if it is known."""
    chosen = Chosen(ballot("3.1"), "a")
    assert str(Decision(chosen, frozenset({S2, S1}))) == "'a' under ballot 3.1 by the quorum {1, 2}"
    assert str(Decision(chosen, frozenset())) == "'a' under ballot 3.1 as announced"


@pytest.mark.parametrize(("one", "two"), list(product(BALLOTS, repeat=2)))
def test_agreement(one: Ballot, two: Ballot) -> None:
    """Equal values agree and different ones do not, whatever their ballots."""
    first = Decision(Chosen(one, "a"), frozenset({S1, S2}))
    agreement(first, Decision(Chosen(two, "a"), frozenset({S2, S3})))
    second = Decision(Chosen(two, "b"), frozenset({S2, S3}))
    with pytest.raises(AgreementBroken) as broken:
        agreement(first, second)
    assert (broken.value.first, broken.value.second) == (first, second)
    assert f"{first}, and {second}" in str(broken.value)


def test_agreement_is_about_equality() -> None:
    """Two equal lists are the same value."""
    voters = frozenset({S1, S2})
    agreement(
        Decision(Chosen(ballot("1.1"), ["a"]), voters),
        Decision(Chosen(ballot("2.1"), ["a"]), voters),
    )
    with pytest.raises(AgreementBroken, match=r"\['a'\] under .* and \['b'\] under"):
        agreement(
            Decision(Chosen(ballot("1.1"), ["a"]), voters),
            Decision(Chosen(ballot("2.1"), ["b"]), voters),
        )


def test_validity() -> None:
    """Somebody proposed it, or nobody did."""
    for proposed in ["a"], ["b", "a"], iter(["a", "b"]):
        validity("a", proposed)
    for others in [], ["b"], ["b", "c"]:
        with pytest.raises(InvariantError, match="'a' was chosen, and no server ever proposed it"):
            validity("a", others)


def test_one_value_a_ballot() -> None:
    """The same one twice is fine."""
    one_value_per_ballot(ballot("3.1"), ["a"], ["a"])
    with pytest.raises(InvariantError, match=r"ballot 3\.1 carries both \['a'\] and \['b'\]"):
        one_value_per_ballot(ballot("3.1"), ["a"], ["b"])


def test_a_ballot_that_is_prepared_is_unused() -> None:
    for other in "2.1", "3.2", "4.1":
        unused_while_preparing(ballot("3.1"), Proposal(ballot(other), "a"))
    with pytest.raises(InvariantError, match=r"3\.1 is still being prepared, and 'a' was accepted"):
        unused_while_preparing(ballot("3.1"), Proposal(ballot("3.1"), "a"))


@pytest.mark.parametrize("state", ACCEPTORS, ids=str)
def test_promise_covers_accepted(state: Acceptor[str]) -> None:
    """Accepted above the promise is wrong; below, equal or not at all is right."""
    if state.accepted is None or state.accepted.ballot <= state.promised:
        promise_covers_accepted(state)
        return
    names = f"{state.accepted.ballot} was accepted above the promise {state.promised}"
    with pytest.raises(InvariantError, match=names):
        promise_covers_accepted(state)


def level(accepted: Proposal[str] | None) -> int:
    """0 for nothing accepted, then 1 to 3."""
    return 0 if accepted is None else 1 + BALLOTS.index(accepted.ballot)


def shown(state: Acceptor[str]) -> Ballot:
    """What the acceptor has accepted, as the error shows it."""
    return NO_BALLOT if state.accepted is None else state.accepted.ballot


@pytest.mark.parametrize("before", ACCEPTORS, ids=str)
def test_never_moves_back(before: Acceptor[str]) -> None:
    """To each of the same states: both ballots less, equal or greater."""
    promises = [NO_BALLOT, *BALLOTS]
    for after in ACCEPTORS:
        rises = promises.index(after.promised) >= promises.index(before.promised)
        if rises and level(after.accepted) >= level(before.accepted):
            acceptor_monotonic(before, after)
            continue
        with pytest.raises(InvariantError) as broken:
            acceptor_monotonic(before, after)
        text = str(broken.value)
        assert "an acceptor went back" in text
        assert f"from promise {before.promised} and accepted {shown(before)}" in text
        assert f"to promise {after.promised} and accepted {shown(after)}" in text


def test_the_accepted_value_changes_with_its_ballot_only() -> None:
    """Under a higher ballot another value is right, under the same one it is wrong."""
    low, high = ballot("1.2"), ballot("2.1")
    acceptor_monotonic(acceptor(low, low, "a"), acceptor(high, high, "b"))
    with pytest.raises(InvariantError, match=r"ballot 1\.2 carries both 'a' and 'b'"):
        acceptor_monotonic(acceptor(low, low, "a"), acceptor(high, low, "b"))


@pytest.mark.parametrize("durable", ACCEPTORS, ids=str)
@pytest.mark.parametrize("answered", BALLOTS, ids=str)
def test_durable_before_promised(durable: Acceptor[str], answered: Ballot) -> None:
    """A promise rests on the durable promise, whatever was accepted."""
    answer = Promise[str](answered, None)
    if durable.promised >= answered:
        durable_before_sent(durable, answer)
        return
    with pytest.raises(InvariantError) as broken:
        durable_before_sent(durable, answer)
    assert f"{answer} was sent while the disk held {durable}" in str(broken.value)
    assert "before its save" in str(broken.value)


@pytest.mark.parametrize("durable", ACCEPTORS, ids=str)
@pytest.mark.parametrize("answered", BALLOTS, ids=str)
def test_durable_before_accepted(durable: Acceptor[str], answered: Ballot) -> None:
    """An acceptance rests on both: promised and accepted, that ballot or a higher one."""
    answer = Accepted(answered, "a")
    accepted = durable.accepted is not None and durable.accepted.ballot >= answered
    if accepted and durable.promised >= answered:
        durable_before_sent(durable, answer)
        return
    with pytest.raises(InvariantError) as broken:
        durable_before_sent(durable, answer)
    assert f"{answer} was sent while the disk held {durable}" in str(broken.value)


@pytest.mark.parametrize("durable", ACCEPTORS, ids=str)
@pytest.mark.parametrize("told", [None, *BALLOTS], ids=str)
def test_durable_before_an_answer_to_a_query(durable: Acceptor[str], told: Ballot | None) -> None:
    """What it tells is accepted, and so promised; "nothing" commits to nothing."""
    answer = Answer(ReadId(1, 1), told and Proposal(told, "a"))
    accepted = durable.accepted is not None and told is not None and durable.accepted.ballot >= told
    if told is None or (accepted and durable.promised >= told):
        durable_before_sent(durable, answer)
        return
    with pytest.raises(InvariantError, match="a crash would undo it"):
        durable_before_sent(durable, answer)


def vote(sender: ServerId, number: str, value: str) -> From[Accepted[str]]:
    """The sender accepted the value under the ballot of this number."""
    return From(sender, Accepted(ballot(number), value))


@pytest.mark.parametrize(
    "quorum",
    [
        THREE,
        flexible([S1, S2, S3], phase1=3, phase2=1),
        weighted({S1: 2, S2: 1, S3: 0}),
        explicit(phase1=[[S1], [S2, S3]], phase2=[[S1, S2], [S1, S3]]),
    ],
    ids=["majority", "flexible", "weighted", "listed"],
)
def test_choices_of_every_set_of_votes(quorum: QuorumSystem) -> None:
    """Three servers, two ballots: 64 sets of votes, each in two orders and with repetitions."""
    value_of = {"2.1": "a", "1.2": "b"}
    everything = list(product([S1, S2, S3], value_of))
    for size in range(len(everything) + 1):
        for cast in combinations(everything, size):
            found = [
                Decision(Chosen(ballot(number), value_of[number]), voters)
                for number in ["1.2", "2.1"]
                if quorum.is_phase2(voters := frozenset(s for s, n in cast if n == number))
            ]
            votes = [vote(sender, number, value_of[number]) for sender, number in cast]
            assert choices(votes, quorum) == tuple(found)
            assert choices(reversed(votes + votes), quorum) == tuple(found)


def test_choices_notice_a_ballot_used_twice() -> None:
    """Even when no quorum has accepted under it, and by one server or two."""
    for other in S1, S2:
        with pytest.raises(InvariantError, match=r"ballot 1\.1 carries both 'a' and 'b'"):
            choices([vote(S1, "1.1", "a"), vote(other, "1.1", "b")], THREE)


def test_choices_take_lists_for_values() -> None:
    """Values need not be hashable."""
    votes = [From(sender, Accepted(ballot("1.1"), ["a"])) for sender in (S1, S2)]
    assert choices(votes, THREE) == (Decision(Chosen(ballot("1.1"), ["a"]), frozenset({S1, S2})),)


def test_what_a_promise_tells_is_durable_too() -> None:
    """A proposal that the disk does not hold must not be told, and one under its ballot only."""
    b11, b32 = ballot("1.1"), ballot("3.2")
    told = Promise(b32, Proposal(b11, "a"))
    durable_before_sent(Acceptor(b32, Proposal(b11, "a")), told)
    with pytest.raises(InvariantError, match="a crash would undo it"):
        durable_before_sent(Acceptor[str](b32, None), told)
    with pytest.raises(InvariantError, match="carries both"):
        durable_before_sent(Acceptor(b32, Proposal(b11, "b")), told)


def test_non_members_have_no_part_in_a_choice() -> None:
    """Not even as one who broke it."""
    vote, non_member = Accepted(ballot("1.1"), "a"), Accepted(ballot("1.1"), "z")
    (choice,) = choices([From(S1, vote), From(S2, vote), From(NON_MEMBER, non_member)], THREE)
    assert choice.voters == {S1, S2}
