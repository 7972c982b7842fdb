"""Why a server applies nothing more of a log, though it goes on voting.

- What is chosen runs on every server alike, or not at all: one that cannot run it stops there.
- Another program may be able to: it goes on from that slot.
"""

from __future__ import annotations

from paxos import OperationalError

CORRECT = "Correct the state machine or its codecs, on all servers, and start them again."


class CannotApply(OperationalError):
    """What is chosen cannot be run here. This server applies nothing more of the log."""

    def __init__(self, name: str, slot: int, why: str, remedy: str = CORRECT) -> None:
        super().__init__(
            f"the log {name!r} stops at slot {slot} on this server: {why}. Every server comes to "
            f"it. The server goes on voting. {remedy}"
        )
        self.name, self.slot, self.why = name, slot, why

    def __reduce__(self) -> tuple[object, ...]:
        return CannotApply, (self.name, self.slot, self.why)


class LacksVersion(CannotApply):
    """From some slot on a version of the state machine runs that this program does not have."""

    def __init__(self, name: str, slot: int, version: int, has: range) -> None:
        super().__init__(
            name,
            slot,
            f"from there on version {version} of its state machine runs, and this program has "
            f"{_words(has)}",
            f"Start it again with a program that has version {version}: it goes on from there.",
        )
        self.version, self.has = version, has

    def __reduce__(self) -> tuple[object, ...]:
        return LacksVersion, (self.name, self.slot, self.version, self.has)


class NewerEntry(CannotApply):
    """An entry is of a kind that a later version of this library has."""

    def __init__(self, name: str, slot: int) -> None:
        super().__init__(
            name,
            slot,
            "an entry there is of a kind that a later version of sansio-paxos has",
            "Start it again with that version of sansio-paxos: it goes on from there.",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return NewerEntry, (self.name, self.slot)


class Diverged(CannotApply):
    """A check says that this server has another state than the one that led."""

    def __init__(self, name: str, slot: int, checked: int, own: bytes, chosen: bytes) -> None:
        super().__init__(
            name,
            slot,
            f"a check there says that the snapshot of the slots below {checked} has the digest "
            f"{chosen.hex()}, and the one of this server has {own.hex()}",
            "One of the two is wrong: the state machine or a codec uses something besides its "
            "arguments, or a memory was damaged. Compare the servers, correct the cause, and start "
            "the wrong one again: it applies its entries anew. If it stops here again, its last "
            "snapshot is wrong, too: replace the server.",
        )
        self.checked, self.own, self.chosen = checked, own, chosen

    def __reduce__(self) -> tuple[object, ...]:
        return Diverged, (self.name, self.slot, self.checked, self.own, self.chosen)


STOPPED = frozenset(it.__name__ for it in (CannotApply, LacksVersion, NewerEntry, Diverged))
"""What a log that has stopped raises, by name: another server may go on."""


def _words(versions: range) -> str:
    first, last = versions[0], versions[-1]
    return f"version {first}" if first == last else f"versions {first} to {last}"
