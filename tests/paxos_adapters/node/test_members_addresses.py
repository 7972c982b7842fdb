"""Where a server that is added may be: where this one can send to.

Without a key that is loopback, unless the program says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeAlias

import pytest

from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import BadAddress, Insecure, Members, NetworkConfig, Node
from paxos_adapters.udp.addresses import Address
from paxos_adapters.wire import Authenticated, Key, Keyring, Protection
from tests.paxos_adapters.node.test_node import runs

ONE, TWO = ServerId(1), ServerId(2)
BEYOND, LOOPBACK = ("192.0.2.1", 47100), ("127.0.0.1", 9)
SOON_S = 0.05
KEYS = Authenticated(Keyring((Key(bytes(range(32))),)))

Verb: TypeAlias = Callable[[Members, Address], Coroutine[object, object, object]]
VERBS: dict[str, Verb] = {
    "add": lambda it, at: it.add(TWO, at, timeout_s=SOON_S),
    "replace": lambda it, at: it.replace(ONE, TWO, at, timeout_s=SOON_S),
    "change": lambda it, at: it.change(add={TWO: at}, timeout_s=SOON_S),
    "move": lambda it, at: it.move(ONE, at),
}


@pytest.mark.parametrize(
    ("place", "error", "says"),
    [(BEYOND, Insecure, "keyring"), (("::1", 9), BadAddress, r"IPv4 and \[::1\]:9 is not")],
    ids=["beyond loopback", "of another family"],
)
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_an_address_out_of_reach_is_refused_before_anything_begins(
    tmp_path: Path, verb: Verb, place: Address, error: type[Exception], says: str
) -> None:
    async def run() -> None:
        with created(tmp_path) as file:
            async with Node(file, NetworkConfig({ONE: ("127.0.0.1", 0)}), codec=TEXT) as node:
                with pytest.raises(error, match=says):
                    await verb(node.members, place)
                assert not node.members.is_in_use

    runs(run())


def test_a_server_that_listens_to_both_families_takes_both(tmp_path: Path) -> None:
    async def run() -> None:
        network = NetworkConfig({ONE: ("::1", 0)}, listen=("::", 0), insecure=True)
        with created(tmp_path) as file:
            async with Node(file, network, codec=TEXT) as node:
                for place in ("::1", 9), LOOPBACK:
                    status = await node.members.move(ONE, place)
                    assert status.addresses == {ONE: place}

    runs(run())


@pytest.mark.parametrize(("protection", "insecure"), [(KEYS, False), (None, True)])
def test_with_a_key_or_the_word_of_the_program_it_is_taken(
    tmp_path: Path, protection: Protection | None, insecure: bool
) -> None:
    async def run() -> None:
        network = NetworkConfig({ONE: ("127.0.0.1", 0)}, protection=protection, insecure=insecure)
        with created(tmp_path) as file:
            async with Node(file, network, codec=TEXT) as node:
                status = await node.members.move(ONE, BEYOND)
                assert status.addresses == {ONE: BEYOND}

    runs(run())


def created(folder: Path) -> FileStore:
    return FileStore.create(folder / "n1.db", cluster="c", server=ONE, quorum=majority([ONE]))
