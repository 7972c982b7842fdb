"""Options of a command, handed over as one value."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from attrs import AttrsInstance, fields

Kind = TypeVar("Kind", bound=AttrsInstance)
Rest = ParamSpec("Rest")


def gathered(
    kind: type[Kind],
) -> Callable[[Callable[Concatenate[Kind, Rest], int]], Callable[..., int]]:
    """Hand the options that are fields of ``kind`` to the command as one ``kind``, in front."""
    names = [it.name for it in fields(kind)]

    def decorate(command: Callable[Concatenate[Kind, Rest], int]) -> Callable[..., int]:
        @wraps(command)
        def run(*arguments: Rest.args, **options: Rest.kwargs) -> int:
            own = {name: options.pop(name) for name in names if name in options}
            return command(kind(**own), *arguments, **options)

        return run

    return decorate
