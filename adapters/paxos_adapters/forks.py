"""What a forked process must not share with the process that it came from: sockets, and locks.

- A datagram that the child reads is lost to the server, and a lock that it inherits outlives the
  server. So the child lets go of every descriptor that was ``own``, at once.
- In the child such a descriptor leads to the null device: objects that wrap it stay harmless, and
  its number is not given to another file while they exist.
- Every call that needs the first process raises ``Forked`` in the child: ``check``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol, TypeVar
from weakref import WeakSet

from paxos import UsageError


class Forked(UsageError):
    """A forked process used what belongs to the process that it came from."""

    def __init__(self, what: object) -> None:
        super().__init__(
            f"{what} belongs to the process that opened it, and this one was forked from it. One "
            "server has one memory and one process: fork first, and open then."
        )


class Descriptor(Protocol):
    """What has a file descriptor, or -1 if it is closed."""

    def fileno(self) -> int:
        """The number of the descriptor."""
        ...


D = TypeVar("D", bound=Descriptor)
_owned = WeakSet[Descriptor]()


def own(it: D) -> D:
    """Have ``it`` closed in every process that is forked from this one. Returns ``it``."""
    _owned.add(it)
    return it


def check(process: int, what: object) -> None:
    """Raise Forked for ``what`` unless this is the process with the number ``process``."""
    if os.getpid() != process:
        raise Forked(what)


def _let_go() -> None:
    try:
        null = os.open(os.devnull, os.O_RDWR)
    except OSError:  # No descriptor is left: closing is more important than the number.
        null = -1
    for it in [*_owned]:
        with suppress(OSError, ValueError):  # It was closed before.
            descriptor = it.fileno()
            if null >= 0:
                os.dup2(null, descriptor, inheritable=False)
            else:
                os.close(descriptor)
    _owned.clear()
    if null >= 0:
        os.close(null)


os.register_at_fork(after_in_child=_let_go)
