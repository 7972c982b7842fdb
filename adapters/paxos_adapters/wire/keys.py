"""Keys: the first authenticates what is sent, all of them verify, so that they rotate.

    add the new key as the second one, everywhere
    make it the first one, everywhere
    remove the old one, everywhere

- A key is 32 random bytes. What is used is derived from it, something else for each purpose.
- Its id is derived too, and reveals nothing of it. Frames carry the id, so that a receiver does not
  try every key.
- A keyring without a key is an error, never an open door.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping

from attrs import Factory, field, frozen

from paxos_adapters.wire.bounds import MAX_KEYS
from paxos_adapters.wire.errors import BadKey

KEY_BYTES, ID_BYTES = 32, 8


def _id(key: Key) -> bytes:
    return derive(key.secret, b"paxos wire 1 id")[:ID_BYTES]


def _mac_key(key: Key) -> bytes:
    return derive(key.secret, b"paxos wire 1 mac")


def _aead_key(key: Key) -> bytes:
    return derive(key.secret, b"paxos wire 1 aead")


def derive(secret: bytes, purpose: bytes) -> bytes:
    """32 bytes that reveal nothing of ``secret``, others for each purpose."""
    return hmac.digest(secret, purpose, "sha256")


@frozen
class Key:
    """One key, and what is derived from it. Only the id is ever shown.

    Raises BadKey unless it has 32 bytes that differ.
    """

    secret: bytes = field(repr=False)
    id: bytes = field(init=False, default=Factory(_id, takes_self=True))
    mac_key: bytes = field(init=False, repr=False, default=Factory(_mac_key, takes_self=True))
    aead_key: bytes = field(init=False, repr=False, default=Factory(_aead_key, takes_self=True))

    def __attrs_post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise BadKey("a key", f"it has {len(self.secret)} bytes")
        if len(set(self.secret)) == 1:
            raise BadKey("a key", "its bytes are identical, which a random source never gives")

    @staticmethod
    def generate(random: Callable[[int], bytes]) -> Key:
        """A new key. ``random(n)`` returns n bytes that nobody can guess: ``os.urandom``."""
        return Key(random(KEY_BYTES))

    @staticmethod
    def parse(text: str) -> Key:
        """The key that ``text`` stands for. Raises BadKey."""
        padded = text + "=" * (-len(text) % 4)
        try:
            secret = urlsafe_b64decode(padded)
        except ValueError:
            secret = b""
        if urlsafe_b64encode(secret).decode() != padded:
            raise BadKey("a key", "it is not written in base64url")
        return Key(secret)

    @property
    def text(self) -> str:
        """The secret in base64url, 43 characters, as a file has it."""
        return urlsafe_b64encode(self.secret).rstrip(b"=").decode()


def _by_id(keyring: Keyring) -> Mapping[bytes, Key]:
    return {key.id: key for key in keyring.keys}


@frozen
class Keyring:
    """The keys that a server knows: the first authenticates what is sent, all of them verify.

    Raises BadKey for no key, for one that is there twice, and for more than 16.
    """

    keys: tuple[Key, ...]
    by_id: Mapping[bytes, Key] = field(
        init=False, repr=False, eq=False, default=Factory(_by_id, takes_self=True)
    )

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.keys) <= MAX_KEYS:
            raise BadKey("a keyring", f"it has {len(self.keys)} keys, and 1 to {MAX_KEYS} can be")
        if len(self.by_id) < len(self.keys):
            raise BadKey("a keyring", "a key is there twice")

    @staticmethod
    def parse(text: str) -> Keyring:
        """The keyring that a file holds. Raises BadKey, which names the line."""
        keys: list[Key] = []
        for number, line in enumerate(text.splitlines(), 1):
            word = line.partition("#")[0].strip()
            if word:
                try:
                    keys.append(Key.parse(word))
                except BadKey as bad:
                    raise BadKey(f"line {number}", bad.what) from None
        return Keyring(tuple(keys))

    @property
    def primary(self) -> Key:
        """The key that authenticates, or encrypts, what is sent."""
        return self.keys[0]
