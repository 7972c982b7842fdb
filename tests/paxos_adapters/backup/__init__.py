"""Tests of paxos_adapters.backup."""
