"""The unit of systemd and the container file are what their tools take, where these are there.

Whatever tools are there: the commands in both exist, with such options.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from paxos_cli import app

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "examples" / "systemd" / "paxos@.service"
CONTAINER = ROOT / "examples" / "Containerfile"
INSTALLED = "/opt/paxos/bin/paxos"


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """With a command that is there; a key that it does not know is an error."""
    text = UNIT.read_text(encoding="utf-8")
    assert INSTALLED in text
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace(INSTALLED, "/bin/true"), encoding="utf-8")

    done = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert [it for it in done.stderr.splitlines() if UNIT.name[:6] in it] == []
    assert done.returncode == 0, done.stderr

    unit.write_text(text.replace("RestartSec=2", "RestartSeconds=2"), encoding="utf-8")
    assert "RestartSeconds" in run("systemd-analyze", "verify", "--man=no", str(unit)).stderr


def engine() -> str:
    """A program that builds images, and can here; else the test is skipped, and says why."""
    for name in "podman", "docker", "buildah":
        if shutil.which(name) is not None and run(name, "info").returncode == 0:
            return name
    pytest.skip("neither podman nor docker nor buildah works here: the image is not built")


@pytest.mark.slow
def test_the_container_is_built_and_knows_its_command() -> None:
    tool, tag = engine(), "paxos-test"
    built = run(tool, "build", "-t", tag, "-f", str(CONTAINER), ".")
    assert built.returncode == 0, built.stderr
    shown = run(tool, "run", "--rm", tag, "node", "--help")
    assert (shown.returncode, "Run server ID" in shown.stdout) == (0, True), shown.stderr


def commands() -> list[str]:
    """What both have run, and what their comments say to type."""
    text = UNIT.read_text(encoding="utf-8").replace("%i", "1")
    found = re.findall(rf"{INSTALLED} (.*)", text)
    text = CONTAINER.read_text(encoding="utf-8")
    found += [it.split("  ")[0] for it in re.findall(r"(?:data|paxos1) paxos (.*)", text)]
    found += re.findall(r"CMD paxos ([^>]*)", text)
    found += [" ".join(re.findall(r'"([^"]+)"', it)) for it in re.findall(r"CMD (\[.*\])", text)]
    return found


def test_the_commands_in_both_exist() -> None:
    found = commands()
    assert len(found) > 5
    for line in found:
        which, *arguments = shlex.split(line)
        context = click.Context(app.paxos, **app.paxos.context_settings)
        command = app.paxos.get_command(context, which)
        assert command is not None, line
        command.make_parser(click.Context(command, context)).parse_args(arguments)


def test_no_supervisor_makes_a_data_file() -> None:
    """One that is missing was lost: to make it again would be to forget votes."""
    started = re.findall(r"^(?:ExecStart=|CMD|ENTRYPOINT)(.*)", UNIT.read_text(), re.M)
    started += re.findall(r"^(?:CMD|ENTRYPOINT)(.*)", CONTAINER.read_text(), re.M)
    assert len(started) == 3
    assert not [it for it in started if "--create" in it]
