"""Which callers wait for which name, and which names are in progress.

- A value that is chosen answers all callers that asked for its name, whichever proposed it.
- "Nothing is chosen" answers only callers that asked before the read began: since then something
  may have been chosen. A caller that asks during a read gets the next one.
- Each read has an id of its own, which no other has, not even after a restart.
- At most one request of a name is in progress, and at most a window of names. The rest queue, first
  in, first out.
- When the members have changed, all that is in progress begins anew, but for what no caller waits
  for: that has been settled, or never will be chosen.
- Bounded, by number and by the bytes of what is proposed: more than that is refused.
- A caller that gives up is forgotten. What was begun goes on: its name stays in progress until
  its register reports. That report also answers reads of the name. So a read is the way to wait
  for the outcome of a proposal whose caller has left.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from itertools import count
from typing import TypeAlias

from attrs import define

from paxos import Done, NothingChosen, NotYetChosen, Propose, Read, ReadId, server
from paxos.errors import assert_never
from paxos_adapters.host import ServerStopped
from paxos_adapters.limits import MAX_WAITING, MAX_WAITING_BYTES
from paxos_adapters.requests.errors import TooManyRequests

Answer: TypeAlias = "asyncio.Future[server.Report[bytes]]"

WINDOW = 128
"""How many names are in progress at a time: more would not fit into the buffers of sockets."""


@define
class _Asked:
    """The callers that wait for one name: to propose, to read, and to be told what is found."""

    proposals: dict[Answer, bytes]
    readers: dict[Answer, None]
    served: dict[Answer, None]

    def __len__(self) -> int:
        return len(self.proposals) + len(self.readers) + len(self.served)

    def forget(self, answer: Answer) -> None:
        for waiting in self.proposals, self.readers, self.served:
            waiting.pop(answer, None)


class PendingRequests:
    """The requests of a program to a node that are not answered yet."""

    def __init__(self, session: int) -> None:
        """``session`` is that of the open file, which is drawn for each opening."""
        self._reads = (ReadId(session, number) for number in count())
        self._asked: dict[str, _Asked] = {}
        self._waiting: dict[Answer, int] = {}
        self._waiting_bytes = 0
        self._in_progress: dict[str, Answer | None] = {}
        self._later: OrderedDict[str, None] = OrderedDict()

    def __len__(self) -> int:
        """How many names have a caller that waits."""
        return len(self._asked)

    @property
    def unresolved(self) -> int:
        """How many proposals go on though their callers have left."""
        proposals = (it for it in self._in_progress.values() if it is not None)
        return sum(it not in self._waiting for it in proposals)

    def propose(self, name: str, value: bytes) -> Answer:
        """Wait until a value is chosen for ``name``: ``value``, maybe. Raises TooManyRequests."""
        answer, asked = self._ask(name, len(value))
        asked.proposals[answer] = value
        return answer

    def read(self, name: str) -> Answer:
        """Wait until it is known whether a value is chosen for ``name``. Raises TooManyRequests."""
        answer, asked = self._ask(name, 0)
        asked.readers[answer] = None
        return answer

    def _ask(self, name: str, size_bytes: int) -> tuple[Answer, _Asked]:
        count, waiting_bytes = len(self._waiting), self._waiting_bytes
        if count >= MAX_WAITING or waiting_bytes + size_bytes > MAX_WAITING_BYTES:
            raise TooManyRequests(count, waiting_bytes)
        answer: Answer = asyncio.get_running_loop().create_future()
        self._waiting[answer] = size_bytes
        self._waiting_bytes += size_bytes
        return answer, self._asked.setdefault(name, _Asked({}, {}, {}))

    def goes_on(self, name: str, answer: Answer) -> bool:
        """Whether the value of this proposal is being proposed, whatever becomes of its caller."""
        return self._in_progress.get(name) is answer

    def forget(self, name: str, answer: Answer) -> None:
        """No caller waits for ``answer`` any more: it is there, or its caller gave up."""
        self._waiting_bytes -= self._waiting.pop(answer)
        asked = self._asked.get(name)
        if asked is not None:
            asked.forget(answer)
            if not asked:
                del self._asked[name]
                self._later.pop(name, None)

    def begin(self, name: str) -> Propose[bytes] | Read | None:
        """What the register begins with now; None if it is working, or has to wait."""
        asked = self._asked.get(name)
        if not asked or name in self._in_progress:
            return None
        if self._later or len(self._in_progress) >= WINDOW:
            self._later[name] = None
            return None
        return self._start(name, asked)

    def _start(self, name: str, asked: _Asked) -> Propose[bytes] | Read:
        asked.served.update(asked.readers)
        asked.readers.clear()
        for answer, value in asked.proposals.items():
            self._in_progress[name] = answer
            return Propose(value)
        self._in_progress[name] = None
        return Read(next(self._reads))

    def due(self) -> Iterator[tuple[str, Propose[bytes] | Read]]:
        """The names whose turn has come, while the window has room, and what they begin with."""
        while self._later and len(self._in_progress) < WINDOW:
            name, _ = self._later.popitem(last=False)
            if name not in self._in_progress:
                yield name, self._start(name, self._asked[name])

    def begin_anew(self) -> None:
        """Nothing is in progress any more, and each name that has a caller is to begin again."""
        self._in_progress.clear()
        for name, asked in self._asked.items():
            asked.readers.update(asked.served)
            asked.served.clear()
            self._later[name] = None

    def answer(self, name: str, report: server.Report[bytes]) -> None:
        """Hand ``report`` to all callers that it answers: its name is not in progress any more."""
        self._in_progress.pop(name, None)
        asked = self._asked.get(name)
        if asked is None:
            return
        _tell(asked.served, report)
        asked.served = {}
        if type(report) is Done:
            _tell(asked.proposals, report)
            _tell(asked.readers, report)
            del self._asked[name]
            self._later.pop(name, None)
        elif type(report) is not NothingChosen and type(report) is not NotYetChosen:
            assert_never(report)

    def end(self, error: ServerStopped) -> None:
        """There will be no answers: fail every request with ``error``."""
        for asked in self._asked.values():
            for answer in (*asked.proposals, *asked.readers, *asked.served):
                if not answer.done():
                    answer.set_exception(error)
        self._asked.clear()
        self._in_progress.clear()
        self._later.clear()


def _tell(waiting: dict[Answer, bytes] | dict[Answer, None], report: server.Report[bytes]) -> None:
    for answer in waiting:
        if not answer.done():
            answer.set_result(report)
