"""A short form of the random histories of sessions, and that they are red without the rules."""

from __future__ import annotations

from collections import Counter

import pytest
from attrs import evolve

from paxos_adapters.disk_status import Known
from paxos_adapters.file import FileStore
from paxos_adapters.udp import registration
from paxos_adapters.udp.registration import Registration
from tests.tools.session_histories import Broken, live

SEEDS = range(20131017, 20131017 + 40)


@pytest.mark.slow
def test_sessions_hold_in_random_histories() -> None:
    seen = Counter[str]()
    for seed in SEEDS:
        try:
            seen.update(live(seed))
        except Broken as broken:
            raise AssertionError(f"seed {seed}") from broken

    rare = "older copies stopped", "all vote in the end", "votes, strict", "put back or copied"
    assert min(seen[it] for it in rare) > 3, seen


def lives_until_broken() -> None:
    for seed in range(300):
        live(seed)


def test_the_histories_are_red_when_a_server_votes_before_it_is_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def at_once(it: Registration) -> Registration:
        return evolve(it, is_open=True)

    monkeypatch.setattr(registration, "_opened_if_enough", at_once)
    with pytest.raises(Broken, match="two disks of server"):
        lives_until_broken()


def test_the_histories_are_red_when_any_word_stops_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if nothing but the present session were in the chain."""

    def descends(file: FileStore, known: Known) -> bool:
        return file.session == known.session

    monkeypatch.setattr(FileStore, "descends_from", descends)
    with pytest.raises(Broken, match="its disk is whole"):
        lives_until_broken()
