"""Random lives of each role and of a whole cluster, held against the invariants.

Hypothesis draws the steps and shrinks what fails. The core gets every message that its types
allow, from anybody, in any order, as often as it likes.
"""

from __future__ import annotations

from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from paxos import (
    NO_BALLOT,
    Accept,
    Accepted,
    Acceptor,
    AfterSave,
    Answer,
    Ballot,
    Broadcast,
    Done,
    From,
    Inquire,
    Learner,
    Message,
    Nack,
    NotYetChosen,
    Now,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Query,
    QuorumSystem,
    Read,
    ReadId,
    RetryTimer,
    Saved,
    Server,
    ServerId,
    SetTimer,
    Tell,
    To,
    acceptor,
    invariants,
    learner,
    proposer,
    server,
)
from paxos.proposer import Accepting, Preparing
from paxos.reader import Querying
from paxos.server import ServerTimer
from paxos_testing import strategies
from tests.support import NON_MEMBER, S1, S2, S3, THREE, opened

Values = st.sampled_from(["red", "blue", "green"])
Members = st.sampled_from([S1, S2, S3])
Senders = st.sampled_from([S1, S2, S3, NON_MEMBER])
Ballots = strategies.ballots(THREE.members, most_rounds=4)
Crash = Literal["before the save", "after the save"] | None
Crashes: st.SearchStrategy[Crash] = st.sampled_from(
    [None, None, None, "before the save", "after the save"]
)
Requests = st.one_of(strategies.prepares(), strategies.accepts(Values))

Quorums = strategies.quorum_systems(THREE.members)


def value_of(ballot: Ballot) -> str:
    """One ballot carries one value, even where anything may be sent."""
    return ["red", "blue", "green"][(ballot.round + ballot.server) % 3]


class AcceptorLife(RuleBasedStateMachine):
    """Any requests, in any order; the model remembers all that was ever promised or accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Acceptor[str]()
        self.promised = [NO_BALLOT]
        self.accepted: list[Proposal[str]] = []

    @rule(request=Requests)
    def ask(self, request: Prepare | Accept[str]) -> None:
        if isinstance(request, Accept):
            request = Accept(request.ballot, value_of(request.ballot))
        before = self.state
        self.state, outbound = acceptor.receive(before, request)
        invariants.acceptor_monotonic(before, self.state)
        if isinstance(outbound, Now):
            assert request.ballot < max(self.promised)
            assert outbound.messages == (Nack(request.ballot, max(self.promised)),)
            return
        assert request.ballot >= max(self.promised)
        assert outbound.record is self.state
        (answer,) = outbound.release(Saved((self.state,)))
        self.promised.append(request.ballot)
        assert not isinstance(answer, Nack)
        invariants.durable_before_sent(self.state, answer)
        if isinstance(answer, Accepted):
            self.accepted.append(Proposal(answer.ballot, answer.value))
            assert answer == Accepted(request.ballot, value_of(request.ballot))
        else:
            highest = max(self.accepted, key=lambda proposal: proposal.ballot, default=None)
            assert answer == Promise(request.ballot, highest)

    @rule(query=strategies.queries())
    def query(self, query: Query) -> None:
        """It changes nothing, and tells what was accepted last; that is durable first."""
        before = self.state
        self.state, outbound = acceptor.receive(before, query)
        assert self.state is before
        if isinstance(outbound, Now):
            assert (self.accepted, outbound.messages) == ([], (Answer[str](query.id, None),))
            return
        assert outbound.record is before
        (answer,) = outbound.release(Saved((before,)))
        highest = max(self.accepted, key=lambda proposal: proposal.ballot)
        assert answer == Answer(query.id, highest)

    @invariant()
    def promise_covers_accepted(self) -> None:
        invariants.promise_covers_accepted(self.state)
        assert self.state.promised == max(self.promised)


class ProposerLife(RuleBasedStateMachine):
    """Any replies from anybody, and wake-ups at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.state = Proposer[str](S2, THREE)
        self.used: list[Ballot] = []
        self.sent: dict[Ballot, str] = {}
        self.promises: dict[Ballot, dict[ServerId, Promise[str]]] = {}
        self.votes: dict[Ballot, set[ServerId]] = {}

    def step(self, event: proposer.Event[str]) -> None:
        before = self.state
        self.state, outbound = proposer.receive(before, event)
        assert self.state.max_round >= before.max_round
        effects = opened(outbound)
        if isinstance(outbound, AfterSave):
            ballot = Ballot(self.state.max_round, S2)
            assert Broadcast(Prepare(ballot)) in effects
            assert ballot not in self.used, "a ballot was used twice"
            assert all(ballot > used for used in self.used)
            self.used.append(ballot)
        for effect in effects:
            self.check(effect)

    def check(self, effect: proposer.Effect[str]) -> None:
        if isinstance(effect, Broadcast) and isinstance(effect.message, Accept):
            ballot, value = effect.message.ballot, effect.message.value
            assert self.sent.setdefault(ballot, value) == value
            answers = self.promises.get(ballot, {})
            assert len(answers) >= 2, "Accept without a quorum of promises"
            found = [it.accepted for it in answers.values() if it.accepted is not None]
            highest = max(found, key=lambda proposal: proposal.ballot, default=None)
            assert value == ("own" if highest is None else highest.value)
        if isinstance(effect, Tell) and isinstance(done := effect.report, Done):
            assert self.sent[done.ballot] == done.value
            assert len(self.votes[done.ballot]) >= 2, "Done without a quorum of votes"
            if done.own:
                assert done.value == "own"

    @precondition(lambda self: isinstance(self.state.phase, proposer.Idle))
    @rule()
    def propose(self) -> None:
        self.step(Propose("own"))

    @rule(sender=Senders, ballot=Ballots, found=st.none() | Ballots)
    def promise(self, sender: ServerId, ballot: Ballot, found: Ballot | None) -> None:
        """What is found is below the ballot; one of its own only if it was sent, and as sent."""
        accepted = None
        if found is not None and found.server != S2 and found < ballot:
            accepted = Proposal(found, value_of(found))
        elif found is not None and found in self.sent and found < ballot:
            accepted = Proposal(found, self.sent[found])
        reply = Promise(ballot, accepted)
        phase = self.state.phase
        counts = isinstance(phase, Preparing) and phase.ballot == ballot and sender != NON_MEMBER
        if counts:
            self.promises.setdefault(ballot, {}).setdefault(sender, reply)
        self.step(From(sender, reply))

    @rule(sender=Senders, ballot=Ballots)
    def accepted(self, sender: ServerId, ballot: Ballot) -> None:
        """Not under a ballot that is still prepared: nobody who keeps the protocol says that."""
        phase = self.state.phase
        if isinstance(phase, Preparing) and phase.ballot == ballot:
            return
        if sender != NON_MEMBER:
            self.votes.setdefault(ballot, set()).add(sender)
        self.step(From(sender, Accepted(ballot, self.sent.get(ballot, "noise"))))

    @rule(sender=Senders, ballot=Ballots, promised=Ballots)
    def nack(self, sender: ServerId, ballot: Ballot, promised: Ballot) -> None:
        before = self.state
        self.step(From(sender, Nack(ballot, promised)))
        assert type(self.state.phase) is type(before.phase), "one refusal aborted a round"

    @rule(ballot=Ballots)
    def wake(self, ballot: Ballot) -> None:
        self.step(RetryTimer(ballot))

    @rule()
    def wake_in_time(self) -> None:
        if isinstance(self.state.phase, Preparing | Accepting):
            self.step(RetryTimer(self.state.phase.ballot))

    @rule(sender=Members)
    def answer_in_time(self, sender: ServerId) -> None:
        phase = self.state.phase
        if isinstance(phase, Preparing):
            self.promise(sender, phase.ballot, None)
        elif isinstance(phase, Accepting):
            self.accepted(sender, phase.ballot)


