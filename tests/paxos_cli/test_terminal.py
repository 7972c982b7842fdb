"""What a person sees on a terminal: of forty columns, while something waits, and after Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from pathlib import Path

import pytest

from paxos import ServerId, majority
from paxos_adapters.file import FileStore
from paxos_cli.exit_codes import ExitCode
from tests.paxos_cli.test_cli_node import at_work, until
from tests.support.commands import surroundings

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_terminal(
    *words: object, columns: int, stop_at: str | None = None, colour: bool = True
) -> tuple[int, str]:
    """The exit code and what was shown; Ctrl-C is typed once ``stop_at`` was shown."""
    command = [sys.executable, "-m", "paxos_cli", *map(str, words)]
    more = {"TERM": "xterm-256color"} | ({} if colour else {"NO_COLOR": "1"})
    ready, go = os.pipe()
    child, terminal = pty.fork()
    if child == 0:
        os.read(ready, 1)
        os.execve(sys.executable, command, surroundings(more))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    os.write(go, b"x")
    shown, is_stopped = b"", False
    while True:
        try:
            read = os.read(terminal, 65_536)
        except OSError:
            break
        shown += read
        if not read:
            break
        if stop_at is not None and not is_stopped and stop_at.encode() in shown:
            os.write(terminal, b"\x03")
            is_stopped = True
    for descriptor in ready, go, terminal:
        os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, shown.decode().replace("\r\n", "\n")


@pytest.mark.slow
def test_the_title_of_a_simulation_stands_alone() -> None:
    """A bar that shows how far it is would have written over it."""
    code, shown = on_terminal("simulate", "--seeds", 20, "--jobs", 1, columns=80)

    assert code == 0
    assert shown.startswith("paxos: servers 3, proposers 2, readers 1, safety.\n")


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 80])
def test_words_stay_whole_in_tables_and_sentences(columns: int, tmp_path: Path) -> None:
    quorum = majority(map(ServerId, (1, 2, 3)))
    FileStore.create(tmp_path / "n1.db", cluster="c", server=ServerId(1), quorum=quorum).close()
    wide, narrow = (
        ESCAPE.sub("", on_terminal("inspect", tmp_path / "n1.db", columns=width)[1])
        for width in (300, columns)
    )

    assert {*re.findall(r"\w+", narrow)} == {*re.findall(r"\w+", wide)}
    assert max(len(line) for line in narrow.splitlines() if " " in line.strip()) <= columns


@pytest.mark.slow
def test_the_list_of_the_lecture_stays_within_forty_columns() -> None:
    wide, narrow = (ESCAPE.sub("", on_terminal("lecture", columns=width)[1]) for width in (300, 40))

    assert narrow.split() == wide.split()
    assert max(map(len, narrow.splitlines())) <= 40


@pytest.mark.slow
def test_no_colour_where_none_is_wanted() -> None:
    words = "demo", "--seed", 1
    coloured, other = (on_terminal(*words, columns=100, colour=it)[1] for it in (True, False))

    assert re.search(r"\x1b\[[0-9;]*3[0-9]", coloured)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", other)


@pytest.mark.slow
def test_who_waits_is_told_and_can_stop(tmp_path: Path) -> None:
    """One of two servers is up: nothing is chosen, and Ctrl-C takes no proposal back."""
    config = tmp_path / "cluster.toml"
    config.write_text(
        'name = "c"\n'
        '[[servers]]\nid = 1\naddress = "127.0.0.1:47191"\ndata = "n1.db"\n'
        '[[servers]]\nid = 2\naddress = "127.0.0.1:47192"\n'
    )
    where = "--cluster", config, "--timeout-s", 100
    with at_work("node", "--id", "1", "--create", "--cluster", config) as running:
        until(running, "n1.db")
        waits = "Ctrl-C stops"
        code, proposed = on_terminal("propose", "x", "v", *where, columns=120, stop_at=waits)
        assert code == ExitCode.STOPPED
        assert "the value may be chosen anyway" in proposed.replace("\n", " ")
        assert f"paxos read --cluster {config} x" in proposed
        code, watched = on_terminal("watch", "x", *where, columns=120, stop_at=waits)
        assert code == ExitCode.STOPPED
        assert "paxos: stopped" in watched


def test_a_reader_that_has_seen_enough_ends_the_command_quietly() -> None:
    ready, writer = os.pipe()
    errors, told = os.pipe()
    child = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "paxos_cli", "lecture", "--all"],
        surroundings({}),
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, told, 2)],
    )
    os.close(writer)
    os.close(told)
    assert os.read(ready, 10)
    os.close(ready)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == ExitCode.READER_GONE
    assert os.read(errors, 1_000) == b""
    os.close(errors)
    assert signal.SIGPIPE + 128 == ExitCode.READER_GONE
