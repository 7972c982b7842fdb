"""Which sessions are heard: those of the peers here, and that of this server at the peers.

- Answer each Ping with a Pong, also to a session that is not registered: so that its server learns
  what is known of its disk.
- A Register is taken if its session descends from what is known; a commit makes that durable, and
  only then is it acknowledged by a Pong. Several share a commit.
- What a peer answers that it knows of this server, this server looks up in its own chain of
  sessions. If the chain lacks it, the file is an older copy, and the server stops: unless the chain
  has forgotten sessions, and that of the peer is not registered here. Then it may be the peer whose
  file is an older copy, and the server does not vote as long as that peer objects.
- A file that was found to be an older copy keeps that. So it does not vote after another start
  either, whichever peers are up then.
- Late and repeated messages do no harm: all that they say of an honest server is in its chain. That
  this session is registered holds whenever it is said; that it is not, or that the chain lacks
  another one, only in a new answer to it: what the chain has forgotten may be said late.

Source: ``peers.py`` and ``registration.py``, for the rules.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeAlias

from paxos import ServerId
from paxos.errors import assert_never
from paxos_adapters.disk_status import Known, NotDescended, meet
from paxos_adapters.file import DiskBusy, FileStore
from paxos_adapters.limited_log import LimitedLog
from paxos_adapters.udp.errors import OlderCopy
from paxos_adapters.udp.links import Link
from paxos_adapters.udp.registration import (
    Registration,
    acknowledged,
    answered,
    begun,
    objected,
    pinged,
)
from paxos_adapters.wire import Control, Ping, Pong, Reason, Received, Register

_log = LimitedLog(logging.getLogger(__name__))

Registering: TypeAlias = tuple[ServerId, Known]
"""A session of a peer that a commit is to make durable here."""


class Sessions:
    """Takes control messages. ``links`` are those of the mesh, by peer."""

    def __init__(
        self,
        file: FileStore,
        links: Mapping[ServerId, Link],
        refused: Counter[Reason],
        *,
        is_strict: bool,
    ) -> None:
        """The sessions of the server whose memory ``file`` is, before anything was said.

        What is ``refused`` is counted there. Raises OlderCopy if the file was found to be one.
        """
        me = file.identity.server
        found = file.peers.get(me)
        if found is not None and not file.descends_from(found):
            raise OlderCopy(file.path, me, found, was_found=True)
        self.registration: Registration = begun(me, file.quorum, is_strict=is_strict)
        self._file = file
        self._links = links
        self._uncommitted: dict[ServerId, Known] = {}
        self._refused = refused

    # --- ours, at the peers ---------------------------------------------------------------------

    def ping(self, now_s: float) -> None:
        """Ask each peer whether it is there; and those that are, to register this session."""
        self.registration = pinged(self.registration)
        for link in self._links.values():
            link.pinged_at_s = now_s
            link.outbox.append(Ping(self.registration.pings, link.known))
        self._ask()

    def take(self, opened: Received, control: Control, now_s: float) -> None:
        """Do what ``control`` asks for, or learn what it says.

        Raises OlderCopy if a peer answers that it knows a session that this file lacks.
        """
        peer = opened.sender
        link = self._links[peer]
        if type(control) is Ping:
            self._learn(opened, control.known)
            self._answer(link, control.number, opened.presence.session)
        elif type(control) is Pong:
            is_new = control.session == self._file.session and control.number > link.ponged
            if is_new:
                link.proven = opened.presence.session
                self._note(link, control, now_s)
            self._learn(opened, control.known, is_answer=is_new)
        elif type(control) is Register:
            self._register(link, control.number, opened)
        else:
            assert_never(control)

    def _note(self, link: Link, pong: Pong, now_s: float) -> None:
        if pong.number == self.registration.pings:
            link.round_trip_s = now_s - link.pinged_at_s
        link.ponged, link.votes = pong.number, pong.votes
        link.heard_at_s = link.answered_at_s = now_s

    def _learn(self, opened: Received, known: Known | None, *, is_answer: bool = False) -> None:
        """The sender knows ``known`` of this server; as of now, if it is the answer to a ping."""
        peer, is_ours = opened.sender, False
        if known is not None:
            if not self._file.descends_from(known):
                if is_answer:
                    self._doubt(opened, known)
                return
            is_ours = known.session == self._file.session
        if is_ours:
            self.registration = acknowledged(self.registration, peer)
        elif is_answer:
            self._links[peer].entry = self._entry(known)
            self.registration = answered(self.registration, peer)
        self._ask()

    def _entry(self, known: Known | None) -> Known | None:
        """The session of our chain that is ``known``, with its end."""
        end = None if known is None else self._file.ended(known.session)
        return None if known is None or end is None else Known(known.session, end)

    def _doubt(self, opened: Received, known: Known) -> None:
        """Either this file is an older copy, or that of the sender is.

        Raises OlderCopy for the first, and keeps that: on close, if the disk is busy now.
        """
        older = OlderCopy(self._file.path, opened.sender, known)
        if opened.is_registered or self._file.has_whole_chain:
            self._file.remember(self._file.identity.server, known)
            self._file.stop_waiting()  # The event loop must not wait for another process.
            with suppress(DiskBusy):
                self._file.save(())
            raise older
        self.registration = objected(self.registration, opened.sender)
        _log.warning(
            opened.sender,
            "%s Or the file of server %s is the older copy: it is not registered here",
            older,
            opened.sender,
            extra={"event": "older copy", "server": self._file.identity.server},
        )

    def _ask(self) -> None:
        """Ask for what is missing, at most once with each ping."""
        for peer in sorted(self.registration.to_ask):
            link = self._links[peer]
            if link.asked < self.registration.pings:
                link.asked = self.registration.pings
                link.outbox.append(Register(self.registration.pings))

    # --- theirs, here ---------------------------------------------------------------------------

    def _register(self, link: Link, number: int, opened: Received) -> None:
        uncommitted = self._uncommitted.get(opened.sender)
        met = meet(uncommitted or link.known, opened.presence)
        if isinstance(met, NotDescended):
            self._refused[Reason.NOT_DESCENDED] += 1
        elif link.session == met.session:
            self._answer(link, number, met.session)
        elif uncommitted is None or uncommitted.session != met.session:
            self._uncommitted[opened.sender], link.to_answer = met, number
            self._file.remember(opened.sender, met)

    def saw(self, opened: Received) -> None:
        """A frame of a registered session has come: its count of saves may have risen."""
        link, said = self._links[opened.sender], opened.presence
        if link.known is not None and said.saves > link.known.saves:
            link.known = Known(said.session, said.saves)
            if opened.sender not in self._uncommitted:
                self._file.remember(opened.sender, link.known)

    def uncommitted(self) -> tuple[Registering, ...]:
        """What the next commit will make durable, to be handed to ``committed`` then."""
        return tuple(self._uncommitted.items())

    def committed(self, registered: Iterable[Registering]) -> None:
        """These sessions are heard from now on, and are told so."""
        for peer, known in registered:
            link = self._links[peer]
            link.known = known
            if self._uncommitted.get(peer) is known:
                del self._uncommitted[peer]
            self._answer(link, link.to_answer, known.session)

    def _answer(self, link: Link, number: int, session: str) -> None:
        votes = self.registration.is_open
        link.outbox.append(Pong(number, session, link.known, votes))
