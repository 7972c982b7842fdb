"""Tests of paxos_adapters.udp."""
