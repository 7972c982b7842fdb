"""Numbers and servers in sentences."""

from __future__ import annotations

import pytest

from paxos_adapters.words import counted, servers


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 names"), (1, "1 name"), (2, "2 names"), (2_000, "2,000 names")]
)
def test_what_is_counted(count: int, words: str) -> None:
    assert counted(count, "name") == words


@pytest.mark.parametrize(
    ("ids", "words"),
    [([3], "server 3"), ([4, 3], "servers 3, 4"), ([10, 9, 1], "servers 1, 9, 10")],
)
def test_servers_come_in_the_order_of_their_ids(ids: list[int], words: str) -> None:
    assert servers(ids) == words
