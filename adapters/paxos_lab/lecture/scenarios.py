"""Part 1 of the lecture, Basic Paxos: each heading as a schedule on the stage.

Source: Ousterhout and Ongaro, "Implementing Replicated Logs with Paxos", part 1.

- A schedule says what happens, in order; the servers decide what comes of it.
- It ends in claims about the run. One that does not hold ends it with ClaimFailed.
- Where the lecture has a flawed protocol, that one is played, and then Paxos.
"""

from __future__ import annotations

from paxos import Accept, Acceptor, Ballot, Message, Nack, Prepare, Promise, Proposal
from paxos_lab.lecture.machine_stage import S1, S2, S3, S4, S5
from paxos_lab.lecture.script import scenario
from paxos_lab.lecture.stage import Stage
from paxos_lab.machines.protocols import LECTURE
from paxos_lab.rules import CHOOSABLE

FIRST_VALUE_ONLY, ACCEPT_EVERYTHING, LOOK_FIRST = LECTURE
ALL = S1, S2, S3, S4, S5
THREE = S1, S2, S3
VOTES = (S1, "red", (S1, S2)), (S3, "blue", (S3,)), (S5, "green", (S4, S5))
"""Of each proposer: its value, and the acceptors that it reaches first."""


@scenario("1", "split-votes", protocol=FIRST_VALUE_ONLY)
def split_votes(stage: Stage) -> None:
    """Acceptors that keep the first value can stay split.

    An acceptor that never changes its mind seems safe. But three values can share five
    acceptors so that none has three, and then nothing can be chosen any more.
    """
    for me, value, first in VOTES:
        stage.propose(me, value)
        stage.deliver(me, to=first)
    late = [
        answer
        for me, _, first in VOTES
        for answer in stage.deliver(me, to=[other for other in ALL if other not in first])
    ]
    stage.check(
        "an acceptor that has a value refuses the others", {type(it) for it in late} == {Nack}
    )
    stage.check("nothing is chosen, and nothing can be", stage.chosen == [], breaks=CHOOSABLE)


@scenario("1", "change-of-mind", protocol=ACCEPT_EVERYTHING)
def change_of_mind(stage: Stage) -> None:
    """Accepting another value later ends the split.

    The way out: an acceptor may accept another value later. Here, too, three values are
    accepted and none is chosen. Then blue reaches S1 and S2, and they give up red.
    """
    for me, value, first in VOTES:
        stage.propose(me, value)
        stage.deliver(me, to=first)
    stage.check("three values are accepted, and none is chosen", stage.chosen == [])

    stage.deliver(S3, to=(S1, S2))
    stage.check("S1 and S2 gave up red", stage.holders("blue") == {S1, S2, S3})
    stage.check("blue is chosen", stage.chosen == ["blue"])


@scenario("2", "conflicting-choices", protocol=ACCEPT_EVERYTHING)
def conflicting_choices(stage: Stage) -> None:
    """Accepting everything chooses two values.

    The other extreme: acceptors that take whatever comes. A second majority can then choose
    a second value, because nobody looked whether there was a first.
    """
    stage.propose(S1, "red")
    stage.deliver(S1, to=(S1, S2, S3))
    stage.check("red is chosen", stage.chosen == ["red"])

    stage.propose(S5, "blue")
    stage.deliver(S5, to=(S3, S4, S5))
    stage.check("blue is chosen as well", stage.chosen == ["red", "blue"])


def old_write_after_new_look(stage: Stage) -> tuple[Message[str], ...]:
    """Both look while nothing is accepted; S1, which looked first, is answered by S1, S2, S3."""
    stage.propose(S1, "red")
    stage.deliver(S1, to=(S1, S2, S3))
    stage.propose(S5, "blue")
    stage.deliver(S5, to=(S3, S4, S5))
    answers = stage.deliver(S1, to=(S1, S2, S3))
    stage.deliver(S5, to=(S3, S4, S5))
    return answers


