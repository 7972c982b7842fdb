"""Test vectors of the wire, for other languages.

``python -m tests.tools.wire_vectors`` writes them.

Each vector is what a server seals first, and the datagrams that come of it, in hex. The hostile
ones are datagrams, and why their receiver refuses them. A change of what is there is a change of
the format, and asks for another version.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
from attrs import evolve, fields

from paxos import (
    Accept,
    Accepted,
    Answer,
    Ballot,
    Chosen,
    Heartbeat,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Query,
    ReadId,
    ServerId,
)
from paxos.log import messages as log
from paxos_adapters.disk_status import DiskStatus, Known
from paxos_adapters.limits import MAX_EPOCH, MAX_ROUND, MAX_SAVES, MAX_SERVER
from paxos_adapters.log_messages import LogMessage, is_for_decision, is_for_log
from paxos_adapters.quorum_words import words_of
from paxos_adapters.wire import (
    Authenticated,
    Checksummed,
    Control,
    Encrypted,
    Key,
    Keyring,
    Missing,
    Ping,
    Pong,
    Protection,
    Register,
    RejectedDatagram,
    Removal,
    Wire,
    WireMessage,
)
from paxos_adapters.wire.bounds import MAX_PINGS, MAX_READ, MAX_SEQUENCE, MAX_STEPS
from paxos_adapters.wire.fragments import MAX_PARTS
from paxos_adapters.wire.frame import BODY_BYTES, HEADER_BYTES, LAYOUT, TAG_BYTES, VERSION, Header
from tests.support.log_messages import EACH_OF_LOG
from tests.support.wires import DIGEST, DISK_STATUS, KNOWN, MEMBERS, NEW, OLD, ONE, TWO

PATH = Path(__file__).parents[1] / "vectors" / "wire.json"
Numbers: TypeAlias = tuple[int, int]
Proposed: TypeAlias = Proposal[log.Entry[bytes]]
Proposals: TypeAlias = tuple[Proposed, ...] | tuple[tuple[int, Proposed], ...]
Field: TypeAlias = int | bytes | Ballot | log.Entry[bytes] | Proposals | None


class KeyLine(msgspec.Struct):
    """A key, and what is derived from it."""

    text: str
    id: str
    mac_key: str
    aead_key: str


class Held(msgspec.Struct):
    """What an acceptor has accepted."""

    ballot: Numbers
    value: str


class KnownDisk(msgspec.Struct):
    """What is known of a disk."""

    session: str
    saves: int


class Said(msgspec.Struct, omit_defaults=True):
    """A message about a decision or a log, or a control message.

    Of the fields, those that its type has; ``of_log`` are those of a message of a log.
    """

    type: str
    decision: str | None = None
    ballot: Numbers | None = None
    value: str | None = None
    accepted: Held | None = None
    promised: Numbers | None = None
    read: Numbers | None = None
    number: int | None = None
    session: str | None = None
    known: KnownDisk | None = None
    votes: bool | None = None
    steps: int | None = None
    first: int | None = None
    parts: int | None = None
    epoch: int | None = None
    of_log: dict[str, object] | None = None


class Disk(msgspec.Struct):
    """The disk status of the sender."""

    session: str
    saves: int
    previous: str
    previous_saves: int


class Vector(msgspec.Struct):
    """What was sealed, and what came of it."""

    what: str
    cluster: str
    sender: int
    receiver: int
    protection: str
    key: str | None
    members: str
    disk_status: Disk
    epoch: int
    messages: list[Said]
    datagrams: list[str]


class Refused(msgspec.Struct):
    """What server 2 of cluster demo refuses, as the first datagram of all."""

    what: str
    protection: str
    key: str | None
    datagram: str
    reason: str


class Vectors(msgspec.Struct):
    """The whole file."""

    version: int
    keys: list[KeyLine]
    vectors: list[Vector]
    hostile: list[Refused]


def wire(
    me: int,
    protection: str,
    key: str | None,
    *,
    cluster: str,
    disk_status: DiskStatus,
    epoch: int = 0,
) -> Wire:
    """One end, of any cluster."""
    keyring = Keyring((Key.parse(key),)) if key else None
    guard: Protection = Checksummed()
    if keyring is not None:
        guard = Authenticated(keyring) if protection == "authenticated" else Encrypted(keyring)
    made = Wire(
        cluster=cluster,
        me=ServerId(me),
        members=MEMBERS | {ServerId(me), ServerId(MAX_SERVER), ServerId(0)},
        digest=DIGEST,
        protection=guard,
        disk_status=lambda _: disk_status,
        registered=lambda _: disk_status.session,
    )
    made.epoch = epoch
    return made


def said(line: WireMessage) -> Said:
    """A line of a body in words."""
    if isinstance(line, Missing):
        return Said("Missing", first=line.first, parts=line.parts)
    if not isinstance(line, tuple):
        return told(line)
    decision, message = line
    if is_for_log(message):
        return Said(f"log.{type(message).__name__}", decision, of_log=plain_fields(message))
    assert is_for_decision(message)
    words = Said(type(message).__name__, decision)
    if isinstance(message, Query | Answer):
        words.read = message.id
    elif not isinstance(message, Heartbeat):
        words.ballot = message.ballot
    if isinstance(message, Accept | Accepted | Chosen):
        words.value = message.value.hex()
    elif isinstance(message, Promise | Answer) and message.accepted is not None:
        words.accepted = Held(message.accepted.ballot, message.accepted.value.hex())
    elif isinstance(message, Nack):
        words.promised = message.promised
    return words


def told(control: Control) -> Said:
    """A control message in words."""
    if isinstance(control, Removal):
        return Said("Removal", epoch=control.epoch)
    words = Said(type(control).__name__, number=control.number)
    if not isinstance(control, Register) and control.known is not None:
        words.known = KnownDisk(control.known.session, control.known.saves)
    if isinstance(control, Pong):
        words.session, words.votes = control.session, control.votes
        words.steps = control.steps
    return words


def plain_fields(message: LogMessage) -> dict[str, object]:
    """The fields of a message of a log, as JSON has them."""
    return {it.name: plain(getattr(message, it.name)) for it in fields(type(message))}


def plain(value: Field) -> object:
    """A field as JSON has it: bytes in hex, an entry as what it is and what it holds."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, log.Command):
        return {"command": value.value.hex()}
    if isinstance(value, log.Noop):
        return "no operation"
    if isinstance(value, log.Change):
        return {"change": words_of(value.quorum)}
    if isinstance(value, Ballot):
        return list(value)
    if value is None or isinstance(value, int):
        return value
    return [proposed(it) for it in value]


