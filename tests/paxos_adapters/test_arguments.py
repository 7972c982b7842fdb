"""What a program passes to a node: a typed error with nothing begun, or a node that works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from math import inf, nan
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import PaxosError, ServerId, majority
from paxos_adapters.arguments import BadNumber
from paxos_adapters.client import AsyncClient
from paxos_adapters.codecs import RAW, TEXT, Text
from paxos_adapters.file import BadName as BadFileName
from paxos_adapters.file import FileStore
from paxos_adapters.host import Host
from paxos_adapters.log_cluster import LogCluster
from paxos_adapters.node import (
    BadArgument,
    BadValue,
    DatagramTransport,
    MemoryNetwork,
    MemoryNode,
    NetworkConfig,
    Node,
    Stopped,
    ThreadedNode,
)
from paxos_adapters.ports import Codec
from paxos_adapters.printable import brief
from paxos_adapters.requests.values import Values
from paxos_adapters.single import single_coder
from paxos_adapters.state_machine import Query, StateMachine
from paxos_adapters.state_machines import COUNTER
from paxos_adapters.timeouts import Timeouts
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.wire import Authenticated

ME = ServerId(1)
ALONE: dict[ServerId, Address] = {ME: ("127.0.0.1", 0)}
WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([-1, 1 << 16, 1 << 32, 10**400]),
    st.floats(),
    st.text(max_size=3),
    st.just([]),
)
HOSTS = st.sampled_from(
    ["127.0.0.1", "::1", "localhost", "", " ", "\0", "127.0.0.1\0", "a" * 300, "ä..b", "1.2.3", "-"]
)
ADDRESSES = st.one_of(
    st.tuples(HOSTS, st.one_of(st.just(0), WRONG)), WRONG, st.tuples(WRONG), st.tuples(WRONG, WRONG)
)
MEMBERS = st.one_of(
    st.just(ALONE),
    st.dictionaries(st.one_of(st.just(ME), WRONG.filter(lambda it: it != [])), ADDRESSES),
)
TIMES = st.one_of(st.none(), st.just(0.001), st.just(60), WRONG)


async def use(node: Node[str], name: str, value: str, timeout_s: float | None) -> None:
    async with node:
        found = await node.propose(name, value, timeout_s=timeout_s)
        assert found == value
        assert await node.watch(name, timeout_s=timeout_s) == value
        assert node.status().stopped is None


def created(folder: str, members: dict[ServerId, Address]) -> FileStore:
    """A file of these members; of ME alone if there can be no such members."""
    try:
        return FileStore.create(
            Path(folder) / "n1.db", cluster="c", server=ME, quorum=majority(members)
        )
    except PaxosError:
        return alone(folder)


def alone(folder: str) -> FileStore:
    path = Path(folder) / "alone.db"
    return FileStore.create(path, cluster="c", server=ME, quorum=majority(ALONE))


@settings(max_examples=60)
@given(
    MEMBERS,
    st.one_of(st.none(), ADDRESSES),
    TIMES,
    TIMES,
    st.one_of(st.just("leader"), WRONG),
    st.one_of(st.text(max_size=3), WRONG),
)
def test_whatever_a_program_passes_in_a_node_works_or_says_what_is_wrong(
    members: dict[ServerId, Address],
    listen: Address | None,
    inline_save_s: float,
    timeout_s: float | None,
    name: str,
    value: str,
) -> None:
    if len(members) > 1 and timeout_s is None:
        timeout_s = 0.01  # The others are not there.
    with TemporaryDirectory() as folder, ExitStack() as stack:
        file = stack.enter_context(created(folder, members))
        try:
            node = Node(
                file,
                NetworkConfig(members, listen=listen, insecure=True),
                codec=TEXT,
                inline_save_s=inline_save_s,
            )
        except PaxosError:
            assert file.load("x").records == ()
            if file.quorum != majority(ALONE):
                file = stack.enter_context(alone(folder))
            node = Node(file, NetworkConfig(ALONE), codec=TEXT)
        try:
            asyncio.run(asyncio.wait_for(use(node, name, value, timeout_s), 60))
        except PaxosError:
            return


@pytest.mark.parametrize("wrong", [nan, inf, -inf, -1, "1", True, 10**400, [], b"1"])
def test_a_time_that_is_none_begins_nothing(tmp_path: Path, wrong: float) -> None:
    """A node that waits for NaN seconds would never come to anything else."""

    async def run() -> None:
        with FileStore.create(
            tmp_path / "n1.db", cluster="c", server=ME, quorum=majority(ALONE)
        ) as file:
            with pytest.raises(BadNumber, match="inline_save_s is"):
                Node(file, NetworkConfig(ALONE), codec=TEXT, inline_save_s=wrong)
            for name in "retry_min_s", "retry_max_s", "heartbeat_s":
                with pytest.raises(BadNumber, match=f"{name} is"):
                    made(Timeouts, **{name: wrong})
            async with Node(file, NetworkConfig(ALONE), codec=TEXT) as node:
                with pytest.raises(BadNumber, match="timeout_s is"):
                    await node.propose("x", "x", timeout_s=wrong)
                for ask in node.read, node.watch:
                    with pytest.raises(BadNumber, match="timeout_s is"):
                        await ask("x", timeout_s=wrong)
                assert (node.status().asked, node.status().in_memory) == (0, 0)

    asyncio.run(asyncio.wait_for(run(), 60))


@pytest.mark.parametrize("wrong", [-1, 1 << 32, "1", 0.5])
def test_an_id_that_no_frame_has_room_for_is_refused(tmp_path: Path, wrong: ServerId) -> None:
    addresses = {**ALONE, wrong: ("127.0.0.1", 9)}
    with FileStore.create(
        tmp_path / "n1.db", cluster="c", server=ME, quorum=majority(ALONE)
    ) as file:
        with pytest.raises(BadNumber, match="the id of a server"):
            DatagramTransport(
                file, NetworkConfig(addresses), decision="x", receive=lambda _, __: None
            )
        with pytest.raises(BadNumber, match="the id of a server"):
            Node(file, NetworkConfig(addresses), codec=TEXT)


def made(kind: Callable[..., object], *arguments: object, **options: object) -> object:
    """What a program without types makes."""
    return kind(*arguments, **options)


@pytest.mark.parametrize(
    ("what", "given", "allowed"),
    [
        ("network", ALONE, "NetworkConfig"),
        ("timeouts", 0.1, "Timeouts"),
        ("random", 5, "Random or None"),
        ("codec", TEXT.encode, "an object with the methods encode, decode"),
        ("codec", None, "an object with the methods encode, decode"),
        (
            "observer",
            3,
            "an object with the methods set_time, started, stepped, state_set, saved, "
            "sent, failed, stopped",
        ),
    ],
)
def test_an_object_of_another_kind_begins_nothing(
    tmp_path: Path, what: str, given: object, allowed: str
) -> None:
    with alone(str(tmp_path)) as file:
        with pytest.raises(BadArgument) as raised:
            made(Node, file, **{"network": NetworkConfig(ALONE), "codec": TEXT, what: given})
        words = f"{what} is {brief(given)}, and must be {allowed}. Nothing was begun."
        assert str(raised.value) == words
        node = Node(file, NetworkConfig(ALONE), codec=TEXT)
        asyncio.run(asyncio.wait_for(use(node, "leader", "me", 60.0), 60))


def test_other_objects_begin_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="protection is 'secret', and must be Checksummed or "):
        made(NetworkConfig, ALONE, protection="secret")
    with pytest.raises(BadArgument, match="node is 'node', and must be Node"):
        made(ThreadedNode, "node")
    with pytest.raises(BadArgument, match="addresses is 3, and must be Mapping"):
        made(NetworkConfig, 3)
    with pytest.raises(BadArgument, match=r"file is 'n1\.db', and must be FileStore"):
        made(Node, "n1.db", NetworkConfig(ALONE), codec=TEXT)
    with pytest.raises(BadArgument, match="keyring is 'secret', and must be Keyring"):
        made(Authenticated, "secret")
    with pytest.raises(BadArgument, match="apply is 1, and must be a function"):
        made(StateMachine, 0, 1)
    with pytest.raises(BadArgument, match="machine is 3, and must be StateMachine"):
        made(LogCluster, 3)
    with pytest.raises(BadArgument, match="machine is 3, and must be StateMachine"):
        made(AsyncClient, [tmp_path / "n1.db"], "kv", 3)
    with pytest.raises(BadArgument, match="machine is 3, and must be Machine"):
        made(Host, 3, ME, majority(ALONE), 4)


@pytest.mark.parametrize("verb", [FileStore.create, FileStore.open])
def test_a_file_says_what_it_cannot_be_made_of(
    tmp_path: Path, verb: Callable[..., FileStore]
) -> None:
    good = {"cluster": "c", "server": ME, "quorum": majority(ALONE)}
    path = tmp_path / "n1.db"
    wrong: list[tuple[object, dict[str, object], type[PaxosError], str]] = [
        (3, {}, BadArgument, "path is 3, and must be str or PathLike"),
        (path, {"quorum": [ME]}, BadArgument, "quorum is \\[1\\], and must be BySize"),
        (path, {"server": [ME]}, BadNumber, "the id of a server is \\[1\\]"),
        (
            path,
            {"cluster": None},
            BadFileName,
            "cluster None cannot be saved: it is empty, or not text",
        ),
        (
            path,
            {"membership": 7},
            BadFileName,
            "membership 7 cannot be saved: it is empty, or not text",
        ),
    ]
    for it, options, error, words in wrong:
        with pytest.raises(error, match=words):
            made(verb, it, **{**good, **options})
    assert [*tmp_path.iterdir()] == []


CODECS: dict[str, Callable[[object], object]] = {
    "commands": lambda it: made(StateMachine, 0, print, commands=it),
    "states": lambda it: made(StateMachine, 0, print, states=it),
    "results": lambda it: made(StateMachine, 0, print, results=it),
    "questions": lambda it: made(Query, "get", print, it, TEXT),
    "answers": lambda it: made(Query, "get", print, TEXT, it),
    "codec": lambda it: made(single_coder, it),
}


@pytest.mark.parametrize("what", CODECS)
def test_the_class_of_a_codec_is_not_a_codec(what: str) -> None:
    CODECS[what](TEXT)
    words = (
        f"{what} is the class Text, and must be an object with the methods encode, decode: "
        "an instance, not the class. Nothing was begun."
    )
    with pytest.raises(BadArgument) as raised:
        CODECS[what](Text)
    assert str(raised.value) == words


@pytest.mark.parametrize("wrong", [3, None, ["x"], 1.5, str])
@pytest.mark.parametrize(("codec", "takes"), [(TEXT, "is not a string"), (RAW, "is not bytes")])
def test_a_value_of_another_type_is_named_and_what_the_codec_takes(
    codec: Codec[object], takes: str, wrong: object
) -> None:
    with pytest.raises(BadValue) as raised:
        Values(codec).encode("colour", wrong)
    words = f"cannot encode {brief(wrong)} (TypeError: {type(wrong).__name__} {takes})"
    assert words in str(raised.value)


@pytest.mark.parametrize("wrong", [3, None, "x"])
def test_a_log_of_another_object_begins_nothing_nor_does_a_query(
    wrong: Callable[[int], int],
) -> None:
    async def run() -> None:
        node = MemoryNode(MemoryNetwork(1), ME, codec=TEXT)
        async with node, node.log("counter", COUNTER) as log:
            with pytest.raises(BadArgument, match="and must be a function of a state"):
                await log.read(wrong)
            with pytest.raises(BadArgument, match="and must be a function of a state"):
                LogCluster(COUNTER, 1).read(wrong)

    asyncio.run(asyncio.wait_for(run(), 60))


def test_after_a_normal_close_nobody_is_sent_to_look_for_a_cause() -> None:
    async def run() -> str:
        node = MemoryNode(MemoryNetwork(1), ME, codec=TEXT)
        async with node:
            pass
        with pytest.raises(Stopped) as raised:
            await node.propose("colour", "red")
        assert str(await node.stopped()) == str(raised.value)
        return str(raised.value)

    words = asyncio.run(asyncio.wait_for(run(), 60))
    assert words.startswith("server 1 has ended: the node was closed. To go on, open its file")
    assert "cause" not in words
