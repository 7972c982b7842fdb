"""Tests of paxos_adapters.members."""