def proposed(it: Proposed | tuple[int, Proposed]) -> object:
    """A proposal, and its slot if it is said."""
    if isinstance(it, Proposal):
        return {"ballot": list(it.ballot), "entry": plain(it.value)}
    slot, proposal = it
    return {"slot": slot, "proposal": proposed(proposal)}


READ, LAST_READ = ReadId(0x0123456789ABCDEF, 5), ReadId(MAX_READ, MAX_READ)
BALLOT, LAST = Ballot(3, ONE), Ballot(MAX_ROUND, ServerId(MAX_SERVER))
LAST_READS = Query(LAST_READ), Answer(LAST_READ, Proposal(LAST, b""))
LARGE = Accept(BALLOT, bytes(range(256)) * 9)
EACH: list[Message[bytes]] = [
    Prepare(BALLOT),
    Promise[bytes](BALLOT, None),
    Promise(BALLOT, Proposal(Ballot(2, TWO), b"red")),
    Accept(BALLOT, b"red"),
    Accepted(BALLOT, b"red"),
    Nack(BALLOT, Ballot(4, TWO)),
    Chosen(BALLOT, b"red"),
    Query(READ),
    Answer[bytes](READ, None),
    Answer(READ, Proposal(BALLOT, b"red")),
    Heartbeat(),
]
PINGS: list[Ping | Pong | Register] = [
    Ping(1, None),
    Ping(MAX_PINGS, Known("ff" * 8, MAX_SAVES)),
    Pong(2, "ab" * 8, None, votes=False),
    Pong(3, "ab" * 8, KNOWN, votes=True, steps=MAX_STEPS),
    Register(4),
]
REMOVED = [Removal(0), Removal(MAX_EPOCH)]
MISSING = [Missing(1, 1), Missing(MAX_SEQUENCE, (1 << MAX_PARTS) - 1)]
NAMED: list[tuple[str, WireMessage]] = [
    *((type(it).__name__, ("leader", it)) for it in EACH),
    *((f"{type(it).__name__} {it.number}", it) for it in PINGS),
    *((f"Removal {it.epoch}", it) for it in REMOVED),
    *((f"Missing {it.first}", it) for it in MISSING),
]
OF_LOGS: list[tuple[str, list[WireMessage]]] = [
    (f"{type(it).__name__} of a log, {number}", [("log", it)])
    for number, it in enumerate(EACH_OF_LOG, 1)
]
SEALED: list[tuple[str, list[WireMessage]]] = [
    *((what, [line]) for what, line in NAMED),
    ("all of them together", [("leader", it) for it in EACH]),
    ("control messages and another one", [*PINGS, *REMOVED, ("leader", Heartbeat())]),
    ("sixteen messages", [(f"{it}", Heartbeat()) for it in range(16)]),
    ("the highest ballot", [("leader", Promise(LAST, Proposal(LAST, b"")))]),
    ("the last read", [("leader", it) for it in LAST_READS]),
    ("a name that is not ASCII", [("Führung", Heartbeat())]),
    ("a value in three parts, then a heartbeat", [("leader", LARGE), ("leader", Heartbeat())]),
    *OF_LOGS,
]


