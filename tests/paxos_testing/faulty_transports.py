"""Transports that lie, and the kit on each of them, for test_transport_kit.py.

Each is a plain one in memory with one thing spoilt, and most of them only now and then.
"""

from __future__ import annotations

import signal
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event
from typing import ClassVar, cast

from attrs import evolve, frozen

from paxos import Accept, Accepted, Ballot, Chosen, Message, Nack, PaxosError, Prepare, ServerId
from paxos_testing import Deliver, TransportKit

LONG_QUEUE = 10_000


class Refused(PaxosError):
    """What the honest one raises."""


class Post:
    """Honest: refuses non-members and large values, loses what is for servers that are down."""

    most_bytes: ClassVar[int] = 50

    def __init__(self) -> None:
        self.queue: deque[tuple[ServerId, ServerId, Message[str]]] = deque()
        self.up: dict[ServerId, Deliver[str]] = {}

    def start(self, me: ServerId, deliver: Deliver[str]) -> None:
        self.up[me] = deliver

    def stop(self, me: ServerId) -> None:
        del self.up[me]

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver not in (1, 2, 3) or len(value_of(message)) > self.most_bytes:
            raise Refused
        self.queue.append((sender, receiver, message))

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver in self.up:
            self.up[receiver](sender, message)

    def run_one(self) -> bool:
        """Whether there was anything to do."""
        if self.queue:
            self.bring(*self.queue.popleft())
            return True
        return False


def value_of(message: Message[str]) -> str:
    if isinstance(message, Accept | Accepted | Chosen):
        return message.value
    return ""


def with_value(message: Message[str], value: str) -> Message[str]:
    if isinstance(message, Accept | Accepted | Chosen):
        return evolve(message, value=value)
    return message


def wait_for_ever() -> None:
    """Block. The alarm that the kit has set comes soon, so that nobody has to wait for it."""
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    Event().wait()


class DropsEverything(Post):
    """Loses all there is."""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        pass


class DropsOneKind(Post):
    """Does not know what to do with a refusal."""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if not isinstance(message, Nack):
            super().bring(sender, receiver, message)


class KeepsTooFew(Post):
    """Drops what does not fit into a short queue."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if len(self.queue) < 20:
            super().send(sender, receiver, message)


class StripsValues(Post):
    """Takes white space for nothing."""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        super().bring(sender, receiver, with_value(message, value_of(message).strip()))


class RepeatsTheFirstValue(Post):
    """Once it has carried a value, it carries no other one."""

    first = ""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if value := value_of(message):
            self.first = self.first or value
            message = with_value(message, self.first)
        super().bring(sender, receiver, message)


class Truncates(Post):
    """Cuts off what does not fit."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        super().send(sender, receiver, with_value(message, value_of(message)[: self.most_bytes]))


class LosesWhatIsTooLarge(Post):
    """Keeps quiet about what it does not carry."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if len(value_of(message)) <= self.most_bytes:
            super().send(sender, receiver, message)


class CutsAt64KiB(Post):
    """Has 16 bits for the length of a value, and no bound."""

    most_bytes = 1 << 16

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        value = value_of(message).encode()
        cut = value[: len(value) & 0xFFFF].decode(errors="ignore")
        super().send(sender, receiver, with_value(message, cut))


class TripsOverSize(Post):
    """Does not say what is wrong."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if len(value_of(message)) > self.most_bytes:
            raise IndexError(self.most_bytes)
        super().send(sender, receiver, message)


class RoundsRounds(Post):
    """Writes numbers as some other languages do."""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if isinstance(message, Prepare):
            message = Prepare(Ballot(int(float(message.ballot.round)), message.ballot.server))
        super().bring(sender, receiver, message)


class ForgetsTypes(Post):
    """Hands out tuples as they were read."""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if isinstance(message, Accepted):
            message = evolve(message, ballot=cast("Ballot", tuple(message.ballot)))
        super().bring(sender, receiver, message)


class NamesTheSenderBefore(Post):
    """Remembers a sender for too long."""

    before = ServerId(1)

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        super().bring(self.before, receiver, message)
        self.before = sender


class MissesTheWay(Post):
    """Brings now and then what is for the one to another."""

    brought = 0

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        self.brought += 1
        wrong = ServerId(receiver % 3 + 1)
        super().bring(sender, wrong if self.brought % 5 == 0 else receiver, message)


class TellsEverybody(Post):
    """Takes a group for a server."""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        for it in {receiver, *self.up}:
            super().bring(sender, it, message)


class DeliversAtOnce(Post):
    """Saves itself the queue."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        super().send(sender, receiver, message)
        self.run_one()


class DeliversToItselfAtOnce(Post):
    """The same, where it is most tempting."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        super().send(sender, receiver, message)
        if sender == receiver:
            self.bring(*self.queue.pop())


