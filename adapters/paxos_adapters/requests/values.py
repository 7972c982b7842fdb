"""The edge of a node: values outside, bytes inside; commands of a log in the same way.

- A value is encoded once, when it is proposed. What it is encoded as must decode to an equal value;
  if not, nothing is begun.
- The program keeps its object: whatever it does to it afterwards changes nothing that was proposed.
- Each answer is decoded afresh, so that no two callers share an object.
- Bytes that the codec cannot decode are an error for the caller that asked for that name. The node
  never looks into them.
"""

from __future__ import annotations

from traceback import format_exception_only
from typing import Generic, TypeVar

from attrs import frozen

from paxos_adapters.limits import MAX_VALUE_BYTES
from paxos_adapters.ports import Codec
from paxos_adapters.printable import brief
from paxos_adapters.requests.errors import BadValue, Undecodable
from paxos_adapters.wire import TooLarge

V = TypeVar("V")


@frozen
class Found(Generic[V]):
    """What a read has found: the chosen value, which may be None."""

    value: V


@frozen
class Values(Generic[V]):
    """What a node does with the values of its program."""

    codec: Codec[V]
    max_bytes: int = MAX_VALUE_BYTES

    def encode(self, name: str, value: V) -> bytes:
        """The bytes to propose for ``name``. Raises BadValue and TooLarge."""
        try:
            encoded = _as_bytes(self.codec.encode(value))
        except Exception as error:
            why = f"cannot encode {brief(value)} ({_said(error)})"
            raise BadValue(name, self.codec, why) from error
        if encoded is None:
            raise BadValue(name, self.codec, "does not make bytes of it")
        if len(encoded) > self.max_bytes:
            raise TooLarge(f"the value for {name!r}", len(encoded), self.max_bytes)
        try:
            is_equal = bool(self.codec.decode(encoded) == value)
        except Exception as error:
            raise BadValue(name, self.codec, f"does not bring it back ({_said(error)})") from error
        if not is_equal:
            raise BadValue(name, self.codec, "brings back another one")
        return encoded

    def decode(self, name: str, encoded: bytes) -> V:
        """A new object for the value that is chosen for ``name``. Raises Undecodable."""
        try:
            return self.codec.decode(encoded)
        except Exception as error:
            raise Undecodable(name, self.codec, _said(error)) from error


def _as_bytes(encoded: object) -> bytes | None:
    """A copy that nobody else has, if it is bytes of any kind; None if it is something else."""
    return bytes(encoded) if isinstance(encoded, bytes | bytearray) else None


def _said(error: Exception) -> str:
    """In words, whatever the program makes of its exceptions: even ``str(error)`` may raise."""
    return "".join(format_exception_only(error)).strip()[:200]
