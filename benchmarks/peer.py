"""Decisions by essential-paxos 2.0: fresh objects, messages handed over by one plain loop.

That library compares None on Python 3 unless its ballots start from a zero ProposalID, as they do
here. It changes its objects in place, refuses nothing and saves nothing. Prints the seconds that
``COUNT`` decisions among ``SERVERS`` acceptors took.

    python benchmarks/peer.py SERVERS COUNT    with the library's folder on PYTHONPATH
"""

# ruff: noqa: T201 - the figure is this program's output

from __future__ import annotations

import sys
import time

import essential

ZERO = essential.ProposalID(0, 0)
PREPARE, PROMISE, ACCEPT, ACCEPTED = range(4)
Sent = tuple[int, int, essential.ProposalID, essential.ProposalID | None, str | None]


class Outbox(essential.Messenger):
    """Queues what one server sends."""

    def __init__(self, me: int, pending: list[Sent]) -> None:
        self.me = me
        self.send = pending.append

    def send_prepare(self, proposal_id: essential.ProposalID) -> None:
        """Queue for all acceptors."""
        self.send((PREPARE, self.me, proposal_id, None, None))

    def send_promise(
        self,
        _proposer_uid: int,
        proposal_id: essential.ProposalID,
        previous_id: essential.ProposalID,
        accepted_value: str | None,
    ) -> None:
        """Queue for the proposer."""
        self.send((PROMISE, self.me, proposal_id, previous_id, accepted_value))

    def send_accept(self, proposal_id: essential.ProposalID, proposal_value: str) -> None:
        """Queue for all acceptors."""
        self.send((ACCEPT, self.me, proposal_id, None, proposal_value))

    def send_accepted(self, proposal_id: essential.ProposalID, accepted_value: str) -> None:
        """Queue for the learner."""
        self.send((ACCEPTED, self.me, proposal_id, None, accepted_value))


def decide(servers: int) -> str | None:
    """One decision: all that is sent arrives, in order."""
    pending: list[Sent] = []
    acceptors: list[essential.Acceptor] = []
    for me in range(servers):
        acceptor = essential.Acceptor()
        acceptor.messenger = Outbox(me, pending)
        acceptor.promised_id = acceptor.accepted_id = ZERO
        acceptors.append(acceptor)
    proposer = essential.Proposer()
    proposer.messenger = Outbox(0, pending)
    proposer.proposer_uid = 0
    proposer.quorum_size = servers // 2 + 1
    proposer.last_accepted_id = ZERO
    learner = essential.Learner()
    learner.messenger = proposer.messenger
    learner.quorum_size = servers // 2 + 1
    learner.acceptors = dict.fromkeys(range(servers), ZERO)
    learner.proposals = {ZERO: [0, servers, None]}

    proposer.set_proposal("value")
    proposer.prepare()
    for kind, sender, ballot, previous, value in pending:
        if kind == PREPARE:
            for acceptor in acceptors:
                acceptor.recv_prepare(sender, ballot)
        elif kind == PROMISE:
            proposer.recv_promise(sender, ballot, previous, value)
        elif kind == ACCEPT:
            for acceptor in acceptors:
                acceptor.recv_accept_request(sender, ballot, value)
        else:
            learner.recv_accepted(sender, ballot, value)
    assert learner.final_value == "value"
    return learner.final_value


def main(servers: int, count: int) -> None:
    """Time ``count`` decisions."""
    started = time.perf_counter()
    for _ in range(count):
        decide(servers)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
