"""What a command line names: files to read, and files to write, checked before anything begins."""

from __future__ import annotations

import os
from contextlib import suppress
from errno import ELOOP, ENAMETOOLONG
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from paxos_adapters.outputs import Kind, OutputRefused, check

if TYPE_CHECKING:
    _PathType = click.ParamType[Path]
else:  # Older versions of click know no such types.
    _PathType = click.ParamType


class _Named(_PathType):
    """A path that can be used; whether something is there is said by what uses it."""

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """The path. Fails, as a usage error, for one that can lead nowhere."""
        path, why = Path(value), self.objection(Path(value), is_empty=str(value) == "")
        if why is not None:
            self.fail(f"{str(value) or repr('')} {why}", param, ctx)
        return path

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - as click calls it
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The shell knows which files there are."""
        return [CompletionItem(incomplete, type="dir" if self.name == "folder" else "file")]

    def objection(self, path: Path, *, is_empty: bool) -> str | None:
        """Why ``path`` cannot be used."""
        try:
            os.stat(path)
        except ValueError as error:
            return f"is not a path: {error}."
        except OSError as error:
            if error.errno in (ELOOP, ENAMETOOLONG):
                return f"cannot be used: {error.strerror}."
        return "names nothing." if is_empty else None


class InputFile(_Named):
    """A path that may name a file."""

    name = "file"

    def objection(self, path: Path, *, is_empty: bool) -> str | None:
        """Also why it is not a file."""
        if (why := super().objection(path, is_empty=is_empty)) is not None:
            return why
        return "is a directory, not a file." if os.path.isdir(path) else None


class OutputFile(InputFile):
    """A path that is written to: of a file that is not there, is empty, or is of its ``kind``."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def objection(self, path: Path, *, is_empty: bool) -> str | None:
        """Also why it must not be written to."""
        if (why := super().objection(path, is_empty=is_empty)) is not None:
            return why
        try:
            check(path, self.kind)
        except OutputRefused as error:
            return error.what
        return None


class Folder(_Named):
    """A path that may name a folder."""

    name = "folder"

    def objection(self, path: Path, *, is_empty: bool) -> str | None:
        """Also why it is not a folder."""
        if (why := super().objection(path, is_empty=is_empty)) is not None:
            return why
        is_other = os.path.lexists(path) and not os.path.isdir(path)
        return "is not a directory." if is_other else None


def as_utf8(word: str) -> str:
    """A word of a command line in UTF-8, which a locale without it (C) hands on as mere bytes.

    Other bytes stay as they are handed on: as lone surrogates.
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        with suppress(UnicodeError):
            return os.fsencode(word).decode()
    return word


def input_file(word: str) -> Path:
    """The file that a word of a command line names. Raises UsageError."""
    return InputFile().convert(word, None, None)
