"""What a node answers its own machine about its members."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count

from paxos_adapters.node.control_protocol import (
    Answer,
    ChangeRequest,
    MembersReply,
    MoveRequest,
    ProgressReply,
)
from paxos_adapters.node.members import MembersStatus
from paxos_adapters.node.node import Node

LOOK_S = 0.25
"""How often it is looked how a change goes."""

PATIENT_LOOKS = 8
"""After how many looks it names the servers that are waited for. Mostly they answer before."""


async def move(node: Node[bytes], question: MoveRequest) -> MembersReply:
    """Move a server. Raises PaxosError."""
    server, address, timeout_s = question.server, question.address, question.timeout_s
    return MembersReply(node.me, await node.members.move(server, address, timeout_s=timeout_s))


async def change(
    node: Node[bytes], question: ChangeRequest, tell: Callable[[Answer], Awaitable[None]]
) -> MembersReply:
    """Change the members, and ``tell`` how it goes. Raises PaxosError.

    A caller that hangs up does not take back what was begun.
    """
    changing = asyncio.ensure_future(
        node.members.change(add=question.add, remove=question.remove, timeout_s=question.timeout_s)
    )
    told = None
    try:
        for looks in count():
            await asyncio.wait({changing}, timeout=LOOK_S)
            if changing.done():
                break
            status = node.members.status()
            is_absent = looks >= PATIENT_LOOKS and bool(status.absent)
            if status != told and (_is_of(question, status) or is_absent):
                told = status
                await tell(ProgressReply(status))
        return MembersReply(node.me, changing.result())
    finally:
        changing.cancel()
        await asyncio.gather(changing, return_exceptions=True)


def _is_of(question: ChangeRequest, status: MembersStatus) -> bool:
    """Whether it is the change in progress that was asked for, and not another one."""
    members = status.addresses.keys()
    is_made = question.add.keys() <= members and members.isdisjoint(question.remove)
    return status.is_changing and is_made
