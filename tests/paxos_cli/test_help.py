"""What every command says of itself, at the widths of small and large terminals."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from paxos_cli import app
from paxos_cli.commands import PLACES, SECTIONS
from paxos_cli.examples import EXPLAINED
from tests.support.commands import PAXOS, call, execute

ROOT = Path(__file__).parents[2]


def every_command() -> Iterator[click.Context]:
    """The group ``paxos``, and all that is in it."""

    def walk(context: click.Context) -> Iterator[click.Context]:
        yield context
        group = context.command
        if isinstance(group, click.Group):
            for name in group.list_commands(context):
                command = group.get_command(context, name)
                assert command is not None
                yield from walk(command.context_class(command, info_name=name, parent=context))

    settings = app.paxos.context_settings
    return walk(app.paxos.context_class(app.paxos, info_name="paxos", **settings))


COMMANDS = {it.command_path.removeprefix("paxos").strip(): it for it in every_command()}


def test_every_command_is_listed_once_and_explained() -> None:
    listed = [name for names in SECTIONS.values() for name in names]

    assert sorted(listed) == sorted(PLACES)
    assert sorted(EXPLAINED) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_three_ways_to_ask_for_help_say_the_same(command: str) -> None:
    words = command.split()
    short, long, asked = call(*words, "-h"), call(*words, "--help"), call("help", *words)

    assert (short.returncode, short.stderr) == (0, "")
    assert short.stdout == long.stdout == asked.stdout


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_and_breaks_no_word(command: str, width: int) -> None:
    """Lines of examples are for copying: they stay whole."""
    whole, narrow = (
        call(*command.split(), "-h", environment={"COLUMNS": str(columns)}).stdout
        for columns in (1_000, width)
    )
    body, _, examples = narrow.partition("\nExamples:\n")

    assert max(map(len, body.splitlines())) <= min(width, 80)
    assert examples.splitlines()[-1] == f"More: docs/{EXPLAINED[command][1]}"
    assert re.sub(r"[\s|]+", " ", narrow) == re.sub(r"[\s|]+", " ", whole)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_what_it_means_and_counts(command: str) -> None:
    for parameter in COMMANDS[command].command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert re.match(r"[A-Z0-9].*\.(  \[default: .*\])?$", parameter.help), parameter.help
            metavar = parameter.make_metavar(COMMANDS[command])
            assert "INTEGER" not in metavar, parameter.name
            assert "FLOAT" not in metavar, parameter.name


def parse(words: list[str]) -> None:
    """Take ``words`` as the command does that they name, and run nothing."""
    names = [name for name in COMMANDS if words[: len(name.split())] == name.split()]
    named = COMMANDS[max(names, key=len)]
    rest = words[len(named.command_path.split()) - 1 :]
    named.command.make_context(named.info_name, rest, parent=named.parent)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_can_be_typed_and_pages_exist(command: str) -> None:
    examples, page = EXPLAINED[command]

    assert (ROOT / "docs" / page).exists()
    for line, meaning in examples:
        assert meaning
        program, *words = shlex.split(re.sub(r" [<>] .*", "", line))
        assert program == "paxos"
        assert line.startswith(f"paxos {command}".rstrip()), "it is of this command"
        if "-h" not in words:
            parse(words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["propse", "a", "b"], "there is no command 'propse'. Did you mean 'propose'?"),
        (["kv", "putt"], "there is no command 'putt'. Did you mean 'put'?"),
        (["xyzzy"], "there is no command 'xyzzy'. (see paxos --help)"),
        (["help", "stats"], "there is no command 'stats'. Did you mean 'status'?"),
        (["help", "read", "x"], "'paxos read' has no commands."),
    ],
)
def test_a_wrong_name_is_answered_with_the_nearest(words: list[str], told: str) -> None:
    ended = call(*words)

    assert (ended.returncode, ended.stdout) == (2, "")
    assert told in ended.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_there_for_each_shell(shell: str) -> None:
    ended = execute([*PAXOS], environment={"_PAXOS_COMPLETE": f"{shell}_source"})

    assert "_PAXOS_COMPLETE" in ended.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("paxos pro", ["propose"]),
        ("paxos kv c", ["cas"]),
        ("paxos lecture live", ["livelock"]),
        ("paxos simulate --netw", ["--network"]),
        ("paxos simulate --network q", ["quorum-loss"]),
        ("paxos inspect n", ["n"]),
    ],
)
def test_words_are_completed(words: str, found: list[str]) -> None:
    asked = {
        "_PAXOS_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }

    assert [it.split(",")[1] for it in execute([*PAXOS], environment=asked).stdout.split()] == found
