"""``cluster.toml``: which servers there are, where they listen, and where their memory is.

    name = "demo"
    keyring = "keyring"         # left out: without a key, on loopback addresses only
    protection = "authenticated" # or "encrypted", which needs the extra aead
    membership = "3f9c..."      # drawn by paxos members for a change of members; at first none

    [[servers]]
    id = 1
    address = "127.0.0.1:47101" # or "[::1]:47101", or "a.example.org:47101"
    data = "n1.db"              # for servers on this machine
    joined = true               # for a server that was added later: left out for a founder

- Every server has the same name, founders and keyring. What differs is an error here if it can be
  seen here; ``paxos status`` shows the rest.
- Once the members change, the cluster itself knows them and their addresses. From then on the file
  tells a server only where to ask. Founders stay in it, also those that were removed.
- Paths are seen from the folder of the file.
- An unknown key is an error: it may be a misspelled one.
"""

from __future__ import annotations

import codecs
import json
import os
import socket
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
from attrs import frozen
from msgspec import Struct

from paxos import OperationalError, QuorumSystem, ServerId, majority
from paxos_adapters.file.entries import MEMBERSHIP
from paxos_adapters.limits import MAX_DEPLOYED, MAX_NAME_BYTES, MAX_SERVER
from paxos_adapters.outputs import files_of
from paxos_adapters.printable import brief
from paxos_adapters.udp.addresses import check_cluster, format_address, parse
from paxos_adapters.udp.endpoint import Address
from paxos_adapters.wire import Authenticated, BadKey, Encrypted, Keyring, MissingExtra, Protection

MAX_FILE_BYTES = 1 << 20
BOMS = codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
PROTECTIONS = "authenticated", "encrypted"
HEADING = "# Which servers there are. The same on every machine; see docs/operating.md."


