"""Learning the members before registration: a server whose members were changed meanwhile.

The rules, beside those of ``registration.py``:

1. A peer that answers says how many changes of members it knows.
2. A peer that knows more does not count, and is not asked to register. It is asked for the changes,
   which leaves nothing there.
3. Enough are more than half of the other members that the server knows by then.

One server has a disk and an old copy of it, of the time before the first change. The disk ran, was
registered with enough of the members of its time, and voted. Then the copy is opened. Peers go down
and come back. Those that are up hear of each change, and stop if it removes them. Answers may be
old: a peer may know more by now.

Claims: no peer registers the copy once the disk has voted, since it would refuse the healthy disk
then; so the copy never votes either.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple, TypeAlias


class Broken(Enum):
    """The broken variants; each replaces one clause of the rules."""

    REGISTERED_TO_LEARN = "any peer registers a server that is to learn the members"
    MORE_IS_IGNORED = "a peer that knows more of the members counts"
    REPLACED_UNSEEN = "all peers are replaced while the server is down"


STOPPED = "a healthy server is stopped"

Ids: TypeAlias = tuple[int, ...]


class Scope(NamedTuple):
    """The other members, epoch by epoch; how many changes the disk may miss, and how many crashes.

    A peer is named by its place in the order in which peers come in.
    """

    epochs: tuple[Ids, ...]
    unseen: int = 1
    crashes: int = 1
    broken: Broken | None = None

    @property
    def peers(self) -> int:
        """How many there are in all."""
        return 1 + max(it for ids in self.epochs for it in ids)

    def is_enough(self, epoch: int, peers: frozenset[int]) -> bool:
        """Whether ``peers`` are more than half of the others."""
        members = frozenset(self.epochs[epoch])
        return 2 * len(peers & members) > len(members)


class Peer(NamedTuple):
    """``epoch``: the changes that it knows. ``has_registered`` the session of the disk.

    ``is_gone``: it was removed, and knows it.
    """

    epoch: int = 0
    is_up: bool = True
    is_gone: bool = False
    has_registered: bool = False


NOTHING = -1
"""A peer has not answered the copy."""


class State(NamedTuple):
    """``epoch`` is that of the cluster; ``disk`` the changes that the disk knows.

    ``copy``: the changes that the open copy knows, NOTHING before that; ``told``: what it was told.
    """

    peers: tuple[Peer, ...]
    told: Ids
    epoch: int = 0
    disk: int = 0
    is_running: bool = True
    copy: int = NOTHING
    unseen: int = 0
    crashes: int = 0
    wrong: str = ""


def start(scope: Scope) -> State:
    """The founders are up, and so is the disk."""
    return State((Peer(),) * scope.peers, (NOTHING,) * scope.peers)


def wrong(state: State) -> str:
    """What is wrong."""
    return state.wrong


def steps(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    """All that can happen next."""
    yield from _changes(scope, state)
    for number, peer in enumerate(state.peers):
        if peer.is_gone:
            continue
        if not peer.is_up:
            yield f"{number} comes back", _with(state, number, peer._replace(is_up=True))
        elif state.crashes < scope.crashes:
            down = _with(state, number, peer._replace(is_up=False))
            yield f"{number} goes down", down._replace(crashes=state.crashes + 1)
    yield from _disk(scope, state)
    if state.copy != NOTHING:
        yield from _copy(scope, state)


def _changes(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    """The next change, by more than half of the members; all that are up hear of it."""
    up = [it for it in scope.epochs[state.epoch] if _is_up_to_date(state, it)]
    votes = len(up) + state.is_running
    is_majority = 2 * votes > len(scope.epochs[state.epoch]) + 1
    following = state.epoch + 1
    unseen = state.unseen + (not state.is_running)
    if not is_majority or following == len(scope.epochs) or unseen > scope.unseen:
        return
    peers = tuple(_heard(scope, number, it, following) for number, it in enumerate(state.peers))
    disk = following if state.is_running else state.disk
    yield (
        f"change {following}",
        state._replace(peers=peers, epoch=following, disk=disk, unseen=unseen),
    )


def _heard(scope: Scope, number: int, peer: Peer, epoch: int) -> Peer:
    """``peer`` once the change to ``epoch`` is finished."""
    if not peer.is_up:
        return peer
    if number in scope.epochs[epoch]:
        return peer._replace(epoch=epoch)
    is_removed = number in scope.epochs[epoch - 1]
    return peer._replace(is_up=not is_removed, is_gone=is_removed)


def _is_up_to_date(state: State, number: int) -> bool:
    peer = state.peers[number]
    return peer.is_up and peer.epoch == state.epoch


def _disk(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    """The disk registers and votes; then its process ends, and the copy is opened."""
    if not state.is_running:
        return
    for number in scope.epochs[state.disk]:
        peer = state.peers[number]
        if peer.is_up and not peer.has_registered:
            registered = _with(state, number, peer._replace(has_registered=True))
            yield f"{number} registers the disk", registered
    heard = frozenset(it for it, peer in enumerate(state.peers) if peer.has_registered)
    if scope.is_enough(state.disk, heard):
        ended = state._replace(is_running=False, copy=0)
        yield "the disk votes and ends; its copy is opened", ended


def _copy(scope: Scope, state: State) -> Iterator[tuple[str, State]]:
    for number, peer in enumerate(state.peers):
        has_been_member = any(number in ids for ids in scope.epochs[: state.epoch + 1])
        if not peer.is_up or not has_been_member:
            continue
        if peer.has_registered:
            yield f"{number} knows the disk: the copy stops", state._replace(copy=NOTHING)
            continue
        told = _put(state.told, number, peer.epoch)
        yield f"{number} answers {peer.epoch}", state._replace(told=told)
        if NOTHING < state.copy < state.told[number]:
            yield f"{number} teaches", _taught(scope, state, peer.epoch)
        if _may_register(scope, state, number):
            yield f"{number} registers the copy", state._replace(wrong=STOPPED)


def _taught(scope: Scope, state: State, epoch: int) -> State:
    members = scope.epochs[epoch]
    told = tuple(it if number in members else NOTHING for number, it in enumerate(state.told))
    return state._replace(copy=epoch, told=told)


def _may_register(scope: Scope, state: State, number: int) -> bool:
    if state.told[number] == NOTHING:
        return False
    if scope.broken is Broken.REGISTERED_TO_LEARN and state.told[number] > state.copy:
        return True
    most = len(scope.epochs) if scope.broken is Broken.MORE_IS_IGNORED else state.copy
    count = frozenset(it for it, told in enumerate(state.told) if NOTHING < told <= most)
    return number in count and scope.is_enough(state.copy, count)


def _with(state: State, number: int, peer: Peer) -> State:
    return state._replace(peers=(*state.peers[:number], peer, *state.peers[number + 1 :]))


def _put(told: Ids, number: int, steps: int) -> Ids:
    return (*told[:number], steps, *told[number + 1 :])
