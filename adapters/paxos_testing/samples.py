"""Letters: messages to try a transport with, and whether what arrives is what was sent.

- Every kind of message, with the least and the highest ballot, with and without what is optional,
  and with every value. Others are drawn at random.
- Values of strings and bytes have edges, too: blanks and zeros at their ends, and the largest size.
- Equal is not enough. A plain tuple equals a ballot, and breaks the server that gets it: the parts
  must have their types, down to the value, which need only be equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import attrs
from hypothesis import strategies as st

from paxos import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Chosen,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Query,
    ReadId,
    ServerId,
)

V = TypeVar("V")

LEAST = Ballot(1, ServerId(0))
"""The least ballot that can be in use on the wire."""

HIGHEST_READ = (1 << 64) - 1
"""The highest session of a read, and the highest number."""


NOT_LIKE = "values that are neither strings nor bytes: name padded and long ones in ``values``"
"""Why no values are added to those that the kit was given."""


def of_every_kind(ballot: Ballot, value: V) -> list[Message[V]]:
    """One message of each kind under ``ballot``; two promises, with and without a proposal.

    A refusal names a higher promise, so it refuses the least ballot.
    """
    read = ReadId(ballot.round, ballot.server)
    return [
        Prepare(ballot),
        Promise(ballot, None),
        Promise(ballot, Proposal(ballot, value)),
        Accept(ballot, value),
        Accepted(ballot, value),
        Nack(LEAST, max(ballot, Ballot(1, ServerId(1)))),
        Query(read),
        Answer(read, None),
        Answer(read, Proposal(ballot, value)),
        Chosen(ballot, value),
        Heartbeat(),
    ]


def at_every_edge(values: Sequence[V], highest: Ballot) -> list[Message[V]]:
    """Every kind with every value, and with ballots that differ as much as they can."""
    messages = [
        message
        for value in values
        for ballot in (LEAST, highest)
        for message in of_every_kind(ballot, value)
    ]
    apart: list[Message[V]] = [
        Nack(LEAST, highest),
        Query(ReadId(0, HIGHEST_READ)),
        Query(ReadId(HIGHEST_READ, 0)),
        Nack(Ballot(2, ServerId(3)), Ballot(3, ServerId(2))),
        *(Promise(highest, Proposal(LEAST, value)) for value in values),
    ]
    return apart + [it for at, it in enumerate(messages) if it not in messages[:at]]


def drawn(values: Sequence[V], highest: Ballot) -> st.SearchStrategy[Message[V]]:
    """Any message with one of ``values``, and with ballots up to ``highest``."""
    servers = st.integers(0, highest.server).map(ServerId)
    ballots = st.builds(Ballot, st.integers(1, highest.round), servers)
    value = st.sampled_from(values)
    proposals = st.builds(Proposal[V], ballots, value)
    reads = st.builds(ReadId, st.integers(0, HIGHEST_READ), st.integers(0, HIGHEST_READ))
    two = st.lists(ballots, min_size=2, max_size=2, unique=True).map(sorted)
    return st.one_of(
        st.builds(Prepare, ballots),
        st.builds(Promise[V], ballots, st.none()),
        st.tuples(two, value).map(lambda it: Promise(it[0][1], Proposal(it[0][0], it[1]))),
        st.builds(Accept[V], ballots, value),
        st.builds(Accepted[V], ballots, value),
        two.map(lambda it: Nack(*it)),
        st.builds(Query, reads),
        st.builds(Answer[V], reads, st.none() | proposals),
        st.builds(Chosen[V], ballots, value),
        st.builds(Heartbeat),
    )


def like(example: V, text: str) -> V | None:
    """``text`` as a value of the type of ``example``, if that is a string or bytes."""
    forms: tuple[object, ...] = text, text.encode()
    return next((it for it in forms if isinstance(it, type(example))), None)


def edge_values(example: V, most_bytes: int) -> list[V]:
    """Padded values, and one of just ``most_bytes`` in UTF-8: what a careless adapter alters.

    Strings if ``example`` is one, bytes if it is bytes; else there are none.
    """
    longest = "x" * (most_bytes - 2) + "é"  # whose end differs from the rest
    texts = " \t\r\n padded \n", "\0padded\0", longest
    return [made for text in texts if (made := like(example, text)) is not None]


def value_beyond(example: V, most_bytes: int) -> V | None:
    """A value of one byte more, if ``example`` is a string or bytes."""
    return like(example, "x" * most_bytes + "y")


def is_same(sent: object, came: object) -> bool:
    """Whether these are equal, and made of the same types, down to the value."""
    return _types(sent) == _types(came) and sent == came


def say(message: object) -> str:
    """A message in words, of which none is long."""
    return f"{message!r:.200}"


def _types(part: object) -> tuple[object, ...]:
    kind, parts = type(part), tuple[object, ...]()
    if attrs.has(kind):
        names = [it.name for it in attrs.fields(kind) if it.name != "value"]
        parts = tuple(getattr(part, name) for name in names)
    elif isinstance(part, Ballot | ReadId):
        parts = part
    return kind, *map(_types, parts)
