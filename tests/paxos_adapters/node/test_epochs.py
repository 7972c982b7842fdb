"""How named decisions follow the members: what a server does next, and what holds whatever happens.

The model has files in memory, one name, the log of members as a list, and every interleaving of
messages, steps and crashes that hypothesis draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from attrs import define, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import Acceptor, Ballot, Proposal, QuorumSystem, ServerId, majority
from paxos_adapters.file import FileStore
from paxos_adapters.file.entries import identity_of
from paxos_adapters.file.rows import Epoch
from paxos_adapters.limits import MEMBERS_LOG
from paxos_adapters.node import epochs
from paxos_adapters.node.epochs import (
    Adopt,
    Begin,
    Close,
    Reporting,
    Step,
    Tell,
    next_step,
    reports,
)
from paxos_adapters.node.memory_file import Disk, MemoryFile
from paxos_adapters.persistent_map import PersistentMap
from paxos_adapters.replication import membership, membership_machine
from paxos_adapters.replication.batches import MAX_COMMAND_BYTES
from paxos_adapters.replication.membership import (
    Change,
    Command,
    Done,
    Member,
    Membership,
    Register,
    Started,
)
from paxos_adapters.replication.settling import (
    Adopted,
    Held,
    HeldAll,
    HeldPart,
    Report,
    Settling,
    Taught,
)

ONE, TWO, THREE, FOUR, FIVE = (ServerId(number) for number in range(1, 6))
FOUNDERS = majority([ONE, TWO, THREE])
MACHINE = membership_machine.machine(FOUNDERS)
BEGUN: list[Command] = [Started(it, (f"10.0.0.{it}", 1), ()) for it in (ONE, TWO, THREE)]
NOTHING = PersistentMap[Proposal[bytes]]()


def replace(epoch: int, old: ServerId, new: ServerId) -> Change:
    return Change(epoch, (Member(new, (f"10.0.0.{new}", 1)),), frozenset({old}))


def after(*commands: Command) -> Membership:
    state = MACHINE.start
    for command in (*BEGUN, *commands):
        state, _ = MACHINE.apply(state, command)
    return state


def proposal(number: int, server: ServerId, value: bytes) -> Proposal[bytes]:
    return Proposal(Ballot(number, server), value)


RED, BLUE = proposal(1, ONE, b"red"), proposal(2, TWO, b"blue")
CHANGE = replace(0, THREE, FOUR)
SETTLED: list[Command] = [CHANGE, HeldAll(0, ONE), Held(0, TWO, (("x", RED),)), HeldAll(0, TWO)]
NEXT = replace(1, TWO, FIVE)
FINISHED = [*SETTLED, *(Adopted(1, it) for it in (ONE, TWO)), Done(1, MEMBERS_LOG)]
STATES = {
    "before any change": after(),
    "a change has begun": after(CHANGE),
    "newcomers have been taught": after(CHANGE, Taught(1)),
    "one has reported": after(CHANGE, Taught(1), HeldAll(0, ONE)),
    "it is settled": after(*SETTLED),
    "one has adopted": after(*SETTLED, Adopted(1, ONE)),
    "the next change waits for its newcomer": after(*FINISHED, NEXT),
    "the next change has begun": after(*FINISHED, NEXT, Taught(2)),
    "the newcomer is removed again": after(CHANGE, Taught(1), Change(1, (), frozenset({FOUR}))),
}
FOUNDING, CLOSED, FIRST = (
    Epoch(0, FOUNDERS),
    Epoch(0, FOUNDERS, 0),
    Epoch(1, STATES["it is settled"].quorum),
)
CLOSED_TWICE = Epoch(0, FOUNDERS, 1)
FIRST_CLOSED = Epoch(1, STATES["it is settled"].quorum, 1)
ADOPT = Adopt(1, STATES["it is settled"].quorum, NOTHING.put("x", RED))
TABLE: dict[tuple[str, Epoch, ServerId], Step | None] = {
    ("before any change", FOUNDING, ONE): None,
    ("before any change", CLOSED, ONE): None,
    ("before any change", FIRST, ONE): None,
    ("before any change", CLOSED, FOUR): None,
    ("a change has begun", FOUNDING, ONE): None,
    ("newcomers have been taught", FOUNDING, ONE): Close(0),
    ("newcomers have been taught", FOUNDING, THREE): Close(0),
    ("newcomers have been taught", CLOSED, ONE): Reporting(0, is_empty=False),
    ("newcomers have been taught", CLOSED, THREE): Reporting(0, is_empty=False),
    ("newcomers have been taught", CLOSED, FOUR): None,
    ("newcomers have been taught", FIRST, ONE): None,
    ("one has reported", CLOSED, ONE): None,
    ("one has reported", CLOSED, TWO): Reporting(0, is_empty=False),
    ("it is settled", FOUNDING, ONE): Close(0),
    ("it is settled", CLOSED, ONE): ADOPT,
    ("it is settled", CLOSED, THREE): None,
    ("it is settled", CLOSED, FOUR): ADOPT,
    ("it is settled", FIRST, ONE): Tell(1),
    ("it is settled", CLOSED_TWICE, ONE): None,
    ("it is settled", FIRST_CLOSED, ONE): None,
    ("one has adopted", FIRST, ONE): None,
    ("one has adopted", FIRST, FOUR): Tell(1),
    ("the next change waits for its newcomer", FIRST, ONE): None,
    ("the next change waits for its newcomer", FOUNDING, FOUR): Close(0),
    ("the next change waits for its newcomer", CLOSED, FOUR): ADOPT,
    ("the next change waits for its newcomer", CLOSED_TWICE, FOUR): None,
    ("the next change waits for its newcomer", FIRST, FOUR): None,
    ("the next change waits for its newcomer", CLOSED, FIVE): None,
    ("the next change has begun", FIRST, ONE): Close(1),
    ("the next change has begun", FIRST_CLOSED, ONE): Reporting(1, is_empty=False),
    ("the next change has begun", CLOSED, FOUR): Close(1),
    ("the next change has begun", CLOSED_TWICE, FOUR): Reporting(1, is_empty=True),
    ("the newcomer is removed again", FOUNDING, ONE): Close(1),
    ("the newcomer is removed again", CLOSED_TWICE, ONE): Reporting(0, is_empty=False),
}


@pytest.mark.parametrize(("name", "epoch", "me"), TABLE)
def test_what_a_server_does_next(name: str, epoch: Epoch, me: ServerId) -> None:
    assert next_step(STATES[name], epoch, me, is_taught=False) == TABLE[name, epoch, me]


def test_the_epoch_goes_on_until_the_leader_knows_that_newcomers_were_taught() -> None:
    begun = after(CHANGE)

    assert next_step(begun, FOUNDING, ONE, is_taught=False) is None
    assert next_step(begun, FOUNDING, ONE, is_taught=True) == Begin(1)
    assert next_step(after(), FOUNDING, ONE, is_taught=True) is None
    assert next_step(STATES["it is settled"], FIRST, FOUR, is_taught=True) == Tell(1)


def test_a_server_with_a_log_of_a_settled_name_leaves_that_out_and_says_so(tmp_path: Path) -> None:
    """So what was settled is kept: the server holds no part of it."""
    state = after(Register("x"), Register("z"), *SETTLED)
    with FileStore.create(
        tmp_path / "n4.db", cluster="c", server=FOUR, quorum=FOUNDERS, joining=True
    ) as file:
        epochs.adopt(file, ADOPT, {"x", "z"}.__contains__)
        assert (file.epoch.number, file.accepted()) == (1, ())

    assert epochs.lacks_some(state, {"x", "z"}.__contains__)
    assert not epochs.lacks_some(state, {"z"}.__contains__)


# --- reports --------------------------------------------------------------------------------------


def opened(me: ServerId) -> MemoryFile:
    file = MemoryFile(Disk(identity_of("memory", me, FOUNDERS, "")), "0" * 16)
    file.acquire()
    return file


def said(file: MemoryFile, known: PersistentMap[Proposal[bytes]]) -> list[Report]:
    state = Settling(0, FOUNDERS, known)
    return list(reports(file, ONE, Reporting(0, is_empty=False), lambda: state))


def test_what_is_known_under_as_high_a_ballot_is_not_reported() -> None:
    file = opened(ONE)
    file.save_all([("x", Acceptor(RED.ballot, RED)), ("y", Acceptor(BLUE.ballot, BLUE))])
    file.save_all([("z", Acceptor[bytes](BLUE.ballot))])

    assert said(file, NOTHING) == [Held(0, ONE, (("x", RED), ("y", BLUE))), HeldAll(0, ONE)]
    assert said(file, NOTHING.put("x", RED).put("y", RED)) == [
        Held(0, ONE, (("y", BLUE),)),
        HeldAll(0, ONE),
    ]
    assert said(file, NOTHING.put("x", BLUE).put("y", BLUE)) == [HeldAll(0, ONE)]


def test_a_server_that_did_not_adopt_an_epoch_has_nothing_to_say_of_it() -> None:
    file = opened(ONE)
    file.save_all([("x", Acceptor(RED.ballot, RED))])
    state = Settling(1, FOUNDERS)

    found = reports(file, ONE, Reporting(1, is_empty=True), lambda: state)

    assert list(found) == [HeldAll(1, ONE)]


def test_a_report_ends_once_the_decisions_are_settled() -> None:
    file = opened(ONE)
    file.save_all([("x", Acceptor(RED.ballot, RED))])
    state = Settling(1, FOUNDERS)

    assert list(reports(file, ONE, Reporting(0, is_empty=False), lambda: state)) == []


@pytest.mark.parametrize("letter", ["a", "\0", '"', "é", "\U0001f600"])
@pytest.mark.parametrize("length", [0, 1, 200, 9_000, 20_000, 65_000])
def test_each_command_fits_in_an_entry_and_nothing_is_lost(letter: str, length: int) -> None:
    """Whatever JSON makes of a value: an escaped byte takes six."""
    file = opened(ONE)
    value = (letter * length).encode()[:65_536]
    names = ["\1" * 255, *map(str, range(120))] if length < 9_000 else ["\1" * 255, "x"]
    for name in names:
        it = proposal(1, ONE, value)
        file.save_all([(name, Acceptor(it.ballot, it))])

    commands = said(file, NOTHING)
    state = after(CHANGE)
    for command in commands:
        assert MACHINE.commands is not None
        encoded = MACHINE.commands.encode(command)
        assert len(encoded) <= MAX_COMMAND_BYTES
        state, _ = MACHINE.apply(state, MACHINE.commands.decode(encoded))

    held = dict(state.decisions.proposals.scan())
    assert held.keys() == set(names)
    assert {it.value for it in held.values()} == {value}
    assert not state.decisions.parts


def test_a_part_that_is_said_again_or_out_of_turn_changes_nothing() -> None:
    def part(offset: int, value: bytes, *, is_last: bool = False) -> HeldPart:
        return HeldPart(0, ONE, "x", proposal(1, ONE, value), offset, is_last)

    parts = [part(0, b"ab"), part(2, b"cd"), part(4, b"e", is_last=True)]
    early = [parts[0], parts[2]]
    again = [parts[0], parts[1], parts[1], part(0, b"ab"), *parts, parts[2]]

    assert not len(after(CHANGE, *early).decisions.proposals)
    assert after(CHANGE, *again).decisions.proposals.get("x") == proposal(1, ONE, b"abcde")
    assert not after(CHANGE, *again).decisions.parts


def test_a_part_that_a_former_process_has_said_comes_late() -> None:
    """It was in flight when its server was killed, and is chosen after parts of the next one."""

    def part(name: str, offset: int, value: bytes, *, is_last: bool = False) -> HeldPart:
        return HeldPart(0, ONE, name, proposal(1, ONE, value), offset, is_last)

    x = [part("x", 0, b"ab"), part("x", 2, b"cd"), part("x", 4, b"e", is_last=True)]
    y = [part("y", 0, b"ab"), part("y", 2, b"c", is_last=True)]

    late = after(CHANGE, x[0], x[1], x[0], x[2], y[0], x[0], y[1]).decisions
    assert late.proposals.get("x") == proposal(1, ONE, b"abcde")
    assert late.proposals.get("y") == proposal(1, ONE, b"abc")
    assert not late.parts


# --- files that are opened again ------------------------------------------------------------------


def test_a_file_that_is_opened_again_before_each_step_follows(tmp_path: Path) -> None:
    """And after each command of a report, which begins anew then."""
    log: list[Command] = [*BEGUN, CHANGE]
    votes = {ONE: [("x", RED)], TWO: [("x", BLUE), ("y", RED)], THREE: [("z", BLUE)], FOUR: []}
    for me, accepted in votes.items():
        path, joins = tmp_path / f"n{me}.db", me == FOUR
        with FileStore.create(path, cluster="c", server=me, quorum=FOUNDERS, joining=joins) as file:
            file.save_all([(name, Acceptor(it.ballot, it)) for name, it in accepted])

    def step(me: ServerId) -> bool:
        """Take the next step, or one command of a report; whether there was one."""
        state = after(*log[len(BEGUN) :])
        path = tmp_path / f"n{me}.db"
        with FileStore.open(path, cluster="c", server=me, quorum=FOUNDERS) as file:
            step = next_step(state, file.epoch, me, is_taught=me == ONE)
            if type(step) is Begin:
                log.append(Taught(step.number))
            elif type(step) is Close:
                file.close_epoch(step.number)
            elif type(step) is Reporting:
                log.extend(islice(reports(file, me, step, lambda: state.decisions), 1))
            elif type(step) is Adopt:
                epochs.adopt(file, step, lambda _: False)
            elif type(step) is Tell:
                log.append(Adopted(step.number, me))
        return step is not None

    while sum(map(step, (ONE, TWO, FOUR))):
        pass
    for me in ONE, TWO, FOUR:
        path = tmp_path / f"n{me}.db"
        with FileStore.open(path, cluster="c", server=me, quorum=FOUNDERS) as file:
            assert (file.epoch.number, file.epoch.is_closed) == (1, False)
            assert dict(file.accepted()) == {"x": BLUE, "y": RED}


# --- whatever happens -----------------------------------------------------------------------------


@frozen
class Vote:
    """An Accept on its way: it may arrive at any time."""

    epoch: int
    receiver: ServerId
    proposal: Proposal[bytes]


@define
class Server:
    """One server: its file, what it has applied of the log, and the report that it is at."""

    me: ServerId
    disk: Disk
    file: MemoryFile = field(init=False)
    applied: int = 0
    state: Membership = MACHINE.start
    report: Iterator[Report] | None = None
    waits_for: int = 0

    def start(self) -> None:
        self.file = MemoryFile(self.disk, f"{self.disk.saves:016x}")
        self.file.acquire()
        self.report, self.waits_for = None, 0

    @property
    def acceptor(self) -> Acceptor[bytes]:
        found = [it for it in self.file.load("x").records if isinstance(it, Acceptor)]
        return found[0] if found else Acceptor[bytes](Ballot(0, ServerId(0)))


class Model:
    """Five servers, of which three are the founders, and all that they have said and voted."""

    def __init__(self) -> None:
        self.log: list[Command] = [*BEGUN]
        self.servers = {
            it: Server(it, Disk(identity_of("memory", it, FOUNDERS, "")))
            for it in (ONE, TWO, THREE, FOUR, FIVE)
        }
        for it in self.servers.values():
            it.start()
        self.votes: dict[tuple[int, Ballot], set[ServerId]] = {}
        self.values: dict[tuple[int, Ballot], bytes] = {}
        self.quorums: dict[int, QuorumSystem] = {0: FOUNDERS}
        self.on_the_way: list[Vote] = []
        self.round = 0

    @property
    def chosen(self) -> set[bytes]:
        return {
            self.values[key]
            for key, voters in self.votes.items()
            if self.quorums[key[0]].is_phase2(voters)
        }

    def do(self, action: int, me: ServerId, other: int) -> None:
        it = self.servers[me]
        if action == 0:
            self.propose(it, other)
        elif action == 1 and self.on_the_way:
            self.arrive(self.on_the_way[other % len(self.on_the_way)])
        elif action in (2, 3):
            self.apply(it, other)
        elif action in (4, 5, 6):
            self.step(it)
        elif action == 7:
            it.start()
            self.rewind(it, other)
        elif action == 8:
            self.log.append(Done(it.state.epoch, MEMBERS_LOG))
        elif action == 9:
            self.change(it, other)
        self.count(it)

    def count(self, it: Server) -> None:
        """What ``it`` has accepted in an epoch counts there, also what it has adopted."""
        epoch, accepted = it.file.epoch, it.acceptor.accepted
        self.quorums[epoch.number] = epoch.quorum
        if accepted is not None and not epoch.is_closed:
            key = epoch.number, accepted.ballot
            self.votes.setdefault(key, set()).add(it.me)
            self.values[key] = accepted.value

    def propose(self, it: Server, asked: int) -> None:
        """A whole phase 1, with those of ``asked`` that are in the same epoch; then an Accept."""
        epoch = it.file.epoch
        if epoch.is_closed:
            return
        self.round += 1
        ballot = Ballot(self.round, it.me)
        found, promised = list[Proposal[bytes]](), set[ServerId]()
        for peer in self.heard_by(epoch, asked):
            accepted = peer.acceptor.accepted
            peer.file.save_all([("x", Acceptor(ballot, accepted))])
            promised.add(peer.me)
            found += [] if accepted is None else [accepted]
        if epoch.quorum.is_phase1(promised):
            value = max(found, key=lambda one: one.ballot).value if found else b"%d" % self.round
            votes = [Vote(epoch.number, to, Proposal(ballot, value)) for to in self.servers]
            self.on_the_way += votes

    def heard_by(self, epoch: Epoch, asked: int) -> Iterator[Server]:
        for number, peer in enumerate(self.servers.values()):
            is_asked = asked >> number & 1 and peer.me in epoch.quorum.members
            own = peer.file.epoch
            if is_asked and own.number == epoch.number and not own.is_closed:
                yield peer

    def arrive(self, vote: Vote) -> None:
        it = self.servers[vote.receiver]
        epoch = it.file.epoch
        is_heard = epoch.number == vote.epoch and not epoch.is_closed
        is_member = it.me in epoch.quorum.members
        if is_heard and is_member and vote.proposal.ballot >= it.acceptor.promised:
            it.file.save_all([("x", Acceptor(vote.proposal.ballot, vote.proposal))])
            self.count(it)

    def apply(self, it: Server, most: int) -> None:
        for command in self.log[it.applied : it.applied + most]:
            it.state, _ = MACHINE.apply(it.state, command)
            it.applied += 1

    def rewind(self, it: Server, left: int) -> None:
        """After a start, less may be applied than the file has followed."""
        applied, it.applied, it.state = it.applied, 0, MACHINE.start
        self.apply(it, min(applied, left))

    def step(self, it: Server) -> None:
        if it.report is not None:
            if it.applied >= it.waits_for:
                command = next(it.report, None)
                if command is None:
                    it.report = None
                else:
                    self.say(it, command)
            return
        step = next_step(it.state, it.file.epoch, it.me, is_taught=True)
        if type(step) is Begin:
            self.say(it, Taught(step.number))
        elif type(step) is Close:
            it.file.close_epoch(step.number)
        elif type(step) is Reporting:
            it.report = reports(it.file, it.me, step, lambda: it.state.decisions)
        elif type(step) is Adopt:
            epochs.adopt(it.file, step, lambda _: False)
        elif type(step) is Tell:
            self.say(it, Adopted(step.number, it.me))

    def say(self, it: Server, command: Command) -> None:
        self.log.append(command)
        it.waits_for = len(self.log)

    def change(self, it: Server, which: int) -> None:
        state = it.state
        members = sorted(membership.ids(state))
        unused = [one for one in self.servers if one not in {*members, *state.former}]
        remove = frozenset({members[which % len(members)]}) if which % 3 else frozenset[ServerId]()
        add = (Member(unused[0], (f"10.0.0.{unused[0]}", 1)),) if unused and which % 2 else ()
        if len(members) - len(remove) + len(add) > 1:
            self.log.append(Change(state.epoch, add, remove))


WEIGHTS = (3, 4, 4, 4, 5, 5, 5, 1, 1, 1)


def ran(seed: int, steps: int = 250) -> Model:
    """A run of the model. At no time are two values chosen."""
    random, model = Random(seed), Model()
    for _ in range(steps):
        (action,) = random.choices(range(len(WEIGHTS)), WEIGHTS)
        model.do(action, random.choice([*model.servers]), random.randrange(32))
        assert len(model.chosen) < 2
    return model


@given(st.integers(0, (1 << 32) - 1))
@settings(max_examples=150, deadline=None)
def test_what_was_chosen_stays_chosen_whatever_happens(seed: int) -> None:
    ran(seed)


def test_the_model_goes_through_epochs_in_which_values_are_chosen() -> None:
    epochs_with_choices = [
        {epoch for (epoch, _), it in model.votes.items() if model.quorums[epoch].is_phase2(it)}
        for model in map(ran, range(40))
    ]

    assert sum(0 in it and bool({1, 2} & it) for it in epochs_with_choices) > 2
