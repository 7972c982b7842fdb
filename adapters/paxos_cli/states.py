"""What servers that run say of a decision: the evidence for ``paxos explain --node``."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paxos import QuorumSystem, ServerId, server
from paxos_adapters.codecs import SURROGATE_ESCAPE
from paxos_adapters.node.control_client import ask
from paxos_adapters.node.control_protocol import ErrorReply, StateReply, StateRequest
from paxos_adapters.single import single_coder
from paxos_cli.config import PROBE_S
from paxos_cli.failures import Failure, failing
from paxos_lab.explain import Evidence, of_states


def told(nodes: Iterable[Path], name: str) -> Evidence[str]:
    """The evidence, from the servers on the data files ``nodes``, all of one cluster."""
    coder = single_coder(SURROGATE_ESCAPE)
    quorums = set[QuorumSystem]()
    states: list[server.Server[str]] = []
    up = set[ServerId]()
    for data in nodes:
        with failing():
            answer = ask(data, StateRequest(name), patience_s=PROBE_S)
            if isinstance(answer, ErrorReply):
                raise Failure(answer.text)
            if not isinstance(answer, StateReply):
                raise Failure(f"the server on {data} is of another version.")
            quorums.add(coder.quorum(answer.quorum))
            states.append(coder.state(answer.state))
            up.update(answer.up)
    if len(quorums) != 1:
        raise Failure("these servers are not of one cluster: their quorums differ.")
    return of_states(quorums.pop(), states, up)
