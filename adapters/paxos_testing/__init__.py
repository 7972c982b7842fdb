"""Tests that you run on what you wrote yourself: kits, strategies, and a pytest plugin.

Needs the extra ``testing``: pytest and hypothesis. Nothing else in the library imports it. How to
write a codec, a store or a transport, and how to run the kit on it: docs/codecs.md, docs/stores.md,
docs/transports.md; the rest: docs/testing.md. Arrows: codecs; crashing <- sessions <- stores <-
log_stores; corruption <- stores; history <- linearizable; samples <- traffic <- consensus <-
transports; reachable <- strategies; histories, machines <- replicas; machines <- hash_seeds;
replicas, hash_seeds <- log_checks; observed, log_checks <- plugin.

Names are imported when they are asked for, since pytest loads the plugin at each start.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paxos_testing.codecs import CodecKit
    from paxos_testing.log_checks import LogChecks
    from paxos_testing.log_stores import LogStoreKit
    from paxos_testing.machines import BadStateMachine
    from paxos_testing.observed import ClusterFactory, WatchedCluster
    from paxos_testing.stores import StoreKit
    from paxos_testing.traffic import Deliver
    from paxos_testing.transports import TransportKit

__all__ = [
    "BadStateMachine",
    "ClusterFactory",
    "CodecKit",
    "Deliver",
    "LogChecks",
    "LogStoreKit",
    "StoreKit",
    "TransportKit",
    "WatchedCluster",
]

_HOMES = {
    "BadStateMachine": "machines",
    "ClusterFactory": "observed",
    "CodecKit": "codecs",
    "Deliver": "traffic",
    "LogChecks": "log_checks",
    "LogStoreKit": "log_stores",
    "StoreKit": "stores",
    "TransportKit": "transports",
    "WatchedCluster": "observed",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
