"""State machines that programs share, as values: start with one, or copy one and change it.

    cluster = LogCluster(KEY_VALUE)
    cluster.submit(key_value.Put("colour", b"blue"))
    cluster.read(lambda state: key_value.get(state, "colour"))

- Commands, results and states are immutable. ``apply`` never changes what it is given, raises for
  no command, and is a function of its arguments alone.
- There is no clock: time passes only by a ``Tick``, a command like any other.
- What a program asks for without an entry in the log is a function on the state.
- Each has codecs, so that files and datagrams can carry it.

Arrows: ticks <- key_value, lock; the others stand alone.
"""

from paxos_adapters.state_machines.counter import COUNTER
from paxos_adapters.state_machines.key_value import KEY_VALUE
from paxos_adapters.state_machines.lock import LOCK
from paxos_adapters.state_machines.queue import QUEUE
from paxos_adapters.state_machines.registers import REGISTERS

__all__ = ["COUNTER", "KEY_VALUE", "LOCK", "QUEUE", "REGISTERS"]
