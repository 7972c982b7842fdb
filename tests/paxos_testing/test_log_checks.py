"""State machines under faults: good ones pass, and each mistake is found, for its own reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st

from paxos_adapters.arguments import BadNumber
from paxos_adapters.state_machine import StateMachine
from paxos_adapters.state_machines import (
    COUNTER,
    KEY_VALUE,
    LOCK,
    QUEUE,
    REGISTERS,
    key_value,
    lock,
    queue,
    registers,
)
from paxos_adapters.state_machines.ticks import Tick
from paxos_lab.record import replay_log
from paxos_testing import BadStateMachine, LogChecks
from paxos_testing.histories import Source, simulated
from paxos_testing.log_checks import Checked
from tests.paxos_testing import faulty_machines as faulty

NUMBERS = st.integers(0, 20)
KEYS = st.sampled_from(["", "a", "b"])
BYTES = st.binary(max_size=2)
TTLS = st.none() | st.integers(1, 5)
TICKS = st.builds(Tick, st.integers(0, 12))
WORDS = st.lists(st.sampled_from(["a", "b", "c"])).map(" ".join)

ITEMS = (
    st.builds(key_value.Put, KEYS, BYTES, TTLS)
    | st.builds(key_value.CompareAndSet, KEYS, st.integers(0, 8), BYTES, TTLS)
    | st.builds(key_value.Delete, KEYS)
    | TICKS
)
LOCKS = (
    st.builds(lock.Acquire, KEYS, KEYS, TTLS)
    | st.builds(lock.Release, KEYS, st.integers(0, 4))
    | TICKS
)
GOOD: dict[str, Callable[[LogChecks, int], Checked]] = {
    "counter": lambda it, runs: it.check(COUNTER, st.integers(), runs),
    "key-value map": lambda it, runs: it.check(KEY_VALUE, ITEMS, runs),
    "lock": lambda it, runs: it.check(LOCK, LOCKS, runs),
    "queue": lambda it, runs: it.check(
        QUEUE, st.builds(queue.Push, BYTES) | st.builds(queue.Pop), runs
    ),
    "registers": lambda it, runs: it.check(
        REGISTERS, st.builds(registers.Decide, KEYS, BYTES), runs
    ),
}

AGAIN = (
    r"^apply answers otherwise if it is asked again\.\n  first {}: .*\n  then: .*\n  state before"
)
CHANGED = r"^apply changed the {} that it was given\.\n  {} before: {}\n  {} now: {}\n"
COPY = r"^apply answers otherwise from a state that was encoded and decoded"
BAD: dict[str, tuple[Callable[[LogChecks], Checked], str]] = {
    "changes its state": (
        lambda it: it.check(faulty.CHANGES_ITS_STATE, NUMBERS),
        CHANGED.format("state", "state", r"\[\]", "state", r"\[0\]"),
    ),
    "changes a part of its state": (
        lambda it: it.check(faulty.CHANGES_A_PART, NUMBERS),
        CHANGED.format("state", "state", r".*: \[0\]\}", "state", r".*: \[0, 0\]\}"),
    ),
    "changes its command": (
        lambda it: it.check(faulty.CHANGES_ITS_COMMAND, st.lists(NUMBERS)),
        CHANGED.format("command", "command", r"\[1, 0\]", "command", r"\[0, 1\]"),
    ),
    "draws": (lambda it: it.check(faulty.DRAWS, NUMBERS), AGAIN.format("result")),
    "looks at the clock": (
        lambda it: it.check(faulty.LOOKS_AT_THE_CLOCK, NUMBERS),
        AGAIN.format("state"),
    ),
    "counts its calls": (
        lambda it: it.check(faulty.COUNTS_ITS_CALLS, NUMBERS),
        AGAIN.format("result"),
    ),
    "keeps a maximum elsewhere": (
        lambda it: it.check(faulty.KEEPS_A_MAXIMUM, NUMBERS),
        r"^a replica has another result than the machine run alone\.\n  command: \d+, on S\d\n",
    ),
    "changes a result": (
        lambda it: it.check(faulty.RETURNS_THE_SAME_LIST, NUMBERS),
        r"^apply changed a result that it had returned before\.\n"
        r"  result before: \[\d\]\n  result now: \[\d\]\n",
    ),
    "goes through a set": (
        lambda it: it.check(faulty.GOES_THROUGH_A_SET, WORDS),
        r"^apply answers otherwise in a process in which strings have other hashes\.\n"
        r"  command: '. .'\n  result with PYTHONHASHSEED=1: .*\n  result with PYTHONHASHSEED=2: ",
    ),
    "divides by zero": (
        lambda it: it.check(faulty.DIVIDES, NUMBERS),
        r"^apply raised ZeroDivisionError\(.*\)\.\n  state: 0\n  command: 3\n",
    ),
    "forgets the result": (
        lambda it: it.check(faulty.FORGETS_THE_RESULT, NUMBERS),
        r"^apply returned 0 for 0: return \(state, result\)\.\n",
    ),
    "looks at the order of a dict": (
        lambda it: it.check(faulty.POPS_THE_FIRST, st.text("abc", max_size=2)),
        COPY,
    ),
    "looks at what is not compared": (lambda it: it.check(faulty.HIDES, NUMBERS), COPY),
    "a codec that loses something": (
        lambda it: it.check(faulty.HALVES, NUMBERS),
        r"^the codec for states loses something: .*\n  state: 0\.5\n  bytes: b'0'\n  decoded: 0\.0",
    ),
    "a codec that writes a set as it is": (
        lambda it: it.check(faulty.WRITES_A_SET, st.sampled_from("abcdefgh")),
        r"^the codec for states writes other bytes in a process in which strings have other hashes",
    ),
    "a codec that writes a dict as it is": (
        lambda it: it.check(faulty.WRITES_A_DICT, st.sampled_from("ab")),
        r"^the codec for states writes other bytes for an equal state\.\n  state: .*\n  bytes: ",
    ),
    "a codec that refuses something": (
        lambda it: it.check(faulty.REFUSES, NUMBERS),
        r"^the codec for results raised ValueError\('7 cannot be carried'\) for 7\. ",
    ),
    "no codec for results": (
        lambda it: it.check(faulty.HAS_NO_RESULTS, NUMBERS),
        r"^the machine has no codec for results: pass one to StateMachine\.",
    ),
    "no equality": (
        lambda it: it.check(faulty.HAS_NO_EQUALITY, NUMBERS),
        r"^a state does not equal a copy of itself: <.*Silent object",
    ),
}


class TestAGoodMachine:
    """It passes, and all that can go wrong has gone wrong around it."""

    @pytest.mark.slow
    @pytest.mark.parametrize("name", GOOD)
    def test_passes(self, name: str) -> None:
        checked = GOOD[name](LogChecks(seed=7), 200)

        counts = checked.counts
        assert (counts.runs, checked.not_elsewhere) == (200, None)
        assert min(counts.commands, counts.repeats, counts.restarts, counts.snapshots) > 200

    @pytest.mark.parametrize("name", GOOD)
    def test_passes_a_few_runs(self, name: str) -> None:
        checked = GOOD[name](LogChecks(seed=1), 8)

        assert checked.counts.runs == 8
        assert checked.counts.commands > 8

    def test_needs_no_codec_in_memory_nor_a_name_at_the_top_of_a_module(self) -> None:
        def append(words: tuple[str, ...], word: str) -> tuple[tuple[str, ...], int]:
            return (*words, word), len(words)

        machine = StateMachine[tuple[str, ...], str, int]((), append)
        checked = LogChecks(seed=1).check(machine, st.text(), runs=8)

        assert checked.counts.runs == 8
        assert "append" in str(checked.not_elsewhere)


class TestABadMachine:
    """It fails with its mistake, the smallest run found, and a picture."""

    @pytest.mark.parametrize("name", BAD)
    def test_is_found_for_its_reason(self, name: str) -> None:
        check, message = BAD[name]

        with pytest.raises(BadStateMachine, match=message):
            check(LogChecks(seed=3))

    def test_that_draws_seldom_is_not_taken_for_one_that_goes_through_a_set(self) -> None:
        with pytest.raises(BadStateMachine) as found:
            LogChecks(seed=3).check(faulty.DRAWS_SELDOM, NUMBERS, runs=2_000)

        assert "hashes" not in str(found.value)
        assert "It uses something besides its arguments" in str(found.value)

    def test_is_shown_with_few_small_commands_and_no_faults(self) -> None:
        with pytest.raises(BadStateMachine) as found:
            LogChecks(seed=3).check(faulty.CHANGES_A_PART, st.integers())

        run = "The smallest run found, without faults, has these commands:"
        assert str(found.value).splitlines()[-3:] == [run, "  #1 0", "  #2 0"]

    def test_is_found_in_the_same_run_with_the_same_seed(self) -> None:
        def found(seed: int) -> str:
            with pytest.raises(BadStateMachine) as error:
                LogChecks(seed).check(faulty.DIVIDES, NUMBERS)
            return str(error.value)

        assert found(4711) == found(4711)

    def test_names_what_apply_has_raised_as_the_cause(self) -> None:
        with pytest.raises(BadStateMachine) as found:
            LogChecks(seed=3).check(faulty.DIVIDES, NUMBERS)

        assert isinstance(found.value.__cause__, ZeroDivisionError)

    def test_is_drawn_and_recorded_up_to_its_failure(self, tmp_path: Path) -> None:
        checks = LogChecks(seed=3, folder=tmp_path)
        with pytest.raises(BadStateMachine):
            checks.check(faulty.CHANGES_ITS_STATE, NUMBERS)
        (account,) = checks.accounts

        title, heading, *rows, recorded = account().splitlines()

        assert title == "3 servers, without faults. Time runs down, up to the step that failed."
        assert heading.split() == ["S1", "S2", "S3"]
        assert rows[-1].endswith("commits 1: #1 0")
        assert recorded == f"Recorded: paxos view {tmp_path / 'log1.jsonl'}"
        assert replay_log(tmp_path / "log1.jsonl").difference is None

    def test_after_another_one_is_recorded_in_a_file_of_its_own(self, tmp_path: Path) -> None:
        checks = LogChecks(seed=3, folder=tmp_path)
        for _ in range(2):
            with pytest.raises(BadStateMachine):
                checks.check(faulty.CHANGES_ITS_STATE, NUMBERS)

        last = [account().splitlines()[-1] for account in checks.accounts]

        paths = [tmp_path / "log1.jsonl", tmp_path / "log2.jsonl"]
        assert last == [f"Recorded: paxos view {path}" for path in paths]

    def test_of_no_runs_is_refused(self) -> None:
        with pytest.raises(BadNumber):
            LogChecks(seed=1).check(COUNTER, NUMBERS, runs=0)


def test_a_history_has_all_that_happens_to_programs() -> None:
    """They start again, are sent snapshots, and are told of slots before those below."""
    told = [it for seed in range(40) for it in simulated(("#1 a", "#2 b"), seed, True).told]
    sources = {it.by for it in told}

    assert sources == {*Source}
    assert any(it.by is Source.STORE and it.slot > 1 for it in told)
