"""The pytest plugin: clusters for tests, and an account of what happened in a test that failed.

- ``paxos_cluster`` is a fixture that makes clusters, from a seed that is drawn once a session.
- ``paxos_log`` is a fixture that checks state machines, from the same seed.
- A failed test that used one gets a section for each cluster: the seed, a picture, and where it is
  recorded.
- ``--paxos-seed`` does it again. ``-p no:paxos`` switches all of it off.

pytest loads this file for everybody who has the library, whether or not they test with it. So it
imports nothing but pytest until the fixture is asked for, and adds nothing to a run without it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pluggy import Result

    from paxos_testing.log_checks import LogChecks
    from paxos_testing.observed import ClusterFactory

SEED = pytest.StashKey[int]()
ACCOUNTS = pytest.StashKey["list[Callable[[], str]]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the seed."""
    parser.getgroup("paxos").addoption(
        "--paxos-seed",
        type=int,
        metavar="N",
        help="seed of what the fixtures paxos_cluster and paxos_log do; drawn if not said",
    )


@pytest.fixture
def paxos_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[ClusterFactory, None, None]:
    """Make clusters in memory, whose messages are shuffled and lost as a seed says."""
    from paxos_testing.observed import ClusterFactory

    folder, accounts = tmp_path_factory.mktemp("paxos"), _accounts(request)
    factory = ClusterFactory(_seed(request.config), folder, accounts)
    yield factory
    factory.close()


@pytest.fixture
def paxos_log(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> LogChecks:
    """Check a state machine: replicated under faults, and held against itself run alone."""
    from paxos_testing.log_checks import LogChecks

    folder, accounts = tmp_path_factory.mktemp("paxos"), _accounts(request)
    return LogChecks(_seed(request.config), folder, accounts)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, Result[pytest.TestReport], None]:
    """Add to the report of a failed test what is known of its clusters."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        report.sections.extend(_sections(item))


def _sections(item: pytest.Item) -> Iterator[tuple[str, str]]:
    """Headings and texts."""
    if ACCOUNTS not in item.stash:
        return
    seed, accounts = _seed(item.config), item.stash[ACCOUNTS]
    yield "paxos", f"To repeat: pytest --paxos-seed={seed} '{item.nodeid}'"
    for number, account in enumerate(accounts, 1):
        yield f"paxos cluster {number}", _told(account)


def _accounts(request: pytest.FixtureRequest) -> list[Callable[[], str]]:
    """Where the fixtures of one test tell what happened."""
    stash: pytest.Stash = request.node.stash
    return stash.setdefault(ACCOUNTS, [])


def _told(account: Callable[[], str]) -> str:
    """The account; a value that cannot be printed must not hide why the test failed."""
    try:
        return account()
    except Exception as error:
        return f"cannot be drawn: {error!r}"


def _seed(config: pytest.Config) -> int:
    said: int | None = config.getoption("paxos_seed")
    if said is not None:
        return said
    return config.stash.setdefault(SEED, Random().randrange(1_000_000))
