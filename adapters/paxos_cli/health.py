"""What the status of a node means, in words."""

from __future__ import annotations

from collections.abc import Iterator

from paxos import ServerId, majority
from paxos_adapters.node.members import MembersStatus
from paxos_adapters.node.status import Status
from paxos_adapters.node.tolerance import needed
from paxos_adapters.node.tolerance import up as servers_up
from paxos_adapters.udp.addresses import format_address
from paxos_adapters.udp.peer import Peer
from paxos_adapters.wire import Reason
from paxos_adapters.words import counted
from paxos_adapters.words import servers as named

MISPLACED = Reason.WRONG_ADDRESS.name.lower()
OTHER_MEMBERS = Reason.OTHER_MEMBERS.name.lower()
OTHER_KEYS = {
    it.name.lower() for it in (Reason.UNKNOWN_KEY, Reason.BAD_MAC, Reason.OTHER_PROTECTION)
}


def up(status: Status) -> int:
    """How many servers are up, as this one sees it; it is one of them."""
    return 1 + sum(peer.is_up for peer in status.peers.values())


def tolerance(status: Status) -> str:
    """How many more may fail, or how many are too few."""
    if count := status.needed:
        return f"Too many are down: {count} more {'is' if count == 1 else 'are'} needed"
    if status.tolerance == 0:
        return "No more server may fail"
    return f"{counted(status.tolerance, 'more server')} may fail"


def heard(peer: Peer) -> str:
    """When a peer was heard last."""
    return "never" if peer.received_s is None else f"{seconds(peer.received_s)} ago"


def trip(peer: Peer) -> str:
    """How long a word to it and back takes."""
    return "" if peer.round_trip_s is None else f"{1000 * peer.round_trip_s:.1f} ms"


def state(peer: Peer) -> str:
    """How a peer is, in a word or two."""
    if not peer.is_found:
        return "not found"
    if peer.is_up:
        return "up"
    if peer.answers:
        return "waits"
    return "no answer" if peer.is_one_way else "silent"


def descent(status: Status) -> str:
    """Whether it is proven that no older copy of its file has voted; else what is missing."""
    it = status.descent
    if it.is_proven:
        return "proven"
    have = "has" if len(it.missing) == 1 else "have"
    missing = f"{named(it.missing)} {have} not acknowledged"
    return missing if it.votes else f"{missing}; this server does not vote yet"


def lacks(status: Status, members: MembersStatus, *, of_change: bool = False) -> Iterator[str]:
    """What a cluster lacks that has not answered: who is silent, since when, and where.

    ``of_change``: it was a change of members that is not finished.
    """
    size = len(status.peers) + 1
    waiting = [*too_few(status, members)]
    if of_change:
        waiting += [*_absent(members), *untaught(status, members)]
    yield from newcomer(status, members)
    yield from waiting
    if not status.descent.votes:
        yield f"Server {status.me} does not vote yet. Descent: {descent(status)}."
    yield f"Server {status.me} sees {up(status)} of {size} servers up, itself included."
    if status.needed:
        yield f"{tolerance(status)}."
    elif status.descent.votes and not waiting:
        yield "That is enough: it takes more time."
    for it, peer in status.peers.items():
        if not peer.is_up:
            yield f"  server {it} at {format_address(peer.address)}: {_silence(peer)}"


def _silence(peer: Peer) -> str:
    if not peer.is_found:
        return "nobody knows where that is"
    if peer.answers:
        return "it answers, and waits until enough servers have acknowledged its session"
    if peer.is_one_way:
        return "it speaks, and does not answer: it may not hear this server"
    return "never heard" if peer.received_s is None else f"silent for {seconds(peer.received_s)}"


def changes(status: Status, members: MembersStatus) -> Iterator[str]:
    """What an operator should know of a change of members that is in progress, or to come."""
    if members.is_changing:
        yield "A change of members is in progress: paxos members list shows how it goes."
    yield from newcomer(status, members)
    yield from untaught(status, members)
    yield from too_few(status, members)


def too_few(status: Status, members: MembersStatus) -> Iterator[str]:
    """What the change in progress lacks, if that is a quorum: before it, or after it."""
    count = lacking(status, members)
    if members.is_changing and count:
        more = f"{count} more {'is' if count == 1 else 'are'} needed"
        yield f"Too few servers are up for the change of members in progress: {more}."


