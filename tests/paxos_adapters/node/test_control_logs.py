"""A node answers its own machine about its logs: sessions of clients, queries, and steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.json import Decoder, encode

from paxos_adapters.node import control
from paxos_adapters.node.control_protocol import (
    MAX_LINE_BYTES,
    Answer,
    ErrorReply,
    FoundReply,
    LogsReply,
    LogsRequest,
    OpenedReply,
    OpenRequest,
    QueryRequest,
    Question,
    ReadRequest,
    ResultsReply,
    StatusReply,
    StatusRequest,
    StepReply,
    StepsRequest,
    SubmitRequest,
    WatchingReply,
    socket_path,
)
from paxos_adapters.replication.batches import MAX_BATCH, MAX_COMMAND_BYTES
from paxos_adapters.replication.log import ReplicatedLog
from paxos_adapters.state_machines import KEY_VALUE, key_value
from paxos_adapters.state_machines.key_value import (
    GET,
    SCAN,
    Changed,
    Command,
    CompareAndSet,
    Item,
    KeyValues,
    Page,
    Put,
    Result,
    Scan,
    Unchanged,
)
from tests.paxos_adapters.node.test_control import WITHOUT_A_MAJORITY, asked, running, runs

COMMANDS, RESULTS = KEY_VALUE.commands, KEY_VALUE.results
assert COMMANDS is not None
assert RESULTS is not None
encoded, result = COMMANDS.encode, RESULTS.encode
_answer: Decoder[Answer] = Decoder(Answer)


class Connection:
    """One connection to a node."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, question: Question) -> Answer:
        self.writer.write(encode(question) + b"\n")
        return await self.hear()

    async def hear(self) -> Answer:
        return _answer.decode(await self.reader.readline())


@asynccontextmanager
async def serving(data: Path) -> AsyncGenerator[ReplicatedLog[KeyValues, Command, Result], None]:
    async with running(data) as node, node.log("kv", KEY_VALUE) as log:
        yield log


@asynccontextmanager
async def connected(data: Path) -> AsyncGenerator[Connection, None]:
    reader, writer = await asyncio.open_unix_connection(
        str(socket_path(data)), limit=MAX_LINE_BYTES
    )
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


async def opened(it: Connection, nonce: int = 7) -> int:
    answer = await it.ask(OpenRequest("kv", nonce, 5))
    assert isinstance(answer, OpenedReply)
    return answer.session


def test_who_waits_for_a_command_is_told_that_the_server_has_ended(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data, WITHOUT_A_MAJORITY) as node, node.log("kv", KEY_VALUE):
            async with connected(data) as asking:
                asking.writer.write(encode(OpenRequest("kv", 7)) + b"\n")
                await asked(data, StatusRequest())  # By now the first question is being answered.
                await node.close()
                answer = await asking.hear()
            assert isinstance(answer, ErrorReply)
            assert (answer.kind, answer.why) == ("CommandUnknown", "the server has ended")
            assert answer.text.startswith("'kv': the server has ended. The command may have been")

    runs(run())


