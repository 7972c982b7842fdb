"""Tests of paxos."""
