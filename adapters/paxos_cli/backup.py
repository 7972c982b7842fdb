"""``paxos backup``: one file of what a cluster knows, from servers of this machine that run.

- Each log as it was applied after some slot, with at least all that was answered before.
- Each decision by a quorum read of its name. The names are those in the files of the servers of
  this machine; it is said whether that is every name that was decided.
- The file gets its name once it is whole and on the disk. Whatever ends the command before leaves
  nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from heapq import merge
from itertools import groupby, islice
from pathlib import Path

import click
from attrs import frozen

from paxos_adapters.backup.archive import Backup, Decision, Header, LogHead, Writing
from paxos_adapters.backup.errors import LogsNotRunning
from paxos_adapters.node.control_client import NoReply, NotRunning, answers
from paxos_adapters.node.control_protocol import (
    ChosenReply,
    ContentsReply,
    ContentsRequest,
    ErrorReply,
    NotChosenReply,
    PieceReply,
    ReadRequest,
    SnapshotReply,
    SnapshotRequest,
)
from paxos_adapters.outputs import NEW, create_in_parts, sync
from paxos_adapters.printable import json_text, printable
from paxos_adapters.words import servers
from paxos_cli.asking import (
    GRACE_S,
    Target,
    answer_of,
    asks,
    candidates,
    find,
    refused,
    timeout,
    unexpected,
)
from paxos_cli.config import PROBE_S
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, Interrupted, failing
from paxos_cli.feedback import waiting
from paxos_cli.help import Command
from paxos_cli.interrupt import on_interrupt
from paxos_cli.options import JSON
from paxos_cli.output import say
from paxos_cli.paths import OutputFile

READS_AT_A_TIME = 16
"""Names that are read at a time: a quarter of those that may wait at a server."""


@click.command(cls=Command, short_help="Write what the cluster knows to one file.")
@click.argument("out", type=OutputFile(NEW))
@click.option(
    "--alone",
    is_flag=True,
    help="Ask no quorum: the logs, as this server has applied them, and no decisions.",
)
@JSON
@timeout(30)
@asks
def backup(target: Target, out: Path, timeout_s: float, as_json: bool, alone: bool) -> ExitCode:
    """Write what a running cluster knows to OUT, which is made, for its owner only.

    OUT has each log that the server runs, with all that was answered before, and what is chosen for
    each name in the files of the servers of this machine. It has no promise and no vote in it: no
    server starts from it. paxos restore makes a new cluster of it.

    With --alone it is for a cluster that has lost its quorum for good.
    """
    server = find(target)
    with on_interrupt(_stop), waiting(f"Writing {out} ...") as show:
        contents = {server: _page(server, "", PROBE_S)} if alone else _contents(target, server)
        source = _Source(server, contents, alone, timeout_s, show)
        writing = Writing(source.header, source.logs(), source.decisions())
        with failing():
            create_in_parts(out, writing.lines())
            sync(out.absolute().parent)
    whole = writing.whole
    assert whole is not None
    if as_json:
        say(json_text(_fields(out, whole)))
    else:
        _tell(out, whole)
    return ExitCode.DONE


def _stop() -> None:
    raise Interrupted("stopped: no backup was written.")


def _contents(target: Target, server: Path) -> Mapping[Path, ContentsReply]:
    """What the servers of this machine have that answer, ``server`` first."""
    others = [it for it in candidates(target) if it != server]
    found = {server: _page(server, "", PROBE_S)}
    for other in others:
        try:
            found[other] = _page(other, "", PROBE_S)
        except Failure:  # It is down, or hangs: its names are not in the backup.
            continue
    return found


def _page(server: Path, after: str, timeout_s: float) -> ContentsReply:
    answer = answer_of(server, ContentsRequest(after), timeout_s)
    if not isinstance(answer, ContentsReply):
        raise unexpected(answer)
    return answer


@frozen
class _Source:
    """What goes into a backup, as ``server`` tells it; names of decisions by all ``contents``."""

    server: Path
    contents: Mapping[Path, ContentsReply]
    alone: bool
    timeout_s: float
    show: Callable[[str], None]

    @property
    def header(self) -> Header:
        """Of which cluster it is. Raises Failure if a log of the server does not run."""
        it = self.contents[self.server]
        if it.idle:
            raise Failure(LogsNotRunning(it.me, it.idle))
        named = () if self.alone else self.contents.values()
        names_of = tuple(sorted({page.me for page in named}))
        return Header(it.cluster, it.quorum, it.membership, it.me, names_of, self.alone)

    def logs(self) -> Iterator[tuple[LogHead, Iterator[bytes]]]:
        """Each log, with the pieces of its snapshot."""
        for name in self.contents[self.server].logs:
            question = SnapshotRequest(name, self.timeout_s, self.alone)
            patience_s = self.timeout_s + GRACE_S
            with closing(answers(self.server, question, patience_s=patience_s)) as told:
                head = self._next(told, question)
                if not isinstance(head, SnapshotReply):
                    raise unexpected(head)
                yield LogHead(name, head.slot), self._pieces(told, question)

    def _pieces(
        self, told: Generator[object, None, None], question: SnapshotRequest
    ) -> Iterator[bytes]:
        size_bytes = 0
        while True:
            piece = self._next(told, question)
            if not isinstance(piece, PieceReply):
                raise Failure(f"the server gave another answer: {piece}")
            if not piece.data:
                return
            size_bytes += len(piece.data)
            self.show(f"{printable(question.name)}: {size_bytes:,} bytes ...")
            yield piece.data

    def _next(
        self, told: Generator[object, None, None], question: SnapshotRequest
    ) -> SnapshotReply | PieceReply:
        """The next answer. Raises Failure if it says why there is none."""
        try:
            answer = next(told)
        except NotRunning as error:
            raise Failure(error, code=ExitCode.NO_SERVER) from error
        except NoReply as error:
            raise Failure(error, code=ExitCode.UNKNOWN_OUTCOME) from error
        if isinstance(answer, ErrorReply):
            raise refused(self.server, question, answer)
        if not isinstance(answer, SnapshotReply | PieceReply):
            raise Failure(f"the server gave another answer: {answer}")
        return answer

    def decisions(self) -> Iterator[Decision]:
        """What is chosen for each name, in the order of names; nothing without a quorum."""
        if self.alone:
            return
        names = (name for name, _ in groupby(merge(*map(self._names, self.contents))))
        count = 0
        with ThreadPoolExecutor(READS_AT_A_TIME) as readers:
            while some := [*islice(names, 4 * READS_AT_A_TIME)]:
                for name, value in zip(some, readers.map(self._read, some), strict=True):
                    count += 1
                    if value is not None:
                        yield name, value
                self.show(f"{count:,} names ...")

    def _names(self, server: Path) -> Iterator[str]:
        """The names of decisions in the file of one server, page after page."""
        page = self.contents[server]
        while page.decisions:
            yield from page.decisions
            page = _page(server, page.decisions[-1], self.timeout_s)

    def _read(self, name: str) -> bytes | None:
        answer = answer_of(self.server, ReadRequest(name, self.timeout_s), self.timeout_s)
        if isinstance(answer, NotChosenReply):
            return None
        if not isinstance(answer, ChosenReply):
            raise unexpected(answer)
        return answer.value


def _tell(out: Path, whole: Backup) -> None:
    it = whole.header
    say(printable(f"{out} is a backup of cluster {it.cluster!r}, as server {it.server} knows it."))
    for log in whole.logs:
        say(printable(f"Log {log.name}: what is applied of all slots below {log.slot:,}."))
    say(f"Decisions: {whole.decisions:,}, {_names_said(it)}.")


def _names_said(it: Header) -> str:
    """Which decisions are in the backup."""
    if it.alone:
        return "for no quorum was asked. What other servers knew of the logs may be missing"
    if it.has_all_names:
        return f"all that were chosen before it began (names of {servers(it.names_of)})"
    return (
        f"of the names that {servers(it.names_of)} had; what was chosen without may be missing. "
        "Have more servers on this machine, or a backup of another one beside this"
    )


def _fields(out: Path, whole: Backup) -> dict[str, object]:
    it = whole.header
    return {
        "file": str(out),
        "cluster": it.cluster,
        "membership": it.membership,
        "server": it.server,
        "alone": it.alone,
        "logs": {log.name: log.slot for log in whole.logs},
        "size_bytes": whole.size_bytes,
        "decisions": whole.decisions,
        "names_of": [*it.names_of],
        "has_all_names": it.has_all_names,
        "digest": whole.digest,
    }
