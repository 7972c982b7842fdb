"""A node tells its own machine what a backup is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from attrs import evolve

from paxos import ServerId, majority
from paxos_adapters.node import Node
from paxos_adapters.node.control_backup import NAMES_AT_A_TIME
from paxos_adapters.node.control_client import answers
from paxos_adapters.node.control_protocol import (
    Answer,
    ContentsReply,
    ContentsRequest,
    ErrorReply,
    PieceReply,
    SnapshotReply,
    SnapshotRequest,
)
from paxos_adapters.quorum_words import words_of
from paxos_adapters.replication.snapshots import PIECE_BYTES
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.state_machines import COUNTER, KEY_VALUE
from paxos_adapters.state_machines.key_value import Put
from tests.paxos_adapters.node.test_control import (
    WITHOUT_A_MAJORITY,
    asked,
    running,
    runs,
)
from tests.support.backups import CODECS, stands_for


async def told(
    data: Path, name: str, timeout_s: float = 20, *, alone: bool = False
) -> list[Answer]:
    """All answers to the request for a snapshot."""

    def ask() -> list[Answer]:
        found: list[Answer] = []
        question = SnapshotRequest(name, timeout_s, alone)
        with closing(answers(data, question, patience_s=30)) as stream:
            for answer in stream:
                found.append(answer)
                if isinstance(answer, ErrorReply) or answer == PieceReply(b""):
                    break
        return found

    return await asyncio.to_thread(ask)


async def contents(data: Path, after: str = "") -> ContentsReply:
    answer = await asked(data, ContentsRequest(after))
    assert isinstance(answer, ContentsReply)
    return answer


def test_a_snapshot_has_all_that_was_answered_before(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node, node.log("kv", KEY_VALUE) as log:
            await log.submit_many(Put(f"k{it}", b"x" * 500) for it in range(300))
            head, *pieces, end = await told(data, "kv")
            assert head == SnapshotReply(log.status().applied)
            found = [it.data for it in pieces if isinstance(it, PieceReply)]
            assert len(found) == len(pieces) > 4
            assert {len(it) for it in found[:-1]} == {PIECE_BYTES}
            assert end == PieceReply(b"")
            assert stands_for(CODECS, found).state == log.state

    runs(run())


def test_a_log_that_cannot_be_asked_says_why(tmp_path: Path) -> None:
    class Broken:
        def encode(self, value: int) -> bytes:
            raise RuntimeError(f"no {value}")

        def decode(self, data: bytes) -> int:
            return len(data)

    broken: StateMachine[int, int, int] = evolve(COUNTER, states=Broken())

    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node, node.log("broken", broken) as log:
            (missing,) = await told(data, "kv")
            assert isinstance(missing, ErrorReply)
            assert missing.kind == "NoSuchLog"
            await log.submit(1)
            head, error = await told(data, "broken")
            assert isinstance(head, SnapshotReply)
            assert isinstance(error, ErrorReply)
            assert (error.kind, "RuntimeError: no 1" in error.text) == ("CannotEncode", True)
            assert await log.submit(1) == 2, "the log goes on"

    runs(run())


def test_without_a_quorum_there_is_no_snapshot(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data, WITHOUT_A_MAJORITY) as node, node.log("kv", KEY_VALUE):
            (error,) = await told(data, "kv", timeout_s=0.05)
            assert isinstance(error, ErrorReply)
            assert error.kind == "NoAnswer"
            head, *pieces, end = await told(data, "kv", alone=True)
            assert (head, len(pieces), end) == (SnapshotReply(1), 1, PieceReply(b""))

    runs(run())


@asynccontextmanager
async def with_names(data: Path, *names: str) -> AsyncGenerator[Node[bytes], None]:
    async with running(data) as node:
        await asyncio.gather(*(node.propose(it, b"v") for it in names))
        yield node


def test_names_come_page_after_page(tmp_path: Path) -> None:
    names = [f"{'ü' * 120}{number:03}" for number in range(2 * NAMES_AT_A_TIME + 5)]

    async def run() -> None:
        data = tmp_path / "n1.db"
        async with with_names(data, *names):
            found: list[str] = []
            while page := (await contents(data, found[-1] if found else "")).decisions:
                assert len(page) <= NAMES_AT_A_TIME
                found += page
            assert found == names

    runs(run())


def test_the_epoch_of_decisions_says_whose_names_count(tmp_path: Path) -> None:
    async def run() -> None:
        data = tmp_path / "n1.db"
        async with running(data) as node:
            quorum = words_of(node.quorum)
            told = await contents(data, "")
            assert (told.quorum, told.epoch, told.is_open) == (quorum, 0, True)
            node.file.close_epoch(0)
            told = await contents(data, "")
            assert (told.quorum, told.epoch, told.is_open) == (quorum, 0, False)
            later = majority([ServerId(1), ServerId(2)])
            node.file.adopt(1, later, {})
            told = await contents(data, "")
            assert (told.quorum, told.epoch, told.is_open) == (words_of(later), 1, True)

    runs(run())


def test_logs_are_told_apart(tmp_path: Path) -> None:
    """Those that run, those that lie in the file, and that of the members, which nobody asks."""

    async def run() -> None:
        data = tmp_path / "n1.db"
        async with with_names(data, "leader") as node, node.log("runs", COUNTER) as log:
            async with node.log("left", COUNTER) as left:
                for it in log, left:
                    await it.submit(1)
                assert (await contents(data)).logs == ["left", "runs"]
            found = await contents(data)
            assert (found.logs, found.idle, found.decisions) == (["runs"], ["left"], ["leader"])
            assert (found.cluster, found.me, found.membership) == ("c", 1, "")

    runs(run())
