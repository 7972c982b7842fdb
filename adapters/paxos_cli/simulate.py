"""``paxos simulate``: thousands of seeded runs with faults; shrinks the first failure.

The options say which cluster is simulated, and whether it reaches one decision or has a log.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import click
from attrs import evolve, frozen

from paxos_adapters.machine import M, P, Q, R, S, T
from paxos_cli.canvas import Canvas, canvas
from paxos_cli.exit_codes import ExitCode
from paxos_cli.help import Command
from paxos_cli.options import PLAIN, RULE, gathered, refuse_with_log, whole
from paxos_cli.recording import log_recording, record_option, recording
from paxos_cli.simulation import Simulation
from paxos_lab.machines.log_view import LogView, log_view
from paxos_lab.machines.protocols import PAXOS
from paxos_lab.machines.single_view import SingleView, single_view
from paxos_lab.record import PROTOCOLS, Recorder
from paxos_lab.simulate.log import RULES_OF_RUNS, LogSetup
from paxos_lab.simulate.networks import PARTIAL
from paxos_lab.simulate.setup import Setup, SetupError
from paxos_lab.simulate.single import SingleSetup

EVERYWHERE = "everywhere"


@frozen
class Cluster:
    """The options that say which cluster is simulated; None where its default depends on others."""

    servers: int | None
    proposers: int | None
    readers: int | None
    liveness: bool
    rule: str
    network: str
    log: bool
    changes: bool
    newcomers: int
    snapshots: bool


@frozen
class Runs:
    """Which runs: ``seeds`` of them, shared by ``jobs`` processes, or the one of ``seed``."""

    seeds: int
    seed: int | None
    jobs: int | None


@click.command(cls=Command, short_help="Run thousands of simulations with faults.")
@whole("--servers", 3, 9, "How many servers.  [default: 3, or as many as the network links]")
@whole("--proposers", 1, 9, "How many propose.  [default: 2, or all if some links go]")
@whole("--readers", 0, 8, "How many read.  [default: 1, if there is room]")
@whole("--seeds", 1, None, "How many runs.", default=10_000)
@whole("--seed", 0, None, "Draw one run, that of this seed.")
@click.option("--liveness", is_flag=True, help="Faults end; then all must decide within a bound.")
@RULE
@click.option(
    "--network",
    type=click.Choice([EVERYWHERE, *PARTIAL]),
    default=EVERYWHERE,
    show_default=True,
    help="Which links stay: all, or those of a network that is hard on an election.",
)
@click.option("--log", is_flag=True, help="A replicated log, instead of one decision.")
@click.option("--changes", is_flag=True, help="With --log: members change, too.")
@whole("--newcomers", 0, 8, "With --changes: how many servers are no founders.", default=0)
@click.option("--snapshots", is_flag=True, help="With --log: stores drop old entries, too.")
@whole("--jobs", 1, None, "How many processes.  [default: one a core]")
@record_option
@PLAIN
@gathered(Cluster)
@gathered(Runs)
def simulate(runs: Runs, cluster: Cluster, record: Path | None, plain: bool) -> ExitCode:
    """Run thousands of simulations, each with its own network, crashes and disks that fail.

    Exits with 0 if no run breaks a rule, with 1 and a short schedule if one does, and with 130
    and what was done so far if interrupted. --seed K draws one run.
    """
    drawn = canvas(plain)
    if cluster.log:
        return _simulate_log(drawn, _log_setup(cluster), runs, record)
    for name in ("changes", "newcomers", "snapshots"):
        if getattr(cluster, name):
            raise click.UsageError(f"--{name} is for a log: add --log.")
    return _simulate_decision(drawn, _setup(cluster), runs, record)


def _run(simulation: Simulation[S, Q, M, T, R, P], runs: Runs) -> ExitCode:
    if runs.seed is not None:
        return simulation.run_one(runs.seed)
    return simulation.run_all(runs.seeds, runs.jobs)


# --- one decision -------------------------------------------------------------------------------


def _setup(cluster: Cluster) -> SingleSetup:
    network = PARTIAL.get(cluster.network)
    servers, proposers, readers = cluster.servers, cluster.proposers, cluster.readers
    if servers is None:
        servers = 3 if network is None else len(network.servers)
    if proposers is None:
        proposers = 2 if network is None else servers - (readers or 0)
    if readers is None:
        readers = min(1, max(servers - proposers, 0))
    try:
        setup = SingleSetup(
            servers=servers,
            proposers=proposers,
            readers=readers,
            liveness=cluster.liveness,
            protocol=PROTOCOLS[cluster.rule],
        )
        return setup if network is None else evolve(setup, network=network)
    except SetupError as error:
        raise click.UsageError(str(error)) from error


def _simulate_decision(
    drawn: Canvas, setup: SingleSetup, runs: Runs, record: Path | None
) -> ExitCode:
    rule = setup.protocol.name
    view: SingleView[str] = single_view()
    title = (
        f"{rule}: servers {setup.servers}, proposers {setup.proposers}, "
        f"readers {setup.readers}, {_mode(setup)}"
    )
    command = (
        f"paxos simulate --servers {setup.servers} --proposers {setup.proposers} "
        f"--readers {setup.readers}{'' if rule == PAXOS.name else f' --rule {rule}'}{_modes(setup)}"
    )

    def recorder(facts: Mapping[str, str]) -> AbstractContextManager[Recorder[str] | None]:
        network = {"network": setup.network.name}
        return recording(record, "simulation", setup.protocol, network | {**facts})

    return _run(Simulation(drawn, setup, title, command, view, recorder), runs)


# --- a log --------------------------------------------------------------------------------------


def _log_setup(cluster: Cluster) -> LogSetup:
    """What is simulated with ``--log``, which takes some of the options."""
    refuse_with_log(
        proposers=cluster.proposers is not None,
        readers=cluster.readers is not None,
        rule=cluster.rule != PAXOS.name,
    )
    network = PARTIAL.get(cluster.network)
    try:
        setup = LogSetup(
            servers=cluster.servers or (3 if network is None else len(network.servers)),
            changes=cluster.changes,
            newcomers=cluster.newcomers,
            snapshots=cluster.snapshots,
            liveness=cluster.liveness,
        )
        return setup if network is None else evolve(setup, network=network)
    except SetupError as error:
        raise click.UsageError(str(error)) from error


def _simulate_log(drawn: Canvas, setup: LogSetup, runs: Runs, record: Path | None) -> ExitCode:
    said, options = f"servers {setup.servers}", f"--log --servers {setup.servers}"
    if setup.changes:
        said += ", members change"
        options += " --changes"
    if setup.newcomers:
        said += f", newcomers {setup.newcomers}"
        options += f" --newcomers {setup.newcomers}"
    if setup.snapshots:
        said += ", snapshots"
        options += " --snapshots"
    view: LogView[str] = log_view()
    title, command = f"log: {said}, {_mode(setup)}", f"paxos simulate {options}{_modes(setup)}"
    recorder = partial(log_recording, record, "simulation", RULES_OF_RUNS)
    return _run(Simulation(drawn, setup, title, command, view, recorder, slot=None), runs)


# --- both ---------------------------------------------------------------------------------------


def _mode(setup: Setup[S, Q, M, T, R, P]) -> str:
    """What is held, and on which network."""
    network = setup.network
    links = f" Network {network.name}: {network.summary}." if network.name in PARTIAL else ""
    return f"{'liveness' if setup.liveness else 'safety'}.{links}"


def _modes(setup: Setup[S, Q, M, T, R, P]) -> str:
    """The options that any setup may have."""
    liveness = " --liveness" if setup.liveness else ""
    network = f" --network {setup.network.name}" if setup.network.name in PARTIAL else ""
    return liveness + network
