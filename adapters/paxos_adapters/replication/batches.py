"""The bytes of an entry: a batch of commands of sessions, in MessagePack.

    [item, ...]
    [1, nonce]                                          open a session
    [2, session, done_below, [[number, command], ...]]  commands of one session, with their numbers
    [3, version]                                        a version of the machine that runs now
    [4, slot, layout, program, digest]                  the snapshot of the slots below has it
    [5]                                                 a snapshot is due here

- A batch is made of items that are encoded already: a server puts its own and those of others
  together without a look into them.
- What is chosen runs on every server. Bytes that are not a batch run as one without an item, on
  all of them.
- An item of a kind that this library does not know is of a later one, which runs it: a server that
  passed over it would differ from the others. So a batch with one is not decoded at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, TypeAlias, final

import msgspec
from attrs import frozen
from msgspec import Meta

from paxos_adapters.file.snapshots import DIGEST_BYTES
from paxos_adapters.limits import MAX_SLOT, MAX_VERSION

MAX_BATCH = 500
"""Commands in one entry."""

MAX_BATCH_BYTES = 60_000
"""The bytes of one entry: below what the wire takes as a value."""

MAX_COMMAND_BYTES = MAX_BATCH_BYTES - 100
"""The bytes of one command: with its number and its session it is a batch."""

MAX_ITEMS = (1 << 16) - 1

_HEAD_BYTES = {0xDC: 3, 0xDD: 5}
"""How long the head of a MessagePack array is, by its first byte; 1 for a short one."""


@final
class Opening(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=1):
    """Open a session; its client knows it by the nonce."""

    nonce: int


@final
class Commands(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=2):
    """Encoded commands of one session, with their numbers."""

    session: int
    done_below: int
    commands: list[tuple[int, bytes]]


@final
class VersionChange(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=3):
    """From here on ``version`` of the state machine runs, unless a later one does already."""

    version: Annotated[int, Meta(ge=1, le=MAX_VERSION)]


@final
class Check(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=4):
    """The snapshot of all slots below ``slot`` has this digest, on the server that proposed it.

    ``program`` is the version of the state machine that its program is of, and ``layout`` that of
    the bytes of a snapshot: others may write other bytes for the same state.
    """

    slot: Annotated[int, Meta(ge=1, le=MAX_SLOT)]
    layout: Annotated[int, Meta(ge=1, le=MAX_VERSION)]
    program: Annotated[int, Meta(ge=1, le=MAX_VERSION)]
    digest: Annotated[bytes, Meta(min_length=DIGEST_BYTES, max_length=DIGEST_BYTES)]


@final
class SnapshotDue(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False, tag=5):
    """A snapshot is due after this entry, on every server: so that it can be checked."""


Item: TypeAlias = Opening | Commands | VersionChange | Check | SnapshotDue

LAST_KIND = 5
"""The highest tag of an item."""


class NewerItem(ValueError):
    """An item is of a kind that a later version of this library has."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[Item])
_ITEM = msgspec.msgpack.Decoder(Item)
_RAW = msgspec.msgpack.Decoder(list[msgspec.Raw])
_ANY = msgspec.msgpack.Decoder(list[object])


@frozen
class Items:
    """``count`` encoded items, one behind the other, that hold so many ``commands``."""

    count: int
    body: bytes
    commands: int


def encoded(item: Item) -> Items:
    """One item."""
    commands = len(item.commands) if type(item) is Commands else 1
    return Items(1, _ENCODER.encode(item), commands)


def batch(items: Iterable[Items]) -> bytes:
    """The bytes of an entry with these items, at most MAX_ITEMS."""
    parts = list(items)
    count = sum(it.count for it in parts)
    head = bytes([0x90 | count]) if count < 16 else b"\xdc" + count.to_bytes(2)
    return head + b"".join([it.body for it in parts])


def items_of(encoded_batch: bytes) -> Items | None:
    """The items of a batch; None for bytes that are not a batch that this library knows."""
    try:
        items = decoded(encoded_batch)
    except NewerItem:
        return None
    if not items:
        return None
    head_bytes = _HEAD_BYTES.get(encoded_batch[0], 1)
    commands = sum(len(it.commands) if type(it) is Commands else 1 for it in items)
    return Items(len(items), encoded_batch[head_bytes:], commands)


def decoded(encoded_batch: bytes) -> Sequence[Item]:
    """The items of a batch, none for bytes that are not one. Raises NewerItem."""
    try:
        items = _DECODER.decode(encoded_batch)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        if _is_newer(encoded_batch):
            raise NewerItem from None
        return ()
    return items if len(items) <= MAX_ITEMS else ()


def _is_newer(encoded_batch: bytes) -> bool:
    """Whether all is well but for items of later kinds."""
    try:
        raw = _RAW.decode(encoded_batch)
        kinds = [_ANY.decode(it)[:1] for it in raw]
        later = [type(kind) is int and kind > LAST_KIND for (kind,) in kinds]
        for it, is_later in zip(raw, later, strict=True):
            if not is_later:
                _ITEM.decode(it)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return len(raw) <= MAX_ITEMS