class BadDeployment(OperationalError, ValueError):
    """A description of a cluster that cannot be used; nothing was started."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


class _Unreadable(ValueError):
    """A file that is not read as text, and why."""


class _Server(Struct, forbid_unknown_fields=True):
    id: int
    address: str
    data: str | None = None
    joined: bool = False


class _File(Struct, forbid_unknown_fields=True):
    name: str
    servers: list[_Server]
    keyring: str | None = None
    protection: str | None = None
    membership: str = ""


@frozen
class Deployment:
    """A cluster as ``path`` describes it. ``data`` names the memories that are on this machine.

    ``joined`` are the servers that were added to the founders.
    """

    path: Path
    name: str
    addresses: Mapping[ServerId, Address]
    data: Mapping[ServerId, Path]
    keyring: Path | None = None
    encrypted: bool = False
    membership: str = ""
    joined: frozenset[ServerId] = frozenset()

    @property
    def quorum(self) -> QuorumSystem:
        """More than half of the founders in both phases."""
        return majority(self.founders)

    @property
    def founders(self) -> Mapping[ServerId, Address]:
        """The servers that the cluster began with."""
        return {it: at for it, at in self.addresses.items() if it not in self.joined}

    @property
    def files(self) -> Iterator[Path]:
        """Every file that belongs to it or to a server of it on this machine, there or not."""
        yield self.path
        if self.keyring is not None:
            yield self.keyring
        for data in self.data.values():
            yield from files_of(data)

    def protection(self) -> Protection | None:
        """How datagrams are protected, with the keys of today. Raises BadDeployment."""
        if self.keyring is None:
            return None
        try:
            keyring = Keyring.parse(_text(self.keyring))
            return Encrypted(keyring) if self.encrypted else Authenticated(keyring)
        except (BadKey, MissingExtra, _Unreadable) as error:
            raise BadDeployment(self.keyring, str(error)) from None
        except ValueError:
            raise BadDeployment(self.keyring, "it is not text. Name the file of keys.") from None
        except OSError as error:
            what = f"keyring: {self.keyring} cannot be read ({error.strerror})"
            raise BadDeployment(
                self.path, f"{what}. Copy the file of keys there; paxos keygen makes a first one."
            ) from error


def read(path: Path) -> Deployment:
    """The cluster that ``path`` describes. Raises BadDeployment, which names what is wrong."""
    try:
        file = msgspec.convert(tomllib.loads(_text(path)), _File)
    except FileNotFoundError:
        what = "there is no such file. paxos cluster writes one, for servers on this machine."
        if path.is_symlink():
            what = "it is a link that leads nowhere. Bring back the file that it names."
        raise BadDeployment(path, what) from None
    except OSError as error:
        raise BadDeployment(path, f"it cannot be read ({error.strerror}).") from error
    except msgspec.ValidationError as error:
        raise BadDeployment(path, _said(str(error))) from None
    except _Unreadable as error:
        raise BadDeployment(path, str(error)) from None
    except ValueError as error:
        raise BadDeployment(path, f"invalid TOML: {error}.") from None
    except RecursionError:
        raise BadDeployment(path, "it is nested too deeply to be read.") from None
    try:
        return _checked(path, file)
    except ValueError as error:
        raise BadDeployment(path, str(error)) from None


def _text(path: Path) -> str:
    """What is in a file of text. Raises OSError, _Unreadable and UnicodeDecodeError."""
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise _Unreadable(f"it is larger than {MAX_FILE_BYTES:,} bytes.")
    if content.startswith(BOMS):
        raise _Unreadable("it begins with a byte order mark. Save it as UTF-8 without one.")
    return content.decode()


def _said(error: str) -> str:
    """What msgspec says, with the place first."""
    what, _, place = error.partition(" - at `$")
    place = place.strip("`.")
    return f"{place}: {what}." if place else f"{what}."


def _checked(path: Path, file: _File) -> Deployment:
    if not 1 <= len(file.name.encode()) <= MAX_NAME_BYTES:
        raise ValueError(f"name: it takes 1 to {MAX_NAME_BYTES} bytes, and is the same everywhere.")
    if not file.name.isprintable():
        raise ValueError(f"name: {brief(file.name)} has characters that cannot be seen.")
    if not 1 <= len(file.servers) <= MAX_DEPLOYED:
        raise ValueError(f"servers: there are {len(file.servers)}, and 1 to {MAX_DEPLOYED} can be.")
    if all(it.joined for it in file.servers):
        what = "each of them has joined. Leave the founders in, also those that were removed"
        raise ValueError(f"servers: {what}.")
    if file.protection not in (None, *PROTECTIONS):
        known = " or ".join(map(repr, PROTECTIONS))
        raise ValueError(f"protection: {brief(file.protection)} is unknown. Write {known}.")
    if file.protection is not None and file.keyring is None:
        raise ValueError(f"protection: {file.protection!r} takes a keyring; name its file.")
    if not MEMBERSHIP.fullmatch(file.membership):
        what = "it is drawn by paxos members, in hexadecimal digits; do not write one"
        raise ValueError(f"membership: {brief(file.membership)} is not an id: {what}.")
    for number, it in enumerate(file.servers):
        if not 1 <= it.id <= MAX_SERVER:
            raise ValueError(f"servers[{number}].id: {it.id}, and an id is 1 to {MAX_SERVER:,}.")
    addresses = [parse(f"servers[{at}].address", it.address) for at, it in enumerate(file.servers)]
    for me, times in Counter(it.id for it in file.servers).items():
        if times > 1:
            raise ValueError(f"servers: {times} of them have the id {me}. Give each its own.")
    found = Deployment(
        path,
        file.name,
        {ServerId(it.id): at for it, at in zip(file.servers, addresses, strict=True)},
        {
            ServerId(it.id): _file_at(path, f"servers[{at}].data", it.data)
            for at, it in enumerate(file.servers)
            if it.data is not None
        },
        None if file.keyring is None else _file_at(path, "keyring", file.keyring),
        file.protection == "encrypted",
        file.membership,
        frozenset(ServerId(it.id) for it in file.servers if it.joined),
    )
    check_cluster(found.addresses)
    _check_files(found)
    return found


def _file_at(path: Path, place: str, text: str) -> Path:
    """The file that ``text`` names, seen from the folder of ``path``. Raises ValueError."""
    file = path.parent / text
    if "\0" in text or not text or file.name in ("", ".."):
        raise ValueError(f"{place}: {brief(text)} names no file.")
    return file


def _check_files(found: Deployment) -> None:
    """Raise ValueError if a file would be of two: of it, the keyring, or a server."""
    owned = {"this file itself": [found.path]}
    if found.keyring is not None:
        owned["the keyring"] = [found.keyring]
    owned |= {f"server {me}": [*files_of(data)] for me, data in found.data.items()}
    owners: dict[str, str] = {}
    for owner, files in owned.items():
        for file in files:
            other = owners.setdefault(os.path.realpath(file), owner)
            if other != owner:
                what = f"{file} would be of {other} and of {owner}"
                raise ValueError(f"{what}. Give each its own.")


def local(name: str, servers: Iterable[ServerId], keyring: str, membership: str = "") -> str:
    """The text that describes a new cluster on this machine, at ports that are free now."""
    addresses: dict[ServerId, str] = {}
    with ExitStack() as stack:
        for number in servers:
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(("127.0.0.1", 0))
            addresses[number] = format_address(sock.getsockname())
    return text_of(name, addresses, keyring, membership)


def text_of(
    name: str, addresses: Mapping[ServerId, str], keyring: str, membership: str = ""
) -> str:
    """The text that describes a cluster whose data files are ``n1.db`` and so on."""
    drawn = f'membership = "{membership}"\n' if membership else ""
    parts = [f'{HEADING}\nname = {_quoted(name)}\nkeyring = "{keyring}"\n{drawn}']
    for number, at in addresses.items():
        parts.append(
            f'[[servers]]\nid = {number}\naddress = {_quoted(at)}\ndata = "n{number}.db"\n'
        )
    return "\n".join(parts)


def _quoted(text: str) -> str:
    """A string of TOML: what JSON escapes, it escapes too."""
    return json.dumps(text)