@scenario("3", "looking-first", protocol=LOOK_FIRST)
def looking_first(stage: Stage) -> None:
    """Looking before writing is not enough.

    A proposer that looks before it writes is still not safe: what it saw can be out of date
    by the time it writes. S1 and S5 both see nothing, and both go on.
    """
    old_write_after_new_look(stage)
    stage.check("red and blue are chosen", stage.chosen == ["red", "blue"])


@scenario("4", "proposal-numbers", servers=3)
def proposal_numbers(stage: Stage) -> None:
    """A number is unique, rises, and survives a crash.

    A number is a round and a server: 1.3 is round 1 of S3. Rounds compare first, and then
    servers. A server goes one above every round that it has seen, and saves that round
    before it uses it.
    """
    stage.propose(S1, "red")
    stage.deliver(S1, to=(S1, S2))
    stage.propose(S3, "blue")
    stage.deliver(S3, to=(S2, S3))
    stage.check(
        "in round 1 the server decides: 1.3 is above 1.1",
        stage.acceptor(S2).promised == Ballot(1, S3) and Ballot(1, S3) > Ballot(1, S1),
    )

    stage.deliver(S1, to=(S2, S3))
    stage.wake(S1)
    stage.check(
        "S1 is refused and draws 2.1, one round above",
        stage.said(S1) == Prepare(Ballot(2, S1)) and Ballot(2, S1) > Ballot(1, S3),
    )

    stage.crash(S1)
    stage.restart(S1)
    stage.propose(S1, "red")
    stage.deliver(S1, to=(S1, S2))
    stage.check(
        "after the crash it draws 3.1, and not 2.1 again",
        stage.acceptor(S2).promised == Ballot(3, S1),
    )


@scenario("4", "cut-off")
def cut_off(stage: Stage) -> None:
    """Numbers cut the older proposal off.

    The schedule of looking-first, with numbers. A look is now Prepare 1.5, and its answer
    promises to refuse all below. S3 has promised 1.5 and refuses 1.1: red comes too late.
    """
    answers = old_write_after_new_look(stage)
    refusal = Nack(Ballot(1, S1), Ballot(1, S5))
    stage.check("S3 has promised 1.5 and refuses 1.1", answers[2:] == (refusal,))
    stage.check("only blue is chosen", stage.chosen == ["blue"])


@scenario("5", "two-phases")
def two_phases(stage: Stage) -> None:
    """Look under a number, then write under it.

    Prepare asks for a promise and for what was accepted before; Accept asks to accept. A
    proposer goes on with the value of the highest number it was told, or else with its own.
    """
    stage.propose(S1, "older", in_round=3)
    stage.deliver(S1, to=(S1, S3, S4))
    stage.deliver(S1, to=(S1,))
    stage.propose(S2, "newer", in_round=4)
    stage.deliver(S2, to=(S2, S3, S4))
    stage.check(
        "S2 was told of nothing and proposes its own",
        stage.said(S2) == Accept(Ballot(4, S2), "newer"),
    )
    stage.deliver(S2, to=(S2,))

    stage.propose(S5, "own", in_round=5)
    found = stage.deliver(S5, to=(S1, S2, S3))
    stage.check(
        "S5 was told of 3.1 older and 4.2 newer",
        found[:2]
        == (
            Promise(Ballot(5, S5), Proposal(Ballot(3, S1), "older")),
            Promise(Ballot(5, S5), Proposal(Ballot(4, S2), "newer")),
        ),
    )
    stage.check("S5 goes on with newer", stage.said(S5) == Accept(Ballot(5, S5), "newer"))
    stage.deliver(S5, to=(S1, S2, S3))
    stage.crash(S1)
    stage.check(
        "what S1 answered is on its disk",
        stage.acceptor(S1) == Acceptor(Ballot(5, S5), Proposal(Ballot(5, S5), "newer")),
    )
    stage.check("newer is chosen", stage.chosen == ["newer"])


