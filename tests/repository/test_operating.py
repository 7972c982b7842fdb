"""Every command of the pages for operators is run, in the order of the page, on real servers.

A command of a console block that is not in EXPECTED fails the test. So does one in a sentence or a
table that is not in INLINE: there each is run, too, or is a form of a command that is run.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import tomllib
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest
from attrs import frozen

import paxos_adapters
import paxos_cli
from paxos_adapters.node import registers
from paxos_adapters.wire import Reason
from paxos_cli.exit_codes import ExitCode
from tests.paxos_cli.test_cli_node import until
from tests.support.commands import PAXOS, surroundings
from tests.support.free_ports import free_ports

ROOT = Path(__file__).parents[2]
LONG_S = 180.0


@frozen
class Ends:
    """It ends with ``code``, and prints ``says`` somewhere."""

    says: str
    code: int = ExitCode.DONE


@frozen
class Serves:
    """It goes on, from when it has printed ``says``."""

    says: str


@frozen
class Watches:
    """It prints ``says`` at once, or after the command ``then``, and Ctrl-C ends it."""

    says: str
    then: str = ""


@frozen
class Waits:
    """It prints ``says`` on the standard error, and goes on until Ctrl-C ends it."""

    says: str


@frozen
class Kills:
    """It stands for kills of these servers, whose numbers the user has seen."""

    servers: Sequence[int]


@frozen
class Installs:
    """It is what the wheel's test does; here its extras exist."""


Outcome: TypeAlias = Ends | Serves | Watches | Waits | Kills | Installs

EXPECTED: Mapping[tuple[str, str], Outcome] = {
    ("Operating", "pip install '.[cli,udp]'"): Installs(),
    ("Operating", "paxos cluster"): Serves("Stop all of them"),
    ("Operating", "paxos propose leader me"): Ends("me"),
    ("Operating", "paxos propose leader you"): Ends("me", ExitCode.ANOTHER_VALUE),
    ("Operating", "paxos read leader"): Ends("me"),
    ("Operating", "paxos status"): Ends("5 of 5 servers are up"),
    ("Operating", "kill -9 PID PID"): Kills((4, 5)),
    ("Operating", "paxos propose colour red"): Ends("red"),
    ("Operating", "kill -9 PID"): Kills((2,)),
    ("Operating", "paxos propose shape round"): Ends(
        "Too many are down: 1 more is needed", ExitCode.UNKNOWN_OUTCOME
    ),
    ("Operating", "paxos node --id 2"): Serves("server 2"),
    ("Operating", "paxos kv put colour blue"): Ends("revision 1"),
    ("cluster.toml", "paxos keygen --out keyring"): Ends("is a keyring"),
    ("cluster.toml", "paxos node --id 1 --create"): Serves("server 1"),
    ("cluster.toml", "paxos node --id 1"): Serves("server 1"),
    ("cluster.toml", "paxos node --id 1 --lease-s 2 --drift 0.01"): Serves("server 1"),
    ("Backups", "paxos backup nightly"): Ends("is a backup of cluster"),
    ("Backups", "paxos restore nightly standby --name standby --servers 1,2,3"): Ends(
        "has the cluster 'standby'"
    ),
    ("Backups", "paxos cluster standby"): Serves("Stop all of them"),
    ("Watching", "paxos log status"): Ends("Log kv: server"),
    ("Do all hold the same?", "paxos log check"): Ends("server 3: the same as the leader"),
    ("Do all hold the same?", "paxos log check kv"): Ends("kv, server 2: the same as the leader"),
    ("Watching", "paxos log status --watch"): Watches("kv: server"),
    ("Watching", "paxos status --watch"): Watches("more server"),
    ("A server that is lost", "paxos members replace 3 6 10.0.0.6:47100"): Waits(
        "On the machine of server 6"
    ),
    ("The command line", "paxos cluster"): Serves("Stop all of them"),
    ("The command line", "paxos kv put colour blue"): Ends("revision 1"),
    ("The command line", "paxos kv get colour"): Ends("blue"),
    ("The command line", "paxos kv cas colour blue green"): Ends("revision 2"),
    ("The command line", "paxos kv put colour red --if-absent"): Ends(
        "is there already", ExitCode.ANOTHER_VALUE
    ),
    ("The command line", "paxos kv scan co"): Ends("green"),
    ("The command line", "paxos kv watch colour"): Watches("other", "kv put colour other"),
    ("The command line", "paxos kv delete colour"): Ends("revision 4"),
    ("The command line", "paxos log status"): Ends("Log kv: server"),
}
"""What comes of each command, by the section of its page."""


