"""Questions of the lecture's examination about Multi-Paxos, as schedules of messages.

Source: Ousterhout and Ongaro, "Implementing Replicated Logs with Paxos", part 2, and the questions
of their user study.
"""

from __future__ import annotations

from collections.abc import Iterable

from paxos import Broadcast, From, ServerId, To
from paxos.log import (
    Accept,
    Accepted,
    CatchUp,
    CatchUpRequest,
    Command,
    Heartbeat,
    Lead,
    Prepare,
    Promise,
    Propose,
    replica,
)
from paxos.log.events import Event
from paxos.log.leader import Leading
from paxos.log.messages import Message
from paxos.log.replica import Replica
from tests.support import FIVE, S1, S2, S3, S4, S5, THREE, ballot
from tests.support.logs import SMALL, held, memory, step


class Schedule:
    """Replicas whose messages arrive only where the schedule says so."""

    def __init__(self, servers: Iterable[ServerId] = THREE.members) -> None:
        members = frozenset(servers)
        quorum = THREE if members == THREE.members else FIVE
        self.states: dict[ServerId, Replica[str]] = {
            me: replica.start(me, quorum, (), SMALL) for me in sorted(members)
        }
        self.said: list[Message[str]] = []

    def take(self, me: ServerId, event: Event[str]) -> tuple[Message[str], ...]:
        """One step; what ``me`` answers. What it broadcasts is in ``said``."""
        self.states[me], effects = step(self.states[me], event)
        self.said += [it.message for it in effects if isinstance(it, Broadcast)]
        return tuple(it.message for it in effects if isinstance(it, To))

    def deliver(self, sender: ServerId, message: Message[str], to: Iterable[ServerId]) -> None:
        """``message`` reaches ``to``, and their answers reach ``sender``."""
        for receiver in to:
            for answer in self.take(receiver, From(sender, message)):
                self.take(sender, From(receiver, answer))

    def lead(self, me: ServerId, to: Iterable[ServerId]) -> None:
        """``me`` prepares at ``to``, and leads."""
        self.take(me, Lead())
        self.deliver(me, self.said.pop(), to)
        assert isinstance(self.states[me].role, Leading)

    def propose(self, me: ServerId, value: str, to: Iterable[ServerId]) -> None:
        """``me`` proposes ``value``, and the request reaches ``to``."""
        self.take(me, Propose(Command(value)))
        self.deliver(me, self.said.pop(), to)


def test_question_1_logs_have_holes_and_ballots_that_fall_along_the_log() -> None:
    play = Schedule()
    play.lead(S1, (S1, S2))
    for value, to in (("a", (S2,)), ("b", (S1,)), ("c", (S2,))):
        play.propose(S1, value, to)
    play.lead(S3, (S2, S3))
    first = next(it for it in play.said if isinstance(it, Accept) and it.slot == 1)
    play.deliver(S3, first, (S2,))

    assert play.states[S2].memory == memory(
        held("1.3", "a"), None, held("1.1", "c"), promised="1.3"
    )


def test_question_3_a_new_leader_asks_once_and_then_for_each_piece_that_is_left() -> None:
    play = Schedule()
    play.lead(S1, (S1, S2))
    for value in "abc":
        play.propose(S1, value, (S2,))
    play.take(S3, Lead())
    prepare = play.said.pop()
    (promise,) = play.take(S2, From(S3, prepare))
    rounds = 1
    while isinstance(promise, Promise) and not promise.is_last:
        (prepare,) = play.take(S3, From(S2, promise))
        (promise,) = play.take(S2, From(S3, prepare))
        rounds += 1

    assert isinstance(prepare, Prepare)
    assert (rounds, prepare.slot) == (2, 3)


def test_question_4_chosen_is_believed_only_of_the_exact_ballot() -> None:
    """S1 holds X in slot 1, where Y is chosen. What S2 says with slot 2 is not about X."""
    play = Schedule()
    play.lead(S1, (S1, S2))
    play.propose(S1, "X", (S1,))
    play.lead(S2, (S2, S3))
    play.propose(S2, "Y", (S2, S3))
    assert play.states[S2].memory.first == 2
    play.propose(S2, "Z", (S1, S2, S3))

    mine = play.states[S1].memory
    assert (mine.first, mine.open) == (1, (held("1.1", "X"), held("2.2", "Z")))
    asked = play.take(S1, From(S2, Heartbeat(ballot("2.2"), True, True, 3)))
    assert asked == (CatchUpRequest(1),)
    play.take(S1, From(S2, CatchUp(1, (held("2.2", "Y"), held("2.2", "Z")))))
    assert play.states[S1].memory.first == 3


def test_question_7_to_accept_raises_the_promise() -> None:
    """X is chosen at S2, S3 and S5 under 1.5; S1 must not get Y accepted at S2 under 1.1."""
    play = Schedule(FIVE.members)
    play.lead(S1, (S1, S2, S3))
    play.lead(S5, (S3, S4, S5))
    play.propose(S5, "X", (S2, S3, S5))
    assert play.states[S5].memory.first == 2
    late = Accept(ballot("1.1"), 1, Command("Y"), 1)

    assert not any(isinstance(it, Accepted) for it in play.take(S2, From(S1, late)))
    play.lead(S3, (S1, S2, S4))
    again = next(it for it in play.said if isinstance(it, Accept) and it.ballot == ballot("2.3"))
    assert again.entry == Command("X")


def test_a_leader_that_learns_from_above_speaks_under_its_own_ballot_no_more() -> None:
    """It is told what a higher ballot has chosen, long after. What it then says has no ballot."""
    play = Schedule(FIVE.members)
    play.lead(S1, (S1, S2, S3))
    play.propose(S1, "X", (S1,))
    play.lead(S5, (S3, S4, S5))
    play.propose(S5, "Y", (S3, S4, S5))
    play.take(S1, From(S4, CatchUp(1, (held("1.5", "Y"),))))

    assert not isinstance(play.states[S1].role, Leading)
    assert play.states[S1].memory.first == 2
