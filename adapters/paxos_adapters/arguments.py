"""Objects from a program are checked where they come in, before anything is begun with them.

- An object of another type, or without the methods of its protocol, is one typed error.
- What is checked once is not checked again inside. Numbers are checked by ``numbers.py``.
"""

from __future__ import annotations

from paxos import PaxosError


class BadArgument(PaxosError, TypeError):
    """An object that cannot be used in this place. Nothing was begun."""

    def __init__(self, what: str, given: object, allowed: str) -> None:
        super().__init__(f"{what} is {given!r:.80}, and must be {allowed}. Nothing was begun.")
        self.what = what


def one_of(what: str, given: object, *types: type) -> None:
    """Raise BadArgument unless ``given`` is an instance of one of ``types``."""
    if not isinstance(given, types):
        raise BadArgument(what, given, " or ".join(it.__name__ for it in types))


def fits(what: str, given: object, protocol: type) -> None:
    """Raise BadArgument unless ``given`` has all methods of ``protocol``."""
    methods = [name for name in vars(protocol) if not name.startswith("_")]
    missing = [name for name in methods if not callable(getattr(given, name, None))]
    if missing or isinstance(given, type):
        raise BadArgument(what, given, f"an object with the methods {', '.join(methods)}")
