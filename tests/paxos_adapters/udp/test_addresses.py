"""Which addresses a server of a cluster can have, in a description and as an argument."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paxos import ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.node import NetworkConfig, Node
from paxos_adapters.udp.addresses import (
    BadAddress,
    check,
    check_cluster,
    check_peers,
    format_address,
    is_loopback,
    parse,
)
from paxos_adapters.udp.endpoint import Address

ONE, TWO = ServerId(1), ServerId(2)
NEVER = [
    ("0.0.0.0", "stands for all of a machine"),
    ("::", "stands for all of a machine"),
    ("::ffff:0.0.0.0", "stands for all of a machine"),
    ("255.255.255.255", "the broadcast address"),
    ("::ffff:255.255.255.255", "the broadcast address"),
    ("224.0.0.1", "a multicast address"),
    ("239.255.255.250", "a multicast address"),
    ("ff02::1", "a multicast address"),
    ("fe80::1%a b", "of a scope that is not an interface name"),
    ("", "this is not a host name"),
    (".", "this is not a host name"),
    ("a..b", "this is not a host name"),
    ("a b", "this is not a host name"),
    ("a/b", "this is not a host name"),
    ("http://a", "this is not a host name"),
    ("user@host", "this is not a host name"),
    ("a\0b", "this is not a host name"),
    ("a\u200db", "this is not a host name"),
    ("\ufeff127.0.0.1", "this is not a host name"),
    ("-a", "this is not a host name"),
    ("a-", "this is not a host name"),
    ("a" * 64, "this is not a host name"),
    (".".join(["a" * 60] * 5), "this is not a host name"),
    ("\ud800", "this is not a host name"),
    ("0", "nor a number in full"),
    ("127.1", "nor a number in full"),
    ("2130706433", "nor a number in full"),
    ("0x7f000001", "nor a number in full"),
    ("127.0.0.0x1", "nor a number in full"),
    ("010.0.0.1", "nor a number in full"),
    ("256.0.0.1", "nor a number in full"),
    ("1.2.3.4.5", "nor a number in full"),
    ("[::1]", "this is not a host name"),
]
ALWAYS = [
    *("127.0.0.1", "10.0.0.255", "::1", "2001:db8::1", "fe80::1%eth0", "::ffff:10.0.0.1"),
    *("localhost", "a.example.org", "a.example.org.", "n1", "1a", "a-b", "a_b", "xn--bcher-kva.de"),
    "bücher.example",
]


@pytest.mark.parametrize(("host", "told"), NEVER)
def test_what_can_never_work_is_refused(host: str, told: str, tmp_path: Path) -> None:
    for addresses in {ONE: (host, 7)}, {ONE: ("a", 7), TWO: (host, 7)}:
        with pytest.raises(BadAddress, match=told) as caught:
            check_cluster(addresses)
        assert str(caught.value).startswith(f"server {max(addresses)}: ")
    with (
        FileStore.create(
            tmp_path / "n1.db", cluster="c", server=ONE, quorum=majority([ONE, TWO])
        ) as file,
        pytest.raises(BadAddress, match=told),
    ):
        Node(
            file, NetworkConfig({ONE: ("127.0.0.1", 0), TWO: (host, 7)}, insecure=True), codec=TEXT
        )


@pytest.mark.parametrize("host", ALWAYS)
def test_what_can_work_is_taken(host: str) -> None:
    check_cluster({ONE: (host, 7), TWO: (host, 8)})
    check_cluster({ONE: (host, 0)}, is_any_port=True)
    assert parse("here", format_address((host, 7))) == (host, 7)


@pytest.mark.parametrize(
    "port", [0, -1, 65_536, True, 1.0, "7", None], ids=lambda it: f"{type(it).__name__} {it}"
)
def test_a_peer_has_a_port(port: object) -> None:
    with pytest.raises(BadAddress, match=r"a port is from 1 to 65,535|is not an address"):
        check("here", ("127.0.0.1", port))


@pytest.mark.parametrize("address", ["127.0.0.1:7", ("a",), ("a", 1, 2), None, (b"a", 1), 7])
def test_an_address_is_a_host_and_a_port(address: object) -> None:
    with pytest.raises(BadAddress, match=r"here: .* is not an address"):
        check("here", address)


def test_one_may_have_any_port_that_is_free() -> None:
    addresses = {ONE: ("127.0.0.1", 0), TWO: ("127.0.0.1", 7)}
    check_cluster(addresses, is_any_port=True)
    check_peers(addresses, ONE)
    with pytest.raises(BadAddress, match=r"server 1: '127\.0\.0\.1:0': a port"):
        check_peers(addresses, TWO)
    with pytest.raises(BadAddress, match=r"server 1: '127\.0\.0\.1:0': a port"):
        check_cluster(addresses)


def test_two_that_may_have_any_port_do_not_share_an_address() -> None:
    """Which of them may is checked against the file."""
    addresses = {ONE: ("127.0.0.1", 0), TWO: ("127.0.0.1", 0)}
    check_cluster(addresses, is_any_port=True)
    with pytest.raises(BadAddress, match=r"server 2: .* a port"):
        check_peers(addresses, ONE)


class TestListen:
    """Where a server listens is its own business."""

    @pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost"])
    def test_anywhere_of_its_family(self, host: str) -> None:
        check_cluster({ONE: ("10.0.0.1", 7)}, listen=(host, 0))
        assert parse("--listen", f"{host}:7", is_listening=True) == (host, 7)

    def test_no_other_server_is_anywhere(self) -> None:
        with pytest.raises(BadAddress, match="servers"):
            parse("servers[0].address", "0.0.0.0:7")

    def test_anywhere_in_ipv6_is_anywhere_in_both(self) -> None:
        for host in "2001:db8::1", "10.0.0.1", "a.example.org":
            check_cluster({ONE: (host, 7), TWO: ("10.0.0.2", 7)}, listen=("::", 0))
            check_cluster({ONE: (host, 7), TWO: ("2001:db8::2", 7)}, listen=("0::0", 0))

    @pytest.mark.parametrize("listen", [("224.0.0.1", 7), ("a b", 7), ("a", -1), "a:7", ()])
    def test_not_everywhere(self, listen: object) -> None:
        with pytest.raises(BadAddress, match="listen: "):
            check_cluster({ONE: ("10.0.0.1", 7)}, listen=listen)


@pytest.mark.parametrize(
    ("addresses", "listen"),
    [
        ({ONE: ("127.0.0.1", 7), TWO: ("::1", 7)}, None),
        ({ONE: ("a", 7), TWO: ("::1", 7)}, ("127.0.0.1", 7)),
        ({ONE: ("::1", 7)}, ("0.0.0.0", 7)),
    ],
)
def test_families_are_not_mixed(addresses: Mapping[ServerId, Address], listen: Address) -> None:
    with pytest.raises(BadAddress, match="they never reach each other"):
        check_cluster(addresses, listen=listen)


@pytest.mark.parametrize(
    ("one", "two"), [("::1", "0:0::1"), ("LocalHost", "localhost."), ("127.0.0.1", "127.0.0.1")]
)
def test_two_servers_have_two_addresses(one: str, two: str) -> None:
    check_cluster({ONE: (one, 7), TWO: (two, 8)})
    with pytest.raises(BadAddress, match="servers 1 and 2 have the address"):
        check_cluster({ONE: (one, 7), TWO: (two, 7)})


def test_what_stays_on_this_machine() -> None:
    assert all(is_loopback((it, 1)) for it in ("127.0.0.1", "127.9.9.9", "::1", "localhost"))
    assert not any(is_loopback((it, 1)) for it in ("10.0.0.1", "a.example.org", "::2", "0.0.0.0"))


@given(text=st.text() | st.builds("{}:{}".format, st.text(), st.integers(0, 70_000)))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        host, port = parse("here", text)
    except BadAddress:
        return
    assert 1 <= port <= 65_535
    assert host.isprintable()
    check_cluster({ONE: (host, port)})
    assert parse("here", format_address((host, port))) == (host, port)
