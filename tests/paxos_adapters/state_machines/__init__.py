"""Tests of paxos_adapters.state_machines."""
