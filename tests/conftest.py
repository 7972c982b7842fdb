"""How the tests run: how many at a time, and how much the quick ones draw."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# How long a draw or an example takes says how busy the machine is.
SUPPRESSED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("all", deadline=None, suppress_health_check=SUPPRESSED)
settings.register_profile("quick", settings.get_profile("all"), max_examples=30)


def pytest_configure(config: pytest.Config) -> None:
    """Draw fewer examples for ``make test``; ``make check`` and the mutants draw all of them.

    Let SIGINT interrupt.
    """
    # In what a shell runs in the background it is ignored, and so in all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("quick" if config.option.markexpr == "not slow" else "all")


def pytest_collection_finish() -> None:
    """Freeze the thousands of tests: each full collection would walk all of them again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: some tests wait for a timer, a disk or another process."""
    return (os.cpu_count() or 1) + 1
