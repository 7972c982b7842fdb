"""What one server knows of the disks of its peers: written with every commit, if it changed."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from paxos import ServerId
from paxos_adapters.disk_status import Known
from paxos_adapters.file.rows import Row, peers_row


class Peers:
    """By the id of a peer. ``has_news``: some of it is in no commit yet. For several threads."""

    def __init__(self, known: Mapping[ServerId, Known]) -> None:
        self.known = known
        self.has_news = False
        self._noting = Lock()

    def put(self, peer: ServerId, known: Known | None) -> None:
        """Know this of a peer; None: know nothing any more."""
        with self._noting:
            if self.known.get(peer) != known:
                others = {it: old for it, old in self.known.items() if it != peer}
                self.known = others if known is None else {**others, peer: known}
                self.has_news = True

    def row(self, saves: int) -> Row:
        """The row that says it all."""
        return peers_row(self.known, saves)

    def take_news(self, saves: int) -> list[Row]:
        """What a commit has to write."""
        with self._noting:
            news = [self.row(saves)] if self.has_news else []
            self.has_news = False
        return news
