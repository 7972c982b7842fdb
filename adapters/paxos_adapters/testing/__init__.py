"""Tests that you run on what you wrote yourself: kits, strategies, and a pytest plugin.

Needs the extra ``testing``: pytest and hypothesis. Nothing else in the library imports it. How to
write a codec, a store or a transport, and how to run the kit on it: docs/codecs.md, docs/stores.md,
docs/transports.md; the rest: docs/testing.md. Arrows: codecs; lives, damage <- stores; letters <-
traffic <- councils <- transports; world <- strategies; watched <- plugin.

Names are imported when they are asked for, since pytest loads the plugin at each start.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paxos_adapters.testing.codecs import CodecKit
    from paxos_adapters.testing.stores import StoreKit
    from paxos_adapters.testing.traffic import Deliver
    from paxos_adapters.testing.transports import TransportKit
    from paxos_adapters.testing.watched import ClusterFactory, WatchedCluster

__all__ = ["ClusterFactory", "CodecKit", "Deliver", "StoreKit", "TransportKit", "WatchedCluster"]

_HOMES = {
    "ClusterFactory": "watched",
    "CodecKit": "codecs",
    "Deliver": "traffic",
    "StoreKit": "stores",
    "TransportKit": "transports",
    "WatchedCluster": "watched",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
