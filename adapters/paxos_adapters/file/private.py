"""Files that only their owner may read or write, and that no other user has put there.

- What is made has mode 0600 whatever the umask says; what is there with more is tightened. A lock
  can be taken by any process that may open the file for reading, so others may not even do that.
- A symbolic link is never followed, and nothing that is there is made anew: another user of a
  shared folder may have put it there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

MODE = 0o600


class Planted(OSError):
    """Something that another user has put where a file of a store belongs."""


def make(path: Path) -> int:
    """A new file, open to read and write. Raises FileExistsError, OSError."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
    os.fchmod(file, MODE)  # The umask may have taken more.
    return file


def take(path: Path) -> int:
    """A file that is there, open to read and write, with mode 0600. Raises OSError."""
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        _tighten(path, os.fstat(file), file)
    except BaseException:
        os.close(file)
        raise
    return file


def make_or_take(path: Path) -> int:
    """A file that is new, or was left by an earlier attempt of the same user. Raises OSError."""
    try:
        return make(path)
    except FileExistsError:
        file = take(path)
    if os.fstat(file).st_uid != os.geteuid():
        os.close(file)
        raise Planted(f"{path.name} belongs to another user")
    return file


def tighten(path: Path) -> None:
    """Mode 0600 for a file that may be there. Not opened: that could end locks. Raises OSError."""
    try:
        _tighten(path, path.lstat(), path)
    except FileNotFoundError:
        return


def _tighten(path: Path, found: os.stat_result, file: int | Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Planted(f"{path.name} is not a regular file")
    if stat.S_IMODE(found.st_mode) != MODE:
        os.chmod(file, MODE)
