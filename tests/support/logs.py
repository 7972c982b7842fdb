"""Short names for tests of the log: entries, memories, and one step with its seal opened."""

from __future__ import annotations

from paxos import AfterSave, Now, Outbound, Proposal, QuorumSystem, ServerId
from paxos.log import Command, Configuration, Delta, Memory, Rules, replica
from paxos.log.events import Effect, Event
from paxos.log.messages import Entry
from paxos.log.replica import Replica
from tests.support import S1, THREE, ballot, opened

SMALL = Rules(window=4, piece=2)


def held(number: str, value: str | Entry[str]) -> Proposal[Entry[str]]:
    """``held("1.1", "red")``: what is accepted under 1.1."""
    entry: Entry[str] = Command(value) if isinstance(value, str) else value
    return Proposal(ballot(number), entry)


def memory(
    *proposals: Proposal[Entry[str]] | None,
    promised: str = "0.0",
    first: int = 1,
    quorum: QuorumSystem = THREE,
) -> Memory[str]:
    """A memory whose open slots are ``proposals``."""
    return Memory((Configuration(1, quorum),), ballot(promised), first, proposals)


def fresh(me: ServerId = S1, *records: Delta[str], quorum: QuorumSystem = THREE) -> Replica[str]:
    """A replica that starts from ``records``."""
    return replica.start(me, quorum, records, SMALL)


def step(state: Replica[str], event: Event[str]) -> tuple[Replica[str], tuple[Effect[str], ...]]:
    """One step, and what leaves once its record is saved."""
    after, outbound = replica.receive(state, event)
    return after, opened(outbound)


def saved(outbound: Outbound[Delta[str], Effect[str]]) -> Delta[str] | None:
    """The record that a step waits for."""
    if isinstance(outbound, AfterSave):
        return outbound.record
    assert isinstance(outbound, Now)
    return None
