"""The words of the lecture, each with what it means, where it is used first.

A picture of a run names messages and what servers do. A reader of the lecture meets each name once
with its meaning, before the picture that has it.
"""

from __future__ import annotations

from typing import TypeAlias

Terms: TypeAlias = dict[str, str]
"""By term: what it means."""

TERMS: dict[str, Terms] = {
    "split-votes": {
        "proposes": "a server wants this value to be chosen",
        "acceptor": "a server as a voter; each server is one",
        "accept?(red)": "asks an acceptor to accept red; it says yes or no",
        "chosen": "accepted by a majority of the acceptors",
        "late": "it arrives after a message that left later",
    },
    "change-of-mind": {"knows": "the proposer has counted the yes of a majority"},
    "conflicting-choices": {"agreement": "the rule that at most one value is ever chosen"},
    "looking-first": {"look?": "asks an acceptor what it holds"},
    "proposal-numbers": {
        "round": "saved before it is used: maxRound on the slides",
        "Prepare 1.1": "a look under the number 1.1",
        "Promise 1.1": "what it holds; from now on it refuses all below 1.1",
        "Accept 1.1": "asks to accept a value under 1.1",
        "Nack": "refused: a higher number is promised",
        "times out": "the proposer has waited, and tries again",
        "promised": "all below is refused: minProposal on the slides",
    },
    "cut-off": {
        "Accepted 1.5": "yes, under 1.5",
        "accepted": "a number and a value: acceptedProposal, acceptedValue",
    },
    "leader": {
        "Heartbeat": "the sender is up, and proposes",
        "Chosen": "tells which value is chosen",
    },
    "who-knows": {"asks": "a server wants to know the value, and proposes none"},
    "next-slot": {
        "slot": "one place of the log; it stands before a colon, as in 3: cmp",
        "leads": "a majority has promised, for all slots at once",
        "commits": "it knows that the entry is chosen, and all before it",
        "CatchUpRequest": "asks for chosen entries from a slot on",
        "CatchUp": "chosen entries",
    },
    "hole-filled": {"no-op": "an entry that does nothing, to fill a slot"},
    "change-by-window": {"members": "an entry that names the servers that vote from then on"},
}
"""By the scenario that uses them first."""