@frozen
class Form:
    """It is how the page writes this command, which is run."""

    line: str


@frozen
class Tried:
    """It stands for this command, which is run in a folder when all console blocks were.

    ``then``: what is typed after it, so that the next one finds something.
    """

    line: str
    outcome: Outcome
    folder: str = "five"
    then: str = ""


@frozen
class Elsewhere:
    """It is run by this test, where the tool exists."""

    test: str


INLINE: Mapping[str, Form | Tried | Elsewhere] = {
    "paxos cluster": Form("paxos cluster"),
    "paxos cluster [FOLDER]": Form("paxos cluster standby"),
    "paxos node": Form("paxos node --id 1"),
    "paxos node --id N": Form("paxos node --id 2"),
    "paxos propose NAME VALUE": Form("paxos propose leader me"),
    "paxos read NAME": Form("paxos read leader"),
    "paxos status": Form("paxos status"),
    "paxos kv put": Form("paxos kv put colour blue"),
    "paxos log status": Form("paxos log status"),
    "paxos log check [NAME]": Form("paxos log check kv"),
    "paxos backup OUT": Form("paxos backup nightly"),
    "paxos restore": Form("paxos restore nightly standby --name standby --servers 1,2,3"),
    "paxos restore BACKUP FOLDER": Form(
        "paxos restore nightly standby --name standby --servers 1,2,3"
    ),
    "paxos keygen": Tried("paxos keygen", Ends("")),
    "paxos watch NAME": Tried("paxos watch leader", Ends("me")),
    "paxos backup OUT --alone": Tried("paxos backup alone --alone", Ends("is a backup of cluster")),
    "paxos members": Form("paxos members list"),
    "paxos members list": Tried("paxos members list", Ends("epoch 0")),
    "paxos members close": Tried("paxos members close n4.db", Ends("is closed")),
    "paxos inspect": Form("paxos inspect n5.db"),
    "paxos inspect FILE": Tried("paxos inspect n5.db", Ends("server 5")),
    "paxos readmit FILE PEER": Tried("paxos readmit n5.db 4", Ends("server 4")),
    "paxos explain --node n1.db --node n2.db ... NAME": Tried(
        "paxos explain --node n1.db --node n2.db leader", Ends("chosen")
    ),
    "paxos explain n1.db n2.db ... NAME": Tried(
        "paxos explain n4.db n5.db leader", Ends("'me'", ExitCode.NOTHING_CHOSEN)
    ),
    "paxos node --id 1 --record n1.jsonl": Tried(
        "paxos node --id 1 --record n1.jsonl", Serves("server 1"), "own machine", "leader me"
    ),
    "paxos replay n1.jsonl n2.jsonl ...": Tried(
        "paxos replay n1.jsonl", Ends("every state is the one"), "own machine"
    ),
    "paxos explain n1.jsonl ... NAME": Tried(
        "paxos explain n1.jsonl leader", Ends("'me' is chosen"), "own machine"
    ),
    "chmod 600": Tried("chmod 600 keyring", Ends(""), "own machine"),
    "systemctl enable --now paxos@1": Elsewhere(
        "tests/repository/test_deploying.py::test_systemd_takes_the_unit"
    ),
    "systemd-analyze verify": Elsewhere(
        "tests/repository/test_deploying.py::test_systemd_takes_the_unit"
    ),
}
"""What the sentences and tables of the page on operating say to type."""


