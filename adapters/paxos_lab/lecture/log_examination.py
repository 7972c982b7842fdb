"""The examination: its questions about the log, as schedules on the stage of a log.

Source: Ousterhout and Ongaro, the examination that goes with the lecture, questions 1, 3, 4, 5 and
8. The other three are about one decision, and so is a schedule of question 5.

What happens without a rule is shown on a replica that differs from the library's in that rule.
"""

from __future__ import annotations

from attrs import evolve

from paxos import AfterSave, Saved, ServerId, UnknownServer
from paxos.ballot import NO_BALLOT
from paxos.log import CampaignTimer, Heartbeat, Lead, Prepare, Replica, replica
from paxos.log import memory as memories
from paxos.log.events import Event
from paxos.log.replica import Step
from paxos_adapters.log import LogProcess
from paxos_adapters.machine import Process
from paxos_lab.lecture.log_stage import RULES, LogStage
from paxos_lab.lecture.machine_stage import S1, S2, S3, S4, S5
from paxos_lab.lecture.multi_paxos import ALL, OLD, changed_with_no_ops
from paxos_lab.lecture.script import log_scenario
from paxos_lab.machines.faulty_log import LOG_PROTOCOLS
from paxos_lab.machines.log_protocols import LOG, LogProtocol
from paxos_lab.rules import CHOOSABLE


def id_first(state: Replica[str], event: Event[str]) -> Step[str]:
    """Each server draws its rounds from a hundred of its own, and counts no others."""
    if type(event) is not Lead and type(event) is not CampaignTimer:
        after, outbound = replica.receive(state, event)
        return evolve(after, max_round=state.max_round), outbound
    own = max(state.max_round, 100 * state.me)
    memory = evolve(state.memory, promised=NO_BALLOT)
    unaware: LogProcess[str] = Process(evolve(state, memory=memory, max_round=own), ())
    machine = LOG.machine(RULES)
    waiting, free = machine.take(unaware, event)
    done, freed = machine.saved(waiting, Saved(waiting.unsaved))
    promised = max(state.memory.promised, done.state.memory.promised)
    memory = evolve(done.state.memory, promised=promised)
    return evolve(done.state, memory=memory), AfterSave(memories.delta(memory), free + freed)


ANY_BALLOT = LOG_PROTOCOLS["first-believed"]
ID_FIRST = LogProtocol("id-first", "each server counts rounds of its own", id_first)


@log_scenario("Q1", "holes-and-order")
def holes_and_order(stage: LogStage) -> None:
    """Logs may have holes, and numbers that fall.

    Can an acceptor hold entries for slots 1 and 3, and none for slot 2? Can the number of slot 1 be
    higher than that of slot 3? Yes, both at once.
    """
    stage.lead(S1, to=(S1, S2))
    for entry, to in ("a", (S2,)), ("b", (S1,)), ("c", (S2,)):
        stage.propose(S1, entry, to=to)
    stage.check("S2 has missed slot 2", stage.accepted(S2) == {1: "1.1 a", 3: "1.1 c"})

    stage.lead(S3, to=(S2, S3))
    stage.deliver_slots(S3, 1, to=(S2,))
    stage.check("slot 1 now has the higher number", stage.accepted(S2) == {1: "1.3 a", 3: "1.1 c"})
    stage.deliver_slots(S3, 1, 2, 3, to=(S2, S3))
    stage.check("all three slots are chosen", stage.log(S3) == {1: "a", 2: "no-op", 3: "c"})


@log_scenario("Q3", "rounds-of-prepare")
def rounds_of_prepare(stage: LogStage) -> None:
    """How often a new leader prepares.

    In the lecture at least once, and at most once for each slot that is accepted and not known to
    be chosen, and once more. A promise here holds a piece, so it is once for each piece.
    """
    stage.lead(S1, to=(S1, S2))
    for entry in "abc":
        stage.propose(S1, entry, to=(S2,))
    stage.lead(S3, to=(S2, S3))
    asked = [it.slot for it in stage.messages(Prepare, S3, S2)]
    stage.check("S3 asks S2 from slot 1 on, and then from 3 on", asked == [1, 3])
    stage.deliver_slots(S3, 1, 2, 3, to=(S2, S3))
    stage.check("it completes what it has found", list(stage.log(S3).values()) == ["a", "b", "c"])


def mark_over_another_entry(stage: LogStage) -> None:
    """S1 holds X in slot 1, where Y is chosen, and S2 asks it to accept Z for slot 2."""
    stage.lead(S1, to=(S1, S2))
    stage.propose(S1, "X", to=(S1,))
    stage.lead(S2, to=(S2, S3))
    stage.propose(S2, "Y", to=(S2, S3))
    stage.check("Y is chosen in slot 1", stage.chosen(1) == ["Y"])
    stage.propose(S2, "Z", to=ALL)


