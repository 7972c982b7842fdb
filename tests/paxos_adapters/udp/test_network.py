"""What a server is told about the network is refused where it is made, or fits the file."""

from __future__ import annotations

import pytest

from paxos import ServerId
from paxos_adapters.arguments import BadArgument, BadNumber
from paxos_adapters.udp.addresses import BadAddress
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.udp.errors import Insecure, NotTheMembers
from paxos_adapters.udp.network import NetworkConfig
from paxos_adapters.wire import Authenticated, Checksummed, Key, Keyring, Protection

ONE, TWO, THREE = ServerId(1), ServerId(2), ServerId(3)
LOOPBACK: dict[ServerId, Address] = {ONE: ("127.0.0.1", 0), TWO: ("localhost", 7)}
EXPOSED: dict[ServerId, Address] = {ONE: ("127.0.0.1", 7), TWO: ("10.0.0.1", 7)}
KEYS = Authenticated(Keyring((Key(bytes(range(32))),)))


@pytest.mark.parametrize(
    ("protection", "has_keys"), [(None, False), (Checksummed(), False), (KEYS, True)]
)
def test_only_keys_prove_the_sender(protection: Protection | None, has_keys: bool) -> None:
    assert NetworkConfig(LOOPBACK, protection=protection).has_keys is has_keys


def test_beyond_loopback_it_takes_a_protection_or_the_word() -> None:
    with pytest.raises(Insecure, match=r"can reach 10\.0\.0\.1:7 can speak for any server"):
        NetworkConfig(EXPOSED)
    with pytest.raises(Insecure, match=r"0\.0\.0\.0:7"):
        NetworkConfig(LOOPBACK, listen=("0.0.0.0", 7))
    for protection in KEYS, Checksummed():
        NetworkConfig(EXPOSED, protection=protection)
    NetworkConfig(EXPOSED, insecure=True)


def test_what_can_never_work_is_refused_when_it_is_made() -> None:
    with pytest.raises(BadNumber, match="the id of a server"):
        NetworkConfig({ServerId(-1): ("127.0.0.1", 7)})
    with pytest.raises(BadAddress, match="listen"):
        NetworkConfig(LOOPBACK, listen=("224.0.0.1", 7))
    with pytest.raises(BadArgument, match="protection"):
        NetworkConfig(LOOPBACK, protection="secret")  # type: ignore[arg-type]
    for size in 1_199, 16_385:
        with pytest.raises(BadNumber, match="datagram_bytes"):
            NetworkConfig(LOOPBACK, datagram_bytes=size)
    for size in 1_200, 16_384:
        NetworkConfig(LOOPBACK, datagram_bytes=size)


def test_its_addresses_are_those_of_the_members_and_only_its_own_port_may_be_0() -> None:
    network = NetworkConfig(LOOPBACK)
    network.check_members(ONE, {ONE, TWO})
    for members in {ONE}, {ONE, TWO, THREE}, {ONE, THREE}:
        with pytest.raises(NotTheMembers):
            network.check_members(ONE, members)
    joined = NetworkConfig({**LOOPBACK, THREE: ("127.0.0.1", 9)}, joined={THREE})
    joined.check_members(ONE, {ONE, TWO})
    for members in {ONE}, {ONE, TWO, THREE}:
        with pytest.raises(NotTheMembers):
            joined.check_members(ONE, members)
    with pytest.raises(BadAddress, match=r"server 1: '127\.0\.0\.1:0': a port"):
        network.check_members(TWO, {ONE, TWO})
