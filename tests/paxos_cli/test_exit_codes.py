"""The exit codes: one table in the code, and the page says the same."""

from __future__ import annotations

import re
from pathlib import Path

from paxos_cli.exit_codes import MEANINGS, ExitCode

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"


def test_every_code_has_a_meaning() -> None:
    assert [*MEANINGS] == [*ExitCode]


def test_the_page_has_the_table_of_the_code() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| ([a-z ]+) \| (.+) \|$", section, re.M)

    assert rows == [(str(int(code)), code.kind, what) for code, what in MEANINGS.items()]
