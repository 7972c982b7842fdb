"""``paxos demo``: rival proposers reach a decision, and every message of it is shown."""

from __future__ import annotations

from random import Random

import click

from paxos import Message, ServerId
from paxos_adapters.cli.drawing import Canvas, Holding, canvas
from paxos_adapters.memory import Cluster, Delivery
from paxos_adapters.pictures import Moment

MAX_SERVERS = 9
VALUES = ("red", "blue", "green", "gold", "plum", "teal", "pink", "gray", "lime")

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

    drawing = canvas(plain)
    drawing.write(f"Servers: {servers}, proposers: {proposers}, seed: {seed}. Time runs down.")
    drawing.legend("proposes")
    drawing.picture(cluster.servers, history, width=9 if servers <= 5 else 5)
    drawing.knowledge("Who knows what", _holdings(cluster))
    return _verdict(cluster, history, drawing)


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


def _holdings(cluster: Cluster[str]) -> list[Holding]:
    return [
        Holding(server, cluster.state(server).acceptor, cluster.chosen.get(server, "nothing"))
        for server in cluster.servers
    ]


def _verdict(cluster: Cluster[str], history: History, drawing: Canvas) -> int:
    known = set(cluster.chosen.values())
    informed, servers = len(cluster.chosen), len(cluster.servers)
    agree = len(known) == 1 and informed == servers
    messages = sum(isinstance(item, Delivery) for item in history)
    verdict = f"agreed on {known.pop()}" if agree else f"no agreement: {cluster.chosen}"
    drawing.write(f"After {messages} messages, {informed} of {servers} know: {verdict}.")
    return 0 if agree else 1
