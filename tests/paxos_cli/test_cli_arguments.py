"""Whatever a command line names, in whatever locale: one line says what is wrong, and no traceback.

Each command is called with each kind of path in each place where it takes one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.memory import Cluster
from paxos_cli import app, commands, logs
from paxos_cli.exit_codes import ExitCode
from paxos_lab.record import Recorder
from tests.support.commands import PAXOS
from tests.support.slow import slow_but_for

Capture = pytest.CaptureFixture[str]

COMMANDS = [
    ["replay", "PATH"],
    ["replay", "run", "PATH"],
    ["explain", "PATH"],
    ["explain", "PATH", "name"],
    ["explain", "run", "PATH"],
    ["explain", "--node", "PATH", "name"],
    ["draw", "PATH"],
    ["draw", "run", "--svg", "PATH"],
    ["view", "PATH"],
    ["view", "run", "PATH"],
    ["view", "run", "--out", "PATH"],
    ["view", "run", "--beside", "PATH"],
    ["inspect", "PATH"],
    ["inspect", "PATH", "--json"],
    ["readmit", "PATH", "1"],
    ["keygen", "--out", "PATH"],
    ["demo", "--data", "PATH"],
    ["demo", "--record", "PATH"],
    ["lecture", "cut-off", "--record", "PATH"],
    ["simulate", "--seed", "1", "--record", "PATH"],
    ["explore", "--record", "PATH", "--rule", "look-first"],
    ["explore", "--replay", "PATH"],
    ["node", "--id", "1", "--cluster", "PATH"],
    ["node", "--id", "1", "--data", "PATH"],
    ["node", "--id", "1", "--data", "PATH", "--create", "--listen", "127.0.0.1:0x"],
    ["node", "--id", "1", "--record", "PATH"],
    ["cluster", "PATH", "--servers", "1"],
    *([it, "--cluster", "PATH"] for it in ("status",)),
    *([it, "--data", "PATH"] for it in ("status",)),
    ["read", "x", "--cluster", "PATH"],
    ["read", "x", "--data", "PATH"],
    ["watch", "x", "--data", "PATH"],
    ["propose", "x", "y", "--data", "PATH"],
    ["backup", "PATH"],
    ["backup", "x", "--cluster", "PATH"],
    ["backup", "x", "--data", "PATH"],
    ["restore", "PATH", "new", "--name", "x", "--servers", "1"],
    ["restore", "run", "PATH", "--name", "x", "--servers", "1"],
]
PATHS = {
    "empty": "",
    "root": "/",
    "here": ".",
    "above": "..",
    "loop": "loop",
    "in a loop": "loop/n1.db",
    "nowhere": "nowhere",
    "in nowhere": "no/such/file",
    "in a file": "letter/file",
    "a letter": "letter",
    "bytes": "bytes",
    "nothing in it": "nothing",
    "too long": "x" * 300,
    "much too long": "x/" * 3_000,
    "a device": "/dev/null",
    "NUL": "a\0b",
    "no UTF-8": "\udcff",
    "escapes": "\x1b[2J\nFORGED",
}
FOLDERS = {"root", "here", "above"}
MADE = {"nowhere", "in nowhere", "no UTF-8", "escapes", "nothing in it"}
"""Where something can be made."""

RUNNING = {"node": MADE, "cluster": MADE | FOLDERS}
WRITING = {"demo": FOLDERS}
"""What would run a server, or make files outside of a folder for tests."""


def leave(*_: object, **__: object) -> None:
    """What a process does with its logs is not for the process of the tests."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what ``PATHS`` names, a recording, and the description of a cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logs, "configure", leave)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "letter").write_text("Dear reader")
    (tmp_path / "bytes").write_bytes(b"\xff\0")
    (tmp_path / "nothing").touch()
    (tmp_path / "cluster.toml").write_text(
        'name = "c"\n[[servers]]\nid = 1\naddress = "127.0.0.1:1"\ndata = "n1.db"\n'
    )
    FileStore.create(
        tmp_path / "n1.db", cluster="c", server=ServerId(1), quorum=majority([ServerId(1)])
    ).close()
    with Recorder(tmp_path / "run", codec=TEXT, runtime="test") as recorder:
        cluster = Cluster[str](servers=1, observer=recorder)
        cluster.propose(ServerId(1), "red")
        cluster.run()
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_path_makes_a_traceback(words: list[str], capsys: Capture) -> None:
    for what, path in PATHS.items():
        if what in (RUNNING | WRITING).get(words[0], set()):
            continue
        code = app.run([path if it == "PATH" else it for it in words])
        printed = capsys.readouterr()
        allowed = ExitCode.DONE, ExitCode.FAILED, ExitCode.BAD_ARGUMENTS, ExitCode.NO_SERVER
        assert code in allowed, what
        if code != 0 and not printed.out:
            (line,) = printed.err.splitlines()
            assert line.startswith('{"error": ' if "--json" in words else "paxos"), what
            assert line.isprintable(), what
            assert "the output cannot be written" not in line, what


