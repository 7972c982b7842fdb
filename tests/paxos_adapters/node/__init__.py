"""Tests of paxos_adapters.node."""
