"""What a program passes in is checked where it comes in, before anything is changed or begun.

- A number that is not finite, of another type, or out of its range is one typed error, which names
  it and its bounds. True and False are not numbers here.
- An object of another type, or without the methods of its protocol, is another one. So is a class
  in place of an instance: it has the methods, and fits nowhere.
- What is checked once is not checked again inside.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import index
from types import NoneType
from typing import SupportsIndex

from paxos import UsageError
from paxos_adapters.limits import MAX_S, MAX_SERVER
from paxos_adapters.printable import brief


class BadNumber(UsageError, ValueError):
    """A number that cannot be used. Nothing was changed."""

    def __init__(self, what: str, given: object, allowed: str) -> None:
        super().__init__(f"{what} is {brief(given)}, and must be {allowed}. Nothing was changed.")
        self.what = what


class BadArgument(UsageError, TypeError):
    """An object that cannot be used in this place. Nothing was begun."""

    def __init__(self, what: str, given: object, allowed: str) -> None:
        if isinstance(given, type):
            found, allowed = f"the class {given.__name__}", f"{allowed}: an instance, not the class"
        else:
            found = brief(given)
        super().__init__(f"{what} is {found}, and must be {allowed}. Nothing was begun.")
        self.what = what


# --- numbers --------------------------------------------------------------------------------------


def seconds(what: str, given: object, *, above_0: bool = False) -> float:
    """``given`` as seconds, from 0, or above 0, to MAX_S. Raises BadNumber."""
    match given:
        case bool():
            pass
        case int() | float() if 0 < given <= MAX_S or (given == 0 and not above_0):
            return float(given)
        case _:
            pass
    least = "more than 0" if above_0 else "at least 0"
    raise BadNumber(what, given, f"a number of seconds, {least}, at most {MAX_S:,.0f}")


def timeout(given: object, what: str = "timeout_s") -> float | None:
    """``given`` as a time to wait at most in seconds; None: without a limit. Raises BadNumber."""
    return None if given is None else seconds(what, given)


def part(what: str, given: object, of: str, most: float) -> float:
    """``given`` as a part ``of`` something, above 0, at most ``most``. Raises BadNumber."""
    match given:
        case bool():
            pass
        case int() | float() if 0 < given <= most:
            return float(given)
        case _:
            pass
    raise BadNumber(what, given, f"a part of {of}, more than 0, at most {most}")


def whole(what: str, given: object, least: int | None = None, most: int | None = None) -> int:
    """``given`` as a whole number from ``least`` to ``most``. Raises BadNumber."""
    if isinstance(given, SupportsIndex) and not isinstance(given, bool):
        number = index(given)
        if (least is None or number >= least) and (most is None or number <= most):
            return number
    bounds = "" if least is None else f", at least {least:,}"
    bounds += "" if most is None else f", at most {most:,}"
    raise BadNumber(what, given, f"a whole number{bounds}")


def servers(given: Iterable[object]) -> None:
    """Raise BadNumber unless these can be ids of servers on the wire."""
    for server in given:
        whole("the id of a server", server, 0, MAX_SERVER)


# --- objects --------------------------------------------------------------------------------------


def one_of(what: str, given: object, *types: type) -> None:
    """Raise BadArgument unless ``given`` is an instance of one of ``types``."""
    if not isinstance(given, types):
        raise BadArgument(what, given, " or ".join(map(_named, types)))


def _named(kind: type) -> str:
    return "None" if kind is NoneType else kind.__name__


def callable_(what: str, given: object, allowed: str) -> None:
    """Raise BadArgument unless ``given`` can be called; ``allowed`` says as what."""
    if not callable(given):
        raise BadArgument(what, given, allowed)


def fits(what: str, given: object, protocol: type) -> None:
    """Raise BadArgument unless ``given`` has all methods of ``protocol``."""
    methods = [name for name in vars(protocol) if not name.startswith("_")]
    missing = [name for name in methods if not callable(getattr(given, name, None))]
    if missing or isinstance(given, type):
        raise BadArgument(what, given, f"an object with the methods {', '.join(methods)}")
