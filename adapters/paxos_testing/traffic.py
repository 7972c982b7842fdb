"""Traffic: servers on the transport under test, what they send, and what arrives.

- Messages are sent by the code that asks whether all have come: so it happens in the thread and
  on the event loop of the transport, whatever those are.
- That something does not arrive cannot be waited for. Later messages are, more than once: what has
  not come before they have will not come.
- A send that does not return is ended by an alarm, where there are alarms.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from typing import Generic, Protocol, TypeAlias, TypeVar

import pytest
from attrs import frozen

from paxos import Ballot, Message, Prepare, ServerId
from paxos_adapters.ports import Transport
from paxos_testing.samples import is_same, say

V = TypeVar("V")

Deliver: TypeAlias = Callable[[ServerId, Message[V]], None]
"""What a transport calls, in any thread, with each message that arrives and its sender."""

TRIES = 10
"""How often a message is sent before it counts as one that never arrives."""

ROUNDS = 3
"""How many later messages have to come before nothing earlier is waited for any more."""

STUCK_S = 5.0
"""After how many seconds what should return at once is taken for blocked."""


class Hooks(Protocol[V]):
    """What the user of the kit says of the transport."""

    patience_s: float

    def running(
        self, me: ServerId, deliver: Deliver[V]
    ) -> AbstractContextManager[Transport[Message[V]]]:
        """See TransportKit."""
        ...

    def until(self, holds: Callable[[], bool], at_most_s: float) -> None:
        """See TransportKit."""
        ...


@frozen
class Arrival(Generic[V]):
    """A message as it was delivered: to a server that was up, or stopped, and perhaps in a send."""

    receiver: ServerId
    sender: ServerId
    message: Message[V]
    is_up: bool
    is_in_send: bool


class Traffic(Generic[V]):
    """Servers on a transport. ``arrivals`` is what was delivered so far, in that order.

    ``refused`` counts the messages that ``send`` has refused by type.
    """

    def __init__(self, hooks: Hooks[V]) -> None:
        self.arrivals: list[Arrival[V]] = []
        self.answers: dict[ServerId, Message[V]] = {}
        """What these servers answer to all that is delivered to them, within the delivery."""
        self.refused = 0
        self.patience_s = hooks.patience_s
        self._hooks = hooks
        self._up: dict[ServerId, tuple[Transport[Message[V]], ExitStack]] = {}
        self._processes = count()
        self._process: dict[ServerId, int] = {}
        self._sending: int | None = None
        self._rounds = count(1_000)

    # --- processes --------------------------------------------------------------------------------

    def start(self, *servers: ServerId) -> None:
        """Bring these up, at the addresses that they had before."""
        for me in servers:
            self._process[me] = process = next(self._processes)
            stack = ExitStack()
            transport = stack.enter_context(self._hooks.running(me, self._deliver(me, process)))
            self._up[me] = transport, stack

    def stop(self, *servers: ServerId) -> None:
        """Take these down."""
        for me in servers:
            _, stack = self._up.pop(me)
            with ends_in_time(f"to stop server {me}"):
                stack.close()
            del self._process[me]

    def stop_all(self) -> None:
        """Take all down that are up."""
        self.stop(*self._up)

    def transport(self, me: ServerId) -> Transport[Message[V]]:
        """What server ``me``, which is up, sends with."""
        return self._up[me][0]

    def _deliver(self, me: ServerId, process: int) -> Deliver[V]:
        def deliver(sender: ServerId, message: Message[V]) -> None:
            is_up = self._process.get(me) == process
            is_in_send = self._sending == threading.get_ident()
            self.arrivals.append(Arrival(me, sender, message, is_up, is_in_send))
            if me in self.answers:
                with ends_in_time(f"to send from server {me} within a delivery to it"):
                    self.transport(me).send(sender, self.answers[me])

        return deliver

    # --- sending --------------------------------------------------------------------------------

    def send(
        self,
        sender: ServerId,
        receiver: ServerId,
        *messages: Message[V],
        refusals: tuple[type[Exception], ...] = (),
    ) -> None:
        """Send these, one right after the other. Fails if that blocks, or raises but refusals."""
        what = f"to send {len(messages)} messages from server {sender} to server {receiver}"

        def work() -> None:
            transport = self.transport(sender)
            with ends_in_time(what):
                for message in messages:
                    try:
                        self._send(transport, receiver, message)
                    except refusals:
                        self.refused += 1
                    except Exception as error:
                        allowed = ", ".join(it.__name__ for it in refusals) or "nothing"
                        raise AssertionError(
                            f"``send`` of {say(message)} from server {sender} to server "
                            f"{receiver} raised {type(error).__name__}: {error}. Here it may "
                            f"raise {allowed}. What cannot be sent is lost, and that is not an "
                            "error; what is not to be sent at all is refused with one of "
                            "``errors``."
                        ) from error

        self.do(work)

    def _send(
        self, transport: Transport[Message[V]], receiver: ServerId, message: Message[V]
    ) -> None:
        self._sending = threading.get_ident()
        try:
            transport.send(receiver, message)
        finally:
            self._sending = None

    def do(self, work: Callable[[], None]) -> None:
        """Run this once, on the thread or event loop of the transport."""
        left = [work]

        def holds() -> bool:
            while left:
                left.pop()()
            return True

        assert self.until(holds), "``until`` has to call what it is given, at least once"

    # --- arriving -------------------------------------------------------------------------------

    def until(self, holds: Callable[[], bool]) -> bool:
        """Let things run until ``holds``, or patience is over: whether it did at last."""
        held = False

        def ask() -> bool:
            nonlocal held
            held = holds()
            return held

        self._hooks.until(ask, self.patience_s)
        return held

    def at(self, receiver: ServerId) -> list[Message[V]]:
        """What was delivered to a server so far."""
        return [it.message for it in self.arrivals if it.receiver == receiver]

    def carry(
        self, sender: ServerId, receiver: ServerId, messages: Sequence[Message[V]]
    ) -> list[Message[V]]:
        """Send these until they have arrived, TRIES times at most: those that have not."""
        seen, missing = len(self.arrivals), list(messages)

        def all_came() -> bool:
            nonlocal seen
            now = len(self.arrivals)
            for it in self.arrivals[seen:now]:
                if it.receiver == receiver:
                    missing[:] = [sent for sent in missing if not is_same(sent, it.message)]
            seen = now
            return not missing

        for _ in range(TRIES):
            self.send(sender, receiver, *missing)
            if self.until(all_came):
                break
        return missing

    def check_way(self, sender: ServerId, receiver: ServerId, when: str) -> None:
        """Fail unless messages get from one server to another."""
        before = len(self.arrivals)
        (message,) = fresh = [self.fresh()]
        if self.carry(sender, receiver, fresh):
            came = [say(it.message) for it in self.arrivals[before:] if it.receiver == receiver]
            raise AssertionError(
                f"{when}: {say(message)} was sent {TRIES} times from server {sender} to server "
                f"{receiver}, and never arrived in {self.patience_s} s each. "
                f"{_came(came)} Messages may be lost, but not all of them."
            )

    def settle(self, *servers: ServerId) -> None:
        """Let whatever is on its way arrive: later messages between these have done so."""
        for _ in range(ROUNDS):
            for sender in servers:
                for receiver in servers:
                    self.check_way(sender, receiver, "with nothing else to do")

    def fresh(self) -> Message[V]:
        """A message that was not sent before."""
        return Prepare(Ballot(next(self._rounds), ServerId(1)))


def _came(came: Sequence[str]) -> str:
    return f"What came there: {', '.join(came[:3])}." if came else "Nothing came there."


@contextmanager
def ends_in_time(what: str) -> Generator[None]:
    """Fail if what is within takes longer than STUCK_S. Without alarms it is waited for."""
    if not hasattr(signal, "setitimer") or threading.current_thread() != threading.main_thread():
        yield
        return

    def stuck(*_: object) -> None:
        pytest.fail(
            f"{what}: no return after {STUCK_S} s. It may not wait for anybody: queue what "
            "cannot go out at once, and drop what does not fit into the queue."
        )

    handler = signal.signal(signal.SIGALRM, stuck)
    before = signal.setitimer(signal.ITIMER_REAL, STUCK_S, STUCK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *before)
        signal.signal(signal.SIGALRM, handler)
