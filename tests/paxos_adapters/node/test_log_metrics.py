"""What OpenTelemetry reads of the logs of a node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from attrs import evolve
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
)

from paxos_adapters.node import CannotApply, CommandUnknown
from paxos_adapters.node.log_metrics import LOG_INSTRUMENTS
from paxos_adapters.node.metrics import observe
from paxos_adapters.replication.batches import Commands
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.state_machines import COUNTER
from tests.paxos_adapters.node.test_control import S1, running, runs

SUBMISSIONS = "log.submit"


def of_log(reader: InMemoryMetricReader, log: str) -> Mapping[str, float]:
    """What is read of one log; of times how many there are."""
    found: dict[str, float] = {}
    data = reader.get_metrics_data()
    scopes = [scope for it in data.resource_metrics for scope in it.scope_metrics] if data else []
    for metric in (metric for scope in scopes for metric in scope.metrics):
        for point in metric.data.data_points:
            name = metric.name.removeprefix("paxos.")
            if (point.attributes or {}).get("paxos.log") == log:
                if isinstance(point, HistogramDataPoint):
                    found[name] = point.count
                elif isinstance(point, NumberDataPoint):
                    found[name] = point.value
    return found


def is_quiet(it: LogStatus) -> bool:
    """A snapshot was taken, and all that followed from it is saved."""
    return it.floor > 1 and not it.figures.in_flight and it.figures.held[S1] == it.chosen


def test_a_log_is_observed_from_when_it_is_entered_until_it_is_left(tmp_path: Path) -> None:
    async def run() -> None:
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        async with running(tmp_path / "n1.db") as node:
            observe(node, provider.get_meter("test"))
            assert of_log(reader, "counter") == {}
            async with node.log("counter", COUNTER, snapshot_bytes=300) as counter:
                await counter.submit_many([1] * 100)
                served = node.served["counter"]
                session = await served.open_session(7, 20)
                await served.run(Commands(session, 1, [(1, b"4")]), 20)
                await counter.read(lambda total: total)
                while not is_quiet(counter.status()):
                    await asyncio.sleep(0.001)
                status, found = counter.status(), of_log(reader, "counter")
                assert found.keys() == {it for _, it, *_ in LOG_INSTRUMENTS} | {SUBMISSIONS}
                assert (found["log.chosen"], found["log.applied"]) == (
                    status.chosen,
                    status.applied,
                )
                assert (found["log.snapshot"], found["log.lag"]) == (status.floor, 0)
                assert (found["log.in_flight"], found["log.window"]) == (0, 64)
                assert (found["log.commands"], found["log.reads"]) == (101, 1)
                assert (found["log.leads"], found["log.leaders"]) == (1, 1)
                assert (found["log.stopped"], found["log.tolerance"]) == (0, 0)
                assert (found["log.pending"], found[SUBMISSIONS]) == (0, 2)
                age_s = status.figures.snapshot_age_s
                assert age_s is not None
                assert 0 <= age_s < 60
            assert of_log(reader, "counter").keys() <= {SUBMISSIONS}, "it has been left"
            async with node.log("counter", COUNTER) as counter:
                assert counter.status().figures.commands == 0, "since it was entered"
                assert counter.status().figures.snapshot_age_s is None
        provider.shutdown()

    runs(run())


def test_a_log_that_has_stopped_says_so(tmp_path: Path) -> None:
    def refuse(total: int, add: int) -> tuple[int, int]:
        raise ValueError(f"{total} and {add}")

    async def run() -> None:
        reader = InMemoryMetricReader()
        provider = MeterProvider([reader])
        async with running(tmp_path / "n1.db") as node:
            observe(node, provider.get_meter("test"))
            async with node.log("counter", evolve(COUNTER, apply=refuse)) as counter:
                with suppress(CannotApply, CommandUnknown):
                    await counter.submit(1)
                found = of_log(reader, "counter")
                assert found["log.stopped"] == 1
                assert SUBMISSIONS not in found, "nothing was answered"
        provider.shutdown()

    runs(run())
