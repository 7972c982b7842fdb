"""Tests of paxos.log."""
