"""What the fixture ``paxos_log`` is: runs a state machine under faults, and tells what it does.

Each run draws commands and a seed. Servers crash, messages are lost, and programs restore snapshots
as the seed says. hypothesis makes a failing run small: few commands, small ones, and no faults if
it fails without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

from attrs import define, field, frozen
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from paxos_adapters import arguments
from paxos_adapters.printable import brief
from paxos_adapters.state_machine import StateMachine
from paxos_testing.hash_seeds import Elsewhere
from paxos_testing.histories import History, simulated
from paxos_testing.machines import BadStateMachine, require_codecs
from paxos_testing.replicas import Counts, Replicas

C = TypeVar("C")
R = TypeVar("R")
S = TypeVar("S")

MOST_COMMANDS = 12
"""How many commands a run has at most; each is chosen several times."""

CALM_ONE_IN = 8
"""Of so many runs, one is without faults."""

MAX_SEED = 999_999

MAX_DRAWN, LANE = 120, 9
"""How many rows of a picture are shown, the last ones, and how wide a server is."""


@frozen
class Checked:
    """What was run: see ``Counts``. ``not_elsewhere``: why no other process ran the machine."""

    counts: Counts
    not_elsewhere: str | None


@frozen
class LogChecks:
    """Checks state machines for one test, from one seed. With a ``folder``, failures are recorded.

    ``accounts`` are pictures of what failed.
    """

    seed: int
    folder: Path | None = None
    accounts: list[Callable[[], str]] = field(factory=list[Callable[[], str]], repr=False)

    def check(
        self, machine: StateMachine[S, C, R], commands: st.SearchStrategy[C], runs: int = 200
    ) -> Checked:
        """Replicate ``machine`` in ``runs`` simulated runs, with ``commands`` drawn by hypothesis.

            def test_my_machine(paxos_log: LogChecks) -> None:
                paxos_log.check(MY_MACHINE, commands=st.integers())

        Three servers crash and start again, lose and repeat messages, are cut off, save slowly, and
        restore snapshots. All results and states are those of the machine run alone; each command
        is run once, however often it was chosen. Every value comes back from its codec, and
        ``apply`` changes nothing that it is given. It answers the same each time, and in another
        process, if ``apply`` stands at the top of a module.

        Raises BadStateMachine, an AssertionError, with the smallest run found; BadNumber.
        """
        __tracebackhide__ = True
        arguments.whole("runs", runs, 1)
        require_codecs(machine)
        elsewhere = Elsewhere(machine)
        checking = _Checking(machine, elsewhere)
        try:
            self._draw_runs(checking, commands, runs)
        except (BadStateMachine, Flaky) as error:
            failure = checking.failure
            found = "run, not found again" if isinstance(error, Flaky) else "smallest run found"
            assert failure is not None, "a run that failed is kept"
        else:
            return Checked(checking.counts, elsewhere.refusal)
        finally:
            elsewhere.close()
        recorded = self.folder and self.folder / f"log{len(self.accounts) + 1}.jsonl"
        self.accounts.append(lambda: failure.account(recorded))
        raise BadStateMachine(failure.text(found)) from failure.error.__cause__

    def _draw_runs(
        self, checking: _Checking[S, C, R], commands: st.SearchStrategy[C], runs: int
    ) -> None:
        """Let hypothesis find a run that fails, and make it small."""

        @seed(self.seed)
        @settings(
            max_examples=runs,
            deadline=None,
            database=None,
            print_blob=False,
            report_multiple_bugs=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        )
        @given(
            st.lists(commands, min_size=1, max_size=MOST_COMMANDS),
            st.integers(0, CALM_ONE_IN - 1).map(bool),
            st.integers(0, MAX_SEED),
        )
        def draw(drawn: list[C], has_faults: bool, own: int) -> None:
            checking.run(drawn, own, has_faults)

        draw()


@frozen
class _Failure:
    """A run that failed, ``acts`` into its history."""

    error: BadStateMachine
    history: History
    acts: int
    about: str

    def text(self, found: str) -> str:
        """What is wrong, and the commands of the run."""
        commands = "".join(f"\n  {it}" for it in self.history.labels)
        return f"{self.error}\nThe {found}, {self.about}, has these commands:{commands}"

    def account(self, path: Path | None) -> str:
        """A picture of what happened until then, and where it is recorded."""
        return "\n".join(self._lines(path))

    def _lines(self, path: Path | None) -> Iterator[str]:
        yield f"3 servers, {self.about}. Time runs down, up to the step that failed."
        heading, *rows = self.history.picture(self.acts, LANE)
        if (left_out := len(rows) - MAX_DRAWN) > 0:
            yield f"The first {left_out:,} rows are left out."
        yield from [heading, *rows[-MAX_DRAWN:]]
        if path is not None:
            self.history.record(self.acts, path)
            yield f"Recorded: paxos view {path}"


@define
class _Checking(Generic[S, C, R]):
    """A machine in many runs. ``failure`` is the last that failed: the smallest, in the end."""

    machine: StateMachine[S, C, R]
    elsewhere: Elsewhere[S, C, R]
    counts: Counts = field(factory=Counts)
    failure: _Failure | None = None

    def run(self, commands: list[C], seed: int, has_faults: bool) -> None:
        """One run. Raises BadStateMachine."""
        labels = tuple(f"#{number} {brief(it)}" for number, it in enumerate(commands, 1))
        history = simulated(labels, seed, has_faults)
        assert history.broken is None, f"the log itself broke a rule: {history.broken}"
        replicas = Replicas(self.machine, commands, history, self.counts)
        try:
            replicas.check()
            self.elsewhere.check(commands)
        except BadStateMachine as error:
            about = "with faults" if has_faults else "without faults"
            self.failure = _Failure(error, history, replicas.acts, about)
            raise
        self.counts.runs += 1
