"""Each module of the core, covered by its own test file alone: ``make cover``.

Every line and every branch of ``paxos/x.py`` must be taken by ``tests/paxos/test_x.py`` and by
nothing else, so that a module can be changed with one file of tests beside it; and so for
``paxos/log``. What a replica does with leases is tested beside them. Prints a row for each module,
and exits 1 if one falls short.
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
MORE = {"log/replica": ["log/test_lease.py"]}
"""The modules that have a second file of tests."""


def coverage(data: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the coverage command on the data file ``data``."""
    command = [sys.executable, "-m", "coverage", arguments[0], f"--data-file={data}"]
    return subprocess.run(
        [*command, *arguments[1:]], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )


def measure(module: str) -> tuple[bool, str]:
    """Whether the module's own tests cover it, and the last line of the report."""
    with TemporaryDirectory() as temporary:
        data = Path(temporary) / "coverage"
        folder, _, name = module.rpartition("/")
        files = f"{folder}/test_{name}.py", *MORE.get(module, [])
        tests_of = [str(Path("tests", "paxos", it.lstrip("/"))) for it in files]
        pytest = ("-m", "pytest", "-q", "-p", "no:cacheprovider", *tests_of)
        tests = coverage(data, "run", *pytest)
        if tests.returncode:
            return False, f"its tests fail:\n{tests.stdout}{tests.stderr}"
        report = coverage(
            data, "report", f"--include=*/paxos/{module}.py", "--skip-covered", "--fail-under=100"
        )
        return report.returncode == 0, report.stdout.strip() or report.stderr.strip()


def main() -> int:
    """Measure every module of the core."""
    core = ROOT / "paxos"
    paths = (path.relative_to(core).with_suffix("") for path in core.rglob("[!_]*.py"))
    modules = sorted(path.as_posix() for path in paths)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(measure, modules))
    for module, (covered, report) in zip(modules, results, strict=True):
        print(f"{module:14} {'100% by its own tests' if covered else report}")
    return 0 if all(covered for covered, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
