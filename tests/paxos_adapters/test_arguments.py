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
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import BadArgument, DatagramTransport, NetworkConfig, Node, ThreadedNode
from paxos_adapters.printable import brief
from paxos_adapters.timeouts import Timeouts
from paxos_adapters.udp.endpoint import Address

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


@settings(max_examples=60, deadline=None)
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
                    Timeouts(**{name: wrong})
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
        ("random", 5, "Random or NoneType"),
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


def test_other_objects_begin_nothing_either() -> None:
    with pytest.raises(BadArgument, match="protection is 'secret', and must be Checksummed or "):
        made(NetworkConfig, ALONE, protection="secret")
    with pytest.raises(BadArgument, match="node is 'node', and must be Node"):
        made(ThreadedNode, "node")