class LosesAnswers(Post):
    """Takes nothing while it delivers."""

    is_delivering = False

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if not self.is_delivering:
            super().send(sender, receiver, message)

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        self.is_delivering = True
        super().bring(sender, receiver, message)
        self.is_delivering = False


class LocksWhileItDelivers(LosesAnswers):
    """Takes care of its threads, and too much."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if self.is_delivering:
            wait_for_ever()
        super().send(sender, receiver, message)


class NeverToItself(Post):
    """Finds no way to itself."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if sender != receiver:
            super().send(sender, receiver, message)


class BlocksWhenFull(Post):
    """Waits for somebody to take something."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if len(self.queue) > 300:
            wait_for_ever()
        super().send(sender, receiver, message)


class BlocksOnALongQueue(Post):
    """Waits for room in the queue of a peer that is down, and that is a long one."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Counter[ServerId] = Counter()

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver in self.up:
            self.waiting[receiver] = 0
            super().send(sender, receiver, message)
        elif receiver not in (1, 2, 3):
            raise Refused
        elif self.waiting[receiver] == LONG_QUEUE:
            wait_for_ever()
        else:
            self.waiting[receiver] += 1


class StaysFull(BlocksOnALongQueue):
    """Once the queue of a peer was full, nothing gets in any more."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if self.waiting[receiver] < LONG_QUEUE:
            super().send(sender, receiver, message)


class WaitsForThePeer(Post):
    """Waits until the peer is there."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver in (1, 2, 3) and receiver not in self.up:
            wait_for_ever()
        super().send(sender, receiver, message)


class RaisesForThePeer(Post):
    """Makes a fuss about a peer that is not there."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver in (1, 2, 3) and receiver not in self.up:
            raise ConnectionRefusedError(receiver)
        super().send(sender, receiver, message)


class HoldsUpTheOthers(Post):
    """Keeps its queue in order, with a peer at its head that is not there."""

    def run_one(self) -> bool:
        return bool(self.queue) and self.queue[0][1] in self.up and super().run_one()


class GivesUpForGood(Post):
    """Tries once whether a peer is there."""

    def __init__(self) -> None:
        super().__init__()
        self.given_up: set[tuple[ServerId, ServerId]] = set()

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver not in self.up:
            self.given_up.add((sender, receiver))
        if (sender, receiver) not in self.given_up:
            super().bring(sender, receiver, message)


class KeepsTheOldWay(Post):
    """Goes on with the connection to who was there before."""

    def __init__(self) -> None:
        super().__init__()
        self.was_up: set[ServerId] = set()

    def stop(self, me: ServerId) -> None:
        super().stop(me)
        self.was_up.add(me)

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver not in self.was_up:
            super().bring(sender, receiver, message)


class IsNotBelievedAgain(KeepsTheOldWay):
    """Takes whoever comes back for somebody who repeats old messages."""

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if sender not in self.was_up:
            Post.bring(self, sender, receiver, message)


class OutlivesItsEnd(Post):
    """Goes on with what it had taken in before it was stopped."""

    def stop(self, me: ServerId) -> None:
        self.last, self.deliver = me, self.up[me]
        super().stop(me)

    last = ServerId(0)

    def bring(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        if receiver == self.last and receiver not in self.up:
            self.deliver(sender, message)
        super().bring(sender, receiver, message)


class KnowsNoNonMembers(Post):
    """Trips over somebody whose address it does not have."""

    def send(self, sender: ServerId, receiver: ServerId, message: Message[str]) -> None:
        self.queue.append(
            (sender, {1: ServerId(1), 2: ServerId(2), 3: ServerId(3)}[receiver], message)
        )


@frozen
class Sending:
    """The transport of one server."""

    me: ServerId
    post: Post

    def send(self, receiver: ServerId, message: Message[str]) -> None:
        self.post.send(self.me, receiver, message)


class Caught(TransportKit[str]):
    """The kit on one of them."""

    values = "red", " blue ", ""
    errors = (Refused,)
    kind: ClassVar[type[Post]]

    def setup_method(self) -> None:
        self.post = self.kind()

    @contextmanager
    def running(self, me: ServerId, deliver: Deliver[str]) -> Generator[Sending]:
        self.post.start(me, deliver)
        yield Sending(me, self.post)
        self.post.stop(me)

    def until(self, holds: Callable[[], bool], at_most_s: float) -> None:  # noqa: ARG002
        while not holds() and self.post.run_one():
            pass


def _kit(kind: type[Post]) -> type[Caught]:
    return type(f"{kind.__name__}Kit", (Caught,), {"kind": kind, "most_bytes": kind.most_bytes})


KINDS: list[type[Post]] = [
    Post,
    *Post.__subclasses__(),
    IsNotBelievedAgain,
    StaysFull,
    LocksWhileItDelivers,
]
KITS: dict[str, type[Caught]] = {kind.__name__: _kit(kind) for kind in KINDS}
