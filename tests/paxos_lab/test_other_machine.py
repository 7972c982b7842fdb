"""Other machines are drawn with nothing but their own tables: a toy log, and an atomic commit."""

from __future__ import annotations

from typing import TypeAlias

from paxos import From, Proposal, ServerId
from paxos_adapters.driving import Driver
from paxos_adapters.ports import Place
from paxos_lab.draw.mermaid import mermaid
from paxos_lab.draw.svg import svg
from paxos_lab.draw.terminal import text
from paxos_lab.machines.view import TIMES_OUT, Look, View, Words
from paxos_lab.record import Trace, timeline
from paxos_lab.simulate import play, record
from tests.support import S1, THREE, ballot
from tests.support import two_phase_commit as tpc
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
    log_setup,
    toy_log,
    votes,
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


def look(state: Server, slot: int | None) -> Look:
    held = None if slot is None else state.at(slot)
    return Look(accepted=Proposal(ONE, str(held.number)) if isinstance(held, Entry) else None)


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


def test_a_simulated_run_is_drawn_with_its_faults() -> None:
    setup = log_setup()
    _, acts = record(5, setup)
    trace: Toy = Trace()
    assert play(setup, acts, trace=trace).acts == acts

    drawn = text(timeline(trace, VIEW, slot=1).delivered, width=5)

    assert drawn.splitlines() == [
        "S1   S2   S3",
        "│    ◆    │    S2 compacts",
        "│    │    ◆    S3 crashes",
        "◆    │    │    S1 appends 0",
        "◉    │    │    Entry 1: 0",
        "◉    │    │    Entry 1: 0",
        "◉    │    │    Stored 1",
        "●───▶│    │    Entry 1: 0",
        "│    ◆    │    0 is chosen under 1.1",
        "│◀───●    │    Stored 1",
        "│    ◆    │    S2 pauses",
        "◉◀───●    │    Stored 1",
        "│    ◆    │    S2 has links cut",
        "│    │    ◆    S3 starts again",
        "│    ◆    │    S2 goes on after a pause",
        "│    │    ◆    S3 compacts",
        "│    ◆    │    S2 has its links back",
        "◉───▶┼───▶│    Entry 1: 0",
        "◉◀───┼────●    Stored 1",
        "◆    │    │    S1 commits 0",
        "◆    │    │    S1 appends 1",
        "◆    │    │    S1 takes its time to save",
        "●────┼───▶│    Entry 1: 0",
    ]


def say_of_commit(message: tpc.Message) -> Words:
    if isinstance(message, tpc.CanCommit):
        return Words("Can you commit?", ONE, "commit?")
    if isinstance(message, tpc.Vote):
        return Words("Yes" if message.yes else "No", ONE, is_answer=True)
    return Words("What is decided?" if isinstance(message, tpc.Ask) else decided(message))


def own_of_commit(event: tpc.Request | tpc.Impatience) -> str:
    if isinstance(event, tpc.Impatience):
        return TIMES_OUT
    return "asks for votes" if isinstance(event, tpc.Commit) else "refuses"


def decided(it: tpc.Decision | tpc.Decided) -> str:
    return "Commit" if it.commit else "Abort"


def look_of_commit(state: tpc.Server, _slot: int | None) -> Look:
    return Look(knows=None if state.decided is None else decided(state.decided))


COMMIT_VIEW: View[
    tpc.Server, tpc.Request, tpc.Message, tpc.Impatience, tpc.Record, tpc.Decision
] = View(say_of_commit, own_of_commit, lambda it: f"reports {decided(it)}", look_of_commit)


def test_so_is_a_commit() -> None:
    setup = tpc.commit_setup()
    _, acts = record(12, setup)
    trace: Trace[tpc.Server, tpc.Request, tpc.Message, tpc.Impatience, tpc.Record, tpc.Decision] = (
        Trace()
    )
    play(setup, acts, trace=trace)

    assert text(timeline(trace, COMMIT_VIEW).delivered, width=5).splitlines() == [
        "S1   S2   S3",
        "◆    │    │    S1 asks for votes",
        "◉───▶┼───▶│    Can you commit?",
        "◉◀───●────●    Yes",
        "◆    │    │    S1 knows that Commit is chosen",
        "●────┼───▶│    Commit",
        "│    │    ◆    S3 knows that Commit is chosen",
        "│    │    ◆    S3 takes its time to save",
        "●───▶│    │    Commit",
        "│    ◆    │    S2 knows that Commit is chosen",
        "◉    │    │    Commit",
        "│    │    ◆    S3 has saved, reports Commit",
        "◉    │    │    Yes",
        "●───▶│    │    Commit",
        "◆    │    │    S1 has its disk backed up",
        "│    ◆    │    S2 crashes",
        "│    ◆    │    S2 starts again",
    ]
