"""``cluster.toml``: which servers there are, where they listen, and where their memory is.

    name = "demo"
    keyring = "keyring"         # left out: without a key, on loopback addresses only
    protection = "signed"       # or "encrypted", which needs the extra aead
    membership = "3f9c..."      # drawn by paxos members for a change of members; at first none

    [[servers]]
    id = 1
    address = "127.0.0.1:47101" # or "[::1]:47101", or "a.example.org:47101"
    data = "n1.db"              # for servers on this machine

- Every server has the same name, ids, addresses and keyring. What differs is an error here if it
  can be seen here; ``paxos status`` shows the rest.
- Paths are seen from the folder of the file.
- A key that nobody knows is an error: it may be a misspelled one.
"""

from __future__ import annotations

import os
import socket
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from attrs import frozen
from msgspec import Struct

from paxos import PaxosError, QuorumSystem, ServerId, majority
from paxos_adapters.file.entries import MEMBERSHIP
from paxos_adapters.udp import Address
from paxos_adapters.wire import BadKey, Encrypted, Keyring, MissingExtra, Protection, Signed
from paxos_adapters.wire.bounds import MAX_NAME_BYTES, MAX_SERVER

MAX_SERVERS = 15
MAX_PORT = 65_535
PROTECTIONS = "signed", "encrypted"
MAX_SHOWN = 80
HEADING = "# Which servers there are. The same on every machine; see docs/operating.md."


class BadDeployment(PaxosError, ValueError):
    """A description of a cluster that cannot be used; nothing was started."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


class _Server(Struct, forbid_unknown_fields=True):
    id: int
    address: str
    data: str | None = None


class _File(Struct, forbid_unknown_fields=True):
    name: str
    servers: list[_Server]
    keyring: str | None = None
    protection: str | None = None
    membership: str = ""


@frozen
class Deployment:
    """A cluster as ``path`` describes it. ``data`` names the memories that are on this machine."""

    path: Path
    name: str
    addresses: Mapping[ServerId, Address]
    data: Mapping[ServerId, Path]
    keyring: Path | None = None
    encrypted: bool = False
    membership: str = ""

    @property
    def quorum(self) -> QuorumSystem:
        """More than half of the members in both phases."""
        return majority(self.addresses)

    def protection(self) -> Protection | None:
        """How datagrams are protected, with the keys of today. Raises BadDeployment."""
        if self.keyring is None:
            return None
        try:
            keyring = Keyring.parse(self.keyring.read_text())
            return Encrypted(keyring) if self.encrypted else Signed(keyring)
        except (BadKey, MissingExtra) as error:
            raise BadDeployment(self.keyring, str(error)) from None
        except ValueError:
            raise BadDeployment(self.keyring, "it is no text. Name the file of keys.") from None
        except OSError as error:
            what = f"keyring: {self.keyring} cannot be read ({error.strerror})"
            raise BadDeployment(
                self.path, f"{what}. Copy the file of keys there; paxos keygen makes a first one."
            ) from error


def read(path: Path) -> Deployment:
    """The cluster that ``path`` describes. Raises BadDeployment, which names what is wrong."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text()), _File)
    except FileNotFoundError:
        what = "there is no such file. paxos cluster writes one, for servers on this machine."
        if path.is_symlink():
            what = "it is a link that leads nowhere. Bring back the file that it names."
        raise BadDeployment(path, what) from None
    except OSError as error:
        raise BadDeployment(path, f"it cannot be read ({error.strerror}).") from error
    except msgspec.ValidationError as error:
        raise BadDeployment(path, _said(str(error))) from None
    except ValueError as error:
        raise BadDeployment(path, f"it is no TOML: {error}.") from None
    except RecursionError:
        raise BadDeployment(path, "it is nested too deeply to be read.") from None
    try:
        return _checked(path, file)
    except ValueError as error:
        raise BadDeployment(path, str(error)) from None


