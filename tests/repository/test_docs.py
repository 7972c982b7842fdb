"""What the documents say is so: their programs run, their picture is real, their links lead.

What they name exists, and what was made from the code is what the code makes today.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from contextlib import chdir, redirect_stdout
from inspect import getmembers, isfunction
from io import StringIO
from pathlib import Path

import click
import pytest

from paxos import invariants
from paxos_cli import app
from paxos_lab import rules
from tests.tools import transitions

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Where each code block in ``language`` stands, and its text."""
    return [
        (f"{document.name}-{number}", block)
        for document in DOCUMENTS
        for number, block in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(), re.M | re.S), 1
        )
    ]


BEGINNINGS = [ROOT / "README.md", ROOT / "docs/index.md", ROOT / "docs/tutorial.md"]
OUTPUTS = {
    program: printed
    for page in BEGINNINGS
    for program, printed in re.findall(
        r"^```python\n((?:(?!^```$).)*)^```\n\n```text\n(.*?)^```$",
        page.read_text(encoding="utf-8"),
        re.M | re.S,
    )
}
"""What the programs of the first pages print."""


@pytest.mark.parametrize(("name", "program"), blocks("python"), ids=lambda it: it[:20])
def test_a_program_runs_as_it_is_printed(name: str, program: str, tmp_path: Path) -> None:
    """It asserts what comes of it, or what it prints stands right below it."""
    with chdir(tmp_path), redirect_stdout(StringIO()) as printed:
        exec(compile(program, name, "exec"), {"__name__": "__main__"})

    assert printed.getvalue() == OUTPUTS.get(program, "")
    assert printed.getvalue() or "assert" in program


@pytest.mark.parametrize("page", BEGINNINGS, ids=lambda it: it.name)
def test_each_program_of_the_first_pages_prints_something(page: Path) -> None:
    programs = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)

    assert programs
    assert [it for it in programs if not OUTPUTS.get(it)] == []


def test_the_figures_that_speak_for_something_else_were_measured() -> None:
    """Those of the page that compares are those of the page that measures."""
    compared = (ROOT / "docs/why.md").read_text(encoding="utf-8")
    measured = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    of_a_node = measured[measured.index("## The node") :]

    for figure in re.findall(r"\d+[.,]\d+", compared):
        assert f" {figure} |" in of_a_node, figure


@pytest.mark.slow
def test_the_programs_satisfy_the_type_checker(tmp_path: Path) -> None:
    names: list[str] = []
    for name, program in blocks("python"):
        names.append(re.sub(r"\W", "_", name) + ".py")
        (tmp_path / names[-1]).write_text(program, encoding="utf-8")
    options = ["--config-file=", "--strict", f"--cache-dir={tmp_path}"]

    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout.startswith("Success")) == (0, True), done.stdout


def test_the_picture_in_the_readme_is_what_the_command_prints() -> None:
    (picture,) = (it for name, it in blocks("text") if name == "README.md-2")
    done = subprocess.run(
        [sys.executable, "-m", "paxos_cli", "demo", "--seed", "7"],
        env={"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )

    assert done.stdout == picture


def test_the_first_page_is_short() -> None:
    """What it is in line 1, what it does not do in line 4; programs and outputs not counted."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(re.sub(r"^```\w*\n.*?^```$", "", page, flags=re.M | re.S).split()) < 540
    assert page.startswith("# paxos: ")
    assert "do not lie" in page.splitlines()[3]


@pytest.mark.parametrize(("name", "session"), blocks("console"), ids=lambda it: it[:20])
def test_every_command_can_be_typed(name: str, session: str) -> None:
    """That there is such a command with such options; what it does, other tests try."""
    for line in re.findall(r"^\$ (?:.*\| )?paxos (.*)$", session.replace("\\\n", " "), re.M):
        which, *arguments = shlex.split(line.partition(" > ")[0], comments=True)
        context = click.Context(app.paxos, **app.paxos.context_settings)
        command = app.paxos.get_command(context, which)
        assert command is not None, name
        command.make_parser(click.Context(command, context)).parse_args(arguments)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda it: it.name)
def test_every_link_to_a_file_leads_to_one(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
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


def test_what_the_roles_do_is_up_to_date() -> None:
    for path, text in transitions.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: make figures"


def test_every_test_that_is_named_exists() -> None:
    named = {
        found
        for document in DOCUMENTS
        for found in re.findall(
            r"`(tests/[\w/]+\.py)(?:::(\w+))?`", document.read_text(encoding="utf-8")
        )
    }

    assert len(named) > 100
    assert not [it for it in sorted(named) if not is_there(*it)]


def is_there(file: str, name: str) -> bool:
    """Whether there is such a file of tests, with such a test if one is named."""
    path = ROOT / file
    return path.exists() and (not name or f"def {name}(" in path.read_text(encoding="utf-8"))


def test_what_the_page_on_safety_names_exists() -> None:
    page = " ".join((ROOT / "docs" / "safety.md").read_text().split())
    clauses = {
        it["clause"]
        for it in tomllib.loads((ROOT / "tests/tools/mutants.toml").read_text())["mutant"]
    }
    mutants = re.findall(r"(?:Mutants: |; )\*([^*]+)\*", page)
    every_rule = {name for name, it in vars(rules).items() if it in rules.RULES}
    every_invariant = {
        name
        for name, it in getmembers(invariants, isfunction)
        if it.__module__ == invariants.__name__ and not name.startswith("_")
    }

    assert len(mutants) > 40
    assert set(mutants) <= clauses
    assert set(re.findall(r"`rules\.(\w+)`", page)) <= every_rule
    assert set(re.findall(r"`invariants\.((?!py`)\w+)`", page)) == every_invariant


def test_the_changelog_speaks_of_this_version() -> None:
    """The version stands in one place; what changed in it has a heading."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)

    assert headings[:2] == ["Unreleased", version]
    for page in BEGINNINGS[:2]:
        assert f"ersion {version}" in page.read_text(encoding="utf-8")
