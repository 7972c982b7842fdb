"""Proposal numbers: unique, totally ordered, higher has priority.

Source: the lecture, "Proposal numbers"; "Paxos Made Simple", section 2.2.

- A ballot is a round and the server that drew it. Rounds compare first, then servers.
- A server draws a round above every round it has seen, and saves it before its first use: no
  ballot is ever used twice, not even by a server that crashed in between.
- One ballot carries one value, ever.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, NewType, TypeVar, final

from paxos.values import frozen

V = TypeVar("V")

ServerId = NewType("ServerId", int)
"""The id of a server, for its whole life. Any integer, as long as no two servers share it."""


class Ballot(NamedTuple):
    """A proposal number, written ``3.1`` for round 3 of server 1. Rounds in use start at 1.

    A named tuple, since the lexicographic order of its fields is the definition of its order.
    """

    round: int
    server: ServerId

    def __str__(self) -> str:
        return f"{self.round}.{self.server}"


NO_BALLOT = Ballot(0, ServerId(0))
"""Below every ballot in use: what an acceptor has promised before its first promise."""


@final
@frozen
class Proposal(Generic[V]):
    """A value, and the ballot that carries it."""

    ballot: Ballot
    value: V
