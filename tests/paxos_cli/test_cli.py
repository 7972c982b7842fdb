"""The ``paxos`` command: what it prints, where, and how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from random import Random

import pytest

from paxos import ServerId
from paxos_adapters.memory import Cluster
from paxos_cli import app, demo
from paxos_cli.exit_codes import ExitCode
from paxos_lab.machines.protocols import VALUES
from paxos_lab.record import Kind, SingleTrace, Trace, single_timeline
from tests.support.commands import PAXOS, Ended, execute, surroundings
from tests.support.commands import call as paxos
from tests.support.slow import slow_but_for

TERMINAL = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "100"}
ESCAPE = "\x1b"


class TestLogDemo:
    """A leader crashes with commands in its log, and the next one recovers them."""

    def test_the_counter_is_the_same_everywhere(self) -> None:
        ended = paxos("demo", "--log", "--seed", 7, "--plain")
        assert ended.returncode == 0
        assert ended.stderr == ""
        lines = ended.stdout.splitlines()
        assert [it.split()[1:] for it in lines if it.startswith("| S")] == [
            [f"S{me}", "|", "36", "|"] for me in (1, 2, 3)
        ]
        assert "S3 crashes" in ended.stdout
        assert lines[-1] == "Added 5 + 7 + 11 under S3, and 13 after its crash."

    @pytest.mark.parametrize(
        ("options", "named"),
        [(["--servers", 2], "3 at least"), (["--proposers", 2], "--proposers is for one decision")],
    )
    def test_what_does_not_fit(self, options: list[object], named: str) -> None:
        ended = paxos("demo", "--log", *options)
        assert ended.returncode == 2
        assert named in ended.stderr


class TestDemo:
    """Rival proposers reach a decision, and every message of it is drawn."""

    @pytest.mark.parametrize(
        ("servers", "proposers", "seed"), [(1, 1, 0), (2, 2, 5), (5, 2, 1), (9, 9, 42)]
    )
    def test_all_agree(self, servers: int, proposers: int, seed: int) -> None:
        ended = paxos(
            *("demo", "--servers", servers, "--proposers", proposers, "--seed", seed),
        )
        assert ended.returncode == 0
        assert ended.stderr == ""
        first, *_, last = ended.stdout.splitlines()
        assert first.startswith(f"Servers: {servers}, proposers: {proposers}, seed: {seed}.")
        assert f"{servers} of {servers} know: agreed on " in last

    @pytest.mark.parametrize(
        "servers", slow_but_for({1, 2, 3, 5}.__contains__, range(1, demo.MAX_SERVERS + 1))
    )
    def test_all_agree_at_every_size(self, servers: int) -> None:
        for proposers in range(1, servers + 1):
            for seed in range(5):
                trace: SingleTrace[str] = Trace()
                cluster = Cluster[str](servers, seed=seed, observer=trace)
                rivals = demo.rivals(cluster.servers, proposers)
                demo.play(cluster, rivals, Random(seed))
                moments = single_timeline(trace).moments
                begun = [it.lane for it in moments if it.kind is Kind.IS_ASKED]
                told = f"{proposers} proposers, seed {seed}"
                assert sorted(begun) == sorted(rivals), told
                assert set(cluster.chosen) == set(cluster.servers), told
                assert len(set(cluster.chosen.values())) == 1, told
                assert set(cluster.chosen.values()) <= set(VALUES[:proposers]), told

    def test_a_single_server_needs_no_rival(self) -> None:
        assert "1 of 1 know: agreed on red" in paxos("demo", "--servers", 1).stdout

    def test_rivals_come_from_both_ends(self) -> None:
        servers = tuple(map(ServerId, range(1, 6)))
        assert demo.rivals(servers, 1) == (1,)
        assert demo.rivals(servers, 2) == (1, 5)
        assert demo.rivals(servers, 5) == (1, 5, 2, 4, 3)

    def test_every_message_is_counted(self) -> None:
        cluster = Cluster[str](3)
        assert demo.play(cluster, demo.rivals(cluster.servers, 1), Random(0)) == 15
        ended = paxos("demo", "--servers", 3, "--proposers", 1, "--seed", 0)
        assert ended.stdout.endswith("After 15 messages, 3 of 3 know: agreed on red.\n")

    def test_the_same_seed_prints_the_same(self) -> None:
        once, again, other = (paxos("demo", "--seed", seed).stdout for seed in (1, 1, 2))
        assert once == again
        assert once.replace("seed: 1", "seed: 2") != other

    def test_without_a_seed_it_names_the_one_it_drew(self) -> None:
        drawn = paxos("demo").stdout
        seed = drawn.partition(", seed: ")[2].partition(".")[0]
        assert drawn == paxos("demo", "--seed", seed).stdout

    def test_no_agreement_is_a_failure(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def silence(*_: object) -> int:
            return 0

        monkeypatch.setattr(demo, "play", silence)
        assert app.run(["demo"]) == 1
        assert "no agreement" in capsys.readouterr().out


class TestOutput:
    """Characters and colours that fit where the output goes."""

    def test_unicode_and_no_colour_in_a_pipe(self) -> None:
        printed = paxos("demo", "--seed", 1).stdout
        assert "◉" in printed
        assert ESCAPE not in printed

    def test_colour_on_a_terminal(self) -> None:
        assert ESCAPE in paxos("demo", "--seed", 1, environment=TERMINAL).stdout

    def test_plain_is_ascii(self) -> None:
        printed = paxos("demo", "--seed", 1, "--plain").stdout
        assert printed.isascii()
        assert ESCAPE not in printed
        assert "@" in printed

    def test_plain_is_plain_on_a_terminal_too(self) -> None:
        printed = paxos("demo", "--seed", 1, "--plain", environment=TERMINAL).stdout
        assert printed.isascii()
        assert ESCAPE not in printed

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "environment",
        [
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
            {"PYTHONIOENCODING": "ascii"},
        ],
    )
    def test_ascii_where_unicode_cannot_be_printed(self, environment: dict[str, str]) -> None:
        ended = execute(
            [*PAXOS, "demo", "--seed", "1"], None, {"PYTHONIOENCODING": ""} | environment
        )
        assert ended.returncode == 0
        assert ended.stderr == ""
        assert ended.stdout.isascii()
        assert "5 of 5 know: agreed on" in ended.stdout

    def test_the_c_locale_works(self) -> None:
        locale = {"PYTHONIOENCODING": "", "LANG": "C", "LC_ALL": "C"}
        ended = execute([*PAXOS, "demo", "--seed", "1"], None, locale)
        assert ended.returncode == 0
        assert ended.stderr == ""
        assert "5 of 5 know: agreed on" in ended.stdout

    def test_ascii_in_a_narrow_window(self) -> None:
        narrow = {"COLUMNS": "40", "PYTHONIOENCODING": "ascii"}
        ended = execute([*PAXOS, "demo", "--seed", "1", "--plain"], None, narrow)
        assert ended.stderr == ""
        assert ended.returncode == 0

    @pytest.mark.parametrize("arguments", [("--help",), ("demo", "--seed", 1)])
    def test_a_reader_that_has_gone_is_no_error(self, arguments: tuple[str | int, ...]) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        try:
            ended = subprocess.run(
                [*PAXOS, *map(str, arguments)],
                stdout=writer,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                env=surroundings({}),
                check=False,
            )
        finally:
            os.close(writer)
        assert ended.stderr == ""
        assert ended.returncode == ExitCode.READER_GONE

    @pytest.mark.skipif(
        not Path("/dev/full").exists(), reason="needs Linux's /dev/full, which is always full"
    )
    @pytest.mark.parametrize("arguments", ["demo --seed 1", "--help"])
    def test_a_full_disk_is_one_line(self, arguments: str) -> None:
        command = f"{sys.executable} -m paxos_cli {arguments} > /dev/full"
        ended = execute(["sh", "-c", command])
        assert ended.returncode == 1
        assert ended.stderr == "paxos: the output cannot be written: No space left on device\n"

    def test_a_closed_output_is_one_line(self) -> None:
        ended = execute(["sh", "-c", f"{sys.executable} -m paxos_cli demo >&-"])
        assert ended.returncode == 1
        assert ended.stderr == "paxos: the standard output is closed: nothing was done.\n"


class TestArguments:
    """Help for those who ask, one line for those who err."""

    @pytest.mark.parametrize("arguments", [(), ("--help",)])
    def test_help_names_the_commands(self, arguments: tuple[str, ...]) -> None:
        ended = paxos(*arguments)
        assert ended.returncode == 0
        assert ended.stderr == ""
        assert ended.stdout.startswith("Usage: paxos ")
        assert "demo" in ended.stdout

    def test_help_of_the_demo_names_its_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["demo", "--help"]) == 0
        printed = capsys.readouterr().out
        for option in "--servers", "--proposers", "--seed", "--plain":
            assert option in printed

    def test_version(self) -> None:
        ended = paxos("--version")
        assert ended.returncode == 0
        assert ended.stdout == f"paxos, version {version('sansio-paxos')}\n"

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ("--nonsense", "'--nonsense'"),
            ("nonsense", "'nonsense'"),
            ("demo --nonsense", "'--nonsense'"),
            ("demo --servers 0", "'--servers': 0 "),
            ("demo --servers 10", "'--servers': 10 "),
            ("demo --servers x", "'--servers': 'x' "),
            ("demo --servers 3 --proposers 9", "'--proposers': 9 "),
            ("demo --seed x", "'--seed': 'x' "),
            ("demo extra", "(extra)"),
        ],
    )
    def test_a_mistake_is_one_line(self, arguments: str, named: str) -> None:
        ended = paxos(*arguments.split())
        assert ended.returncode == 2
        assert ended.stdout == ""
        (line,) = ended.stderr.splitlines()
        assert line.startswith("paxos")
        assert named in line

    def test_control_c_is_one_line(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(demo, "play", interrupted)
        assert app.run(["demo"]) == 130
        assert capsys.readouterr().err.strip() == "paxos: stopped"


class TestWithoutTheExtra:
    """The command says what it needs; the library needs nothing of it."""

    @pytest.mark.parametrize("missing", ["click", "rich"])
    def test_the_command_says_which_extra_it_needs(self, missing: str) -> None:
        ended = without(missing, "from paxos_cli import main; main()")
        assert ended.returncode == 1
        assert ended.stdout == ""
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"paxos: the command needs {missing}")
        assert "pip install 'sansio-paxos[cli]'" in line

    def test_a_defect_of_our_own_is_not_taken_for_a_missing_extra(self) -> None:
        ended = without("paxos_adapters.memory", "from paxos_cli import main; main()")
        assert ended.returncode == 1
        assert "sansio-paxos[cli]" not in ended.stderr
        assert "ModuleNotFoundError" in ended.stderr

    def test_the_library_works(self) -> None:
        decide = (
            "sys.modules['rich'] = None; "
            "from paxos_adapters.memory import Cluster; cluster = Cluster(); "
            "cluster.propose(1, 'red'); cluster.run(); print(cluster.chosen)"
        )
        ended = without("click", decide)
        assert ended.stderr == ""
        assert ended.stdout == "{1: 'red', 2: 'red', 3: 'red'}\n"


def without(module: str, program: str) -> Ended:
    """Run ``program`` where ``module`` is not installed."""
    return execute([sys.executable, "-c", f"import sys; sys.modules[{module!r}] = None; {program}"])
