"""A codec made from a type: for the commands, results and states of a state machine.

    COMMANDS = ValueCodec[Command](Command, __name__)

- The values are frozen attrs classes of the modules that are named, or unions of them. Their fields
  are such classes, int, str, bytes, bool, None, tuples, frozensets and PersistentMaps. A number has
  less than 64 bits, and no class has itself in a field.
- The bytes are JSON as ``coding`` writes it, compact and in one order. Other bytes that JSON
  would take for the same are damaged.
- A class keeps its name and its fields once it has been encoded. What is new is a new class.
"""

from __future__ import annotations

import json
from typing import Generic, TypeVar

from paxos_adapters.codecs import RAW
from paxos_adapters.coding import Coder, CodingError, Kinds, dumped
from paxos_adapters.printable import brief

V = TypeVar("V")


class ValueCodec(Generic[V]):
    """A codec for values of the type ``kind``, whose classes are of ``modules``.

    >>> codec = ValueCodec[tuple[str, bytes]](tuple[str, bytes])
    >>> codec.encode(("colour", b"blue"))
    b'["colour","blue"]'
    """

    def __init__(self, kind: object, *modules: str) -> None:
        """Raises CodingError for a type that these rules leave out."""
        kinds = Kinds[object, V, object](object, kind, kind, modules)
        self._coder = Coder(kinds, RAW)
        self._coder.reader(kind)

    def encode(self, value: V) -> bytes:
        """``value`` as JSON. Raises CodingError, UnicodeEncodeError for half a surrogate."""
        return dumped(self._coder.encode(value))

    def decode(self, encoded: bytes) -> V:
        """The value. Raises CodingError, a ValueError, for bytes that stand for nothing."""
        try:
            coded = json.loads(encoded.decode())
            if dumped(coded) != encoded:
                raise ValueError("the JSON is not as it is written here")
            return self._coder.event(coded)
        except (ValueError, RecursionError) as error:
            raise CodingError(f"{brief(encoded)} cannot be decoded ({error}).") from error
