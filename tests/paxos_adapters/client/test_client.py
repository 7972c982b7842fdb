"""Clients of a log, over the sockets of servers that stop, start again, and are killed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from threading import Event

import pytest

from paxos import ServerId
from paxos.log.sessions import Sessions
from paxos_adapters.arguments import BadArgument
from paxos_adapters.client import (
    AsyncClient,
    Client,
    ClientClosed,
    NotReached,
    Refused,
    WatchEnded,
    asynchronous,
)
from paxos_adapters.client.outbox import Asked, Outbox
from paxos_adapters.client.servers import NotThere, Trouble, telling
from paxos_adapters.codecs import RAW, TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.forks import Forked
from paxos_adapters.node import NetworkConfig, Node, control
from paxos_adapters.node.control import serve
from paxos_adapters.node.control_protocol import Answer, ResultsReply, socket_path
from paxos_adapters.replication import applying
from paxos_adapters.replication.watching import Step
from paxos_adapters.requests.errors import (
    CommandUnknown,
    NoAnswer,
    OutcomeUnknown,
    UnknownSubmission,
)
from paxos_adapters.state_machine import Query
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import (
    GET,
    SCAN,
    Changed,
    CompareAndSet,
    Item,
    KeyValues,
    Put,
    Scan,
    Unchanged,
)
from tests.paxos_adapters.node.test_node import QUICK, Cluster, runs

S1, S2, S3 = map(ServerId, (1, 2, 3))
LARGE = b"x" * 50_000


class Served:
    """Servers with a log and a socket each."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._stacks: dict[ServerId, AsyncExitStack] = {}

    @property
    def data(self) -> list[Path]:
        return [self.cluster.path(me) for me in self.cluster.addresses]

    async def start(self, me: ServerId) -> None:
        stack = self._stacks[me] = AsyncExitStack()
        path = self.cluster.path(me)
        file = FileStore.open(path, cluster="c", server=me, quorum=self.cluster.quorum)
        stack.enter_context(file)
        network = NetworkConfig(self.cluster.addresses)
        node = Node(file, network, codec=RAW, timeouts=QUICK)
        await stack.enter_async_context(node)
        await stack.enter_async_context(node.log("kv", KEY_VALUE))
        await stack.enter_async_context(serve(node, socket_path(path)))

    async def stop(self, me: ServerId) -> None:
        await self._stacks.pop(me).aclose()

    async def close(self) -> None:
        for me in [*self._stacks]:
            await self.stop(me)


@asynccontextmanager
async def served(folder: Path, size: int = 1) -> AsyncGenerator[Served, None]:
    found = Served(Cluster(folder, size))
    try:
        for me in found.cluster.addresses:
            await found.start(me)
        yield found
    finally:
        await found.close()


