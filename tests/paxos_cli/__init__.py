"""Tests of paxos_cli."""
