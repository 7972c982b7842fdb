"""Tests of paxos_adapters.wire."""
