"""The edge of a node: no object of a program and no codec makes a server say two things."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Generic, TypeVar, cast
from uuid import UUID

import pytest
from attrs import frozen

from paxos import ServerId, majority
from paxos_adapters.codecs import JSON, RAW, TEXT, JsonValue
from paxos_adapters.file import FileStore
from paxos_adapters.node import BadValue, Found, NetworkConfig, Node, ThreadedNode, Undecodable
from paxos_adapters.ports import Codec
from paxos_adapters.requests.values import Values
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.wire import TooLarge
from paxos_lab.record import Recorder, replay
from tests.paxos_adapters.node.test_node import IDS, QUICK
from tests.support.free_ports import free_addresses
from tests.support.recordings import lines

V = TypeVar("V")
ONE, TWO, THREE = IDS[:3]


class Stringifies:
    """JSON, and a string of whatever JSON does not know."""

    def encode(self, value: object) -> bytes:
        return json.dumps(value, default=str).encode()

    def decode(self, encoded: bytes) -> object:
        return json.loads(encoded)


class Unequal:
    """A value that cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RecursionError(other)


class Vague:
    """A value whose comparison is neither true nor false."""

    def __eq__(self, other: object) -> bool:
        return cast("bool", Vague())

    def __bool__(self) -> bool:
        raise ValueError("it is ambiguous")


@frozen
class Scripted(Generic[V]):
    """A codec that does what it is told."""

    encoding: Callable[[V], object]
    decoding: Callable[[bytes], V]

    def encode(self, value: V) -> bytes:
        return cast("bytes", self.encoding(value))

    def decode(self, encoded: bytes) -> V:
        return self.decoding(encoded)


class Mute(Exception):
    """Cannot be said."""

    def __str__(self) -> str:
        raise ZeroDivisionError


def mutes(_: object) -> bytes:
    raise Mute


def fails(_: object) -> bytes:
    raise RecursionError("too deep")


NAN = float("nan")
BAD: Sequence[tuple[object, object, str]] = [
    (Stringifies(), UUID(int=7), "Stringifies brings back another one"),
    (Stringifies(), [UUID(int=7)], "brings back another one"),
    (Stringifies(), (1, 2), "brings back another one"),
    (Stringifies(), {"a": (1,)}, "brings back another one"),
    (Stringifies(), {1: 2}, "brings back another one"),
    (Stringifies(), NAN, "brings back another one"),
    (Stringifies(), {"a": [NAN]}, "brings back another one"),
    (JSON, (1, 2), "Json brings back another one"),
    (JSON, {1: 2}, "brings back another one"),
    (JSON, {1: 2, "b": 3}, "cannot encode {1: 2, 'b': 3} (TypeError: "),
    (JSON, NAN, "cannot encode nan (ValueError: "),
    (JSON, UUID(int=7), "cannot encode UUID("),
    (TEXT, "\ud800", "cannot encode '\\ud800' (UnicodeEncodeError: "),
    (TEXT, 7, "cannot encode 7 (TypeError: int is not a string)"),
    (RAW, "red", "cannot encode 'red' (TypeError: str is not bytes)"),
    (RAW, 7, "cannot encode 7 (TypeError: int is not bytes)"),
    (Scripted[object](lambda it: it, lambda it: it), 7, "does not make bytes of it"),
    (RAW, memoryview(b"red"), "(TypeError: memoryview is not bytes)"),
    (Scripted[object](fails, lambda it: it), 1, "cannot encode 1 (RecursionError: too deep)"),
    (Scripted[object](mutes, lambda it: it), 1, "cannot encode 1 ("),
    (Scripted[object](lambda _: b"", fails), 1, "does not bring it back (RecursionError: too"),
    (Scripted[object](lambda _: b"", lambda _: 1), Unequal(), "does not bring it back (Recursion"),
    (Scripted[object](lambda _: b"", lambda _: Vague()), Vague(), "does not bring it back (Val"),
]


@pytest.mark.parametrize(("codec", "value", "why"), BAD)
def test_a_value_that_its_codec_does_not_bring_back_is_refused(
    codec: Codec[object], value: object, why: str
) -> None:
    with pytest.raises(BadValue) as caught:
        Values(codec).encode("leader", value)
    assert f"'leader' cannot be proposed: {type(codec).__name__} " in str(caught.value)
    assert why in str(caught.value)
    assert "Nothing was sent" in str(caught.value)
    assert caught.value.name == "leader"


