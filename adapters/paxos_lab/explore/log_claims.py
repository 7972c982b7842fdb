"""Which messages a replica ignores from now on: the claims on which forgetting them rests.

- A message that is ignored changes nothing at its receiver, which sends nothing on account of it:
  not now, and in no later state. A refusal does not count, since it is lost in any case.
- A Prepare and an Accept are ignored below the promise; but not beyond the window, since what is
  missing is asked for then, whatever the ballot.
- A promise is ignored unless its ballot is in phase 1, a vote unless its ballot leads and that
  server has not voted there.
- A heartbeat and a CatchUp are ignored if all slots that they speak of are known to be chosen, and
  their ballots are old: they end no leadership, and raise no ballot still to come.

Each is a claim about the library's own replica. ``log_checking`` tries it out after a search.
"""

from __future__ import annotations

from attrs import frozen

from paxos import Ballot, ServerId
from paxos.log import Accept, Accepted, CatchUp, Heartbeat, Prepare, Promise
from paxos.log.leader import Following, Leading
from paxos.log.messages import Message
from paxos.log.replica import Replica

CLAIMED: frozenset[type[object]] = frozenset(
    (Prepare, Accept, Promise, Accepted, Heartbeat, CatchUp)
)
"""The kinds of messages of which something is claimed."""


@frozen
class Receiver:
    """A replica that receives; ``may_lead``: it may still draw a ballot."""

    state: Replica[str]
    may_lead: bool

    def ignores(self, sender: ServerId, message: Message[str]) -> bool:
        """Whether a message from ``sender`` is ignored from now on."""
        state = self.state
        memory, role = state.memory, state.role
        if type(message) is Prepare:
            return message.ballot < memory.promised
        if type(message) is Accept:
            is_beyond = message.slot >= memory.first + state.rules.window
            return message.ballot < memory.promised and not is_beyond
        if type(message) is Promise:
            has_led = type(role) is Leading and role.ballot == message.ballot
            return has_led or self._is_over(message.ballot)
        if type(message) is Accepted:
            if type(role) is not Leading or role.ballot != message.ballot:
                return self._is_over(message.ballot)
            place = message.slot - memory.first
            asked = role.in_flight[max(place, 0) : place + 1]
            return place < 0 or any(sender in it.voters for it in asked)
        if type(message) is Heartbeat:
            return message.first <= memory.first and self._is_old(message.ballot)
        if type(message) is CatchUp:
            end = message.slot + len(message.proposals)
            return end <= memory.first and all(self._is_old(it.ballot) for it in message.proposals)
        return False

    def _is_over(self, ballot: Ballot) -> bool:
        """Whether ``ballot``, an own one, was drawn and is not in progress any more."""
        role = self.state.role
        return (type(role) is Following or role.ballot != ballot) and self._is_passed(ballot)

    def _is_old(self, ballot: Ballot) -> bool:
        """Whether ``ballot`` ends no leadership, nor raises the next own ballot."""
        role = self.state.role
        is_lower = type(role) is Following or ballot <= role.ballot
        return is_lower and (not self.may_lead or self._is_passed(ballot))

    def _is_passed(self, ballot: Ballot) -> bool:
        """Whether the next own ballot has a higher round."""
        return ballot.round <= max(self.state.max_round, self.state.memory.promised.round)
