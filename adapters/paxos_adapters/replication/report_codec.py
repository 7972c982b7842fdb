"""The bytes of commands that report decisions: many names in one, so they are in MessagePack.

    [epoch, server, [[name, round, server, value], ...]]      Held

- JSON, which all other commands are in, would take forty times as long, and the event loop waits.
- The first byte tells them apart: that of JSON is ``[``, which begins no array in MessagePack.
"""

from __future__ import annotations

from typing import Annotated, Final, Generic, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from paxos import Ballot, Proposal, ServerId
from paxos_adapters.limits import MAX_EPOCH, MAX_NAME_BYTES, MAX_ROUND
from paxos_adapters.ports import Codec
from paxos_adapters.replication.settling import Held

C = TypeVar("C")

_Row: TypeAlias = tuple[
    Annotated[str, Meta(min_length=1, max_length=MAX_NAME_BYTES)],
    Annotated[int, Meta(ge=0, le=MAX_ROUND)],
    int,
    bytes,
]
_Rows: TypeAlias = tuple[Annotated[int, Meta(ge=0, le=MAX_EPOCH)], int, list[_Row]]

ROW_BYTES: Final = 32
"""What a proposal takes at most beside its name and its value."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Rows)


class ReportCodec(Generic[C]):
    """A codec of commands, of which ``others`` knows all but Held."""

    def __init__(self, others: Codec[C]) -> None:
        self._others = others

    def encode(self, value: C | Held) -> bytes:
        """``value``. Raises what ``others`` raises."""
        if not isinstance(value, Held):
            return self._others.encode(value)
        rows = [(name, it.ballot.round, it.ballot.server, it.value) for name, it in value.accepted]
        return _ENCODER.encode((value.epoch, value.server, rows))

    def decode(self, encoded: bytes) -> C | Held:
        """The command. Raises a ValueError for bytes that stand for nothing."""
        if encoded[:1] == b"[":
            return self._others.decode(encoded)
        epoch, server, rows = _DECODER.decode(encoded)
        accepted = tuple(
            (name, Proposal(Ballot(number, ServerId(by)), value))
            for name, number, by, value in rows
        )
        return Held(epoch, ServerId(server), accepted)
