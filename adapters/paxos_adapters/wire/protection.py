"""How a frame is kept from being altered or invented. A cluster has one of three ways.

- *Checksummed*: it finds accidents; anybody can make a checksum. For networks that nobody else can
  send to.
- *Authenticated*: a MAC, HMAC-SHA256 cut to 16 bytes. A holder of a key can speak for any server.
- *Encrypted*: ChaCha20-Poly1305; nobody else can read the body. The header stays readable.

A server accepts only what is protected in its own way, so that no attacker can negotiate less.
Nothing in a body is looked at before its tag has been verified. In a header ``code`` stands for the
way, and ``key`` for the key.

Each session of a sender has an encryption key of its own for each receiver, with the sequence as
the nonce. No key meets a nonce twice, as long as no two wires share a session.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import ClassVar, Protocol, TypeAlias, final

from attrs import Factory, field, frozen

from paxos_adapters import arguments
from paxos_adapters.wire.errors import MissingExtra, Reason, RejectedDatagram
from paxos_adapters.wire.frame import HEADER_BYTES, SESSION, TAG_BYTES, Header
from paxos_adapters.wire.keys import ID_BYTES, Key, Keyring, derive

NO_KEY = bytes(ID_BYTES)


@final
@frozen
class Checksummed:
    """A checksum, the first 16 bytes of SHA-256: for networks that nobody else can send to."""

    code: ClassVar[int] = 0
    key: ClassVar[bytes] = NO_KEY

    def close(self, header: bytes, body: bytes) -> bytes:
        """The whole datagram."""
        frame = header + body
        return frame + sha256(frame).digest()[:TAG_BYTES]

    def open(self, header: Header, datagram: bytes) -> bytes:
        """The body. Raises RejectedDatagram."""
        if header.key != NO_KEY:
            raise RejectedDatagram(Reason.UNKNOWN_KEY)
        if sha256(datagram[:-TAG_BYTES]).digest()[:TAG_BYTES] != datagram[-TAG_BYTES:]:
            raise RejectedDatagram(Reason.BAD_MAC)
        return datagram[HEADER_BYTES:-TAG_BYTES]


@frozen
class _Keyed:
    keyring: Keyring

    def __attrs_post_init__(self) -> None:
        """Raise BadArgument for another object."""
        arguments.one_of("keyring", self.keyring, Keyring)

    @property
    def key(self) -> bytes:
        """What stands for the key in a header."""
        return self.keyring.primary.id


@final
@frozen
class Authenticated(_Keyed):
    """A MAC, HMAC-SHA256 cut to 16 bytes: nobody without a key can send or alter anything."""

    code: ClassVar[int] = 1

    def close(self, header: bytes, body: bytes) -> bytes:
        """The whole datagram."""
        frame = header + body
        return frame + hmac.digest(self.keyring.primary.mac_key, frame, "sha256")[:TAG_BYTES]

    def open(self, header: Header, datagram: bytes) -> bytes:
        """The body. Raises RejectedDatagram."""
        key = _key_for(self.keyring, header)
        mac = hmac.digest(key.mac_key, datagram[:-TAG_BYTES], "sha256")[:TAG_BYTES]
        if not hmac.compare_digest(mac, datagram[-TAG_BYTES:]):
            raise RejectedDatagram(Reason.BAD_MAC)
        return datagram[HEADER_BYTES:-TAG_BYTES]


class Cipher(Protocol):
    """An authenticated cipher with its key in it."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """The ciphertext of ``data``, and a tag for it and the associated data."""
        ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None, /) -> bytes:
        """The inverse of ``encrypt``."""
        ...


Library: TypeAlias = tuple[Callable[[bytes], Cipher], type[Exception]]
"""What makes a cipher from a key, and what its cipher raises for a wrong tag."""


def _library() -> Library:
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
    except ImportError as error:
        raise MissingExtra from error
    return ChaCha20Poly1305, InvalidTag


@final
@frozen
class Encrypted(_Keyed):
    """ChaCha20-Poly1305: as ``Authenticated``, and nobody without a key can read a body.

    Raises MissingExtra if the library for it, the extra ``aead``, is not there.
    """

    _library: Library = field(init=False, repr=False, eq=False, default=Factory(_library))
    code: ClassVar[int] = 2

    def close(self, header: bytes, body: bytes) -> bytes:
        """The whole datagram."""
        cipher = self._cipher(self.keyring.primary, header)
        return header + cipher.encrypt(_nonce(header), body, header)

    def open(self, header: Header, datagram: bytes) -> bytes:
        """The body. Raises RejectedDatagram."""
        plain, sealed = datagram[:HEADER_BYTES], datagram[HEADER_BYTES:]
        cipher = self._cipher(_key_for(self.keyring, header), plain)
        _, wrong_tag = self._library
        try:
            return cipher.decrypt(_nonce(plain), sealed, plain)
        except wrong_tag:
            raise RejectedDatagram(Reason.BAD_MAC) from None

    def _cipher(self, key: Key, header: bytes) -> Cipher:
        make, _ = self._library
        return make(derive(key.aead_key, header[SESSION]))


Protection: TypeAlias = Checksummed | Authenticated | Encrypted
"""How a cluster protects what its servers say to each other."""


def _key_for(keyring: Keyring, header: Header) -> Key:
    key = keyring.by_id.get(header.key)
    if key is None:
        raise RejectedDatagram(Reason.UNKNOWN_KEY)
    return key


def _nonce(header: bytes) -> bytes:
    """Twelve bytes: the sequence, which stands at the end of the header."""
    return bytes(4) + header[-8:]
