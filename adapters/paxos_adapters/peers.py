"""What a server knows of the disks of its peers, so that one that lost its memory is not heard.

A server that has lost what it saved may vote against its own word. Its own files tell, unless all
of them were lost or restored together; then only others can. So each server says with each message:

- its *incarnation*, drawn when its store was created: another one is a new disk under an old name;
- its *life*, drawn each time when the store is opened;
- its *mark*, how often it has saved, and the mark at which it was *opened* for this life. A disk
  that is as it was left is opened at the highest mark that anybody has heard of, or above it. One
  that was rolled back is opened below, and so it seems in a message of an earlier life that comes
  late: that one is no loss.

What peers remember is enough to name a server that lost its memory as soon as it speaks to somebody
who knows better. It is no proof that it did not: a word that only a dead server has heard is lost.

Source: "Protocol-Aware Recovery for Consensus-Based Storage" (Alagappan et al., 2018).
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from attrs import frozen


@frozen
class Presence:
    """What a server says of its disk.

    ``mark`` counts its saves so far; ``opened`` is what the mark was when its ``life`` began.
    """

    incarnation: str
    life: str
    opened: int
    mark: int


class Refusal(Enum):
    """Why a server is not heard."""

    OTHER_DISK = "it comes with another disk than before: it does not know what it said"
    OLDER_DISK = "its disk is older than what it said: it was rolled back, or restored from a copy"


Met: TypeAlias = Presence | Refusal


def meet(known: Presence | None, now: Presence) -> Met:
    """What is known of a server that says ``now`` of its disk, or why it is not to be heard."""
    if known is None:
        return now
    if now.incarnation != known.incarnation:
        return Refusal.OTHER_DISK
    if now.life == known.life:
        return now if now.mark > known.mark else known
    return Refusal.OLDER_DISK if now.opened < known.mark else now