def _said(error: str) -> str:
    """What msgspec says, with the place first."""
    what, _, place = error.partition(" - at `$")
    place = place.strip("`.")
    return f"{place}: {what}." if place else f"{what}."


def _checked(path: Path, file: _File) -> Deployment:
    if not 1 <= len(file.name.encode()) <= MAX_NAME_BYTES:
        raise ValueError(f"name: it takes 1 to {MAX_NAME_BYTES} bytes, and is the same everywhere.")
    if not 1 <= len(file.servers) <= MAX_SERVERS:
        raise ValueError(f"servers: there are {len(file.servers)}, and 1 to {MAX_SERVERS} can be.")
    if file.protection not in (None, *PROTECTIONS):
        known = " or ".join(map(repr, PROTECTIONS))
        raise ValueError(f"protection: {file.protection[:40]!r} is none. Write {known}.")
    if file.protection is not None and file.keyring is None:
        raise ValueError(f"protection: {file.protection!r} takes a keyring; name its file.")
    if not MEMBERSHIP.fullmatch(file.membership):
        what = "it is drawn by paxos members, in hexadecimal digits; do not write one"
        raise ValueError(f"membership: {file.membership[:40]!r} is not an id: {what}.")
    for number, it in enumerate(file.servers):
        if not 1 <= it.id <= MAX_SERVER:
            raise ValueError(f"servers[{number}].id: {it.id} is no id, take 1 to {MAX_SERVER:,}.")
    addresses = [parse(f"servers[{at}].address", it.address) for at, it in enumerate(file.servers)]
    data = {ServerId(it.id): path.parent / it.data for it in file.servers if it.data is not None}
    _differ("id", [it.id for it in file.servers])
    _differ("address", [written(it) for it in addresses])
    _differ("data", [*data.values()])
    return Deployment(
        path,
        file.name,
        {ServerId(it.id): at for it, at in zip(file.servers, addresses, strict=True)},
        data,
        None if file.keyring is None else path.parent / file.keyring,
        file.protection == "encrypted",
        file.membership,
    )


def _differ(what: str, values: Sequence[object]) -> None:
    for value, times in Counter(values).items():
        if times > 1:
            raise ValueError(
                f"servers: {times} of them have the {what} {value}. Give each its own."
            )


def parse(place: str, text: str) -> Address:
    """The address that ``text`` stands for. Raises ValueError, which names the ``place``."""
    host, colon, port = text.rpartition(":")
    shown = repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}...")
    is_number = port.isascii() and port.isdigit()
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{place}: {shown}: write an IPv6 address in brackets, [::1]:47101.")
    if not colon or not host or not is_number:
        raise ValueError(f"{place}: {shown} is no address. Write host:port.")
    if len(port) > len(str(MAX_PORT)) or not 1 <= int(port) <= MAX_PORT:
        raise ValueError(f"{place}: {shown}: a port is from 1 to {MAX_PORT:,}.")
    return host, int(port)


def written(address: Address) -> str:
    """``address`` as the file has it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def local(name: str, servers: int, keyring: str) -> str:
    """The text that describes a new cluster on this machine, at ports that are free now."""
    parts = [f'{HEADING}\nname = "{name}"\nkeyring = "{keyring}"\n']
    with ExitStack() as stack:
        for number in range(1, servers + 1):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(("127.0.0.1", 0))
            at = written(sock.getsockname())
            parts.append(f'[[servers]]\nid = {number}\naddress = "{at}"\ndata = "n{number}.db"\n')
    return "\n".join(parts)


def write_new(path: Path, text: str) -> None:
    """Make the file ``path``, for its owner only, whole or not at all. Raises FileExistsError."""
    unfinished = path.with_name(f"{path.name}-{os.getpid()}")
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(file, "w") as writer:
            writer.write(text)
            writer.flush()
            os.fsync(file)
        os.link(unfinished, path)  # Unlike a rename, it replaces nothing.
    finally:
        unfinished.unlink()
