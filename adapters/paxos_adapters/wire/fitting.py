"""What fits into one message: a promise or a part of what is chosen, cut after so many proposals.

- A message holds about as much as the largest value takes: so one proposal always fits.
- A Promise that was cut is not the last piece: the receiver asks for the next one. So does the
  receiver of a CatchUp, whenever it has learnt anything.
"""

from __future__ import annotations

from collections.abc import Iterable

from paxos import Proposal
from paxos.log import CatchUp, Change, Command, Promise
from paxos.log.messages import Entry
from paxos_adapters.limits import MAX_VALUE_BYTES
from paxos_adapters.log_messages import LogMessage
from paxos_adapters.quorum_words import words_of
from paxos_adapters.wire.bounds import MAX_PROPOSALS

_PROPOSAL_BYTES = 40
"""More than everything in a proposal takes but its entry."""


def fitted(message: LogMessage) -> LogMessage:
    """``message``, with as many of its proposals as fit."""
    if type(message) is Promise:
        count = _fitting(proposal for _, proposal in message.accepted)
        if count < len(message.accepted):
            accepted = message.accepted[:count]
            return Promise(message.ballot, message.slot, message.first, accepted, is_last=False)
    elif type(message) is CatchUp:
        count = _fitting(message.proposals)
        if count < len(message.proposals):
            return CatchUp(message.slot, message.proposals[:count])
    return message


def _fitting(proposals: Iterable[Proposal[Entry[bytes]]]) -> int:
    """How many of ``proposals`` fit, at least one."""
    count = size_bytes = 0
    for proposal in proposals:
        size_bytes += _PROPOSAL_BYTES + _entry_bytes(proposal.value)
        if count and (size_bytes > MAX_VALUE_BYTES or count == MAX_PROPOSALS):
            break
        count += 1
    return count


def _entry_bytes(entry: Entry[bytes]) -> int:
    if type(entry) is Command:
        return len(entry.value)
    return len(words_of(entry.quorum)) if type(entry) is Change else 0
