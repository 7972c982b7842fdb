"""Machines to drive: Paxos, the lecture's first attempts, and Paxos with one rule broken."""
