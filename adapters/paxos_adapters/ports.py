"""Ports: what a program brings so that the core can run in it.

A transport, a store, a timer and a codec are small protocols; any class with these methods fits,
nothing needs to be inherited. ``memory.py`` is an example of each. A witness, for whoever wants
one, is told all that happens: ``recording`` has one that writes it down.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from paxos import QuorumSystem, Saved, ServerId, server

M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")
V = TypeVar("V")
W_contra = TypeVar("W_contra", contravariant=True)


class Transport(Protocol[M_contra]):
    """Carries messages, as well as it can."""

    def send(self, receiver: ServerId, message: M_contra) -> None:
        """Send ``message`` on its way; ``receiver`` may be the sender itself.

        It may be lost, late, repeated or overtaken, and it must not be altered. Returns at once.
        What it raises is logged, and taken for a lost message.
        """
        ...


class Store(Protocol[R]):
    """Remembers records through a crash. The one place where somebody vouches for durability."""

    def load(self) -> Saved[R]:
        """A receipt for the latest record of each type; for nothing at all if it is new."""
        ...

    def save(self, records: tuple[R, ...]) -> Saved[R]:
        """Make all of ``records`` durable at once, in this order, and return ``Saved(records)``.

        A later record of a type replaces the earlier ones of that type. Raises if anything went
        wrong: the server then stops for good, and nothing that depends on the records leaves.
        """
        ...


class Timer(Protocol[W_contra]):
    """Brings wake-ups back."""

    def set_timer(self, wake: W_contra, delay_s: float) -> None:
        """Hand ``wake`` to the host after about ``delay_s`` seconds, once. Never cancelled."""
        ...


class Codec(Protocol[V]):
    """Turns values into bytes and back. A node has one; nothing else looks into a value.

    The law: ``decode(encode(value)) == value``; equal values have the same bytes, each time, in
    every process and every version; and what any earlier version has encoded is decoded for ever,
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


class Observer(Protocol[V]):
    """Is told what happens to servers, in order. Must not raise, and must not take long.

    ``name`` is that of the decision, empty where there is only one.
    """

    def at(self, now_s: float) -> None:
        """What comes next happens at ``now_s`` of a virtual time. Not called in real time."""
        ...

    def began(
        self,
        me: ServerId,
        name: str,
        quorum: QuorumSystem,
        records: Iterable[server.Record[V]],
    ) -> None:
        """``server.start`` has made a server from ``records``; one of before is no more."""
        ...

    def given(self, me: ServerId, name: str, state: server.Server[V]) -> None:
        """The server is in ``state`` from here on, by no event: a schedule says so."""
        ...

    def took(
        self, me: ServerId, name: str, event: server.Event[V], after: server.Server[V], waits: bool
    ) -> None:
        """``event`` led to ``after``. ``waits``: what it says waits for a save.

        Told before any of it leaves.
        """
        ...

    def saved(self, me: ServerId, name: str, steps: int) -> None:
        """What the first ``steps`` that wait have to say is free. Told before any of it leaves."""
        ...

    def broke(self, me: ServerId, name: str, event: server.Event[V], error: BaseException) -> None:
        """``event`` was not taken: it raised ``error``, the proof that some server is wrong."""
        ...

    def ended(self, me: ServerId, name: str, why: str) -> None:
        """The server is no more; what it has saved is all that is left of it."""
        ...
