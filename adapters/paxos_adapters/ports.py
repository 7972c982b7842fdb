"""Ports: what a program brings so that the core can run in it.

A transport, a store, a timer and a codec are small protocols; any class with these methods fits,
nothing needs to be inherited. ``memory.py`` is an example of each.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from paxos import Saved, ServerId

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

    def wake_later(self, wake: W_contra, delay_s: float) -> None:
        """Hand ``wake`` to the host after about ``delay_s`` seconds, once. Never cancelled."""
        ...


class Codec(Protocol[V]):
    """Turns values into bytes, for a disk or a network."""

    def encode(self, value: V) -> bytes:
        """The bytes that stand for ``value``; the same bytes each time, in every version."""
        ...

    def decode(self, encoded: bytes) -> V:
        """The value that ``encoded`` stands for. Raises ValueError if it stands for none."""
        ...
