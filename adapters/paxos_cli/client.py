"""``paxos propose``, ``read``, ``watch`` and ``status``: ask a server that runs on this machine.

- The value that is chosen goes to the standard output, and nothing else does; in hexadecimal if a
  terminal cannot show it, and it was not asked for as it is.
- The first server of the cluster that answers is asked; one that hangs is passed over.
- Without an answer they say what is known and what is not, and what the cluster lacks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from math import isnan
from pathlib import Path
from shlex import join
from typing import Any, TypeVar

import click
import msgspec
from attrs import frozen

from paxos import PaxosError, ServerId
from paxos_adapters.limits import MAX_VALUE_BYTES
from paxos_adapters.node.control_client import NoReply, NotRunning, TooLong, ask
from paxos_adapters.node.control_protocol import (
    MAX_TIMEOUT_S,
    Answer,
    ChosenReply,
    ErrorReply,
    NotChosenReply,
    ProposeRequest,
    Question,
    ReadRequest,
    StatusReply,
    StatusRequest,
    WatchRequest,
)
from paxos_adapters.printable import json_text, printable
from paxos_adapters.udp.addresses import format_address
from paxos_adapters.wire import Reason
from paxos_cli import health
from paxos_cli.canvas import canvas, readable
from paxos_cli.config import (
    CLUSTER,
    DATA,
    PROBE_S,
    data_of,
    described,
)
from paxos_cli.failures import BadArguments, Failure, InLines, Interrupted
from paxos_cli.interrupt import on_interrupt
from paxos_cli.options import JSON, PLAIN, gathered
from paxos_cli.output import say
from paxos_cli.paths import as_utf8

C = TypeVar("C", bound=Callable[..., Any])

GRACE_S = 2.0
"""How long to wait for a server beyond the time that it was given."""

NO_ANSWER = {"NoAnswer", "OutcomeUnknown"}
BAD_ARGUMENTS = {"BadName", "NameOfLog", "TooLarge"}
REASONS = {it.name.lower(): it.value for it in Reason}


def utf8(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """``value`` as UTF-8, which a locale without it (C) hands on as bytes; else it is refused."""
    text = as_utf8(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        what = "it is not UTF-8. Give bytes in hexadecimal, or through a pipe."
        raise click.BadParameter(what, context, parameter) from None
    return text


NAME = click.argument("name", callback=utf8)
RAW = click.option("--raw", is_flag=True, help="Print the bytes of the value as they are.")
HEX = click.option("--hex", "as_hex", is_flag=True, help="Print the value in hexadecimal.")


@frozen
class Target:
    """The server that is asked: ``me`` of a cluster, the one on ``data``, or any that answers."""

    cluster: Path
    data: Path | None
    me: int | None


@frozen
class Form:
    """How a value is printed: one way at most."""

    raw: bool
    as_json: bool
    as_hex: bool = False

    def __attrs_post_init__(self) -> None:
        ways = {"--raw": self.raw, "--hex": self.as_hex, "--json": self.as_json}
        if len(given := [way for way, is_given in ways.items() if is_given]) > 1:
            raise BadArguments(f"a value is printed in one way: leave out {' or '.join(given)}.")


def asks(command: C) -> C:
    """The options of every command that asks."""
    for option in (
        click.option("--id", "me", type=int, help="Ask this server.  [default: any that answers]"),
        DATA,
        CLUSTER,
    ):
        command = option(command)
    return command


def _number(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    if value is not None and isnan(value):
        raise click.BadParameter("it is not a number.", context, parameter)
    return value


def timeout(default: float | None) -> Callable[[C], C]:
    """The option that says how long to wait."""
    return click.option(
        "--timeout-s",
        type=click.FloatRange(0, MAX_TIMEOUT_S, min_open=True),
        default=default,
        show_default=default is not None,
        callback=_number,
        help="How many seconds to wait for the answer.",
    )


@click.command(short_help="Get a value chosen.")
@NAME
@click.argument("value", callback=utf8)
@click.option("--hex", "is_hex", is_flag=True, help="VALUE is bytes in hexadecimal.")
@RAW
@JSON
@timeout(5)
@asks
@gathered(Target)
@gathered(Form)
def propose(
    form: Form, target: Target, name: str, value: str, is_hex: bool, timeout_s: float
) -> int:
    """Get VALUE chosen for NAME, unless another value is, and print what is chosen.

    VALUE is text; - reads it, any bytes, from the standard input.
    """
    wanted = value_of(value, is_hex)
    server = find(target)
    with on_interrupt(partial(_leave_open, name)):
        answer = _answer(server, ProposeRequest(name, wanted, timeout_s), timeout_s)
    if not isinstance(answer, ChosenReply):
        raise _unexpected(answer)
    is_own = answer.value == wanted
    if form.as_json:
        _print_json(name, answer.value, own=is_own)
        return 0
    print_value(answer.value, form)
    if not is_own:
        say(f"paxos: {printable(name)}: another value was chosen already.", err=True)
    return 0


@click.command(short_help="Print what is chosen.")
@NAME
@timeout(5)
@RAW
@HEX
@JSON
@asks
@gathered(Target)
@gathered(Form)
def read(form: Form, target: Target, name: str, timeout_s: float) -> int:
    """Print the value that is chosen for NAME, if one is."""
    _show(name, _answer(find(target), ReadRequest(name, timeout_s), timeout_s), form)
    return 0


@click.command(short_help="Wait until a value is chosen, and print it.")
@NAME
@timeout(None)
@RAW
@HEX
@JSON
@asks
@gathered(Target)
@gathered(Form)
def watch(form: Form, target: Target, name: str, timeout_s: float | None) -> int:
    """Print the value that is chosen for NAME, as soon as one is."""
    _show(name, _answer(find(target), WatchRequest(name, timeout_s), timeout_s), form)
    return 0


@click.command(short_help="Show who is up, and what is wrong.")
@JSON
@PLAIN
@asks
@gathered(Target)
def status(target: Target, as_json: bool, plain: bool) -> int:
    """Show the cluster as one of its servers sees it."""
    told = status_of(find(target))
    if as_json:
        say(json_text(_fields(told)))
    else:
        _draw(told, plain)
    return 0


def _leave_open(name: str) -> None:
    """An interrupt does not take the proposal back. Raises Interrupted."""
    again = join(["paxos", "read", name])
    raise Interrupted(
        f"stopped, and the outcome is unknown: the value may be chosen anyway. {again} shows "
        "what is; to propose it again does no harm."
    )


# --- whom to ask --------------------------------------------------------------------------------


def candidates(target: Target) -> Sequence[Path]:
    """The data files of the servers that may be asked."""
    if target.data is not None:
        return [target.data]
    cluster = described(target.cluster)
    if target.me is not None:
        return [data_of(cluster, ServerId(target.me))]
    if not cluster.data:
        raise BadArguments(f"{target.cluster} names no data file: give --data FILE.")
    return [*cluster.data.values()]


def find(target: Target) -> Path:
    """The data file of a server that answers."""
    me = target.me
    troubles: list[str] = []
    for candidate in candidates(target):
        try:
            answer = ask(candidate, StatusRequest(), patience_s=PROBE_S)
        except NotRunning:
            troubles.append(f"no server runs on {candidate}")
        except NoReply:
            troubles.append(f"the server on {candidate} hangs")
        except PaxosError as error:
            troubles.append(str(error).rstrip("."))
        else:
            if me is not None and isinstance(answer, StatusReply) and answer.status.me != me:
                there = f"server {answer.status.me}, and not server {me}"
                raise BadArguments(f"on {candidate} runs {there}. Give one that fits the other.")
            return candidate
    raise click.ClickException(
        f"no server of this machine answers: {'; '.join(troubles)}. Start one with paxos node, or "
        "all of them with paxos cluster."
    )


def _answer(server: Path, question: Question, timeout_s: float | None) -> Answer:
    """The answer; raises what says why there is none."""
    try:
        answer = ask(
            server, question, patience_s=None if timeout_s is None else timeout_s + GRACE_S
        )
    except TooLong as error:
        raise BadArguments(str(error)) from error
    except NoReply as error:
        unknown = "The value may be chosen anyway; to propose it again does no harm."
        more = f" {unknown}" if isinstance(question, ProposeRequest) else ""
        raise click.ClickException(f"{error}{more}") from error
    except PaxosError as error:
        raise Failure(error) from error
    if isinstance(answer, ErrorReply):
        if answer.kind in NO_ANSWER and not isinstance(question, StatusRequest):
            raise InLines([answer.text, *lacks(server)])
        raise BadArguments(answer.text) if answer.kind in BAD_ARGUMENTS else _unexpected(answer)
    return answer


def lacks(server: Path) -> Iterator[str]:
    """What the cluster lacks; nothing if the server has ended."""
    with suppress(click.ClickException):
        yield from health.lacks(status_of(server).status)


def status_of(server: Path) -> StatusReply:
    """How the server on that data file is."""
    answer = _answer(server, StatusRequest(), PROBE_S)
    if not isinstance(answer, StatusReply):
        raise _unexpected(answer)
    return answer


def _unexpected(answer: Answer) -> click.ClickException:
    return click.ClickException(
        answer.text
        if isinstance(answer, ErrorReply)
        else f"the server gave another answer: {answer}"
    )


# --- what to print ------------------------------------------------------------------------------


def value_of(value: str, is_hex: bool) -> bytes:
    """The bytes that a word of the command line stands for. Raises BadArguments."""
    if value == "-":
        return _read_in()
    if not is_hex:
        return value.encode()
    try:
        return bytes.fromhex(value)
    except ValueError:
        what = "is not hexadecimal: each byte is two of the digits 0-9 and a-f"
        raise BadArguments(f"'{printable(value[:40])}' {what}.") from None


def _read_in() -> bytes:
    """A value from the standard input, of which no more is read than a value may have."""
    try:
        if sys.stdin is None:
            raise BadArguments("the standard input is closed, and - reads the value from there.")
        value = sys.stdin.buffer.read(MAX_VALUE_BYTES + 1)
    except OSError as error:
        raise BadArguments(f"the standard input cannot be read: {error.strerror}.") from error
    if len(value) > MAX_VALUE_BYTES:
        raise BadArguments(
            f"the value on the standard input has more than {MAX_VALUE_BYTES:,} bytes. Keep it "
            "elsewhere, and agree on a name for it."
        )
    return value


def _show(name: str, answer: Answer, form: Form) -> None:
    if isinstance(answer, ChosenReply):
        found: bytes | None = answer.value
    elif isinstance(answer, NotChosenReply):
        found = None
    else:
        raise _unexpected(answer)
    if form.as_json:
        _print_json(name, found)
    elif found is None:
        say(f"paxos: {printable(name)}: nothing is chosen yet.", err=True)
    else:
        print_value(found, form)


def _print_json(name: str, found: bytes | None, **more: bool) -> None:
    told = {
        "name": name,
        "is_chosen": found is not None,
        "value": None if found is None else text_of(found),
        "value_hex": None if found is None else found.hex(),
    }
    say(json_text(told | more))


def print_value(value: bytes, form: Form) -> None:
    """Print it to the standard output, in the form that was asked for."""
    text = readable(value)
    if form.raw:
        click.echo(value, nl=False)
    elif form.as_hex:
        say(value.hex())
    elif text is not None:
        say(text)
    else:
        say(value.hex())
        what = "that are no text" if text_of(value) is None else "of text that is not printable"
        more = "in hexadecimal; --raw gives them as they are"
        say(f"paxos: {len(value):,} bytes {what}, {more}.", err=True)


def text_of(value: bytes) -> str | None:
    """``value`` as text, whatever a terminal makes of it, if it is UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _fields(told: StatusReply) -> dict[str, object]:
    status = told.status
    return {
        "cluster": told.cluster,
        "address": told.address,
        **msgspec.to_builtins(status, str_keys=True),
        "up": sorted([status.me, *(it for it, peer in status.peers.items() if peer.is_up)]),
        "needed": health.needed(status),
        "warnings": [*health.warnings(status)],
    }