@scenario("6a", "already-chosen")
def already_chosen(stage: Stage) -> None:
    """Already chosen: the value is found and kept.

    X is chosen by S1, S2 and S3 under 3.1. S5 wants Y, but every majority that it can look at
    shares a server with that one: S3 tells it of X, and S5 proposes X.
    """
    stage.propose(S1, "X", in_round=3)
    stage.both_phases(S1, to=(S1, S2, S3))
    stage.propose(S5, "Y", in_round=4)
    stage.deliver(S5, to=(S3, S4, S5))
    stage.check("S5 gives up Y for X", stage.said(S5) == Accept(Ballot(4, S5), "X"))

    stage.deliver(S5, to=(S3, S4, S5))
    stage.check("both know that X is chosen", (stage.knows(S1), stage.knows(S5)) == ("X", "X"))
    stage.check("X is the only value chosen", stage.chosen == ["X", "X"])


@scenario("6b", "not-chosen-seen")
def not_chosen_seen(stage: Stage) -> None:
    """Not chosen, but seen: both succeed with it.

    Only S3 has accepted X when S5 looks. S5 cannot tell whether X is chosen, so it proposes X.
    The rest of S1's Accepts arrive late, and do no harm: they carry the same value.
    """
    stage.propose(S1, "X", in_round=3)
    stage.deliver(S1, to=(S1, S2, S3))
    stage.deliver(S1, to=(S3,))
    stage.propose(S5, "Y", in_round=4)
    stage.deliver(S5, to=(S3, S4, S5))
    stage.check("S5 gives up Y for X", stage.said(S5) == Accept(Ballot(4, S5), "X"))

    stage.deliver(S5, to=(S3, S4, S5))
    stage.deliver(S1, to=(S1, S2))
    stage.check("both proposers succeed, with X", stage.chosen == ["X", "X"])
    stage.check("both know it", (stage.knows(S1), stage.knows(S5)) == ("X", "X"))


@scenario("6c", "not-chosen-unseen")
def not_chosen_unseen(stage: Stage) -> None:
    """Not chosen, not seen: the older one gives way.

    S1 alone has accepted X, and S5 does not ask S1. S5 sees nothing and proposes Y. Its look has
    cut 3.1 off at S3, S4 and S5, so X can no longer be chosen, and S1 has to start over.
    """
    stage.propose(S1, "X", in_round=3)
    stage.deliver(S1, to=(S1, S2, S3))
    stage.deliver(S1, to=(S1,))
    stage.propose(S5, "Y", in_round=4)
    stage.deliver(S5, to=(S3, S4, S5))
    refusals = stage.deliver(S1, to=(S3, S4, S5))
    stage.check(
        "S3, S4 and S5 have promised 4.5 and refuse 3.1",
        refusals == (Nack(Ballot(3, S1), Ballot(4, S5)),) * 3,
    )

    stage.deliver(S5, to=(S3, S4, S5))
    stage.check("S5 gets Y chosen", stage.chosen == ["Y"])
    stage.wake(S1)
    stage.both_phases(S1, to=(S1, S2, S3))
    stage.check("S1 tries again, and adopts Y", stage.knows(S1) == "Y")
    stage.check("Y is the only value chosen", stage.chosen == ["Y", "Y"])


def block_each_other(stage: Stage, times: int) -> None:
    """S1 and S3 take turns: each looks again just before the other one writes."""
    stage.propose(S1, "red", in_round=3)
    stage.propose(S3, "blue", in_round=3)
    stage.deliver(S1, to=THREE)
    stage.deliver(S3, to=THREE)
    late, early = S1, S3
    for _ in range(times):
        stage.deliver(late, to=THREE)
        stage.wake(late)
        stage.deliver(late, to=THREE)
        late, early = early, late


@scenario("7", "livelock", servers=3)
def livelock(stage: Stage) -> None:
    """Two proposers block each other.

    Nothing wrong is ever chosen, but nothing need be chosen at all: each new number cuts the
    other proposer off between its two phases. Four times here, and nothing would end it.
    """
    block_each_other(stage, times=4)
    rounds = {stage.acceptor(me).promised.round for me in THREE}
    stage.check("the rounds have risen from 3 to 7", rounds == {7})
    stage.check(
        "nobody has accepted anything", not any(stage.acceptor(me).accepted for me in THREE)
    )
    stage.check("nothing is chosen", stage.chosen == [])


