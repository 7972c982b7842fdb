"""Servers of two versions of the library run side by side, and are upgraded one after the other.

The later version is a wheel of this tree with one kind of message more, which its servers send with
each heartbeat. Both wheels are installed, and every server is a process that runs one of them.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from paxos_adapters.client import Client
from paxos_adapters.node.control_client import ask
from paxos_adapters.node.control_protocol import StatusReply, StatusRequest
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import (
    GET,
    Changed,
    Command,
    Item,
    KeyValues,
    Put,
    Result,
)
from paxos_cli.node import KEY_VALUES
from tests.paxos_cli.test_cli_node import LONG_S, until
from tests.support.free_ports import free_addresses
from tests.support.wheels import ROOT, Edits, environment, wheel

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / "adapters").exists(), reason="the sources are away"),
]

KeyValueClient: TypeAlias = Client[KeyValues, Command, Result]

SERVERS = 1, 2, 3
UNKNOWN = "of an unknown kind"

LATER: Edits = {
    "paxos_adapters/log_messages.py": {
        "@final\n@frozen\nclass HasVersions:": (
            "@final\n@frozen\nclass Greeting:\n    words: str\n\n\n"
            "@final\n@frozen\nclass HasVersions:"
        ),
        "    | HasVersions\n": "    | HasVersions\n    | Greeting\n",
        "        HasVersions,\n": "        HasVersions,\n        Greeting,\n",
    },
    "paxos_adapters/wire/log_body.py": {
        "    Forward,\n    HasVersions,\n": "    Forward,\n    Greeting,\n    HasVersions,\n",
        "@final\nclass _HasVersions(": (
            "@final\nclass _Greeting(OfLog, tag=99):\n    words: str\n\n\n"
            "@final\nclass _HasVersions("
        ),
        "    | _HasVersions\n": "    | _HasVersions\n    | _Greeting\n",
        "    if type(message) is HasVersions:\n": (
            "    if type(message) is Greeting:\n        return _Greeting(log, message.words)\n"
            "    if type(message) is HasVersions:\n"
        ),
        "    if type(struct) is _HasVersions:\n": (
            "    if type(struct) is _Greeting:\n        return Greeting(struct.words)\n"
            "    if type(struct) is _HasVersions:\n"
        ),
    },
    "paxos_adapters/replication/process.py": {
        "    Forward,\n    HasVersions,\n": "    Forward,\n    Greeting,\n    HasVersions,\n",
        "versions, *self._follow()]": 'versions, Broadcast(Greeting("hi")), *self._follow()]',
        "        if type(message) is HasVersions:\n": (
            "        if type(message) is Greeting:\n            return []\n"
            "        if type(message) is HasVersions:\n"
        ),
    },
}


class Cluster:
    """Three servers in ``folder``, each a process with a Python of its own."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "cluster.toml"
        self.data = {me: folder / f"n{me}.db" for me in SERVERS}
        places = free_addresses(len(SERVERS))
        lines = ['name = "c"']
        for me, (host, port) in zip(SERVERS, places.values(), strict=True):
            where = json.dumps(f"{host}:{port}")
            lines.append(f'[[servers]]\nid = {me}\naddress = {where}\ndata = "n{me}.db"')
        self.config.write_text("\n".join(lines), encoding="utf-8")
        self._stack = ExitStack()
        self._processes: dict[int, subprocess.Popen[str]] = {}

    def start(self, me: int, python: Path, *more: str) -> None:
        words = "-m", "paxos_cli", "node", "--id", str(me), "--cluster", str(self.config), *more
        process = self._stack.enter_context(
            subprocess.Popen([python, "-P", *words], stdout=subprocess.PIPE, text=True, env=alone())
        )
        self._processes[me] = process
        until(process, f"server {me}")

    def stop(self, me: int, *, is_kill: bool) -> None:
        process = self._processes.pop(me)
        (process.kill if is_kill else process.terminate)()
        process.wait(timeout=LONG_S)

    def unknown(self, me: int) -> int:
        """How many messages of kinds that it does not know a server has counted."""
        answer = ask(self.data[me], StatusRequest(), patience_s=LONG_S)
        assert isinstance(answer, StatusReply)
        return answer.status.lost.get(UNKNOWN, 0)

    @contextmanager
    def client(self, servers: Sequence[int] = SERVERS) -> Generator[KeyValueClient, None, None]:
        paths = [self.data[me] for me in servers]
        with Client(paths, KEY_VALUES, KEY_VALUE, timeout_s=LONG_S) as client:
            yield client

    def close(self) -> None:
        for me in list(self._processes):
            self.stop(me, is_kill=True)
        self._stack.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Generator[Cluster, None, None]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


def alone() -> dict[str, str]:
    """An environment in which the sources are not found."""
    return {name: it for name, it in os.environ.items() if name != "PYTHONPATH"}


def found(python: Path) -> list[str]:
    """The version of the library there, and where its packages are."""
    said = (
        "import importlib.metadata as it, paxos, paxos_cli\n"
        "print(it.version('sansio-paxos'), paxos.__file__, paxos_cli.__file__)"
    )
    words = [str(python), "-P", "-c", said]
    ended = subprocess.run(words, capture_output=True, text=True, check=True, env=alone())
    return ended.stdout.split()


def test_servers_are_upgraded_one_after_the_other(tmp_path: Path, cluster: Cluster) -> None:
    """Keys are written all the time, and asked for by way of both versions."""
    old = environment(tmp_path / "old", wheel(tmp_path, "1.0.0", {}))
    new = environment(tmp_path / "new", wheel(tmp_path, "1.1.0", LATER))
    for python, version in (old, "1.0.0"), (new, "1.1.0"):
        its, *places = found(python)
        assert its == version
        assert all(Path(it).is_relative_to(tmp_path) for it in places)
    for me in SERVERS:
        cluster.start(me, old, "--create")
    with cluster.client() as client:
        assert client.submit(Put("a", b"0")) == Changed(1)
        for number, me in enumerate(SERVERS, 1):
            assert cluster.unknown(3) == 0 or number > 1
            cluster.stop(me, is_kill=number == 2)
            assert client.submit(Put("a", b"down %d" % me)) == Changed(2 * number)
            cluster.start(me, new)
            for way in SERVERS:
                with cluster.client([way]) as other:
                    assert other.read(GET, "a") == Item(b"down %d" % me, 2 * number)
            assert client.submit(Put("a", b"up %d" % me)) == Changed(2 * number + 1)
            while me < 3 and not cluster.unknown(3):
                client.read(GET, "a")
    for me in SERVERS:
        assert cluster.unknown(me) == 0, "all have the later version"
