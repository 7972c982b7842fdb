"""Text that a terminal shows, and does nothing else with, whatever is in it.

- Values, names, lanes, addresses and errors come from elsewhere. An escape sequence could move the
  cursor, a mark of direction (UTR 36, "Bidirectional Text Spoofing") turn a line around, a NUL or a
  line end forge one.
- What Unicode does not call printable is escaped as Python writes it. The result has no line end.
- JSON stays JSON: everything outside of printable ASCII is escaped there, as JSON escapes it.
"""

from __future__ import annotations

import json

MAX_BRIEF = 80
"""Characters of a value within a message: enough to find it, and it may be a megabyte."""


def printable(text: object) -> str:
    """``text`` in one line: what cannot be seen is escaped, and everything else as it is."""
    seen = str(text)
    return seen if seen.isprintable() else "".join(map(_escaped, seen))


def printable_lines(text: object) -> str:
    """The same for text of several lines, which stay: only for lines that a program made."""
    return "\n".join(map(printable, str(text).split("\n")))


def quoted(value: object) -> str:
    """A value as it reads, in quotes."""
    return f"'{printable(value)}'"


def brief(value: object) -> str:
    """A value as Python writes it, in one line, cut where it is long: for messages of errors."""
    text = printable(repr(value)[: MAX_BRIEF + 1])
    return text if len(text) <= MAX_BRIEF else f"{text[: MAX_BRIEF - 3]}..."


def encodable(text: str, encoding: str | None) -> str:
    """``text`` with what ``encoding`` does not have escaped."""
    codec = encoding or "ascii"
    return text.encode(codec, "backslashreplace").decode(codec)


def json_text(value: object) -> str:
    """``value`` as JSON for people and programs, in printable ASCII and line ends."""
    return json.dumps(value, indent=2)


def _escaped(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]
