"""How every value of the core is made: an immutable attrs class.

Values have no slot for weak references, which makes them cheaper.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import frozen as frozen
else:
    frozen = partial(attrs.frozen, weakref_slot=False)
