"""A second machine is drawn with nothing but its own table: a toy log, slot by slot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from paxos import From, Proposal, ServerId
from paxos_adapters.driving import Driver
from paxos_adapters.ports import Place
from paxos_lab.draw.mermaid import mermaid
from paxos_lab.draw.svg import svg
from paxos_lab.draw.terminal import text
from paxos_lab.machines.view import Look, View, Vote, Words
from paxos_lab.record import Trace, timeline
from tests.support import S1, THREE, ballot
from tests.support.svgs import of_class, title, tree
from tests.support.toy_log import (
    Append,
    Compact,
    Entry,
    Message,
    Record,
    Request,
    Resend,
    Server,
    Stored,
    Total,
    toy_log,
)

ONE = ballot("1.1")


def say(message: Message) -> Words:
    if isinstance(message, Stored):
        return Words(f"Stored {message.slot}", ONE, is_answer=True)
    number = str(message.number)
    return Words(f"Entry {message.slot}: {number}", ONE, f"E {message.slot}", number)


def own(event: Request | Resend) -> str:
    if isinstance(event, Append):
        return f"appends {event.number}"
    return "compacts" if isinstance(event, Compact) else ""


def slot(it: Message | Request | Resend | Entry) -> int | None:
    return None if isinstance(it, Append | Compact) else it.slot


def look(state: Server, slot: int) -> Look:
    held = state.at(slot)
    return Look(accepted=Proposal(ONE, str(held.number)) if isinstance(held, Entry) else None)


def votes(said: Record | Message) -> Iterator[Vote]:
    if isinstance(said, Entry):
        yield said.slot, Proposal(ONE, str(said.number))


VIEW: View[Server, Request, Message, Resend, Record, Entry] = View(
    say, own, lambda it: f"commits {it.number}", look, slot, votes
)

Toy: TypeAlias = Trace[Server, Request, Message, Resend, Record, Entry]


def run() -> Toy:
    """Numbers in two slots, copied to all; what arrives at S3 in slot 2 is lost."""
    trace: Toy = Trace()
    machine = toy_log()
    drivers = {me: Driver(machine, Place(me), THREE, (), trace) for me in sorted(THREE.members)}
    queue: list[tuple[ServerId, ServerId, Message]] = []

    def take(me: ServerId, event: From[Message] | Request) -> None:
        driver = drivers[me]
        sorted_ = machine.sort(driver.process, driver.step(event))
        queue.extend((me, receiver, message) for receiver, message in sorted_.messages)

    for number in 7, 8:
        take(S1, Append(number))
        while queue:
            sender, receiver, message = queue.pop(0)
            if message != Entry(2, 8) or receiver != 3:
                take(receiver, From(sender, message))
    return trace


def test_each_slot_has_a_timeline_of_its_own() -> None:
    drawn = text(timeline(run(), VIEW, slot=1), width=5)

    assert drawn.splitlines() == [
        "S1   S2   S3",
        "◆    │    │    S1 appends 7",
        "◉───▶┼───▶│    Entry 1: 7",
        "│    ◆    │    7 is chosen under 1.1",
        "◉◀───●────●    Stored 1",
        "◆    │    │    S1 commits 7",
        "◆    │    │    S1 appends 8",
    ]


def test_what_is_lost_in_one_slot_is_not_in_another() -> None:
    first, second = (timeline(run(), VIEW, slot=it) for it in (1, 2))

    assert [it.text for it in first.arrows if it.arrived is None] == []
    assert [it.text for it in second.arrows if it.arrived is None] == ["Entry 2: 8"]
    assert [it.choice.chosen.value for it in second.decided] == ["8"]


def test_every_kind_of_picture_knows_only_the_table() -> None:
    told = timeline(run(), VIEW, slot=2)

    boxes = [title(it) for it in of_class(tree(svg(told)), "accepted")]
    assert boxes == ["S1 receives Entry 2: 8", "S2 receives Entry 2: 8"]
    assert "Entry 2#58; 8" in mermaid(told)


def test_a_total_stands_for_no_single_entry() -> None:
    assert look(Server(S1, (S1,), Total(3, 12)), 2) == Look()