class LearnerLife(RuleBasedStateMachine):
    """Votes for three ballots from anybody, as often as they like; all of one value."""

    def __init__(self) -> None:
        super().__init__()
        self.votes: list[From[Accepted[str]]] = []
        self.said = 0

    @initialize(quorum=Quorums)
    def begin(self, quorum: QuorumSystem) -> None:
        self.state = Learner[str](quorum)

    @rule(sender=Senders, round_=st.integers(1, 3))
    def vote(self, sender: ServerId, round_: int) -> None:
        event = From(sender, Accepted(Ballot(round_, S1), "red"))
        self.votes.append(event)
        self.state, outbound = learner.receive(self.state, event)
        self.said += len(outbound.messages)

    @invariant()
    def knows_exactly_what_a_quorum_accepted(self) -> None:
        chosen = invariants.choices(self.votes, self.state.quorum)
        assert (self.state.choice is not None) == bool(chosen)
        assert self.said == bool(chosen)


class ClusterLife(RuleBasedStateMachine):
    """Three servers; messages are lost, late, repeated and reordered; servers crash at will."""

    def __init__(self) -> None:
        super().__init__()
        self.proposed: set[str] = set()
        self.began_late: dict[ReadId, bool] = {}
        self.flying: list[tuple[ServerId, ServerId, Message[str]]] = []
        self.wakes: dict[ServerId, list[ServerTimer]] = {me: [] for me in (S1, S2, S3)}
        self.votes: list[From[Accepted[str]]] = []
        self.disks: dict[ServerId, dict[type, server.Record[str]]] = {me: {} for me in (S1, S2, S3)}
        self.servers: dict[ServerId, Server[str]] = {}

    @initialize(quorum=Quorums)
    def begin(self, quorum: QuorumSystem) -> None:
        self.quorum = quorum
        for me in (S1, S2, S3):
            self.restart(me)

    def restart(self, me: ServerId) -> None:
        """Only the disk survives; wake-ups of the earlier life may still come."""
        self.servers[me] = server.start(me, self.quorum, self.disks[me].values())

    def step(self, me: ServerId, event: server.Event[str], crash: Crash = None) -> None:
        """One step, its save and its messages, with a crash before or after the save."""
        before = self.servers[me]
        after, outbound = server.receive(before, event)
        invariants.acceptor_monotonic(before.acceptor, after.acceptor)
        if crash == "before the save":
            self.restart(me)
            return
        if isinstance(outbound, AfterSave):
            self.save(me, outbound.record)
        if crash == "after the save":
            self.restart(me)
            return
        self.servers[me] = after
        for effect in opened(outbound):
            self.carry_out(me, effect)

    def save(self, me: ServerId, record: server.Record[str]) -> None:
        """What is accepted is a vote once it is durable, whether or not anybody is told."""
        self.disks[me][type(record)] = record
        if isinstance(record, Acceptor) and record.accepted is not None:
            self.votes.append(From(me, Accepted(record.accepted.ballot, record.accepted.value)))

    def carry_out(self, me: ServerId, effect: server.Effect[str]) -> None:
        if isinstance(effect, To):
            self.send(me, effect.receiver, effect.message)
        elif isinstance(effect, Broadcast):
            for receiver in self.servers:
                self.send(me, receiver, effect.message)
        elif isinstance(effect, SetTimer):
            self.wakes[me].append(effect.timer)
        elif isinstance(effect.report, Done):
            invariants.validity(effect.report.value, self.proposed)
        elif isinstance(effect.report, NotYetChosen):
            assert not self.began_late[effect.report.id], "a read missed what was chosen before it"

    def send(self, me: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if isinstance(message, Promise | Accepted | Answer):
            durable = self.disks[me].get(Acceptor, Acceptor[str]())
            assert isinstance(durable, Acceptor)
            invariants.durable_before_sent(durable, message)
        self.flying.append((me, receiver, message))

    @rule(me=Members, kind=st.sampled_from(["propose", "inquire", "read"]), crash=Crashes)
    def ask(self, me: ServerId, kind: str, crash: Crash) -> None:
        if self.is_working(me):
            return
        if kind == "propose":
            value = f"value {len(self.proposed)}"
            self.proposed.add(value)
            self.step(me, Propose(value), crash)
        elif kind == "inquire":
            self.step(me, Inquire(), crash)
        else:
            read = ReadId(me, len(self.began_late))
            choices = invariants.choices(self.votes, self.quorum)
            self.began_late[read] = bool(choices)
            self.step(me, Read(read), crash)

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), again=st.booleans(), crash=Crashes)
    def deliver(self, data: st.DataObject, again: bool, crash: Crash) -> None:
        index = data.draw(st.integers(0, len(self.flying) - 1), label="message")
        sender, receiver, message = self.flying[index] if again else self.flying.pop(index)
        self.step(receiver, From(sender, message), crash)

    @precondition(lambda self: self.flying)
    @rule(count=st.integers(1, 12))
    def deliver_in_order(self, count: int) -> None:
        for _ in range(min(count, len(self.flying))):
            sender, receiver, message = self.flying.pop(0)
            self.step(receiver, From(sender, message))

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1), label="message"))

    @rule(me=Members)
    def wake(self, me: ServerId) -> None:
        if self.wakes[me]:
            self.step(me, self.wakes[me].pop(0))

    @rule(me=Members)
    def crash(self, me: ServerId) -> None:
        self.restart(me)

    def teardown(self) -> None:
        """Once the faults stop, everybody who asked is answered."""
        for _ in range(100):
            for me in filter(self.is_working, self.servers):
                due, self.wakes[me] = self.wakes[me], []
                for wake in due:
                    self.step(me, wake)
                while self.flying:
                    sender, receiver, message = self.flying.pop(0)
                    self.step(receiver, From(sender, message))
        assert not any(map(self.is_working, self.servers)), "still at work without any fault"

    def is_working(self, me: ServerId) -> bool:
        return isinstance(self.servers[me].proposer.phase, Querying | Preparing | Accepting)

    @invariant()
    def one_value_is_chosen_and_it_was_proposed(self) -> None:
        choices = invariants.choices(self.votes, self.quorum)
        for choice in choices:
            invariants.agreement(choices[0], choice)
            invariants.validity(choice.chosen.value, self.proposed)

    @invariant()
    def nobody_believes_anything_else(self) -> None:
        choices = invariants.choices(self.votes, self.quorum)
        for state in self.servers.values():
            invariants.promise_covers_accepted(state.acceptor)
            if state.learner.choice is not None:
                assert choices, "a server believes in a choice that was never made"
                invariants.agreement(choices[0], state.learner.choice)


TestAcceptorLife = AcceptorLife.TestCase
TestProposerLife = ProposerLife.TestCase
TestLearnerLife = LearnerLife.TestCase
TestClusterLife = ClusterLife.TestCase
TestAcceptorLife.settings = settings(stateful_step_count=40)
TestProposerLife.settings = settings(stateful_step_count=40)
TestLearnerLife.settings = settings(stateful_step_count=40)
TestClusterLife.settings = settings(
    max_examples=settings().max_examples * 3 // 2, stateful_step_count=60
)
