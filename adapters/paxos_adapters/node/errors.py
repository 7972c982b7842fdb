"""Everything that a node can raise: what happened, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paxos import PaxosError, ServerId
from paxos_adapters.peers import Known
from paxos_adapters.udp import Address
from paxos_adapters.wire.bounds import MAX_NAME_BYTES

MAX_ASKED, MAX_ASKED_BYTES = 10_000, 64 << 20
"""How many questions may wait for an answer at a time, and how many bytes of proposed values."""

TOO_LATE = "there was no answer in time"
LEFT = "its caller waits for the proposal no more, and it goes on"


class Insecure(PaxosError):
    """A node without a key was to listen to a network."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        exposed = ", ".join(f"{host}:{port}" for host, port in sorted(addresses))
        super().__init__(
            f"without a key anybody who can reach {exposed} can speak for any "
            "server. Give the node a keyring (paxos keygen makes a key), use addresses of the "
            "loopback interface only, or say that it may be insecure."
        )


class NotTheMembers(PaxosError, ValueError):
    """The addresses are not those of the members that the file names."""

    def __init__(self, addresses: Iterable[ServerId], members: Iterable[ServerId]) -> None:
        super().__init__(
            f"there are addresses of the servers {sorted(addresses)}, and the members of the file "
            f"are {sorted(members)}. Give each member an address, and nobody else. Members are "
            "not changed by a new address: see paxos members."
        )


class NoAnswer(PaxosError, TimeoutError):
    """A question was not answered in time. Nothing is known; ask again, or ask another node."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name!r}: {why.rstrip('.')}. Ask again, or ask another node.")
        self.name = name


class OutcomeUnknown(PaxosError, TimeoutError):
    """A proposal was not answered in time. Its value may be chosen, now or later, or never be.

    As long as the node runs, the proposal goes on, and a read of the name waits for what comes of
    it.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(outcome_unknown(name, why))
        self.name = name


def outcome_unknown(name: str, why: str) -> str:
    """What is to be known of a proposal that its caller does not wait for any more."""
    return (
        f"{name!r}: {why.rstrip('.')}. The value that was proposed may be chosen all the same, "
        "now or later. Read the name to find out; to propose it again does no harm."
    )


class Crowded(PaxosError):
    """Too much is asked at a time."""

    def __init__(self, count: int, size_bytes: int) -> None:
        super().__init__(
            f"{count:,} questions with {size_bytes:,} bytes of values wait already, and at most "
            f"{MAX_ASKED:,} with {MAX_ASKED_BYTES:,} bytes may; this one was not taken. Wait for "
            "some answers."
        )


class ServedBefore(PaxosError):
    """An open file was given to a second node or transport."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} has been served since it was opened. A second one would number its datagrams "
            "as the first did, and nobody would hear it. Close the file, and open it again."
        )


class OlderCopy(PaxosError):
    """A peer has heard a session of this server that its file does not descend from.

    ``peer`` says so; it is the server itself if the file was found to be an older copy before.
    """

    def __init__(
        self, path: Path, peer: ServerId, known: Known, *, was_found: bool = False
    ) -> None:
        whose = "as was found before, a peer" if was_found else f"server {peer}"
        super().__init__(
            f"{whose} knows of session {known.session} of this server with {known.saves:,} "
            f"saves, and {path.name} does not descend from it: it is an older copy, or not the "
            "file of this server. It may have lost votes, so this server does not vote. Put the "
            "newest file back; if that is lost, replace the server: docs/lost-server.md."
        )
        self.peer = peer
        self.known = known


class NotEntered(PaxosError):
    """A node was asked for something before it was entered."""

    def __init__(self) -> None:
        super().__init__("the node was not entered yet: async with node")


class NodeClosed(PaxosError):
    """The node was closed."""

    def __init__(self) -> None:
        super().__init__("the node was closed")


class BadName(PaxosError, ValueError):
    """A name that no decision can have."""

    def __init__(self, name: object) -> None:
        super().__init__(f"{name!r:.60} is not a name: it takes 1 to 255 bytes of UTF-8, as text.")


class BadValue(PaxosError, ValueError):
    """A value that the codec of the node does not carry; nothing was proposed."""

    def __init__(self, name: str, codec: object, why: str) -> None:
        super().__init__(
            f"the value for {name!r} cannot be proposed: {type(codec).__name__} {why}. Nothing was "
            "sent. Propose a value that the codec brings back equal, or correct the codec."
        )
        self.name = name


class Undecodable(PaxosError, ValueError):
    """A value is chosen, and the codec of this node cannot decode it. It stays chosen."""

    def __init__(self, name: str, codec: object, why: str) -> None:
        super().__init__(
            f"a value is chosen for {name!r}, and {type(codec).__name__} cannot decode it ({why}). "
            "The server and all other names go on. Read it with the codec that it was proposed "
            "with; a codec has to decode what its earlier versions encoded."
        )
        self.name = name


def check_name(name: object) -> None:
    """Raise BadName unless a decision can have this name."""
    try:
        size = len(name.encode()) if isinstance(name, str) else 0
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= MAX_NAME_BYTES:
        raise BadName(name)
