"""How every value of the core is made: an attrs class that nobody can change.

Type checkers always see ``attrs.frozen``. At run time a frozen class pays for the guard in every
constructor, more than twice the price of a plain one, so the guard follows Python's own switch
for checks: it is there by default, in tests and in development, and ``python -O`` leaves it out
together with the assertions. Values have no slot for weak references, which makes them cheaper too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import frozen as frozen
else:
    guarded = attrs.frozen if __debug__ else partial(attrs.define, unsafe_hash=True)
    frozen = partial(guarded, weakref_slot=False)
