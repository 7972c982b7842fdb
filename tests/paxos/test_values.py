"""How values are made: frozen, compared and hashed by their fields; also under ``python -O``."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module
from inspect import getmembers, isclass
from pathlib import Path

import attrs
import pytest

import paxos
from paxos import Acceptor, Chosen, Now, Prepare, Saved, majority
from paxos.election import PeerHeartbeat
from paxos.messages import Accept, Accepted
from paxos.values import frozen
from tests.support import S1, S2, S3, ballot

ROOT = Path(__file__).parents[2]

OPTIMISED = """
from attrs.exceptions import FrozenInstanceError
from paxos import Acceptor, Ballot, Proposal, Saved, ServerId, NotSaved, AfterSave, majority
from paxos.values import frozen

@frozen
class Point:
    x: int

point = Point(1)
print("debug", __debug__)
try:
    point.x = 2
except FrozenInstanceError:
    print("frozen", point)
print("equal", point == Point(1), point != Point(2))
print("key", {Point(1): "found"}[point])

def state():
    return Acceptor(Ballot(1, ServerId(1)), Proposal(Ballot(1, ServerId(1)), "a"))

print("equal states", state() == state(), len({state(), state()}))
print("one system", len({majority(map(ServerId, "12")), majority(map(ServerId, "21"))}))
record = state()
print("released", AfterSave(record, ("a",)).release(Saved((record,))))
try:
    AfterSave(record, ("a",)).release(Saved((state(),)))
except NotSaved as error:
    print("refused", error.record is record)
"""


@frozen
class Point:
    """A value as the core makes them."""

    x: int
    y: int = 0


def classes() -> list[type[object]]:
    """Every attrs class that the core defines."""
    modules = [
        import_module(f"paxos.{found.name}") for found in pkgutil.iter_modules(paxos.__path__)
    ]
    return [
        member
        for module in modules
        for _, member in getmembers(module, isclass)
        if attrs.has(member) and member.__module__ == module.__name__
    ]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Point(1, 2), "x"),
        (Point(1, 2), "z"),
        (Prepare(ballot("1.1")), "ballot"),
        (Acceptor[str](), "promised"),
        (Now(("a",)), "messages"),
        (Saved(("a",)), "records"),
        (majority([S1, S2, S3]), "phase1"),
        (PeerHeartbeat(S1), "beats"),
    ],
)
def test_nobody_can_change_a_value(value: object, name: str) -> None:
    """Neither a field that it has nor one that it has not."""
    before = repr(value)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, name, 3)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        delattr(value, name)
    assert repr(value) == before


@pytest.mark.parametrize("cls", classes())
def test_every_class_of_the_core_is_guarded(cls: type[object]) -> None:
    """With no room for stray attributes, either."""
    blank, name = object.__new__(cls), "anything"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(blank, name, 1)
    assert not hasattr(blank, "__dict__")


@pytest.mark.parametrize("cls", classes())
def test_every_class_of_the_core_compares_and_hashes_by_value(cls: type[object]) -> None:
    """By methods of its own, not by identity."""
    own = vars(cls)
    assert callable(own.get("__eq__"))
    assert callable(own.get("__hash__"))


def test_the_classes_were_found() -> None:
    """A few that everybody knows are among those checked above."""
    assert {Acceptor, PeerHeartbeat, Now, Prepare, Saved} < set(classes())


def test_equal_values_are_one_key() -> None:
    """Equality and hash go by the fields."""
    assert Point(1, 2) == Point(1, 2)
    assert Point(1, 2) != Point(2, 1)
    assert {Point(1, 2): "found"}[Point(1, 2)] == "found"


def test_equal_fields_do_not_make_equal_values() -> None:
    """Messages of different classes say different things."""
    number = ballot("1.1")
    assert len({Accept(number, "a"), Accepted(number, "a"), Chosen(number, "a")}) == 3


def test_values_are_immutable_under_any_switch() -> None:
    """``python -O`` leaves assertions out, and nothing of the values."""
    run = subprocess.run(
        [sys.executable, "-O", "-c", OPTIMISED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines() == [
        "debug False",
        "frozen Point(x=1)",
        "equal True True",
        "key found",
        "equal states True 1",
        "one system 1",
        "released ('a',)",
        "refused True",
    ]
