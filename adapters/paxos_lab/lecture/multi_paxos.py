"""Part 2 of the lecture, Multi-Paxos: each heading as a schedule on the stage of a log.

Source: Ousterhout and Ongaro, "Implementing Replicated Logs with Paxos", part 2.

- A schedule says what happens, in order; the servers decide what comes of it.
- It ends in claims about the run. One that does not hold ends it with ClaimFailed.
- The authors write that their part 2 "has not been implemented or proven correct". Where this log
  departs from their summary, the text says so.
"""

from __future__ import annotations

from attrs import evolve

from paxos import From, ServerId, majority
from paxos.log import (
    CatchUp,
    CatchUpRequest,
    Change,
    Noop,
    NotLeading,
    Prepare,
    Replica,
    leader,
    replica,
    sessions,
)
from paxos.log.events import Event
from paxos.log.leader import Leading
from paxos.log.replica import Step
from paxos.log.sessions import OpenSession, Outcome, Result, SessionCommand, Sessions
from paxos_lab.lecture.log_stage import LogStage
from paxos_lab.lecture.machine_stage import S1, S2, S3, S4, S5
from paxos_lab.lecture.script import log_scenario
from paxos_lab.machines.log_protocols import LogProtocol

ALL = S1, S2, S3
OLD, NEW = (S1, S2, S3), (S3, S4, S5)


