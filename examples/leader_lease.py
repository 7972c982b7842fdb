"""A leader lease by named decisions: epochs, renewal, and a clock that stands still.

Run it: ``python examples/leader_lease.py``

- The server that "leader/7" names leads in epoch 7. To renew is to win "leader/8".
- The holder counts its time from *before* it asked, and counts less. The others count more, from
  when they *heard*, and ask for nothing meanwhile. So no two lead while clocks run alike.
- A clock that stands still breaks that, so nothing rests on it: each write carries its epoch, and
  the resource refuses one that is below an epoch it has seen.
- ``since`` is the epoch from which a member has led without a gap. Is it the same before and after
  a piece of work, then nobody else has led meanwhile.

``Decisions`` is in memory here; a node does the same: ``await node.propose(name, value)``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from attrs import Factory, define

from paxos import ServerId
from paxos_adapters.memory import Cluster

HOLDER_S, OTHERS_S = 8.0, 10.0


@define
class Decisions:
    """Any number of names, each written once, agreed on in memory."""

    clusters: defaultdict[str, Cluster[ServerId]] = Factory(lambda: defaultdict(Cluster[ServerId]))

    def read(self, me: ServerId, name: str) -> ServerId | None:
        """What is chosen for ``name``, if anything is."""
        self.clusters[name].inquire(me)
        self.clusters[name].run()
        return self.clusters[name].chosen.get(me)

    def propose(self, me: ServerId, name: str) -> ServerId:
        """The server that is chosen for ``name``: ``me``, unless another one is."""
        self.clusters[name].propose(me, me)
        self.clusters[name].run()
        return self.clusters[name].chosen[me]


@define
class Member:
    """One that may lead. ``clock_s`` counts seconds from any moment, and may be wrong."""

    me: ServerId
    decisions: Decisions
    clock_s: Callable[[], float]
    epoch: int = 0
    since: int = 0
    leads_until_s: float = float("-inf")
    waits_until_s: float = float("-inf")

    def leads(self) -> bool:
        """Whether it believes that it leads: a hint. The fence is what keeps others safe."""
        return self.clock_s() < self.leads_until_s

    def campaign(self) -> bool:
        """Lead, or lead on, unless another lease may be running; whether it leads now."""
        while (winner := self.decisions.read(self.me, self._next())) is not None:
            self._heard(winner, asked_at_s=None)
        if self.clock_s() >= self.waits_until_s:
            asked_at_s = self.clock_s()
            self._heard(self.decisions.propose(self.me, self._next()), asked_at_s)
        return self.leads()

    def _next(self) -> str:
        return f"leader/{self.epoch + 1}"

    def _heard(self, winner: ServerId, asked_at_s: float | None) -> None:
        has_led_on, self.epoch = self.leads(), self.epoch + 1
        if winner == self.me and asked_at_s is not None:
            self.since = self.since if has_led_on else self.epoch
            self.leads_until_s = asked_at_s + HOLDER_S
        else:
            self.leads_until_s = float("-inf")
            self.waits_until_s = self.clock_s() + OTHERS_S


@define
class Resource:
    """What only the leader may write to. A new one writes first, to raise the fence."""

    epoch: int = 0
    written: list[str] = Factory(list[str])

    def write(self, epoch: int, what: str) -> bool:
        """Take it, unless a later epoch was heard of."""
        if epoch < self.epoch:
            return False
        self.epoch = epoch
        self.written.append(what)
        return True


def main() -> None:
    """A leads, renews, and stands still; B takes over; A comes back."""
    now_s, a_stands_still_at_s = 0.0, float("inf")
    decisions, resource = Decisions(), Resource()
    a = Member(ServerId(1), decisions, lambda: min(now_s, a_stands_still_at_s))
    b = Member(ServerId(2), decisions, lambda: now_s)

    print(f"at  0 s: A campaigns: {a.campaign()}, B campaigns: {b.campaign()}")
    now_s = 7
    print(f"at  7 s: A renews: {a.campaign()}, epoch {a.epoch}, it has led on since {a.since}")
    print(f"         A writes: {resource.write(a.epoch, 'by A')}, B campaigns: {b.campaign()}")
    now_s = a_stands_still_at_s = 14
    print(f"at 14 s: A's clock stops; A believes that it leads: {a.leads()}")
    now_s = 18
    print(f"at 18 s: B campaigns: {b.campaign()}, epoch {b.epoch}, since {b.since}")
    print(f"         B writes: {resource.write(b.epoch, 'by B')}")
    print(
        f"         A believes that it leads: {a.leads()}, it writes: {resource.write(a.epoch, 'A')}"
    )


if __name__ == "__main__":
    main()
