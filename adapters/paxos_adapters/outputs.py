"""Every file that a command or a program writes: one function opens it.

- What is there is touched only if it begins as a file of its own ``Kind`` does, or is empty.
- A file of a server is never touched: neither its store, nor a name that the store uses for its
  mark, its log, its index, its socket. A new file does not take such a name either, since SQLite
  would take it for a log of its own.
- No link is followed, and nothing but a regular file is opened. What the command itself prints to
  is not a place for a file.
- ``check`` says all of this before anything begins; whatever opens, replaces, moves or removes
  says it again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from attrs import frozen

from paxos import OperationalError

SQLITE = b"SQLite format 3\0"
MARK_SUFFIX = "-mark"
BESIDE_A_STORE = MARK_SUFFIX, "-mark-new", "-new", "-wal", "-shm", "-journal", ".sock"
"""What the name of a store is followed by in the names of the other files of a server."""

STANDARD_STREAMS = 0, 1, 2
SAFELY = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@frozen
class Kind:
    """A kind of file: ``mark`` stands within its first bytes, at their beginning if not said.

    Without a mark nothing that is there is of this kind: it is only made, and never replaced.
    """

    name: str
    mark: bytes | None
    within_bytes: int = 0

    def is_in(self, head: bytes) -> bool:
        """Whether a file of this kind begins with ``head``."""
        return self.mark is not None and self.mark in head[: self.head_bytes]

    @property
    def head_bytes(self) -> int:
        """How much of a file tells its kind."""
        return max(self.within_bytes, len(self.mark or b""))


RECORDING_HEAD = b'{"recording":'
RECORDING = Kind("a recording", RECORDING_HEAD)
ARTEFACT_HEAD = b'{"paxos members":'
ARTEFACT = Kind("an artefact of a change of members", ARTEFACT_HEAD)
BACKUP_HEAD = b'{"paxos backup":'
NEW = Kind("a new file", None)


class OutputRefused(OperationalError, ValueError):
    """A file that is not written to; it was left as it is."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} {what}")
        self.path = path
        self.what = what


def check(path: Path, kind: Kind, *, keep_out: Iterable[Path] = ()) -> None:
    """Raise OutputRefused unless ``path`` can be written as ``kind``, and is none of ``keep_out``.

    ``keep_out`` names files of servers, which may not be there yet.
    """
    _check_name(path, keep_out)
    try:
        _check_type(path, os.lstat(path))
        if kind.mark is None:
            raise OutputRefused(path, "is there already, and is left as it is.")
        descriptor = os.open(path, os.O_RDONLY | SAFELY)
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK):
            what = "cannot be written: there is no such folder, or it is closed to us."
            raise OutputRefused(path, what) from None
        return
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        _check_content(path, descriptor, kind)
    finally:
        os.close(descriptor)


def open_for_writing(path: Path, kind: Kind) -> int:
    """A descriptor that appends to ``path``, which is made, for its owner only, if not there.

    Raises OutputRefused. Whatever writes a file opens it here.
    """
    check(path, kind)
    is_new = os.O_EXCL if kind.mark is None else 0
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | is_new | SAFELY, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        _check_content(path, descriptor, kind)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def create(path: Path, content: bytes) -> None:
    """Make the file ``path``, whole and on the disk or not at all; nothing is replaced.

    Raises OutputRefused and OSError.
    """
    create_in_parts(path, (content,))


def create_in_parts(path: Path, parts: Iterable[bytes]) -> None:
    """As ``create``, of what comes in ``parts``. Raises what these raise, too."""
    check(path, NEW)
    unfinished = _written(path, parts)
    try:
        os.link(unfinished, path)  # Unlike a rename, it replaces nothing.
    except FileExistsError:
        check(path, NEW)
        raise
    finally:
        unfinished.unlink()


