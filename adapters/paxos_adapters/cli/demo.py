"""``paxos demo``: rival proposers reach a decision, and every message of it is shown."""

from __future__ import annotations

import sys
from random import Random

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from paxos import Message, ServerId
from paxos_adapters.memory import Cluster, Delivery
from paxos_adapters.pictures import ASCII, UNICODE, Glyphs, Moment, Row, space_time

MAX_SERVERS = 9
MIN_WIDTH = 60  # of the table, in characters: a narrower window wraps lines and loses none
VALUES = ("red", "blue", "green", "gold", "plum", "teal", "pink", "gray", "lime")
COLOURS = ("cyan", "magenta", "yellow", "green", "bright_blue", "red")

History = list[Delivery[Message[str]] | Moment]


@click.command(short_help="Let rival proposers reach a decision, and draw it.")
@click.option(
    "--servers", type=click.IntRange(1, MAX_SERVERS), default=5, show_default=True, help="How many."
)
@click.option(
    "--proposers",
    type=click.IntRange(1, MAX_SERVERS),
    help="How many of them propose, each its own value.  [default: 2, or 1 of 1]",
)
@click.option("--seed", type=int, help="Repeat a run: it decides who starts when.")
@click.option("--plain", is_flag=True, help="ASCII characters, no colour.")
def demo(servers: int, proposers: int | None, seed: int | None, plain: bool) -> int:
    """Let rival proposers reach a decision in memory, and draw what was said."""
    proposers = min(2, servers) if proposers is None else proposers
    if proposers > servers:
        raise click.BadParameter(
            f"{proposers} proposers need at least as many servers, and there are {servers}.",
            param_hint="'--proposers'",
        )
    seed = Random().randrange(1000) if seed is None else seed
    cluster = Cluster[str](servers=servers, seed=seed)
    history = play(cluster, rivals(cluster.servers, proposers), Random(seed))

    plain = plain or not (sys.stdout.encoding or "").lower().startswith("utf")
    console = Console(highlight=False, color_system=None if plain else "auto", soft_wrap=True)
    console.width = max(console.width, MIN_WIDTH)
    glyphs = ASCII if plain else UNICODE
    console.print(f"Servers: {servers}, proposers: {proposers}, seed: {seed}. Time runs down.")
    console.print(_legend(glyphs))
    width = 9 if servers <= 5 else 5
    for row in space_time(cluster.servers, history, width=width, glyphs=glyphs):
        console.print(_styled(row, width * servers))
    console.print(_knowledge(cluster, plain))
    return _verdict(cluster, history, console)


def rivals(servers: tuple[ServerId, ...], proposers: int) -> tuple[ServerId, ...]:
    """The servers that propose: from both ends, so that their messages have some way to go."""
    ends = [server for pair in zip(servers, reversed(servers), strict=True) for server in pair]
    return tuple(dict.fromkeys(ends))[:proposers]


def play(cluster: Cluster[str], proposers: tuple[ServerId, ...], random: Random) -> History:
    """Start the proposers at random moments of one another's work; run until all is said."""
    first, *others = proposers
    moments = range(4 * len(cluster.servers))
    pending = sorted([(0, first), *((random.choice(moments), other) for other in others)])
    history: History = []
    while True:
        if pending and pending[0][0] <= len(history):
            history.append(_begin(cluster, proposers, pending.pop(0)[1]))
        elif (event := cluster.step()) is not None:
            if isinstance(event, Delivery):
                history.append(event)
        elif pending:
            history.append(_begin(cluster, proposers, pending.pop(0)[1]))
        else:
            return history


def _begin(cluster: Cluster[str], proposers: tuple[ServerId, ...], me: ServerId) -> Moment:
    value = VALUES[proposers.index(me)]
    known = cluster.chosen.get(me)
    cluster.propose(me, value)
    if known is None:
        return Moment(me, f"S{me} proposes {value}")
    return Moment(me, f"S{me} would propose {value}, but knows that {known} is chosen")


def _legend(glyphs: Glyphs) -> str:
    return (
        f"{glyphs.moment} proposes  {glyphs.sender} sends  {glyphs.itself} sends to itself too  "
        f"{glyphs.crossing} passes by\n"
    )


def _styled(row: Row, lanes_width: int) -> Text:
    style = "" if row.ballot is None else COLOURS[(row.ballot.server - 1) % len(COLOURS)]
    lanes = row.lanes.ljust(lanes_width) if row.label else row.lanes
    return Text.assemble(lanes, (row.label, style))


def _knowledge(cluster: Cluster[str], plain: bool) -> Table:
    table = Table(
        title="\nWho knows what", title_justify="left", box=box.ASCII if plain else box.ROUNDED
    )
    for heading in ("server", "promised", "accepted", "knows is chosen"):
        table.add_column(heading)
    for server in cluster.servers:
        memory = cluster.state(server).acceptor
        accepted = memory.accepted
        table.add_row(
            f"S{server}",
            str(memory.promised) if memory.promised.round else "",
            "" if accepted is None else f"{accepted.ballot} {accepted.value}",
            cluster.chosen.get(server, "nothing"),
        )
    return table


def _verdict(cluster: Cluster[str], history: History, console: Console) -> int:
    known = set(cluster.chosen.values())
    informed, servers = len(cluster.chosen), len(cluster.servers)
    agree = len(known) == 1 and informed == servers
    messages = sum(isinstance(item, Delivery) for item in history)
    verdict = f"agreed on {known.pop()}" if agree else f"no agreement: {cluster.chosen}"
    console.print(f"After {messages} messages, {informed} of {servers} know: {verdict}.")
    return 0 if agree else 1
