"""Clusters in memory for tests: their messages are shuffled and lost, and they tell what happened.

- Which message comes next, and which is lost, is drawn from the seed; the same seed does it again.
- All that happens is traced, what broke the cluster included, and ``account`` draws it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Generic, TypedDict, TypeVar, Unpack

from attrs import Factory, evolve, field, frozen

from paxos import QuorumSystem, ServerId, UsageError, server
from paxos_adapters.memory import Cluster, Event
from paxos_adapters.ports import Store
from paxos_adapters.single import SingleObserver
from paxos_adapters.timeouts import Timeouts
from paxos_lab.draw import text
from paxos_lab.observers import Observers
from paxos_lab.record import Recorder, SingleTrace, Timeline, Trace, single_timeline

V = TypeVar("V")

MAX_DRAWN = 200
"""How many rows are drawn, the last ones."""

LANE = 9


class LossError(UsageError, ValueError):
    """A share of lost messages that is not one, or that lets nothing arrive."""

    def __init__(self, loss: float) -> None:
        super().__init__(f"a loss of {loss} cannot be: name a share from 0 to below 1.")


class ClusterOptions(TypedDict, Generic[V], total=False):
    """What is as in a ``Cluster``."""

    quorum: QuorumSystem | None
    stores: Callable[[ServerId], Store[server.Record[V]]] | None
    timeouts: Timeouts


class WatchedCluster(Cluster[V]):
    """A ``memory.Cluster`` whose messages come in any order, and get lost; ``trace`` is all."""

    def __init__(
        self,
        servers: int = 3,
        *,
        seed: int = 0,
        shuffle: bool = True,
        loss: float = 0.0,
        observer: SingleObserver[V] | None = None,
        **options: Unpack[ClusterOptions[V]],
    ) -> None:
        """As ``Cluster``; ``loss`` is the share of messages that never arrive.

        Raises LossError unless 0 <= loss < 1.
        """
        if not 0 <= loss < 1:
            raise LossError(loss)
        self.trace: SingleTrace[V] = Trace()
        observers = self.trace if observer is None else Observers((self.trace, observer))
        super().__init__(servers, seed=seed, observer=observers, **options)
        self.seed = seed
        self._shuffle = shuffle
        self._loss = loss

    def step(self) -> Event[V] | None:
        """As ``Cluster``, after the choice of what comes next and what is lost."""
        queue = self._network.queue
        while queue:
            if self._shuffle:
                place = self._random.randrange(len(queue))
                following = queue[place]
                del queue[place]
                queue.appendleft(following)
            if self._random.random() >= self._loss:
                break
            queue.popleft()
        return super().step()

    def account(self) -> str:
        """The seed, a space-time diagram of what happened last, and who knows what."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{len(self.servers)} servers, seed {self.seed}. Time runs down."
        heading, *rows = text(self._timeline(), width=LANE).splitlines()
        if (left_out := len(rows) - MAX_DRAWN) > 0:
            yield f"The first {left_out:,} rows are left out."
        yield from [heading, *rows[-MAX_DRAWN:]]
        known = (f"S{me} knows {value}" for me, value in self.chosen.items())
        yield ", ".join(known) or "No server knows what is chosen."

    def _timeline(self) -> Timeline:
        """What happened, without what is still to come: it is not lost."""
        told, coming = single_timeline(self.trace), [*self._network.queue]
        arrows = (
            it
            for it in told.arrows
            if it.arrived is not None or (it.sender, it.receiver, it.message) not in coming
        )
        return evolve(told, arrows=tuple(arrows))


class AsText(Generic[V]):
    """Values as text that stands for them, to be recorded and looked at."""

    def encode(self, value: V) -> bytes:
        """Text as it is, and of anything else what ``repr`` says."""
        text = value if isinstance(value, str) else repr(value)
        return text.encode(errors="surrogateescape")

    def decode(self, encoded: bytes) -> V:
        """Raises ValueError: there is no way back."""
        raise ValueError(f"{encoded!r} was recorded as text, and is read as text")


@frozen
class ClusterFactory:
    """Makes clusters for one test, from one seed; what the fixture ``paxos_cluster`` is.

    With a ``folder``, each cluster is recorded in a file there: paxos replay, explain, view.
    """

    seed: int
    folder: Path | None = None
    accounts: list[Callable[[], str]] = field(factory=list[Callable[[], str]], repr=False)
    _closing: list[Callable[[], None]] = field(
        init=False, factory=list[Callable[[], None]], repr=False, eq=False
    )
    _seeds: count[int] = field(
        init=False, repr=False, eq=False, default=Factory(lambda self: count(self.seed), True)
    )

    def __call__(
        self,
        servers: int = 3,
        *,
        seed: int | None = None,
        shuffle: bool = True,
        loss: float = 0.0,
        **options: Unpack[ClusterOptions[V]],
    ) -> WatchedCluster[V]:
        """A new cluster. Each gets a seed of its own, counted from that of the factory."""
        own = next(self._seeds)
        recorder: Recorder[V] | None = None
        recorded = self.folder and self.folder / f"cluster{len(self.accounts) + 1}.jsonl"
        if recorded is not None:
            facts = {"seed": str(own)}
            recorder = Recorder(recorded, codec=AsText[V](), runtime="memory", facts=facts)
            self._closing.append(recorder.close)
        cluster = WatchedCluster(
            servers,
            seed=own if seed is None else seed,
            shuffle=shuffle,
            loss=loss,
            observer=recorder,
            **options,
        )
        self.accounts.append(lambda: _account(cluster.account, recorded))
        return cluster

    def close(self) -> None:
        """Let go of all recordings."""
        for close in self._closing:
            close()


def _account(account: Callable[[], str], recorded: Path | None) -> str:
    """What happened, and where to look at it."""
    where = "" if recorded is None else f"\nRecorded: paxos view {recorded}"
    return account() + where