def replace(path: Path, kind: Kind, content: bytes) -> None:
    """Have ``content`` in ``path``, whole or not at all, in place of nothing but ``kind``.

    Raises OutputRefused and OSError.
    """
    check(path, kind)
    unfinished = _written(path, (content,))
    try:
        check(path, kind)
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink()
        raise


def move(source: Path, target: Path, kind: Kind) -> None:
    """Rename ``source``; both are of that kind, unless ``target`` is not there.

    Raises OutputRefused and OSError.
    """
    check(source, kind)
    check(target, kind)
    os.replace(source, target)


def remove(path: Path, kind: Kind) -> None:
    """Remove ``path`` if it is there. Raises OutputRefused, with nothing done, and OSError."""
    check(path, kind)
    path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have on the disk what is in a file, or which files are in a folder. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_same(path: Path, descriptor: int) -> bool:
    """Whether ``path`` still names the open file."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def files_of(store: Path) -> Iterator[Path]:
    """Every name that the server with this store uses."""
    yield store
    yield from (store.with_name(store.name + it) for it in BESIDE_A_STORE)


def _written(path: Path, parts: Iterable[bytes]) -> Path:
    """A new file beside ``path``, with these ``parts``, on the disk."""
    unfinished = path.with_name(f".{path.name[:100]}-{token_hex(4)}")
    descriptor = open_for_writing(unfinished, NEW)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        unfinished.unlink()
        raise
    return unfinished


def _check_name(path: Path, keep_out: Iterable[Path]) -> None:
    if path.name in ("", "..") or "\0" in str(path):
        raise OutputRefused(path, "names no file.")
    real = _located(path)
    if real in map(_located, keep_out) or is_beside_a_store(path):
        raise _of_a_server(path)
    for suffix in BESIDE_A_STORE:
        if suffix != "-new" and os.path.lexists(real + suffix):
            raise _of_a_server(path)


def is_beside_a_store(path: Path) -> bool:
    """Whether a store that is there uses this name, for its mark, its log or the like."""
    real = _located(path)
    bases = (real.removesuffix(suffix) for suffix in BESIDE_A_STORE if real.endswith(suffix))
    return any(map(_is_store, bases))


def _located(path: Path) -> str:
    """Where ``path`` is, without a link before its last part."""
    return os.path.join(os.path.realpath(path.parent), path.name)


def _is_store(path: str) -> bool:
    if os.path.lexists(path + MARK_SUFFIX):
        return True
    try:
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
        with open(path, "rb") as file:
            return is_regular and file.read(len(SQLITE)) == SQLITE
    except OSError:
        return False


def _check_type(path: Path, found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OutputRefused(path, "is a link. Name the file itself.")
    if stat.S_ISDIR(found.st_mode):
        raise OutputRefused(path, "is a folder. Name a file in it.")
    if not stat.S_ISREG(found.st_mode):
        raise OutputRefused(path, "is not a regular file. Name another one.")


def _check_content(path: Path, descriptor: int, kind: Kind) -> None:
    """Raise OutputRefused unless it is a regular file of ``kind``, or an empty one."""
    found = os.fstat(descriptor)
    _check_type(path, found)
    for stream in STANDARD_STREAMS:
        with suppress(OSError):
            if os.path.samestat(found, os.fstat(stream)):
                raise OutputRefused(path, "is what this command reads from, or prints to.")
    head = os.pread(descriptor, max(kind.head_bytes, len(SQLITE)), 0)
    if head.startswith(SQLITE):
        raise _of_a_server(path)
    if head and not kind.is_in(head):
        what = f"is there already, and is not {kind.name}: it was left alone. Name another file."
        raise OutputRefused(path, what)


def _of_a_server(path: Path) -> OutputRefused:
    return OutputRefused(path, "belongs to a server: it was left alone. Name another file.")


def _unwritable(path: Path, error: OSError) -> OutputRefused:
    return OutputRefused(path, f"cannot be written: {error.strerror}.")
