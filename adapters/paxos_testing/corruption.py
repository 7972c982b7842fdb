"""Corrupt files, as a failing disk or a mistake leaves them.

- Every file is missing once, empty once, and once an older copy; then bits flip and ends are
  truncated at random.
- Single bytes of another store take the place of those here: where two stores differ in a promise
  alone, these are the bytes of that promise, and of what protects it.
- One damage at a time, drawn from a seed, so that it can be named and repeated.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TypeAlias

Files: TypeAlias = Mapping[Path, bytes]


def files_in(folder: Path) -> Files:
    """Every file in ``folder``, at any depth, by its path from there."""
    return {
        it.relative_to(folder): it.read_bytes() for it in sorted(folder.rglob("*")) if it.is_file()
    }


def write_files(folder: Path, files: Files) -> None:
    """Make ``folder`` hold these files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def damages(files: Files, before: Files, times: int, chance: Random) -> Iterator[tuple[str, Files]]:
    """Each damage in words, and the files with it: some for each file, and ``times`` at random.

    ``before`` are the files as they were before the last save.
    """
    is_one_of_several = sum(map(bool, files.values())) > 1
    for path, content in files.items():
        yield f"{path} is gone", {it: files[it] for it in files if it != path}
        if content:
            yield f"{path} is empty", {**files, path: b""}
        if is_one_of_several and before.get(path, content) != content:
            yield f"{path} is as it was before the last save", {**files, path: before[path]}
    written = [path for path, content in files.items() if content]
    for _ in range(times if written else 0):
        path = chance.choice(written)
        corrupt = bytearray(files[path])
        place, bit = chance.randrange(len(corrupt)), chance.randrange(8)
        if chance.random() < 0.25:
            what = f"{path} is cut off after {place} bytes"
            del corrupt[place:]
        else:
            what = f"bit {bit} of byte {place} of {path} is flipped"
            corrupt[place] ^= 1 << bit
        yield what, {**files, path: bytes(corrupt)}


def foreign_bytes(
    files: Files, again: Files, others: Files, most: int, chance: Random
) -> Iterator[tuple[str, Files]]:
    """``files`` with one byte of ``others``, ``most`` times at most, where these differ.

    ``again`` is made as ``files`` was. Where these differ, the bytes mean nothing.
    """
    places = sorted(_differences(files, others) - _differences(files, again))
    for path, place in chance.sample(places, min(most, len(places))):
        corrupt = bytearray(files[path])
        corrupt[place] = others[path][place]
        yield f"byte {place} of {path}", {**files, path: bytes(corrupt)}


def _differences(files: Files, others: Files) -> set[tuple[Path, int]]:
    """Where two stores differ, in files of one length."""
    return {
        (path, place)
        for path, content in files.items()
        if len(others.get(path, b"")) == len(content)
        for place, (one, other) in enumerate(zip(content, others[path], strict=True))
        if one != other
    }
