"""What the documents say is so: their programs run, their picture is real, their links lead."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from paxos_adapters.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Where each code block in ``language`` stands, and its text."""
    return [
        (f"{document.name}-{number}", block)
        for document in DOCUMENTS
        for number, block in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.M | re.S), 1
        )
    ]


@pytest.mark.parametrize(("name", "program"), blocks("python"), ids=lambda it: it[:20])
def test_a_program_runs_as_it_is_printed(name: str, program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, ""), name
    assert "assert" in program


@pytest.mark.parametrize(("name", "program"), blocks("python"), ids=lambda it: it[:20])
def test_a_program_satisfies_the_type_checker(name: str, program: str, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(program)
    options = ["--config-file=", "--strict", f"--cache-dir={tmp_path}"]

    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.startswith("Success")) == (0, True), name + done.stdout


def test_the_picture_in_the_readme_is_what_the_command_prints() -> None:
    ((_, picture),) = blocks("text")[:1]
    done = subprocess.run(
        [sys.executable, "-m", "paxos_adapters.cli", "demo", "--seed", "7"],
        env={"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

    assert done.stdout == picture


@pytest.mark.parametrize(("name", "session"), blocks("console"), ids=lambda it: it[:20])
def test_every_command_can_be_typed(name: str, session: str) -> None:
    """That there is such a command with such options; what it does, other tests try."""
    for line in re.findall(r"^\$ (?:.*\| )?paxos (.*)$", session.replace("\\\n", " "), re.M):
        which, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
        command = app.paxos.commands.get(which)
        assert command is not None, name
        command.make_parser(click.Context(command)).parse_args(arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: it.name)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    links = re.findall(r"\]\(([^)#:]+)\)", prose)

    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    "name",
    ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
    + [f"docs/{page}.md" for page in ("design", "embedding", "operating", "performance", "stores")],
)
def test_a_document_is_there_and_has_something_to_say(name: str) -> None:
    text = (ROOT / name).read_text()

    assert text.startswith("# ")
    assert len(text.splitlines()) > 10
