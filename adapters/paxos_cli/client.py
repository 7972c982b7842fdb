"""``paxos propose``, ``read`` and ``watch``: ask a server that runs on this machine.

The value that is chosen goes to the standard output, and nothing else does. It is in hexadecimal if
a terminal cannot show it, and it was not asked for as it is.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import monotonic

import click

from paxos_adapters.node.control_protocol import (
    Answer,
    ChosenReply,
    NotChosenReply,
    ProposeRequest,
    ReadRequest,
    WatchRequest,
)
from paxos_adapters.printable import json_text, printable
from paxos_cli.asking import Target, answer_of, asks, find, timeout, unexpected
from paxos_cli.config import PROBE_S
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import Failure, Interrupted
from paxos_cli.feedback import waiting
from paxos_cli.help import Command
from paxos_cli.interrupt import on_interrupt
from paxos_cli.options import JSON, gathered
from paxos_cli.output import say
from paxos_cli.values import HEX, RAW, Form, print_value, text_of, utf8, value_of

NAME = click.argument("name", callback=utf8)


@click.command(cls=Command, short_help="Get a value chosen.")
@NAME
@click.argument("value", callback=utf8)
@HEX
@RAW
@JSON
@timeout(5)
@asks
@gathered(Form)
def propose(form: Form, target: Target, name: str, value: str, timeout_s: float) -> ExitCode:
    """Get VALUE chosen for NAME, unless another value is, and print what is chosen.

    VALUE is text; - reads it, any bytes, from the standard input.
    """
    wanted = value_of(value, form.as_hex)
    server = find(target)
    with on_interrupt(partial(_leave_open, target, name)), waiting(_waits(name)):
        answer = answer_of(server, ProposeRequest(name, wanted, timeout_s), timeout_s)
    if not isinstance(answer, ChosenReply):
        raise unexpected(answer)
    is_own = answer.value == wanted
    if form.as_json:
        _print_json(name, answer.value, own=is_own)
    else:
        print_value(answer.value, form)
        if not is_own:
            say(f"paxos: {printable(name)}: another value was chosen already.", err=True)
    return ExitCode.DONE if is_own else ExitCode.ANOTHER_VALUE


@click.command(cls=Command, short_help="Print what is chosen.")
@NAME
@timeout(5)
@RAW
@HEX
@JSON
@asks
@gathered(Form)
def read(form: Form, target: Target, name: str, timeout_s: float) -> ExitCode:
    """Print the value that is chosen for NAME, if one is."""
    server = find(target)
    with waiting(_waits(name)):
        answer = answer_of(server, ReadRequest(name, timeout_s), timeout_s)
    return _show(name, answer, form)


@click.command(cls=Command, short_help="Wait until a value is chosen, and print it.")
@NAME
@timeout(None)
@RAW
@HEX
@JSON
@asks
@gathered(Form)
def watch(form: Form, target: Target, name: str, timeout_s: float | None) -> ExitCode:
    """Print the value that is chosen for NAME, as soon as one is.

    It says on the standard error that nothing is chosen yet, and waits.
    """
    server = find(target)
    until_s = None if timeout_s is None else monotonic() + timeout_s
    answer = _read_first(server, name, timeout_s, form)
    if not isinstance(answer, ChosenReply):
        left_s = None if until_s is None else max(until_s - monotonic(), 0.001)
        with waiting(_waits(name)):
            answer = answer_of(server, WatchRequest(name, left_s), left_s)
    return _show(name, answer, form)


def _read_first(server: Path, name: str, timeout_s: float | None, form: Form) -> Answer | None:
    """What is chosen by now; if nothing is, or nobody knows, people are told."""
    patience_s = PROBE_S if timeout_s is None else min(PROBE_S, timeout_s)
    try:
        with waiting(_waits(name)):
            answer = answer_of(server, ReadRequest(name, patience_s), patience_s)
    except Failure as error:
        if error.code not in (ExitCode.UNKNOWN_OUTCOME, ExitCode.QUORUM_LOST):
            raise
        answer = None
        told = [f"it is not known yet what is chosen for '{name}'.", *error.more]
    else:
        told = [f"nothing has been chosen for '{name}' yet."]
    if not isinstance(answer, ChosenReply) and not form.as_json:
        say(f"paxos: {printable(' '.join(told))}", err=True)
    return answer


def _waits(name: str) -> str:
    """What is shown while there is no answer."""
    return printable(f"Waiting for what is chosen for '{name}' ... Ctrl-C stops waiting.")


def _leave_open(target: Target, name: str) -> None:
    """An interrupt does not take the proposal back. Raises Interrupted."""
    raise Interrupted(
        f"stopped, and the outcome is unknown: the value may be chosen anyway. "
        f"{target.command('read', name=name)} shows what is; to propose it again does no harm."
    )


def _show(name: str, answer: Answer, form: Form) -> ExitCode:
    if isinstance(answer, ChosenReply):
        found: bytes | None = answer.value
    elif isinstance(answer, NotChosenReply):
        found = None
    else:
        raise unexpected(answer)
    if form.as_json:
        _print_json(name, found)
    elif found is None:
        say(f"paxos: {printable(name)}: nothing is chosen yet.", err=True)
    else:
        print_value(found, form)
    return ExitCode.NOTHING_CHOSEN if found is None else ExitCode.DONE


def _print_json(name: str, found: bytes | None, **more: bool) -> None:
    told = {
        "name": name,
        "is_chosen": found is not None,
        "value": None if found is None else text_of(found),
        "value_hex": None if found is None else found.hex(),
    }
    say(json_text(told | more))
