"""How a value is given on a command line, and how it is printed.

- ``--hex`` makes every value hexadecimal: those that are given, and those that are printed.
- A value that a terminal cannot show is printed in hexadecimal, and ``--raw`` prints its bytes.
"""

from __future__ import annotations

import sys

import click
from attrs import frozen

from paxos_adapters.limits import MAX_VALUE_BYTES
from paxos_adapters.printable import printable
from paxos_cli.canvas import readable
from paxos_cli.failures import BadArguments
from paxos_cli.output import say
from paxos_cli.paths import as_utf8

MAX_HEX_BYTES = 3 * MAX_VALUE_BYTES
"""Two digits a byte, and room for spaces and line ends between them."""


def utf8(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """``value`` as UTF-8, which a locale without it (C) hands on as bytes; else it is refused."""
    text = as_utf8(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        what = "it is not UTF-8. Give bytes in hexadecimal, or through a pipe."
        raise click.BadParameter(what, context, parameter) from None
    return text


RAW = click.option("--raw", is_flag=True, help="Print the bytes of the value as they are.")
HEX = click.option(
    "--hex",
    "as_hex",
    is_flag=True,
    help="Values are in hexadecimal: those given, and those printed.",
)


@frozen
class Form:
    """How a value is printed. JSON has its text and its hexadecimal, whichever was asked for."""

    raw: bool
    as_json: bool
    as_hex: bool

    def __attrs_post_init__(self) -> None:
        if self.raw and (self.as_hex or self.as_json):
            other = "--hex" if self.as_hex else "--json"
            raise BadArguments(f"a value is printed in one way: leave out --raw or {other}.")


def value_of(value: str, as_hex: bool) -> bytes:
    """The bytes that a word of the command line stands for. Raises BadArguments."""
    if value == "-":
        given = _read_in(MAX_HEX_BYTES if as_hex else MAX_VALUE_BYTES)
        if not as_hex:
            return given
        value = given.decode(errors="replace")
    if not as_hex:
        return value.encode()
    try:
        return bytes.fromhex(value)
    except ValueError:
        what = "is not hexadecimal: each byte is two of the digits 0-9 and a-f"
        raise BadArguments(f"'{printable(value[:40])}' {what}.") from None


def _read_in(most_bytes: int) -> bytes:
    """A value from the standard input, of which no more is read than a value may have."""
    try:
        if sys.stdin is None:
            raise BadArguments("the standard input is closed, and - reads the value from there.")
        value = sys.stdin.buffer.read(most_bytes + 1)
    except OSError as error:
        raise BadArguments(f"the standard input cannot be read: {error.strerror}.") from error
    if len(value) > most_bytes:
        raise BadArguments(
            f"the value on the standard input has more than {MAX_VALUE_BYTES:,} bytes. Keep it "
            "elsewhere, and agree on a name for it."
        )
    return value


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