@log_scenario("Q4", "exact-ballot")
def exact_ballot(stage: LogStage) -> None:
    """Chosen is believed of the exact number alone.

    S2 says under 2.2 that all below slot 2 is chosen. S1 holds X there, under 1.1. That is not what
    S2 speaks of, so S1 asks.
    """
    mark_over_another_entry(stage)
    stage.check("S1 believes nothing of X", stage.accepted(S1) == {1: "1.1 X", 2: "2.2 Z"})
    stage.beat(S3, to=(S2,))
    stage.beat(S2, to=(S1,))
    stage.check("S1 asks, and learns Y", stage.log(S1) == {1: "Y", 2: "Z"})


@log_scenario("Q4", "any-ballot", protocol=ANY_BALLOT)
def believed_of_any_ballot(stage: LogStage) -> None:
    """If chosen were believed of any number.

    The same schedule without the rule. S1 takes X for chosen, although Y is, and tells its program
    so.
    """
    mark_over_another_entry(stage)
    stage.check("S1 runs X in slot 1", stage.log(S1) == {1: "X"})
    stage.check("S2 runs Y there", stage.log(S2) == {1: "Y", 2: "Z"})


@log_scenario("Q5", "log-server-first", protocol=ID_FIRST)
def log_server_first(stage: LogStage) -> None:
    """The server's id in the high digits, of a log.

    Rounds of S1 begin at 101, those of S3 at 301. S3 has led and is dead. Nothing unsafe happens,
    but no other server leads: the promise of 301.3 holds for every slot.
    """
    stage.lead(S3, to=ALL)
    stage.propose(S3, "a", to=ALL)
    stage.crash(S3)
    for me in S1, S2, S1:
        stage.lead(me, to=(S1, S2))
    stage.check("two of three are up, and neither leads", not stage.leads(S1) | stage.leads(S2))
    stage.check("they have tried, under 102.1 and 201.2", stage.state(S1).max_round == 102)

    stage.restart(S3)
    stage.lead(S3, to=(S2, S3))
    stage.deliver_slots(S3, 1, to=(S2, S3))
    stage.check("only S3 goes on, with the same entry", stage.log(S3) == {1: "a"})


def may_lead(stage: LogStage, me: ServerId) -> bool:
    """Whether ``me`` takes itself for a member."""
    try:
        stage.lead(me, to=())
    except UnknownServer:
        return False
    return True


@log_scenario("Q8", "change-too-early", servers=5, members=OLD)
def change_too_early(stage: LogStage) -> None:
    """A change that is called finished too early.

    The change to S3, S4 and S5 is chosen, and so is every slot of the old members. S1 and S2 are
    shut down, and S3 is lost. Two of three new members are up, and no server can tell them.
    """
    changed_with_no_ops(stage)
    stage.check("slots 1 to 4 are chosen", list(stage.log(S1)) == [1, 2, 3, 4])
    for me in OLD:
        stage.crash(me)
    for me in S4, S5:
        stage.beat(me, to=(S4, S5))
    stage.check("S4 and S5 know nothing", stage.log(S4) == stage.log(S5) == {})
    is_member = may_lead(stage, S4) or may_lead(stage, S5)
    stage.check("they do not even know that they are members", not is_member, breaks=CHOOSABLE)


@log_scenario("Q8", "change-finished", servers=5, members=OLD)
def change_finished(stage: LogStage) -> None:
    """When a change is finished.

    Once a quorum of the new members has said, by heartbeat, that it knows all slots of the old
    ones. The old ones go on answering until then. After that, the same losses do no harm.
    """
    changed_with_no_ops(stage)
    for me in S4, S5:
        stage.beat(me, to=(S2,))
    stage.beat(S1, to=(S4, S5))
    for me in S4, S5:
        stage.beat(me)
    said = [stage.said(me) for me in (S4, S5)]
    known = [it.first for it in said if type(it) is Heartbeat]
    stage.check("S4 and S5 say that they know all below slot 5", known == [5, 5])
    for me in OLD:
        stage.crash(me)

    stage.lead(S4, to=(S4, S5))
    stage.propose(S4, "a", to=(S4, S5))
    stage.check("S4 and S5 go on without the others", stage.chosen(5) == ["a"])


LOG_QUESTIONS = (
    holes_and_order,
    rounds_of_prepare,
    exact_ballot,
    believed_of_any_ballot,
    log_server_first,
    change_too_early,
    change_finished,
)
