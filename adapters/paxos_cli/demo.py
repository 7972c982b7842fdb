"""``paxos demo``: rival proposers reach a decision, and every message of it is shown.

With ``--data`` the servers keep their memory in files: stopped half way and started again, they
come to the decision that they had come to, if they had. With ``--log`` they replicate a log.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from shlex import quote

import click
from attrs import frozen

from paxos import (
    Acceptor,
    MaxRound,
    PaxosError,
    Proposal,
    Saved,
    ServerId,
    UsageError,
    majority,
    server,
)
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import Decision, FileStore, StoreError, inspect
from paxos_adapters.memory import Cluster, Delivery
from paxos_adapters.outputs import files_of
from paxos_adapters.single import SingleObserver
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.demo_log import LEAST_SERVERS, replicate
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure
from paxos_cli.help import Command
from paxos_cli.options import PLAIN, gathered, refuse_with_log, whole
from paxos_cli.paths import Folder
from paxos_cli.recording import record_option, recording
from paxos_lab.machines.protocols import PAXOS, VALUES
from paxos_lab.observers import Observers
from paxos_lab.record import Recorder, SingleTrace, Trace, single_timeline

MAX_SERVERS = 9
DECISION, CLUSTER = "colour", "demo of "

Record = server.Record[str]


class NotText(UsageError, ValueError):
    """A file holds a value that is not text."""

    def __init__(self, memory: Decision, cause: UnicodeDecodeError) -> None:
        super().__init__(
            f"{memory.file.path} holds a value that is not text ({cause}), and the demo shows "
            "text. Name another folder; paxos inspect shows any value."
        )


@frozen
class TextMemory:
    """A store for text, on one for bytes."""

    memory: Decision

    def load(self) -> Saved[Record]:
        """What was saved, decoded. Raises NotText."""
        try:
            return Saved(tuple(_decoded(record) for record in self.memory.load().records))
        except UnicodeDecodeError as error:
            raise NotText(self.memory, error) from error

    def save(self, records: tuple[Record, ...]) -> Saved[Record]:
        """Save all of ``records``, encoded."""
        self.memory.save(tuple(_encoded(record) for record in records))
        return Saved(records)


def _encoded(record: Record) -> server.Record[bytes]:
    if type(record) is MaxRound:
        return record
    held = record.accepted
    accepted = None if held is None else Proposal(held.ballot, TEXT.encode(held.value))
    return Acceptor(record.promised, accepted)


def _decoded(record: server.Record[bytes]) -> Record:
    if type(record) is MaxRound:
        return record
    held = record.accepted
    accepted = None if held is None else Proposal(held.ballot, TEXT.decode(held.value))
    return Acceptor(record.promised, accepted)


@frozen
class Demo:
    """What to run: options of the command."""

    servers: int | None
    proposers: int | None
    seed: int | None
    data: Path | None
    stop_after: int | None
    log: bool


@click.command(cls=Command, short_help="Let rival proposers reach a decision, and draw it.")
@whole("--servers", 1, MAX_SERVERS, "How many servers.  [default: 5]")
@whole(
    "--proposers",
    1,
    MAX_SERVERS,
    "How many of them propose, each its own value.  [default: 2, or 1 of 1]",
)
@click.option("--seed", type=int, metavar="N", help="Repeat a run: it decides who starts when.")
@click.option(
    "--data",
    type=Folder(),
    metavar="DIR",
    help="Keep the servers' memory in files, and start from those that are there.",
)
@click.option(
    "--stop-after", type=click.IntRange(0), metavar="N", help="Stop all servers after N messages."
)
@click.option("--log", is_flag=True, help="Replicate a counter instead; its leader crashes.")
@record_option
@PLAIN
@gathered(Demo)
def demo(options: Demo, record: Path | None, plain: bool) -> ExitCode:
    """Let rival proposers reach a decision in memory, and draw what was said."""
    drawing = canvas(plain)
    if options.log:
        return _replicate(options, record, drawing)
    data, servers = options.data, _servers(options.servers, options.data)
    proposers = min(2, servers) if options.proposers is None else options.proposers
    if proposers > servers:
        raise click.BadParameter(
            f"{proposers} proposers need at least as many servers, and there are {servers}.",
            param_hint="'--proposers'",
        )
    seed = Random().randrange(1000) if options.seed is None else options.seed
    trace: SingleTrace[str] = Trace()
    facts = {"seed": str(seed)}
    with (
        recording(record, "memory", PAXOS, facts, keep_out=_files(data, servers)) as recorder,
        _cluster(servers, seed, data, _observer(trace, recorder)) as cluster,
    ):
        drawing.write(f"Servers: {servers}, proposers: {proposers}, seed: {seed}. Time runs down.")
        if data is not None and any(it.acceptor.promised.round for it in trace.states.values()):
            drawing.knowledge(f"What the files in {data} hold", single_timeline(trace))
            drawing.write()
        messages = play(
            cluster, rivals(cluster.servers, proposers), Random(seed), options.stop_after
        )
        told = single_timeline(trace)
        drawing.legend("event")
        drawing.timeline(told.delivered, width=9 if servers <= 5 else 5)
        drawing.knowledge("Who knows what", told)
        if options.stop_after is not None and messages >= options.stop_after:
            return _stopped(drawing, messages, data, proposers)
        return _verdict(cluster, messages, drawing)


def _replicate(options: Demo, record: Path | None, drawing: Canvas) -> ExitCode:
    refuse_with_log(
        proposers=options.proposers is not None,
        data=options.data is not None,
        stop_after=options.stop_after is not None,
        record=record is not None,
    )
    servers = LEAST_SERVERS if options.servers is None else options.servers
    if servers < LEAST_SERVERS:
        raise click.BadParameter(
            f"the leader crashes, and a majority must be left: {LEAST_SERVERS} at least.",
            param_hint="'--servers'",
        )
    seed = Random().randrange(1000) if options.seed is None else options.seed
    return replicate(drawing, servers, seed)


def _observer(trace: SingleTrace[str], recorder: Recorder[str] | None) -> SingleObserver[str]:
    return trace if recorder is None else Observers((trace, recorder))


def _file(data: Path, number: int) -> Path:
    return data / f"s{number}.db"


def _files(data: Path | None, servers: int) -> Iterator[Path]:
    """Every file of the servers in ``data``, there or not."""
    if data is not None:
        for number in range(1, servers + 1):
            yield from files_of(_file(data, number))


def _servers(asked: int | None, data: Path | None) -> int:
    """As many as the first file says, or else as asked."""
    first = None if data is None else _file(data, 1)
    if first is None or not first.exists():
        return asked or 5
    try:
        there = int(inspect(first).identity.cluster.removeprefix(CLUSTER))
    except (StoreError, ValueError) as error:
        raise Failure(str(error)) from error
    if asked not in (None, there):
        raise click.BadParameter(
            f"{data} has the memory of {there} servers: ask for as many, or name another folder.",
            param_hint="'--servers'",
        )
    return there


@contextmanager
def _cluster(
    servers: int, seed: int, data: Path | None, observer: SingleObserver[str]
) -> Generator[Cluster[str], None, None]:
    if data is None:
        yield Cluster(servers=servers, seed=seed, observer=observer)
        return
    try:
        with ExitStack() as open_files:
            data.mkdir(parents=True, exist_ok=True)
            files = {
                ServerId(number): open_files.enter_context(_memory(data, number, servers))
                for number in range(1, servers + 1)
            }
            yield Cluster(
                servers=servers,
                seed=seed,
                stores=lambda me: TextMemory(files[me].decision(DECISION)),
                observer=observer,
            )
    except (PaxosError, OSError) as error:
        raise Failure(str(error)) from error


def _memory(data: Path, number: int, servers: int) -> FileStore:
    """The file of a server: a new one as long as no server of the folder has saved anything."""
    path, cluster = _file(data, number), f"{CLUSTER}{servers}"
    others = (_file(data, it) for it in range(1, servers + 1))
    is_new = not path.exists() and not any(it.exists() and inspect(it).records for it in others)
    take = FileStore.create if is_new else FileStore.open
    quorum = majority(map(ServerId, range(1, servers + 1)))
    return take(path, cluster=cluster, server=ServerId(number), quorum=quorum)


def rivals(servers: tuple[ServerId, ...], proposers: int) -> tuple[ServerId, ...]:
    """The servers that propose: from both ends, so that their messages have some way to go."""
    ends = [server for pair in zip(servers, reversed(servers), strict=True) for server in pair]
    return tuple(dict.fromkeys(ends))[:proposers]


def play(
    cluster: Cluster[str],
    proposers: tuple[ServerId, ...],
    random: Random,
    stop_after: int | None = None,
) -> int:
    """Start the proposers at random moments of one another's work; run until all is said.

    Or until ``stop_after`` messages have arrived. Returns how many have.
    """
    first, *others = proposers
    moments = range(4 * len(cluster.servers))
    pending = sorted([(0, first), *((random.choice(moments), other) for other in others)])
    messages = begun = 0
    while stop_after is None or messages < stop_after:
        is_due = bool(pending) and pending[0][0] <= messages + begun
        event = None if is_due else cluster.step()
        if event is not None:
            messages += isinstance(event, Delivery)
        elif pending:
            me = pending.pop(0)[1]
            cluster.propose(me, VALUES[proposers.index(me)])
            begun += 1
        else:
            break
    return messages


def _stopped(drawing: Canvas, messages: int, data: Path | None, proposers: int) -> ExitCode:
    drawing.write(f"All servers stopped after {messages} messages, as asked.")
    if data is not None:
        drawing.write(f"Their memory is in {data}. To start them again:")
        more = "" if proposers == 2 else f" --proposers {proposers}"
        drawing.write(f"paxos demo --data {quote(str(data))}{more}")
    return ExitCode.DONE


def _verdict(cluster: Cluster[str], messages: int, drawing: Canvas) -> ExitCode:
    known = set(cluster.chosen.values())
    informed, servers = len(cluster.chosen), len(cluster.servers)
    agree = len(known) == 1 and informed == servers
    verdict = f"agreed on {known.pop()}" if agree else f"no agreement: {cluster.chosen}"
    drawing.write(f"After {messages} messages, {informed} of {servers} know: {verdict}.")
    return ExitCode.DONE if agree else ExitCode.FAILED
