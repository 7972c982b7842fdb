"""``paxos kv``: the key-value log that each server runs, by way of the servers of this machine.

- A command is run once, also if the server that it went to is killed, and another one is asked.
- What was read, and the revision of what was written, goes to the standard output, all else to the
  standard error.
- Without an answer it is said whether the command may have been run, and what the cluster lacks.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import TypeAlias

import click
from attrs import frozen

from paxos import PaxosError
from paxos.errors import assert_never
from paxos_adapters.client import Client, NotReached
from paxos_adapters.printable import json_text, printable
from paxos_adapters.replication.watching import Step
from paxos_adapters.requests.errors import BadValue, NoAnswer, OutcomeUnknown
from paxos_adapters.state_machines import KEY_VALUE
from paxos_adapters.state_machines.key_value import (
    GET,
    SCAN,
    Changed,
    Command,
    CompareAndSet,
    Delete,
    Expired,
    Item,
    KeyValues,
    Page,
    Put,
    Result,
    Scan,
    Unchanged,
)
from paxos_adapters.state_machines.ticks import Tick
from paxos_adapters.wire import TooLarge
from paxos_cli.asking import Target, asks, candidates, find, timeout, unanswered
from paxos_cli.canvas import canvas, shown
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import BadArguments, Failure, Interrupted
from paxos_cli.feedback import waiting
from paxos_cli.help import Group
from paxos_cli.interrupt import on_interrupt
from paxos_cli.node import KEY_VALUES
from paxos_cli.options import JSON, PLAIN, gathered, whole
from paxos_cli.output import say
from paxos_cli.values import HEX, RAW, Form, print_value, text_of, utf8, value_of

KeyValueClient: TypeAlias = Client[KeyValues, Command, Result]

KEY = click.argument("key", callback=utf8)
VALUE = click.argument("value", callback=utf8)
WAITS = "Waiting for the log ... Ctrl-C stops waiting."


@frozen
class Written:
    """How a value is given, and under which condition it is written."""

    as_hex: bool
    if_absent: bool = False


@click.group(cls=Group)
def kv() -> None:
    """Write and read keys, in the log that all servers of the cluster run.

    VALUE is text; - reads it, any bytes, from the standard input.
    """


# --- writing --------------------------------------------------------------------------------------


@kv.command(short_help="Let KEY have VALUE.")
@KEY
@VALUE
@HEX
@click.option("--if-absent", is_flag=True, help="Only if KEY is not there.")
@JSON
@timeout(5)
@asks
@gathered(Written)
def put(
    written: Written, target: Target, key: str, value: str, timeout_s: float, as_json: bool
) -> ExitCode:
    """Let KEY have VALUE, and print the revision of this change."""
    body = value_of(value, written.as_hex)
    command = CompareAndSet(key, 0, body) if written.if_absent else Put(key, body)
    with _client(target, timeout_s, writes=key) as client:
        result = _submitted(client, target, command)
    return _told(key, result, as_json, "is there already")


@kv.command(short_help="Remove KEY.")
@KEY
@JSON
@timeout(5)
@asks
def delete(target: Target, key: str, timeout_s: float, as_json: bool) -> ExitCode:
    """Remove KEY, and print the revision of this change."""
    with _client(target, timeout_s, writes=key) as client:
        result = _submitted(client, target, Delete(key))
    return _told(key, result, as_json)


@kv.command(short_help="Let KEY have VALUE, if it has OLD.")
@KEY
@click.argument("old", callback=utf8)
@VALUE
@HEX
@JSON
@timeout(5)
@asks
@gathered(Written)
def cas(
    written: Written,
    target: Target,
    key: str,
    old: str,
    value: str,
    timeout_s: float,
    as_json: bool,
) -> ExitCode:
    """Compare and set: let KEY have VALUE if it has OLD, and print the revision of this change.

    If it has another value, or none, nothing is changed.
    """
    wanted, body = value_of(old, written.as_hex), value_of(value, written.as_hex)
    with _client(target, timeout_s, writes=key) as client:
        with waiting(WAITS):
            found = client.read(GET, key)
        while found is not None and found.value == wanted:
            result = _submitted(client, target, CompareAndSet(key, found.revision, body))
            if type(result) is not Unchanged:
                return _told(key, result, as_json)
            found = result.found
    return _told(key, Unchanged(found), as_json, "has another value")


def _submitted(
    client: KeyValueClient, target: Target, command: Put | Delete | CompareAndSet
) -> Result:
    with on_interrupt(partial(_leave_open, target, command.key)), waiting(WAITS):
        return client.submit(command)


def _leave_open(target: Target, key: str) -> None:
    """An interrupt does not take the command back. Raises Interrupted."""
    raise Interrupted(
        "stopped, and the outcome is unknown: the command may have been run, or be run later, "
        f"once. {_again(target, key)}"
    )


def _again(target: Target, key: str) -> str:
    """How to find out what came of a command."""
    return f"{target.command('kv', 'get', name=key)} shows what the key has."


def _told(key: str, result: Result, as_json: bool, has: str = "") -> ExitCode:
    """Print what came of a command; ``has`` is why a key that is there was left as it is."""
    found = result.found if type(result) is Unchanged else None
    if as_json:
        say(json_text({"key": key, "is_changed": type(result) is Changed} | _outcome(result)))
    elif type(result) is Changed:
        say(f"revision {result.revision}")
    elif found is None:
        say(f"paxos: {printable(key)}: there is no such key. Nothing was changed.", err=True)
    else:
        there = printable(f"{key} {has}: {shown(found.value)}")
        say(f"paxos: {there}. Nothing was changed.", err=True)
    if type(result) is Changed:
        return ExitCode.DONE
    return ExitCode.NOTHING_CHOSEN if found is None else ExitCode.ANOTHER_VALUE


def _outcome(result: Result) -> dict[str, object]:
    if type(result) is Unchanged:
        return {"found": _fields(result.found)}
    if type(result) is Expired:
        return {"revision": result.revision, "keys": list(result.keys)}
    if type(result) is Changed:
        return {"revision": result.revision}
    assert_never(result)


# --- reading --------------------------------------------------------------------------------------


@kv.command(short_help="Print what KEY has.")
@KEY
@timeout(5)
@RAW
@HEX
@JSON
@asks
@gathered(Form)
def get(form: Form, target: Target, key: str, timeout_s: float) -> ExitCode:
    """Print the value of KEY, if it is there: at least what was written before."""
    with _client(target, timeout_s) as client, waiting(WAITS):
        found = client.read(GET, key)
    if form.as_json:
        say(json_text({"key": key} | (_fields(found) or {"value": None, "revision": None})))
    elif found is None:
        say(f"paxos: {printable(key)}: there is no such key.", err=True)
    else:
        print_value(found.value, form)
    return ExitCode.NOTHING_CHOSEN if found is None else ExitCode.DONE


@kv.command(short_help="Print the keys that start with PREFIX.")
@click.argument("prefix", default="", callback=utf8)
@timeout(5)
@HEX
@JSON
@PLAIN
@asks
def scan(
    target: Target, prefix: str, timeout_s: float, as_hex: bool, as_json: bool, plain: bool
) -> ExitCode:
    """Print the keys that start with PREFIX, in order, and what they have.

    They are read page after page: what is written in between may be on a later page.
    """
    with _client(target, timeout_s) as client, waiting(WAITS):
        items = [it for page in _pages(client, prefix) for it in page.items]
    if as_json:
        say(json_text([{"key": key} | (_fields(item) or {}) for key, item in items]))
        return ExitCode.DONE
    rows = ((key, str(item.revision), _shown(item.value, as_hex)) for key, item in items)
    canvas(plain).table(("key", "revision", "value"), rows, numbers=("revision",))
    return ExitCode.DONE


def _pages(client: KeyValueClient, prefix: str) -> Iterator[Page]:
    after: str | None = None
    while True:
        page = client.read(SCAN, Scan(prefix, after))
        yield page
        if page.is_last:
            return
        after = page.items[-1][0]


@kv.command(short_help="Print each change, as it is made.")
@click.argument("prefix", default="", callback=utf8)
@whole("--count", 1, None, "End after so many changes.  [default: never]")
@HEX
@JSON
@asks
def watch(target: Target, prefix: str, count: int | None, as_hex: bool, as_json: bool) -> ExitCode:
    """Print each change of a key that starts with PREFIX, from now on, until Ctrl-C.

    It says so when it has begun, on the standard error. It ends with an error if its server does.
    """
    with _client(target, 5) as client, client.watch() as steps:
        say("paxos: watching.", err=True)
        for told in islice(_changes(steps, prefix), count):
            say(json.dumps(told) if as_json else _line(told, as_hex))
    return ExitCode.DONE


def _changes(steps: Iterable[Step[Command, Result]], prefix: str) -> Iterator[dict[str, object]]:
    """What has changed a key that starts with ``prefix``."""
    for step in steps:
        command, result = step.command, step.result
        if type(command) is Tick:
            keys = result.keys if type(result) is Expired else ()
            for key in keys:
                if key.startswith(prefix):
                    yield {"slot": step.slot, "did": "expire", "key": key} | _outcome(result)
        elif type(result) is Changed and command.key.startswith(prefix):
            told: dict[str, object] = {"slot": step.slot, "did": "put", "key": command.key}
            if type(command) is Delete:
                yield told | {"did": "delete"} | _outcome(result)
            else:
                yield told | (_fields(Item(command.value, result.revision)) or {})


def _line(told: dict[str, object], as_hex: bool) -> str:
    hexed = told.get("value_hex")
    value = f" {_shown(bytes.fromhex(hexed), as_hex)}" if isinstance(hexed, str) else ""
    return printable(f"slot {told['slot']}  {told['did']} {told['key']}{value}")


def _fields(item: Item | None) -> dict[str, object] | None:
    """An item for programs."""
    if item is None:
        return None
    value, revision = item.value, item.revision
    return {"value": text_of(value), "value_hex": value.hex(), "revision": revision}


# --- which node -----------------------------------------------------------------------------------


@contextmanager
def _client(
    target: Target, timeout_s: float, *, writes: str = ""
) -> Generator[KeyValueClient, None, None]:
    """A client of the servers of this machine, that of one that answers first.

    ``writes`` is the key of the command, if there is one.
    """
    first, unknown = find(target), ExitCode.UNKNOWN_OUTCOME
    others = [it for it in candidates(target) if it != first]
    try:
        with Client([first, *others], KEY_VALUES, KEY_VALUE, timeout_s=timeout_s) as client:
            yield client
    except (TooLarge, BadValue) as error:
        raise BadArguments(error) from error
    except OutcomeUnknown as error:
        what = f"{error.why}. The command may have been run, or be run later, once. "
        what += f"{_again(target, writes)} The same command again may run it twice."
        raise unanswered(first, what, unknown, when_lost=unknown) from error
    except NoAnswer as error:
        raise unanswered(first, str(error), unknown) from error
    except NotReached as error:
        raise unanswered(first, str(error), ExitCode.NO_SERVER) from error
    except PaxosError as error:
        raise Failure(error) from error


def _shown(value: bytes, as_hex: bool) -> str:
    return value.hex() if as_hex else shown(value)
