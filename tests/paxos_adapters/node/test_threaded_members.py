"""The members of nodes on threads of their own: the same verbs and errors."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, suppress
from random import Random

import pytest

from paxos import ServerId
from paxos_adapters.codecs import TEXT
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import (
    ChangeUnfinished,
    CommandUnknown,
    Members,
    MemoryNetwork,
    MemoryNode,
    NoAnswer,
    NotAllStarted,
    NotAMember,
    Removed,
    ThreadedMembers,
    ThreadedNode,
)

ONE, TWO, THREE, FOUR, FIVE, SIX = (ServerId(number) for number in range(1, 7))
LONG_S = 20.0
"""Longer than any change takes, on a machine that is busy."""
SOON_S = 0.2


class Servers:
    """Three founders, and servers that join."""

    def __init__(self, stack: ExitStack) -> None:
        self.network = MemoryNetwork(random=Random(1))
        self._stack = stack
        self.nodes = {it: self.start(it) for it in (ONE, TWO, THREE)}

    def start(self, me: ServerId) -> ThreadedNode[str]:
        return self._stack.enter_context(ThreadedNode(MemoryNode(self.network, me, codec=TEXT)))

    def join(self, me: ServerId) -> None:
        self.network.join(me)
        self.start(me)


@pytest.fixture
def servers() -> Generator[Servers, None, None]:
    with ExitStack() as stack:
        yield Servers(stack)


def at(server: int) -> tuple[str, int]:
    return "memory", server


def test_the_verbs_change_the_members(servers: Servers) -> None:
    members = servers.nodes[ONE].members
    for it in FOUR, FIVE, SIX:
        servers.join(it)
    assert members.status().addresses.keys() == {ONE, TWO, THREE}
    added = members.add(FOUR, at(4), timeout_s=LONG_S)
    assert added.addresses.keys() == {ONE, TWO, THREE, FOUR}
    assert members.replace(TWO, FIVE, at(5), timeout_s=LONG_S).former == {TWO}
    changed = members.change(add={SIX: at(6)}, remove=[FOUR], timeout_s=LONG_S)
    assert changed.addresses.keys() == {ONE, THREE, FIVE, SIX}
    assert members.remove(SIX, timeout_s=LONG_S).epoch == 4
    assert members.move(FIVE, at(55), timeout_s=LONG_S).addresses[FIVE] == at(55)
    stopped = servers.nodes[TWO]
    with pytest.raises(ServerStopped) as removed:
        stopped.propose("x", "y", timeout_s=LONG_S)
    assert isinstance(removed.value.cause, Removed)


def test_what_the_node_raises_the_call_raises(servers: Servers) -> None:
    members = servers.nodes[ONE].members
    servers.network.join(FOUR)
    with pytest.raises(NotAMember):
        members.move(SIX, at(6), timeout_s=LONG_S)
    while not members.status().is_changing:  # The founders say which logs they have before.
        with suppress(NotAllStarted, CommandUnknown, NoAnswer, ChangeUnfinished):
            members.add(FOUR, at(4), timeout_s=SOON_S)
    with pytest.raises(ChangeUnfinished):
        members.add(FOUR, at(4), timeout_s=SOON_S)
    members.changed()
    servers.nodes[ONE].close()
    with pytest.raises(ServerStopped):
        members.status()


def verbs(kind: type) -> set[str]:
    return {name for name, it in vars(kind).items() if callable(it) and not name.startswith("_")}


def test_there_is_each_verb_of_a_node() -> None:
    assert verbs(Members) == verbs(ThreadedMembers)
