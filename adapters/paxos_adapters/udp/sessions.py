"""Which sessions are received: those of the peers here, and that of this server at the peers.

- Answer each Ping with a Pong, also to a session that is not registered: so that its server learns
  what is known of its disk.
- A Register is accepted if its session descends from what is known. A commit makes that durable,
  and only then a Pong acknowledges it. Several share a commit.
- What a peer answers that it knows of this server, this server looks up in its own chain of
  sessions. If the chain lacks it, the file is an older copy, and the server stops: unless the chain
  has forgotten sessions, and that of the peer is not registered here. Then the file of the peer may
  be the older copy, and the server does not vote as long as that peer objects.
- A file that was found to be an older copy records that. So it does not vote after another start
  either, whichever peers are up then.
- Late and repeated messages do no harm: all that they say of an honest server is in its chain. That
  this session is registered holds whenever it is said. That it is not, or that the chain lacks
  another one, holds only in a new answer to it: what the chain has forgotten may be said late.
- An answer says how many steps of the changes of members its sender knows: ``registration.py``.
- A server that a peer says was removed stops. That is true whenever it is said: it is for good.

Source: ``disk_status.py`` and ``registration.py``, for the rules.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeAlias

from paxos import QuorumSystem, ServerId
from paxos.errors import assert_never
from paxos_adapters.disk_status import Known, NotDescended, check_descent
from paxos_adapters.file import DiskBusy, FileStore
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.udp import registration
from paxos_adapters.udp.errors import OlderCopy, Removed
from paxos_adapters.udp.links import Link
from paxos_adapters.wire import Control, Ping, Pong, Reason, Received, Register, Removal

_log = LimitedLog(logging.getLogger(__name__))

Registering: TypeAlias = tuple[ServerId, Known]
"""A session of a peer that a commit is to make durable here."""


class Sessions:
    """Handles control messages. ``links`` are those of the mesh, by peer."""

    def __init__(
        self,
        file: FileStore,
        links: Mapping[ServerId, Link],
        refused: Counter[Reason],
        quorum: QuorumSystem,
        *,
        is_strict: bool,
    ) -> None:
        """The sessions of the server of ``file``, before anything was sent.

        What is refused is counted in ``refused``; registration counts ``quorum``. Raises OlderCopy
        if the file was found to be one.
        """
        me = file.identity.server
        found = file.peers.get(me)
        if found is not None and not file.descends_from(found):
            raise OlderCopy(file.path, me, found, was_found=True)
        self.registration = registration.begin(me, quorum, is_strict=is_strict)
        self._file = file
        self._links = links
        self._uncommitted: dict[ServerId, Known] = {}
        self._refused = refused

    def on_members(self, quorum: QuorumSystem, steps: int) -> None:
        """The links are others now, and registration counts the members of ``quorum``.

        So many ``steps`` of the changes of members have led to that.
        """
        self.registration = registration.on_members(
            self.registration, quorum, frozenset(self._links), steps
        )
        for gone in self._uncommitted.keys() - self._links.keys():
            del self._uncommitted[gone]

    # --- ours, at the peers ---------------------------------------------------------------------

    def ping(self, now_s: float) -> None:
        """Ask each peer whether it is there; and those that are, to register this session."""
        self.registration = registration.on_ping(self.registration)
        for link in self._links.values():
            link.pinged_at_s = now_s
            link.outbox.append(Ping(self.registration.pings, link.known))
        self._request_registration()

    def on_control(self, received: Received, control: Control, now_s: float) -> None:
        """Do what ``control`` asks for, or learn from it.

        Raises OlderCopy if a peer answers that it knows a session that this file lacks, and
        Removed if it says that this server was removed.
        """
        peer = received.sender
        link = self._links[peer]
        if type(control) is Ping:
            self._on_known(received, control.known)
            self._send_pong(link, control.number, received.disk_status.session)
        elif type(control) is Pong:
            is_new = control.session == self._file.session and control.number > link.answered_ping
            if is_new:
                link.proven_session = received.disk_status.session
                self._on_pong(peer, control, now_s)
            self._on_known(received, control.known, is_answer=is_new)
        elif type(control) is Register:
            self._on_register(link, control.number, received)
        elif type(control) is Removal:
            raise Removed(self._file.identity.server, control.epoch)
        else:
            assert_never(control)

    def _on_pong(self, peer: ServerId, pong: Pong, now_s: float) -> None:
        link = self._links[peer]
        if pong.number == self.registration.pings:
            link.round_trip_s = now_s - link.pinged_at_s
        link.answered_ping, link.votes = pong.number, pong.votes
        link.received_at_s = link.answered_at_s = now_s
        self.registration = registration.on_told(self.registration, peer, pong.steps)

    def _on_known(
        self, received: Received, known: Known | None, *, is_answer: bool = False
    ) -> None:
        """The sender knows ``known`` of this server; as of now, if it is the answer to a ping."""
        peer, is_ours = received.sender, False
        if known is not None:
            if not self._file.descends_from(known):
                if is_answer:
                    self._on_unknown_session(received, known)
                return
            is_ours = known.session == self._file.session
        if is_ours:
            self.registration = registration.on_acknowledgement(self.registration, peer)
        elif is_answer:
            self._links[peer].entry = self._entry(known)
            self.registration = registration.on_answer(self.registration, peer)
        self._request_registration()

    def _entry(self, known: Known | None) -> Known | None:
        """The session of our chain that is ``known``, with its end."""
        end = None if known is None else self._file.ended(known.session)
        return None if known is None or end is None else Known(known.session, end)

    def _on_unknown_session(self, received: Received, known: Known) -> None:
        """Either this file is an older copy, or that of the sender is.

        Raises OlderCopy for the first, and records that: on close, if the disk is busy now.
        """
        older = OlderCopy(self._file.path, received.sender, known)
        if received.is_registered or self._file.has_whole_chain:
            self._file.set_peer_status(self._file.identity.server, known)
            self._file.stop_waiting()  # The event loop must not wait for another process.
            with suppress(DiskBusy):
                self._file.save(())
            raise older
        self.registration = registration.on_objection(self.registration, received.sender)
        _log.warning(
            received.sender,
            "%s Or the file of server %s is the older copy: it is not registered here",
            older,
            received.sender,
            extra={"event": "older copy", "server": self._file.identity.server},
        )

    def _request_registration(self) -> None:
        """Ask peers to register this session, at most once with each ping."""
        for peer in sorted(self.registration.to_ask):
            link = self._links[peer]
            if link.registering_ping < self.registration.pings:
                link.registering_ping = self.registration.pings
                link.outbox.append(Register(self.registration.pings))

    # --- theirs, here ---------------------------------------------------------------------------

    def _on_register(self, link: Link, number: int, received: Received) -> None:
        uncommitted = self._uncommitted.get(received.sender)
        met = check_descent(uncommitted or link.known, received.disk_status)
        if isinstance(met, NotDescended):
            self._refused[Reason.NOT_DESCENDED] += 1
        elif link.session == met.session:
            self._send_pong(link, number, met.session)
        elif uncommitted is None or uncommitted.session != met.session:
            self._uncommitted[received.sender], link.register_number = met, number
            self._file.set_peer_status(received.sender, met)

    def on_frame(self, received: Received) -> None:
        """A frame of a registered session has come: its count of saves may have risen."""
        link, status = self._links[received.sender], received.disk_status
        if link.known is not None and status.saves > link.known.saves:
            link.known = Known(status.session, status.saves)
            if received.sender not in self._uncommitted:
                self._file.set_peer_status(received.sender, link.known)

    def uncommitted(self) -> tuple[Registering, ...]:
        """What the next commit will make durable, to be handed to ``on_committed`` then."""
        return tuple(self._uncommitted.items())

    def on_committed(self, committed: Iterable[Registering]) -> None:
        """These sessions are received from now on; their servers learn it by a Pong."""
        for peer, known in committed:
            link = self._links.get(peer)
            if link is None:
                continue  # It was removed during the commit.
            link.known = known
            if self._uncommitted.get(peer) is known:
                del self._uncommitted[peer]
            self._send_pong(link, link.register_number, known.session)

    def _send_pong(self, link: Link, number: int, session: str) -> None:
        votes, steps = self.registration.is_open, self.registration.steps
        link.outbox.append(Pong(number, session, link.known, votes, steps))
