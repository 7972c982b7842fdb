"""``paxos members`` on a cluster that runs: all servers are real processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from paxos_adapters.client import Client
from paxos_adapters.requests.errors import OutcomeUnknown
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import SCAN, Put, Scan
from paxos_cli.exit_codes import ExitCode
from paxos_cli.node import KEY_VALUES
from tests.paxos_cli.test_cli_node import at_work, until
from tests.support.commands import Ended, call
from tests.support.free_ports import free_addresses

WAIT = "--timeout-s", 120


class Machines:
    """Founders and servers that join later, each a process that starts when it is told to."""

    def __init__(self, folder: Path, founders: int, newcomers: int) -> None:
        self.addresses = free_addresses(founders + newcomers)
        self.config = folder / "cluster.toml"
        self.data = {int(me): folder / f"n{me}.db" for me in self.addresses}
        assert call("keygen", "--out", folder / "keyring").returncode == 0
        parts = ['name = "demo"', 'keyring = "keyring"']
        for me, (host, port) in self.addresses.items():
            parts += ["[[servers]]", f"id = {me}", f'address = "{host}:{port}"']
            parts += [f'data = "n{me}.db"', f"joined = {str(me > founders).lower()}"]
        self.config.write_text("\n".join(parts))
        self._stack = ExitStack()
        self._processes: dict[int, subprocess.Popen[str]] = {}

    def start(self, *servers: int) -> None:
        for me in servers:
            self.launch(me)
            until(self._processes[me], f"server {me}")

    def launch(self, me: int) -> None:
        """Start it, and do not wait until it is ready."""
        words = ["node", "--id", str(me), "--cluster", str(self.config)]
        first = [] if self.data[me].exists() else ["--create"]
        self._processes[me] = self._stack.enter_context(at_work(*words, *first))

    def stop(self, me: int) -> None:
        self._processes[me].kill()
        self._processes[me].wait()

    def ended(self, me: int) -> int:
        return self._processes[me].wait()

    def at(self, me: int) -> str:
        host, port = next(at for it, at in self.addresses.items() if it == me)
        return f"{host}:{port}"

    def members(self, verb: str, *words: object) -> Ended:
        return call("members", verb, *words, "--cluster", self.config)

    def decision(self, verb: str, *words: object) -> str:
        ended = call(verb, *words, *WAIT, "--cluster", self.config)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def kv(self, verb: str, *words: object) -> Ended:
        return call("kv", verb, *words, *WAIT, "--cluster", self.config)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def machines(tmp_path: Path) -> Generator[Machines, None, None]:
    found = Machines(tmp_path, founders=3, newcomers=2)
    try:
        yield found
    finally:
        found.close()


def ids(ended: Ended) -> list[int]:
    return [it["id"] for it in json.loads(ended.stdout)["members"]]


@pytest.mark.slow
def test_a_lost_server_is_replaced_by_one_command(machines: Machines) -> None:
    machines.start(1, 2, 3)
    assert machines.kv("put", "colour", "blue").returncode == 0
    assert ids(machines.members("list", "--json")) == [1, 2, 3]

    machines.launch(4)
    ended = machines.members("replace", 3, 4, machines.at(4), *WAIT)
    assert (ended.returncode, ended.stdout) == (0, "epoch 1: servers 1, 2, 4; removed: 3\n")
    assert "paxos node --id 4 --create" in ended.stderr
    assert "is still needed: do not stop it" in ended.stderr
    assert machines.kv("get", "colour", "--id", 4).stdout == "blue\n"

    again = machines.members("replace", 3, 4, machines.at(4), *WAIT)
    assert (again.returncode, again.stdout) == (0, ended.stdout)
    gone = machines.members("list", "--id", 3)
    assert gone.returncode == ExitCode.NO_SERVER


@pytest.mark.slow
def test_how_commands_end(machines: Machines) -> None:
    machines.start(1, 2, 3)
    assert machines.members("move", 1, machines.at(1), *WAIT).returncode == 0
    wrong = ExitCode.BAD_ARGUMENTS
    assert machines.members("add", 3, machines.at(4), *WAIT).returncode == wrong
    assert machines.members("add", 4, machines.at(3), *WAIT).returncode == wrong
    assert machines.members("remove", 9, *WAIT).returncode == wrong
    assert machines.members("move", 9, machines.at(4), *WAIT).returncode == wrong
    assert machines.members("move", 2, machines.at(1), *WAIT).returncode == wrong
    assert machines.members("add", 4, "nowhere").returncode == wrong
    unfinished = machines.members("add", 4, machines.at(4), "--timeout-s", 1)
    assert unfinished.returncode == ExitCode.UNKNOWN_OUTCOME
    assert "It goes on by itself" in unfinished.stderr
    assert "joined = true" in unfinished.stderr
    refused = machines.members("add", 5, machines.at(5), *WAIT)
    assert refused.returncode == ExitCode.FAILED
    assert "nothing was begun" in refused.stderr
    assert "joined = true" not in refused.stderr
    told = json.loads(machines.members("list", "--json").stdout)
    assert (told["epoch"], told["is_changing"]) == (1, True)
    assert told["waiting"] == [
        {"log": "$members", "slot": told["waiting"][0]["slot"], "taught": {"4": 0}},
        {"log": "$decisions", "slot": -1, "taught": {}},
    ]
    assert machines.members("remove", 4, *WAIT).stdout == "epoch 2: servers 1, 2, 3; removed: 4\n"


@pytest.mark.slow
def test_a_server_that_was_down_finds_those_that_replaced_all_others(machines: Machines) -> None:
    """It counts nobody whom it knew; and it learns of the others before it votes."""
    machines.start(1, 2, 3)
    assert machines.members("move", 1, machines.at(1), *WAIT).returncode == 0
    machines.start(4, 5)
    assert machines.members("add", 4, machines.at(4), *WAIT).returncode == 0
    machines.stop(3)
    assert machines.kv("put", "colour", "blue").returncode == 0
    assert machines.members("replace", 1, 5, machines.at(5), *WAIT).returncode == 0
    assert machines.members("remove", 2, *WAIT).returncode == 0
    machines.start(3)
    assert machines.kv("get", "colour", "--id", 3).stdout == "blue\n"
    assert ids(machines.members("list", "--id", 3, "--json")) == [3, 4, 5]


@pytest.mark.slow
def test_a_founder_that_missed_all_changes_finds_servers_that_joined(machines: Machines) -> None:
    machines.start(1, 2, 3)
    machines.stop(3)
    machines.start(4, 5)
    assert machines.kv("put", "colour", "blue").returncode == 0
    assert machines.members("replace", 3, 4, machines.at(4), *WAIT).returncode == 0
    assert machines.members("replace", 1, 5, machines.at(5), *WAIT).returncode == 0
    assert machines.members("remove", 2, *WAIT).returncode == 0
    machines.start(3)
    assert machines.ended(3) == ExitCode.DONE


class Load:
    """Writes one key after the other, and notes which were written for sure."""

    def __init__(self, data: list[Path]) -> None:
        self.written: list[str] = []
        self.unknown = 0
        self.error: BaseException | None = None
        self._data = data
        self._is_over = Event()
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with Client(self._data, KEY_VALUES, KEY_VALUE, timeout_s=60) as client:
                while not self._is_over.is_set():
                    key = f"k/{len(self.written) + self.unknown:06}"
                    try:
                        client.submit(Put(key, b"v"))
                        self.written.append(key)
                    except OutcomeUnknown:
                        self.unknown += 1
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()


@pytest.mark.slow
def test_five_machines_are_replaced_one_by_one_under_load(tmp_path: Path) -> None:
    """Until no founder is left. A client sees no error but an unknown outcome.

    Each new server knows what was decided while the founders were there, and since.
    """
    machines = Machines(tmp_path, founders=5, newcomers=5)
    try:
        machines.start(1, 2, 3, 4, 5)
        assert machines.kv("put", "colour", "blue").returncode == 0
        assert machines.decision("propose", "of 5", "5") == "5\n"
        load = Load([*machines.data.values()])
        for old in range(1, 6):
            machines.start(old + 5)
            ended = machines.members("replace", old, old + 5, machines.at(old + 5), *WAIT)
            assert ended.returncode == 0, ended.stderr
            me = old + 5
            assert machines.decision("propose", f"of {me}", me, "--id", me) == f"{me}\n"
            assert machines.decision("read", f"of {me - 1}", "--id", me) == f"{me - 1}\n"
        load.end()
        for of in range(5, 11):
            asked = 6 + of % 5
            assert machines.decision("read", f"of {of}", "--id", asked) == f"{of}\n"
        assert load.error is None
        assert ids(machines.members("list", "--json")) == [6, 7, 8, 9, 10]
        assert machines.kv("get", "colour").stdout == "blue\n"
        with Client([machines.data[10]], KEY_VALUES, KEY_VALUE, timeout_s=60) as client:
            found, after = set[str](), None
            while not (page := client.read(SCAN, Scan("k/", after))).is_last:
                found |= {key for key, _ in page.items}
                after = page.items[-1][0]
            found |= {key for key, _ in page.items}
        assert set(load.written) <= found
    finally:
        machines.close()
