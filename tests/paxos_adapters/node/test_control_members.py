"""A node answers its own machine about its members: who they are, and how a change goes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

from paxos import ServerId
from paxos_adapters.node.control_protocol import (
    ChangeRequest,
    ErrorReply,
    MembersReply,
    MembersRequest,
    MoveRequest,
    ProgressReply,
)
from paxos_adapters.udp.errors import Removed
from tests.paxos_adapters.node.test_control import asked, running, runs
from tests.paxos_adapters.node.test_control_logs import connected

ONE, TWO = ServerId(1), ServerId(2)
NOWHERE = "127.0.0.1", 9


def test_who_is_a_member_and_where(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node:
            reply = await asked(data, MembersRequest())
            assert isinstance(reply, MembersReply)
            assert (reply.me, reply.members.epoch) == (ONE, 0)
            assert not node.members.is_in_use, "to look changes nothing"
            moved = await asked(data, MoveRequest(ONE, NOWHERE, timeout_s=20))
            assert isinstance(moved, MembersReply)
            assert moved.members.addresses == {ONE: NOWHERE}
            refused = await asked(data, MoveRequest(ONE, ("192.0.2.1", 9), timeout_s=20))
            assert isinstance(refused, ErrorReply)
            assert refused.kind == "Insecure"

    runs(run())


def test_a_change_is_told_as_it_goes_and_goes_on_without_its_caller(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node:
            async with connected(data) as asking:
                first = await asking.ask(ChangeRequest({TWO: NOWHERE}, []))
                assert isinstance(first, ProgressReply)
                assert first.members.addresses.keys() == {ONE, TWO}
                assert [it.name for it in first.members.waiting] == ["$members", "$decisions"]
            refused = await asked(data, ChangeRequest({ServerId(3): NOWHERE}, [], timeout_s=20))
            assert isinstance(refused, ErrorReply)
            assert refused.kind == "MembershipChanging"
            assert node.members.status().is_changing
            async with connected(data) as asking:
                last = await asking.ask(ChangeRequest({}, [TWO], timeout_s=20))
                while isinstance(last, ProgressReply):
                    last = await asking.hear()
                assert isinstance(last, MembersReply)
                assert last.members.former == {TWO}

    runs(run())


def test_a_change_has_an_answer_though_its_server_stops(tmp_path: Path) -> None:
    """The node is left at once, as a program does that waits for its end."""

    def remove() -> None:
        raise Removed(ONE, 1)

    async def run() -> None:
        data = tmp_path / "n1.db"
        async with AsyncExitStack() as stack:
            async with running(data) as node:
                asking = await stack.enter_async_context(connected(data))
                answer = await asking.ask(ChangeRequest({TWO: NOWHERE}, []))
                assert isinstance(answer, ProgressReply)
                node.guard(remove)()
            while isinstance(answer, ProgressReply):
                answer = await asking.hear()
        assert isinstance(answer, ErrorReply)
        assert answer.text.startswith("server 1 was removed from the cluster, and has ended.")

    runs(run())


def test_why_a_change_is_not_finished(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data), connected(data) as asking:
            answer = await asking.ask(ChangeRequest({TWO: NOWHERE}, [], timeout_s=2))
            while isinstance(answer, ProgressReply):
                answer = await asking.hear()
            assert isinstance(answer, ErrorReply)
            assert answer.kind == "ChangeUnfinished"
            assert await asking.reader.read() == b"", "no other question follows"

    runs(run())