def test_the_verbs(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(tmp_path, 3) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            assert await kv.submit(Put("a", b"1")) == Changed(1)
            assert await kv.submit_many([Put("b", b"2"), CompareAndSet("a", 0, b"")]) == [
                Changed(2),
                Unchanged(Item(b"1", 1)),
            ]
            assert await kv.submit_many([]) == []
            assert await kv.read(GET, "b") == Item(b"2", 2)
            assert await kv.read(GET, "c") is None
            page = await kv.read(SCAN, Scan())
            assert [key for key, _ in page.items] == ["a", "b"]
            assert (await kv.status()).applied > 0

    runs(run())


def test_a_thousand_at_a_time_and_thousands_in_order(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(tmp_path) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            some = [kv.submit(Put(f"{number:03}", b"x")) for number in range(1_000)]
            found = await asyncio.gather(*some)
            assert sorted(key.revision for key in found if type(key) is Changed) == [
                *range(1, 1_001)
            ]
            many = await kv.submit_many([Put("a", b"x")] * 3_000, timeout_s=30)
            assert many == [Changed(number) for number in range(1_001, 4_001)]

    runs(run())


def test_results_too_large_for_one_line(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(tmp_path) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            await kv.submit(Put("a", LARGE))
            found = await kv.submit_many([CompareAndSet("a", 0, b"")] * 20)
            assert found == [Unchanged(Item(LARGE, 1))] * 20

    runs(run())


def test_a_client_goes_on_with_another_server(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(tmp_path, 3) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            assert await kv.submit(Put("a", b"1"), timeout_s=30) == Changed(1)
            await it.stop(S1)
            assert await kv.submit(Put("a", b"2"), timeout_s=30) == Changed(2)
            assert await kv.read(GET, "a", timeout_s=30) == Item(b"2", 2)
            await it.stop(S2)
            await it.start(S1)
            assert await kv.submit(Put("a", b"3"), timeout_s=30) == Changed(3)
            assert await kv.read(GET, "a", timeout_s=30) == Item(b"3", 3)

    runs(run())


def test_what_was_run_while_the_server_hung_up_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is lost: the connection ends after the command was run."""
    lost = 0
    tell = control.Caller.tell

    async def losing(self: control.Caller, answer: Answer) -> None:
        nonlocal lost
        if type(answer) is ResultsReply and lost < 5:
            lost += 1
            raise ConnectionResetError
        await tell(self, answer)

    monkeypatch.setattr(control.Caller, "tell", losing)

    async def run() -> None:
        async with served(tmp_path) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            assert await kv.submit_many([Put("a", b"1"), Put("a", b"2")]) == [
                Changed(1),
                Changed(2),
            ]
            assert lost == 5
            assert await kv.read(GET, "a") == Item(b"2", 2)

    runs(run())


def test_without_a_server_nothing_is_begun(tmp_path: Path) -> None:
    async def run() -> None:
        async with AsyncClient([tmp_path / "n1.db"], "kv", KEY_VALUE, timeout_s=0.05) as kv:
            with pytest.raises(NotReached, match=r"no server runs on .*n1\.db\. Nothing was begun"):
                await kv.submit(Put("a", b"1"))
            with pytest.raises(NoAnswer, match="no server runs on"):
                await kv.read(GET, "a")
            with pytest.raises(NoAnswer):
                async with kv.watch():
                    pass

    runs(run())


def test_what_a_server_says_tells_more_than_that_another_one_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a majority no session opens: a command is not begun, and nothing is known of it."""
    monkeypatch.setattr(asynchronous, "SERVER_S", 0.05)

    async def run() -> None:
        async with served(tmp_path, 3) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            await it.stop(S2)
            await it.stop(S3)
            late = "'kv': there was no answer in time"
            with pytest.raises(NotReached) as command:
                await kv.submit(Put("a", b"1"), timeout_s=0.5)
            assert str(command.value).startswith(f"{late}. Nothing was begun. Start a server")
            with pytest.raises(NoAnswer) as read:
                await kv.read(GET, "a", timeout_s=0.5)
            assert str(read.value) == f"{late}. Ask again, or ask another node."

    runs(run())


def test_of_two_troubles_the_one_is_told_that_a_server_has_said() -> None:
    said, absent, later = Trouble("late"), NotThere("no server runs"), Trouble("later")
    assert telling(None, absent) is absent
    assert telling(absent, said) is said
    assert telling(said, absent) is said
    assert telling(said, later) is later


def test_without_a_majority_the_outcome_is_unknown(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(tmp_path, 3) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            assert await kv.submit(Put("a", b"1"), timeout_s=30) == Changed(1)
            await it.stop(S2)
            await it.stop(S3)
            with pytest.raises(OutcomeUnknown) as unknown:
                await kv.submit(Put("a", b"2"), timeout_s=0.2)
            assert type(unknown.value) is CommandUnknown
            number = unknown.value.number
            assert number is not None
            with pytest.raises(CommandUnknown, match=rf"outcome\({number}\)"):
                await kv.outcome(number, timeout_s=0.2)
            with pytest.raises(NoAnswer):
                await kv.read(GET, "a", timeout_s=0.2)
            both = [asyncio.create_task(kv.outcome(number, timeout_s=30)) for _ in range(2)]
            await asyncio.sleep(0)
            both[0].cancel()
            await it.start(S3)
            assert await both[1] == await kv.outcome(number) == [Changed(2)]
            assert await kv.submit(Put("b", b"1"), timeout_s=30) == Changed(3)
            with pytest.raises(UnknownSubmission):
                await kv.outcome(number + 1)

    runs(run())


def test_a_read_that_finds_no_place_ends_in_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asynchronous, "MAX_ASKING", 1)

    async def run() -> None:
        cluster = Served(Cluster(tmp_path, 2))
        await cluster.start(S1)
        async with AsyncClient(cluster.data, "kv", KEY_VALUE) as kv:
            first = asyncio.create_task(kv.read(GET, "a", timeout_s=60))
            with pytest.raises(NoAnswer):
                await kv.read(GET, "a", timeout_s=0.05)
            assert not first.done()
            first.cancel()
        await cluster.close()

    runs(run())


def test_a_log_that_does_not_run_is_not_reached(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            served(tmp_path) as it,
            AsyncClient(it.data, "other", KEY_VALUE, timeout_s=0.1) as kv,
        ):
            with pytest.raises(NotReached, match="no log 'other' runs on this server"):
                await kv.submit(Put("a", b"1"))
            with pytest.raises(NoAnswer, match="no log 'other' runs on server 1"):
                await kv.status()

    runs(run())


def test_a_query_that_the_server_does_not_have_is_refused(tmp_path: Path) -> None:
    def revision(state: KeyValues, _: str) -> str:
        return str(state.revision)

    async def run() -> None:
        async with served(tmp_path) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            with pytest.raises(Refused, match="NoSuchQuery"):
                await kv.read(Query("revision", revision, TEXT, TEXT), "")

    runs(run())


def test_a_session_that_another_client_has_pushed_out_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "Sessions", partial(Sessions, most=1))

    async def run() -> None:
        async with (
            served(tmp_path) as it,
            AsyncClient(it.data, "kv", KEY_VALUE) as one,
            AsyncClient(it.data, "kv", KEY_VALUE) as two,
        ):
            for number in range(3):
                assert await one.submit(Put("a", b"1")) == Changed(2 * number + 1)
                assert await two.submit(Put("a", b"2")) == Changed(2 * number + 2)

    runs(run())


def test_a_watcher_has_each_step_until_its_server_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with (
            served(tmp_path) as it,
            AsyncClient(it.data, "kv", KEY_VALUE) as kv,
            kv.watch() as steps,
        ):
            assert await kv.submit(Put("a", b"1")) == Changed(1)
            step = await anext(steps)
            assert step == Step(step.slot, Put("a", b"1"), Changed(1))
            await it.stop(S1)
            with pytest.raises(WatchEnded, match="Steps may be missing"):
                await anext(steps)

    runs(run())


def test_a_caller_that_leaves_is_told_what_is_known(tmp_path: Path) -> None:
    async def run() -> None:
        async with served(tmp_path, 3) as it, AsyncClient(it.data, "kv", KEY_VALUE) as kv:
            await kv.submit(Put("a", b"1"), timeout_s=30)
            await it.stop(S2)
            await it.stop(S3)
            waiting = asyncio.create_task(kv.submit(Put("a", b"2")))
            await asyncio.sleep(0.1)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await waiting
            assert "may have been run" in cancelled.value.__notes__[0]
            await it.start(S3)
            assert await kv.outcome(1, timeout_s=30) == [Changed(2)]

    runs(run())


def test_arguments(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="a list of data files"):
        AsyncClient([], "kv", KEY_VALUE)
    with pytest.raises(BadArgument, match="a list of data files"):
        AsyncClient("n1.db", "kv", KEY_VALUE)

    async def run() -> None:
        kv = AsyncClient([tmp_path / "n1.db"], "kv", KEY_VALUE)
        with pytest.raises(ClientClosed):
            await kv.submit(Put("a", b"1"))
        async with kv:
            pass
        with pytest.raises(ClientClosed):
            await kv.read(GET, "a")

    runs(run())


class TestWithoutALoop:
    """``Client``: in threads, and in forked processes."""

    def test_the_verbs(self, tmp_path: Path) -> None:
        async def run() -> None:
            async with served(tmp_path) as it:
                await asyncio.to_thread(use, it.data)

        def use(data: list[Path]) -> None:
            with Client(data, "kv", KEY_VALUE) as kv, kv.watch() as steps:
                assert kv.submit(Put("a", b"1")) == Changed(1)
                assert kv.submit_many([Put("b", b"2")]) == [Changed(2)]
                assert kv.read(GET, "b") == Item(b"2", 2)
                assert kv.status().leads
                assert [next(steps).command for _ in range(2)] == [Put("a", b"1"), Put("b", b"2")]

        runs(run())

    def test_after_the_end_nothing_is_asked(self, tmp_path: Path) -> None:
        kv = Client([tmp_path / "n1.db"], "kv", KEY_VALUE, timeout_s=0.05)
        with pytest.raises(NotReached):
            kv.submit(Put("a", b"1"))
        kv.close()
        kv.close()
        with pytest.raises(ClientClosed):
            kv.submit(Put("a", b"1"))

    def test_a_call_that_waits_when_it_is_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        has_begun = Event()
        add = Outbox.add

        def observed(self: Outbox, bodies: Sequence[bytes]) -> list[Asked]:
            has_begun.set()
            return add(self, bodies)

        monkeypatch.setattr(Outbox, "add", observed)
        kv = Client([tmp_path / "n1.db"], "kv", KEY_VALUE)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(kv.submit, Put("a", b"1"))
            has_begun.wait()
            kv.close()
            with pytest.raises(NotReached, match="the client was closed"):
                waiting.result()

    def test_a_forked_process_is_told_to_make_its_own(self, tmp_path: Path) -> None:
        with Client([tmp_path / "n1.db"], "kv", KEY_VALUE) as kv:
            child = os.fork()
            if not child:
                try:
                    kv.submit(Put("a", b"1"))
                except Forked:
                    kv.close()
                    os._exit(0)
                os._exit(1)
            assert os.waitpid(child, 0)[1] == 0