def test_commands_of_a_client_run_once_however_often_they_come(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with serving(data) as log:
            async with connected(data) as first:
                session = await opened(first)
                request = SubmitRequest(
                    "kv",
                    session,
                    1,
                    [(1, encoded(Put("a", b"1"))), (2, encoded(Put("b", b"2")))],
                    5,
                )
                results = ResultsReply([result(Changed(1)), result(Changed(2))])
                assert await first.ask(request) == results
            async with connected(data) as second:
                assert await second.ask(request) == results
                again = SubmitRequest("kv", session, 3, [(2, encoded(Put("b", b"2")))], 5)
                assert await second.ask(again) == ResultsReply([result(Changed(2))])
            assert log.state.revision == 2

    runs(run())


def test_a_session_that_is_closed_runs_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with serving(data) as log, connected(data) as it:
            answer = await it.ask(SubmitRequest("kv", 9, 1, [(1, encoded(Put("a", b"1")))], 5))
            assert isinstance(answer, ErrorReply)
            assert answer.kind == "ClientSessionClosed"
            assert log.state.revision == 0

    runs(run())


def test_a_result_that_its_client_needs_no_more_is_not_kept(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with serving(data) as log, connected(data) as it:
            session = await opened(it)
            put = encoded(Put("a", b"1"))
            await it.ask(SubmitRequest("kv", session, 1, [(1, put)], 5))
            await it.ask(SubmitRequest("kv", session, 2, [(2, put)], 5))
            answer = await it.ask(SubmitRequest("kv", session, 1, [(1, put)], 5))
            assert isinstance(answer, ErrorReply)
            assert answer.kind == "CommandUnknown"
            assert log.state.revision == 2

    runs(run())


def test_a_query_is_linearizable_and_has_a_name(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with serving(data) as log, connected(data) as it:
            await log.submit(Put("colour", b"blue"))
            blue = Item(b"blue", 1)
            found = FoundReply(GET.answers.encode(blue))
            assert await it.ask(QueryRequest("kv", "get", b"colour", 5)) == found
            page = FoundReply(SCAN.answers.encode(Page((("colour", blue),), is_last=True)))
            scan = SCAN.questions.encode(Scan("co"))
            assert await it.ask(QueryRequest("kv", "scan", scan, 5)) == page
            for question, kind in (
                (QueryRequest("kv", "drop", b"", 5), "NoSuchQuery"),
                (QueryRequest("other", "get", b"", 5), "NoSuchLog"),
                (QueryRequest("kv", "scan", b"nonsense", 5), "QueryFailed"),
                (ReadRequest("kv", 5), "NameOfLog"),
            ):
                answer = await it.ask(question)
                assert isinstance(answer, ErrorReply)
                assert answer.kind == kind

    runs(run())


def test_a_watcher_has_each_step_once_it_is_told_that_it_watches(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with serving(data) as log, connected(data) as it:
            assert await it.ask(StepsRequest("kv")) == WatchingReply()
            for number in range(3):
                await log.submit(Put("a", str(number).encode()))
            steps = [await it.hear() for _ in range(3)]
            assert [type(step) for step in steps] == [StepReply] * 3
            assert [step.command for step in steps if isinstance(step, StepReply)] == [
                encoded(Put("a", str(number).encode())) for number in range(3)
            ]

    runs(run())


def test_a_watcher_is_told_why_no_more_steps_come(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node, connected(data) as it:
            async with node.log("kv", KEY_VALUE):
                assert await it.ask(StepsRequest("kv")) == WatchingReply()
            answer = await it.hear()
            assert isinstance(answer, ErrorReply)
            assert answer.kind == "LogClosed"
            assert await it.reader.read() == b""

    runs(run())


def test_how_the_logs_are(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with serving(data) as log:
            await log.submit(Put("a", b"1"))
            answer = await asked(data, LogsRequest())
            assert isinstance(answer, LogsReply)
            assert answer.me == 1
            assert answer.logs == {"kv": log.status()}

    runs(run())


def test_a_log_that_is_asked_for_and_does_not_run_can_be_entered_then(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        missing: list[str] = []
        async with running(data) as node:
            node.on_missing_log(missing.append)
            answer = await asked(data, QueryRequest("kv", "get", b"a", 5))
            assert isinstance(answer, ErrorReply)
            assert (answer.kind, missing) == ("NoSuchLog", ["kv"])

    runs(run())


LARGE = b"x" * 50_000


def test_results_that_do_not_fit_in_a_line_are_asked_for_again(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with serving(data) as log, connected(data) as it:
            await log.submit(Put("a", LARGE))
            session = await opened(it)
            body = encoded(CompareAndSet("a", 0, b""))
            commands = [(number, body) for number in range(1, 11)]
            answer = await it.ask(SubmitRequest("kv", session, 1, commands, 5))
            unchanged = result(Unchanged(Item(LARGE, 1)))
            assert answer == ResultsReply([unchanged] * 3)
            answer = await it.ask(SubmitRequest("kv", session, 4, commands[3:], 5))
            assert answer == ResultsReply([unchanged] * 3)

    runs(run())


SUBMIT = b'{"ask": "submit", "name": "kv", "session": %s, "done_below": %s, "commands": %s}'


class TestHostile:
    """What comes in is checked, and harms no other client and no log."""

    def test_what_the_codec_does_not_know_never_gets_into_the_log(self, tmp_path: Path) -> None:
        async def run() -> None:
            data = tmp_path / "n1.db"
            async with serving(data) as log, connected(data) as it:
                session = await opened(it)
                for commands, kind in (
                    ([(1, b"nonsense")], "BadValue"),
                    ([(1, encoded(Put("a", b""))), (2, b"")], "BadValue"),
                    ([(1, b"x" * (MAX_COMMAND_BYTES + 1))], "TooLarge"),
                    ([(1, encoded(Put("a", LARGE))), (2, encoded(Put("b", LARGE)))], "TooLarge"),
                ):
                    answer = await it.ask(SubmitRequest("kv", session, 1, commands, 5))
                    assert isinstance(answer, ErrorReply)
                    assert answer.kind == kind
                assert log.state == key_value.KeyValues()
                assert await log.submit(Put("a", b"1")) == Changed(1)

        runs(run())

    @pytest.mark.parametrize(
        "line",
        [
            SUBMIT % (b"1", b"1", b"[]"),
            SUBMIT % (b"1", b"1", b"[[1]]"),
            SUBMIT % (b"-1", b"1", b'[[1, ""]]'),
            SUBMIT % (b"1", b"0.5", b'[[1, ""]]'),
            SUBMIT % (b"1", b"1", b"[[1, 7]]"),
            SUBMIT % (b"1", b"1", b"[" + b'[1, ""],' * MAX_BATCH + b'[1, ""]]'),
            b'{"ask": "open", "name": "kv", "nonce": 9223372036854775808}',
            b'{"ask": "query", "name": "kv", "query": "get", "question": "%"}',
            b'{"ask": "steps"}',
        ],
    )
    def test_a_line_that_is_no_question(self, tmp_path: Path, line: bytes) -> None:
        async def run() -> None:
            data = tmp_path / "n1.db"
            async with serving(data), connected(data) as it:
                it.writer.write(line + b"\n")
                answer = await it.hear()
                assert isinstance(answer, ErrorReply)
                assert answer.kind == "BadQuestion"
                assert await it.reader.read() == b""

        runs(run())

    def test_a_client_that_does_not_wait_for_its_answer_is_hung_up_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "LINE_S", 3_600)  # Not for being idle.

        async def run() -> None:
            data = tmp_path / "n1.db"
            async with serving(data), connected(data) as it:
                assert isinstance(await it.ask(StatusRequest()), StatusReply)
                it.writer.write(encode(OpenRequest("kv", 1, 5)) + b"\n" + b"x" * 1_000)
                assert isinstance(await it.hear(), OpenedReply)
                assert await it.reader.read() == b""

        runs(run())

    def test_a_connection_that_is_idle_is_hung_up_on_without_a_word(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "LINE_S", 0.05)

        async def run() -> None:
            data = tmp_path / "n1.db"
            async with serving(data), connected(data) as it:
                assert isinstance(await it.ask(StatusRequest()), StatusReply)
                assert await it.reader.read() == b""

        runs(run())

    def test_a_client_that_hangs_up_is_forgotten_and_its_place_is_free(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(control, "MAX_WAITING", 1)

        async def run() -> None:
            data = tmp_path / "n1.db"
            async with serving(data) as log:
                async with connected(data) as it:
                    assert await it.ask(StepsRequest("kv")) == WatchingReply()
                    answer = await asked(data, OpenRequest("kv", 1, 5))
                    assert isinstance(answer, ErrorReply)
                    assert answer.kind == "TooManyRequests"
                while isinstance(await asked(data, OpenRequest("kv", 1, 5)), ErrorReply):
                    await asyncio.sleep(0)
                assert await log.submit(Put("a", b"1")) == Changed(1)

        runs(run())
