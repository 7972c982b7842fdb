"""Corrupt files, as a failing disk or a mistake leaves them.

- Every file is missing once, and empty once; then bits flip and ends are truncated at random.
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


def damages(files: Files, times: int, chance: Random) -> Iterator[tuple[str, Files]]:
    """Each damage in words, and the files with it: two for each file, and ``times`` at random."""
    for path, content in files.items():
        yield f"{path} is gone", {it: files[it] for it in files if it != path}
        if content:
            yield f"{path} is empty", {**files, path: b""}
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
