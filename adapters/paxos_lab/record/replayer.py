"""Playing: what happened to the servers of a recording is taken again, one entry after the other.

- Each event goes to the protocol that was recorded. What it has changed must have the digests that
  were recorded, and an error must be the one that was raised.
- What a step says leaves when it left: at once, or when the save that it waited for was over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Generic, TypeAlias

from attrs import define, frozen

from paxos import (
    Accepted,
    Acceptor,
    Broadcast,
    From,
    InvariantError,
    Message,
    QuorumSystem,
    ServerId,
    Tell,
    To,
    server,
)
from paxos.ballot import V
from paxos.errors import assert_never
from paxos_adapters.coding import Coder
from paxos_lab.machines.protocols import Receive
from paxos_lab.record.entries import (
    PARTS,
    Began,
    Digests,
    Ended,
    Entry,
    Freed,
    Given,
    Known,
    Took,
)
from paxos_lab.record.in_flight import Arrival, Post, Sent
from paxos_lab.transitions import Transition, settle

Key: TypeAlias = tuple[ServerId, str]
"""The lane of a server, and the name of a decision."""

Disk: TypeAlias = dict[type, server.Record[str]]
Taken: TypeAlias = Transition[server.Server[str], server.Record[str], server.Effect[str]]


@frozen
class Step(Generic[V]):
    """One thing that happened, taken again: the ``number``-th.

    ``before`` and ``after`` are None where the server is not there. ``record`` is what this step
    has to save. ``saved`` is durable from here on, and ``sent`` and ``reports`` have left, be it
    of earlier steps whose save is over. ``arrival`` is there if it was a message.
    """

    number: int
    entry: Entry[V]
    before: server.Server[V] | None
    after: server.Server[V] | None
    record: server.Record[V] | None = None
    saved: tuple[server.Record[V], ...] = ()
    sent: tuple[Sent[V], ...] = ()
    reports: tuple[server.Report[V], ...] = ()
    arrival: Arrival[V] | None = None

    @property
    def votes(self) -> Iterator[From[Accepted[V]]]:
        """What counts as accepted from here on: it is durable, or has left."""
        if self.after is not None:
            me = self.after.proposer.me
            for record in self.saved:
                if isinstance(record, Acceptor) and record.accepted is not None:
                    yield From(me, Accepted(record.accepted.ballot, record.accepted.value))
        for it in self.sent:
            if isinstance(it.message, Accepted):
                yield From(it.sender, it.message)


class Differs(Exception):
    """A step goes another way than it went: what was expected, and what came."""

    def __init__(self, expected: str, came: str) -> None:
        super().__init__(expected, came)
        self.expected = expected
        self.came = came


@define
class _Life:
    """A server while it lives; a step from before the recording waits as None."""

    state: server.Server[str]
    digests: Digests
    waiting: deque[Taken | None]


class Player:
    """The servers of a recording, and the messages between them."""

    def __init__(self, coder: Coder[str], quorum: QuorumSystem) -> None:
        self.quorum = quorum
        self.post = Post(coder)
        self.disks: dict[Key, Disk] = {}
        self._coder = coder
        self._lives: dict[Key, _Life] = {}
        self._steps = self._sent = 0
        self._now_s = 0.0

    @property
    def states(self) -> dict[Key, server.Server[str]]:
        """The servers that are there."""
        return {place: life.state for place, life in self._lives.items()}

    def can_come(self, entry: Entry[str]) -> bool:
        """Whether nothing that was recorded has to happen before it."""
        what, life = entry.what, self._lives.get((entry.server, entry.name))
        if life is None or not isinstance(what, Took) or not isinstance(what.event, From):
            return True
        return self.post.can_arrive(life.state.proposer.me, entry.name, what.event)

    def play(self, entry: Entry[str], receive: Receive) -> Step[str]:
        """Take one entry. Raises Differs."""
        place, what = (entry.server, entry.name), entry.what
        life = self._lives.get(place)
        number, before = self._steps + 1, None if life is None else life.state
        arrival, taken, freed = None, None, list[Taken]()
        if type(what) is Began:
            self._begin(place, what)
        elif type(what) is Known:
            self._know(place, what)
        elif life is None:
            raise Differs("about a server that is there", "about none that has begun")
        elif type(what) is Took:
            taken = self._take(life, what, receive)
            if type(what.event) is From:
                me = life.state.proposer.me
                arrival = self.post.arrive(me, entry.name, what.event)
            if taken is not None and not what.waits:
                freed = [taken]
        elif type(what) is Freed:
            freed = self._free(life, what.steps)
        elif type(what) is Given:
            life.state, life.digests = what.state, self._digests(what.state)
        elif type(what) is Ended:
            del self._lives[place]
        else:
            assert_never(what)
        self._steps, self._now_s = number, entry.at_s
        now = self._lives.get(place)
        saved = tuple(it.record for it in freed if it.record is not None)
        if type(what) is Began:
            saved = what.records
        step = Step(
            number,
            entry,
            before,
            None if now is None else now.state,
            None if taken is None else taken.record,
            saved,
            tuple(self._leaves(number, entry, freed)),
            tuple(it.report for taken in freed for it in taken.effects if isinstance(it, Tell)),
            arrival,
        )
        self.post.send(step.sent)
        return step

    def end(self, places: Iterable[Key], why: str, receive: Receive) -> Iterator[Step[str]]:
        """Those of ``places`` that are there are no more."""
        for lane, name in sorted(places):
            if (lane, name) in self._lives:
                yield self.play(Entry(self._now_s, lane, name, Ended(why)), receive)

    def _begin(self, place: Key, what: Began[str]) -> None:
        self._lives.pop(place, None)
        self.disks[place] = {type(record): record for record in what.records}
        try:
            state = server.start(what.me, self.quorum, what.records)
        except InvariantError:
            return  # As it was then: such a server does not come up.
        self._lives[place] = _Life(state, self._digests(state), deque())

    def _know(self, place: Key, what: Known[str]) -> None:
        """At the beginning of a file: new to us, or in the state in which we know it."""
        digests, life = self._digests(what.state), self._lives.get(place)
        if life is not None:
            _compare(digests, life.digests)
            return
        waiting = deque[Taken | None]([None] * what.waiting)
        self._lives[place] = _Life(what.state, digests, waiting)
        memory = what.state.acceptor
        self.disks[place] = {type(memory): memory}

    def _take(self, life: _Life, what: Took[str], receive: Receive) -> Taken | None:
        try:
            taken = settle(receive(life.state, what.event))
        except Exception as error:
            if type(error).__name__ != what.raised:
                raise Differs(_outcome(what), f"{type(error).__name__} ({error})") from error
            return None
        if what.raised is not None:
            raise Differs(_outcome(what), "a step")
        after = {part: getattr(taken.state, part) for part in PARTS}
        digests = {
            part: life.digests[part]
            if now is getattr(life.state, part)
            else self._coder.digest(now)
            for part, now in after.items()
        }
        _compare(life.digests | what.digests, digests)
        if what.waits:
            if taken.record is None:
                raise Differs("one that waits for a save", "one that says what it has to say")
            life.waiting.append(taken)
        life.state, life.digests = taken.state, digests
        return taken

    def _free(self, life: _Life, steps: int) -> list[Taken]:
        if steps > len(life.waiting):
            raise Differs(f"the end of a save for {steps}", f"one for {len(life.waiting)}")
        freed = [life.waiting.popleft() for _ in range(steps)]
        return [taken for taken in freed if taken is not None]

    def _leaves(self, number: int, entry: Entry[str], freed: list[Taken]) -> Iterator[Sent[str]]:
        lane, name = place = entry.server, entry.name
        for taken in freed:
            if taken.record is not None:
                self.disks.setdefault(place, {})[type(taken.record)] = taken.record
            me = taken.state.proposer.me
            for effect in taken.effects:
                for receiver, message in _messages(effect, self.quorum):
                    self._sent += 1
                    at_s = entry.at_s
                    yield Sent(self._sent, number, at_s, lane, me, receiver, name, message)

    def _digests(self, state: server.Server[str]) -> Digests:
        return {part: self._coder.digest(getattr(state, part)) for part in PARTS}


def _compare(expected: Digests, came: Digests) -> None:
    others = [part for part in PARTS if expected.get(part) != came[part]]
    if others:
        raise Differs(
            "; ".join(f"{part} {expected.get(part)}" for part in others),
            "; ".join(f"{part} {came[part]}" for part in others),
        )


def _outcome(what: Took[str]) -> str:
    return "a step" if what.raised is None else what.raised


def _messages(
    effect: server.Effect[str], quorum: QuorumSystem
) -> Iterator[tuple[ServerId, Message[str]]]:
    if type(effect) is To:
        yield effect.receiver, effect.message
    elif type(effect) is Broadcast:
        for receiver in sorted(quorum.members):
            yield receiver, effect.message
