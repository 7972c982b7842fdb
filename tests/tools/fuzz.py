"""Hostile datagrams for the wire: ``make fuzz``; a short form in test_wire_hostile.

Whatever the bytes, ``Wire.open`` returns messages within all bounds, or raises RejectedDatagram.
Most of them have a right tag, as an attacker with the keys could send them: otherwise nothing would
ever be decoded.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from random import Random, SystemRandom

from paxos import Accept, Ballot
from paxos_adapters.wire import Checksummed, Protection, RejectedDatagram
from paxos_adapters.wire.bounds import DATAGRAM_BYTES, MAX_DATAGRAM_BYTES
from paxos_adapters.wire.frame import BODY_BYTES, HEADER_BYTES, LAYOUT, TAG_BYTES, Header
from tests.support.log_messages import EACH_OF_LOG
from tests.support.wires import CONTROLS, MESSAGES, MISSING, ONE, THREE, TWO, End, protection

SMALL = [message for message in MESSAGES if len(repr(message)) < 2_000]
MARKERS = [*range(0xC0, 0xE1), 0x00, 0x7F, 0x80, 0x8F, 0x90, 0x91, 0x94, 0x95, 0x9F, 0xA0, 0xFF]
"""The bytes that mean something in MessagePack."""
EDGES = [0, 1, 2, 59, 60, 61, 255, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
WAYS = ["checksummed", "authenticated", *(["encrypted"] if find_spec("cryptography") else [])]


class Fuzzer:
    """An attacker between two ends of a wire, with the keys."""

    def __init__(self, random: Random, way: Protection) -> None:
        self.random = random
        self.way = way
        self.one = End(ONE, way)
        self.plain = End(ONE, Checksummed())
        self.sealed = [self.fresh(self.one) for _ in range(50)]

    def datagram(self) -> bytes:
        """The next one: it may be anything, even as it should be."""
        kinds = [self.noise, self.altered, self.spliced, *[self.retagged] * 6]
        return self.random.choice(kinds)()

    def fresh(self, end: End) -> bytes:
        """A datagram as it should be; it may be a part of something larger."""
        pick = self.random
        if pick.random() < 0.2:
            large = Accept(Ballot(1, ONE), pick.randbytes(pick.choice((1_100, 9_000))))
            return pick.choice(end.seal(large))
        if pick.random() < 0.4:
            return end.say(
                *[("log", it) for it in pick.choices(EACH_OF_LOG, k=pick.choice((1, 2)))]
            )[0]
        if pick.random() < 0.2:
            return end.say(*pick.choices([*CONTROLS, *MISSING], k=pick.choice((1, 2))))[0]
        return end.seal(*pick.choices(SMALL, k=pick.choice((1, 1, 2, 3))))[0]

    def noise(self) -> bytes:
        """Random bytes, some of them after a good beginning."""
        start = self.random.choice((0, 4, 15, 31, HEADER_BYTES))
        least = MAX_DATAGRAM_BYTES if self.random.random() < 0.02 else 0
        noise = self.random.randbytes(least + self.random.randrange(DATAGRAM_BYTES))
        return self.random.choice(self.sealed)[:start] + noise

    def altered(self) -> bytes:
        """A good datagram that was damaged."""
        return self.mutated(self.random.choice(self.sealed))

    def spliced(self) -> bytes:
        """The start of one and the end of another."""
        left, right = self.random.choices(self.sealed, k=2)
        return left[: self.random.randrange(len(left))] + right[self.random.randrange(len(right)) :]

    def retagged(self) -> bytes:
        """A bad header or a bad body, or both, under a right tag."""
        header = self.fresh(self.one)[:HEADER_BYTES]
        if self.random.random() < 0.5:
            header = self.header(Header(*LAYOUT.unpack(header)))
        return self.way.close(header, self.body())

    def header(self, good: Header) -> bytes:
        """Numbers at their edges, another session, other members, a server that was removed."""
        pick = self.random
        number = pick.choice((*EDGES, good.sequence - 1, good.sequence + 60, good.saves))
        bad = pick.choice(
            (
                good._replace(part=number & 0xFF),
                good._replace(parts=number & 0xFF),
                good._replace(previous_saves=number),
                good._replace(saves=number),
                good._replace(sequence=number),
                good._replace(session=bytes(7) + pick.randbytes(1)),
                good._replace(previous=pick.randbytes(8)),
                good._replace(members=pick.randbytes(8)),
                good._replace(sender=THREE),
            )
        )
        return LAYOUT.pack(*bad)

    def body(self) -> bytes:
        """Random bytes, full parts, MessagePack without sense, or what was a batch."""
        pick = self.random
        kind = pick.random()
        if kind < 0.1:
            return pick.randbytes(pick.randrange(200))
        if kind < 0.3:
            return pick.randbytes(BODY_BYTES)
        if kind < 0.4:
            return bytes(pick.choices(MARKERS, k=pick.randrange(1, BODY_BYTES)))
        good = self.fresh(self.plain)[HEADER_BYTES:-TAG_BYTES]
        return good if kind < 0.5 else self.mutated(good)[:BODY_BYTES]

    def mutated(self, good: bytes) -> bytes:
        """A few bytes more, less or other than before."""
        pick, mutated = self.random, bytearray(good)
        for _ in range(pick.choice((1, 1, 2, 5))):
            at = pick.randrange(len(mutated) + 1)
            kind = pick.randrange(6)
            if kind == 0:
                mutated[at:at] = pick.randbytes(pick.choice((1, 2, 9)))
            elif kind == 1:
                del mutated[at : at + pick.choice((1, 2, 9))]
            elif kind == 2:
                del mutated[at:]
            elif kind == 3:
                mutated[at : at + 1] = bytes([pick.choice(MARKERS)])
            elif at < len(mutated):
                mutated[at] ^= 1 << pick.randrange(8)
        return bytes(mutated)


def fuzz(way: str, times: int, seed: int) -> Counter[str]:
    """How so many datagrams ended. Raises what ``Wire.open`` does, but for RejectedDatagram."""
    fuzzer, seen = Fuzzer(Random(seed), protection(way)), Counter[str]()
    two = End(TWO, fuzzer.way)
    for number in range(times):
        if number % 50 == 0:  # A new receiver, before one receives the last number there is.
            two = End(TWO, fuzzer.way)
            two.wire.set_members({ONE, TWO}, {THREE})
        datagram = fuzzer.datagram()
        try:
            opened = two.wire.open(datagram)
        except RejectedDatagram as hostile:
            seen[hostile.reason.name] += 1
        else:
            lines = *opened.messages, *opened.controls
            seen["a part" if not lines else "messages"] += 1
            fuzzer.plain.say(*lines)  # Raises for what is out of bounds.
    return seen


def main(words: Sequence[str]) -> int:
    """Fuzz for a minute or two, or with the word ``short`` for seconds; a seed may be given."""
    times = 50_000 if "short" in words else 1_000_000
    given = [int(word) for word in words if word != "short"]
    seed = given[0] if given else SystemRandom().randrange(1 << 32)
    print(f"seed {seed}; again: python -m tests.tools.fuzz {seed}", flush=True)
    for way in WAYS:
        started = time.perf_counter()
        seen = fuzz(way, times, seed)
        took = time.perf_counter() - started
        counts = ", ".join(f"{what} {times:,}" for what, times in seen.most_common())
        print(f"{way}: {seen.total():,} datagrams in {took:.0f} s: {counts}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
