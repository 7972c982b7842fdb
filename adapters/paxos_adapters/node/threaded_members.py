"""The members of a cluster for programs without an event loop: the same verbs, from any thread.

    with ThreadedNode(...) as node:
        node.members.replace(ServerId(3), ServerId(4), ("10.0.0.4", 47100), timeout_s=60)

- A call hands its request to the event loop of the node, and waits. It raises what the node raises.
- A change that has begun goes on by itself, whatever interrupts its caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from paxos import ServerId
from paxos_adapters.node.members import Members, MembersStatus
from paxos_adapters.node.threaded_log import Asking
from paxos_adapters.udp.addresses import Address


class ThreadedMembers:
    """The members, on one node. Safe to use from several threads: see ``ThreadedNode.members``."""

    def __init__(self, node: Asking, members: Members) -> None:
        self._node, self._members = node, members

    def add(
        self, server: ServerId, address: Address, *, timeout_s: float | None = None
    ) -> MembersStatus:
        """See ``Members.add``."""
        return self._node.ask(lambda: self._members.add(server, address, timeout_s=timeout_s))

    def remove(self, *servers: ServerId, timeout_s: float | None = None) -> MembersStatus:
        """See ``Members.remove``."""
        return self._node.ask(lambda: self._members.remove(*servers, timeout_s=timeout_s))

    def replace(
        self, old: ServerId, new: ServerId, address: Address, *, timeout_s: float | None = None
    ) -> MembersStatus:
        """See ``Members.replace``."""
        return self._node.ask(lambda: self._members.replace(old, new, address, timeout_s=timeout_s))

    def change(
        self,
        *,
        add: Mapping[ServerId, Address] | None = None,
        remove: Iterable[ServerId] = (),
        timeout_s: float | None = None,
    ) -> MembersStatus:
        """See ``Members.change``."""
        return self._node.ask(
            lambda: self._members.change(add=add, remove=remove, timeout_s=timeout_s)
        )

    def move(
        self, server: ServerId, address: Address, *, timeout_s: float | None = None
    ) -> MembersStatus:
        """See ``Members.move``."""
        return self._node.ask(lambda: self._members.move(server, address, timeout_s=timeout_s))

    def status(self) -> MembersStatus:
        """The members, as this server knows them. Raises ServerStopped if it was closed."""

        async def status() -> MembersStatus:
            return self._members.status()

        return self._node.ask(status)

    def changed(self) -> None:
        """See ``Members.changed``. Raises ServerStopped if it was closed."""
        self._node.ask(self._members.changed)
