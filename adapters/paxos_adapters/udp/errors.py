"""Errors between this server and its peers, and about the file that it is served from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from paxos import OperationalError, ServerId, UsageError
from paxos_adapters.disk_status import Known
from paxos_adapters.limits import MAX_NAME_BYTES
from paxos_adapters.udp.addresses import Address, format_address


class Insecure(UsageError):
    """A node without a key was to listen to a network, or to send to one."""

    def __init__(self, addresses: Iterable[Address]) -> None:
        exposed = ", ".join(map(format_address, sorted(addresses)))
        super().__init__(
            f"without a key anybody that can reach {exposed} can speak for any server; nothing was "
            "begun. Give the node a keyring (paxos keygen makes a key), use addresses of the "
            "loopback interface only, or say that it may be insecure."
        )


class NotTheMembers(UsageError, ValueError):
    """The addresses are not those of the members that the file names."""

    def __init__(self, addresses: Iterable[ServerId], members: Iterable[ServerId]) -> None:
        super().__init__(
            f"there are addresses of the servers {sorted(addresses)}, and the members of the file "
            f"are {sorted(members)}. Give each member an address, and nobody else but "
            "servers that have joined, which are named as such. A new address does not change the "
            "members: see paxos members."
        )


class NoOtherServer(UsageError, ValueError):
    """A server of a cluster whose members change has no address, or nobody to ask for them."""

    def __init__(self, addresses: Iterable[ServerId], server: ServerId) -> None:
        super().__init__(
            f"there are addresses of the servers {sorted(addresses)}, for server {server}. Give "
            "its own, and that of a member at least: it learns the others there."
        )


class StoreAlreadyUsed(UsageError):
    """An open file was given to a second node or transport."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} has been served since it was opened. A second one would number its datagrams "
            "as the first did, and all would be refused. Close the file, and open it again."
        )


class OlderCopy(OperationalError):
    """A peer knows a session of this server that its file does not descend from.

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


class Removed(OperationalError):
    """The server of this node was removed. ``epoch``: that of the members that say so."""

    def __init__(self, server: ServerId, epoch: int) -> None:
        super().__init__(
            f"server {server} is not a member of the cluster any more, as of epoch {epoch} of its "
            "members: it votes for nothing, and no member hears it. What it has acknowledged is "
            "with them, so its file is not needed any more. Its id is never used again: to add "
            "this machine anew, create a file with another id, and add that: paxos members."
        )
        self.server = server
        self.epoch = epoch

    def __reduce__(self) -> tuple[object, ...]:
        return Removed, (self.server, self.epoch)


class BadName(UsageError, ValueError):
    """A name that no decision can have."""

    def __init__(self, name: object) -> None:
        super().__init__(
            f"{name!r:.60} is not a name: it takes 1 to 255 bytes of UTF-8, as text, and does not "
            "begin with $."
        )


def check_name(name: object) -> None:
    """Raise BadName unless a decision can have this name."""
    try:
        size = len(name.encode()) if isinstance(name, str) else 0
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= MAX_NAME_BYTES:
        raise BadName(name)
