"""Tests of paxos_lab."""
