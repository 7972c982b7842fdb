"""Tests that you run on what you wrote yourself: a kit for stores.

Needs the extra ``testing``: pytest and hypothesis. Nothing else in the library imports it. How to
write a store, and how to run the kit on it: docs/stores.md. Arrows: lives, damage <- stores.
"""

from paxos_adapters.testing.stores import StoreKit

__all__ = ["StoreKit"]
