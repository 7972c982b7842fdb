"""Control messages: whether a peer is there, and which of its sessions is received.

    Ping(number, known)                         are you there; this is what I know of your disk
    Pong(number, session, known, votes, steps)  yes; it answers that number of that session
    Register(number)                            receive this session from now on
    Removal(epoch)                              you were removed from the cluster

They name no decision and change no promise. So they are received from a session that is not
registered, too: that is how it becomes registered. To receive one twice changes nothing.
"""

from __future__ import annotations

from typing import TypeAlias, final

from attrs import frozen

from paxos_adapters.disk_status import Known


@final
@frozen
class Ping:
    """Asks a peer to answer. ``known`` is what the sender knows of the receiver's disk."""

    number: int
    known: Known | None


@final
@frozen
class Pong:
    """Answers a Ping or a Register: its ``number`` and the ``session`` of the asker are repeated.

    So an answer to an earlier session of the asker is recognised. ``known`` is as in a Ping.
    ``votes`` says whether the sender takes messages of the protocol. ``steps`` counts the steps of
    the changes of members that it knows: each change begins and ends.
    """

    number: int
    session: str
    known: Known | None
    votes: bool
    steps: int = 0


@final
@frozen
class Register:
    """Asks a peer to receive the session of this frame, and to make it durable first."""

    number: int


@final
@frozen
class Removal:
    """Answers a server that was removed. ``epoch``: that of the members, as the sender knows it."""

    epoch: int


Control: TypeAlias = Ping | Pong | Register | Removal
