"""Codecs for the values that most programs agree on: ``RAW``, ``TEXT``, ``INTEGER`` and ``JSON``.

``SURROGATE_ESCAPE`` and ``TRUNCATED`` are for looking at values. How to write one: docs/codecs.md.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TypeAlias

MAX_BRIEF_BYTES = 1_000

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""What JSON can say, and brings back as it was: no tuple, no key but a string, no NaN."""


class Raw:
    """Values that are bytes already."""

    def encode(self, value: bytes) -> bytes:
        """``value`` itself. Raises TypeError for what is not bytes."""
        _check("bytes", value, bytes, bytearray)
        return value

    def decode(self, encoded: bytes) -> bytes:
        """``encoded`` itself."""
        return encoded


class Text:
    """Strings, as UTF-8."""

    def encode(self, value: str) -> bytes:
        """``value`` in UTF-8. Raises TypeError for what is not a string.

        Raises UnicodeEncodeError, a ValueError, for half a surrogate.
        """
        _check("a string", value, str)
        return value.encode()

    def decode(self, encoded: bytes) -> str:
        """The string. Raises UnicodeDecodeError, a ValueError, for other bytes."""
        return encoded.decode()


class Integer:
    """Whole numbers of up to 4,300 digits, in decimal."""

    def encode(self, value: int) -> bytes:
        """``value`` in decimal. Raises TypeError for True and False, ValueError if too long."""
        if type(value) is not int:
            raise TypeError(f"{type(value).__name__} is not a whole number")
        return str(value).encode()

    def decode(self, encoded: bytes) -> int:
        """The number. Raises ValueError for bytes that are not as ``encode`` writes them."""
        value = int(encoded)
        if self.encode(value) != encoded:
            raise ValueError("this is not how a whole number is written")
        return value


class Json:
    """What JSON can say, as UTF-8: sorted keys, no blanks, so that equal values have equal bytes.

    What json changes on the way, a tuple or a key that is not a string, does not come back equal; a
    node refuses it.
    """

    def encode(self, value: JsonValue) -> bytes:
        """``value`` as JSON. Raises TypeError and ValueError for what JSON cannot say, NaN too."""
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
        )
        return text.encode()

    def decode(self, encoded: bytes) -> JsonValue:
        """The value. Raises ValueError for what is not JSON, and for NaN and Infinity."""
        value: JsonValue = json.loads(encoded.decode(), parse_constant=_not_json)
        return value


def _check(what: str, value: object, *types: type) -> None:
    if not isinstance(value, types):
        raise TypeError(f"{type(value).__name__} is not {what}")


def _not_json(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


class SurrogateEscape:
    """Any bytes as a string, and back to the same bytes: to look at values of whatever kind."""

    def encode(self, value: str) -> bytes:
        """The bytes that ``value`` was made of. Raises UnicodeEncodeError for half a surrogate."""
        return value.encode(errors="surrogateescape")

    def decode(self, encoded: bytes) -> str:
        """UTF-8 as it reads; each byte of anything else as half a surrogate."""
        return encoded.decode(errors="surrogateescape")


class Truncated:
    """Bytes to look at: long ones are cut, with a digest in place of the rest."""

    def encode(self, value: bytes) -> bytes:
        """``value``, or its beginning, its size and its digest."""
        if len(value) <= MAX_BRIEF_BYTES:
            return value
        rest = f"... ({len(value)} bytes, {blake2b(value, digest_size=8).hexdigest()})"
        return value[:MAX_BRIEF_BYTES] + rest.encode()

    def decode(self, encoded: bytes) -> bytes:
        """As it is; what was cut stays so."""
        return encoded


TRUNCATED = Truncated()
RAW, TEXT, INTEGER, JSON = Raw(), Text(), Integer(), Json()
SURROGATE_ESCAPE = SurrogateEscape()
