"""Codecs for the values that most programs agree on."""

from __future__ import annotations

from hashlib import blake2b

MAX_BRIEF_BYTES = 1_000


class Raw:
    """Values that are bytes already."""

    def encode(self, value: bytes) -> bytes:
        """``value`` itself."""
        return value

    def decode(self, encoded: bytes) -> bytes:
        """``encoded`` itself."""
        return encoded


class Text:
    """Strings, as UTF-8."""

    def encode(self, value: str) -> bytes:
        """``value`` in UTF-8. Raises UnicodeEncodeError, a ValueError, for half a surrogate."""
        return value.encode()

    def decode(self, encoded: bytes) -> str:
        """The string. Raises UnicodeDecodeError, a ValueError, for bytes that are none."""
        return encoded.decode()


class Lenient:
    """Any bytes as a string, and back to the same bytes: to look at values of whatever kind."""

    def encode(self, value: str) -> bytes:
        """The bytes that ``value`` was made of. Raises UnicodeEncodeError for half a surrogate."""
        return value.encode(errors="surrogateescape")

    def decode(self, encoded: bytes) -> str:
        """UTF-8 as it reads; each byte of anything else as half a surrogate."""
        return encoded.decode(errors="surrogateescape")


class Brief:
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


BRIEF = Brief()
RAW, TEXT, LENIENT = Raw(), Text(), Lenient()
