"""Ports: what a program brings so that the core can run in it.

A transport, a store, a timer and a codec are small protocols; any class with these methods fits,
nothing needs to be inherited. ``memory.py`` is an example of each. An observer is told all that
happens: a recorder is one.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeAlias, TypeVar

from attrs import frozen

from paxos import From, InvariantError, QuorumSystem, Saved, ServerId
from paxos_adapters.machine import Effect, M, Process, R, T

M_contra = TypeVar("M_contra", contravariant=True)
P_contra = TypeVar("P_contra", contravariant=True)
Q_contra = TypeVar("Q_contra", contravariant=True)
R_contra = TypeVar("R_contra", contravariant=True)
S_contra = TypeVar("S_contra", contravariant=True)
T_contra = TypeVar("T_contra", contravariant=True)
V = TypeVar("V")


class Transport(Protocol[M_contra]):
    """Carries messages, as well as it can."""

    def send(self, receiver: ServerId, message: M_contra) -> None:
        """Send ``message`` on its way; ``receiver`` may be the sender itself.

        It may be lost, late, repeated or overtaken, and it must not be altered. Returns at once.
        What it raises is logged, and taken for a lost message.
        """
        ...


class Store(Protocol[R]):
    """Keeps records through a crash. The one place that asserts durability."""

    def load(self) -> Saved[R]:
        """A receipt for what the machine's ``fold`` makes of all records; for none if it is new.

        For one decision that is the latest record of each type.
        """
        ...

    def save(self, records: tuple[R, ...]) -> Saved[R]:
        """Make all of ``records`` durable at once, in this order, and return ``Saved(records)``.

        Raises if anything went wrong: the server then stops for good, and nothing that depends on
        the records leaves.
        """
        ...


class Timer(Protocol[T_contra]):
    """Fires timers."""

    def set_timer(self, timer: T_contra, delay_s: float) -> None:
        """Hand ``timer`` to the host after about ``delay_s`` seconds, once. Never cancelled."""
        ...


@frozen
class Ports(Generic[M, T, R]):
    """What one host runs on: a transport, a timer and a store."""

    transport: Transport[M]
    timer: Timer[T]
    store: Store[R]


class Codec(Protocol[V]):
    """Turns values into bytes and back. A node has one; nothing else looks into a value.

    The law: ``decode(encode(value)) == value``; equal values have the same bytes, each time, in
    every process and every version; and what any earlier version has encoded must stay decodable,
    since a chosen value never changes. It keeps no state: several threads call it.

    ``paxos_testing.CodecKit`` tries yours. How to write one: docs/codecs.md.
    """

    def encode(self, value: V) -> bytes:
        """The bytes that stand for ``value``, which stays as it was.

        Raises ValueError or TypeError for what it cannot carry.
        """
        ...

    def decode(self, encoded: bytes) -> V:
        """A new object for what ``encoded`` stands for. Raises ValueError if that is nothing."""
        ...


Key: TypeAlias = tuple[ServerId, str]
"""The lane of a server, and the name of a decision."""


@frozen
class Place:
    """Which process: the server, and the name of the decision, empty where there is only one.

    ``lane`` is where a picture shows it, if not under the id of its server.
    """

    server: ServerId
    name: str = ""
    lane: ServerId | None = None

    @property
    def key(self) -> Key:
        """Where no two processes are at a time."""
        return self.server if self.lane is None else self.lane, self.name


class Observer(Protocol[S_contra, Q_contra, M_contra, T_contra, R_contra, P_contra]):
    """Is told what happens to processes, in order. Must not raise, and must return at once."""

    def set_time(self, now_s: float) -> None:
        """What comes next happens at ``now_s`` of a virtual time. Not called in real time."""
        ...

    def started(
        self,
        place: Place,
        quorum: QuorumSystem,
        process: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
    ) -> None:
        """A process has started from its disk; an earlier one at this place has ended."""
        ...

    def stepped(
        self,
        place: Place,
        event: From[M_contra] | T_contra | Q_contra,
        before: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
        after: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
    ) -> None:
        """``event`` led from ``before`` to ``after``."""
        ...

    def state_set(
        self,
        place: Place,
        process: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
    ) -> None:
        """The process has been put into its state by no event: a schedule says so."""
        ...

    def saved(
        self,
        place: Place,
        process: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
        records: tuple[R_contra, ...],
        count: int,
    ) -> None:
        """``records``, of the first ``count`` steps that waited, are durable: now on its disk."""
        ...

    def sent(
        self,
        place: Place,
        process: Process[S_contra, R_contra, Effect[M_contra, T_contra, P_contra]],
        effects: tuple[Effect[M_contra, T_contra, P_contra], ...],
    ) -> None:
        """``effects`` are free to leave, while the disk is that of ``process``."""
        ...

    def failed(
        self,
        place: Place,
        event: From[M_contra] | T_contra | Q_contra,
        error: InvariantError,
    ) -> None:
        """``event`` was not taken: it proves that some server broke the protocol."""
        ...

    def stopped(self, place: Place, records: tuple[R_contra, ...], why: str) -> None:
        """The process has ended. ``records``, of what waited, became durable before that."""
        ...
