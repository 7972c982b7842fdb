"""Tests of paxos_adapters.file."""
