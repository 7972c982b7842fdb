"""How every value of the core is made: an attrs class that nobody can change.

Type checkers always see ``attrs.frozen``. At run time a frozen class pays for the guard in every
constructor, more than twice the price of a plain one, so the guard follows Python's own switch
for checks: it is there by default, in tests and in development, and ``python -O`` leaves it out
together with the assertions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING or __debug__:
    from attrs import frozen as frozen
else:
    from functools import partial

    from attrs import define

    frozen = partial(define, unsafe_hash=True)
