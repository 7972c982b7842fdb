"""``paxos demo --log``: a replicated counter, whose leader crashes with commands in its log.

The leader has answered the commands before the others know that they are chosen. The next leader
finds them in its quorum of promises, and proposes them again.
"""

from __future__ import annotations

from paxos.log.sessions import SessionCommand
from paxos_adapters.log_cluster import LogCluster
from paxos_adapters.state_machine import LogCommand, StateMachine
from paxos_cli.canvas import Canvas
from paxos_cli.exit_codes import ExitCode
from paxos_lab.record import LogTrace, Trace, log_timeline

BEFORE, AFTER = [5, 7, 11], [13]
"""What is added to the counter before the crash, and after it."""

MAX_EVENTS = 100_000

LEAST_SERVERS = 3
"""With fewer, the others are no majority after the crash."""


def add(total: int, number: int) -> tuple[int, int]:
    """Add a number; the result is the total."""
    return total + number, total + number


def replicate(drawing: Canvas, servers: int, seed: int) -> ExitCode:
    """Run it, and draw what was said."""
    trace: LogTrace[LogCommand[int]] = Trace()
    cluster = LogCluster(StateMachine(0, add), servers, seed=seed, observer=trace)
    drawing.write(f"Servers: {servers}, seed: {seed}. Time runs down; slots are before the colon.")
    cluster.submit_many(BEFORE)
    leader = cluster.lead()
    cluster.crash(leader)
    total = cluster.submit_many(AFTER)[-1]
    cluster.restart(leader)
    cluster.run_until(lambda: set(cluster.states.values()) == {total}, MAX_EVENTS)
    drawing.legend("event")
    drawing.timeline(log_timeline(trace, described).eventful, width=9)
    drawing.write()
    drawing.table(("server", "counter"), [(f"S{me}", str(it)) for me, it in cluster.states.items()])
    drawing.write(f"Added {_sum(BEFORE)} under S{leader}, and {_sum(AFTER)} after its crash.")
    return ExitCode.DONE


def described(command: LogCommand[int]) -> str:
    """A command in a word or two."""
    return f"+{command.command}" if type(command) is SessionCommand else "open session"


def _sum(numbers: list[int]) -> str:
    return " + ".join(map(str, numbers))
