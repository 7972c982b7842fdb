"""etcd, as Debian ships it: three members with their default settings, so every write is synced.

The client is h2load, of nghttp2: one process in C, which takes less of the machine than any client
in Python or Go does. It sends one and the same Put again and again, as plain gRPC, to the leader:
100 connections share a thousand at a time. It does not look into answers; that all were carried out
is read afterwards from the version of the key, which counts its puts.
"""

# ruff: noqa: T201 - the figures are this program's output

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

import msgspec

A = TypeVar("A")

MEMBERS = 3
KEY, VALUE = b"bench", b"v" * 64
PUT = b"".join((b"\x0a", bytes([len(KEY)]), KEY, b"\x12", bytes([len(VALUE)]), VALUE))
FRAMED = b"\0" + len(PUT).to_bytes(4) + PUT
"""PutRequest(key=1, value=2) in protobuf, as gRPC frames it: not compressed, and its length."""

CONNECTIONS = 100
PATIENCE_S = 20.0


def url(port: int) -> str:
    """Of a member, on the loopback interface."""
    return f"http://127.0.0.1:{port}"


def serve(folder: Path, ports: list[int], me: int) -> None:
    """Run one member until standard input ends."""
    clients, peers = ports[:MEMBERS], ports[MEMBERS : 2 * MEMBERS]
    member = subprocess.Popen(
        (
            *("etcd", "--name", f"n{me}", "--data-dir", str(folder / f"n{me}")),
            *("--listen-client-urls", url(clients[me - 1])),
            *("--advertise-client-urls", url(clients[me - 1])),
            *("--listen-peer-urls", url(peers[me - 1])),
            *("--initial-advertise-peer-urls", url(peers[me - 1])),
            *("--initial-cluster", ",".join(f"n{n}={url(it)}" for n, it in enumerate(peers, 1))),
            *("--log-level", "error"),
        ),
        stdin=subprocess.DEVNULL,
    )
    try:
        sys.stdin.read()
    finally:
        member.kill()
        member.wait()


class Header(msgspec.Struct):
    """Who answers."""

    member_id: str


class Status(msgspec.Struct):
    """Whom a member takes for the leader; nobody, if that is missing."""

    header: Header
    leader: str = ""


class Row(msgspec.Struct):
    """A key; ``version`` counts its puts."""

    version: str


class Found(msgspec.Struct):
    """What there is."""

    kvs: list[Row]


def ask(port: int, path: str, answer: type[A], **question: str) -> A:
    """One question to the gateway of a member, which speaks JSON."""
    asked = json.dumps(question).encode()
    with urlopen(f"{url(port)}/v3/{path}", asked, PATIENCE_S) as said:
        return msgspec.json.decode(said.read(), type=answer)


def leader(ports: list[int]) -> int:
    """The port of the leader, as soon as all members serve and one leads."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with suppress(OSError):
            said = {it: ask(it, "maintenance/status", Status) for it in ports[:MEMBERS]}
            for port, it in said.items():
                if it.leader == it.header.member_id:
                    return port
        time.sleep(0.05)
    raise TimeoutError(f"etcd had no leader for {PATIENCE_S} s")


def load(folder: Path, port: int, width: int, *how: str) -> None:
    """``width`` Puts at a time."""
    body = folder / "put"
    body.write_bytes(FRAMED)
    connections = min(width, CONNECTIONS)
    subprocess.run(
        (
            *("h2load", "-c", str(connections), "-m", str(width // connections), *how),
            *("-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"),
            f"{url(port)}/etcdserverpb.KV/Put",
        ),
        check=True,
        stdout=subprocess.DEVNULL,
    )


def puts(port: int) -> int:
    """How many were carried out."""
    found = ask(port, "kv/range", Found, key=b64encode(KEY).decode())
    return int(found.kvs[0].version)


def measure(folder: Path, ports: list[int], seconds: str, width: int) -> list[float]:
    """How long each took, of ``width`` at a time."""
    port, log = leader(ports), folder / "log"
    load(folder, port, width, "-n", str(2 * width + 200))
    before = puts(port)
    load(folder, port, width, "-D", seconds, f"--log-file={log}")
    lines = [line.split() for line in log.read_text(encoding="utf-8").splitlines()]
    carried_out = puts(port) - before
    if not len(lines) <= carried_out <= len(lines) + width:
        raise RuntimeError(f"{len(lines)} puts were answered, and {carried_out} were carried out")
    return [int(micros) / 1e6 for _, _, micros in lines]


def main(folder: str, ports: str, me: str, seconds: str = "", width: str = "1") -> None:
    """Serve, or measure."""
    where, known = Path(folder), [int(port) for port in json.loads(ports)]
    if seconds:
        print(json.dumps(measure(where, known, seconds, int(width))))
    else:
        serve(where, known, int(me))


if __name__ == "__main__":
    main(*sys.argv[1:])
