"""Codecs for the values that most programs agree on."""

from __future__ import annotations


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


RAW, TEXT = Raw(), Text()