class Route(NamedTuple):
    """From which server to which one, and in which epoch."""

    sender: int = 1
    receiver: int = 2
    epoch: int = 0


ROUTE, LATER = Route(), [Route(epoch=it) for it in (1, MAX_EPOCH)]


def vector(
    what: str,
    entries: list[WireMessage],
    protection: str,
    key: Key | None,
    *,
    cluster: str = "demo",
    disk_status: DiskStatus = DISK_STATUS,
    route: Route = ROUTE,
) -> Vector:
    """Seal it."""
    sender, receiver, epoch = route
    text = key.text if key else None
    one = wire(sender, protection, text, cluster=cluster, disk_status=disk_status, epoch=epoch)
    datagrams = [it.hex() for it in one.seal(ServerId(receiver), entries)]
    it = disk_status
    disk = Disk(it.session, it.saves, it.previous, it.previous_saves)
    messages = [said(entry) for entry in entries]
    members = DIGEST.hex()
    return Vector(
        what, cluster, sender, receiver, protection, text, members, disk, epoch, messages, datagrams
    )


def vectors() -> list[Vector]:
    """All that are received."""
    beat: list[WireMessage] = [("leader", Heartbeat())]
    last = evolve(DISK_STATUS, saves=MAX_SAVES, previous_saves=MAX_SAVES)
    return [
        *(vector(what, entries, "authenticated", OLD) for what, entries in SEALED),
        vector("another key", beat, "authenticated", NEW),
        vector(
            "the first session", beat, "authenticated", OLD, disk_status=DiskStatus("ef" * 8, 1)
        ),
        *(vector(f"epoch {it.epoch}", beat, "authenticated", OLD, route=it) for it in LATER),
        vector("another cluster", beat, "authenticated", OLD, cluster="größer"),
        vector(
            "the most saves and the highest server",
            beat,
            "authenticated",
            OLD,
            disk_status=last,
            route=Route(0, MAX_SERVER),
        ),
        *(vector(what, entries, "checksummed", None) for what, entries in SEALED[3::5]),
        *(vector(what, entries, "encrypted", OLD) for what, entries in SEALED[3::3]),
    ]


BAD_BODIES: dict[str, object] = {
    "no body": b"",
    "an empty batch": b"\x90",
    "round 0": [[1, "leader", 0, 1]],
    "round 2^63": [[1, "leader", 1 << 63, 1]],
    "a server above 2^32 - 1": [[1, "leader", 1, 1 << 32]],
    "a name of no byte": [[7, ""]],
    "a name of 256 bytes": [[7, "d" * 256]],
    "257 messages": [[7, "d"]] * 257,
    "a message of kind 0": [[0, "leader"]],
    "a message of kind 2^16 + 1": [[(1 << 16) + 1, "leader"]],
    "a ping that names a decision": [[10, "leader"]],
    "a ping of number -1": [[10, -1, None]],
    "a session of 7 bytes": [[10, 1, [bytes(7), 1]]],
    "a session of zeros is known": [[10, 1, [bytes(8), 1]]],
    "2^63 saves are known": [[10, 1, [b"s" * 8, 1 << 63]]],
    "an answer to no session": [[11, 1, bytes(8), None, True, 0]],
    "a number for a truth": [[11, 1, b"s" * 8, None, 1, 0]],
    "a registration with more": [[12, 1, 1]],
    "part 60 is missing": [[13, 1, 1 << 60]],
    "nothing is missing": [[13, 1, 0]],
    "a part of sequence 0 is missing": [[13, 0, 1]],
    "an epoch of 2^32": [[29, 1 << 32]],
    "a read of session -1": [[8, "leader", -1, 1]],
    "a promise that tells of a higher ballot": [[2, "leader", 3, 1, [3, 2, b"red"]]],
    "a refusal for its own ballot": [[5, "leader", 3, 1, 3, 1]],
    "a field too many": [[7, "leader", 1]],
    "a float for a round": [[1, "leader", 1.0, 1]],
    "text for a value": [[3, "leader", 1, 1, "red"]],
    "a name that is no UTF-8": b"\x91\x92\x07\xa1\xff",
    "a slot of 0": [[14, "log", 1, 1, 0]],
    "slots that fall": [[15, "log", 3, 1, 1, 1, [[2, 1, 1, None], [1, 1, 1, None]], True]],
    "a slot that its sender knows to be chosen": [[16, "log", 1, 1, 1, None, 2]],
    "disjoint quorums": [[16, "log", 1, 1, 1, ["counted 1 2 phase1 1 phase2 1"], 1]],
    "a leader without a ballot": [[18, "log", 0, 0, True, True, 1]],
    "nothing that is chosen": [[20, "log", 1, []]],
    "a snapshot larger than its pieces": [[26, "log", 5, 1, 1 << 16, bytes(16)]],
    "a digest of 15 bytes": [[27, "log", 5, bytes(15), 0, 1]],
    "an empty piece": [[28, "log", 5, bytes(16), 0, b""]],
    "versions that fall": [[30, "log", 2, 1]],
    "a byte after the batch": msgspec.msgpack.encode([[7, "leader"]]) + b"\0",
}
"""Under a right tag: bytes as they are, all else in MessagePack."""


