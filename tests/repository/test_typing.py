"""What the types refuse, and what they let through, in mypy and in pyright.

``typing/misuse.py`` marks each line that must be an error, ``typing/proper.py`` has none: a rule
that stops to hold, or one that becomes too strict, turns these tests red.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "typing"
Errors = set[tuple[int, str]]


def marked(name: str, checker: int) -> Errors:
    """Line and error code of each mark; ``checker`` is 0 for mypy and 1 for pyright.

    A mark of ``-``: this checker does not see it.
    """
    lines = (HERE / name).read_text().splitlines()
    marks = ((number, re.search(r"# E: (.*)", line)) for number, line in enumerate(lines, 1))
    found = {(number, mark[1].split(", ")[checker]) for number, mark in marks if mark}
    return {(number, code) for number, code in found if code != "-"}


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=HERE, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def mypy(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Errors]:
    cache = tmp_path_factory.mktemp("mypy")
    options = ["--config-file=", "--strict", "--enable-error-code=exhaustive-match"]
    output = run("mypy", *options, f"--cache-dir={cache}", "misuse.py", "proper.py")
    errors: dict[str, Errors] = {"misuse.py": set(), "proper.py": set()}
    for name, line, code in re.findall(r"^([^:]+):(\d+): error: .*\[([a-z-]+)\]$", output, re.M):
        errors[Path(name).name].add((int(line), code))
    return errors


@pytest.fixture(scope="module")
def pyright() -> dict[str, Errors]:
    output = run("pyright", "--outputjson", f"--pythonpath={sys.executable}")
    errors: dict[str, Errors] = {"misuse.py": set(), "proper.py": set()}
    for found in json.loads(output)["generalDiagnostics"]:
        line = found["range"]["start"]["line"] + 1
        errors[Path(found["file"]).name].add((line, found["rule"]))
    return errors


@pytest.mark.parametrize("name", ["misuse.py", "proper.py"])
def test_mypy_finds_each_misuse_and_nothing_else(name: str, mypy: dict[str, Errors]) -> None:
    assert mypy[name] == marked(name, checker=0)


@pytest.mark.parametrize("name", ["misuse.py", "proper.py"])
@pytest.mark.slow
def test_pyright_finds_each_misuse_and_nothing_else(name: str, pyright: dict[str, Errors]) -> None:
    assert pyright[name] == marked(name, checker=1)


def test_the_marks_are_read() -> None:
    assert len(marked("misuse.py", checker=0)) == 21
    assert marked("proper.py", checker=0) == set()
