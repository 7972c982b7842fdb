# The module `essential` of essential-paxos 2.0, as far as benchmarks/peer.py uses it.

from typing import NamedTuple

class ProposalID(NamedTuple):
    number: int
    uid: int

class Messenger: ...

class Acceptor:
    messenger: Messenger
    promised_id: ProposalID
    accepted_id: ProposalID
    def recv_prepare(self, from_uid: int, proposal_id: ProposalID) -> None: ...
    def recv_accept_request(
        self, from_uid: int, proposal_id: ProposalID, value: str | None
    ) -> None: ...

class Proposer:
    messenger: Messenger
    proposer_uid: int
    quorum_size: int
    last_accepted_id: ProposalID
    def set_proposal(self, value: str) -> None: ...
    def prepare(self) -> None: ...
    def recv_promise(
        self,
        from_uid: int,
        proposal_id: ProposalID,
        prev_accepted_id: ProposalID | None,
        prev_accepted_value: str | None,
    ) -> None: ...

class Learner:
    messenger: Messenger
    quorum_size: int
    acceptors: dict[int, ProposalID]
    proposals: dict[ProposalID, list[int | str | None]]
    final_value: str | None
    def recv_accepted(
        self, from_uid: int, proposal_id: ProposalID, accepted_value: str | None
    ) -> None: ...
