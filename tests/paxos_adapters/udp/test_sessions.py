"""Control messages, one at a time: what a server learns from them, and what it answers."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import pytest

from paxos import ServerId, majority
from paxos_adapters.disk_status import DiskStatus, Known
from paxos_adapters.file import FileStore
from paxos_adapters.node import OlderCopy
from paxos_adapters.udp.links import Link
from paxos_adapters.udp.registration import PATIENCE
from paxos_adapters.udp.sessions import Sessions
from paxos_adapters.wire import Control, Ping, Pong, Reason, Received, Register

ME, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)
QUORUM = majority([ME, TWO, THREE])
SESSION, LATER = "02" * 8, "03" * 8
KNOWN = Known(SESSION, 5)
"""A session of server 2, which is registered here."""


class Server:
    """Server 1, whose file was opened twice, with links that go nowhere."""

    def __init__(self, folder: Path) -> None:
        path = folder / "n1.db"
        with FileStore.create(path, cluster="c", server=ME, quorum=QUORUM) as file:
            self.first = Known(file.session, file.saves)
            file.set_peer_status(TWO, KNOWN)
        self.file = FileStore.open(path, cluster="c", server=ME, quorum=QUORUM)
        self.links = {
            it: Link(("127.0.0.1", 1), [], known=self.file.peers.get(it)) for it in (TWO, THREE)
        }
        self.refused = Counter[Reason]()
        self.sessions = Sessions(self.file, self.links, self.refused, QUORUM, is_strict=False)

    @property
    def ours(self) -> Known:
        return Known(self.file.session, self.file.saves)

    def hear(
        self,
        control: Control,
        sender: ServerId = TWO,
        *,
        session: str = SESSION,
        saves: int = 5,
        previous: Known | None = None,
    ) -> list[object]:
        """What goes to the sender then."""
        entry = ("", 0) if previous is None else (previous.session, previous.saves)
        said = DiskStatus(session, saves, *entry)
        opened = Received(sender, said, self.links[sender].session == session, (), (control,), True)
        if opened.is_registered:
            self.sessions.on_frame(opened)
        self.sessions.on_control(opened, control, 0.0)
        return self.sent(sender)

    def sent(self, receiver: ServerId) -> list[object]:
        link = self.links[receiver]
        outbox, link.outbox = link.outbox, []
        return [*outbox]

    def ping(self) -> int:
        self.sessions.ping(0.0)
        for it in self.links:
            self.sent(it)
        return self.sessions.registration.pings

    def commit(self) -> None:
        sessions = self.sessions.uncommitted()
        self.file.save(())
        self.sessions.on_committed(sessions)

    def pong(
        self, known: Known | None, sender: ServerId = TWO, number: int | None = None
    ) -> list[object]:
        """What follows from the answer to a ping of this session."""
        number = self.sessions.registration.pings if number is None else number
        return self.hear(Pong(number, self.file.session, known, votes=True), sender)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    with server.file:
        yield server


# --- theirs, here -------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_number_its_session_and_what_is_known(server: Server) -> None:
    assert server.hear(Ping(7, None)) == [Pong(7, SESSION, KNOWN, votes=False)]
    assert server.hear(Ping(8, None), session=LATER) == [Pong(8, LATER, KNOWN, votes=False)]
    assert server.hear(Ping(9, None), THREE) == [Pong(9, SESSION, None, votes=False)]


def test_a_session_that_descends_is_acknowledged_after_a_commit(server: Server) -> None:
    assert server.hear(Register(7), session=LATER, saves=9, previous=Known(SESSION, 5)) == []
    assert server.links[TWO].session == SESSION
    assert server.hear(Ping(8, None), session=LATER) == [Pong(8, LATER, KNOWN, votes=False)]
    server.commit()
    assert server.sent(TWO) == [Pong(7, LATER, Known(LATER, 9), votes=False)]
    assert server.links[TWO].session == LATER
    assert server.file.peers == {TWO: Known(LATER, 9)}
    assert server.sessions.uncommitted() == ()


def test_the_session_of_a_peer_that_nothing_is_known_of_is_registered(server: Server) -> None:
    assert server.hear(Register(1), THREE) == []
    server.commit()
    assert server.sent(THREE) == [Pong(1, SESSION, KNOWN, votes=False)]


@pytest.mark.parametrize("previous", [None, Known(SESSION, 4), Known("01" * 8, 99)])
def test_a_session_that_does_not_descend_is_counted_and_not_answered(
    server: Server, previous: Known | None
) -> None:
    assert server.hear(Register(7), session=LATER, saves=9, previous=previous) == []
    assert server.sessions.uncommitted() == ()
    assert server.refused == {Reason.NOT_DESCENDED: 1}
    assert server.file.peers == {TWO: KNOWN}


def test_a_session_that_is_registered_is_acknowledged_at_once(server: Server) -> None:
    assert server.hear(Register(7), saves=6) == [Pong(7, SESSION, Known(SESSION, 6), votes=False)]
    assert server.sessions.uncommitted() == ()


def test_of_two_copies_that_both_descend_the_second_is_refused(server: Server) -> None:
    """Before the first is durable here, too."""
    server.hear(Register(1), session=LATER, saves=9, previous=KNOWN)
    server.hear(Register(1), session="04" * 8, saves=9, previous=KNOWN)
    assert server.refused == {Reason.NOT_DESCENDED: 1}
    server.commit()
    assert server.file.peers == {TWO: Known(LATER, 9)}


def test_a_commit_that_began_before_a_session_came_does_not_register_it(server: Server) -> None:
    server.hear(Register(1), session=LATER, saves=9, previous=KNOWN)
    begun = server.sessions.uncommitted()
    server.hear(Register(1), session="04" * 8, saves=12, previous=Known(LATER, 10))
    server.sessions.on_committed(begun)
    assert server.links[TWO].session == LATER
    assert server.sessions.uncommitted() == ((TWO, Known("04" * 8, 12)),)


def test_a_count_rises_and_goes_with_the_next_commit(server: Server) -> None:
    server.hear(Ping(1, None), saves=8)
    server.hear(Ping(2, None), saves=6)
    assert server.links[TWO].known == Known(SESSION, 8)
    assert server.file.peers == {TWO: Known(SESSION, 8)}
    assert server.sessions.uncommitted() == ()


def test_a_late_count_does_not_undo_a_later_session(server: Server) -> None:
    server.hear(Register(1), session=LATER, saves=9, previous=KNOWN)
    server.hear(Ping(2, None), saves=8)
    server.commit()
    assert server.file.peers == {TWO: Known(LATER, 9)}
    assert server.links[TWO].known == Known(LATER, 9)


# --- ours, at the peers -------------------------------------------------------------------------


def test_asked_first_registered_second(server: Server) -> None:
    number = server.ping()
    assert server.hear(Ping(1, server.first), THREE, session=LATER) == [
        Pong(1, LATER, None, votes=False)
    ], "a ping is no answer"
    assert server.pong(server.first) == [Register(number)]
    assert server.links[TWO].entry == Known(
        server.first.session, server.file.disk_status().previous_saves
    )
    assert server.sent(THREE) == []
    assert server.sessions.registration.missing == {TWO, THREE}


def test_a_peer_is_asked_once_with_each_ping(server: Server) -> None:
    server.ping()
    assert len(server.pong(server.first)) == 1
    assert server.pong(server.first) == []
    server.sessions.ping(0.0)
    assert server.sent(TWO) == [Ping(2, KNOWN), Register(2)]


def test_who_has_acknowledged_is_asked_no_more(server: Server) -> None:
    server.ping()
    server.pong(server.ours)
    assert server.sessions.registration.acknowledged == {TWO}
    server.sessions.ping(0.0)
    assert server.sent(TWO) == [Ping(2, KNOWN)]


def test_it_votes_and_says_so(server: Server) -> None:
    for _ in range(PATIENCE + 1):
        server.ping()
    server.pong(server.ours)
    assert server.sessions.registration.is_open
    assert server.hear(Ping(1, None)) == [Pong(1, SESSION, KNOWN, votes=True)]


def test_a_ping_can_acknowledge(server: Server) -> None:
    server.hear(Ping(1, server.ours))
    assert server.sessions.registration.acknowledged == {TWO}


def test_a_peer_that_tells_of_later_members_is_not_asked_to_register(server: Server) -> None:
    """And an answer says how many steps of their changes are known here."""
    for _ in range(PATIENCE + 1):
        server.ping()
    number, session = server.sessions.registration.pings, server.file.session
    told = Pong(number, session, None, votes=True, steps=3)
    assert server.hear(told) == []
    assert server.sessions.registration.teachers == {TWO}

    server.sessions.on_members(QUORUM, 3)
    server.ping()
    assert server.pong(None, THREE) == [Register(number + 1)]
    (pong,) = server.hear(Ping(1, None))
    assert pong == Pong(1, SESSION, KNOWN, votes=False, steps=3)


def test_the_answer_to_an_earlier_session_or_an_older_answer_is_none(server: Server) -> None:
    """It may come late, or again: what it says that a peer does not know, it may know by now."""
    for _ in range(3):
        server.ping()
    server.pong(server.ours, number=2)
    for number in 1, 2:
        server.pong(server.first, number=number)
    server.hear(Pong(3, server.first.session, server.first, votes=True))
    assert server.sessions.registration.acknowledged == {TWO}
    server.pong(server.first, number=3)
    assert server.sessions.registration.acknowledged == set()


@pytest.mark.parametrize("session", [SESSION, LATER], ids=["registered here", "or not"])
@pytest.mark.parametrize("known", [Known("09" * 8, 1), None], ids=["another", "a later count"])
def test_a_server_whose_chain_lacks_what_a_peer_answers_stops(
    server: Server, known: Known | None, session: str
) -> None:
    """A chain that never forgot a session has each that the file was in, whoever asks."""
    known = Known(server.first.session, 99) if known is None else known
    server.ping()
    with pytest.raises(OlderCopy, match="server 2 knows of session") as caught:
        server.hear(Pong(1, server.file.session, known, votes=True), session=session)
    assert (caught.value.peer, caught.value.known) == (TWO, known)


def test_what_is_no_answer_to_this_session_does_not_stop_it(server: Server) -> None:
    """It may come late, or again, and be about a session that the chain has forgotten."""
    forgotten = Known("09" * 8, 1)
    server.ping()
    server.hear(Ping(1, forgotten))
    server.hear(Pong(1, server.first.session, forgotten, votes=True))
    assert server.sessions.registration.answered == set()
    assert server.file.peers == {TWO: KNOWN}


def test_an_older_copy_stops_though_its_file_is_busy(server: Server) -> None:
    """And keeps what it was told when it is closed. An event loop waits for no other process."""
    unknown = Known("09" * 8, 1)
    path = server.file.path
    connected = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with closing(connected) as other:
        other.execute("BEGIN IMMEDIATE")
        in_the_end = Timer(5.0, other.rollback)
        in_the_end.start()
        with pytest.raises(OlderCopy):
            server.pong(unknown, number=1)
        in_the_end.cancel()
        assert other.in_transaction, "it was not waited for"
    server.file.close()
    with FileStore.open(path, cluster="c", server=ME, quorum=QUORUM) as file:
        assert file.peers[ME] == unknown


def test_a_file_that_was_found_to_be_an_older_copy_keeps_that(server: Server) -> None:
    """It does not vote when only peers are up that know nothing of it."""
    unknown = Known("09" * 8, 1)
    with pytest.raises(OlderCopy):
        server.pong(unknown, number=1)
    path = server.file.path
    server.file.close()
    with FileStore.open(path, cluster="c", server=ME, quorum=QUORUM) as file:
        with pytest.raises(
            OlderCopy, match="as was found before, a peer knows of session 0909"
        ) as caught:
            Sessions(file, {}, Counter(), QUORUM, is_strict=False)
        assert (caught.value.peer, caught.value.known) == (ME, unknown)
        file.set_peer_status(ME, None)  # What paxos readmit does.
        Sessions(file, {}, Counter(), QUORUM, is_strict=False)


def test_a_later_count_of_the_present_session_stops_it_too(server: Server) -> None:
    """A machine that was resumed from a snapshot, for example."""
    with pytest.raises(OlderCopy):
        server.pong(Known(server.file.session, server.file.saves + 1), number=1)


def test_a_peer_that_may_be_the_older_copy_does_not_stop_it_and_is_waited_for(
    server: Server, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not registered here, and may know a session that the chain has forgotten."""
    monkeypatch.setattr(server.file, "has_whole_chain", False)
    server.ping()
    server.pong(server.ours, THREE)
    unknown = Known("09" * 8, 1)
    for _ in range(2 * PATIENCE):
        number = server.ping()
        server.hear(Pong(number, server.file.session, unknown, votes=True), session=LATER)
        assert server.sessions.registration.answered == {THREE}
        assert not server.sessions.registration.is_open
    assert "the file of server 2 is the older copy" in caplog.text
    for _ in range(PATIENCE + 1):
        server.ping()
    assert server.sessions.registration.is_open


def test_what_a_peer_knew_of_earlier_sessions_is_in_the_chain(server: Server) -> None:
    """So repeated datagrams harm no honest server, whichever of its sessions they are about."""
    server.hear(Ping(1, server.first))
    server.hear(Pong(1, server.first.session, server.first, votes=True))
    server.hear(Pong(1, server.first.session, None, votes=True))
    assert server.sessions.registration.answered == set()
