"""What leaves, and when: a seal opens with the receipt for its very record."""

from __future__ import annotations

import pickle
from typing import NoReturn

import pytest

from paxos import (
    NO_MESSAGES,
    AfterSave,
    Broadcast,
    MaxRound,
    NotSaved,
    Now,
    Saved,
    SetTimer,
    To,
)
from tests.support import S1, S2, free


class Incomparable:
    """A record that forbids every comparison, and cannot be hashed."""

    def __eq__(self, other: object) -> NoReturn:
        """Fail."""
        raise AssertionError("a record was compared")

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """What an error shows."""
        return "Incomparable()"


def test_now_holds_its_messages_in_order() -> None:
    """They wait for nothing."""
    assert Now(("a", "b")).messages == ("a", "b")


def test_silence_is_empty() -> None:
    """And stays so when mapped; something may be added."""
    assert NO_MESSAGES.messages == ()
    assert NO_MESSAGES.map(str).messages == ()
    assert NO_MESSAGES.followed_by("a").messages == ("a",)
    assert Now[str](()) == NO_MESSAGES


def test_the_receipt_opens_the_seal() -> None:
    """All messages come free, in order."""
    record = MaxRound(1)
    assert AfterSave(record, ("a", "b")).release(Saved((record,))) == ("a", "b")


def test_the_receipt_opens_the_seal_again() -> None:
    """What is durable stays durable."""
    record = MaxRound(1)
    outbound, receipt = AfterSave(record, ("a",)), Saved((record,))
    assert outbound.release(receipt) == outbound.release(receipt) == ("a",)


@pytest.mark.parametrize("position", range(3))
def test_a_receipt_for_several_opens_the_seal_of_each(position: int) -> None:
    """One sync saves many records."""
    records = MaxRound(1), MaxRound(2), MaxRound(3)
    receipt = Saved(records)
    assert AfterSave(records[position], ("a",)).release(receipt) == ("a",)
    assert receipt.covers(records[position])


def test_a_part_of_a_receipt_opens_the_seals_of_its_records_alone() -> None:
    one, two = MaxRound(1), MaxRound(2)
    part = Saved((one, two)).part((two,))

    assert part.records == (two,)
    assert AfterSave(two, ("a",)).release(part) == ("a",)
    with pytest.raises(NotSaved):
        AfterSave(one, ("a",)).release(part)


def test_no_part_of_a_receipt_speaks_of_other_records() -> None:
    with pytest.raises(NotSaved):
        Saved((MaxRound(1),)).part((MaxRound(1),))


def test_an_equal_record_is_another_record() -> None:
    """Equal on paper; whether that object was saved, nobody has said."""
    record, twin = MaxRound(1), MaxRound(1)
    assert record == twin
    assert not Saved((twin,)).covers(record)
    with pytest.raises(NotSaved) as refusal:
        AfterSave(record, ("a",)).release(Saved((twin,)))
    assert refusal.value.record is record


@pytest.mark.parametrize("others", [(), (MaxRound(2),), (MaxRound(2), MaxRound(1))], ids=len)
def test_the_receipt_for_other_records_opens_nothing(others: tuple[MaxRound, ...]) -> None:
    """However many there are; the seal can still be opened by the right one."""
    record = MaxRound(1)
    outbound = AfterSave(record, ("a",))
    with pytest.raises(NotSaved, match=r"MaxRound\(round=1\) is durable"):
        outbound.release(Saved(others))
    assert outbound.release(Saved((record,))) == ("a",)


def test_records_are_never_compared() -> None:
    """Nor hashed: a record may hold any value of the user's."""
    record, other = Incomparable(), Incomparable()
    outbound = AfterSave(record, ("a",)).map(str.upper).followed_by("b")
    assert outbound.release(Saved((other, record))) == ("A", "b")
    with pytest.raises(NotSaved, match=r"Incomparable\(\)"):
        outbound.release(Saved((other,)))


def test_messages_are_never_compared() -> None:
    """They may hold any value, too."""
    record, message = MaxRound(1), Incomparable()
    released = AfterSave(record, (message,)).followed_by(message).release(Saved((record,)))
    assert [each is message for each in released] == [True, True]
    assert [each is message for each in Now((message,)).followed_by(message).messages] == [
        True,
        True,
    ]


def test_map_changes_each_message() -> None:
    """In order, and the original stays as it was."""
    outbound = Now(("a", "bc"))
    assert outbound.map(len) == Now((1, 2))
    assert outbound == Now(("a", "bc"))


def test_also_adds_behind() -> None:
    """Any number of messages, of any type."""
    assert Now(("a",)).followed_by("b", 3) == Now(("a", "b", 3))
    assert Now(("a",)).followed_by() == Now(("a",))


def test_map_and_also_keep_the_seal() -> None:
    """The same record guards what they add and change, in order."""
    record, twin = MaxRound(1), MaxRound(1)
    original = AfterSave(record, ("a", "bc"))
    for outbound, messages in (
        (original.map(len), (1, 2)),
        (original.followed_by("d", 5), ("a", "bc", "d", 5)),
        (original.followed_by(), ("a", "bc")),
        (original.followed_by("d").map(str.upper).followed_by(5), ("A", "BC", "D", 5)),
    ):
        assert isinstance(outbound, AfterSave)
        assert outbound.record is record
        with pytest.raises(NotSaved):
            outbound.release(Saved((twin,)))
        assert outbound.release(Saved((record,))) == messages
    assert original == AfterSave(record, ("a", "bc"))


def test_sealed_messages_have_no_public_name() -> None:
    """``messages`` is what Now has; a seal gives nothing away by mistake."""
    assert not hasattr(AfterSave(MaxRound(1), ("a",)), "messages")


def test_a_pattern_finds_the_record_and_not_what_is_sealed() -> None:
    """Neither by position nor by the name of the argument."""
    outbound: object = AfterSave(MaxRound(1), ("a",))
    assert AfterSave.__match_args__ == ("record",)
    match outbound:
        case AfterSave(record):
            assert record == MaxRound(1)
        case _:
            raise AssertionError("not matched")
    with pytest.raises(TypeError, match="accepts 1 positional sub-pattern"):
        exec("match outbound:\n    case AfterSave(_, messages): pass")
    assert not hasattr(outbound, "messages")


def test_a_receipt_reads_as_what_it_covers() -> None:
    """How it recognises records is nobody's business."""
    assert repr(Saved((MaxRound(1), "x"))) == "Saved(records=(MaxRound(round=1), 'x'))"


def test_receipts_for_equal_records_are_equal() -> None:
    """As values; what they open differs."""
    assert Saved((MaxRound(1),)) == Saved((MaxRound(1),))
    assert Saved((MaxRound(1),)) != Saved((MaxRound(2),))


def test_effects_say_what_to_do() -> None:
    """Send to one, send to all, wake."""
    outbound = Now((To(S1, "a"), Broadcast("b"), SetTimer("c", 2)))
    to, broadcast, wake_me = free(outbound)
    assert to == To(receiver=S1, message="a") != To(S2, "a")
    assert broadcast == Broadcast(message="b") != Broadcast("c")
    assert wake_me == SetTimer(timer="c", attempt=2) != SetTimer("c", 3)


def test_a_copied_receipt_speaks_of_the_copied_records() -> None:
    """And of nothing else: identities of another process mean nothing here."""
    record = MaxRound(1)
    copied = pickle.loads(pickle.dumps(Saved((record,))))

    assert copied.covers(copied.records[0])
    assert not copied.covers(record)