def lacking(status: Status, members: MembersStatus) -> int:
    """How many more have to be up for a quorum, before a change in progress and after it."""
    return max(status.needed, needed(majority(members.addresses), servers_up(status)))


def newcomer(status: Status, members: MembersStatus) -> Iterator[str]:
    """What to do if this server is not a member yet."""
    me = status.me
    if me not in members.addresses and me not in members.former:
        yield (
            f"Server {me} is not a member yet. Members answer it once it is added: paxos members "
            f"add {me} HOST:PORT, on the machine of one of them."
        )


def untaught(status: Status, members: MembersStatus) -> Iterator[str]:
    """What to do about servers that a change brings in and cannot teach, since they are not up."""
    missing = {server for it in members.waiting for server in it.held}
    down = {it for it in missing if it in status.peers and not status.peers[it].is_up}
    if down:
        yield (
            f"The change waits for {named(down)}. Does it run? Are its address and its keyring "
            "right, and has it joined = true in its cluster.toml?"
        )


def _absent(members: MembersStatus) -> Iterator[str]:
    """What to do about founders that the first change waits for."""
    if members.absent:
        yield (
            f"The first change waits for {named(members.absent)}, to say which logs there are. "
            "Start those that are stopped; remove or replace those that are lost first."
        )


def is_alone(status: Status) -> bool:
    """Whether there are other servers, and none has ever been heard."""
    peers = status.peers.values()
    return bool(peers) and all(it.received_s is None and it.is_found for it in peers)


def warnings(status: Status) -> Iterator[str]:
    """What an operator of the cluster should look at."""
    if status.waits is not None:
        yield (
            f"Server {status.me} cannot save, and so does not vote: {status.waits}. Nothing is "
            "lost. Find that process (fuser), and end it."
        )
    yield from _silences(status)
    yield from refusals(status)


def _silences(status: Status) -> Iterator[str]:
    if len(status.peers) > 1 and is_alone(status):
        places = ", ".join(format_address(it.address) for it in status.peers.values())
        yield (
            f"Server {status.me} has heard no other one since it was started: {places}. Does one "
            "run? Are the addresses and the keyring in the file of either the same?"
        )
        return
    for it, peer in status.peers.items():
        if (warning := _warning(status.me, it, peer)) is not None:
            yield warning


def refusals(status: Status) -> Iterator[str]:
    """What is to be seen from the datagrams that were refused."""
    since = f"Since server {status.me} was started,"
    if times := status.refused.get(MISPLACED):
        yield (
            f"{since} {counted(times, 'datagram')} came from other addresses than their senders "
            "have here: an address was wrong in this cluster's file, or a server listened "
            "elsewhere. If that grows, it still is so."
        )
    if times := status.refused.get(OTHER_MEMBERS):
        yield (
            f"{since} {counted(times, 'datagram')} came from servers with other founders: one of "
            "the two cluster.toml is wrong. A server that was added later has joined = true there."
        )
    if times := sum(status.refused.get(it, 0) for it in OTHER_KEYS):
        yield (
            f"{since} {counted(times, 'datagram')} came under other keys, or none: the keyrings "
            "of the servers differed. If that grows, they do now."
        )


def _warning(me: ServerId, it: ServerId, peer: Peer) -> str | None:
    at = format_address(peer.address)
    if not peer.is_found and ":" in peer.address[0]:
        # A number needs no looking up: the socket is of the other family.
        return (
            f"Server {it} at {at} cannot be reached from an IPv4 address. Start server {me} with "
            "--listen [::]:PORT."
        )
    if not peer.is_found:
        return f"Server {it}: nobody knows where {at} is. Is the address right?"
    if peer.received_s is None:
        return (
            f"Server {it} was never heard at {at} since server {me} was started. Does it run? Is "
            "its address the same in the file of either?"
        )
    if peer.is_one_way and not peer.is_up:
        return (
            f"Server {it} speaks and does not answer server {me}. Is its memory the one that it "
            "had, or this one's? Are the keys, the addresses? See the status of the other one."
        )
    return None


def seconds(time_s: float) -> str:
    """A time, for people."""
    if time_s < 120:
        return f"{time_s:.1f} s" if time_s < 10 else f"{time_s:.0f} s"
    return f"{time_s / 60:.0f} min"
