"""``paxos node``: one server, in the foreground, until it is told to end.

What goes wrong below it is said with what to type about it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

import click
from attrs import evolve, frozen

from paxos import PaxosError, ServerId
from paxos_adapters.arguments import BadNumber
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore, NotALog, StoreExists, StoreNotFound, WrongMembers
from paxos_adapters.file.errors import REJOIN
from paxos_adapters.file.mark import mark_path, peek
from paxos_adapters.host import ServerStopped
from paxos_adapters.node import Insecure, NetworkConfig, Node, Removed
from paxos_adapters.node.control import serve
from paxos_adapters.node.control_protocol import socket_path
from paxos_adapters.node.deployment import Deployment
from paxos_adapters.outputs import RECORDING, OutputRefused, check, files_of
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.timeouts import DEFAULT_TIMEOUTS, Lease, Timeouts
from paxos_adapters.udp.addresses import format_address, parse
from paxos_adapters.udp.endpoint import Address, AddressError
from paxos_cli import health, logs
from paxos_cli.config import (
    CLUSTER,
    DATA,
    data_of,
    described,
    node_command,
    protection_of,
)
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import BadArguments, Failure
from paxos_cli.help import Command
from paxos_cli.options import LOG, gathered
from paxos_cli.output import say
from paxos_cli.paths import OutputFile
from paxos_lab.record import Recorder, RecordingError
from paxos_lab.record.recorder import older

_logger = logging.getLogger(__name__)

KEY_VALUES = "kv"
"""The log that every server runs once it is asked for: a key-value map."""

ALONE_S = 10.0
"""After how long a server that has heard no other one says so."""

KEPT = 1
"""How many older parts of a recording stay."""


@frozen
class Options:
    """Which server, and how it runs."""

    me: int
    cluster: Path
    data: Path | None
    create: bool
    listen: str | None
    insecure: bool
    strict: bool
    lease_s: float | None
    drift: float | None
    record: Path | None
    record_mib: int
    until_eof: bool


@click.command(cls=Command, short_help="Run one server of a cluster.")
@click.option(
    "--id", "me", type=int, metavar="ID", required=True, help="Which server of the cluster."
)
@CLUSTER
@DATA
@click.option("--create", is_flag=True, help="Create the data file of a server that has never run.")
@click.option("--listen", metavar="HOST:PORT", help="Listen here, if not at its own address.")
@click.option("--insecure", is_flag=True, help="Allow unauthenticated traffic beyond loopback.")
@click.option(
    "--strict",
    is_flag=True,
    help="Vote only once it is proven that no older copy of the data file has voted.",
)
@click.option(
    "--lease-s",
    type=float,
    metavar="SECONDS",
    help="Let the leader of a log answer reads alone for so long. Takes --drift.",
)
@click.option(
    "--drift",
    type=float,
    metavar="PART",
    help="How far off the clock of each server is at most: 0.01 is a hundredth of the time.",
)
@click.option(
    "--record",
    type=OutputFile(RECORDING),
    metavar="FILE",
    help="Record what happens, at the end of FILE; paxos replay plays it again.",
)
@click.option(
    "--record-mib",
    type=click.IntRange(1),
    metavar="MIB",
    default=64,
    show_default=True,
    help="How large FILE may become, in MiB, before it is FILE.1, and a new one is begun.",
)
@click.option("--until-eof", is_flag=True, help="End when the standard input ends, too.")
@click.option("--verbose", is_flag=True, help="Log more than what is wrong.")
@LOG
@gathered(Options)
def node(options: Options, verbose: bool, log: str) -> ExitCode:
    """Run server ID of the cluster until Ctrl-C or SIGTERM.

    Prints one line when it listens. A data file that is missing is never taken for a new server:
    --create makes the file of a server that has never run.
    """
    deployment, server = described(options.cluster), ServerId(options.me)
    path = data_of(deployment, server, options.data)
    listen = None if options.listen is None else _address(options.listen)
    timeouts = _timeouts(options)
    if options.record is not None:
        _check_place(options.record, [*deployment.files, *files_of(path)])
    if options.until_eof:
        _require_pollable_stdin()
    logs.configure(server, as_json=log == "json", verbose=verbose)
    try:
        with _advice(options, path):
            return _serve(options, deployment, path, listen, timeouts)
    except ServerStopped as error:
        if isinstance(error.cause, Removed):
            say(removed(server))
            if log != "json" and not options.until_eof:  # Else the log has it, or who waits knows.
                say(f"paxos: {error.cause}", err=True)
            return ExitCode.DONE
        if log == "json":
            return ExitCode.FAILED  # That line is in the log, and nothing else should be.
        again = f"Then start it again: {node_command(options.cluster, server)}"
        why = str(error.cause).rstrip(".")
        raise Failure(f"server {server} has stopped for good: {why}. {again}") from error


def removed(server: ServerId) -> str:
    """The last line of a server that was removed, also for the process that waits for it."""
    return f"server {server}  was removed"


def _timeouts(options: Options) -> Timeouts:
    """With a lease if one is asked for. Raises BadArguments."""
    if options.lease_s is None and options.drift is None:
        return DEFAULT_TIMEOUTS
    if options.lease_s is None or options.drift is None:
        what = "a lease takes both --lease-s and --drift: it rests on the clocks of the servers."
        raise BadArguments(what)
    try:
        return evolve(DEFAULT_TIMEOUTS, lease=Lease(options.lease_s, options.drift))
    except BadNumber as error:
        option = "--drift" if error.what == "drift" else "--lease-s"
        raise BadArguments(f"{option}: {error}") from error


def _serve(
    options: Options,
    deployment: Deployment,
    path: Path,
    listen: Address | None,
    timeouts: Timeouts,
) -> ExitCode:
    """Open the data file, and run the server until it ends."""
    # The process that waits for an end of its input has warned of all servers, once.
    protection = protection_of(deployment, warn=not options.until_eof)
    with (
        _file(options, deployment, path) as file,
        _recorder(options, deployment.name) as recorder,
    ):
        network = NetworkConfig(
            deployment.addresses,
            joined=deployment.joined,
            listen=listen,
            protection=protection,
            insecure=options.insecure,
            strict=options.strict,
        )
        running = Node(file, network, codec=RAW, timeouts=timeouts, observer=recorder)
        return asyncio.run(_run(running, options.until_eof))


def _file(options: Options, deployment: Deployment, path: Path) -> FileStore:
    """The memory of the server, opened or made."""
    server, cluster, quorum = ServerId(options.me), deployment.name, deployment.quorum
    membership = deployment.membership
    if not options.create:
        return FileStore.open(
            path, cluster=cluster, server=server, quorum=quorum, membership=membership
        )
    return FileStore.create(
        path,
        cluster=cluster,
        server=server,
        quorum=quorum,
        membership=membership,
        joining=server in deployment.joined,
    )


@contextmanager
def _advice(options: Options, path: Path) -> Generator[None, None, None]:
    """What goes wrong in here ends the command, with what to type about it."""
    server, cluster = ServerId(options.me), options.cluster
    try:
        yield
    except StoreNotFound as error:
        raise Failure(_missing_store_message(error, server)) from error
    except StoreExists as error:
        hint = " Leave out --create to open it." if path.exists() else ""
        raise Failure(f"{error}{hint}") from error
    except AddressError as error:
        is_own = options.listen is None
        whose = f"the address of server {server} in {cluster}" if is_own else "what --listen says"
        raise Failure(_address_error_message(error, whose)) from error
    except WrongMembers as error:
        hint = f"In {cluster} a server that was added later has joined = true, and no founder has."
        raise Failure(f"{error} {hint}") from error
    except Insecure as error:
        hint = f"A keyring is named in {cluster}; without one it takes --insecure."
        raise Failure(f"{error} {hint}") from error
    except ServerStopped:
        raise
    except (PaxosError, OSError) as error:
        raise Failure(error) from error


def _check_place(record: Path, files: Sequence[Path]) -> None:
    """Raise BadArguments if the recording, or its older part, would be one of ``files``."""
    try:
        for number in range(KEPT + 1):
            check(older(record, number), RECORDING, keep_out=files)
    except OutputRefused as error:
        raise BadArguments(f"--record: {error}") from error


def _require_pollable_stdin() -> None:
    """Raise BadArguments if nobody can tell when the standard input ends."""
    try:
        with DefaultSelector() as selector:
            selector.register(sys.stdin, EVENT_READ)
    except (OSError, ValueError):
        what = "the standard input is closed, or cannot be waited for. Give it a pipe."
        raise BadArguments(f"--until-eof: {what}") from None


def _address_error_message(error: AddressError, whose: str) -> str:
    """A file and a command line have no port 0, which stands for any that is free."""
    cause = error.__cause__
    why = (cause.strerror if isinstance(cause, OSError) else None) or cause
    return (
        f"{format_address(error.address)}, {whose}, cannot be used here ({why}). Name an address "
        "of this machine that no other process listens on."
    )


def _missing_store_message(error: StoreNotFound, me: ServerId) -> str:
    """What to do about a memory that is not there: that depends on whether it ever was."""
    path = error.path
    if _has_run(path):
        return (
            f"{path} is {'empty' if path.exists() else 'gone'}, and server {me} has run before, as "
            f"{mark_path(path).name} beside it tells. If it was moved, bring it back. If not, "
            f"its memory is lost. {REJOIN} See docs/lost-server.md."
        )
    first = "remove that file, and " if path.exists() else ""
    return f"{error} If server {me} has never run, {first}let it begin: --create."


def _has_run(path: Path) -> bool:
    """Whether the mark beside ``path`` says so, or cannot be read any more."""
    try:
        return peek(path.resolve()).saves > 0
    except FileNotFoundError:
        return False
    except (PaxosError, OSError):
        return True


@contextmanager
def _recorder(options: Options, cluster: str) -> Generator[Recorder[bytes] | None, None, None]:
    if options.record is None:
        yield None
        return
    facts, max_bytes = {"cluster": cluster}, options.record_mib << 20
    try:
        recorder = Recorder(
            options.record, codec=RAW, runtime="node", facts=facts, max_bytes=max_bytes, keep=KEPT
        )
    except (RecordingError, OutputRefused, OSError) as error:
        raise BadArguments(f"--record: {error}") from error
    with recorder:
        yield recorder


def _address(listen: str) -> Address:
    try:
        return parse("--listen", listen, is_listening=True)
    except ValueError as error:
        raise BadArguments(str(error)) from error


async def _run(running: Node[bytes], until_eof: bool) -> ExitCode:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for it in signal.SIGINT, signal.SIGTERM:
        loop.add_signal_handler(it, told.set)
    if until_eof:
        loop.add_reader(sys.stdin, _read_on, told)
    async with running, _key_values(running), serve(running, socket_path(running.file.path)):
        host, port, *_ = running.place
        at = format_address((str(host), int(port)))
        say(f"server {running.me}  {at}  pid {os.getpid()}  {running.file.path.name}")
        sys.stdout.flush()
        facts = {"event": "started", "server": running.me}
        _logger.info("%s listens at %s", running.file.identity, at, extra=facts)
        await _until(told, running)
        _logger.info("it was told to end", extra=facts | {"event": "told to end"})
    if not until_eof:  # Else nobody may read it any more.
        say(f"server {running.me}  has ended")
    return ExitCode.DONE


@asynccontextmanager
async def _key_values(running: Node[bytes]) -> AsyncGenerator[None, None]:
    """Take part in the key-value log: from when a client or another server first asks for it."""
    wanted = asyncio.Event()
    if running.file.has_log(KEY_VALUES):
        wanted.set()
    running.on_missing_log(lambda name: wanted.set() if name == KEY_VALUES else None)
    taking_part = running.guard.task(lambda: _take_part(running, wanted))
    try:
        yield
    finally:
        taking_part.cancel()
        await asyncio.gather(taking_part, return_exceptions=True)


async def _take_part(running: Node[bytes], wanted: asyncio.Event) -> None:
    await wanted.wait()
    try:
        async with running.log(KEY_VALUES, KEY_VALUE):
            await running.stopped()
    except NotALog as error:
        facts = {"event": "no log", "server": running.me}
        _logger.warning("paxos kv does not work here: %s", error, extra=facts)


def _read_on(told: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        asyncio.get_running_loop().remove_reader(sys.stdin)
        told.set()


async def _until(told: asyncio.Event, running: Node[bytes]) -> None:
    """Wait for it. Raises ServerStopped when the server has stopped by itself."""
    being_told = asyncio.ensure_future(told.wait())
    stopping = asyncio.ensure_future(running.stopped())
    warning = running.guard.task(lambda: _warn_if_alone(running))
    try:
        await asyncio.wait({being_told, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.done():
            raise stopping.result()
    finally:
        for waiting in being_told, stopping, warning:
            waiting.cancel()


async def _warn_if_alone(running: Node[bytes]) -> None:
    """Say once what to check if no other server has been heard by then."""
    await asyncio.sleep(ALONE_S)
    status = running.status()
    if health.is_alone(status):
        facts = {"event": "alone", "server": running.me}
        for it in *health.changes(status, running.members.status()), *health.warnings(status):
            _logger.warning("%s", it, extra=facts)
