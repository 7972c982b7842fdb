"""One at a time, and thousands: decisions and commands of a log, beside PySyncObj and etcd.

Three processes each, on the loopback interface, with their files next to the project, which should
be on a real disk. The contestants take turns, each started anew, so that a machine whose speed
drifts moves them all; ratios compare those of one round. ``make bench`` runs it; see
``contestants/__init__.py`` for what is measured, and each contestant for how.

    python benchmarks/latency.py ROUNDS [SECONDS]
"""

# ruff: noqa: T201 - the table is this program's output

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from socket import AF_INET, SOCK_DGRAM, SOCK_STREAM, socket
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from attrs import field, frozen
from rich.console import Console
from rich.progress import track
from rich.table import Table

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
PYSYNCOBJ = "pysyncobj==0.3.17"
WIDTHS = 1_000, 10_000
START_S, STOP_S = 60.0, 10.0
HEADINGS = (
    *("", "durable", "p50, ms", "p99, ms", "p50 to floor", "p50 to etcd", "p99 to etcd"),
    *(it for width in WIDTHS for it in (f"{width:,} at once, /s", "to etcd")),
)


@frozen
class Contestant:
    """What is measured, by which script; ``servers`` are members that do not measure."""

    name: str
    script: str
    durable: str
    servers: int = 2
    ports: int = 3
    widths: tuple[int, ...] = (1, *WIDTHS)
    python: str = sys.executable
    environment: dict[str, str] = field(factory=dict[str, str])


@frozen
class Round:
    """What one contestant did in one round; ``rates`` a second, by how many are in flight."""

    p50_s: float | None
    p99_s: float | None
    rates: dict[int, float]


def contestants() -> Iterable[Contestant]:
    """All that are to be had; the others are skipped aloud."""
    yield Contestant("floor", "floor.py", "yes", widths=(1,), environment={"PHASES": "1"})
    yield Contestant("floor, two phases", "floor.py", "yes", widths=(1,))
    large = {"DATAGRAM_BYTES": "16384"}
    yield Contestant("log", "log.py", "yes")
    yield Contestant("log, 16 KiB", "log.py", "yes", environment=large)
    yield Contestant("log, follower", "log.py", "yes", environment={"WORK": "follow"})
    yield Contestant("log, reads", "log.py", "yes", environment={"WORK": "read"})
    leased = {"WORK": "read", "LEASE_S": "2"}
    yield Contestant("log, reads with a lease", "log.py", "yes", environment=leased)
    batched = {"WORK": "batches", **large}
    yield Contestant("log, batches", "log.py", "yes", widths=WIDTHS[1:], environment=batched)
    named = (1, WIDTHS[0])
    yield Contestant("decisions", "node.py", "yes", widths=named)
    reads = {"READS": "1"}
    yield Contestant("decisions, reads", "node.py", "yes", widths=named, environment=reads)
    if find_spec("uvloop"):
        uvloop = {"UVLOOP": "1"}
        yield Contestant("decisions, uvloop", "node.py", "yes", widths=named, environment=uvloop)
    else:
        print("skipping uvloop: it is not installed. It comes with the extra uvloop")
    if (python := pysyncobj()) is not None:
        yield Contestant("PySyncObj", "pysyncobj_peer.py", "no", python=python)
    missing = {"etcd": "etcd-server", "h2load": "nghttp2-client"}
    missing = {program: package for program, package in missing.items() if not which(program)}
    if not missing:
        # With more than 5,000 in flight it refuses: "too many requests".
        yield Contestant("etcd", "etcd.py", "yes", servers=3, ports=6, widths=named)
    else:
        print(
            f"skipping etcd: there is no {' and no '.join(missing)}. On Debian, .ci/packages "
            f"installs {' and '.join(missing.values())}, and starts no service"
        )


def pysyncobj() -> str | None:
    """The Python of an environment that has PySyncObj, made on the first call; None: no way."""
    home = BUILD / "pysyncobj"
    paths = sysconfig.get_paths("venv", vars={"base": str(home), "platbase": str(home)})
    python = Path(paths["scripts"]) / "python"
    if not (Path(paths["purelib"]) / "pysyncobj").exists():
        print(f"installing {PYSYNCOBJ} into an environment of its own")
        venv.create(home, with_pip=True, clear=True)
        pip = (python, "-m", "pip", "install", "--quiet", PYSYNCOBJ)
        if subprocess.run(pip, check=False).returncode:
            print(f"skipping {PYSYNCOBJ}: it could not be installed")
            return None
    return str(python)


