"""Kills a change of members at each line, and goes on: ``python -m tests.tools.members_kills``.

Each step is done in a process of its own, which ends itself without any clean-up before a line of
the code that changes members or makes files. Then the files must be those of before or those of
after, and the same step must complete what was begun. ``--stride N`` kills at each N-th line only.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING
from unittest.mock import patch

from attrs import frozen

from paxos import Acceptor, Ballot, MaxRound, Proposal, ServerId, majority
from paxos_adapters.file import FileStore, StoreError, epochs, inspect, store
from paxos_adapters.file.rows import Epoch
from paxos_adapters.members import (
    MembersError,
    adopt,
    close_files,
    inspect_artefact,
    settle,
)

if TYPE_CHECKING:
    from _typeshed import TraceFunction

S1, S2, S4 = ServerId(1), ServerId(2), ServerId(4)
OLD, NEW = majority([ServerId(1), ServerId(2), ServerId(3)]), majority([S1, S2, S4])
RED = Proposal(Ballot(1, S1), b"red")
SETTLED = {"leader": Proposal(Ballot(2, S2), b"blue"), "lock": RED}
TRACED = (
    "paxos_adapters/members/",
    "paxos_adapters/outputs.py",
    *(
        f"file/{it}.py"
        for it in ("database", "epochs", "mark", "moving", "opening", "private", "store", "writing")
    ),
)
KILLED, WRONG = 9, 1


@frozen
class Step:
    """A step; what must be so at any moment of it, and what when it is done."""

    name: str
    before: Callable[[Path], None]
    do: Callable[[Path], None]
    always: Callable[[Path], None]
    done: Callable[[Path], None]

    def again(self, folder: Path) -> None:
        """Do what is missing."""
        self.do(folder)
        self.done(folder)


def make(folder: Path) -> None:
    """The files of two old members that have accepted red."""
    for me in S1, S2:
        path = folder / f"n{me}.db"
        with FileStore.create(path, cluster="demo", server=me, quorum=OLD) as file:
            file.save([("leader", Acceptor(RED.ballot, RED)), ("leader", MaxRound(7))])


def close(folder: Path) -> None:
    """The first step."""
    close_files([folder / "n1.db", folder / "n2.db"])


def settled(folder: Path) -> None:
    """The second step."""
    settle([folder / "n1.db", folder / "n2.db"], NEW, folder / "new")


def replace(folder: Path) -> None:
    """The third step, for a member that has a closed file."""
    adopt(folder / "new", folder / "n1.db", S1)


def join(folder: Path) -> None:
    """The third step, for a new member."""
    adopt(folder / "new", folder / "n4.db", S4)


def follow(folder: Path) -> None:
    """What a server does when the members have changed while it ran, a decision a commit."""
    with (
        patch.object(epochs, "AT_ONCE", 1),
        patch.object(store, "AT_ONCE", 1),
        FileStore.open(folder / "n1.db", cluster="demo", server=S1, quorum=OLD) as file,
    ):
        file.close_epoch(0)
        file.adopt(1, NEW, SETTLED)


def are_whole(folder: Path) -> None:
    """The old files are there, with all that they had."""
    for me in S1, S2:
        assert inspect(folder / f"n{me}.db").records == 2


def are_closed(folder: Path) -> None:
    are_whole(folder)
    for me in S1, S2:
        assert inspect(folder / f"n{me}.db").closed is not None


def is_whole_or_not_there(folder: Path) -> None:
    are_closed(folder)
    if (folder / "new").exists():
        is_settled(folder)


def is_settled(folder: Path) -> None:
    """One artefact, under the id that is noted in both files."""
    are_closed(folder)
    artefact = inspect_artefact(folder / "new")
    assert (artefact.records, artefact.max_round) == (1, 7)
    for me in S1, S2:
        assert artefact.header.membership in (inspect(folder / f"n{me}.db").closed or "")


def is_old_or_new(folder: Path) -> None:
    """The closed file is somewhere; what is in its place is closed, or the whole new file."""
    membership = inspect_artefact(folder / "new").header.membership
    aside = folder / f"n1.db-before-{membership}"
    if not aside.with_name(f"{aside.name}-mark").exists():
        are_closed(folder)
    elif (folder / "n1.db").exists() and not (folder / "n1.db").samefile(aside):
        is_adopted(folder / "n1.db", membership)


def is_adopted(path: Path, membership: str) -> None:
    contents = inspect(path)
    assert contents.identity.membership == membership
    assert (contents.records, contents.closed) == (1, None)


def is_replaced(folder: Path) -> None:
    membership = inspect_artefact(folder / "new").header.membership
    is_adopted(folder / "n1.db", membership)
    assert inspect(folder / f"n1.db-before-{membership}").closed is not None
    left = {it.name for it in folder.iterdir() if it.name.startswith("n1.db")}
    left -= {"n1.db-wal", "n1.db-shm"}  # As any file whose process was killed has.
    aside = f"n1.db-before-{membership}"
    assert left == {"n1.db", "n1.db-mark", aside, f"{aside}-mark"}, left


def is_new_or_not_there(folder: Path) -> None:
    are_closed(folder)
    if (folder / "n4.db").exists():
        has_joined(folder)


def has_joined(folder: Path) -> None:
    is_adopted(folder / "n4.db", inspect_artefact(folder / "new").header.membership)


def is_of_one_epoch(folder: Path) -> None:
    """It has begun the new epoch with all that was settled, or has not begun it."""
    with FileStore.open(folder / "n1.db", cluster="demo", server=S1, quorum=OLD) as file:
        held = dict(file.accepted())
        assert held.keys() >= {"leader", "mine"}
        if file.epoch.number:
            assert file.epoch == Epoch(1, NEW)
            assert held == {**SETTLED, "mine": None}
        elif not file.epoch.is_closed:
            assert held == {"leader": RED, "mine": RED}


def has_followed(folder: Path) -> None:
    is_of_one_epoch(folder)
    assert inspect(folder / "n1.db").epoch == Epoch(1, NEW)


def _two(folder: Path) -> None:
    make(folder)
    with FileStore.open(folder / "n1.db", cluster="demo", server=S1, quorum=OLD) as file:
        file.save([("mine", Acceptor(RED.ballot, RED))])


def _closed(folder: Path) -> None:
    make(folder)
    close(folder)


def _settled(folder: Path) -> None:
    _closed(folder)
    settled(folder)


STEPS = (
    Step("close", make, close, are_whole, are_closed),
    Step("settle", _closed, settled, is_whole_or_not_there, is_settled),
    Step("adopt, in the place of a closed file", _settled, replace, is_old_or_new, is_replaced),
    Step("adopt, as a new member", _settled, join, is_new_or_not_there, has_joined),
    Step("adopt an epoch", _two, follow, is_of_one_epoch, has_followed),
)


def in_a_process(do: Callable[[Path], None], folder: Path, *, kill_at: int = 0) -> int:
    """Its exit code: KILLED if it came to that line, WRONG if it failed."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = WRONG
    try:
        if kill_at:
            sys.settrace(_killing(kill_at))
        do(folder)
        code = 0
    except (AssertionError, StoreError, MembersError, OSError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    finally:
        os._exit(code)


def _killing(kill_at: int) -> TraceFunction:
    left = kill_at

    def line(_: FrameType, event: str, __: object) -> TraceFunction:
        nonlocal left
        left -= event == "line"
        if not left:
            os._exit(KILLED)
        return line

    def call(frame: FrameType, event: str, argument: object) -> TraceFunction | None:
        is_traced = any(part in frame.f_code.co_filename for part in TRACED)
        return line(frame, event, argument) if is_traced else None

    return call


def kills(step: Step, stride: int) -> tuple[int, int]:
    """How often the step was killed, and how often it did not go on as it should."""
    count = wrong = 0
    with TemporaryDirectory() as folder:
        template, here = Path(folder) / "template", Path(folder) / "here"
        template.mkdir()
        step.before(template)
        line = 1
        while True:
            shutil.copytree(template, here)
            code = in_a_process(step.do, here, kill_at=line)
            checks = [in_a_process(it, here) for it in (step.always, step.again, step.again)]
            if code not in (0, KILLED) or any(checks):
                print(f"{step.name}, killed at line {line}: {code}, then {checks}")
                wrong += 1
            shutil.rmtree(here)
            if code != KILLED:
                return count, wrong
            count += 1
            line += stride


def main() -> int:
    """Print how often each step was killed; 1 if one did not go on as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1)
    stride = parser.parse_args().stride
    failures = 0
    for step in STEPS:
        count, wrong = kills(step, stride)
        print(f"{step.name}: killed {count} times, went on {count - wrong} times", flush=True)
        failures += wrong
    return failures > 0


if __name__ == "__main__":
    sys.exit(main())