def inline() -> set[str]:
    """The commands in the sentences and tables of the page on operating."""
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    words = (" ".join(it.split()) for it in re.findall(r"`([^`]+)`", prose))
    return {it for it in words if re.match(r"(paxos|chmod|systemctl|systemd-analyze) ", it)}


def typed(page: str, title: str) -> list[tuple[str, str]]:
    """The commands of the console blocks of a page, each with its section, without comments."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found: list[tuple[str, str]] = []
    for part in re.split(r"^## ", text, flags=re.M):
        section = title if part.startswith("# ") else part.partition("\n")[0]
        for block in re.findall(r"^```console\n(.*?)^```$", part, re.M | re.S):
            lines = re.findall(r"^\$ (.*)$", block, re.M)
            found += [(section, re.sub(r"\s+#.*", "", line).strip()) for line in lines]
    return found


class Terminal:
    """A folder in which commands are typed, and those that go on there."""

    def __init__(self, folder: Path, going_on: ExitStack) -> None:
        self.folder = folder
        self._going_on = going_on
        self._pids: dict[int, int] = {}
        self._last, self._end_last = "", nothing

    def run(self, line: str, expected: Outcome) -> None:
        """Type ``line``, and see what comes of it."""
        if isinstance(expected, Installs):
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
            assert {"cli", "udp"} <= extras["optional-dependencies"].keys()
        elif isinstance(expected, Kills):
            for me in expected.servers:
                subprocess.run(["kill", "-9", str(self._pids[me])], check=True)
        elif isinstance(expected, Ends):
            done = subprocess.run(
                self._command(line),
                cwd=self.folder,
                env=surroundings({}),
                capture_output=True,
                text=True,
                timeout=LONG_S,
                check=False,
            )
            printed = done.stdout + done.stderr
            assert (done.returncode, expected.says in printed) == (expected.code, True), printed
        elif isinstance(expected, Serves):
            if self._last.split()[:4] == line.split()[:4]:  # The same server, started again.
                self._end_last()
            process = self._going_on.enter_context(self._started(line))
            self._last, self._end_last = line, partial(end, process)
            printed = until(process, expected.says)
            self._pids |= {
                int(me): int(pid) for me, pid in re.findall(r"server (\d+) .* pid (\d+)", printed)
            }
        elif isinstance(expected, Waits):
            self._wait(line, expected)
        else:
            self._watch(line, expected)

    def _wait(self, line: str, expected: Waits) -> None:
        """The servers that were killed and the new one are down, so it does not end by itself."""
        with self._started(line) as process:
            assert process.stderr is not None
            assert any(expected.says in it for it in process.stderr)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LONG_S)
            assert process.returncode == ExitCode.STOPPED

    def _watch(self, line: str, expected: Watches) -> None:
        with self._started(line) as process:
            if expected.then:
                assert process.stderr is not None
                assert "watching" in process.stderr.readline()
                self.run(f"paxos {expected.then}", Ends(""))
            until(process, expected.says)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=LONG_S)
            assert process.returncode in (ExitCode.STOPPED, ExitCode.DONE)

    @contextmanager
    def _started(self, line: str) -> Generator[subprocess.Popen[str], None, None]:
        with subprocess.Popen(
            self._command(line),
            cwd=self.folder,
            env=surroundings({}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                end(process)

    def _command(self, line: str) -> list[str]:
        which, *words = shlex.split(line)
        return [*PAXOS, *words] if which == "paxos" else [which, *words]


def end(process: subprocess.Popen[str]) -> None:
    """Tell it to end, if it still runs."""
    if process.poll() is None:
        process.terminate()
        process.communicate(timeout=LONG_S)


def nothing() -> None:
    """Nothing was started yet."""


@pytest.fixture
def terminal(tmp_path: Path) -> Generator[Callable[[str], Terminal], None, None]:
    """Terminals in folders of these names."""
    with ExitStack() as going_on:

        def new(name: str) -> Terminal:
            (tmp_path / name).mkdir()
            return Terminal(tmp_path / name, going_on)

        yield new


def try_all(commands: Sequence[tuple[str, str]], terminals: Mapping[str, Terminal]) -> None:
    for section, line in commands:
        expected = EXPECTED.get((section, line))
        assert expected is not None, f"no test runs: {line} (in {section!r})"
        terminals[section].run(line, expected)


def test_each_command_of_the_pages_is_covered_and_no_other() -> None:
    """So that this is known without running them."""
    everything = {*typed("operating.md", "Operating"), *command_line()}
    assert everything == EXPECTED.keys()


def test_each_command_in_a_sentence_is_covered_and_no_other() -> None:
    assert inline() == INLINE.keys()
    run = {line for _, line in EXPECTED}
    run |= {it.line for it in INLINE.values() if isinstance(it, Tried)}
    for written, it in INLINE.items():
        if isinstance(it, Elsewhere):
            path, _, test = it.test.partition("::")
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), it
        else:
            assert it.line in run, it
            fixed = [word for word in written.split() if word.islower() and "." not in word]
            assert set(fixed) <= set(it.line.split()), (written, it)


def rows(heading: str) -> set[str]:
    """The names in the first column of that table of the page on operating."""
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    table = text.partition(f"\n| {heading} | what it means |\n")[2].partition("\n\n")[0]
    return {
        name for row in table.splitlines() for name in re.findall("`([^`]+)`", row.split("|")[1])
    }


def in_code(pattern: str) -> set[str]:
    """What the pattern finds in the packages of servers and commands, wherever they are."""
    folders = (Path(it.__file__).parent for it in (paxos_adapters, paxos_cli) if it.__file__)
    files = (file for folder in folders for file in folder.rglob("*.py"))
    return {it for file in files for it in re.findall(pattern, file.read_text(encoding="utf-8"))}


def test_each_reason_to_refuse_a_datagram_is_explained() -> None:
    assert rows("refused") == {it.name.lower() for it in Reason}


def test_each_cause_of_a_loss_is_explained() -> None:
    """Those of a bound are constants; errors of the system stand under one of them."""
    bounds = {registers.TOO_MANY, registers.TOO_LARGE, registers.TOO_SLOW, registers.TOO_FAR}
    counts = in_code(r'counts\["([^"]+)"\]')
    assert len(counts) > 5
    assert rows("lost") == counts | bounds | {ConnectionRefusedError.__name__}


def test_each_event_of_a_log_is_explained() -> None:
    text = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `event` \|(.*)$", text, re.M)
    assert {*re.findall("`([^`]+)`", row)} == in_code('"event": "([^"]+)"')


def command_line() -> list[tuple[str, str]]:
    """The section of the page on logs that has commands."""
    return typed("log.md", "Logs")


@pytest.mark.slow
def test_each_command_of_the_page_on_operating(terminal: Callable[[str], Terminal]) -> None:
    """Five servers, two are killed, then a third; the backup is of those that are left."""
    first, own = terminal("five"), terminal("own machine")
    (port,) = (it for it, _ in zip(free_ports(), range(1), strict=False))
    (own.folder / "cluster.toml").write_text(
        f'name = "own"\nkeyring = "keyring"\n\n[[servers]]\nid = 1\n'
        f'address = "127.0.0.1:{port}"\ndata = "n1.db"\n'
    )
    commands = typed("operating.md", "Operating")
    sections = {section: own if section == "cluster.toml" else first for section, _ in commands}
    try_all(commands, sections)
    for it in INLINE.values():
        if isinstance(it, Tried):
            here = own if it.folder == "own machine" else first
            here.run(it.line, it.outcome)
            if it.then:
                here.run(f"paxos propose {it.then}", Ends("me"))


@pytest.mark.slow
def test_each_command_of_the_page_on_logs(terminal: Callable[[str], Terminal]) -> None:
    here = terminal("logs")
    commands = command_line()
    try_all(commands, {section: here for section, _ in commands})
