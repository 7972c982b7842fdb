"""Traps of a log that take a schedule of their own; and the table of all traps on the safety page.

Most are held by a scenario of ``paxos lecture``, or by a test of one module. Those here need a save
that is late, a crash, or a snapshot.
"""

from __future__ import annotations

import re
from pathlib import Path

from paxos import From, Proposal, majority
from paxos.log import Accept, CatchUpRequest, Change, Command, Fetch, SnapshotInstalled, memory
from paxos.log.messages import Entry
from paxos.outbound import Tell
from paxos_adapters.driving import Driver
from paxos_adapters.log import LogDriver, log
from paxos_adapters.ports import Place
from paxos_lab.lecture import LOG_SCENARIOS, LogStage
from paxos_lab.lecture.log_stage import RULES
from tests.support import S1, S2, S3, THREE, ballot
from tests.support.logs import held

SAFETY = Path(__file__).parents[2] / "docs" / "safety.md"
ALL = (S1, S2, S3)


def follower() -> LogDriver[str]:
    """S1, which has accepted X in slot 1 under 1.1, and saved it."""
    driver: LogDriver[str] = Driver(log(RULES), Place(S1), THREE)
    driver.step(From(S1, Accept(ballot("1.1"), 1, Command("X"), 1)))
    return driver


def fetched(driver: LogDriver[str], slot: int = 1) -> tuple[Proposal[Entry[str]], ...]:
    """What S3 gets if it asks for all that is chosen from ``slot`` on."""
    effects = driver.take(From(S3, CatchUpRequest(slot)))
    assert effects == (Tell(Fetch(S3, slot)),)
    return memory.fetched(driver.process.disk, slot, RULES.piece)


def test_what_is_known_to_be_chosen_is_not_taught_before_it_is_saved() -> None:
    """Y replaces X, and is chosen. Until that is saved, the disk has X, which must not be sent."""
    driver = follower()
    driver.take(From(S2, Accept(ballot("2.2"), 1, Command("Y"), 1)))
    driver.take(From(S2, Accept(ballot("2.2"), 2, Command("Z"), 2)))
    assert driver.process.state.memory.first == 2
    assert fetched(driver) == ()

    driver.save(1)
    assert fetched(driver) == ()
    driver.save()
    assert fetched(driver) == (held("2.2", "Y"),)


def test_what_a_snapshot_stands_for_is_not_taught() -> None:
    """X was accepted and never chosen: below the snapshot's first slot it may be wrong."""
    driver = follower()
    configurations = driver.process.state.memory.configurations
    driver.step(SnapshotInstalled(2, configurations))
    driver.step(From(S2, Accept(ballot("2.2"), 2, Command("Y"), 2)))
    driver.step(From(S2, Accept(ballot("2.2"), 3, Command("Z"), 3)))

    assert fetched(driver, 1) == ()
    assert fetched(driver, 2) == (held("2.2", "Y"),)


def test_quorums_survive_a_crash_though_no_record_was_of_the_change() -> None:
    """A heartbeat makes S2 know the change; the record that follows is of another slot."""
    stage = LogStage()
    stage.lead(S1, to=ALL)
    stage.propose(S1, Change(majority((S1, S2))), to=ALL)
    stage.beat(S2, to=(S1,))
    stage.beat(S1, to=(S2,))
    known = stage.memory(S2).configurations
    assert [it.slot for it in known] == [1, 5]

    stage.propose(S1, "a", to=(S2,))
    stage.crash(S2)
    stage.restart(S2)
    assert stage.memory(S2).configurations == known


# --- the table ------------------------------------------------------------------------------------


def test_every_trap_has_a_scenario_or_a_test() -> None:
    """That the tests exist is tested with those of all pages."""
    page = SAFETY.read_text(encoding="utf-8")
    section = page.split("\n### Traps\n")[1].split("\n## ")[0]
    rows = [it.strip("|").split("|") for it in section.splitlines() if it.startswith("|")][2:]
    scenarios = re.findall(r"`paxos lecture ([a-z-]+)`", section)

    assert len(rows) == 21
    assert all(len(it) == 3 and re.search(r"`(tests/|paxos lecture )", it[2]) for it in rows)
    assert set(scenarios) <= set(LOG_SCENARIOS)
