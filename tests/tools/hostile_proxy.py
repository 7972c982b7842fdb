"""An attacker in the middle of a cluster: receives everything, and sends what must be refused.

- Each node knows each of its peers by an address of ours, so that honest datagrams pass through
  here, and hostile ones can come from the right address: that of a peer that is alive.
- Hostile are: noise; honest datagrams that are damaged, cut, spliced, repeated, of an earlier
  session, for another server, or with another sender; frames that are too large, of another
  version, another cluster, another protection, or under a key that is no longer used; and what a
  peer might send next, but for the tag. Half come from the right address, half from others.
- Left out is what the wire does not promise to refuse: what a node received before it was started
  anew can be repeated to it, once.
- No node answers another address: what comes to one is counted.
- A burst waits until the queues of the nodes are short again: what is dropped there tests nothing.
- One JSON line on stdin is an order, answered by one with all counts so far. The end of stdin is
  the order to go.

Everything stays on the loopback. Needs /proc/net/udp, for the queues.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from random import Random

import msgspec

from paxos import Accept, Ballot, ServerId
from paxos_adapters.disk_status import DiskStatus
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.wire import Authenticated, Checksummed, Key, Keyring, Protection, Wire
from paxos_adapters.wire.bounds import MAX_DATAGRAM_BYTES
from paxos_adapters.wire.frame import HEADER_BYTES, LAYOUT, TAG_BYTES, Header
from tests.support.node_process import CLUSTER
from tests.tools.fuzz import Fuzzer
from tests.tools.lossy_network import Link

SOCKETS = Path("/proc/net/udp")
BURST, FRESH, POOL = 64, 6, 4_096
"""Datagrams a burst, how many of them are made for it, and how many are kept ready."""
MOST_QUEUED_BYTES = 256 << 10
OUTSIDERS = 4
MAX_RECEIVED = 200
"""How many honest datagrams of each link are kept."""
MAX_UDP_BYTES = 65_507


class Setup(msgspec.Struct, frozen=True):
    """Where the nodes really are, their keys, and the seed."""

    nodes: dict[int, Address]
    keys: str
    seed: int


EARLIER = "of an earlier session"


class Order(msgspec.Struct, frozen=True):
    """Send so many hostile datagrams; or take what ``restarted`` sent for an earlier session."""

    datagrams: int = 0
    restarted: int = 0


class Ready(msgspec.Struct, frozen=True):
    """Where each node is to believe its peers to be."""

    addresses: dict[int, dict[int, Address]]


class Counts(msgspec.Struct, frozen=True):
    """So far: hostile datagrams by receiver and by kind, honest ones by receiver, and answers.

    ``dropped``: what the system had no room for, honest or not, by receiver. ``answers``: what came
    to other addresses. ``distinct``: how many hostile ones were made anew. ``earlier``: what an
    earlier session of its sender sent, repeated from any address, by receiver.
    """

    hostile: dict[int, int]
    earlier: dict[int, int]
    kinds: dict[str, int]
    honest: dict[int, int]
    dropped: dict[int, int]
    answers: int
    distinct: int


class Middle:
    """The sockets between all pairs, and those at other addresses."""

    def __init__(self, setup: Setup) -> None:
        self.nodes = setup.nodes
        self.sockets = {link: _bound() for link in permutations(setup.nodes, 2)}
        self.outsiders = [_bound() for _ in range(OUTSIDERS)]
        self.received: dict[Link, deque[bytes]] = {
            it: deque(maxlen=MAX_RECEIVED) for it in self.sockets
        }
        self.honest: Counter[int] = Counter()
        self.answers = 0
        self.poll = selectors.DefaultSelector()
        for link, sock in self.sockets.items():
            self.poll.register(sock, selectors.EVENT_READ, link)
        for sock in self.outsiders:
            self.poll.register(sock, selectors.EVENT_READ, None)
        self.poll.register(0, selectors.EVENT_READ, "stdin")

    def addresses(self) -> dict[int, dict[int, Address]]:
        """Where each node is to believe its peers to be; itself it knows."""
        return {
            me: {me: place}
            | {peer: it.getsockname() for (one, peer), it in self.sockets.items() if one == me}
            for me, place in self.nodes.items()
        }

    def carry(self, wait_s: float | None) -> bool:
        """Pass on what honest nodes send; whether there is an order."""
        is_ordered = False
        for key, _ in self.poll.select(wait_s):
            if key.data == "stdin":
                is_ordered = True
            elif key.data is None:
                self.answers += sum(1 for _ in _drained(key.fileobj))
            else:
                one, two = key.data
                for datagram in _drained(key.fileobj):
                    self.sockets[two, one].sendto(datagram, self.nodes[two])
                    self.received[one, two].append(datagram)
                    self.honest[two] += 1
        return is_ordered

    def queues(self) -> tuple[dict[int, int], dict[int, int]]:
        """For each node the bytes that wait in its socket, and the datagrams dropped there."""
        ports = {port: me for me, (_, port) in self.nodes.items()}
        waiting, dropped = dict[int, int](), dict[int, int]()
        for line in SOCKETS.read_text(encoding="utf-8").splitlines()[1:]:
            words = line.split()
            me = ports.get(int(words[1].partition(":")[2], 16))
            if me is not None:
                waiting[me] = int(words[4].partition(":")[2], 16)
                dropped[me] = int(words[-1])
        return waiting, dropped


def _bound() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


def _drained(sock: object) -> Iterator[bytes]:
    assert isinstance(sock, socket.socket)
    while True:
        try:
            yield sock.recv(MAX_UDP_BYTES)
        except BlockingIOError:
            return


class Attacker:
    """Makes hostile datagrams, and sends them from any address."""

    def __init__(self, middle: Middle, setup: Setup) -> None:
        self.hostile: Counter[int] = Counter()
        self.sent_earlier: Counter[int] = Counter()
        self.kinds: Counter[str] = Counter()
        self.distinct = 0
        self.earlier: dict[Link, list[bytes]] = {}
        self._middle = middle
        self._random = random = Random(setup.seed)
        keyring = Keyring.parse(setup.keys)
        self._old = old = Authenticated(Keyring((Key(bytes(range(7, 39))),)))
        self._fuzzers = {it: Fuzzer(random, old) for it in middle.sockets}
        self._foreign = {
            "other cluster": _wires(middle, Authenticated(keyring), "another"),
            "old key": _wires(middle, old),
            "no key": _wires(middle, Checksummed()),
        }
        self._kinds = {
            "noise": self._noise,
            "damaged": self._damaged,
            "cut": self._cut,
            "spliced": self._spliced,
            "repeated": self._repeated,
            EARLIER: self._earlier,
            "for another server": self._misled,
            "forged sender": self._forged,
            "too large": self._large,
            "other version": self._version,
            "invented": self._invented,
            **dict.fromkeys(self._foreign),
        }
        self._pool: list[tuple[str, Link, bool, bytes]] = []

    def send(self, count: int) -> None:
        """Send so many, in bursts, and carry what is honest in between."""
        while count:
            size = min(BURST, count)
            self._refresh()
            for kind, link, is_right, datagram in self._random.choices(self._pool, k=size):
                self._send(kind, link, is_right, datagram)
            count -= size
            self._middle.carry(0)
            while max(self._middle.queues()[0].values(), default=0) > MOST_QUEUED_BYTES:
                self._middle.carry(0.0005)

    def _send(self, kind: str, link: Link, is_right: bool, datagram: bytes) -> None:
        one, two = link
        middle = self._middle
        sock = middle.sockets[two, one] if is_right else self._random.choice(middle.outsiders)
        sock.sendto(datagram, middle.nodes[two])
        self.hostile[two] += 1
        self.sent_earlier[two] += kind == EARLIER and link in self.earlier
        self.kinds[kind] += 1

    def _refresh(self) -> None:
        """Put a few new datagrams into the pool, in the place of old ones."""
        pick = self._random
        for _ in range(FRESH if self._pool else POOL):
            kind, link = pick.choice(list(self._kinds)), pick.choice(list(self._fuzzers))
            make = self._kinds[kind]
            datagram = self._sealed(kind, link) if make is None else make(link)
            made = kind, link, pick.random() < 0.5, datagram
            self.distinct += 1
            if len(self._pool) < POOL:
                self._pool.append(made)
            else:
                self._pool[pick.randrange(POOL)] = made

    def _received(self, link: Link) -> bytes:
        return self._random.choice(self._middle.received[link])

    def _fuzzer(self, link: Link) -> Fuzzer:
        fuzzer = self._fuzzers[link]
        fuzzer.sealed = [*self._middle.received[link]]
        return fuzzer

    def _noise(self, link: Link) -> bytes:
        return self._fuzzer(link).noise()

    def _damaged(self, link: Link) -> bytes:
        return self._fuzzer(link).altered()

    def _spliced(self, link: Link) -> bytes:
        return self._fuzzer(link).spliced()

    def _cut(self, link: Link) -> bytes:
        received = self._received(link)
        return received[: self._random.randrange(len(received))]

    def _repeated(self, link: Link) -> bytes:
        return self._received(link)

    def _earlier(self, link: Link) -> bytes:
        return self._random.choice(self.earlier.get(link) or self._middle.received[link])

    def _misled(self, link: Link) -> bytes:
        others = [it for it in self._fuzzers if it[1] != link[1]]
        return self._received(self._random.choice(others))

    def _forged(self, link: Link) -> bytes:
        other = self._random.choice((0, 9, 1 << 31, *self._middle.nodes))
        received = bytearray(self._received(link))
        received[23:27] = other.to_bytes(4, "big")
        return bytes(received)

    def _large(self, link: Link) -> bytes:
        most = MAX_UDP_BYTES if self._random.random() < 0.1 else MAX_DATAGRAM_BYTES + 1_000
        size = self._random.randrange(MAX_DATAGRAM_BYTES + 1, most + 1)
        return self._received(link).ljust(size, b"\0")

    def _version(self, link: Link) -> bytes:
        received = bytearray(self._received(link))
        received[3] = self._random.choice((0, 2, 255))
        return bytes(received)

    def _invented(self, link: Link) -> bytes:
        """What the sender might say next, under a tag that only its key could make."""
        received = Header(*LAYOUT.unpack_from(self._received(link)))
        ahead = received._replace(
            part=0, parts=1, sequence=received.sequence + self._random.randrange(999)
        )
        body = self._sealed("old key", link)[HEADER_BYTES:-TAG_BYTES]
        return self._old.close(LAYOUT.pack(*ahead), body)

    def _sealed(self, kind: str, link: Link) -> bytes:
        one, two = link
        number = self._random.randrange(1, 1 << 40)
        line = f"name of {number}", Accept(Ballot(number, ServerId(one)), b"hostile")
        (sealed,) = self._foreign[kind][one].seal(ServerId(two), [line])
        return sealed


def _wires(middle: Middle, way: Protection, cluster: str = CLUSTER) -> Mapping[int, Wire]:
    disk_status = DiskStatus("ab" * 8, 1 << 41, "cd" * 8, 1 << 40)
    return {
        me: Wire(
            cluster=cluster,
            me=ServerId(me),
            members={ServerId(it) for it in middle.nodes},
            digest=bytes(8),
            protection=way,
            disk_status=lambda _: disk_status,
            registered=lambda _: None,
        )
        for me in middle.nodes
    }


def main(words: Sequence[str]) -> int:
    """Stand in the middle of the cluster that ``words[0]`` describes, until stdin ends."""
    setup = msgspec.json.decode(words[0], type=Setup)
    middle = Middle(setup)
    attacker = Attacker(middle, setup)
    _say(Ready(middle.addresses()))
    while True:
        if not middle.carry(None):
            continue
        said = os.read(0, 1 << 16)
        if not said:
            return 0
        for line in said.splitlines():  # Orders are short, and come one at a time.
            order = msgspec.json.decode(line, type=Order)
            for link, received in middle.received.items():
                if link[0] == order.restarted:
                    attacker.earlier[link] = [*received]
                if order.restarted in link:
                    received.clear()
            attacker.send(order.datagrams)
            _say(
                Counts(
                    dict(attacker.hostile),
                    {me: attacker.sent_earlier[me] for me in middle.nodes},
                    dict(attacker.kinds),
                    dict(middle.honest),
                    middle.queues()[1],
                    middle.answers,
                    attacker.distinct,
                )
            )


def _say(what: Ready | Counts) -> None:
    os.write(1, msgspec.json.encode(what) + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
