"""``cluster.toml``: what it may say, and what is said of what it may not."""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from random import Random

import pytest

from paxos import ServerId
from paxos_adapters.deployment import BadDeployment, local, parse, read, written
from paxos_adapters.outputs import create
from paxos_adapters.wire import Encrypted, Key, Signed

S1, S2 = ServerId(1), ServerId(2)
SERVER = '[[servers]]\nid = 1\naddress = "127.0.0.1:1"\n'
OTHER = '[[servers]]\nid = 2\naddress = "[::1]:2"\n'


def test_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(
        'name = "demo"\nkeyring = "keys"\nprotection = "encrypted"\n'
        + SERVER
        + 'data = "n1.db"\n'
        + OTHER
    )
    found = read(path)

    assert found.name == "demo"
    assert found.addresses == {S1: ("127.0.0.1", 1), S2: ("::1", 2)}
    assert found.data == {S1: tmp_path / "n1.db"}
    assert found.keyring == tmp_path / "keys"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = ", "it is no TOML: Invalid value"),
        ("", "missing required field `name`"),
        ('name = "x"', "missing required field `servers`"),
        ('name = "x"\nservers = []', "servers: there are 0, and 1 to 15 can be"),
        ('name = "x"\nservers = 3', "servers: Expected `array`, got `int`"),
        ('name = ""\n' + SERVER, "name: it takes 1 to 255 bytes"),
        ("name = 7\n" + SERVER, "name: Expected `str`, got `int`"),
        (f'name = "{"x" * 256}"\n{SERVER}', "name: it takes 1 to 255 bytes"),
        ('name = "x"\nkeyrign = "k"\n' + SERVER, "unknown field `keyrign`"),
        ('name = "x"\n' + SERVER + 'adress = "y"', "servers[0]: Object contains unknown field"),
        ('name = "x"\nprotection = "signed"\n' + SERVER, "protection: 'signed' takes a keyring"),
        (
            'name = "x"\nkeyring = "k"\nprotection = "none"\n' + SERVER,
            "protection: 'none' is none. Write 'signed' or 'encrypted'.",
        ),
        ('name = "x"\n' + SERVER + SERVER.replace("127.0.0.1", "::"), "write an IPv6 address in"),
        ('name = "x"\n' + SERVER + SERVER.replace(":1", ":2"), "2 of them have the id 1"),
        ('name = "x"\n' + SERVER + SERVER.replace("= 1", "= 2"), "have the address 127.0.0.1:1"),
        (
            'name = "x"\n' + SERVER + 'data = "d"\n' + OTHER + 'data = "d"',
            "2 of them have the data",
        ),
        ('name = "x"\n' + SERVER.replace("= 1", "= 0"), "servers[0].id: 0 is no id"),
        ('name = "x"\n' + SERVER.replace("= 1", "= -1"), "servers[0].id: -1 is no id"),
        ('name = "x"\n' + SERVER.replace("= 1", "= 4294967296"), "is no id, take 1 to"),
        ('name = "x"\n' + SERVER.replace("= 1", '= "1"'), "servers[0].id: Expected `int`"),
        ('name = "x"\n' + SERVER.replace(".1:1", ".1:0"), "a port is from 1 to 65,535"),
        ('name = "x"\n' + SERVER.replace(".1:1", ".1:65536"), "a port is from 1 to 65,535"),
        (
            'name = "x"\n' + SERVER.replace(".1:1", f".1:{'7' * 5_000}"),
            f"servers[0].address: '127.0.0.1:{'7' * 70}...': a port is from 1 to 65,535",
        ),
        ("name = " + "[" * 100_000, "it is nested too deeply to be read"),
        ('name = "x"\n' + SERVER.replace(".1:1", ".1:-1"), "is no address. Write host:port"),
        ('name = "x"\n' + SERVER.replace(".1:1", ".1:\u0661"), "is no address. Write host:port"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1:1", "host"), "is no address. Write host:port"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1:1", ":1"), "is no address. Write host:port"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1:1", "[]:1"), "is no address. Write host:port"),
        (
            'name = "x"\n'
            + "".join(f'[[servers]]\nid = {n}\naddress = "h:{n}"\n' for n in range(1, 17)),
            "servers: there are 16",
        ),
    ],
)
def test_what_it_may_not_say(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(BadDeployment) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(BadDeployment, match="there is no such file"):
        read(tmp_path / "cluster.toml")
    with pytest.raises(BadDeployment, match="it cannot be read"):
        read(tmp_path)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(BadDeployment, match="it is no TOML"):
        read(tmp_path / "bytes")


@pytest.mark.parametrize("address", [("127.0.0.1", 1), ("::1", 65_535), ("a.example.org", 47)])
def test_an_address_is_read_as_it_is_written(address: tuple[str, int]) -> None:
    assert parse("here", written(address)) == address


class TestKeys:
    """How datagrams are protected."""

    def test_without_a_keyring(self, tmp_path: Path) -> None:
        path = tmp_path / "cluster.toml"
        path.write_text('name = "x"\n' + SERVER)
        assert read(path).protection() is None

    @pytest.mark.parametrize(("word", "kind"), [("signed", Signed), ("encrypted", Encrypted)])
    def test_with_one(self, tmp_path: Path, word: str, kind: type[Signed | Encrypted]) -> None:
        key = Key.generate(Random(word).randbytes)
        (tmp_path / "keys").write_text(key.text)
        path = tmp_path / "cluster.toml"
        path.write_text(f'name = "x"\nkeyring = "keys"\nprotection = "{word}"\n{SERVER}')
        protection = read(path).protection()
        assert type(protection) is kind
        assert protection is not None
        assert protection.key == key.id

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            (None, "keyring: .* cannot be read .No such file.*paxos keygen"),
            (b"", "a keyring: it has 0 keys"),
            (b"# one\nabc\n", "line 2: it has 2 bytes"),
            (b"\xff", "it is no text"),
        ],
    )
    def test_with_a_bad_one(self, tmp_path: Path, text: bytes | None, told: str) -> None:
        if text is not None:
            (tmp_path / "keys").write_bytes(text)
        path = tmp_path / "cluster.toml"
        path.write_text('name = "x"\nkeyring = "keys"\n' + SERVER)
        with pytest.raises(BadDeployment, match=told):
            read(path).protection()

    def test_encryption_without_its_extra(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "keys").write_text(Key.generate(Random(1).randbytes).text)
        path = tmp_path / "cluster.toml"
        path.write_text('name = "x"\nkeyring = "keys"\nprotection = "encrypted"\n' + SERVER)
        monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
        with pytest.raises(BadDeployment, match="extra 'aead'"):
            read(path).protection()


def test_a_new_one_is_for_this_machine(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    create(path, local("demo", 5, "keys").encode())
    found = read(path)

    assert found.name == "demo"
    assert len({port for _, port in found.addresses.values()}) == 5
    assert {host for host, _ in found.addresses.values()} == {"127.0.0.1"}
    assert found.data == {me: tmp_path / f"n{me}.db" for me in found.addresses}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
