"""The programs of docs/web.md, as they are printed, beside servers of which some are killed."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.paxos_cli.test_cli_node import at_work, pids, until

PAGE = Path(__file__).parents[3] / "docs" / "web.md"
FASTAPI, FLASK = re.findall(r"^```py\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
MISSING = "comes with the extra 'test', and docs/web.md is not tried without it"


class Answer(NamedTuple):
    """A response, and the revision in its ETag."""

    status: int
    body: bytes
    revision: str | None


class Site:
    """A web server at ``url``, and the processes of the cluster beside it."""

    def __init__(self, url: str, processes: Mapping[int, int]) -> None:
        self._url = url
        self._processes = processes

    def ask(self, method: str, key: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(f"{self._url}/keys/{key}", body, named, method=method)
        try:
            with urlopen(request, timeout=60) as response:
                return Answer(response.status, response.read(), response.headers["ETag"])
        except HTTPError as error:
            with error:
                return Answer(error.code, error.read(), None)

    def kill(self, *servers: int) -> None:
        for me in servers:
            os.kill(self._processes[me], signal.SIGKILL)


@contextmanager
def cluster(folder: Path) -> Generator[dict[int, int], None, None]:
    with at_work("cluster", folder, "--servers", "3") as running:
        yield pids(until(running, "Stop all of them"))


@contextmanager
def uvicorn(folder: Path) -> Generator[tuple[str, subprocess.Popen[str]], None, None]:
    (folder / "app.py").write_text(FASTAPI, encoding="utf-8")
    command = [sys.executable, "-m", "uvicorn", "app:app", "--workers", "2", "--port", "0"]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        try:
            assert process.stderr is not None
            told = ""
            while told.count("Application startup complete") < 2:
                line = process.stderr.readline()
                assert line, f"it has ended, after: {told}"
                told += line
            yield re.findall(r"running on (http://\S+)", told)[0], process
        finally:
            process.terminate()
            process.communicate(timeout=60)


@pytest.mark.slow
def test_fastapi_under_uvicorn_with_two_workers(tmp_path: Path) -> None:
    for package in "fastapi", "uvicorn":
        pytest.importorskip(package, reason=f"{package} {MISSING}")
    with cluster(tmp_path) as processes, uvicorn(tmp_path) as (url, process):
        site = Site(url, processes)
        assert site.ask("GET", "a").status == 404
        assert site.ask("PUT", "a", b"1") == Answer(204, b"", '"1"')
        for _ in range(8):  # by either worker
            assert site.ask("GET", "a") == Answer(200, b"1", '"1"')
        assert site.ask("PUT", "a", b"2", If_Match='"1"') == Answer(204, b"", '"2"')
        for tag in '"1"', "*", 'W/"2"', '"of another server"', '"' + "2" * 5_000 + '"':
            assert site.ask("PUT", "a", b"3", If_Match=tag).status == 412
        assert site.ask("PUT", "a", b"x" * 70_000).status == 413
        site.kill(1)
        for _ in range(4):
            assert site.ask("PUT", "a", b"4").status == 204
        assert site.ask("GET", "a") == Answer(200, b"4", '"6"')
        site.kill(2)
        assert site.ask("GET", "a").status == 503
        written = site.ask("PUT", "a", b"5").status
        assert written in (503, 504), "503 from a worker that has no session yet"
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_flask(tmp_path: Path) -> None:
    pytest.importorskip("flask", reason=f"flask {MISSING}")
    (tmp_path / "app.py").write_text(FLASK, encoding="utf-8")
    with cluster(tmp_path) as processes, chdir(tmp_path):
        found = runpy.run_path("app.py")
        browser = found["app"].test_client()
        assert browser.get("/keys/a").status_code == 404
        written = browser.put("/keys/a", data=b"1")
        assert (written.status_code, written.headers["ETag"]) == (204, '"1"')
        read = browser.get("/keys/a")
        assert (read.status_code, read.data) == (200, b"1")
        assert browser.put("/keys/a", data=b"x" * 70_000).status_code == 413
        for tag, status in ('"1"', 204), ('"1"', 412), ("*", 412):
            changed = browser.put("/keys/a", data=b"2", headers={"If-Match": tag})
            assert changed.status_code == status
        for me in 1, 2:
            os.kill(processes[me], signal.SIGKILL)
        assert browser.put("/keys/a", data=b"2").status_code == 504
        failed = browser.get("/keys/a")
        assert (failed.status_code, failed.headers["Retry-After"]) == (503, "1")
        found["kv"]().close()
