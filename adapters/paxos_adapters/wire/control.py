"""Messages between servers about themselves: is a peer there, and which of its sessions is heard.

    Ping(number, known)                  are you there; this is what I know of your disk
    Pong(number, session, known, votes)  yes; it answers that number of that session
    Register(number)                     hear this session from now on

They name no decision and change no promise. So they are taken from a session that is not
registered, too: that is how it becomes registered. To take one twice changes nothing.
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

    So an answer to an earlier session of the asker can be told. ``known`` is as in a Ping;
    ``votes`` says whether the sender takes messages of the protocol.
    """

    number: int
    session: str
    known: Known | None
    votes: bool


@final
@frozen
class Register:
    """Asks a peer to receive the session that the frame says, and to make it durable first."""

    number: int


Control: TypeAlias = Ping | Pong | Register
