"""The vectors in ``vectors/wire.json`` hold, in both directions, and by the book.

``by_the_book`` reads datagrams as docs/wire.md says, with nothing of the wire itself.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from hashlib import sha256

import msgspec
import pytest

from paxos_adapters.disk_status import DiskStatus
from tests.support.wires import needs_aead
from tests.tools.wire_vectors import (
    PATH,
    Held,
    KnownDisk,
    Refused,
    Said,
    Vector,
    Vectors,
    reason,
    said,
    text,
    wire,
)

FILE = msgspec.json.decode(PATH.read_bytes(), type=Vectors)
VECTORS = [
    pytest.param(it, marks=needs_aead if it.protection == "encrypted" else (), id=it.what)
    for it in FILE.vectors
]


@needs_aead
def test_sealing_gives_the_file_byte_for_byte() -> None:
    """After a change that is meant: python -m tests.tools.wire_vectors."""
    assert text() == PATH.read_text()


@pytest.mark.parametrize("vector", VECTORS)
def test_opening_gives_the_messages_of_a_vector(vector: Vector) -> None:
    it = vector.disk_status
    disk_status = DiskStatus(it.session, it.saves, it.previous, it.previous_saves)
    receiver = wire(
        vector.receiver,
        vector.protection,
        vector.key,
        cluster=vector.cluster,
        disk_status=disk_status,
    )

    opened = [receiver.open(bytes.fromhex(datagram)) for datagram in vector.datagrams]
    lines = [it for one in opened for it in (*one.controls, *one.messages)]
    assert [said(line) for line in lines] == vector.messages
    assert {(one.sender, one.disk_status, one.epoch) for one in opened} == {
        (vector.sender, disk_status, vector.epoch)
    }


@pytest.mark.parametrize("case", FILE.hostile, ids=[case.what for case in FILE.hostile])
def test_a_hostile_vector_is_refused_for_its_reason(case: Refused) -> None:
    assert reason(bytes.fromhex(case.datagram)) == case.reason != "it is received"


# --- by the book --------------------------------------------------------------------------------


def by_the_book(vector: Vector) -> list[Said]:
    """The messages of a vector that is not encrypted; every other field is checked."""
    bodies: list[bytes] = []
    said: list[Said] = []
    for number, datagram in enumerate(map(bytes.fromhex, vector.datagrams), 1):
        frame, tag = datagram[:-16], datagram[-16:]
        assert frame[0:4] == b"PAX\x03"
        assert frame[4] == ["checksummed", "authenticated"].index(vector.protection)
        assert len(bodies) == frame[5] < frame[6]
        if vector.key is None:
            assert frame[7:15] == bytes(8)
            assert tag == sha256(frame).digest()[:16]
        else:
            secret = urlsafe_b64decode(vector.key + "=")
            assert frame[7:15] == hmac.digest(secret, b"paxos wire 1 id", "sha256")[:8]
            key = hmac.digest(secret, b"paxos wire 1 mac", "sha256")
            assert tag == hmac.digest(key, frame, "sha256")[:16]
        assert frame[15:23] == sha256(vector.cluster.encode()).digest()[:8]
        assert int.from_bytes(frame[23:27], "big") == vector.sender
        assert int.from_bytes(frame[27:31], "big") == vector.receiver
        assert frame[31:39].hex() == vector.members
        assert frame[39:47].hex() == vector.disk_status.session
        assert int.from_bytes(frame[47:55], "big") == vector.disk_status.saves
        assert frame[55:63].hex() == (vector.disk_status.previous or "00" * 8)
        assert int.from_bytes(frame[63:71], "big") == vector.disk_status.previous_saves
        assert int.from_bytes(frame[71:75], "big") == vector.epoch
        assert int.from_bytes(frame[75:83], "big") == number
        bodies.append(frame[83:])
        if len(bodies) == frame[6]:
            said += map(words, msgspec.msgpack.decode(b"".join(bodies), type=list[list[object]]))
            bodies = []
    return said


OF_LOG = {
    14: ("Prepare", "ballot slot"),
    15: ("Promise", "ballot slot first accepted is_last"),
    16: ("Accept", "ballot slot entry first"),
    17: ("Accepted", "ballot slot"),
    18: ("Heartbeat", "ballot leads in_contact first"),
    19: ("CatchUpRequest", "first"),
    20: ("CatchUp", "slot proposals"),
    21: ("Confirm", "ballot number lease"),
    22: ("Confirmed", "ballot number grants"),
    23: ("Forward", "batch"),
    24: ("ReadIndexRequest", "number"),
    25: ("ReadIndexReply", "number first"),
    26: ("SnapshotOffer", "slot pieces size_bytes digest"),
    27: ("SnapshotRequest", "slot digest index count"),
    28: ("SnapshotPiece", "slot digest index data"),
    30: ("HasVersions", "first last"),
}


def of_log(tag: int, name: str, rest: list[object]) -> Said:
    """A message of a log: a ballot takes two places, all else one."""
    kind, names = OF_LOG[tag]
    if names.startswith("ballot"):
        rest = [rest[:2], *rest[2:]]
    fields = zip(names.split(), rest, strict=True)
    return Said(f"log.{kind}", name, of_log={field: plain(field, it) for field, it in fields})


def plain(field: str, value: object) -> object:
    """A field of a message of a log."""
    match field, value:
        case "entry", bytes(command):
            return {"command": command.hex()}
        case "entry", None:
            return "no operation"
        case "entry", [str(words)]:
            return {"change": words}
        case "accepted" | "proposals", _:
            return [proposal(it) for it in msgspec.convert(value, list[list[object]])]
        case _, bytes():
            return value.hex()
        case _:
            return value


def proposal(line: list[object]) -> object:
    """A proposal, behind its slot if it has four elements."""
    if len(line) == 4:
        return {"slot": line[0], "proposal": proposal(line[1:])}
    number, server, entry = line
    return {"ballot": [number, server], "entry": plain("entry", entry)}


WITH_VALUE = {3: "Accept", 4: "Accepted", 6: "Chosen"}


def disk(known: object) -> KnownDisk | None:
    """What is known of a disk: nil or an array of two."""
    match known:
        case None:
            return None
        case [bytes(session), int(saves)]:
            return KnownDisk(session.hex(), saves)
        case _:
            raise AssertionError(known)


def words(line: Iterable[object]) -> Said:
    """One array of a batch."""
    match [*line]:
        case [7, str(decision)]:
            return Said("Heartbeat", decision)
        case [1, str(decision), int(number), int(server)]:
            return Said("Prepare", decision, (number, server))
        case [2, str(decision), int(number), int(server), None]:
            return Said("Promise", decision, (number, server))
        case [2, str(decision), int(number), int(server), [int(other), int(its), bytes(value)]]:
            held = Held((other, its), value.hex())
            return Said("Promise", decision, (number, server), accepted=held)
        case [8, str(decision), int(session), int(number)]:
            return Said("Query", decision, read=(session, number))
        case [9, str(decision), int(session), int(number), None]:
            return Said("Answer", decision, read=(session, number))
        case [9, str(decision), int(session), int(number), [int(other), int(its), bytes(value)]]:
            held = Held((other, its), value.hex())
            return Said("Answer", decision, read=(session, number), accepted=held)
        case [10, int(number), known]:
            return Said("Ping", number=number, known=disk(known))
        case [11, int(number), bytes(session), known, bool(votes), int(steps)]:
            pong = Said("Pong", number=number, session=session.hex(), known=disk(known))
            pong.votes, pong.steps = votes, steps
            return pong
        case [int(tag), str(log), *rest] if tag in OF_LOG:
            return of_log(tag, log, rest)
        case [12, int(number)]:
            return Said("Register", number=number)
        case [29, int(epoch)]:
            return Said("Removal", epoch=epoch)
        case [13, int(first), int(parts)]:
            return Said("Missing", first=first, parts=parts)
        case [5, str(decision), int(number), int(server), int(other), int(its)]:
            return Said("Nack", decision, (number, server), promised=(other, its))
        case [int(tag), str(decision), int(number), int(server), bytes(value)] if tag in WITH_VALUE:
            return Said(WITH_VALUE[tag], decision, (number, server), value=value.hex())
        case _:
            raise AssertionError(line)


@pytest.mark.parametrize(
    "vector", [pytest.param(it, id=it.what) for it in FILE.vectors if it.protection != "encrypted"]
)
def test_the_vectors_are_by_the_book(vector: Vector) -> None:
    assert by_the_book(vector) == vector.messages


@needs_aead
@pytest.mark.parametrize(
    "vector", [pytest.param(it, id=it.what) for it in FILE.vectors if it.protection == "encrypted"]
)
def test_the_encrypted_vectors_are_by_the_book(vector: Vector) -> None:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    assert vector.key is not None
    secret = urlsafe_b64decode(vector.key + "=")
    root = hmac.digest(secret, b"paxos wire 1 aead", "sha256")
    bodies = b""
    for datagram in map(bytes.fromhex, vector.datagrams):
        header, sealed = datagram[:83], datagram[83:]
        cipher = ChaCha20Poly1305(hmac.digest(root, header[15:47], "sha256"))
        body = cipher.decrypt(bytes(4) + header[75:83], sealed, header)
        if header[5] == 0:
            bodies = b""
        bodies += body
        if header[5] + 1 == header[6]:
            lines = msgspec.msgpack.decode(bodies, type=list[list[object]])
            assert all(words(line) in vector.messages for line in lines)


def test_the_keys_are_by_the_book() -> None:
    for line in FILE.keys:
        secret = urlsafe_b64decode(line.text + "=")
        assert line.id == hmac.digest(secret, b"paxos wire 1 id", "sha256").hex()[:16]
        assert line.mac_key == hmac.digest(secret, b"paxos wire 1 mac", "sha256").hex()
        assert line.aead_key == hmac.digest(secret, b"paxos wire 1 aead", "sha256").hex()


def test_every_message_and_every_way_has_a_vector() -> None:
    assert {it.protection for it in FILE.vectors} == {"checksummed", "authenticated", "encrypted"}
    assert {said.type for it in FILE.vectors for said in it.messages} == {
        *("Prepare", "Promise", "Accept", "Accepted", "Nack", "Chosen", "Heartbeat"),
        *("Query", "Answer", "Ping", "Pong", "Register", "Missing", "Removal"),
        *(f"log.{kind}" for kind, _ in OF_LOG.values()),
    }