def test_every_option_that_names_a_path_is_here() -> None:
    """Those that take one have a type of ``paths``; none is taken as a mere string."""
    for name in commands.PLACES:
        command = commands.load(name)
        for parameter in command.params:
            kind = parameter.type.name
            assert kind not in ("path", "filename"), (name, parameter.name)
            if kind in ("file", "folder"):
                option = next((it for it in parameter.opts if it.startswith("--")), None)
                named = [words for words in COMMANDS if words[0] == name]
                if option == "--cluster":
                    named = [words for words in COMMANDS if option in words]
                assert any(option is None or option in words for words in named), (name, option)


# --- locales ------------------------------------------------------------------------------------

LOCALES: list[Mapping[str, str]] = [
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "latin-1"},
    {"PYTHONIOENCODING": "cp1252:strict"},
    {"PYTHONIOENCODING": "utf-16"},
]


CALL_ALL = """
import sys
from paxos_cli.app import run
words = iter(sys.argv[1:])
for code in words:
    command = [*iter(words.__next__, ";")]
    ended = run(command)
    if ended != int(code):
        sys.exit(f"{command!a} ended with {ended}")
    sys.stdout.flush()
"""
"""Calls one command after the other, each of which is given behind its exit code."""


@pytest.mark.parametrize("locale", slow_but_for(lambda it: it is LOCALES[0], LOCALES), ids=str)
def test_any_locale_will_do(folder: Path, locale: Mapping[str, str]) -> None:
    """Names, values and files are UTF-8, whatever the terminal takes."""
    with Recorder(
        folder / "r\u00e9c", codec=TEXT, runtime="\u2192", facts={"\u00e9": "\u2192"}
    ) as it:
        cluster = Cluster[str](servers=3, observer=it)
        cluster.propose(ServerId(1), "r\u00e9d \u2192")
        cluster.run()
    (folder / "cl\u00e9.toml").write_text(
        '# \u00e9 \u2192\nname = "\u00e9"\n[[servers]]\nid = 1\naddress = "127.0.0.1:1"\n',
        encoding="utf-8",
    )
    kept = {
        name: it
        for name, it in os.environ.items()
        if name not in ("LANG", "LC_ALL", "PYTHONUTF8", "PYTHONIOENCODING")
    }
    commands = (
        "0 demo --seed 1",
        "0 replay r\u00e9c",
        "0 explain r\u00e9c",
        "0 draw r\u00e9c",
        "0 draw r\u00e9c --mermaid",
        "0 draw r\u00e9c --svg p\u00e9.svg",
        "0 view r\u00e9c --out p\u00e9.html",
        "0 lecture --all",
        "7 status --cluster cl\u00e9.toml --data n1.db",
        "1 node --id 1 --cluster cl\u00e9.toml --data n1.db",
        "7 read \u00e9",
        "1 replay nowhere\u00e9",
    )
    words = [word for command in commands for word in (*command.split(), ";")]
    ended = subprocess.run(
        [sys.executable, "-c", CALL_ALL, *words],
        env={**kept, **locale},
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = ended.stderr.replace(b"\0", b"")  # of UTF-16
    assert b"Traceback" not in told
    assert told.count(b"paxos") >= 4
    assert "r\u00e9d" in (folder / "p\u00e9.svg").read_text(encoding="utf-8")


# --- standard streams ---------------------------------------------------------------------------


def test_no_file_gets_the_number_of_a_standard_stream(folder: Path) -> None:
    """Else what a library says to its standard error would go into a store."""
    program = (
        "import os, sys; import paxos_cli; paxos_cli._keep_standard_descriptors(); "
        f"file = os.open({str(folder / 'letter')!r}, os.O_RDWR); os._exit(file)"
    )
    for closed in "0<&-", "2>&-", "0<&- 1>&- 2>&-":
        command = f'{sys.executable} -c "{program}" {closed}'
        assert subprocess.run(["sh", "-c", command], check=False).returncode >= 3, closed


@pytest.mark.parametrize(
    "closed", slow_but_for("1>&-".__eq__, ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
)
def test_closed_streams_are_no_traceback(folder: Path, closed: str) -> None:
    command = f"{' '.join(PAXOS)} inspect n1.db {closed}"
    ended = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, check=False)
    assert ended.returncode == ("1>&-" in closed)
    told = b"paxos: the standard output is closed: nothing was done.\n"
    assert ended.stderr == (told if closed == "1>&-" else b"")