def hostile() -> list[Refused]:
    """All that are refused."""
    whole = bytes.fromhex(vector("", [("leader", Heartbeat())], "authenticated", OLD).datagrams[0])
    header, body = Header(*LAYOUT.unpack_from(whole)), whole[HEADER_BYTES:-TAG_BYTES]

    def tagged(body: bytes = body, header: Header = header) -> bytes:
        return Authenticated(Keyring((OLD,))).close(LAYOUT.pack(*header), body)

    cases = {
        "no byte": b"",
        "cut off before the tag": whole[: HEADER_BYTES + TAG_BYTES - 1],
        "cut off by a byte": whole[:-1],
        "a byte too long for a datagram": whole + bytes(16_385 - len(whole)),
        "another magic": b"PAY" + whole[3:],
        "version 2": whole[:3] + b"\2" + whole[4:],
        "a bit of the body is flipped": whole[:84] + bytes([whole[84] ^ 1]) + whole[85:],
        "a bit of the tag is flipped": whole[:-1] + bytes([whole[-1] ^ 1]),
        "another cluster": tagged(header=header._replace(cluster=bytes(8))),
        "for server 3": tagged(header=header._replace(receiver=ServerId(3))),
        "from server 9": tagged(header=header._replace(sender=ServerId(9))),
        "a checksum instead of a MAC": bytes.fromhex(
            vector("", [("leader", Heartbeat())], "checksummed", None).datagrams[0]
        ),
        "an unknown key": tagged(header=header._replace(key=bytes(8))),
        "sequence 0": tagged(header=header._replace(sequence=0)),
        "part 1 of 1": tagged(header=header._replace(part=1)),
        "no part": tagged(header=header._replace(parts=0)),
        "61 parts": tagged(bytes(BODY_BYTES), header._replace(parts=61)),
        "a first part that is not full": tagged(header=header._replace(parts=2)),
        "other members": tagged(header=header._replace(members=bytes(8))),
        "no session": tagged(header=header._replace(session=bytes(8))),
        "a session that is not registered": tagged(header=header._replace(session=b"s" * 8)),
        "an earlier session with more saves": tagged(header=header._replace(previous_saves=21)),
        "no earlier session, with saves": tagged(header=header._replace(previous=bytes(8))),
        "2^63 saves": tagged(header=header._replace(saves=1 << 63)),
        **{what: tagged(it) for what, it in bad_bodies()},
    }
    return [
        Refused(what, "authenticated", OLD.text, it.hex(), reason(it)) for what, it in cases.items()
    ]


def bad_bodies() -> Iterator[tuple[str, bytes]]:
    """What follows the header, with its name."""
    for what, body in BAD_BODIES.items():
        yield what, body if isinstance(body, bytes) else msgspec.msgpack.encode(body)


def reason(datagram: bytes) -> str:
    """Why server 2 refuses it."""
    two = wire(2, "authenticated", OLD.text, cluster="demo", disk_status=DISK_STATUS)
    try:
        two.open(datagram)
    except RejectedDatagram as refusal:
        return refusal.reason.name
    return "it is received"


def text() -> str:
    """The whole file."""
    keys = [KeyLine(it.text, it.id.hex(), it.mac_key.hex(), it.aead_key.hex()) for it in (OLD, NEW)]
    whole = msgspec.json.encode(Vectors(VERSION, keys, vectors(), hostile()))
    return msgspec.json.format(whole, indent=1).decode() + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
