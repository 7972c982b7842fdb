"""A replica: acceptor, learner, leader and election of a log in one process.

Source: the lecture, "Multi-Paxos".

- What a step promises and writes is saved before anything of it leaves: one Delta for each step.
- That a slot is chosen commits to nothing, so a step that only finds that out saves nothing. If
  ``first`` has moved since the last heartbeat, the next one saves it before it leaves: the store
  answers only for what it knows to be chosen, and others count on what a heartbeat says. A promise
  is sealed, so a crash cannot undo the ``first`` that it names either.
- The leader asks its own acceptor by the same messages, through its driver.
- A new ballot is above every promise and every ballot received, and the step that draws it promises
  it. So no ballot is used twice.
- A replica that receives a higher ballot, in whatever message, leads no more.
- A request for a slot that is chosen is answered from the store, by Fetch; never to oneself.
- A slot beyond the window is not accepted. What the sender knows to be chosen is asked for.
- Of a server that is not a member here, only what is chosen is taken, and how much of it that
  server holds: all members that this replica knows may have been replaced while it was down, and a
  newcomer is not a member yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeAlias, final

from attrs import evolve

from paxos.ballot import NO_BALLOT, Ballot, ServerId, V
from paxos.errors import UnknownServer, assert_never
from paxos.log import acceptor, election, leader, learner, lease
from paxos.log.election import CampaignTimer, Election, HeartbeatTimer
from paxos.log.events import (
    Committed,
    Effect,
    Elected,
    Event,
    Fetch,
    Lead,
    NotLeading,
    Propose,
    Read,
    Readable,
    SnapshotInstalled,
    WindowFull,
)
from paxos.log.leader import Following, Leading, Preparing, Role
from paxos.log.lease import Grant, ReleaseTimer
from paxos.log.memory import (
    FIRST_SLOT,
    Configuration,
    Delta,
    Memory,
    Record,
    Update,
    advanced,
    delta,
    governing,
    summed,
    with_promise,
)
from paxos.log.messages import (
    Accept,
    Accepted,
    CatchUp,
    CatchUpRequest,
    Confirm,
    Confirmed,
    Entry,
    Heartbeat,
    Message,
    Prepare,
    Promise,
)
from paxos.log.progress import Progress, is_finished, said
from paxos.log.reads import PendingRead, confirmed, is_ready
from paxos.messages import From, Nack
from paxos.outbound import NO_MESSAGES, AfterSave, Broadcast, Now, Outbound, SetTimer, Tell, To
from paxos.quorum import QuorumSystem
from paxos.values import frozen


@final
@frozen
class Rules:
    """The bounds of a log, the same on all replicas.

    ``window``: how many slots may be open; a change of quorums governs from so many slots on.
    ``piece``: how many proposals one message carries. ``lease``: how long a lease is granted at
    most, in thousandths of the driver's unit of time; 0: none is.
    """

    window: int = 64
    piece: int = 64
    lease: int = 0


DEFAULT_RULES = Rules()


@final
@frozen
class Replica(Generic[V]):
    """The state of a replica.

    ``max_round`` is the highest round that it has received, ``recorded`` the ``first`` of its last
    heartbeat, and ``progress`` how much each server holds, as far as this one knows. While
    ``grant`` holds, it promises nothing to others.
    """

    me: ServerId
    rules: Rules
    memory: Memory[V]
    role: Role[V]
    election: Election
    reads: tuple[PendingRead, ...] = ()
    max_round: int = 0
    recorded: int = FIRST_SLOT
    progress: Progress = ()
    grant: Grant | None = None


Step: TypeAlias = tuple[Replica[V], Outbound[Delta[V], Effect[V]]]
"""The state after an event, and what leaves."""


def start(
    me: ServerId,
    quorum: QuorumSystem,
    records: Iterable[Record[V]] = (),
    rules: Rules = DEFAULT_RULES,
) -> Replica[V]:
    """A new replica; or, from the records that it saved, the same replica after a crash.

    ``quorum`` governs the first slots of a new log; a record says it for one that was saved.
    """
    memory = summed(records, Memory((Configuration(FIRST_SLOT, quorum),)))
    round_, first = memory.promised.round, memory.first
    grant = Grant() if memory.lease else None
    return Replica(me, rules, memory, Following(), Election(me), (), round_, first, (), grant)


def members(state: Replica[V]) -> frozenset[ServerId]:
    """The servers of all configurations that govern an open slot, or will."""
    return frozenset(member for it in state.memory.configurations for member in it.quorum.members)


def room(state: Replica[V]) -> int:
    """How many entries may be proposed now."""
    role = state.role
    return leader.room(role, state.memory, state.rules.window) if type(role) is Leading else 0


def progress(state: Replica[V]) -> Mapping[ServerId, int]:
    """For each server, as far as this one knows: all slots below are chosen, and durable there."""
    return dict(state.progress)


def is_changed(state: Replica[V]) -> bool:
    """Whether the last change of members known here is finished: nobody else is needed any more.

    A server that only earlier configurations have may stop then, for good.
    """
    memory = state.memory
    return is_finished(memory.configurations, memory.first, state.progress)


def has_lease(state: Replica[V], since: int) -> bool:
    """Whether a quorum has granted a lease to a Confirm from number ``since`` on.

    Then a read is answered at once, if that lease has not run out.
    """
    role, memory = state.role, state.memory
    if type(role) is not Leading or memory.first < role.settled:
        return False
    return lease.holds(role.granted, since, governing(memory.configurations, memory.first))


def announcement(state: Replica[V]) -> Heartbeat | None:
    """What a leader may send at any time, so that others learn at once what is chosen.

    None, if this replica does not lead.
    """
    role = state.role
    return Heartbeat(role.ballot, True, True, state.memory.first) if type(role) is Leading else None


def receive(state: Replica[V], event: Event[V]) -> Step[V]:
    """Take one event.

    Raises NotLeading, WindowFull and UnknownServer, with the state as it was; InvariantError if a
    message proves that a ballot was used twice.
    """
    after, outbound = _receive(state, event)
    if state.reads and type(after.role) is not Leading:
        return after, outbound.followed_by(*(Tell(Readable(it.number, None)) for it in state.reads))
    return after, outbound


def _receive(state: Replica[V], event: Event[V]) -> Step[V]:
    if type(event) is From:
        return _on_message(state, event.sender, event.message)
    if type(event) is HeartbeatTimer:
        return _on_heartbeat_timer(state, event)
    if type(event) is CampaignTimer:
        return _on_campaign_timer(state, event)
    if type(event) is ReleaseTimer:
        return _on_release_timer(state, event)
    if type(event) is Propose:
        return _propose(state, event.entry)
    if type(event) is Read:
        return _read(state, event)
    if type(event) is Lead:
        return _lead(state)
    if type(event) is SnapshotInstalled:
        return _on_snapshot_installed(state, event)
    assert_never(event)


def _with(state: Replica[V], memory: Memory[V], role: Role[V]) -> Replica[V]:
    return Replica(
        state.me,
        state.rules,
        memory,
        role,
        state.election,
        state.reads,
        state.max_round,
        state.recorded,
        state.progress,
        state.grant,
    )


# --- messages -------------------------------------------------------------------------------------


def _on_message(state: Replica[V], sender: ServerId, message: Message[V]) -> Step[V]:
    if type(message) is CatchUpRequest:
        return state, _fetch(state, sender, message.first)
    if type(message) is CatchUp:
        return _on_catch_up(state, sender, message)
    if not any(sender in it.quorum.members for it in state.memory.configurations):
        return _on_non_member(state, sender, message)
    if type(message) is Nack:
        return _seen(state, message.promised), NO_MESSAGES
    state = _seen(state, message.ballot)
    if type(message) is Accept:
        return _on_accept(state, sender, message)
    if type(message) is Accepted:
        return _on_accepted(state, sender, message)
    if type(message) is Prepare:
        return _on_prepare(state, sender, message)
    if type(message) is Promise:
        return _on_promise(state, sender, message)
    if type(message) is Heartbeat:
        return _on_heartbeat(state, sender, message)
    if type(message) is Confirm:
        return _on_confirm(state, sender, message)
    if type(message) is Confirmed:
        return _on_confirmed(state, sender, message)
    assert_never(message)


def _on_non_member(state: Replica[V], sender: ServerId, message: Message[V]) -> Step[V]:
    """Ask ``sender``, which is not a member here, for the slots that made it one."""
    if type(message) is not Heartbeat:
        return state, NO_MESSAGES
    state = _with_progress(state, sender, message)
    if message.first <= state.memory.first:
        return state, NO_MESSAGES
    return state, Now((To(sender, CatchUpRequest(state.memory.first)),))


def _with_progress(state: Replica[V], sender: ServerId, message: Heartbeat) -> Replica[V]:
    """``sender`` says what it holds; but what a leader says may not be saved there yet."""
    if message.leads:
        return state
    return evolve(state, progress=said(state.progress, sender, message.first))


def _seen(state: Replica[V], ballot: Ballot) -> Replica[V]:
    """Some replica uses ``ballot``: the next round is above it, and a lower leadership is over."""
    role = state.role
    if type(role) is not Following and ballot > role.ballot:
        state = evolve(state, role=Following(), reads=())
    if ballot.round > state.max_round:
        state = evolve(state, max_round=ballot.round)
    return state


def _on_prepare(state: Replica[V], sender: ServerId, message: Prepare) -> Step[V]:
    memory, reply = acceptor.prepare(state.memory, message, state.rules.piece)
    if type(reply) is Nack:
        return state, Now((To(sender, reply),))
    # The sender is about to lead: to campaign now would only get in its way.
    hint = election.heard(state.election, sender, message.ballot, in_contact=True)
    # It is sent again until the lease is over.
    if memory is not state.memory and lease.holds_back(state.grant, message.ballot):
        return evolve(state, election=hint), NO_MESSAGES
    state = evolve(state, memory=memory, election=hint)
    return state, AfterSave(delta(memory), (To(sender, reply),))


def _on_promise(state: Replica[V], sender: ServerId, message: Promise[V]) -> Step[V]:
    role = state.role
    if type(role) is not Preparing or message.ballot != role.ballot:
        return state, NO_MESSAGES
    role = leader.count_promise(role, sender, message)
    state = _with(state, state.memory, role)
    if not message.is_last:
        return state, Now((To(sender, Prepare(role.ballot, leader.next_slot(message))),))
    return _try_to_lead(state, role)


def _try_to_lead(state: Replica[V], role: Preparing[V]) -> tuple[Replica[V], Now[Effect[V]]]:
    memory = state.memory
    if role.base > memory.first and role.known_by is not None:
        return state, Now((To(role.known_by, CatchUpRequest(memory.first)),))
    if not leader.has_promises(role, memory, state.rules.window):
        return state, NO_MESSAGES
    leading = leader.begun(role, memory, state.election.beat)
    requests = map(Broadcast, leader.accepts(leading, memory))
    return _with(state, memory, leading), Now((Tell(Elected(role.ballot)), *requests))


def _on_accept(state: Replica[V], sender: ServerId, message: Accept[V]) -> Step[V]:
    memory, window = state.memory, state.rules.window
    if message.slot < memory.first and message.ballot >= memory.promised:
        return state, _fetch(state, sender, message.slot)
    if message.slot >= memory.first + window:
        update = learner.believe(memory, message.ballot, message.first, window)
        return _moved(state, update, (To(sender, CatchUpRequest(update.memory.first)),))
    accepted, reply = acceptor.accept(memory, message)
    if type(reply) is Nack:
        return state, Now((To(sender, reply),))
    believed = learner.believe(accepted.memory, message.ballot, message.first, window)
    update = Update(believed.memory, accepted.written, believed.chosen)
    return _moved(state, update, (To(sender, reply),))


def _on_accepted(state: Replica[V], sender: ServerId, message: Accepted) -> Step[V]:
    role = state.role
    if type(role) is not Leading or message.ballot != role.ballot:
        return state, NO_MESSAGES
    role = leader.count_vote(role, state.memory, sender, message.slot)
    return _moved(_with(state, state.memory, role), Update(state.memory))


def _on_catch_up(state: Replica[V], sender: ServerId, message: CatchUp[V]) -> Step[V]:
    for proposal in message.proposals:
        state = _seen(state, proposal.ballot)
    update = learner.learn(state.memory, message, state.rules.window)
    # Whether the sender has more is not to be seen: a transport may have shortened its message.
    asks = (To(sender, CatchUpRequest(update.memory.first)),) if update.written else ()
    return _moved(state, update, asks)


def _fetch(state: Replica[V], receiver: ServerId, slot: int) -> Now[Effect[V]]:
    if receiver == state.me or slot >= state.memory.first:
        return NO_MESSAGES
    return Now((Tell(Fetch(receiver, slot)),))


def _moved(state: Replica[V], update: Update[V], effects: tuple[Effect[V], ...] = ()) -> Step[V]:
    """``state`` after ``update``: what is in flight follows, and what is chosen is reported."""
    first, memory, role = state.memory.first, update.memory, state.role
    chosen = update.chosen
    if type(role) is Leading:
        role = leader.dropped(role, memory.first - first)
        count = leader.chosen_count(role, memory)
        if count:
            found = advanced(memory, count, state.rules.window)
            memory, chosen, role = found.memory, chosen + found.chosen, leader.dropped(role, count)
    is_news = update.written or update.floor > FIRST_SLOT
    state = _with(state, memory, role)
    if memory.first != first:
        state, more = _on_first_moved(state)
        # A snapshot may stand for the slots before these.
        begin = memory.first - len(chosen)
        committed = (Tell(Committed(begin, chosen)),) if chosen else ()
        effects = (*effects, *committed, *more)
    if not is_news:
        return state, Now(effects)
    return state, AfterSave(delta(memory, update.written, update.floor), effects)


def _on_first_moved(state: Replica[V]) -> tuple[Replica[V], tuple[Effect[V], ...]]:
    """More slots are known to be chosen: a candidate may lead, and reads may be answered."""
    role = state.role
    if type(role) is Preparing:
        state, outbound = _try_to_lead(state, role)
        return state, outbound.messages
    return _ready(state)


# --- requests of the program ----------------------------------------------------------------------


def _propose(state: Replica[V], entry: Entry[V]) -> Step[V]:
    role, memory = _leadership(state), state.memory
    slot = memory.first + len(role.in_flight)
    if not leader.room(role, memory, state.rules.window):
        raise WindowFull(slot)
    state = _with(state, memory, leader.proposed(role, entry, state.election.beat))
    return state, Now((Broadcast(Accept(role.ballot, slot, entry, memory.first)),))


def _read(state: Replica[V], event: Read) -> Step[V]:
    role, memory, number = _leadership(state), state.memory, event.number
    request = Broadcast(Confirm(role.ballot, number, event.lease))
    if event.since is not None and has_lease(state, event.since):
        asks = (request,) if event.lease else ()
        return state, Now((Tell(Readable(number, memory.first)), *asks))
    read = PendingRead(number, max(memory.first, role.settled))
    return evolve(state, reads=(*state.reads, read)), Now((request,))


def _on_confirm(state: Replica[V], sender: ServerId, message: Confirm) -> Step[V]:
    memory, reply = state.memory, acceptor.confirm(state.memory, message)
    ballot, number, length = message.ballot, message.number, message.lease
    is_granted = lease.may_grant(state.grant, message, state.rules.lease, state.max_round)
    if type(reply) is Nack or not is_granted:
        return state, Now((To(sender, reply),))
    granted = To(sender, Confirmed(ballot, number, grants=True))
    if ballot.server == state.me:
        return state, Now((granted,))
    memory = evolve(memory, lease=max(memory.lease, length))
    state = evolve(state, memory=memory, grant=lease.granting(state.grant, message))
    timer = SetTimer(ReleaseTimer(ballot, number, length), 0)
    return state, AfterSave(delta(memory), (granted, timer))


def _leadership(state: Replica[V]) -> Leading[V]:
    if type(state.role) is Leading:
        return state.role
    follows = state.election.follows
    raise NotLeading(state.me, None if follows == NO_BALLOT else follows.server)


def _on_confirmed(state: Replica[V], sender: ServerId, message: Confirmed) -> Step[V]:
    role = state.role
    if type(role) is not Leading or message.ballot != role.ballot:
        return state, NO_MESSAGES
    if message.grants:
        role = evolve(role, granted=lease.with_grant(role.granted, sender, message.number))
    state = evolve(state, role=role, reads=confirmed(state.reads, sender, message.number))
    state, effects = _ready(state)
    return state, Now(effects)


def _ready(state: Replica[V]) -> tuple[Replica[V], tuple[Effect[V], ...]]:
    """The reads that can be answered are reported."""
    if not state.reads:
        return state, ()
    first = state.memory.first
    quorum = governing(state.memory.configurations, first)
    ready = [it for it in state.reads if is_ready(it, first, quorum)]
    waiting = tuple(it for it in state.reads if it not in ready)
    return evolve(state, reads=waiting), tuple(Tell(Readable(it.number, first)) for it in ready)


def _on_snapshot_installed(state: Replica[V], event: SnapshotInstalled) -> Step[V]:
    memory = learner.install(state.memory, event.first, event.configurations)
    if memory is state.memory:
        return state, NO_MESSAGES
    return _moved(state, Update(memory, floor=event.first))


# --- elections ------------------------------------------------------------------------------------


def _lead(state: Replica[V]) -> Step[V]:
    if state.me not in members(state):
        raise UnknownServer(state.me, members(state))
    if state.grant is not None:
        return evolve(state, grant=evolve(state.grant, leads_next=True)), NO_MESSAGES
    return _campaign(state)


def _campaign(state: Replica[V]) -> Step[V]:
    """Draw a ballot, promise it, and ask all for a promise."""
    memory = state.memory
    ballot = Ballot(max(state.max_round, memory.promised.round) + 1, state.me)
    memory = with_promise(memory, ballot)
    role: Preparing[V] = Preparing(ballot, memory.first)
    state = evolve(state, memory=memory, role=role, reads=(), max_round=ballot.round)
    return state, AfterSave(delta(memory), (Broadcast(Prepare(ballot, memory.first)),))


def _on_heartbeat(state: Replica[V], sender: ServerId, message: Heartbeat) -> Step[V]:
    if sender == state.me:
        return state, NO_MESSAGES
    hint = election.heard(state.election, sender, message.ballot, in_contact=message.in_contact)
    state = _with_progress(evolve(state, election=hint), sender, message)
    update = Update(state.memory)
    if message.leads:
        update = learner.believe(state.memory, message.ballot, message.first, state.rules.window)
    first = update.memory.first
    is_source = message.leads or not election.leader_in_contact(hint)
    is_behind = first < message.first
    asks = (To(sender, CatchUpRequest(first)),) if is_behind and is_source else ()
    return _moved(state, update, asks)


def _on_heartbeat_timer(state: Replica[V], timer: HeartbeatTimer) -> Step[V]:
    if timer.number != state.election.beat:
        return state, NO_MESSAGES
    memory, role, hint = state.memory, state.role, election.aged(state.election)
    quorum = governing(memory.configurations, memory.first)
    is_reached = quorum.is_phase1(election.alive(hint))
    if type(role) is Leading and not (is_reached and quorum.is_phase1(role.promised)):
        role = Following()
    leads = type(role) is Leading
    in_contact = leads or election.leader_in_contact(hint)
    hint = evolve(hint, in_contact=in_contact)
    # This timer was set when what the last heartbeat said was saved.
    holds = said(state.progress, state.me, state.recorded)
    reads = state.reads if leads else ()
    state = evolve(state, role=role, election=hint, reads=reads, progress=holds)
    follows = role.ballot if type(role) is Leading else hint.follows
    beat = Broadcast(Heartbeat(follows, leads, in_contact, memory.first))
    effects = beat, SetTimer(HeartbeatTimer(hint.beat), 0), *_retries(state)
    if type(role) is Following and is_reached and _may_campaign(state):
        effects = (*effects, SetTimer(CampaignTimer(hint.beat), 0))
    if not timer.number and memory.lease:
        effects = (*effects, SetTimer(ReleaseTimer(NO_BALLOT, 0, memory.lease), 0))
    # A Prepare that is sent again must not overtake the save of its ballot.
    if memory.first == state.recorded and type(role) is not Preparing:
        return state, Now(effects)
    return evolve(state, recorded=memory.first), AfterSave(delta(memory), effects)


def _may_campaign(state: Replica[V]) -> bool:
    is_free = state.grant is None and state.me in members(state)
    return is_free and election.is_leaderless(state.election)


def _retries(state: Replica[V]) -> Iterator[Effect[V]]:
    """What may have been lost is asked again, of those that have not answered."""
    memory, role, beat = state.memory, state.role, state.election.beat
    servers = members(state)
    if type(role) is Preparing:
        request = Prepare(role.ballot, role.slot)
        yield from (To(it, request) for it in sorted(servers - role.promised))
        if role.base > memory.first and role.known_by is not None:
            yield To(role.known_by, CatchUpRequest(memory.first))
    elif type(role) is Leading:
        for accept, voters in leader.unanswered(role, memory, beat):
            asked = governing(memory.configurations, accept.slot).members - voters
            yield from (To(member, accept) for member in sorted(asked))
        if state.reads:
            yield Broadcast(Confirm(role.ballot, state.reads[-1].number))
    elif state.me not in servers:  # A newcomer gets no heartbeats: it asks one after the other.
        yield To(sorted(servers)[beat % len(servers)], CatchUpRequest(memory.first))


def _on_campaign_timer(state: Replica[V], timer: CampaignTimer) -> Step[V]:
    is_due = timer.number == state.election.beat and type(state.role) is Following
    if not is_due or not _may_campaign(state):
        return state, NO_MESSAGES
    return _campaign(state)


def _on_release_timer(state: Replica[V], timer: ReleaseTimer) -> Step[V]:
    """Nothing is granted any more, so no more than the rules say is to be waited for in future."""
    grant, memory = state.grant, state.memory
    if grant is None or not lease.is_over(grant, timer):
        return state, NO_MESSAGES
    memory = evolve(memory, lease=min(memory.lease, state.rules.lease))
    state = evolve(state, memory=memory, grant=None)
    if grant.leads_next and state.me in members(state):
        return _campaign(state)
    return state, NO_MESSAGES
