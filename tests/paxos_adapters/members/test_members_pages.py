"""The commands of docs/members.md and docs/lost-server.md for stopped servers, as they are printed.

Those for a cluster that runs are tried in tests/paxos_cli/test_cli_members_running.py.
"""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from pathlib import Path

import pytest

from paxos import Acceptor, ServerId
from paxos_adapters.file import FileStore
from paxos_adapters.node.deployment import read
from paxos_cli import logs
from paxos_cli.exit_codes import ExitCode
from tests.paxos_cli.test_cli_node import Cluster, at_work, eventually, free_addresses, until
from tests.support.member_files import OLD, RED, S2, S3, S4, S5

PAGES = Path(__file__).parents[3] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(page: str) -> list[list[str]]:
    """The words of each command of a page, without ``paxos``, from closing on."""
    lines = "".join(blocks(page, "console")).splitlines()
    (first,) = (at for at, line in enumerate(lines) if line.startswith("$ paxos members close"))
    lines = lines[first:]
    return [shlex.split(line.removeprefix("$ paxos ")) for line in lines]


def described(page: str, printed: str) -> str:
    """Its cluster.toml, on loopback, with the line that settle has printed."""
    (text,) = (it for it in blocks(page, "toml") if "membership" in it)
    line = re.findall("^In every cluster.toml: (membership = .*)$", printed, re.M)[0]
    text, times = re.subn("^membership = .*$", line, text, flags=re.M)
    assert times == 1
    addresses = iter(free_addresses(text.count("[[servers]]")))
    return re.sub("^address = .*$", lambda _: f'address = "{next(addresses)}"', text, flags=re.M)


@pytest.fixture
def cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Cluster:
    """Stopped servers 1, 2 and 3. Red was chosen by 1 and 3; 2 knows nothing of it."""

    def leave(*_: object, **__: object) -> None:
        pass

    monkeypatch.setattr(logs, "configure", leave)
    monkeypatch.chdir(tmp_path)
    cluster = Cluster(tmp_path, capsys)
    for me in OLD.members:
        with FileStore.create(cluster.data(me), cluster="demo", server=me, quorum=OLD) as file:
            file.save([] if me == S2 else [("leader", Acceptor(RED.ballot, RED))])
    assert cluster.run("keygen", "--out", "keyring")[0] == 0
    return cluster


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "lost", "first"),
    [("lost-server.md", [S3], [S2, S4]), ("members.md", [], [S2, S4, S5])],
)
def test_the_commands_of_a_page_keep_what_was_chosen(
    cluster: Cluster, page: str, lost: list[ServerId], first: list[ServerId]
) -> None:
    """The servers that are started first, a quorum of the new members, took no part in it."""
    for me in lost:
        for end in "", "-mark":
            Path(f"{cluster.data(me)}{end}").unlink()
    typed = commands(page)
    printed = ""
    for words in typed:
        if words[0] == "members":
            code, out, error = cluster.run(*words)
            assert (code, error) == (0, "")
            printed += out
    cluster.config.write_text(described(page, printed), encoding="utf-8")
    nodes = {ServerId(int(words[-1])): words for words in typed if words[0] == "node"}
    with ExitStack() as stack:
        for me in first:
            until(stack.enter_context(at_work(*nodes.pop(me))), f"server {me}")
        asked = cluster.ask("propose", "leader", "blue", "--timeout-s", "20")
        assert asked[:2] == (ExitCode.ANOTHER_VALUE, "red\n")
        for me, words in nodes.items():
            until(stack.enter_context(at_work(*words)), f"server {me}")
        members = read(cluster.config).addresses
        eventually(lambda: cluster.sees()["tolerance"] == (len(members) - 1) // 2)
        assert cluster.run(*typed[-1])[0] == 0