def test_a_value_that_is_too_large_is_not_decoded() -> None:
    with pytest.raises(TooLarge, match="at most 65,536"):
        Values(Scripted[bytes](lambda it: it, fails)).encode("leader", b"x" * 65_537)


# --- nodes --------------------------------------------------------------------------------------


def runs(run: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(run, 60))


class Cluster:
    """Three servers, each with a file, and with the codec that it is started with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.addresses: Mapping[ServerId, Address] = free_addresses(3)
        for me in self.addresses:
            FileStore.create(
                self.path(me), cluster="c", server=me, quorum=majority(self.addresses)
            ).close()

    def path(self, me: ServerId) -> Path:
        return self.folder / f"n{me}.db"

    @asynccontextmanager
    async def node(self, me: ServerId, codec: Codec[V]) -> AsyncGenerator[Node[V], None]:
        with FileStore.open(
            self.path(me), cluster="c", server=me, quorum=majority(self.addresses)
        ) as file:
            async with Node(
                file, NetworkConfig(self.addresses), codec=codec, timeouts=QUICK
            ) as node:
                yield node


@asynccontextmanager
async def three(folder: Path, codec: Codec[V]) -> AsyncGenerator[list[Node[V]], None]:
    """Three nodes with one codec."""
    cluster = Cluster(folder)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(cluster.node(me, codec)) for me in IDS[:3]]


def test_a_caller_may_change_its_object_as_soon_as_it_has_proposed_it(tmp_path: Path) -> None:
    """Before anything is awaited, and while the proposal goes on."""

    async def run() -> None:
        async with three(tmp_path, RAW) as nodes:
            buffer = bytearray(b"red")
            proposing = nodes[0].propose("leader", cast("bytes", buffer))
            buffer[:] = b"blue"
            asking = asyncio.ensure_future(proposing)
            await asyncio.sleep(0)
            buffer[:] = b"green and more"
            assert await asking == b"red"
            assert [await it.read("leader") for it in nodes] == [Found(b"red")] * 3

    runs(run())


def test_a_caller_may_change_what_it_has_put_into_a_value(tmp_path: Path) -> None:
    async def run() -> None:
        async with three(tmp_path, JSON) as nodes:
            value: JsonValue = {"shards": [1, 2]}
            proposing = nodes[0].propose("map", value)
            assert isinstance(value, dict)
            value["shards"] = []
            assert await proposing == {"shards": [1, 2]}
            assert [await it.read("map") for it in nodes] == [Found({"shards": [1, 2]})] * 3

    runs(run())


def test_no_two_answers_share_an_object(tmp_path: Path) -> None:
    """Neither two readers, nor two proposers, nor those who wait for the same report."""

    async def run() -> None:
        async with three(tmp_path, JSON) as nodes:
            one, two, _ = nodes
            proposals = one.propose("list", ["a"]), one.propose("list", ["a"]), one.watch("list")
            answers = [*await asyncio.gather(*proposals)]
            answers += [found.value for it in (one, one, two) if (found := await it.read("list"))]
            answers.append(await two.propose("list", ["b"]))
            for answer in answers:
                assert answer == ["a"]
                assert isinstance(answer, list)
                answer.append("edited")
            assert [await it.read("list") for it in nodes] == [Found(["a"])] * 3

    runs(run())


def test_two_bad_proposals_begin_nothing_and_stop_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        async with three(tmp_path, Stringifies()) as nodes:
            one, two, _ = nodes
            saves = [it.status().saves for it in nodes]
            for node in one, two:
                for value in UUID(int=1), (1, 2), {1: 2}, NAN:
                    with pytest.raises(BadValue):
                        await node.propose("leader", value)
            assert [it.status().asked for it in nodes] == [0, 0, 0]
            assert [it.status().saves for it in nodes] == saves
            assert await two.read("leader") is None
            assert await one.propose("leader", ["good"]) == ["good"]
            assert await two.propose("leader", ["better"]) == ["good"]

    runs(run())


def test_a_value_that_the_codec_cannot_decode_is_an_error_for_those_who_ask_for_it(
    tmp_path: Path,
) -> None:
    """An upgraded program has forgotten a value: in its file, and wherever a peer mentions it."""

    async def run() -> None:
        cluster = Cluster(tmp_path)
        async with AsyncExitStack() as stack:
            for me in ONE, TWO, THREE:
                node = await stack.enter_async_context(cluster.node(me, RAW))
            assert await node.propose("old", b"\xff") == b"\xff"
            assert await node.propose("fine", b"red") == b"red"
        async with (
            cluster.node(ONE, RAW) as one,
            cluster.node(TWO, TEXT) as two,
            cluster.node(THREE, TEXT) as three,
        ):
            for ask in two.read, two.watch, three.read:
                with pytest.raises(Undecodable, match="for 'old', and Text cannot") as caught:
                    await ask("old")
                assert caught.value.name == "old"
            with pytest.raises(Undecodable):
                await three.propose("old", "new")
            old, fine, raw = await asyncio.gather(
                two.read("old"), two.read("fine"), one.read("old"), return_exceptions=True
            )
            assert isinstance(old, Undecodable)
            assert (fine, raw) == (Found("red"), Found(b"\xff"))
            assert await one.propose("old", b"again") == b"\xff"
            assert await two.propose("next", "two") == "two"
            assert await three.read("next") == Found("two")

    runs(run())


def test_none_is_a_value_and_nothing_chosen_is_none(tmp_path: Path) -> None:
    async def run() -> None:
        async with three(tmp_path, JSON) as nodes:
            one, two, _ = nodes
            assert await one.read("name") is None
            watching = asyncio.ensure_future(two.watch("name"))
            await asyncio.sleep(0)
            assert await one.propose("name", None) is None
            assert await two.read("name") == Found(None)
            assert await asyncio.wait_for(watching, 10) is None
            assert await two.propose("name", ["later"]) is None

    runs(run())


def test_a_recording_of_a_node_shows_values_as_the_codec_of_the_recorder_writes_them(
    tmp_path: Path,
) -> None:
    async def run() -> None:
        with (
            FileStore.create(
                tmp_path / "n1.db", cluster="c", server=ONE, quorum=majority([ONE])
            ) as file,
            Recorder(tmp_path / "run", codec=RAW, runtime="node") as recorder,
        ):
            addresses = {ONE: ("127.0.0.1", 0)}
            async with Node(file, NetworkConfig(addresses), codec=JSON, observer=recorder) as node:
                await node.propose("map", {"b": [1], "a": "é"})
        assert recorder.failure is None

    runs(run())

    events = [line["took"] for line in lines(tmp_path / "run") if "took" in line]
    assert ["Propose", '{"a":"é","b":[1]}'] in events
    assert replay(tmp_path / "run").difference is None


# --- threads ------------------------------------------------------------------------------------


def test_a_thread_encodes_what_it_proposes_before_anything_else(tmp_path: Path) -> None:
    """So that a codec that fails, fails for its caller, and no other thread changes a value."""
    encoded_by = set[int]()

    def encode(value: str) -> bytes:
        encoded_by.add(threading.get_ident())
        return TEXT.encode(value)

    codec = Scripted[str](encode, TEXT.decode)
    with (
        FileStore.create(
            tmp_path / "n1.db", cluster="c", server=ONE, quorum=majority([ONE])
        ) as file,
        ThreadedNode(Node(file, NetworkConfig({ONE: ("127.0.0.1", 0)}), codec=codec)) as node,
    ):
        with pytest.raises(BadValue):
            node.propose("leader", "\ud800")
        assert node.propose("leader", "one") == "one"
        assert node.read("leader") == Found("one")
        assert encoded_by == {threading.get_ident()}


def test_a_threaded_node_tells_none_from_nothing(tmp_path: Path) -> None:
    with (
        FileStore.create(
            tmp_path / "n1.db", cluster="c", server=ONE, quorum=majority([ONE])
        ) as file,
        ThreadedNode(Node(file, NetworkConfig({ONE: ("127.0.0.1", 0)}), codec=JSON)) as node,
    ):
        assert node.read("name") is None
        assert node.propose("name", None) is None
        assert node.read("name") == Found(None)
        assert node.watch("name", timeout_s=10) is None
