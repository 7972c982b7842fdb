"""``paxos inspect`` and ``paxos readmit``: what is in a store, and which peers are heard again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby, islice
from pathlib import Path

import click

from paxos import ServerId
from paxos_adapters.file import Contents, FileStore, StoreError, StoreNotFound, inspect, rows
from paxos_adapters.file.log_checks import LogContents
from paxos_adapters.file.rows import ACCEPTOR, ROUND, acceptor_of, round_of
from paxos_adapters.printable import json_text, printable
from paxos_adapters.quorum_words import words_of
from paxos_adapters.words import counted
from paxos_cli.canvas import canvas, shown
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, failing
from paxos_cli.help import Command
from paxos_cli.options import JSON, PLAIN
from paxos_cli.output import say
from paxos_cli.paths import InputFile

AT_ONCE = 1_000
"""How many decisions a table shows; after these comes another one."""

FILE = click.argument("file", type=InputFile())


@click.command("inspect", cls=Command, short_help="Show and check what is in a store.")
@FILE
@JSON
@PLAIN
def inspect_file(file: Path, as_json: bool, plain: bool) -> ExitCode:
    """Show whose memory FILE is and what it holds, and check all of it.

    Changes nothing, and may be used beside a running server. Exits with 1 if it is damaged.
    """
    try:
        contents = inspect(file)
    except StoreNotFound as error:
        raise Failure(f"{file} is not a store: it is not there, or empty.") from error
    except (StoreError, OSError) as error:
        raise Failure(error) from error
    if as_json:
        for part in _as_json(file, contents):
            say(part, nl=False)
        return ExitCode.DONE
    drawn = canvas(plain)
    who = contents.identity
    drawn.write(printable(f"{file}: {who}, incarnation {who.incarnation}"))
    drawn.write(printable(f"Members: {who.members}."))
    if contents.closed is not None:
        drawn.write(printable(f"Closed for a change of members: {contents.closed}"))
    if contents.epoch.number or contents.epoch.is_closed:
        drawn.write(printable(f"Decisions: {contents.epoch}."))
    saves = counted(contents.saves, "time")
    drawn.write(f"Saved {saves} in {_sessions(contents)}. Every record is whole.")
    headings = "decision", "promised", "accepted", "value", "rounds used or seen"
    cells = (_cells(name, it) for name, it in _decisions(file))
    while some := [*islice(cells, AT_ONCE)]:
        drawn.table(headings, some)
    if contents.logs:
        drawn.table(
            ("log", "promised", "first", "floor", "entries", "snapshot"),
            [_log_cells(name, it) for name, it in contents.logs.items()],
        )
    if contents.peers:
        drawn.table(
            ("peer", "session", "saves known of"),
            [(f"S{peer}", it.session, f"{it.saves:,}") for peer, it in contents.peers.items()],
        )
    return ExitCode.DONE


def _log_cells(name: str, log: LogContents) -> tuple[str, ...]:
    it, handle = log.state, log.state.snapshot
    snapshot = "" if handle is None else f"{handle.pieces:,} pieces, {handle.size_bytes:,} bytes"
    numbers = (f"{number:,}" for number in (it.first, it.floor, log.entries))
    return printable(name), str(it.promised), *numbers, snapshot


def _sessions(contents: Contents) -> str:
    last = contents.session
    if last is None:
        return "no session"
    return f"{counted(contents.sessions, 'session')}, the last one {last.session}"


Holding = dict[str, str | int | bytes | None]
"""What a file holds for one decision, by name."""


def _decisions(file: Path) -> Iterator[tuple[str, Holding]]:
    """What the file holds for each decision, one at a time."""
    told = (row for row in rows(file) if row.kind in (ACCEPTOR, ROUND))
    for name, its in groupby(told, key=lambda row: row.name):
        holding: Holding = {"promised": None, "accepted": None, "value": None, "max_round": None}
        for row in its:
            if row.kind == ROUND:
                holding["max_round"] = round_of(row).round
                continue
            state = acceptor_of(row)
            holding["promised"] = str(state.promised)
            if state.accepted is not None:
                holding["accepted"] = str(state.accepted.ballot)
                holding["value"] = state.accepted.value
        yield name, holding


def _cells(name: str, holding: Holding) -> tuple[str, ...]:
    cells = (holding[it] for it in ("promised", "accepted", "value", "max_round"))
    return printable(name), *("" if it is None else shown(it) for it in cells)


def _as_json(file: Path, contents: Contents) -> Iterator[str]:
    """The parts of one object. The decisions are read one at a time."""
    who, last = contents.identity, contents.session
    head = {
        "cluster": who.cluster,
        "server": who.server,
        "quorum": who.words,
        "membership": who.membership,
        "closed": contents.closed,
        "epoch": {
            "number": contents.epoch.number,
            "quorum": words_of(contents.epoch.quorum),
            "closed": contents.epoch.closed,
        },
        "incarnation": who.incarnation,
        "session": None if last is None else last.session,
        "sessions": contents.sessions,
        "saves": contents.saves,
        "peers": {
            str(peer): {"session": it.session, "saves": it.saves}
            for peer, it in contents.peers.items()
        },
        "logs": {name: _log_json(it) for name, it in contents.logs.items()},
    }
    yield json_text(head).removesuffix("\n}")
    yield ',\n  "decisions": {'
    comma = ""
    for name, it in _decisions(file):
        value = it.pop("value")
        it["value_hex"] = value.hex() if isinstance(value, bytes) else None
        yield f"{comma}\n    {json.dumps(name)}: {json.dumps(it)}"
        comma = ","
    yield "\n  }\n}\n"


def _log_json(log: LogContents) -> dict[str, object]:
    it, handle = log.state, log.state.snapshot
    return {
        "promised": str(it.promised),
        "first": it.first,
        "floor": it.floor,
        "entries": log.entries,
        "snapshot": None
        if handle is None
        else {
            "slot": handle.slot,
            "pieces": handle.pieces,
            "bytes": handle.size_bytes,
            "digest": handle.digest.hex(),
        },
    }


@click.command(cls=Command, short_help="Hear a peer again that comes with another disk.")
@FILE
@click.argument("peer", type=int)
def readmit(file: Path, peer: int) -> ExitCode:
    """Let the server whose memory FILE is forget what it knows of the disk of server PEER.

    A server that comes back with a new or an older disk is not received. It may vote against its
    own votes, and then two values can be chosen for one name. Readmit it only if nothing that it
    voted on can matter any more: it never voted, or every decision that it took part in is known to
    be chosen by all others. Nothing checks that. Otherwise give it a new id.

    Stop the server whose FILE it is first, and do the same at every other. At FILE of server PEER
    itself, it forgets what it was told of its own disk.
    """
    readmitted = ServerId(peer)
    with failing():
        who = inspect(file).identity
        with FileStore.open(
            file,
            cluster=who.cluster,
            server=who.server,
            quorum=who.quorum,
            membership=who.membership,
        ) as store:
            known = store.peers.get(readmitted)
            if known is None:
                raise Failure(f"{who} knows nothing of the disk of server {peer}.")
            store.set_peer_status(readmitted, None)
    if who.server == readmitted:
        what = "that it was told of", "ask its peers anew when it is started"
    else:
        what = f"of server {peer}", "receive whichever disk comes next under that id"
    say(
        f"{who} has forgotten session {known.session} {what[0]}, with "
        f"{counted(known.saves, 'save')}, and "
        f"will {what[1]}. If server {peer} ever voted on a decision that is not known to be chosen "
        "everywhere, two values can be chosen."
    )
    return ExitCode.DONE
