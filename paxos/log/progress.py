"""Which servers hold which part of the log, and whether a change of members is finished.

Source: the lecture, "Multi-Paxos", "Configuration changes".

- A server holds all slots below n once it knows, and would know after a crash, that they are
  chosen. It has their entries then, or a snapshot that stands for them.
- A heartbeat of a server that does not lead says what it holds: its ``first`` is saved before it
  leaves. A leader also announces what it has not saved, so its heartbeats do not count.
- A replica counts itself, too: its next heartbeat is due only after the save of the one before.
- What is saved stays. So the highest number that a server has said counts, however old.
- A change that governs from slot n on is finished once all slots below n are chosen here. A phase-2
  quorum of the new members must hold them, too. Every later phase-1 quorum then has one of these
  members, and each leader learns of them what is chosen. No server that is removed is needed.
"""

from __future__ import annotations

from typing import TypeAlias

from paxos.ballot import ServerId
from paxos.log.memory import Configuration

Progress: TypeAlias = tuple[tuple[ServerId, int], ...]
"""Servers in order, each with the first slot of which it is not known that it holds it."""


def said(progress: Progress, server: ServerId, first: int) -> Progress:
    """``server`` holds all slots below ``first``."""
    known = dict(progress)
    if first <= known.get(server, 0):
        return progress
    return tuple(sorted({**known, server: first}.items()))


def is_finished(configurations: tuple[Configuration, ...], first: int, progress: Progress) -> bool:
    """Whether the last change is finished at a replica that knows all below ``first``."""
    change = configurations[-1]
    holders = {server for server, held in progress if held >= change.slot}
    return first >= change.slot and change.quorum.is_phase2(holders)
