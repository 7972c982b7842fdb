"""Addresses of servers: how they are written, and which of them can never work.

- All members of a cluster have the same map of addresses. So each must be one that others can send
  to: not the unspecified one, a broadcast or a multicast, and with a port.
- A socket is of one family. Numbers of IPv4 beside numbers of IPv6 never reach each other, but for
  a server that listens at ``::``: its socket takes both.
- A host is a number or a name (RFC 1123, with ``_``, which container networks use). What systems
  take for a number in another notation, such as ``127.1``, is neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

from paxos import ServerId, UsageError
from paxos_adapters.printable import brief

Address: TypeAlias = tuple[str, int]
"""A host, as a name or a number, and a port."""

Number: TypeAlias = IPv4Address | IPv6Address

MAX_PORT = 65_535
MAX_HOST = 253  # characters of a name

LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.IGNORECASE)
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
SCOPE = re.compile(r"[A-Za-z0-9._-]{1,32}")
ANYWHERE = IPv6Address("::")
BROADCAST = IPv4Address("255.255.255.255")


class BadAddress(UsageError, ValueError):
    """An address that a server of a cluster cannot have; nothing was begun."""


def parse(place: str, text: str, *, is_listening: bool = False) -> Address:
    """The address that ``text`` stands for. Raises BadAddress, which names the ``place``."""
    host, colon, port = text.rpartition(":")
    shown = brief(text)
    if "://" in text:
        raise BadAddress(f"{place}: {shown} is a URL. Write host:port, and nothing else.")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadAddress(f"{place}: {shown}: write an IPv6 address in brackets, [::1]:47101.")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise BadAddress(f"{place}: {shown} is not an address. Write host:port.")
    if len(port) > len(str(MAX_PORT)):
        raise BadAddress(f"{place}: {shown}: a port is from 1 to {MAX_PORT:,}.")
    address = host, int(port)
    check(place, address, is_listening=is_listening)
    return address


def format_address(address: Address) -> str:
    """``address`` as a description has it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check(
    place: str, address: object, *, is_listening: bool = False, is_any_port: bool = False
) -> None:
    """Raise BadAddress unless others can send to ``address``.

    ``is_listening``: one to listen at, which may be the unspecified one. ``is_any_port``: the port
    may be 0, for any that is free.
    """
    match address:
        case (str(host), int(port)) if not isinstance(port, bool):
            shown = brief(format_address((host, port)))
        case _:
            what = "is not an address. Give a host and a port, as (str, int)."
            raise BadAddress(f"{place}: {brief(str(address))} {what}")
    if not (0 if is_any_port else 1) <= port <= MAX_PORT:
        raise BadAddress(f"{place}: {shown}: a port is from 1 to {MAX_PORT:,}.")
    number = number_of(host)
    if number is None:
        if (why := _why_not_a_name(host)) is not None:
            raise BadAddress(f"{place}: {shown}: {why}.")
    elif (why := _unreachable(number, is_listening)) is not None:
        raise BadAddress(f"{place}: {shown} is {why}. One server cannot be reached there.")


def check_cluster(
    addresses: Mapping[ServerId, Address], *, listen: object = None, is_any_port: bool = False
) -> None:
    """Raise BadAddress unless servers with these addresses can reach each other.

    ``listen``: where one of them listens, if not at its address. ``is_any_port``: a port may be 0.
    """
    for it, address in addresses.items():
        check(f"server {it}", address, is_any_port=is_any_port)
    listening, takes_both = list[Address](), False
    match listen:
        case None:
            pass
        case (str(host), int(port)):
            check("listen", (host, port), is_listening=True, is_any_port=True)
            listening.append((host, port))
            takes_both = number_of(host) == ANYWHERE
        case _:
            check("listen", listen)
    if not takes_both:
        _check_families([*addresses.values(), *listening])
    found: dict[tuple[object, int], ServerId] = {}
    for it, (host, port) in addresses.items():
        same = found.setdefault((number_of(host) or host.casefold().rstrip("."), port), it)
        if same != it and port:
            at = format_address((host, port))
            what = f"servers {same} and {it} have the address {at}"
            raise BadAddress(f"{what}. Give each its own.")


def check_peers(addresses: Mapping[ServerId, Address], me: ServerId) -> None:
    """Raise BadAddress if another server than ``me`` has the port 0: any that is free."""
    for it, address in addresses.items():
        check(f"server {it}", address, is_any_port=it == me)


def is_loopback(address: Address) -> bool:
    """Whether nothing that is sent there leaves this machine."""
    host, _ = address
    number = number_of(host)
    return host == "localhost" if number is None else number.is_loopback


def number_of(host: str) -> Number | None:
    """The number that ``host`` is, or None for a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _check_families(addresses: Iterable[Address]) -> None:
    numbers = {it: number for it in addresses if (number := number_of(it[0])) is not None}
    for version in 4, 6:
        of_this = [it for it, number in numbers.items() if number.version == version]
        others = [it for it, number in numbers.items() if number.version != version]
        if of_this and others:
            mine, other = format_address(of_this[0]), format_address(others[0])
            what = f"{mine} is IPv{version} and {other} is not"
            todo = "Use one family for all, or listen at [::] everywhere."
            raise BadAddress(f"{what}: they never reach each other. {todo}")


def _unreachable(number: Number, is_listening: bool) -> str | None:
    """Why ``number`` does not reach one server."""
    if isinstance(number, IPv6Address):
        if number.scope_id is not None and SCOPE.fullmatch(number.scope_id) is None:
            return "of a scope that is not an interface name"
        number = number.ipv4_mapped or number
    if number.is_unspecified and not is_listening:
        return "not an address of one server: it stands for all of a machine"
    if number.is_multicast:
        return "a multicast address"
    return "the broadcast address" if number == BROADCAST else None


def _why_not_a_name(host: str) -> str | None:
    """Why ``host`` cannot be a host name."""
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        return "this is not a host name"
    labels = name.removesuffix(".").split(".")
    if not host.isprintable() or len(name) > MAX_HOST or not all(map(LABEL.fullmatch, labels)):
        return "this is not a host name: letters, digits, hyphens and points"
    if NUMERIC.fullmatch(labels[-1]):
        return "this is not a host name, nor a number in full, such as 127.0.0.1"
    return None
