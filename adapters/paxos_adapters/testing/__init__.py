"""Tests that you run on what you wrote yourself: a kit for stores, and one for transports.

Needs the extra ``testing``: pytest and hypothesis. Nothing else in the library imports it. How to
write a store or a transport, and how to run the kit on it: docs/stores.md, docs/transports.md.
Arrows: lives, damage <- stores; letters <- traffic <- councils <- transports.
"""

from paxos_adapters.testing.stores import StoreKit
from paxos_adapters.testing.traffic import Deliver
from paxos_adapters.testing.transports import TransportKit

__all__ = ["Deliver", "StoreKit", "TransportKit"]