def free_ports(count: int) -> list[int]:
    """Ports that are free for TCP and for UDP. They may be taken meanwhile; then a run fails."""
    with ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            stream, datagrams = (
                stack.enter_context(socket(AF_INET, kind)) for kind in (SOCK_STREAM, SOCK_DGRAM)
            )
            stream.bind(("127.0.0.1", 0))
            with suppress(OSError):
                datagrams.bind(stream.getsockname())
                found.append(stream.getsockname()[1])
        return found


def run(it: Contestant, seconds: int, width: int) -> list[float]:
    """Start it, measure it, stop it: how many seconds each answer took."""
    BUILD.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=BUILD) as folder, ExitStack() as stack:
        script, ports = HERE / "contestants" / it.script, json.dumps(free_ports(it.ports))
        command = it.python, str(script), folder, ports
        environment = {**os.environ, **it.environment}
        for me in range(1, it.servers + 1):
            server = subprocess.Popen(
                (*command, str(me)),
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(stop, server)
        done = subprocess.run(
            (*command, str(it.servers + 1), str(seconds), str(width)),
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=True,
            timeout=seconds + START_S,
        )
        taken: list[float] = json.loads(done.stdout)
        return taken


def stop(server: subprocess.Popen[bytes]) -> None:
    """End its standard input, and it ends; or else make it."""
    try:
        server.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.communicate()


def measure(it: Contestant, seconds: int) -> Round:
    """One turn."""
    taken = {width: run(it, seconds, width) for width in it.widths}
    lone = taken.pop(1, None)
    rates = {width: len(it) / seconds for width, it in taken.items()}
    if lone is None:
        return Round(None, None, rates)
    return Round(median(lone), quantiles(lone, n=100)[-1], rates)


def row(it: Contestant, rounds: dict[str, list[Round]]) -> tuple[str, ...]:
    """One line of the table."""

    def middle(figure: Callable[[Round], float | None], form: str = ",.2f") -> str:
        found = [x for one in rounds[it.name] if (x := figure(one)) is not None]
        return format(median(found), form) if found else ""

    def ratio(figure: Callable[[Round], float | None], other: str) -> str:
        pairs = zip(rounds[it.name], rounds.get(other, ()), strict=False)
        found = [(figure(one), figure(two)) for one, two in pairs]
        quotients = [x / y for x, y in found if x is not None and y]
        return f"{median(quotients):.2f}" if quotients else ""

    cells = [
        *(it.name, it.durable),
        middle(lambda it: it.p50_s and it.p50_s * 1e3),
        middle(lambda it: it.p99_s and it.p99_s * 1e3),
        ratio(lambda it: it.p50_s, "floor"),
        ratio(lambda it: it.p50_s, "etcd"),
        ratio(lambda it: it.p99_s, "etcd"),
    ]
    for width in WIDTHS:

        def rate(one: Round, width: int = width) -> float | None:
            return one.rates.get(width)

        cells += [middle(rate, ",.0f"), ratio(rate, "etcd")]
    return tuple(cells)


def main(count: str, seconds: str = "2") -> None:
    """Measure all in turns; print the table."""
    there = [*contestants()]
    rounds: dict[str, list[Round]] = defaultdict(list)
    turns = [it for _ in range(int(count)) for it in there]
    for it in track(turns, "latency", transient=True, disable=not sys.stdout.isatty()):
        rounds[it.name].append(measure(it, int(seconds)))
    table = Table(
        title=f"three processes, Python {sys.version.split()[0]}, medians of {count} rounds"
    )
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=not heading)
    for it in there:
        table.add_row(*row(it, rounds))
    # Cells that are cut off tell nothing: in a narrow terminal its lines wrap.
    Console(width=150).print(table)
    print("p50 and p99: one at a time; ratios of p50, and of rates; PySyncObj never syncs")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        why: object = error.stderr
        sys.exit(f"bench: {error}\n{why.decode() if isinstance(why, bytes) else why or ''}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
