"""What can be wrong with a recording; each error says where, and what to do."""

from __future__ import annotations

from pathlib import Path

from paxos_adapters.coding import CodingError


class RecordingError(CodingError):
    """A file that is not a recording, or a recording of something else."""


class RecordingCorrupted(RecordingError):
    """A line of a recording is not what was written."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(
            f"line {line} of {path} is damaged: {why}. What comes before it was recorded as it is: "
            "cut the file off there to replay that."
        )
        self.path = path
        self.line = line


class OtherFormat(RecordingError):
    """The recording has a format that this version does not read."""

    def __init__(self, path: Path, found: object, known: int) -> None:
        super().__init__(
            f"{path} has format {found!r}, and this version reads {known}: replay it with the "
            "version that made it, or make it again."
        )
        self.path = path
        self.found = found
