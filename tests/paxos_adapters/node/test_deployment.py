"""``cluster.toml``: what it may say, and what is said of what it may not."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from secrets import token_hex
from typing import TypeVar

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from paxos import ServerId
from paxos_adapters.codecs import RAW
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.node.deployment import BadDeployment, local, read
from paxos_adapters.outputs import create
from paxos_adapters.udp.addresses import format_address, parse
from paxos_adapters.wire import Authenticated, Encrypted, Key

T = TypeVar("T")
S1, S2 = ServerId(1), ServerId(2)
SERVER = '[[servers]]\nid = 1\naddress = "127.0.0.1:1"\n'
OTHER = '[[servers]]\nid = 2\naddress = "localhost:2"\n'


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
    assert found.addresses == {S1: ("127.0.0.1", 1), S2: ("localhost", 2)}
    assert found.data == {S1: tmp_path / "n1.db"}
    assert found.keyring == tmp_path / "keys"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = ", "invalid TOML: Invalid value"),
        ("", "missing required field `name`"),
        ('name = "x"', "missing required field `servers`"),
        ('name = "x"\nservers = []', "servers: there are 0, and 1 to 15 can be"),
        ('name = "x"\nservers = 3', "servers: Expected `array`, got `int`"),
        ('name = ""\n' + SERVER, "name: it takes 1 to 255 bytes"),
        ("name = 7\n" + SERVER, "name: Expected `str`, got `int`"),
        (f'name = "{"x" * 256}"\n{SERVER}', "name: it takes 1 to 255 bytes"),
        ('name = "x"\nkeyrign = "k"\n' + SERVER, "unknown field `keyrign`"),
        ('name = "x"\n' + SERVER + 'adress = "y"', "servers[0]: Object contains unknown field"),
        (
            'name = "x"\nprotection = "authenticated"\n' + SERVER,
            "protection: 'authenticated' takes a keyring",
        ),
        (
            'name = "x"\nkeyring = "k"\nprotection = "none"\n' + SERVER,
            "protection: 'none' is unknown. Write 'authenticated' or 'encrypted'.",
        ),
        ('name = "x"\n' + SERVER + SERVER.replace("127.0.0.1", "::"), "write an IPv6 address in"),
        ('name = "x"\n' + SERVER + SERVER.replace(":1", ":2"), "2 of them have the id 1"),
        (
            'name = "x"\n' + SERVER + SERVER.replace("= 1", "= 2"),
            "servers 1 and 2 have the address 127.0.0.1:1",
        ),
        (
            'name = "x"\n' + SERVER + 'data = "d"\n' + OTHER + 'data = "d"',
            "d would be of server 1 and of server 2",
        ),
        ('name = "x"\n' + SERVER.replace("= 1", "= 0"), "servers[0].id: 0, and an id is 1 to"),
        ('name = "x"\n' + SERVER.replace("= 1", "= -1"), "servers[0].id: -1, and an id is 1 to"),
        ('name = "x"\n' + SERVER.replace("= 1", "= 4294967296"), "and an id is 1 to"),
        ('name = "x"\n' + SERVER.replace("= 1", '= "1"'), "servers[0].id: Expected `int`"),
        ('name = "x"\n' + SERVER.replace(".1:1", ".1:0"), "a port is from 1 to 65,535"),
        ('name = "x"\n' + SERVER.replace(".1:1", ".1:65536"), "a port is from 1 to 65,535"),
        (
            'name = "x"\n' + SERVER.replace(".1:1", f".1:{'7' * 5_000}"),
            f"servers[0].address: '127.0.0.1:{'7' * 66}...: a port is from 1 to 65,535",
        ),
        ("name = " + "[" * 100_000, "it is nested too deeply to be read"),
        ('name = "x"\n' + SERVER.replace(".1:1", ".1:-1"), "is not an address. Write host:port"),
        (
            'name = "x"\n' + SERVER.replace(".1:1", ".1:\u0661"),
            "is not an address. Write host:port",
        ),
        (
            'name = "x"\n' + SERVER.replace("127.0.0.1:1", "host"),
            "is not an address. Write host:port",
        ),
        (
            'name = "x"\n' + SERVER.replace("127.0.0.1:1", ":1"),
            "is not an address. Write host:port",
        ),
        (
            'name = "x"\n' + SERVER.replace("127.0.0.1:1", "[]:1"),
            "is not an address. Write host:port",
        ),
        (
            'name = "x"\n'
            + "".join(f'[[servers]]\nid = {n}\naddress = "h:{n}"\n' for n in range(1, 17)),
            "servers: there are 16",
        ),
        ("\ufeffname = 'x'\n" + SERVER, "it begins with a byte order mark"),
        ("name = '\ufeffx'\n" + SERVER, r"name: '\ufeffx' has characters that cannot be seen"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1", "0.0.0.0"), "stands for all of a machine"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1", "[::]"), "stands for all of a machine"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1", "255.255.255.255"), "the broadcast address"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1", "224.0.0.1"), "is a multicast address"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1", "[ff02::1]"), "is a multicast address"),
        ('name = "x"\n' + SERVER.replace("127.", "http://127."), "is a URL. Write host:port"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1", "a b"), "this is not a host name"),
        ('name = "x"\n' + SERVER.replace("127.0.0.1", "127.1"), "nor a number in full"),
        (
            'name = "x"\n' + SERVER + OTHER.replace("localhost", "[::1]"),
            "127.0.0.1:1 is IPv4 and [::1]:2 is not: they never reach each other",
        ),
        ('name = "x"\n' + SERVER + 'data = ""', "servers[0].data: '' names no file"),
        ('name = "x"\n' + SERVER + 'data = ".."', "servers[0].data: '..' names no file"),
        ('name = "x"\n' + SERVER + 'data = "a\\u0000b"', r"data: 'a\x00b' names no file"),
        ('name = "x"\nkeyring = "/"\n' + SERVER, "keyring: '/' names no file"),
        (
            'name = "x"\n' + SERVER + 'data = "cluster.toml"',
            "cluster.toml would be of this file itself and of server 1",
        ),
        (
            'name = "x"\nkeyring = "k"\n' + SERVER + 'data = "./k"',
            "k would be of the keyring and of server 1",
        ),
        (
            'name = "x"\n' + SERVER + 'data = "d"\n' + OTHER + 'data = "d-wal"',
            "d-wal would be of server 1 and of server 2",
        ),
        ("#" * (1 << 20) + "\n", "it is larger than 1,048,576 bytes"),
    ],
)
def test_what_it_may_not_say(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(text, encoding="utf-8")
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
    (tmp_path / "bytes").write_bytes(b"\xff\xff")
    with pytest.raises(BadDeployment, match="invalid TOML"):
        read(tmp_path / "bytes")


@pytest.mark.parametrize("address", [("127.0.0.1", 1), ("::1", 65_535), ("a.example.org", 47)])
def test_an_address_is_read_as_it_is_written(address: tuple[str, int]) -> None:
    assert parse("here", format_address(address)) == address


class TestKeys:
    """How datagrams are protected."""

    def test_without_a_keyring(self, tmp_path: Path) -> None:
        path = tmp_path / "cluster.toml"
        path.write_text('name = "x"\n' + SERVER)
        assert read(path).protection() is None

    @pytest.mark.parametrize(
        ("word", "kind"), [("authenticated", Authenticated), ("encrypted", Encrypted)]
    )
    def test_with_one(
        self, tmp_path: Path, word: str, kind: type[Authenticated | Encrypted]
    ) -> None:
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
            (b"\xff", "it is not text"),
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
    create(path, local("demo", map(ServerId, range(1, 6)), "keys").encode())
    found = read(path)

    assert found.name == "demo"
    assert len({port for _, port in found.addresses.values()}) == 5
    assert {host for host, _ in found.addresses.values()} == {"127.0.0.1"}
    assert found.data == {me: tmp_path / f"n{me}.db" for me in found.addresses}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- any text -----------------------------------------------------------------------------------

HOSTS = ["127.0.0.1", "10.0.0.1", "localhost", "a.example.org", "a_b", "h-1", "[::1]"]
BAD_HOSTS = ["0.0.0.0", "[::]", "224.0.0.1", "255.255.255.255", "http://a", "127.1", "0x7f.1"]
FILES = ["n1.db", "n2.db", "n3.db", "sub/n1.db", "./n1.db", "n1.db-wal", "keys", "cluster.toml"]
NO_FILES = ["", "..", "/", "a\0b"]
Table = Mapping[str, object]


def tables(flaws: bool) -> st.SearchStrategy[Sequence[Table]]:
    """The tables of a description; without ``flaws`` many of them can work."""
    none = st.nothing()
    host = st.sampled_from(HOSTS) | (st.sampled_from(BAD_HOSTS) | st.text() if flaws else none)
    port = st.integers(1, 9) | (st.integers() | st.text(max_size=3) if flaws else none)
    file = st.sampled_from(FILES) | (st.sampled_from(NO_FILES) | st.text() if flaws else none)
    wrong = st.integers() | st.floats() | st.text() | st.booleans() if flaws else none
    server = st.fixed_dictionaries(
        {
            "id": st.integers(1, 4) | wrong,
            "address": st.builds("{}:{}".format, host, port) | wrong,
        },
        optional={"data": file | wrong, **({"more": wrong} if flaws else {})},
    )
    head = st.fixed_dictionaries(
        {"name": st.just("demo") | (st.text(max_size=300) if flaws else none)},
        optional={
            "keyring": file | wrong,
            **(
                {"protection": st.sampled_from(["authenticated", "encrypted"]) | wrong}
                if flaws
                else {}
            ),
        },
    )
    servers = st.lists(server, min_size=0 if flaws else 1, max_size=3)
    return st.tuples(head, servers).map(lambda it: [it[0], *it[1]])


def toml(tables: Sequence[Table]) -> bytes:
    """The text of a description."""
    return b"\n[[servers]]\n".join(
        "\n".join(
            f"{key} = {json.dumps(it, ensure_ascii=False)}" for key, it in table.items()
        ).encode(errors="surrogatepass")
        for table in tables
    )


def attempt(call: Callable[[], T]) -> T | BadDeployment:
    """What ``call`` returns or raises, of the one error that may be."""
    try:
        return call()
    except BadDeployment as error:
        return error


@given(
    content=st.binary()
    | st.text().map(str.encode)
    | tables(flaws=True).map(toml)
    | tables(flaws=False).map(toml)
)
@example(b"\xef\xbb\xbfname = 'x'\n" + SERVER.encode())
@example(f"name = 'x'\n{SERVER}{OTHER.replace('localhost', '[::1]')}".encode())
@example(b"name = 'x'\n" + SERVER.replace("127.0.0.1", "0.0.0.0").encode())
@example(b"name = 'x'\n" + SERVER.replace("127.0.0.1", "a\\u0000b").encode())
@example(b"name = 'x'\n" + SERVER.replace("127.0.0.1", "a..b").encode())
@example(b"name = 'x'\n" + SERVER.replace("127.0.0.1", "a" * 64).encode())
@example(b"name = 'x'\n" + SERVER.replace("127.0.0.1", "http://a").encode())
@example(b"name = 'x'\nkeyring = 'keys'\n" + SERVER.encode())
@example(b"name = 'x'\n" + SERVER.replace("= 1", "= " + "9" * 5_000).encode())
def test_any_text_is_a_typed_error_or_a_cluster_that_can_work(
    tmp_path: Path, content: bytes
) -> None:
    """Never a third thing: what is read makes a node of each server."""
    path = tmp_path / "cluster.toml"
    path.write_bytes(content)
    found = attempt(lambda: read(path))
    event(type(found).__name__)
    if isinstance(found, BadDeployment):
        assert str(found).startswith(f"{path}: ")
        return
    protection = attempt(found.protection)
    if isinstance(protection, BadDeployment):
        assert str(protection).startswith(str(tmp_path))
    assert found.name.isprintable()
    for me, address in found.addresses.items():
        assert parse("here", format_address(address)) == address
        store = tmp_path / "store" / token_hex(8)
        store.parent.mkdir(exist_ok=True)
        with FileStore.create(
            store,
            cluster=found.name,
            server=me,
            quorum=found.quorum,
            membership=found.membership,
        ) as file:
            node = Node(file, NetworkConfig(found.addresses, insecure=True), codec=RAW)
            assert node.me == me
    for data in found.data.values():
        assert data.name not in ("", "..")
