"""The rules that an explorer and a simulator hold every run against, by name.

``invariants`` has the predicates. What one server can break by itself is found out here; what takes
several of them is the business of those that see them all.
"""

from __future__ import annotations

from typing import TypeAlias

from paxos import Accepted, Acceptor, Answer, InvariantError, Promise, invariants

AGREEMENT = "agreement"
VALIDITY = "validity"
ONE_VALUE = "one value per ballot"
REPORTED = "what is reported is chosen"
LINEARIZABLE = "a read that finds nothing began before the choice"
KEPT = "a promise is kept"
SAVED = "saved before sent"
UNDISTURBED = "no server finds the protocol broken"
CHOOSABLE = "a value can still be chosen"
WINDOW = "a window bounds the open slots"
FINISHED = "a finished change leaves nothing to the removed"
RULES = (AGREEMENT, VALIDITY, ONE_VALUE, REPORTED, LINEARIZABLE, KEPT, SAVED, UNDISTURBED)
LOG_RULES = (AGREEMENT, VALIDITY, ONE_VALUE, REPORTED, KEPT, SAVED, UNDISTURBED, WINDOW)
"""Those of a log, of each of its slots."""
SIMULATED_LOG_RULES = (*RULES, FINISHED)
"""Those of a log whose reads, saves and heartbeats are simulated, too."""


Commitment: TypeAlias = Promise[str] | Accepted[str] | Answer[str]
"""What an acceptor says of its memory."""


def is_kept(before: Acceptor[str], after: Acceptor[str]) -> bool:
    """Whether an acceptor that was ``before`` may be ``after``: its word only rises."""
    try:
        invariants.promise_covers_accepted(after)
        invariants.acceptor_monotonic(before, after)
    except InvariantError:
        return False
    return True


def is_durable(memory: Acceptor[str], answer: Commitment) -> bool:
    """Whether a crash would leave behind what ``answer`` commits to."""
    try:
        invariants.durable_before_sent(memory, answer)
    except InvariantError:
        return False
    return True
