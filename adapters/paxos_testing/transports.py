"""The kit for transports: what every transport must do before servers can decide over it.

- A message may be lost, late, repeated or overtaken. It must not be altered, nor be another's, and
  what is sent again and again arrives in the end.
- A transport never steps a server within its own step, never holds one up, and never lets a peer
  that is down be felt by the others.
- What is to arrive is sent up to TRIES times. What is not to arrive is not waited for: see
  ``traffic.py``.
- What a transport does not promise it declares. The tests of it are then skipped, and say so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import ClassVar, Generic, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from paxos import (
    Accept,
    Accepted,
    Ballot,
    Chosen,
    Inquire,
    Message,
    Promise,
    Proposal,
    Propose,
    ServerId,
)
from paxos_adapters.ports import Transport
from paxos_testing.consensus import Council
from paxos_testing.samples import (
    NOT_LIKE,
    at_every_edge,
    drawn,
    edge_values,
    is_same,
    of_every_kind,
    say,
    value_beyond,
)
from paxos_testing.traffic import TRIES, Deliver, Traffic

V = TypeVar("V")

ONE, TWO, THREE = MEMBERS = ServerId(1), ServerId(2), ServerId(3)
NON_MEMBER = ServerId(99)

BURST = 400
"""How many messages are sent in one go."""

FLOOD = 20_000
"""How many are sent to a server that is down: more than a queue of any sense holds."""

EXAMPLES = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],  # to shrink would be to wait for each message that is lost
)


class TransportKit(Generic[V]):
    """The tests of a transport for values of type V, which run once you say how yours is run.

        class TestMyTransport(TransportKit[str]):
            values = "red", "", "two\\nlines", "x" * 5000
            errors = (MyTransportError,)

            @contextmanager
            def running(self, me: ServerId, deliver: Deliver[str]) -> Generator[MyTransport]:
                transport = MyTransport(me, self.addresses, deliver)
                yield transport
                transport.close()

    Servers 1, 2 and 3 are run. Find addresses for them in pytest's ``setup_method``.
    """  # noqa: D301 - the backslashes are those of the example

    values: Sequence[V]
    """At least two values of the kind that it is for: small, empty, large, strange."""
    most_bytes: ClassVar[int] = 1 << 16
    """The largest value that it carries, if values are strings or bytes: a node's."""
    too_large: Sequence[V] = ()
    """Values beyond its bound. Not said: for strings and bytes, one of a byte more."""
    errors: tuple[type[Exception], ...] = ()
    """What ``send`` raises for what is not to be sent at all: your own types."""
    highest: ClassVar[Ballot] = Ballot((1 << 63) - 1, ServerId((1 << 32) - 1))
    """The highest ballot that it carries; the least is round 1 of server 0."""
    comes_back: bool = True
    """False for one that is not heard again once it was stopped."""
    patience_s: float = 1.0
    """How many seconds a message may take to arrive. Only what is lost is waited for so long."""
    seed: ClassVar[int] = 20131017
    """What the delays of servers are drawn from."""

    def running(
        self, me: ServerId, deliver: Deliver[V]
    ) -> AbstractContextManager[Transport[Message[V]]]:
        """The transport of server ``me``, up as long as the context is entered.

        It calls ``deliver(sender, message)`` with all that arrives, in any thread.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to run {me}: {deliver}")

    def until(self, holds: Callable[[], bool], at_most_s: float) -> None:
        """Let things run until ``holds()``, at most so long; or until nothing is left to run.

        Call ``holds`` often, and at least once, where ``send`` may be called: it also sends. This
        one is for transports with threads of their own, which can be called from any.
        """
        end_s = time.monotonic() + at_most_s
        while not holds() and time.monotonic() < end_s:
            time.sleep(0.001)

    # --- what is sent arrives -------------------------------------------------------------------

    def test_every_kind_of_message_arrives_unaltered(self) -> None:
        """With every value, and with the least and the highest ballot."""
        with self._traffic(*MEMBERS) as traffic:
            self._carry(traffic, at_every_edge(self.values, self.highest))

    def test_padded_and_long_values_arrive_unaltered(self) -> None:
        """To the last byte: blanks and zeros at the ends, and ``most_bytes``."""
        values = edge_values(self.values[0], self.most_bytes)
        if not values:
            pytest.skip(NOT_LIKE)
        with self._traffic(*MEMBERS) as traffic:
            for value in values:
                self._carry(traffic, _with(self.highest, value))

    def test_messages_drawn_at_random_arrive_unaltered(self) -> None:
        """With numbers of every size, in every place."""
        with self._traffic(*MEMBERS) as traffic:

            @EXAMPLES
            @given(st.lists(drawn(self.values, self.highest), min_size=1, max_size=8))
            def carry(messages: list[Message[V]]) -> None:
                self._carry(traffic, messages)

            carry()

    def test_the_sender_is_the_true_one(self) -> None:
        """Votes count by their senders."""
        with self._traffic(*MEMBERS) as traffic:
            sent: list[tuple[ServerId, Message[V]]] = []
            for sender in MEMBERS * 2:
                for receiver in MEMBERS:
                    message = traffic.fresh()
                    sent.append((sender, message))
                    traffic.send(sender, receiver, message)
            traffic.settle(*MEMBERS)
            senders = {say(message): sender for sender, message in sent}
            for it in traffic.arrivals:
                sender = senders.get(say(it.message), it.sender)
                assert it.sender == sender, (
                    f"server {sender} sent {say(it.message)} to server {it.receiver}, where it "
                    f"came as one from server {it.sender}. Tell the sender by the connection or "
                    "by what was signed, and never by what arrived before."
                )

    def test_only_the_receiver_gets_it(self) -> None:
        """A message to one server does not reach the others."""
        with self._traffic(*MEMBERS) as traffic:
            sent: list[tuple[ServerId, Message[V]]] = []
            for receiver in MEMBERS * 4:
                sent.append((receiver, traffic.fresh()))
                traffic.send(ONE, *sent[-1])
            traffic.settle(*MEMBERS)
            receivers = {say(message): receiver for receiver, message in sent}
            for it in traffic.arrivals:
                receiver = receivers.get(say(it.message), it.receiver)
                assert it.receiver == receiver, (
                    f"server 1 sent {say(it.message)} to server {receiver}, and server "
                    f"{it.receiver} got it. Deliver to the receiver alone: an answer that was "
                    "not asked for may be counted by a server that asked the same."
                )

    def test_a_message_to_itself_arrives(self) -> None:
        """A server is one of its own voters."""
        with self._traffic(ONE) as traffic:
            traffic.check_way(ONE, ONE, "with no other server up")

    def test_a_burst_arrives_in_good_part(self) -> None:
        """Some may be lost: not nearly all, and not always those of one kind."""
        with self._traffic(*MEMBERS) as traffic:
            traffic.check_way(ONE, TWO, "before any burst")
            kinds = of_every_kind(self.highest, self.values[0])
            missing = {type(it).__name__ for it in kinds}
            for _ in range(TRIES):
                came = self._burst(traffic, (kinds * BURST)[:BURST])
                assert len(came) >= BURST // 10, (
                    f"of {BURST} messages sent in one go {len(came)} arrived in {self.patience_s} "
                    "s. Losses are made up for, but not so many: lengthen your queue."
                )
                missing -= {type(it).__name__ for it in came}
                if not missing:
                    break
            assert not missing, (
                f"of {TRIES} bursts of {BURST} messages of all kinds, none of these kinds arrived: "
                f"{', '.join(sorted(missing))}. Whatever is lost must not always be the same."
            )

    # --- a send -----------------------------------------------------------------------------------

    def test_nothing_is_delivered_within_a_send(self) -> None:
        """A server sends within its step. To be called there would be a step within a step."""
        with self._traffic(*MEMBERS) as traffic:
            for receiver in MEMBERS:
                traffic.send(ONE, receiver, *of_every_kind(self.highest, self.values[0]))
            traffic.settle(*MEMBERS)
            for it in traffic.arrivals:
                assert not it.is_in_send, (
                    f"``send`` to server {it.receiver} delivered {say(it.message)} before it "
                    "returned. Queue the message, and deliver it from your loop or thread."
                )

    def test_a_delivery_can_be_answered_at_once(self) -> None:
        """A server that takes a message where it is delivered sends from there."""
        with self._traffic(*MEMBERS) as traffic:
            answer = traffic.fresh()
            traffic.answers[TWO] = answer
            for _ in range(TRIES):
                traffic.send(ONE, TWO, traffic.fresh())
                if traffic.until(lambda: answer in traffic.at(ONE)):
                    return
            raise AssertionError(
                f"server 2 answered {say(answer)} within each of {TRIES} deliveries, and it never "
                "arrived. Hold no lock while you deliver, and let ``send`` be called from there."
            )

    def test_an_unknown_receiver_harms_nobody(self) -> None:
        """It is refused by type, or lost."""
        with self._traffic(*MEMBERS) as traffic:
            for _ in range(TRIES):
                traffic.send(ONE, NON_MEMBER, traffic.fresh(), refusals=self.errors)
            for receiver in MEMBERS:
                traffic.check_way(ONE, receiver, f"after messages to server {NON_MEMBER}, unknown")

    def test_a_value_beyond_the_bound_is_refused_or_carried_whole(self) -> None:
        """Never cut, nor lost without a word; and nobody else's loss."""
        beyond = value_beyond(self.values[0], self.most_bytes)
        too_large = self.too_large or ([] if beyond is None else [beyond])
        if not too_large:
            pytest.skip(f"{type(self).__name__} names no value that is ``too_large``")
        with self._traffic(*MEMBERS) as traffic:
            for message in (it for value in too_large for it in _with(self.highest, value)):
                before = traffic.refused
                traffic.send(ONE, TWO, message, refusals=self.errors)
                if traffic.refused == before:
                    self._carry(traffic, [message])
                traffic.check_way(ONE, TWO, f"after {say(message)}, which is too large")

    # --- peers that are down ----------------------------------------------------------------------

    def test_a_peer_that_is_down_is_felt_by_nobody_else(self) -> None:
        """To send to it is to lose a message: at once, and without a word."""
        with self._traffic(*MEMBERS) as traffic:
            for receiver in MEMBERS:
                traffic.check_way(ONE, receiver, "with all servers up")
            traffic.stop(TWO)
            for _ in range(TRIES):
                traffic.send(ONE, TWO, *([traffic.fresh()] * (BURST // TRIES)))
                for receiver in ONE, THREE:
                    traffic.check_way(ONE, receiver, "while server 2 is down, and sent to")

    def test_a_flood_to_a_peer_that_is_down_is_dropped(self) -> None:
        """A queue is bounded. What does not fit is lost, and ``send`` does not wait for room."""
        with self._traffic(*MEMBERS) as traffic:
            traffic.settle(*MEMBERS)
            traffic.stop(TWO)
            for _ in range(FLOOD // BURST):
                traffic.send(ONE, TWO, *([traffic.fresh()] * BURST))
            traffic.check_way(ONE, THREE, f"after {FLOOD:,} messages to server 2, which is down")
            if self.comes_back:
                traffic.start(TWO)
                traffic.check_way(ONE, TWO, f"after {FLOOD:,} messages to it while it was down")

    def test_servers_start_in_any_order(self) -> None:
        """A server that is up first sends to others that are not, and reaches them later."""
        with self._traffic(THREE) as traffic:
            traffic.send(THREE, ONE, traffic.fresh())
            traffic.send(THREE, TWO, traffic.fresh())
            for me in TWO, ONE:
                traffic.start(me)
                traffic.check_way(THREE, me, f"server 3 sent to server {me} before that was up")
                traffic.check_way(me, THREE, f"server {me} has just come up")

    def test_a_peer_that_comes_back_hears_and_is_heard(self) -> None:
        """At the same address, whether a server has sent to it in between or not."""
        if not self.comes_back:
            pytest.skip(f"{type(self).__name__} declares comes_back = False")
        with self._traffic(*MEMBERS) as traffic:
            traffic.settle(*MEMBERS)
            for times in 0, 1, BURST:
                traffic.stop(TWO)
                traffic.send(ONE, TWO, *([traffic.fresh()] * times))
                traffic.check_way(ONE, THREE, "while server 2 is down, and sent to")
                traffic.start(TWO)
                when = f"server 2 has come back, after {times} messages to it while it was down"
                for it in MEMBERS:
                    traffic.check_way(it, TWO, when)
                    traffic.check_way(TWO, it, when)

    def test_nothing_is_delivered_after_the_end(self) -> None:
        """A server that has crashed does not hear, whatever was on its way to it."""
        with self._traffic(*MEMBERS) as traffic:
            traffic.settle(*MEMBERS)
            for sender in MEMBERS:
                traffic.send(sender, TWO, *([traffic.fresh()] * BURST))
            traffic.stop(TWO)
            traffic.send(ONE, TWO, traffic.fresh())
            traffic.settle(ONE, THREE)
            late = [it.message for it in traffic.arrivals if not it.is_up]
            assert not late, (
                f"server 2 was stopped, and {len(late)} messages were delivered to it after that, "
                f"the first of them {say(late[0])}. Before it is stopped, wait for what delivers, "
                "and drop what is left."
            )

    # --- whole servers ----------------------------------------------------------------------------

    def test_three_servers_decide(self) -> None:
        """One proposes, and all learn what is chosen when they ask."""
        with self._traffic(*MEMBERS) as traffic:
            council = Council(traffic, MEMBERS, self.seed)
            council.enter(*MEMBERS)
            council.ask(ONE, Propose(self.values[0]))
            self._decides(council, "one server has proposed a value", self.values[:1])
            for me in MEMBERS:
                council.ask(me, Inquire())
            self._decides(council, "then all asked what is chosen", self.values[:1])

    def test_rivals_decide_on_one_value(self) -> None:
        """All propose at a time."""
        with self._traffic(*MEMBERS) as traffic:
            council = Council(traffic, MEMBERS, self.seed)
            council.enter(*MEMBERS)
            proposed = [self.values[me % len(self.values)] for me in MEMBERS]
            for me, value in zip(MEMBERS, proposed, strict=True):
                council.ask(me, Propose(value))
            self._decides(council, "three servers have each proposed a value", proposed)

    def test_two_servers_decide_while_one_is_down(self) -> None:
        """And the third finds out, when it has come up."""
        with self._traffic(ONE, THREE) as traffic:
            council = Council(traffic, MEMBERS, self.seed)
            council.enter(ONE, THREE)
            council.ask(ONE, Propose(self.values[0]))
            council.ask(THREE, Propose(self.values[1]))
            chosen = self._decides(council, "two of three servers have proposed", self.values[:2])
            traffic.start(TWO)
            council.enter(TWO)
            council.ask(TWO, Inquire())
            self._decides(council, "then the third came up, and asked", [chosen])

    # --- how it is done -------------------------------------------------------------------------

    @contextmanager
    def _traffic(self, *servers: ServerId) -> Generator[Traffic[V]]:
        traffic = Traffic(self)
        try:
            traffic.start(*servers)
            yield traffic
        finally:
            traffic.stop_all()

    def _carry(self, traffic: Traffic[V], messages: Sequence[Message[V]]) -> None:
        """Send these from one server to another, and fail unless they all arrive as they are."""
        before = len(traffic.at(TWO))
        if missing := traffic.carry(ONE, TWO, messages):
            came = traffic.at(TWO)[before:]
            altered = [it for it in came if not any(is_same(sent, it) for sent in messages)]
            found = f"What came instead: {say(altered[0])}." if altered else "Nothing came instead."
            raise AssertionError(
                f"{say(missing[0])} was sent {TRIES} times, and never arrived. {found} Each type "
                "counts, and each part of it: build Ballot, Proposal and message anew from what "
                "arrives."
            )

    def _burst(self, traffic: Traffic[V], burst: Sequence[Message[V]]) -> list[Message[V]]:
        """What of these arrives, sent in one go."""
        before = len(traffic.at(TWO))
        traffic.send(ONE, TWO, *burst)
        traffic.until(lambda: len(traffic.at(TWO)) - before >= len(burst))
        return traffic.at(TWO)[before:]

    def _decides(self, council: Council[V], what: str, values: Sequence[V]) -> V:
        decided = council.decide()
        assert decided, (
            f"{what}, and no end came of it (seed {self.seed}); servers that were told: "
            f"{council.told}. Losses are made up for. What never arrives, or only from the wrong "
            "sender, is not."
        )
        chosen, *others = council.told.values()
        assert all(it == chosen for it in others), (
            f"{what}, and they decided on more than one (seed {self.seed}): {council.told}. The "
            "transport altered a message, or named a wrong sender."
        )
        assert chosen in values, (
            f"{what}, one of {list(values)!r:.200}; what was chosen is {chosen!r:.200}. The "
            "transport altered a value."
        )
        return chosen


def _with(ballot: Ballot, value: V) -> list[Message[V]]:
    """One message of each kind that carries a value."""
    return [
        Promise(ballot, Proposal(ballot, value)),
        Accept(ballot, value),
        Accepted(ballot, value),
        Chosen(ballot, value),
    ]
