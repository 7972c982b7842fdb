"""Tests of paxos_testing."""
