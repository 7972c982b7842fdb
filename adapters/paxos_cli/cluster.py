"""``paxos cluster``: all servers of a cluster on this machine, each a process of its own.

- The first time it draws ports and a key, and makes the memories. All that is done before the file
  that describes the cluster gets its name. So a memory that is missing later was lost, and is never
  made again.
- A server that ends is not started again: look first why it has ended. It is said how.
- How many servers there are, the servers know: the file has those that were removed, too.
- One that runs already is left alone.
- The servers end with this process, even if that is killed: they read from a pipe that it holds.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from shlex import quote

import click

from paxos import PaxosError, ServerId
from paxos_adapters.file import FileStore
from paxos_adapters.limits import MAX_DEPLOYED
from paxos_adapters.node.control_client import NoReply, NotRunning, ask
from paxos_adapters.node.control_protocol import (
    ControlError,
    MembersReply,
    MembersRequest,
    StatusRequest,
)
from paxos_adapters.node.deployment import Deployment, local
from paxos_adapters.node.members import MembersStatus
from paxos_adapters.outputs import create, sync
from paxos_adapters.printable import printable
from paxos_adapters.words import counted
from paxos_adapters.words import servers as named
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
from paxos_cli.node import removed
from paxos_cli.options import LOG, whole
from paxos_cli.output import say
from paxos_cli.paths import Folder

SERVERS = 5
KEYRING = "keyring"
PATIENCE_S = 10.0
"""How long a server may take to end before it is killed."""


@click.command(cls=Command, short_help="Run a cluster on this machine.")
@click.argument("folder", type=Folder(), default=Path())
@whole("--servers", 1, MAX_DEPLOYED, "How many servers, the first time.  [default: 5]")
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
    if servers not in (None, size := len(deployment.addresses)):
        described_as = f"describes {counted(size, 'server')}, and not {servers}"
        raise BadArguments(f"{deployment.path} {described_as}.")
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


class _Server:
    """The process of one server. ``was_ready``: it has said that it listens."""

    def __init__(self, me: ServerId, process: Process) -> None:
        self.process = process
        self.was_ready = self.was_removed = False
        self._removed = removed(me)

    async def wait_ready(self) -> None:
        """Wait until it says that it is there, and pass that on; or until it has ended."""
        line = await self._hear()
        self.was_ready = bool(line) and not self.was_removed
        if self.was_ready:
            say(f"  {line.rstrip()}")

    async def wait_ended(self) -> int:
        """Wait until it has ended, and return its code."""
        while await self._hear():
            pass
        return await self.process.wait()

    async def _hear(self) -> str:
        """The next line that it says; empty if there are no more."""
        assert self.process.stdout is not None
        line = (await self.process.stdout.readline()).decode(errors="backslashreplace")
        self.was_removed |= line.rstrip() == self._removed
        return line


class _Supervisor:
    """The processes of the servers, and what is said of them."""

    def __init__(
        self, cluster: Deployment, running: Sequence[ServerId], options: list[str]
    ) -> None:
        self._cluster = cluster
        self._running = running
        self._options = options
        self._started: dict[ServerId, _Server] = {}
        self._told = asyncio.Event()

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
        return self._end()

    async def _work(self) -> None:
        """Until all of them have ended."""
        for me in sorted({*self._cluster.data} - {*self._running}):
            self._started[me] = _Server(me, await self._start(me))
        say(f"Cluster {printable(self._cluster.name)}:")
        for me in self._running:
            say(f"  server {me}  runs already")
        for it in self._started.values():
            await it.wait_ready()
        if ready := [me for me, it in self._started.items() if it.was_ready]:
            files = [self._cluster.data[me] for me in (*self._running, *ready)]
            if members := await asyncio.to_thread(_members, files):
                say(f"{_size(members)}.")
            if any(it.process.returncode is None for it in self._started.values()):
                self._explain()
        await asyncio.gather(*map(self._watch, self._started))

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
        server = self._started[me]
        code = await server.wait_ended()
        if self._told.is_set():
            return
        again = f"tart it again, in another terminal:\n  {node_command(self._cluster.path, me)}"
        if server.was_removed:
            say(f"Server {me} was removed from the cluster. Its data file is not needed any more.")
        elif not server.was_ready:
            say(f"Server {me} was not started, for the reason above.")
        elif code < 0:
            say(f"Server {me} was ended by {_name(-code)}. S{again}")
        elif code == 0:
            say(f"Server {me} was told to end. S{again}")
        else:
            say(f"Server {me} ended with code {code}. Fix the error above, then s{again}")

    async def _stop(self) -> None:
        started = {me: it.process for me, it in self._started.items()}
        running = {me: it for me, it in started.items() if it.returncode is None}
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
            say(f"\nStopped: {named(running)}. {self._again()} goes on with their memory.")

    def _end(self) -> ExitCode:
        """Say what it means that all have ended: to start again helps only after a kill."""
        left = {me: it for me, it in self._started.items() if not it.was_removed}
        if not left:
            say("All others run already." if self._running else "All servers here were removed.")
            return ExitCode.DONE
        codes = [it.process.returncode or 0 for it in left.values() if it.was_ready]
        if not codes:
            say("No server was started. Fix the errors above first.")
        else:
            which = "that was started here " if self._running else ""
            first = "Fix the errors above; then " if max(codes) > 0 else ""
            again = f"{self._again()} starts {named(left)} again"
            say(f"No server {which}runs any more. {first}{again}.")
        return ExitCode.FAILED

    def _again(self) -> str:
        folder = self._cluster.path.parent
        return "paxos cluster" + ("" if folder == Path() else f" {quote(str(folder))}")


def _members(files: Iterable[Path]) -> int:
    """How many members there are, by the server that knows of the latest change; 0: none answers.

    It asks those on the data ``files``.
    """
    told: list[MembersStatus] = []
    for file in files:
        with suppress(PaxosError):
            answer = ask(file, MembersRequest(), patience_s=PROBE_S)
            if isinstance(answer, MembersReply):
                told.append(answer.members)
    newest = max(told, key=lambda it: it.epoch, default=None)
    return 0 if newest is None else len(newest.addresses)


def _size(members: int) -> str:
    if members == 1:
        return "1 server, which may not fail"
    return f"{members} servers, of which {(members - 1) // 2 or 'none'} may fail"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
