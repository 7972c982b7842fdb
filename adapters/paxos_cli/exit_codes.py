"""How a command ends: one table, for scripts, for the pages and for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of every command."""

    DONE = 0
    FAILED = 1
    BAD_ARGUMENTS = 2
    ANOTHER_VALUE = 3
    NOTHING_CHOSEN = 4
    UNKNOWN_OUTCOME = 5
    QUORUM_LOST = 6
    NO_SERVER = 7
    CUT_SHORT = 8
    STOPPED = 130
    READER_GONE = 141

    @property
    def kind(self) -> str:
        """The name in words, as an error in JSON has it."""
        return self.name.lower().replace("_", " ")


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.DONE: "as asked: the value is chosen, the key is written, all rules hold",
    ExitCode.FAILED: "a rule is broken, a file is damaged, a server stopped; the error says what",
    ExitCode.BAD_ARGUMENTS: "the arguments, or a file that describes the cluster, do not fit",
    ExitCode.ANOTHER_VALUE: "another value is chosen, or the key has another value",
    ExitCode.NOTHING_CHOSEN: "nothing is chosen yet, or there is no such key",
    ExitCode.UNKNOWN_OUTCOME: "no answer in time; what was proposed may be chosen, now or later",
    ExitCode.QUORUM_LOST: "too few servers are up, and nothing was begun",
    ExitCode.NO_SERVER: "no server of this machine took the request, and nothing was begun",
    ExitCode.CUT_SHORT: "the search was cut short, and broke no rule in what it saw",
    ExitCode.STOPPED: "stopped by Ctrl-C or SIGTERM; what was proposed may be chosen anyway",
    ExitCode.READER_GONE: "the reader of the output has gone, as `head` does",
}
"""What each code means to a script."""
