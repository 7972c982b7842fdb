"""One decision before the lecture has numbers: what is asked, and ``yes`` or ``no``.

For the protocols that the lecture refutes first. They draw numbers, since the proposer is that of
the library, but no acceptor compares them. So no picture shows them.
"""

from __future__ import annotations

from attrs import evolve

from paxos import Accept, Accepted, Chosen, Message, Nack, Prepare, Promise
from paxos.ballot import V
from paxos_adapters.printable import printable
from paxos_lab.machines.single_view import SingleView, single_view
from paxos_lab.machines.single_view import say as say_with_numbers
from paxos_lab.machines.view import Words


def say(message: Message[V]) -> Words:
    """What a picture says of ``message``."""
    words = say_with_numbers(message)
    if type(message) is Prepare:
        return evolve(words, text="look?", request="look?")
    if type(message) is Promise:
        held = words.found
        return evolve(words, text=f"holds {'nothing' if held is None else printable(held.value)}")
    if type(message) is Accept:
        return evolve(words, text=f"accept?({printable(message.value)})", request="accept?")
    if type(message) is Accepted:
        return evolve(words, text="yes")
    if type(message) is Nack:
        return evolve(words, text="no")
    if type(message) is Chosen:
        return evolve(words, text=f"{printable(message.value)} is chosen")
    return words


def plain_view() -> SingleView[V]:
    """The view of one decision without numbers."""
    view: SingleView[V] = single_view()
    return evolve(view, say=say, has_numbers=False)
