"""Keys: one form in a file, ids that tell nothing, errors that name the line and show no key."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from random import Random

import pytest

from paxos_adapters.wire import BadKey, Key, Keyring
from paxos_adapters.wire.bounds import MAX_KEYS
from tests.support.wires import NEW, OLD


def keys(number: int) -> tuple[Key, ...]:
    return tuple(Key(bytes([place]) * 31 + b"x") for place in range(number))


def test_a_key_is_made_of_what_the_random_source_gives() -> None:
    assert Key.generate(Random(7).randbytes) == Key(Random(7).randbytes(32))


def test_a_key_comes_out_of_its_text() -> None:
    assert OLD.text == urlsafe_b64encode(bytes(range(32))).decode().rstrip("=")
    assert len(OLD.text) == 43
    assert Key.parse(OLD.text) == Key.parse(OLD.text + "=") == OLD


def test_what_is_derived_from_a_key_differs_by_purpose() -> None:
    secret = bytes(range(32))

    assert OLD.id == hmac.digest(secret, b"paxos wire 1 id", "sha256")[:8]
    assert OLD.mac_key == hmac.digest(secret, b"paxos wire 1 mac", "sha256")
    assert OLD.aead_key == hmac.digest(secret, b"paxos wire 1 aead", "sha256")


def test_a_key_is_not_shown() -> None:
    for shown in (repr(OLD), str(OLD), repr(Keyring((OLD,)))):
        assert OLD.text not in shown
        assert repr(OLD.secret) not in shown
        assert repr(OLD.mac_key) not in shown
        assert repr(OLD.aead_key) not in shown


def test_a_file_has_a_key_on_each_line_and_comments() -> None:
    text = f"# the cluster's keys\n\n{OLD.text}  # since May\r\n\t{NEW.text}=\n"

    keyring = Keyring.parse(text)
    assert keyring == Keyring((OLD, NEW))
    assert keyring.primary == OLD
    assert keyring.by_id == {OLD.id: OLD, NEW.id: NEW}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has 0 keys"),
        ("# only a comment\n\n", "it has 0 keys"),
        (f"{OLD.text}\n{OLD.text}", "twice"),
        ("\n".join(key.text for key in keys(MAX_KEYS + 1)), "it has 17 keys"),
        (f"#\n{OLD.text[:-1]}", "line 2: .*"),
        (f"{OLD.text}\n{NEW.text[:-3]}", "line 2: it has 30 bytes"),
        (urlsafe_b64encode(bytes(range(31))).decode(), "line 1: it has 31 bytes"),
        (urlsafe_b64encode(bytes(range(33))).decode(), "line 1: it has 33 bytes"),
        (urlsafe_b64encode(bytes(32)).decode(), "line 1: its bytes are identical"),
        (f"{OLD.text} {NEW.text}", "line 1: it is not written"),
        ("\u00e9" * 43, "line 1: it is not written"),
        ("+/" + OLD.text[2:], "line 1: it is not written"),
        ("secret", "line 1: it is not written"),
        (OLD.text[:-1] + "9", "line 1: it is not written"),
        (OLD.text + "==", "line 1: it is not written"),
    ],
)
def test_a_file_that_is_no_keyring_is_refused(text: str, why: str) -> None:
    with pytest.raises(BadKey, match=why) as caught:
        Keyring.parse(text)

    assert all(word not in str(caught.value) for word in text.split() if len(word) > 30)


def test_as_many_keys_as_there_can_be() -> None:
    assert len(Keyring(keys(MAX_KEYS)).keys) == MAX_KEYS
