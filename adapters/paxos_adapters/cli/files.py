"""``paxos inspect`` and ``paxos readmit``: what is in a store, and who may be heard again."""

from __future__ import annotations

from pathlib import Path

import click

from paxos import ServerId
from paxos_adapters.cli.drawing import canvas, shown
from paxos_adapters.cli.paths import InputFile
from paxos_adapters.cli.saying import say
from paxos_adapters.file import Contents, FileStore, NotThere, StoreError, inspect
from paxos_adapters.file.rows import (
    ACCEPTOR,
    PEER,
    ROUND,
    acceptor_of,
    round_of,
)
from paxos_adapters.printable import json_text, printable

FILE = click.argument("file", type=InputFile())


@click.command("inspect", short_help="Show and check what is in a store.")
@FILE
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--plain", is_flag=True, help="ASCII characters, no colour.")
def inspect_file(file: Path, as_json: bool, plain: bool) -> int:
    """Show whose memory FILE is and what it holds, and check all of it.

    Changes nothing, and may be used beside a server at work. Exits with 1 if it is damaged.
    """
    try:
        contents = inspect(file)
    except NotThere as error:
        raise click.ClickException(f"{file} is no store: it is not there, or empty.") from error
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        say(json_text(_fields(contents)))
        return 0
    drawn = canvas(plain)
    who = contents.identity
    drawn.write(printable(f"{file}: {who}, incarnation {who.incarnation}"))
    drawn.write(f"Saved {contents.mark:,} times. {_health(contents)}")
    if decisions := _decisions(contents):
        headings = "decision", "promised", "accepted", "value", "rounds used or seen"
        drawn.table(headings, [_cells(name, it) for name, it in decisions.items()])
    if contents.peers:
        drawn.table(
            ("peer", "incarnation", "opened at", "saves heard of"),
            [
                (f"S{peer}", it.incarnation, f"{it.opened:,}", f"{it.mark:,}")
                for peer, it in sorted(contents.peers.items())
            ],
        )
    return 0


def _health(contents: Contents) -> str:
    if not contents.mended:
        return "Every record is whole, in both copies."
    spoilt = ", ".join(contents.mended)
    return f"One of two copies is spoilt, and is mended when a server opens the file: {spoilt}."


Holding = dict[str, str | int | bytes | None]
"""What a file holds for one decision, by name."""


def _decisions(contents: Contents) -> dict[str, Holding]:
    found: dict[str, Holding] = {}
    for (name, kind), row in sorted(contents.rows.items()):
        if kind == PEER:
            continue
        empty: Holding = {"promised": None, "accepted": None, "value": None, "max_round": None}
        holding = found.setdefault(name, empty)
        if kind == ACCEPTOR:
            state = acceptor_of(row)
            holding["promised"] = str(state.promised)
            if state.accepted is not None:
                holding["accepted"] = str(state.accepted.ballot)
                holding["value"] = state.accepted.value
        elif kind == ROUND:
            holding["max_round"] = round_of(row).round
    return found


def _cells(name: str, holding: Holding) -> tuple[str, ...]:
    cells = (holding[it] for it in ("promised", "accepted", "value", "max_round"))
    return printable(name), *("" if it is None else shown(it) for it in cells)


def _fields(contents: Contents) -> dict[str, object]:
    return {
        "cluster": contents.identity.cluster,
        "server": contents.identity.server,
        "incarnation": contents.identity.incarnation,
        "saves": contents.mark,
        "spoilt_copies": list(contents.mended),
        "decisions": {
            name: {
                "promised": it["promised"],
                "accepted": it["accepted"],
                "value_hex": it["value"].hex() if isinstance(it["value"], bytes) else None,
                "max_round": it["max_round"],
            }
            for name, it in _decisions(contents).items()
        },
        "peers": {
            str(peer): {"incarnation": it.incarnation, "opened": it.opened, "mark": it.mark}
            for peer, it in contents.peers.items()
        },
    }


@click.command(short_help="Hear a peer again that comes with another disk.")
@FILE
@click.argument("peer", type=int)
def readmit(file: Path, peer: int) -> int:
    """Let the server whose memory FILE is forget what it knows of the disk of server PEER.

    A server that comes back with a new or an older disk is not heard, since it may vote against
    what it said. Readmit it only if nothing that it said can matter any more: it never voted, or
    every decision that it took part in is known to be chosen by all others. Otherwise let it come
    back under a new id. Stop the server whose FILE it is first, and do the same at every other.
    """
    me = ServerId(peer)
    try:
        who = inspect(file).identity
        with FileStore.open(file, cluster=who.cluster, server=who.server) as store:
            known = store.peers.get(me)
            if known is None:
                raise click.ClickException(f"{who} knows nothing of the disk of server {peer}.")
            store.remember(me, None)
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error
    say(
        f"{who} has forgotten incarnation {printable(known.incarnation)} of server {peer}, which "
        f"had saved {known.mark:,} times, and will hear whichever comes next."
    )
    return 0
