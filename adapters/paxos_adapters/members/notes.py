"""What a closed file says of the change that it was closed for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import frozen

from paxos import ServerId
from paxos_adapters.printable import brief
from paxos_adapters.quorum_words import quorum_of

UNSETTLED = "not settled yet"
SETTLED = re.compile(r"membership ([0-9a-f]{1,64}), of (.+), settled from the files of ([-0-9 ]+)")


@frozen
class Note:
    """Which membership follows, and from the files of which servers it was settled."""

    membership: str
    words: str
    files: tuple[ServerId, ...]

    def __str__(self) -> str:
        return (
            f"membership {self.membership}, of {self.words}, "
            f"settled from the files of {' '.join(map(str, self.files))}"
        )

    def has(self, words: str, files: Iterable[ServerId]) -> bool:
        """Whether it is about such members, settled from these files."""
        return (self.words, self.files) == (words, tuple(sorted(files)))


def note_of(reason: str) -> Note | None:
    """What a closed file says; None if nothing was settled from it. Raises ValueError."""
    if reason == UNSETTLED:
        return None
    found = SETTLED.fullmatch(reason)
    if found is None:
        raise ValueError(f"{brief(reason)} does not say what the file was closed for")
    membership, words, files = found.groups()
    quorum_of(words)
    return Note(membership, words, tuple(ServerId(int(it)) for it in files.split()))
