"""Codecs that break the law, and the kit on each of them, for test_codec_kit.py.

Each is a codec for nested lists of text with one thing broken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar, TypeAlias, cast

from hypothesis import strategies as st

from paxos_adapters.codecs import Json, JsonValue
from paxos_testing import CodecKit

Flags: TypeAlias = dict[str, JsonValue]


class Honest:
    """Flags by name, as JSON. Breaks no law."""

    json = Json()

    def encode(self, value: Flags) -> bytes:
        return self.json.encode(value)

    def decode(self, encoded: bytes) -> Flags:
        value = self.json.decode(encoded)
        if not isinstance(value, dict):
            raise ValueError(f"{value!r} are no flags")
        return value


class DropsWhatIsEmpty(Honest):
    """Saves some bytes."""

    def encode(self, value: Flags) -> bytes:
        return super().encode({name: it for name, it in value.items() if it != []})


class RoundsNumbers(Honest):
    """Right for all numbers that its author has thought of."""

    def encode(self, value: Flags) -> bytes:
        return super().encode(
            {name: round(it, 6) if isinstance(it, float) else it for name, it in value.items()}
        )


class MakesABuffer(Honest):
    """Hands out what it may change later."""

    def encode(self, value: Flags) -> bytes:
        return cast("bytes", bytearray(super().encode(value)))


class Pads(Honest):
    """Leaves room to grow."""

    def encode(self, value: Flags) -> bytes:
        return super().encode(value).ljust(70_000)


class TakesApart(Honest):
    """Uses up what it encodes."""

    def encode(self, value: Flags) -> bytes:
        rest = dict[str, JsonValue]()
        while value:
            name, it = value.popitem()
            rest[name] = it
        return super().encode(rest)


class Caches(Honest):
    """Decodes what it has decoded before as the same object."""

    known: ClassVar[dict[bytes, Flags]] = {}

    def decode(self, encoded: bytes) -> Flags:
        return self.known.setdefault(encoded, super().decode(encoded))


class Numbers(Honest):
    """Says how often it was asked."""

    times = 0

    def encode(self, value: Flags) -> bytes:
        self.times += 1
        return super().encode(value) + b" " * self.times


class FollowsTheHash(Honest):
    """Has an order of its own in each process."""

    def encode(self, value: Flags) -> bytes:
        return json.dumps({name: value[name] for name in sorted(value, key=hash)}).encode()


class Moved(Honest):
    """A later version, which knows no earlier one."""

    def decode(self, encoded: bytes) -> Flags:
        if encoded == b'{"a":1}':
            raise ValueError("this was version 1")
        return super().decode(encoded)


class TakesAnything(Honest):
    """Has a meaning for whatever comes."""

    def decode(self, encoded: bytes) -> Flags:
        try:
            return super().decode(encoded)
        except ValueError:
            return {}


class RaisesWhateverComes(Honest):
    """Says nothing that a caller can expect."""

    def decode(self, encoded: bytes) -> Flags:
        try:
            return super().decode(encoded)
        except ValueError as error:
            raise KeyError(encoded) from error


class CarriesTuples(Honest):
    """Carries more than it should."""

    def encode(self, value: Flags) -> bytes:
        seen: object = value
        return b"()" if seen == {"a": ()} else super().encode(value)

    def decode(self, encoded: bytes) -> Flags:
        return cast("Flags", {"a": ()}) if encoded == b"()" else super().decode(encoded)


class Caught(CodecKit[Flags]):
    """The kit on one of them."""

    values: Sequence[Flags] = (
        {},
        {"a": [], "b": None},
        {f"flag {number}": True for number in range(9)},
        {"é\0\n": ["x" * 5_000]},
    )
    earlier: Sequence[tuple[bytes, Flags]] = ((b'{"a":1}', {"a": 1}),)
    undecodable = b"\xff", b"[]", b"NaN", b""
    refused: Sequence[object] = ({"a": ()}, {"a": float("nan")}, {1: 2})
    codec: ClassVar[type[Honest]]

    def create(self) -> Honest:
        return self.codec()

    def drawn(self) -> st.SearchStrategy[Flags]:
        numbers = st.floats(allow_nan=False, allow_infinity=False)
        return st.dictionaries(st.text(max_size=2), st.booleans() | numbers)


def _kit(codec: type[Honest]) -> type[Caught]:
    return type(f"{codec.__name__}Kit", (Caught,), {"codec": codec, "__module__": __name__})


CODECS: list[type[Honest]] = [Honest, *Honest.__subclasses__()]
KITS: dict[str, type[Caught]] = {codec.__name__: _kit(codec) for codec in CODECS}
globals().update({kit.__name__: kit for kit in KITS.values()})  # a second process imports them
