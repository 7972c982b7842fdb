"""The examination: its questions about Basic Paxos, as schedules on the stage.

Source: Ousterhout and Ongaro, the examination that goes with the lecture, questions 2, 5, 6 and 7.
The other four are about the log.

What happens without a rule is shown on a server that differs from the library's in that rule. Two
questions need a second change: the acceptor of the slides replaces what it holds by whatever it
accepts, and the library's own never replaces a proposal by one that is not higher. Another needs a
proposer that takes no notice of the proof that a number was used twice; the library's own stops.
"""

from __future__ import annotations

from attrs import evolve

from paxos import Accept, Accepted, Acceptor, Ballot, From, Message, Nack, Promise, Proposal, server
from paxos.proposer import Preparing
from paxos_lab.lecture.machine_stage import S1, S2, S3, S4, S5
from paxos_lab.lecture.scenarios import ALL
from paxos_lab.lecture.script import scenario
from paxos_lab.lecture.stage import Stage
from paxos_lab.machines import faulty
from paxos_lab.machines.protocols import Event, Protocol, Receive, Server, Step


def own_rounds_only(state: Server, event: Event) -> Step:
    """A proposer counts its own rounds, and none that it sees."""
    if type(event) is From:
        after, outbound = server.receive(state, event)
        seen_nothing = evolve(after.proposer, max_round=state.proposer.max_round)
        return evolve(after, proposer=seen_nothing), outbound
    after, outbound = server.receive(evolve(state, acceptor=Acceptor[str]()), event)
    return evolve(after, acceptor=state.acceptor), outbound


def replacing(receive: Receive) -> Receive:
    """The acceptor of the slides: what it accepts replaces what it held, whatever its number.

    The library's own keeps the higher of the two, and of two under one number the first.
    """

    def step(state: Server, event: Event) -> Step:
        if type(event) is not From or type(event.message) is not Accept:
            return receive(state, event)
        if event.message.ballot < state.acceptor.promised or state.learner.choice is not None:
            return receive(state, event)
        forgetful = evolve(state, acceptor=Acceptor[str](state.acceptor.promised))
        return receive(forgetful, event)

    return step


def heedless(state: Server, event: Event) -> Step:
    """A proposer that finds two values under one number keeps the first, and says nothing."""
    phase = state.proposer.phase
    if type(phase) is Preparing and type(event) is From and type(event.message) is Promise:
        found, held = event.message.accepted, phase.highest
        if found is not None and held is not None and found.ballot == held.ballot:
            event = From(event.sender, Promise(event.message.ballot, held))
    return server.receive(state, event)


SERVER_FIRST = Protocol(
    "server-first",
    "each server counts rounds of its own",
    own_rounds_only,
)
REPLACING = Protocol("replacing", "an acceptor replaces what it holds", replacing(server.receive))
HEEDLESS = Protocol("heedless", "a proposer takes no notice of a number used twice", heedless)
NOT_RAISED = Protocol(
    "not-raised",
    "an acceptor replaces what it holds, and does not raise its promise",
    replacing(faulty.promise_not_raised),
)


@scenario("Q2", "accepted-is-not-chosen")
def accepted_is_not_chosen(stage: Stage) -> None:
    """Accepting goes on after a choice.

    X is chosen under 5.1. Can anybody still accept Y? Yes: S4 and S5 have promised nothing
    above 3.4, so they accept the older Y. Two acceptances are no majority, and never will be.
    """
    stage.propose(S4, "Y", in_round=3)
    stage.deliver(S4, to=(S4, S5, S3))
    stage.propose(S1, "X", in_round=5)
    stage.both_phases(S1, to=(S1, S2, S3))
    stage.check("X is chosen", stage.chosen == ["X"])

    late = stage.deliver(S4, to=(S4, S5))
    stage.check("S4 and S5 then accept Y", late == (Accepted(Ballot(3, S4), "Y"),) * 2)
    refusal = stage.deliver(S4, to=(S3,))
    stage.check("S3 refuses it", refusal == (Nack(Ballot(3, S4), Ballot(5, S1)),))
    stage.check("X is still the only value chosen", stage.chosen == ["X"])


@scenario("Q5", "server-first", protocol=SERVER_FIRST)
def server_first(stage: Stage) -> None:
    """The server's id in the high digits.

    Let S5 draw rounds from 501 on, S4 from 401, S1 from 101: the server decides which number is
    higher. They are unique, so this is safe. But once S5 is dead, nobody gets above its number.
    """
    stage.propose(S5, "blue", in_round=501)
    stage.deliver(S5, to=ALL)
    stage.crash(S5)
    for me, value, lowest in (S1, "red", 101), (S4, "green", 401):
        stage.propose(me, value, in_round=lowest)
        for _ in range(2):
            stage.deliver(me, to=(S1, S2, S3, S4))
            stage.wake(me)
    tried = {me: stage.state(me).proposer.max_round for me in (S1, S4)}
    stage.check("S1 and S4 count on, below 501", tried == {S1: 103, S4: 403})
    stage.check("four servers of five are up, and get nothing chosen", stage.chosen == [])

    stage.restart(S5)
    stage.propose(S5, "blue")
    stage.both_phases(S5, to=(S3, S4, S5))
    stage.check("only S5 itself can go on, and it is safe", stage.chosen == ["blue"])