def speaks_on(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader that learns what a higher ballot has chosen leads on."""
    after, outbound = replica.receive(state, event)
    is_caught_up = type(event) is From and type(event.message) is CatchUp
    if is_caught_up and type(state.role) is Leading:
        moved = after.memory.first - state.memory.first
        return evolve(after, role=leader.dropped(state.role, moved)), outbound
    return after, outbound


def unasked(state: Replica[str], event: Event[str]) -> Step[str]:
    """A leader takes every server for one that has promised."""
    after, outbound = replica.receive(state, event)
    if type(after.role) is Leading:
        after = evolve(after, role=evolve(after.role, promised=frozenset((*OLD, *NEW))))
    return after, outbound


UNASKED = LogProtocol("unasked", "a leader goes on where other quorums govern", unasked)
SPEAKS_ON = LogProtocol("speaks-on", "a leader that learns from a higher ballot goes on", speaks_on)


# --- 9. Selecting log entries ---------------------------------------------------------------------


@log_scenario("9", "next-slot")
def next_slot(stage: LogStage) -> None:
    """A command takes the first slot that is free.

    S1 begins to lead with S2 alone. It finds cmp at S2 and sub at itself, and completes both.
    Its own command takes the next slot. S3, which is down, has accepted ret there.
    """
    stage.lead(S3, to=ALL)
    for entry, to in ("mov", ALL), ("add", ALL), ("cmp", (S2,)), ("sub", (S1,)), ("ret", (S3,)):
        stage.propose(S3, entry, to=to)
    stage.crash(S3)

    stage.lead(S1, to=(S1, S2))
    stage.propose(S1, "jmp")
    stage.deliver_slots(S1, 3, 4, 5, to=(S1, S2))
    stage.check("cmp and sub keep their slots", stage.chosen(3) + stage.chosen(4) == ["cmp", "sub"])
    stage.check("jmp is chosen in slot 5", stage.chosen(5) == ["jmp"])

    stage.restart(S3)
    stage.check("S3 comes back with ret in slot 5", stage.accepted(S3) == {5: "1.3 ret"})
    stage.beat(S2, to=(S1,))
    stage.beat(S1, to=(S3,))
    stage.check("S3 is told what is chosen, and gives up ret", stage.log(S3) == stage.log(S1))


@log_scenario("9", "pipelined")
def pipelined(stage: LogStage) -> None:
    """Many slots at once, one order.

    A leader asks for the next slot before the last one is chosen. Slots may be chosen out of order,
    but their commands run in order. A window bounds how many slots are open: here, four.
    """
    stage.lead(S1, to=ALL)
    for entry in "abcd":
        stage.propose(S1, entry)
    stage.check("four slots are open, and there is no room", replica.room(stage.state(S1)) == 0)

    stage.deliver_slots(S1, 2, 3, to=(S1, S2))
    stage.check("b and c are chosen", stage.chosen(2) + stage.chosen(3) == ["b", "c"])
    stage.check("S1 may not run them: slot 1 is open", stage.log(S1) == {})
    stage.deliver_slots(S1, 1, to=(S1, S2))
    stage.check("with slot 1, three are run in order", stage.log(S1) == {1: "a", 2: "b", 3: "c"})
    stage.check("there is room for three more", replica.room(stage.state(S1)) == 3)


# --- 10. Leader election --------------------------------------------------------------------------


@log_scenario("10", "silent-leader")
def silent_leader(stage: LogStage) -> None:
    """A silent leader is replaced.

    Every T, each server says which leader it follows. In the lecture the highest id leads. Here, a
    server campaigns if a quorum reaches it, and no server of that quorum has a leader.
    """
    stage.lead(S1, to=ALL)
    for me in (S2, S3, S1):
        stage.beat(me, to=ALL)
    stage.crash(S1)
    for _ in range(2):
        for me in (S2, S3):
            stage.beat(me, to=(S2, S3))
    stage.check("after two intervals both still follow S1", stage.campaigning == set())

    for me in (S2, S3):
        stage.beat(me, to=(S2, S3))
    stage.check("after a third, S3 knows that S2 has no leader either", stage.campaigning == {S3})
    stage.campaign(S3, to=(S2, S3))
    stage.propose(S3, "a", to=(S2, S3))
    stage.check("S3 leads, and gets a chosen", stage.chosen(1) == ["a"])


@log_scenario("10", "two-leaders")
def two_leaders(stage: LogStage) -> None:
    """Two leaders at once are safe.

    The election is a hint. S1 is cut off and does not notice that S3 has taken over. Both propose
    for slot 2, and the promises of S2 and S3 decide: safety never rests on who leads.
    """
    stage.lead(S1, to=ALL)
    stage.propose(S1, "a", to=ALL)
    stage.lead(S3, to=(S2, S3))
    stage.check("two servers believe that they lead", stage.leads(S1) and stage.leads(S3))

    stage.deliver_slots(S3, 1, to=(S2, S3))
    stage.propose(S1, "b", to=(S1,))
    stage.propose(S3, "c", to=(S2, S3))
    stage.check("c is chosen in slot 2", stage.chosen(2) == ["c"])
    stage.deliver_slots(S1, 2, to=(S2,))
    stage.check("S2 refuses b, and S1 leads no more", not stage.leads(S1))
    stage.check("c is the only entry of slot 2", stage.chosen(2) == ["c"])


# --- 11. Eliminating Prepares ---------------------------------------------------------------------


@log_scenario("11", "one-prepare")
def one_prepare(stage: LogStage) -> None:
    """One Prepare for all slots.

    A promise holds for the whole log, and says what is accepted from a slot on. After the last
    piece of a quorum, a command takes one round trip. A refusal ends that.
    """
    stage.lead(S1, to=(S1, S2))
    for entry in "abc":
        stage.propose(S1, entry, to=(S1, S2))
    stage.check("three commands are chosen", stage.log(S1) == {1: "a", 2: "b", 3: "c"})
    stage.check("S1 has sent one Prepare to S2", len(stage.messages(Prepare, S1, S2)) == 1)

    stage.lead(S3, to=(S2, S3))
    stage.propose(S1, "d", to=(S1, S2))
    stage.check("S2 has promised more, and S1 has to prepare again", not stage.leads(S1))
    stage.check("d is not chosen", stage.chosen(4) == [])


@log_scenario("11", "hole-filled")
def hole_filled(stage: LogStage) -> None:
    """A hole is filled with a no-op.

    S1 has asked for slots 1 to 3, and its request for slot 2 is lost with it. S3 finds a and c, and
    nothing in between. Commands run in order, so it proposes an entry that does nothing.
    """
    stage.lead(S1, to=(S1, S2))
    stage.propose(S1, "a", to=(S1, S2))
    stage.propose(S1, "b")
    stage.propose(S1, "c", to=(S2,))
    stage.crash(S1)
    stage.check("S2 has a hole in slot 2", stage.accepted(S2) == {3: "1.1 c"})

    stage.lead(S3, to=(S2, S3))
    stage.deliver_slots(S3, 2, 3, to=(S2, S3))
    stage.check("slot 2 holds a no-op", stage.chosen(2) == ["no-op"])
    stage.check("S3 can run c", stage.log(S3) == {1: "a", 2: "no-op", 3: "c"})


# --- 12. Full disclosure --------------------------------------------------------------------------


@log_scenario("12", "accepts-retried")
def accepts_retried(stage: LogStage) -> None:
    """A request is sent again until it is answered.

    In the lecture, until every acceptor has answered. Here, until the slot is chosen: a server that
    has missed it asks for it later.
    """
    stage.lead(S1, to=ALL)
    for me in (S2, S3, S1):
        stage.beat(me, to=ALL)
    stage.propose(S1, "a", to=(S1,))
    stage.check("the request is lost on its way to S2 and S3", stage.chosen(1) == [])

    stage.beat(S1, to=(S2,))
    stage.check("it may still be on its way: S1 waits for a whole T", stage.chosen(1) == [])
    stage.beat(S2, to=(S1,))
    stage.beat(S1, to=(S2,))
    stage.check("S1 has asked S2 again", stage.log(S1) == {1: "a"})


@log_scenario("12", "first-unchosen")
def first_unchosen(stage: LogStage) -> None:
    """What is chosen is told with the next request.

    Each Accept says below which slot all is chosen. An acceptor believes that of what it holds
    under the same ballot, and needs no message of its own for it.
    """
    stage.lead(S1, to=ALL)
    stage.propose(S1, "a", to=ALL)
    stage.check("only S1 knows that a is chosen", (stage.log(S1), stage.log(S2)) == ({1: "a"}, {}))
    stage.propose(S1, "b", to=ALL)
    stage.check("S2 and S3 know it with b", stage.log(S2) == stage.log(S3) == {1: "a"})
    stage.beat(S2, to=(S1,))
    stage.beat(S1, to=(S2, S3))
    stage.check("b is told by the next heartbeat", stage.log(S2) == {1: "a", 2: "b"})


@log_scenario("12", "catch-up")
def catch_up(stage: LogStage) -> None:
    """A server that is behind asks until it is level.

    The lecture's leader sends Success for one entry after the other. Here, the server that is
    behind asks, and gets what is chosen in pieces, here of two.
    """
    stage.lead(S1, to=(S1, S2))
    for entry in "abc":
        stage.propose(S1, entry, to=(S1, S2))
    stage.beat(S2, to=(S1,))
    stage.check("S3 has missed all of it", (stage.log(S3), stage.accepted(S3)) == ({}, {}))

    stage.beat(S1, to=(S3,))
    asked = [it.first for it in stage.messages(CatchUpRequest)]
    stage.check("S3 asks from slot 1 on, then from 3, and from 4", asked == [1, 3, 4])
    stage.check("it knows what S1 knows, and has voted for nothing", stage.log(S3) == stage.log(S1))


@log_scenario("12", "chosen-stays")
def chosen_stays(stage: LogStage) -> None:
    """What is known to be chosen is not accepted again.

    In the lecture's summary an Accept can overwrite the mark of a chosen entry, and
    firstUnchosenIndex goes back. Here, an acceptor answers with what is chosen.
    """
    stage.lead(S1, to=ALL)
    stage.propose(S1, "a", to=ALL)
    stage.beat(S2, to=(S1,))
    stage.beat(S1)
    stage.lead(S3, to=(S2, S3))
    stage.check("S3 does not know that a is chosen", stage.accepted(S3) == {1: "1.1 a"})

    stage.deliver_slots(S3, 1, to=(S1,))
    stage.check("S1 accepts nothing below its first open slot", stage.memory(S1).first == 2)
    stage.check("it still knows that a is chosen", stage.log(S1) == {1: "a"})
    stage.check("S3 is told so", stage.log(S3) == {1: "a"})


def old_answer_to_a_leader(stage: LogStage) -> None:
    """S1 leads, and is told by an old answer what S5 has got chosen for a slot that is open at S1.

    S1 has X in slot 2 at S1 and S2. Y is chosen there by S3, S4 and S5.
    """
    stage.lead(S4, to=(S3, S4, S5))
    stage.propose(S4, "A", to=(S3, S4, S5))
    for me in (S3, S5, S4):
        stage.beat(me, to=(S4,))
    asked = stage.arrive(S4, stage.said(S4), to=(S1,))
    stage.lead(S1, to=(S1, S2, S3))
    stage.deliver_slots(S1, 1, to=(S1, S2, S3))
    stage.propose(S1, "X", to=(S1, S2))
    stage.lead(S5, to=(S3, S4, S5))
    stage.propose(S5, "Y", to=(S3, S4, S5))
    stage.propose(S5, "W", to=(S4,))
    stage.check("Y is chosen in slot 2", stage.chosen(2) == ["Y"])

    stage.check("S1 leads, and has asked S4 long ago", stage.leads(S1))
    for it in asked:
        stage.exchange(S1, it.message, to=(S4,))
    stage.check("S4 answers that Y is chosen", stage.log(S1) == {1: "A", 2: "Y"})


@log_scenario("12", "learned-from-above", servers=5)
def learned_from_above(stage: LogStage) -> None:
    """Learning from a higher ballot ends a leadership.

    S1 leads under 2.1 when an old answer tells it of Y, chosen under 2.5. If it went on, "all below
    3 is chosen" would have the wrong ballot: S2 holds X there, under 2.1.
    """
    old_answer_to_a_leader(stage)
    stage.check("S1 leads no more", not stage.leads(S1))
    stage.check("S2 does not know what is chosen in slot 2", stage.log(S2) == {1: "A"})


@log_scenario("12", "speaks-on", protocol=SPEAKS_ON, servers=5)
def speaks_on_under_its_ballot(stage: LogStage) -> None:
    """If it went on under its own ballot.

    The same schedule without the rule. S1 goes on with slot 3, and says under 2.1 that all below is
    chosen. S2 holds X under just that ballot, and believes it.
    """
    old_answer_to_a_leader(stage)
    stage.propose(S1, "Z", to=(S2,))
    stage.check("S2 takes X for chosen", stage.log(S2) == {1: "A", 2: "X"})
    stage.check("two servers hold different logs", stage.log(S1) == {1: "A", 2: "Y"})


# --- 13. Client protocol --------------------------------------------------------------------------


def leader_named_by(stage: LogStage, me: ServerId) -> ServerId | None:
    """Which server ``me`` names to a client that wants a command chosen."""
    try:
        stage.propose(me, "a")
    except NotLeading as refusal:
        return refusal.leader
    return me


@log_scenario("13", "redirect")
def redirect(stage: LogStage) -> None:
    """A server that does not lead names the leader.

    A client may ask any server. One that does not lead refuses, changes nothing, and says which
    server it follows.
    """
    stage.check("before an election, S2 knows no leader", leader_named_by(stage, S2) is None)
    stage.lead(S1, to=ALL)
    stage.check("S2 names S1", leader_named_by(stage, S2) == S1)
    stage.check("S1 takes the command", leader_named_by(stage, S1) == S1)
    stage.deliver_slots(S1, 1, to=ALL)
    stage.check("it is chosen once", stage.log(S1) == {1: "a"})


def add(total: int, number: int) -> tuple[int, int]:
    """The state machine: a counter. The result is the total."""
    return total + number, total + number


def counted(log: dict[int, str]) -> tuple[int, list[Outcome[int]]]:
    """What a server has after it has run ``log``: the total, and the result of each slot.

    A command is text such as ``+5 #1``, number 1 of the session that slot 1 opens.
    """
    table, total, outcomes = Sessions[int](), 0, list[Outcome[int]]()
    for slot, text in log.items():
        command: sessions.Command[int] = OpenSession()
        if "#" in text:
            amount, number = text.split(" #")
            command = SessionCommand(1, int(number), 1, int(amount))
        table, total, outcome = sessions.apply(add, table, total, slot, command)
        outcomes.append(outcome)
    return total, outcomes


@log_scenario("13", "exactly-once")
def exactly_once(stage: LogStage) -> None:
    """A command that comes again is answered, not run.

    S1 gets +5 chosen and crashes before it answers. The client sends it again, to S3, with the same
    number. It is chosen twice, and each server finds the first result in its table.
    """
    stage.lead(S1, to=ALL)
    stage.propose(S1, "open session", to=ALL)
    stage.propose(S1, "+5 #1", to=ALL)
    stage.crash(S1)
    stage.check("+5 is chosen, and the client has no answer", stage.chosen(2) == ["+5 #1"])

    stage.lead(S3, to=(S2, S3))
    stage.propose(S3, "+5 #1")
    stage.propose(S3, "+2 #2")
    stage.deliver_slots(S3, 2, 3, 4, to=(S2, S3))
    stage.check("+5 is chosen again, in slot 3", stage.chosen(3) == ["+5 #1"])
    total, outcomes = counted(stage.log(S3))
    stage.check("both are answered with 5", outcomes[1:3] == [Result(5), Result(5)])
    stage.check("the counter stands at 7: +5 was run once", total == 7)


# --- 14. Configuration changes --------------------------------------------------------------------


def changed_with_no_ops(stage: LogStage) -> None:
    """S1 gets the change to NEW chosen in slot 1, and no-ops up to the last slot of OLD."""
    stage.lead(S1, to=OLD)
    stage.propose(S1, Change(majority(NEW)), to=OLD)
    for _ in range(3):
        stage.propose(S1, Noop(), to=OLD)


@log_scenario("14", "change-by-window", servers=5, members=OLD)
def change_by_window(stage: LogStage) -> None:
    """A change of members governs a window later.

    The change stands in slot 1, and the window is 4. So S1, S2 and S3 decide slots 2 to 4, and S3,
    S4 and S5 all from slot 5 on. No-ops bring the log there without waiting for commands.
    """
    changed_with_no_ops(stage)
    stage.check("the old members have decided slots 1 to 4", list(stage.log(S1)) == [1, 2, 3, 4])
    stage.check("S1 has no promises for slot 5", replica.room(stage.state(S1)) == 0)

    stage.beat(S4, to=(S2,))
    stage.check("S4 is new, and asks for what is chosen", list(stage.log(S4)) == [1, 2, 3])
    stage.lead(S3, to=(S3, S4))
    stage.check("S3 needs promises of both majorities", not stage.leads(S3))
    stage.exchange(S3, stage.said(S3), to=(S2,))
    stage.check("with S2 it has them, and leads", stage.leads(S3))
    stage.deliver_slots(S3, 4, to=(S2, S3))
    stage.propose(S3, "a", to=(S3, S4))
    voters = [it.voters for it in stage.choices if it.slot == 5]
    stage.check("S3 and S4 have decided slot 5", voters == [frozenset((S3, S4))])


def leader_of_the_old_members(stage: LogStage) -> None:
    """S3 and S4 decide slot 5. S1 leads by the promises of S1 and S2, which know of no change."""
    stage.lead(S3, to=OLD)
    stage.propose(S3, Change(majority(NEW)))
    for _ in range(3):
        stage.propose(S3, Noop())
    stage.deliver_slots(S3, 1, 2, 3, to=OLD)
    stage.deliver_slots(S3, 4, to=(S3,))
    for me in (S4, S4, S5, S5):  # They ask one old member after the other: S2, and then S3.
        stage.beat(me, to=(S3,))
    stage.deliver_slots(S3, 4, to=(S1, S2))
    stage.lead(S3, to=(S3, S4))
    stage.propose(S3, "b", to=(S3, S4))
    stage.check("S3 and S4 choose b in slot 5", stage.chosen(5) == ["b"])

    stage.lead(S1, to=(S1,))
    stage.lead(S1, to=(S1, S2))
    stage.deliver_slots(S1, 1, 2, 3, 4, to=(S1, S2))
    stage.check(
        "S1 leads under 3.1, and completes slots 1 to 4", list(stage.log(S1)) == [*range(1, 5)]
    )


@log_scenario("14", "new-quorums", servers=5, members=OLD)
def new_quorums(stage: LogStage) -> None:
    """A leader stops where its promises end.

    S1 leads by promises of old members, and finds the change in slot 1 itself. From slot 5 on the
    new members govern, and they have promised it nothing. It has to prepare there.
    """
    leader_of_the_old_members(stage)
    stage.check("S1 has no room for slot 5", replica.room(stage.state(S1)) == 0)
    stage.beat(S1)
    stage.check("at the next heartbeat it leads no more", not stage.leads(S1))
    stage.check("b is the only entry of slot 5", stage.chosen(5) == ["b"])


@log_scenario("14", "new-quorums-unasked", protocol=UNASKED, servers=5, members=OLD)
def new_quorums_unasked(stage: LogStage) -> None:
    """If it went on without new promises.

    The same schedule without the rule. S1 has not asked S3, S4 or S5 what is accepted in slot 5.
    Its number is higher than that of b, so S4 gives up b, and a is chosen as well.
    """
    leader_of_the_old_members(stage)
    stage.propose(S1, "a", to=(S1, S4, S5))
    stage.check("agreement is broken", stage.chosen(5) == ["b", "a"])


PART_2 = (
    next_slot,
    pipelined,
    silent_leader,
    two_leaders,
    one_prepare,
    hole_filled,
    accepts_retried,
    first_unchosen,
    catch_up,
    chosen_stays,
    learned_from_above,
    speaks_on_under_its_ballot,
    redirect,
    exactly_once,
    change_by_window,
    new_quorums,
    new_quorums_unasked,
)
