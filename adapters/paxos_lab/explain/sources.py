"""Where evidence comes from: a replay, or the files of servers.

A vote counts once it is durable. In a replay that is so when the save that it waits for is over, or
when a server starts from it: what a crash has left on a disk shows at the restart.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import Path

from paxos import (
    Accepted,
    Acceptor,
    From,
    Nack,
    OperationalError,
    Proposal,
    QuorumSystem,
    ServerId,
    UsageError,
    server,
)
from paxos.ballot import V
from paxos.proposer import Accepting, Preparing
from paxos_adapters.codecs import SURROGATE_ESCAPE
from paxos_adapters.file import Identity, inspect, rows
from paxos_adapters.file.rows import ACCEPTOR, acceptor_of
from paxos_lab.explain.evidence import Evidence, Known
from paxos_lab.machines.protocols import LECTURE
from paxos_lab.machines.single_view import SingleView, single_view
from paxos_lab.record import Replay, SingleStep
from paxos_lab.record.timeline import votes

FIRST_VALUE_ONLY = LECTURE[0].name


class UnknownDecision(UsageError, KeyError):
    """There is nothing about a decision of that name."""

    def __init__(self, name: str, names: Iterable[str]) -> None:
        known = ", ".join(repr(it) for it in sorted(names) if it)
        there = f"there are {known}" if known else "there is one, without a name"
        super().__init__(f"there is nothing about a decision {name!r}; {there}.")
        self.name = name

    def __str__(self) -> str:
        """Without the quotes that a KeyError puts around it."""
        return str(self.args[0])


class MembersDiffer(OperationalError):
    """Stores of different memberships were to be explained together."""

    def __init__(self, one: Identity, other: Identity) -> None:
        super().__init__(
            f"the store of {one} has the members {one.members}, and that of {other} has "
            f"{other.members}. "
            "Name stores of one membership only."
        )


class SoFar:
    """The evidence of one decision, gathered step by step; what was seen twice counts once."""

    def __init__(self) -> None:
        self._lanes: dict[ServerId, set[ServerId]] = {}
        self._votes: dict[From[Accepted[str]], None] = {}
        self._refusals: dict[From[Nack], None] = {}

    def add(self, step: SingleStep[str]) -> None:
        """``step`` has happened."""
        view: SingleView[str] = single_view()
        self._lanes.setdefault(step.me, set()).add(step.entry.server)
        for me, vote in votes(step, view):
            self._votes[From(me, Accepted(vote.ballot, str(vote.value)))] = None
        for it in step.sent:
            if isinstance(it.message, Nack):
                self._refusals[From(it.sender, it.message)] = None

    def evidence(self, replay: Replay, name: str) -> Evidence[str]:
        """What is known by now, with the states and disks of ``replay``."""
        assert replay.quorum is not None, "a trace with steps has one"
        return Evidence(
            replay.quorum,
            {
                me: _known(replay, sorted(lanes), name)
                for me, lanes in self._lanes.items()
                if me in replay.quorum.members
            },
            tuple(self._votes),
            tuple(self._refusals),
            replay.headers[0].protocol == FIRST_VALUE_ONLY,
        )


def of_replay(replay: Replay, name: str = "") -> Evidence[str]:
    """The evidence of the decision ``name`` where the replay ends. Raises UnknownDecision."""
    if name not in replay.names:
        raise UnknownDecision(name, replay.names)
    found = SoFar()
    for step in replay.steps:
        if step.entry.name == name:
            found.add(step)
    return found.evidence(replay, name)


def of_states(
    quorum: QuorumSystem, states: Iterable[server.Server[V]], up: Set[ServerId]
) -> Evidence[V]:
    """The evidence of a decision in servers that run, from the ``states`` of some of them.

    ``up`` are all that run. Votes that only their counter has seen are counted, too.
    """
    known = {it.proposer.me: it for it in states}
    votes = [
        From(voter, Accepted(tally.ballot, tally.value))
        for state in known.values()
        for tally in state.learner.tallies
        for voter in sorted(tally.voters)
    ]
    servers = {me: Known(it.acceptor, it.proposer, it.learner.choice) for me, it in known.items()}
    return Evidence(quorum, servers, tuple(votes), heard=frozenset(up))


def of_files(paths: Iterable[Path]) -> dict[str, Evidence[str]]:
    """The evidence of all decisions in the stores of servers that are down, by name.

    All of them are held in memory. Raises MembersDiffer, StoreError and OSError.
    """
    stores = {it.server: (it, path) for it, path in ((inspect(it).identity, it) for it in paths)}
    identities = [it for it, _ in stores.values()]
    for it in identities:
        if it.digest != identities[0].digest:
            raise MembersDiffer(identities[0], it)
    held = {me: _held(path) for me, (_, path) in stores.items()}
    return {
        name: Evidence(
            identities[0].quorum,
            {me: Known(it.get(name, Acceptor[str]())) for me, it in held.items()},
        )
        for name in sorted({name for it in held.values() for name in it})
    }


def _held(path: Path) -> dict[str, Acceptor[str]]:
    """What a server has promised and accepted, by name."""
    return {row.name: _decoded(acceptor_of(row)) for row in rows(path) if row.kind == ACCEPTOR}


def _decoded(held: Acceptor[bytes]) -> Acceptor[str]:
    it = held.accepted
    proposal = None if it is None else Proposal(it.ballot, SURROGATE_ESCAPE.decode(it.value))
    return Acceptor(held.promised, proposal)


def _known(replay: Replay, lanes: Iterable[ServerId], name: str) -> Known[str]:
    """All that is known of one server, which may have several lanes."""
    disks = (replay.disks.get((lane, name), ()) for lane in lanes)
    memories = [it for disk in disks for it in disk if isinstance(it, Acceptor)]
    states = [it for lane in lanes if (it := replay.states.get((lane, name))) is not None]
    at_work = sorted(states, key=_is_in_progress)
    return Known(
        max(memories, key=lambda it: it.promised, default=Acceptor[str]()),
        at_work[-1].proposer if at_work else None,
        next((it.learner.choice for it in states if it.learner.choice is not None), None),
    )


def _is_in_progress(state: server.Server[str]) -> bool:
    return isinstance(state.proposer.phase, Preparing | Accepting)