@scenario("Q6", "reused-and-found", protocol=HEEDLESS, servers=3)
def reused_and_found(stage: Stage) -> None:
    """A number used twice: two values to choose from.

    S1 loses its round in a crash and draws 1.1 again, for another value. S3 then finds two
    values under the same number, cannot know which one was chosen, and takes the wrong one.
    """
    stage.propose(S1, "v1")
    stage.deliver(S1, to=(S2, S3))  # not S1: its own acceptor would remember the number
    stage.deliver(S1, to=(S2,))
    stage.crash(S1)
    stage.restart(S1, round_lost=True)

    stage.propose(S1, "v2")
    stage.both_phases(S1, to=(S1, S3))
    stage.check("v2 is chosen, and S1 has said so", stage.knows(S1) == "v2")

    stage.propose(S3, "v3", in_round=2)
    found = stage.deliver(S3, to=(S2, S3))
    stage.check(
        "S3 finds v1 and v2, both under 1.1",
        found
        == tuple(Promise(Ballot(2, S3), Proposal(Ballot(1, S1), value)) for value in ("v1", "v2")),
    )
    stage.deliver(S3, to=(S2, S3))
    stage.check("agreement is broken: v1 is chosen too", stage.chosen == ["v2", "v1"])


def late_accept_under_a_number_used_again(stage: Stage) -> None:
    """S1 uses 1.1 twice, and the Accept of the first time arrives after the second."""
    stage.propose(S1, "v1")
    stage.deliver(S1, to=(S2, S3))
    late = stage.said(S1)
    stage.crash(S1)
    stage.restart(S1, round_lost=True)

    stage.propose(S1, "v2")
    stage.both_phases(S1, to=(S2, S3))
    stage.check("v2 is chosen, and S1 has said so", stage.knows(S1) == "v2")

    stage.tell(S1, "sent what follows before its crash")
    stage.arrive(S1, late, to=(S2, S3))
    stage.propose(S3, "v3", in_round=2)
    stage.both_phases(S3, to=(S2, S3))


@scenario("Q6", "reused-and-late", protocol=REPLACING, servers=3)
def reused_and_late(stage: Stage) -> None:
    """A number used twice: a late Accept.

    The other way: an Accept from before the crash comes late. Its number is the one that was
    promised, so nobody refuses it, and v1 replaces the v2 that is already chosen.
    """
    late_accept_under_a_number_used_again(stage)
    stage.check("S2 and S3 have given up v2", stage.holders("v2") == set())
    stage.check("S3 gets v1 chosen once more", stage.knows(S3) == "v1")
    stage.check("agreement is broken", set(stage.chosen) == {"v1", "v2"})


def old_accept_after_newer_choice(stage: Stage) -> tuple[Message[str], ...]:
    """S2 has not promised 2.5 when it accepts it. What S1, S2 answer to an older Accept then."""
    stage.propose(S1, "Y")
    stage.deliver(S1, to=(S1, S2, S3))
    stage.propose(S5, "X", in_round=2)
    stage.deliver(S5, to=(S3, S4, S5))
    stage.deliver(S5, to=(S2, S3, S5))
    stage.check("X is chosen by S2, S3 and S5", stage.chosen == ["X"])

    answers = stage.deliver(S1, to=(S1, S2))
    stage.propose(S3, "Z", in_round=3)
    stage.both_phases(S3, to=(S1, S2, S4))
    return answers


@scenario("Q7", "promise-raised")
def promise_raised(stage: Stage) -> None:
    """Accepting raises the promise.

    S2 has promised only 1.1 when it accepts 2.5. Accepting counts as a promise of 2.5, so the
    old Accept 1.1 is refused there, and a proposer that asks S2 still finds X.
    """
    answers = old_accept_after_newer_choice(stage)
    refusal = Nack(Ballot(1, S1), Ballot(2, S5))
    stage.check("S2 refuses the older Y", answers[1:] == (refusal,))
    stage.check("S3 finds X and keeps it", stage.knows(S3) == "X")
    stage.check("X is the only value chosen", stage.chosen == ["X", "X"])


@scenario("Q7", "promise-not-raised", protocol=NOT_RAISED)
def promise_not_raised(stage: Stage) -> None:
    """If accepting did not raise the promise.

    The same schedule without the rule. S2 still stands by its promise of 1.1 alone, accepts Y
    over X, and S3 finds no trace of X where it looks.
    """
    answers = old_accept_after_newer_choice(stage)
    stage.check("S2 accepts the older Y", answers[1:] == (Accepted(Ballot(1, S1), "Y"),))
    stage.check("S3 has found Y and not X", stage.knows(S3) == "Y")
    stage.check("agreement is broken", stage.chosen == ["X", "Y"])


QUESTIONS = (
    accepted_is_not_chosen,
    server_first,
    reused_and_found,
    reused_and_late,
    promise_raised,
    promise_not_raised,
)
