"""The epoch of decisions: whose votes choose them, and how one epoch follows another.

- Epoch 0 is that of the founders. Each change of members that decisions follow begins another.
- *Close*: nothing about a decision is saved any more in an epoch that is closed, nor in one before.
  That is durable before this server says what it has accepted. So no vote follows what it says.
- *Adopt*: an epoch begins with the proposals that were settled, and with no other. What this server
  accepted and is not settled was not chosen, and cannot be. Promises stay, and rounds.
- An epoch that was closed is never adopted: what was settled for it may be out of date.
- The row of the epoch is written behind all else. A server that was killed before that has the
  epoch before, which is closed, and adopts anew.
- A server that joined is in the epoch of the founders, closed: it has no vote there.

Source: Lamport, Malkhi, Zhou, "Reconfiguring a State Machine" (2010): stop the old one, and begin
the new one with its final state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from attrs import evolve

from paxos import Acceptor, Proposal
from paxos_adapters.file.entries import row_of
from paxos_adapters.file.errors import EpochNotClosed, EpochOver
from paxos_adapters.file.identity import Identity
from paxos_adapters.file.rows import Epoch, Row, acceptor_of

Settled: TypeAlias = Mapping[str, Proposal[bytes]]
"""What may be chosen, by the name of its decision."""

Accepted: TypeAlias = tuple[str, Proposal[bytes] | None]
"""The name of a decision, and what is accepted for it."""

AT_ONCE = 100
"""How many decisions one commit writes while an epoch is adopted."""


def founding(identity: Identity) -> Epoch:
    """The epoch of a file that has no other; closed if its server is none of the founders."""
    quorum = identity.quorum
    return Epoch(0, quorum, None if identity.server in quorum.members else 0)


def closed(epoch: Epoch, number: int) -> Epoch:
    """``epoch`` once that of ``number`` is closed, and all before it."""
    if number < epoch.number or (epoch.closed is not None and number <= epoch.closed):
        return epoch
    return evolve(epoch, closed=number)


def is_next(path: Path, epoch: Epoch, number: int) -> bool:
    """Whether that of ``number`` is to be adopted; not if it was before.

    Raises EpochNotClosed, EpochOver.
    """
    if number == epoch.number and not epoch.is_closed:
        return False
    if epoch.closed is None or number <= epoch.number:
        raise EpochNotClosed(path, epoch.number, number)
    if number <= epoch.closed:
        raise EpochOver(path, epoch.closed)
    return True


def adopted(rows: Iterable[Row], settled: Settled, saves: int) -> list[Row]:
    """The rows of acceptors that begin the next epoch otherwise than they are."""
    found = ((it.name, acceptor_of(it)) for it in rows)
    changes = [(name, state, _adopted(state, settled.get(name))) for name, state in found]
    return [row_of(name, after, saves) for name, before, after in changes if after != before]


def _adopted(state: Acceptor[bytes], settled: Proposal[bytes] | None) -> Acceptor[bytes]:
    if settled is None:
        return Acceptor(state.promised)
    return Acceptor(max(state.promised, settled.ballot), settled)


def first_rows(settled: Iterable[tuple[str, Proposal[bytes]]], saves: int) -> list[Row]:
    """The rows of decisions that this server knows nothing of."""
    return [row_of(name, Acceptor(it.ballot, it), saves) for name, it in settled]


def chunks(settled: Settled, known: Iterable[str]) -> Iterator[list[tuple[str, Proposal[bytes]]]]:
    """What is settled but for the ``known`` names, in parts that fit into a commit."""
    missing = iter([(name, settled[name]) for name in sorted(settled.keys() - set(known))])
    while chunk := [*islice(missing, AT_ONCE)]:
        yield chunk
