"""``paxos cluster``: all servers of a cluster on this machine, each a process of its own.

- The first time it draws ports and a key, and makes the memories. All that is done before the file
  that describes the cluster gets its name. So a memory that is missing later was lost, and is never
  made again.
- A server that ends is not started again: look first why it has ended. It is said how.
- One that runs already is left alone.
- The servers end with this process, even if that is killed: they read from a pipe that it holds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from shlex import quote

import click

from paxos import ServerId
from paxos_adapters.file import FileStore
from paxos_adapters.limits import MAX_DEPLOYED
from paxos_adapters.node.control_client import NoReply, NotRunning, ask
from paxos_adapters.node.control_protocol import ControlError, StatusRequest
from paxos_adapters.node.deployment import Deployment, local
from paxos_adapters.outputs import create, sync
from paxos_adapters.printable import printable
from paxos_cli.config import (
    CONFIG,
    PROBE_S,
    described,
    node_command,
    protection_of,
)
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import BadArguments, Failure, failing
from paxos_cli.help import Command
from paxos_cli.keygen import keyring
from paxos_cli.options import LOG
from paxos_cli.output import say
from paxos_cli.paths import Folder

SERVERS = 5
KEYRING = "keyring"
PATIENCE_S = 10.0
"""How long a server may take to end before it is killed."""


@click.command(cls=Command, short_help="Run a cluster on this machine.")
@click.argument("folder", type=Folder(), default=Path())
@click.option(
    "--servers",
    type=click.IntRange(1, MAX_DEPLOYED),
    metavar="N",
    help="How many servers, the first time.  [default: 5]",
)
@click.option("--verbose", is_flag=True, help="Let them log more than what is wrong.")
@LOG
def cluster(folder: Path, servers: int | None, verbose: bool, log: str) -> ExitCode:
    """Run all servers of a cluster, with their memory in FOLDER, until Ctrl-C or SIGTERM.

    The first time it makes what they need: cluster.toml, a keyring, and a data file each. After
    that it goes on with what is there.
    """
    with failing():
        deployment = _deployment(folder, servers)
    if not deployment.data:
        raise BadArguments(f"{deployment.path} names no data file: no server of it runs here.")
    if servers not in (None, len(deployment.addresses)):
        size = len(deployment.addresses)
        raise BadArguments(f"{deployment.path} describes {size} servers, and not {servers}.")
    protection_of(deployment, warn=True)
    running = [me for me, data in deployment.data.items() if _runs(data)]
    if len(running) == len(deployment.data):
        raise Failure("this cluster runs already. paxos status shows how it is.")
    options = ["--until-eof", "--log", log, *["--verbose"] * verbose]
    return asyncio.run(_Supervisor(deployment, running, options).run())


def _deployment(folder: Path, servers: int | None) -> Deployment:
    """What runs in ``folder``; made if nothing ever did."""
    path, unfinished = folder / CONFIG, folder / f"{CONFIG}-new"
    if not os.path.lexists(path):
        folder.mkdir(parents=True, exist_ok=True)
        if not unfinished.exists():
            _prepare(folder, unfinished, SERVERS if servers is None else servers)
        drafted = described(unfinished)
        for me, data in drafted.data.items():
            if not data.exists():
                FileStore.create(
                    data,
                    cluster=drafted.name,
                    server=me,
                    quorum=drafted.quorum,
                    membership=drafted.membership,
                ).close()
        os.link(unfinished, path)  # Unlike a rename, it replaces nothing.
        unfinished.unlink()
        sync(folder)
    return described(path)


def _prepare(folder: Path, unfinished: Path, servers: int) -> None:
    for number in range(1, servers + 1):
        if (data := folder / f"n{number}.db").exists():
            raise BadArguments(
                f"{data} is there, and {folder / CONFIG} is not: choose another folder, or bring "
                "that file back."
            )
    if not os.path.lexists(folder / KEYRING):
        create(folder / KEYRING, keyring().encode())
    Deployment(folder / CONFIG, "", {}, {}, folder / KEYRING).protection()
    create(
        unfinished,
        local(f"local-{token_hex(3)}", map(ServerId, range(1, servers + 1)), KEYRING).encode(),
    )


def _runs(data: Path) -> bool:
    """Whether somebody answers there, or hangs."""
    try:
        ask(data, StatusRequest(), patience_s=PROBE_S)
    except NoReply:
        return True
    except (NotRunning, ControlError):
        return False
    return True


class _Supervisor:
    """The processes of the servers, and what is said of them."""

    def __init__(
        self, cluster: Deployment, running: Sequence[ServerId], options: list[str]
    ) -> None:
        self._cluster = cluster
        self._running = running
        self._options = options
        self._processes: dict[ServerId, Process] = {}
        self._told = asyncio.Event()
        self._were_ready: list[ServerId] = []

    async def run(self) -> ExitCode:
        """Start them, say what becomes of them, stop them when told to."""
        loop = asyncio.get_running_loop()
        for it in signal.SIGINT, signal.SIGTERM:
            loop.add_signal_handler(it, self._told.set)
        told, working = map(asyncio.ensure_future, (self._told.wait(), self._work()))
        await asyncio.wait({told, working}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        working.cancel()
        await asyncio.gather(told, working, return_exceptions=True)
        await self._stop()
        if self._told.is_set():
            return ExitCode.DONE
        await working
        say(self._ending())
        return ExitCode.FAILED

    async def _work(self) -> None:
        """Until all of them have ended."""
        for me in sorted({*self._cluster.data} - {*self._running}):
            self._processes[me] = await self._start(me)
        size = len(self._cluster.addresses)
        say(f"Cluster {printable(self._cluster.name)}: {_size(size)}.")
        for me in self._running:
            say(f"  server {me}  runs already")
        self._were_ready = [me for me, it in self._processes.items() if await _is_ready(it)]
        if self._were_ready:
            self._explain()
        await asyncio.gather(*map(self._watch, self._processes))

    async def _start(self, me: ServerId) -> Process:
        where = ["--id", str(me), "--cluster", str(self._cluster.path)]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "paxos_cli", "node", *where, *self._options),
            stdin=PIPE,
            stdout=PIPE,
            start_new_session=True,  # Ctrl-C is for this process; it tells them.
        )

    def _explain(self) -> None:
        path = self._cluster.path
        say("\nTalk to them from another terminal:")
        if path != Path(CONFIG):
            say(f"  export PAXOS_CLUSTER={quote(str(path.resolve()))}")
        say("  paxos propose leader me")
        say("  paxos read leader")
        say("  paxos kv put colour blue")
        say("  paxos kv get colour")
        say("  paxos status")
        say("Kill one: kill -9 PID. Stop all of them: Ctrl-C, here.\n")

    async def _watch(self, me: ServerId) -> None:
        process = self._processes[me]
        code = await process.wait()
        if self._told.is_set():
            return
        again = f"tart it again, in another terminal:\n  {node_command(self._cluster.path, me)}"
        if me not in self._were_ready:
            say(f"Server {me} was not started, for the reason above.")
        elif code < 0:
            say(f"Server {me} was ended by {_name(-code)}. S{again}")
        elif code == 0:
            say(f"Server {me} was told to end. S{again}")
        else:
            say(f"Server {me} ended with code {code}. Fix the error above, then s{again}")

    async def _stop(self) -> None:
        running = {me: it for me, it in self._processes.items() if it.returncode is None}
        for process in running.values():
            process.terminate()
        for me, process in running.items():
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await process.wait()
            except TimeoutError:
                say(f"Server {me} did not end within {PATIENCE_S:.0f} s, and was killed.")
                process.kill()
                await process.wait()
        if running:
            stopped = ", ".join(map(str, running))
            say(f"\nStopped: servers {stopped}. {self._again()} goes on with their memory.")

    def _ending(self) -> str:
        """What to say when all have ended: to start again helps only after a kill."""
        if not self._were_ready:
            return "No server was started. Fix the errors above first."
        codes = [self._processes[me].returncode or 0 for me in self._were_ready]
        first = "Fix the errors above; then " if max(codes) > 0 else ""
        return f"No server runs any more. {first}{self._again()} starts them again."

    def _again(self) -> str:
        folder = self._cluster.path.parent
        return "paxos cluster" + ("" if folder == Path() else f" {quote(str(folder))}")


async def _is_ready(process: Process) -> bool:
    """Wait until it says that it is there, and pass that on; False if it has ended."""
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode(errors="backslashreplace")
    if line:
        say(f"  {line.rstrip()}")
    return bool(line)


def _size(servers: int) -> str:
    if servers == 1:
        return "1 server, which may not fail"
    return f"{servers} servers, of which {(servers - 1) // 2 or 'none'} may fail"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
