"""The board of Grafana asks for nothing that a node does not export.

Names are those that exporters for Prometheus make: dots become underscores, a unit is written out,
a counter ends in ``_total``.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric, Sum

from paxos import majority
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node, ReplicatedLog
from paxos_adapters.node.log_metrics import LOG_INSTRUMENTS
from paxos_adapters.node.metrics import INSTRUMENTS, observe
from paxos_adapters.state_machines import COUNTER
from tests.support.free_ports import free_addresses

BOARD = Path(__file__).parents[2] / "examples" / "grafana.json"
PAGE = Path(__file__).parents[2] / "docs" / "operating.md"
UNITS: Mapping[str, str] = {"s": "_seconds", "By": "_bytes"}
HISTOGRAM = "_bucket", "_count", "_sum"
ONLY_IN_TROUBLE = {"paxos_datagrams_refused_total", "paxos_datagrams_lost_total"}
"""Counts by reason: there is none as long as nothing is wrong."""


def queries() -> Iterator[str]:
    """All that the board asks for."""
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in board["templating"]["list"]:
        yield variable["query"]


def asked() -> set[str]:
    """The metrics in the queries, without labels."""
    without = [re.sub(r"\{[^}]*\}|by \([^)]*\)|, paxos_\w+\)", " ", it) for it in queries()]
    return {name for it in without for name in re.findall(r"\bpaxos_\w+", it)}


def prometheus(metric: Metric) -> set[str]:
    """What an exporter calls it."""
    name = metric.name.replace(".", "_") + UNITS.get(metric.unit or "", "")
    if isinstance(metric.data, Sum):
        return {f"{name}_total"}
    return {name, *(name + it for it in HISTOGRAM)}


async def exported(folder: Path) -> set[str]:
    """What two nodes export that run a log."""
    addresses, reader = free_addresses(2), InMemoryMetricReader()
    provider = MeterProvider([reader])
    async with AsyncExitStack() as stack:
        nodes: list[Node[bytes]] = []
        logs: list[ReplicatedLog[int, int, int]] = []
        for me in addresses:
            file = FileStore.create(
                folder / f"n{me}.db", cluster="c", server=me, quorum=majority(addresses)
            )
            stack.enter_context(file)
            node = await stack.enter_async_context(Node(file, NetworkConfig(addresses), codec=RAW))
            nodes.append(node)
            observe(node, provider.get_meter("test"))
            logs.append(await stack.enter_async_context(node.log("counter", COUNTER)))
        for log in logs:
            await log.submit(1)
            await log.read(lambda total: total)
        while any(it.round_trip_s is None for it in nodes[0].status().peers.values()):
            await asyncio.sleep(0.001)
        data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    metrics = [
        metric
        for it in data.resource_metrics
        for scope in it.scope_metrics
        for metric in scope.metrics
    ]
    return {name for metric in metrics for name in prometheus(metric)}


def test_each_metric_of_the_board_is_exported_by_a_node(tmp_path: Path) -> None:
    found = asyncio.run(asyncio.wait_for(exported(tmp_path), 60))

    assert len(asked()) > 15
    assert asked() - found - ONLY_IN_TROUBLE == set()


def test_what_is_counted_in_trouble_only_has_such_a_name() -> None:
    counters = {name.replace(".", "_") for kind, name, *_ in INSTRUMENTS if kind == "counter"}
    assert {it.removeprefix("paxos_").removesuffix("_total") for it in ONLY_IN_TROUBLE} <= counters


def test_panels_do_not_overlap_and_each_says_what_it_shows() -> None:
    board = json.loads(BOARD.read_text(encoding="utf-8"))
    places = set[tuple[int, int]]()
    for panel in board["panels"]:
        it = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(it["x"], it["x"] + it["w"])
            for y in range(it["y"], it["y"] + it["h"])
        }
        assert not places & cells
        assert max(x for x, _ in cells) < 24, "a row has 24 columns"
        places |= cells
        assert panel["title"]
    assert len({it["id"] for it in board["panels"]}) == len(board["panels"])


def test_the_page_lists_every_instrument() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("## Metrics")[2].partition("\n## ")[0]
    table = set(re.findall(r"`paxos\.([\w.]+)`", section))
    names = {name for _, name, *_ in (*INSTRUMENTS, *LOG_INSTRUMENTS)} | {"log.submit"}

    assert names <= table
