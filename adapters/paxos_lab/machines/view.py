"""A view: the table beside a machine that says what pictures show of it.

- Words for what happens: a message, what a server does by itself, what it tells its program.
- The slot that something is about. A machine of one decision has slot 0; None is about all.
- What a state shows of a slot, and what counts as accepted there.

A timeline is made by it, and knows nothing else of the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic

from attrs import frozen

from paxos import NO_BALLOT, Ballot, Proposal, QuorumSystem
from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_lab.claims import Vote

TIMES_OUT = "times out"
"""What is said of the timer of a proposal."""


@frozen
class Words:
    """What a picture says of a message.

    ``ballot`` is the attempt that it belongs to, None: to none. What is asked of an acceptor has a
    ``request``, which stands in a box, and maybe the ``value`` that it is to accept. ``found`` is
    what an answer says was accepted before; ``is_vote``: it says that what was asked is accepted,
    which is ``voted`` if it says so.
    """

    text: str
    ballot: Ballot | None = None
    request: str = ""
    value: str | None = None
    is_answer: bool = False
    is_refusal: bool = False
    found: Proposal[str] | None = None
    is_vote: bool = False
    voted: str | None = None

    @property
    def about(self) -> str | None:
        """The value that it asks for, votes for, or has found; None: it is about no value."""
        found = None if self.found is None else self.found.value
        return self.value or self.voted or found


@frozen
class Look:
    """What a server holds and knows of a slot: its acceptor, its proposer and its learner.

    ``asks`` is the ballot of the proposal in progress, ``for_`` the value that it asks to accept.
    """

    promised: Ballot = NO_BALLOT
    accepted: Proposal[str] | None = None
    asks: Ballot | None = None
    for_: str | None = None
    knows: str | None = None


def _slot_0(_: object) -> int:
    return 0


def _no_votes(_: object) -> tuple[()]:
    return ()


def _nothing_on_disk(_disk: object, _slot: int | None) -> Look:
    return Look()


@frozen
class View(Generic[S, Q, M, T, R, P]):
    """What pictures show of a machine.

    ``say`` gives words for a message; ``own`` for a request, TIMES_OUT for the timer of a proposal,
    and nothing for other timers; ``told`` for a report; ``look`` what a state shows of a slot,
    and ``disk`` the records of a server that is down, of all slots together for None; ``slot`` the
    slot of any of these; ``votes`` as in the claims for a checker. ``governs`` gives the quorums of
    a slot, as a server that votes for it knows them; None: always the same. ``has_numbers``: the
    protocol compares ballots, so that pictures show them.
    """

    say: Callable[[M], Words]
    own: Callable[[T | Q], str]
    told: Callable[[P], str]
    look: Callable[[S, int | None], Look]
    slot: Callable[[M | T | Q | P], int | None] = _slot_0
    votes: Callable[[R | M], Iterable[Vote]] = _no_votes
    disk: Callable[[tuple[R, ...], int | None], Look] = _nothing_on_disk
    governs: Callable[[S, int], QuorumSystem] | None = None
    has_numbers: bool = True
