"""The kit for codecs: what every codec must do before a node may propose with it.

- A chosen value never changes, so its bytes must say the same in every process, and be decoded by
  every later version.
- A value that does not come back equal is refused by a node before it is proposed. The kit finds it
  in a test.
- What a codec has no example of is not tried; the test is then skipped, and says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Hashable, Sequence
from copy import deepcopy
from importlib import import_module
from typing import ClassVar, Generic, TypeVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paxos_adapters.ports import Codec

V = TypeVar("V")

EXAMPLES = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
ELSEWHERE = """
import sys
from paxos_testing.codecs import encodings
print(*encodings(sys.argv[1], sys.argv[2]), sep="\\n")
"""


class CodecKit(Generic[V]):
    """The tests of a codec for values of type V, which run once you say how yours is made.

        class TestMyCodec(CodecKit[frozenset[str]]):
            values = frozenset(), frozenset({"a", "b", "c"})
            earlier = ((b"a,b", frozenset({"a", "b"})),)
            undecodable = (b"\\xff",)

            def create(self) -> MyCodec:
                return MyCodec()

    The class has to stand in a module of its own name, since a second process imports it.
    """  # noqa: D301 - the backslash is that of the example

    values: Sequence[V]
    """At least two values of the kind that it is for: small, empty, large, strange."""
    earlier: Sequence[tuple[bytes, V]] = ()
    """Bytes of this and of each earlier version, and what they stand for. Never remove any."""
    undecodable: Sequence[bytes] = ()
    """Bytes that stand for nothing."""
    refused: Sequence[object] = ()
    """What it is not to carry: ``encode`` raises, or what comes back is not equal."""
    max_bytes: ClassVar[int] = 65_536
    """The largest encoding: as much as a node takes."""

    def create(self) -> Codec[V]:
        """The codec."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to create a codec")

    def drawn(self) -> st.SearchStrategy[V] | None:
        """What hypothesis draws more values from. None: only ``values`` are tried."""
        return None

    # --- round trips ----------------------------------------------------------------------------

    def test_every_value_comes_back_equal(self) -> None:
        """``decode(encode(value)) == value``, or a node refuses the value."""
        for value in deepcopy(self.values):
            self._comes_back(value)

    def test_values_drawn_at_random_come_back_equal(self) -> None:
        """The same for whatever hypothesis finds."""
        strategy = self.drawn()
        if strategy is None:
            pytest.skip(f"{type(self).__name__} has no ``drawn``: from what are values drawn?")

        @EXAMPLES
        @given(strategy)
        def comes_back(value: V) -> None:
            self._comes_back(value)

        comes_back()

    def test_a_value_is_encoded_as_bytes_within_the_bound(self) -> None:
        """Not as text, nor as a buffer that changes later."""
        for value in deepcopy(self.values):
            encoded: object = self.create().encode(value)
            assert isinstance(encoded, bytes), (
                f"{value!r} is encoded as {type(encoded).__name__}, and a node takes bytes"
            )
            assert len(encoded) <= self.max_bytes, (
                f"{value!r:.80} has {len(encoded):,} bytes, and at most {self.max_bytes:,} are "
                "carried. Keep it elsewhere, and agree on a name for it."
            )

    def test_a_value_stays_as_it_was(self) -> None:
        """The caller goes on using it."""
        for value, before in zip(deepcopy(self.values), self.values, strict=True):
            self.create().encode(value)
            assert value == before, f"to encode {before!r} has made {value!r} of it"

    def test_each_answer_is_a_new_object(self) -> None:
        """Two callers that read a name must not share what they can change."""
        for value in deepcopy(self.values):
            codec = self.create()
            encoded = codec.encode(value)
            first, second = codec.decode(encoded), codec.decode(encoded)
            assert first is not second or isinstance(first, Hashable), (
                f"{value!r} is decoded twice as one object, which can be changed. Keep none."
            )

    # --- the same bytes -------------------------------------------------------------------------

    def test_a_value_has_the_same_bytes_each_time(self) -> None:
        """From equal values, and from any codec of the kind."""
        for value in deepcopy(self.values):
            codec = self.create()
            first = codec.encode(value)
            for other, equal in (codec, value), (self.create(), codec.decode(first)):
                again = other.encode(equal)
                assert again == first, f"{value!r} is encoded as {first!r} and then as {again!r}"

    def test_a_value_has_the_same_bytes_in_another_process(self) -> None:
        """Where strings have other hashes, and sets another order."""
        here = encodings(*self._place())
        for seed in "12":
            done = subprocess.run(
                [sys.executable, "-c", ELSEWHERE, *self._place()],
                env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            assert done.returncode == 0, f"a second process cannot import this test: {done.stderr}"
            there = done.stdout.splitlines()
            for value, ours, theirs in zip(self.values, here, there, strict=True):
                assert ours == theirs, (
                    f"{value!r} is encoded as {bytes.fromhex(ours)!r} here, and as "
                    f"{bytes.fromhex(theirs)!r} in another process. Sort what has no order."
                )

    def test_what_earlier_versions_encoded_is_decoded(self) -> None:
        """A chosen value stays on disks indefinitely."""
        if not self.earlier:
            pytest.skip(f"{type(self).__name__} has no bytes of an ``earlier`` version")
        for encoded, value in self.earlier:
            try:
                found = self.create().decode(encoded)
            except Exception as error:
                pytest.fail(
                    f"{encoded!r} was {value!r}, and now raises {error!r}. A read of a name "
                    "for which it is chosen gets Undecodable: keep decoding old values."
                )
            assert found == value, f"{encoded!r} was {value!r}, and is now {found!r}"

    # --- refusals -------------------------------------------------------------------------------

    def test_bytes_that_stand_for_nothing_raise_value_error(self) -> None:
        """Another program may have proposed them."""
        if not self.undecodable:
            pytest.skip(f"{type(self).__name__} names no bytes that are ``undecodable``")
        for encoded in self.undecodable:
            try:
                found = self.create().decode(encoded)
            except ValueError:
                continue
            except Exception as error:
                pytest.fail(f"{encoded!r} raises {error!r}, which is not a ValueError")
            pytest.fail(f"{encoded!r} stands for nothing, and is decoded as {found!r}")

    def test_what_it_cannot_carry_is_refused(self) -> None:
        """By ``encode``, or since what comes back is not equal."""
        if not self.refused:
            pytest.skip(f"{type(self).__name__} names nothing that is ``refused``")
        for value in deepcopy(self.refused):
            try:
                codec = self.create()
                found: object = codec.decode(codec.encode(cast("V", value)))
            except (TypeError, ValueError):
                continue
            assert found != value, f"{value!r} is declared as refused, and comes back as {found!r}"

    # --- how it is done -------------------------------------------------------------------------

    def _comes_back(self, value: V) -> None:
        codec = self.create()
        found = codec.decode(codec.encode(value))
        assert found == value, f"{value!r} comes back as {found!r}: a node refuses to propose it"

    def _place(self) -> tuple[str, str]:
        return type(self).__module__, type(self).__qualname__


def encodings(module: str, name: str) -> list[str]:
    """What the values of the kit ``name`` in ``module`` are encoded as, in hexadecimal."""
    kit: CodecKit[object] = getattr(import_module(module), name)()
    return [kit.create().encode(value).hex() for value in deepcopy(kit.values)]