@scenario("7", "random-delay", servers=3)
def random_delay(stage: Stage) -> None:
    """Remedy 1: wait for a random time.

    A proposer that was refused waits for a random time before it starts over. Sooner or later
    one of the two draws a delay that is long enough for the other to finish.
    """
    block_each_other(stage, times=1)
    stage.deliver(S3, to=THREE)
    stage.tell(S3, "draws a long delay")
    stage.deliver(S1, to=(S1, S2))
    stage.check("S1 finishes while S3 waits", stage.chosen == ["red"])

    stage.wake(S3)
    stage.both_phases(S3, to=(S2, S3))
    stage.check("S3 finds red and completes it", stage.knows(S3) == "red")
    stage.check("red is the only value chosen", stage.chosen == ["red", "red"])


@scenario("7", "leader", servers=3)
def leader(stage: Stage) -> None:
    """Remedy 2: let a leader propose.

    If only one server proposes at a time, nobody is in its way. Here the highest server with
    heartbeats leads; S1 has received those of S3 and waits. The rule is a hint: safety never
    rests on it.
    """
    stage.propose(S1, "red", in_round=3)
    stage.propose(S3, "blue", in_round=3)
    stage.deliver(S1, to=THREE)
    stage.deliver(S3, to=THREE)
    stage.beat(S3, to=(S1,))
    stage.deliver(S1, to=THREE)
    stage.wake(S1)
    stage.check("S1 draws no new number", stage.state(S1).proposer.max_round == 3)

    stage.deliver(S3, to=(S2, S3))
    stage.deliver(S3, to=(S1,))
    stage.check("the leader gets blue chosen", stage.chosen == ["blue"])
    stage.check("S1 is told, and done", stage.knows(S1) == "blue")


@scenario("8", "who-knows")
def who_knows(stage: Stage) -> None:
    """Only the proposer knows; others ask or are told.

    S2 and S3 have accepted red, but cannot tell that it is chosen: the votes went to S1.
    Another server runs the protocol itself and finds the same value, or it is told.
    """
    stage.propose(S1, "red")
    stage.both_phases(S1, to=(S1, S2, S3))
    knowing = {me for me in ALL if stage.knows(me) is not None}
    stage.check("red is chosen, and only S1 knows it", knowing == {S1})

    stage.inquire(S4, in_round=2)
    stage.both_phases(S4, to=(S3, S4, S5))
    stage.check("S4 runs the protocol and learns red", stage.knows(S4) == "red")

    stage.deliver(S1, to=(S2,))
    stage.check("S2 is told", stage.knows(S2) == "red")
    stage.inquire(S5, in_round=3)
    stage.deliver(S5, to=(S2,))
    stage.check("S5 asks only S2, and is told in turn", stage.knows(S5) == "red")


@scenario("8", "reader")
def reader(stage: Stage) -> None:
    """A reader completes a value that may be chosen.

    S4 only wants to read, and finds red at S3 alone. It cannot tell whether the others had
    accepted red, so it gets red chosen before it says so: the next reader finds the same.
    """
    stage.propose(S1, "red")
    stage.deliver(S1, to=(S1, S2, S3))
    stage.deliver(S1, to=(S3,))
    stage.check("red is accepted once, and not chosen", stage.chosen == [])

    stage.inquire(S4, in_round=2)
    stage.both_phases(S4, to=(S3, S4, S5))
    stage.check("S4 has completed red, and knows it", stage.knows(S4) == "red")
    stage.check("red is the only value chosen", stage.chosen == ["red"])


PART_1 = (
    split_votes,
    change_of_mind,
    conflicting_choices,
    looking_first,
    proposal_numbers,
    cut_off,
    two_phases,
    already_chosen,
    not_chosen_seen,
    not_chosen_unseen,
    livelock,
    random_delay,
    leader,
    who_knows,
    reader,
)