def _draw(told: StatusReply, plain: bool) -> None:
    status, drawn = told.status, canvas(plain)
    size = len(status.peers) + 1
    drawn.write(
        f"Cluster {printable(told.cluster)}, seen by server {status.me}: {health.up(status)} of "
        f"{size} servers are up."
    )
    drawn.write(f"{health.tolerance(status)}.")
    rows = [(str(status.me), format_address(told.address), "it is asked", "", "up")] + [
        (
            str(it),
            format_address(peer.address),
            health.heard(peer),
            health.trip(peer),
            health.state(peer),
        )
        for it, peer in status.peers.items()
    ]
    drawn.table(("server", "address", "heard", "round trip", "state"), sorted(rows))
    drawn.write(
        f"Saved {status.saves:,} times; names in memory {status.in_memory:,}, asked for "
        f"{status.asked:,}, unresolved {status.unresolved:,}. Highest promise {status.promised}."
    )
    drawn.write(f"Descent: {health.descent(status)}.")
    for reason, times in status.refused.items():
        told_of = REASONS.get(reason, "see its version")
        drawn.write(f"Refused {times:,}, {printable(reason)}: {told_of}.")
    for cause, times in status.lost.items():
        drawn.write(f"Lost {times:,}: {printable(cause)}.")
    for warning in health.warnings(status):
        drawn.write(f"! {printable(warning)}", "yellow")
