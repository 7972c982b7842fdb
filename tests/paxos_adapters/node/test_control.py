"""A node answers its own machine, and whatever comes, it goes on."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import socket
import stat
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from paxos import ServerId, majority
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore, SaveFailed
from paxos_adapters.node import NetworkConfig, Node, control
from paxos_adapters.node.control import serve
from paxos_adapters.node.control_client import NoReply, NotRunning, TooLong, ask
from paxos_adapters.node.control_protocol import (
    MAX_LINE_BYTES,
    Answer,
    ChosenReply,
    ControlError,
    ErrorReply,
    NotChosenReply,
    ProposeRequest,
    Question,
    ReadRequest,
    StatusReply,
    StatusRequest,
    WatchRequest,
    socket_path,
)
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.udp.errors import Removed

S1, S2 = ServerId(1), ServerId(2)
ALONE: dict[ServerId, Address] = {S1: ("127.0.0.1", 0)}
WITHOUT_A_MAJORITY: dict[ServerId, Address] = {**ALONE, S2: ("127.0.0.1", 9)}


@asynccontextmanager
async def running(
    data: Path, addresses: dict[ServerId, Address] = ALONE
) -> AsyncGenerator[Node[bytes], None]:
    with FileStore.create(data, cluster="c", server=S1, quorum=majority(addresses)) as file:
        async with (
            Node(file, NetworkConfig(addresses), codec=RAW) as node,
            serve(node, socket_path(data)),
        ):
            yield node


async def asked(data: Path, question: Question) -> Answer:
    return await asyncio.to_thread(ask, data, question, patience_s=20)


async def said(data: Path, line: bytes) -> bytes:
    """What comes back for ``line``, whatever that is."""
    reader, writer = await asyncio.open_unix_connection(str(socket_path(data)))
    writer.write(line)
    answer = await reader.readline()
    with suppress(ConnectionResetError):  # It has not read all that was sent.
        assert await reader.read() == b"", "one question, one answer"
    writer.close()
    return answer


def failing(data: Path) -> Callable[..., object]:
    """A save that does not work out."""

    def save(_: object, **__: object) -> object:
        raise SaveFailed(data, OSError("no disk"))

    return save


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(run, 60))


def test_what_can_be_asked(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node:
            assert await asked(data, ReadRequest("leader")) == NotChosenReply()
            watching = asyncio.ensure_future(asked(data, WatchRequest("leader", 20)))
            assert await asked(data, ProposeRequest("leader", b"\xff\0", 5)) == ChosenReply(
                b"\xff\0"
            )
            assert await asked(data, ProposeRequest("leader", b"other", 5)) == ChosenReply(
                b"\xff\0"
            )
            assert await watching == ChosenReply(b"\xff\0")
            assert await asked(data, ReadRequest("leader", 5)) == ChosenReply(b"\xff\0")
            assert await asked(data, StatusRequest()) == StatusReply(
                "c", ("127.0.0.1", int(node.place[1])), node.status()
            )
            large = b"x" * (1 << 16)
            assert await asked(data, ProposeRequest("large", large)) == ChosenReply(large)

    runs(run())


def test_what_is_wrong_has_the_name_of_what_the_node_raises(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data, WITHOUT_A_MAJORITY) as node:
            for question, kind in (
                (ProposeRequest("x", b"", 0.05), "OutcomeUnknown"),
                (ReadRequest("x", 0.05), "NoAnswer"),
                (WatchRequest("x", 0.05), "NoAnswer"),
                (ProposeRequest("x" * 256, b""), "BadName"),
                (ReadRequest(""), "BadName"),
                (ProposeRequest("x", b"x" * 65_537), "TooLarge"),
            ):
                answer = await asked(data, question)
                assert isinstance(answer, ErrorReply)
                assert answer.kind == kind
            waiting = asyncio.ensure_future(asked(data, ProposeRequest("x", b"")))
            while not node.status().asked:
                await asyncio.sleep(0.001)
            await node.close()
            assert isinstance(unknown := await waiting, ErrorReply)
            assert unknown.kind == "OutcomeUnknown"
            assert unknown.text.startswith("'x': the server has ended. The proposed value")
            why = "the server has ended"
            assert unknown.why == why
            assert await asked(data, ReadRequest("x")) == ErrorReply(
                "ServerStopped", f"{why}. Start it again, or ask another one.", why
            )

    runs(run())


def test_a_server_that_has_stopped_says_why_in_words_for_a_command_line(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(node.file, "save_all", failing(data))
                answer = await asked(data, ProposeRequest("x", b"x"))
            assert isinstance(answer, ErrorReply)
            assert answer.kind == "OutcomeUnknown"
            assert "'x': the server has stopped for good: " in answer.text
            assert "no disk" in answer.text
            assert ".." not in answer.text
            assert "host" not in answer.text

    runs(run())


def test_a_server_that_was_removed_is_not_to_be_started_again(tmp_path: Path) -> None:
    def remove() -> None:
        raise Removed(S1, 1)

    async def run() -> None:
        data = tmp_path / "n1.db"
        why = "server 1 was removed from the cluster, and has ended"
        async with running(data, WITHOUT_A_MAJORITY) as node:
            waiting = asyncio.ensure_future(asked(data, ReadRequest("x")))
            while not node.status().asked:
                await asyncio.sleep(0.001)
            node.guard(remove)()
        assert await waiting == ErrorReply(
            "NoAnswer", f"'x': {why}. Ask again, or ask another node.", why
        )
        async with running(tmp_path / "n2.db") as node:
            node.guard(remove)()
            refused = await asked(tmp_path / "n2.db", ReadRequest("x"))
            assert refused == ErrorReply("ServerStopped", f"{why}. Ask another one.", why)

    runs(run())


def test_only_its_owner_can_ask_and_afterwards_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        with pytest.raises(NotRunning):
            await asked(data, StatusRequest())
        async with running(data):
            assert stat.S_IMODE(socket_path(data).stat().st_mode) == 0o600
        assert not socket_path(data).exists()

    runs(run())


GARBAGE = [
    b"\n",
    b"{}\n",
    b"[]\n",
    b"null\n",
    b"\xff\xfe\n",
    b"\0" * 99 + b"\n",
    b'{"ask": "stop"}\n',
    b'{"ask": "read"}\n',
    b'{"ask": "read", "name": 7}\n',
    b'{"ask": "read", "name": "\\ud800"}\n',
    b'{"ask": "read", "name": "x", "more": 1}\n',
    b'{"ask": "read", "name": "x", "timeout_s": 0}\n',
    b'{"ask": "read", "name": "x", "timeout_s": -1}\n',
    b'{"ask": "read", "name": "x", "timeout_s": 1e400}\n',
    b'{"ask": "read", "name": "x", "timeout_s": NaN}\n',
    b'{"ask": "propose", "name": "x"}\n',
    b'{"ask": "propose", "name": "x", "value": "%%"}\n',
    b'{"ask": "status"\n',
    b"[" * 100_000 + b"\n",
    b"x" * (MAX_LINE_BYTES + 2) + b"\n",
    b"x" * (4 * MAX_LINE_BYTES),
]


class TestHostile:
    """What comes in is checked, and harms nobody else."""

    def test_garbage_is_one_answer(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        async def run() -> None:
            data = tmp_path / "n1.db"
            async with running(data) as node:
                for line in GARBAGE:
                    answer = json.loads(await said(data, line))
                    told = line[:60]
                    assert (answer["answer"], answer["kind"]) == ("problem", "BadQuestion"), told
                    assert answer["text"].startswith("this is not a question: "), told
                assert node.status().asked == 0
                assert await asked(data, ProposeRequest("x", b"x")) == ChosenReply(b"x")

        runs(run())
        assert caplog.records == []

    def test_who_hangs_up_is_forgotten(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def run() -> None:
            data = tmp_path / "n1.db"
            async with running(data, WITHOUT_A_MAJORITY) as node:
                for line in (
                    b"",
                    b'{"ask',
                    b'{"ask": "status"}',
                    b'{"ask": "read", "name": "x"}\n' * 2,
                ):
                    _, writer = await asyncio.open_unix_connection(str(socket_path(data)))
                    writer.write(line)
                    while line.endswith(b"\n") and not node.status().asked:
                        await asyncio.sleep(0.001)
                    writer.close()
                while node.status().asked:
                    await asyncio.sleep(0.001)
                reader, writer = await asyncio.open_unix_connection(str(socket_path(data)))
                writer.write(b'{"ask": "watch", "name": "x"}\n')
                while not node.status().asked:
                    await asyncio.sleep(0.001)
            assert await reader.read() == b"", "the node closed while somebody waited"
            writer.close()

        runs(run())
        assert [it for it in caplog.records if it.levelno >= logging.ERROR] == []

    def test_who_says_nothing_is_sent_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "LINE_S", 0.01)

        async def run() -> None:
            data = tmp_path / "n1.db"
            async with running(data):
                assert b"no question came within 0.01 s" in await said(data, b'{"ask"')

        runs(run())

    def test_any_number_ask_one_after_the_other(self, tmp_path: Path) -> None:
        """A place is free again after an answer, an error, a hang-up and a time-out alike."""
        many = control.MAX_WAITING + control.MAX_BRIEF + 1

        async def run() -> None:
            data = tmp_path / "n1.db"
            async with running(data, WITHOUT_A_MAJORITY) as node:
                for _ in range(many):
                    for question, kind in (
                        (ReadRequest("x", 0.001), "NoAnswer"),
                        (ReadRequest(""), "BadName"),
                    ):
                        answer = await asked(data, question)
                        assert isinstance(answer, ErrorReply)
                        assert answer.kind == kind
                    assert isinstance(await asked(data, StatusRequest()), StatusReply)
                    _, writer = await asyncio.open_unix_connection(str(socket_path(data)))
                    writer.write(b'{"ask": "watch", "name": "never"}\n')
                    while not node.status().asked:
                        await asyncio.sleep(0.0005)
                    writer.close()
                    while node.status().asked:
                        await asyncio.sleep(0.0005)

        runs(run())

    def test_only_so_many_ask_at_a_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "MAX_WAITING", 2)
        monkeypatch.setattr(control, "MAX_BRIEF", 8)

        async def run() -> None:
            data = tmp_path / "n1.db"
            async with running(data, WITHOUT_A_MAJORITY) as node:
                watching = [
                    asyncio.ensure_future(asked(data, WatchRequest(name, 20))) for name in "ab"
                ]
                while node.status().asked < 2:
                    await asyncio.sleep(0.001)
                for question in ReadRequest("c"), ProposeRequest("a", b""), WatchRequest("c", 20):
                    assert await asked(data, question) == ErrorReply(
                        "TooManyRequests", "2 others are asking already; ask again later."
                    )
                assert isinstance(await asked(data, StatusRequest()), StatusReply)
                silent = [
                    await asyncio.open_unix_connection(str(socket_path(data))) for _ in range(8)
                ]
                assert await asked(data, StatusRequest()) == ErrorReply(
                    "TooManyRequests", "10 others are asking already; ask again later."
                )
                for _, writer in silent:
                    writer.close()
            for it in watching:
                with pytest.raises(NoReply, match="has ended before it answered"):
                    await it

        runs(run())


class TestSockets:
    """Where it listens."""

    def test_a_stale_one_is_replaced(self, tmp_path: Path) -> None:
        data = tmp_path / "n1.db"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(socket_path(data)))

        async def run() -> None:
            with pytest.raises(NotRunning):
                await asked(data, StatusRequest())
            async with running(data):
                assert await asked(data, ProposeRequest("x", b"x")) == ChosenReply(b"x")

        runs(run())

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_anything_else_is_left_alone(self, tmp_path: Path, kind: str) -> None:
        data = tmp_path / "n1.db"
        if kind == "file":
            socket_path(data).write_text("mine")
        else:
            socket_path(data).mkdir()

        async def run() -> None:
            with pytest.raises(ControlError, match="move away what is there"):
                async with running(data):
                    pass

        runs(run())
        assert socket_path(data).exists()

    def test_a_long_path_will_do(self, tmp_path: Path) -> None:
        folder = tmp_path / ("x" * 200)
        folder.mkdir()
        data = folder / "n1.db"

        async def run() -> None:
            async with running(data):
                assert await asked(data, ProposeRequest("x", b"x")) == ChosenReply(b"x")
            assert not socket_path(data).exists()

        before = len(os.listdir("/proc/self/fd"))
        runs(run())
        assert len(os.listdir("/proc/self/fd")) == before

    def test_a_long_name_will_not(self, tmp_path: Path) -> None:
        data = tmp_path / ("x" * 120)

        async def run() -> None:
            with pytest.raises(ControlError, match="too long"):
                async with running(data):
                    pass
            with pytest.raises(ControlError, match="too long"):
                await asked(data, StatusRequest())

        runs(run())

    def test_a_link_to_a_file_leads_to_its_server(self, tmp_path: Path) -> None:
        data, link = tmp_path / "n1.db", tmp_path / "link"
        link.symlink_to(data)

        async def run() -> None:
            async with running(data):
                assert await asked(link, ReadRequest("x")) == NotChosenReply()

        runs(run())


class TestAsking:
    """Whoever asks knows what came of it, or that it does not."""

    def test_a_server_that_hangs(self, tmp_path: Path) -> None:
        data = tmp_path / "n1.db"
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(socket_path(data)))
            deaf.listen()
            with pytest.raises(NoReply, match="has not answered within"):
                ask(data, StatusRequest(), patience_s=0.01)

    def test_an_answer_of_another_kind(self, tmp_path: Path) -> None:
        async def run() -> None:
            data = tmp_path / "n1.db"

            async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readline()
                writer.write(b'{"answer": "later"}\n')
                writer.close()
                await writer.wait_closed()

            async with await asyncio.start_unix_server(reply, str(socket_path(data))):
                with pytest.raises(ControlError, match="what it says cannot be read"):
                    await asked(data, StatusRequest())

        runs(run())

    def test_a_question_that_is_too_long(self, tmp_path: Path) -> None:
        with pytest.raises(TooLong, match="at most 262,144"):
            ask(tmp_path / "n1.db", ProposeRequest("x", b"x" * MAX_LINE_BYTES), patience_s=1)

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        for folder in tmp_path / "no", tmp_path / ("x" * 200):
            with pytest.raises(NotRunning):
                ask(folder / "n1.db", StatusRequest(), patience_s=1)


def test_an_answer_makes_room_for_the_next_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "MAX_WAITING", 2)
    monkeypatch.setattr(control, "MAX_BRIEF", 2)

    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data):
            for number in range(10):
                answer = await asked(data, ProposeRequest(f"{number}", b"x"))
                assert answer == ChosenReply(b"x")
                assert isinstance(await asked(data, StatusRequest()), StatusReply)

    runs(run())


def test_a_system_without_descriptors_is_told_once_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control, "ACCEPT_AGAIN_S", 0.001)
    failures = iter(range(5))

    async def run() -> None:
        loop = asyncio.get_running_loop()
        accept = loop.sock_accept

        async def short_of_descriptors(sock: socket.socket) -> object:
            if next(failures, None) is not None:
                raise OSError(errno.EMFILE, "Too many open files")
            return await accept(sock)

        monkeypatch.setattr(loop, "sock_accept", short_of_descriptors)
        data = tmp_path / "n1.db"
        async with running(data):
            assert isinstance(await asked(data, StatusRequest()), StatusReply)

    runs(run())
    told = [it.getMessage() for it in caplog.records]
    assert told == ["no more questions can come for now: [Errno 24] Too many open files"]
