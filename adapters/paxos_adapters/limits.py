"""The limits that several parts of the library keep: each stands here once, with its reason.

A limit that only one module keeps stands in that module. Those of the datagram format are in
``wire/bounds.py``, which takes the shared ones from here.
"""

from __future__ import annotations

# --- what is decided -----------------------------------------------------------------------------

MAX_NAME_BYTES = 255
"""The name of a decision or a cluster, in UTF-8: a length of one byte, as for a file's name."""

MAX_VALUE_BYTES = 1 << 16
"""An encoded value on its way between servers: it fits in what is kept of a message in parts.

More belongs elsewhere, with a name for it as the value."""

MAX_STORED_VALUE_BYTES = 1 << 20
"""A value in a file: larger than on the wire, for a host with a transport of its own."""

MAX_ROUND = (1 << 63) - 1
"""A round of a ballot: SQLite has signed integers of 64 bits."""

MAX_SAVES = (1 << 63) - 1
"""How often a file can be saved: the same."""

MAX_SLOT = (1 << 47) - 1
"""A slot of a log: with the place of a command in its batch it has 63 bits."""

MAX_VERSION = (1 << 31) - 1
"""A version of a state machine: one more with each program that runs commands otherwise."""

# --- servers -------------------------------------------------------------------------------------

MAX_SERVER = (1 << 32) - 1
"""The highest id of a server: a frame has four bytes for it."""

MAX_DEPLOYED = 15
"""Servers in a cluster.toml: every message goes to each of them, and their quorums are listed."""

MAX_SERVERS = 1_000
"""Servers of a cluster in memory, a simulation or an exploration."""

# --- time and queues -----------------------------------------------------------------------------

MAX_S = 2e6
"""The longest time that can be asked for in seconds, 23 days: sockets know no longer one."""

MAX_WAITING, MAX_WAITING_BYTES = 10_000, 64 << 20
"""What may wait for one disk or one node: calls or steps, and the bytes of their values."""
