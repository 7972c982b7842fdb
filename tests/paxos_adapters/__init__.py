"""Tests of paxos_adapters."""
