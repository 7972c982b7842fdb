"""The world of one life: servers, their disks and the network, and what can happen to them.

- Time is a wheel of ticks; each tick has a list of what is due. An item from 0 is an event for a
  server, see ``steps.py``. An item below 0 is something that happens to one.
- What is in memory is gone after a crash. A save that is still under way was not made.
- A paused server gets everything later. One that is down gets nothing.
- Links that the network of the setup lacks are cut for good. Other cuts are mended.
- A server whose disk was wiped or rolled back does not start: the number of its saves, which is
  kept somewhere else, tells. Otherwise it would vote against its own word.
- All chance comes from the bits of one generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from random import Random

from paxos import Acceptor, Inquire, InvariantError, Propose, Read, ReadId, ServerId
from paxos_lab.machines.protocols import VALUES
from paxos_lab.rules import UNDISTURBED
from paxos_lab.simulate.faults import LATE, LOST, Fault, Faults, message_fates
from paxos_lab.simulate.judging import Judge
from paxos_lab.simulate.networks import answerable
from paxos_lab.simulate.setup import FAULTY_TICKS, LIVENESS_TICKS, Fate, Noted, Setup
from paxos_lab.simulate.steps import RECEIVER_BITS, Step, Table

MAX_DELAY_TICKS = 512
"""How far ahead anything is due."""

NEW_DISK = Acceptor[str]()
FIRST_TICKS, BUSY_TICKS = 32, 80
"""Within how many ticks servers are asked, and within how many things happen to them."""

MAX_READS = 3
"""How often a reader reads in one life, as long as nothing is chosen."""

SIXTEENTHS = 16
SKEWS = (16, 16, 16, 16, 16, 12, 24, 32)
"""How many sixteenths of its time a server waits."""

ASK, CRASH, RESTART, PAUSE, RESUME, CUT, MEND, BACK_UP, FLUSH, CALM_DOWN, SEVER = range(11)
CUTS = (Fault.PARTLY_PARTITIONED, Fault.ONE_WAY_PARTITIONED, Fault.PARTITIONED, Fault.PARTITIONED)


class World(ABC):
    """Servers by their places, from 0. Lists are per server; sets of servers are bits."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.size = setup.servers
        self.last_tick = FAULTY_TICKS + (LIVENESS_TICKS if setup.liveness else 0)
        self.wheel: list[list[int]] = [[] for _ in range(self.last_tick + MAX_DELAY_TICKS)]
        self.random = Random()
        self.draw = self.random.getrandbits
        self.ids = sorted(setup.quorum.members)
        subsets = [self._in(mask) for mask in range(2**self.size)]
        self.is_phase1 = [setup.quorum.is_phase1(it) for it in subsets]
        self.is_phase2 = [setup.quorum.is_phase2(it) for it in subsets]
        everybody = setup.quorum.members
        self.lacking = [self._bits(everybody - setup.network.around(me)) for me in self.ids]
        self.happenings: tuple[Callable[[int], None], ...] = (
            *(self._ask, self._crash, self._restart, self._pause, self._resume),
            *(self._cut, self._mend, self._back_up, self._flush, self._calm_down),
            self._sever,
        )
        self.forget()

    def forget(self) -> None:
        """Start to learn anew what steps lead to."""
        self.table = Table(self.setup.protocol, self.setup.quorum)

    def begin(self, seed: int, trace: list[Noted] | None) -> None:
        """A new world, and the plan of what happens in it."""
        self.random.seed(seed)
        size, faults = self.size, self.setup.faults
        self.trace = trace
        self.now = self.events = 0
        self.is_calm = False
        self.judge = Judge(self.setup.rules, self.is_phase2)
        self.servers: list[list[int] | None] = [
            self.table.start(place, NEW_DISK, 0) for place in range(size)
        ]
        self.paused: list[list[int] | None] = [None] * size
        self.stash: list[list[int]] = [[] for _ in range(size)]
        self.memories = [NEW_DISK] * size
        self.rounds = [0] * size
        self.saves = [0] * size
        self.backups = [(NEW_DISK, 0, 0)] * size
        self.batches: list[list[Step]] = [[] for _ in range(size)]
        self.lives = [0] * size
        self.reads = [0] * size
        self.cuts = [0] * size
        self.severed = [0] * size
        self.fail_at = [0] * size
        self.latest = [0] * (size << RECEIVER_BITS)
        self.trusted = (1 << size) - 1
        self.waiting: int = 0
        self.owed: int = 0
        self.met = [0] * len(Fault)
        self._draw_rates(faults)
        self._plan(faults)

    def _draw_rates(self, faults: Faults) -> None:
        levels = self.draw(7)
        self.fates = message_fates(
            faults.loss * (levels & 3) // 3,
            faults.duplication * (levels >> 2 & 3) // 3,
            faults.lateness * (levels >> 4 & 3) // 3,
            levels > 63,
        )
        self.slow = faults.slow_saves
        self.deadly = faults.slow_saves + faults.save_crashes
        self.skews = [SIXTEENTHS] * self.size
        if faults.skew:
            bits = self.draw(3 * self.size)
            self.skews = [SKEWS[bits >> 3 * place & 7] for place in range(self.size)]
            self.met[Fault.SKEWED] = self.size - self.skews.count(SIXTEENTHS)

    def _plan(self, faults: Faults) -> None:
        for place in range(self.setup.askers):
            self.later(1 + self.up_to(FIRST_TICKS), ASK, place)
        self._plan_some(CRASH, faults.crashes)
        self._plan_some(PAUSE, faults.pauses)
        self._plan_some(CUT, faults.partitions)
        if faults.lost_disks:
            self._plan_some(BACK_UP, 2)
        for _ in range(faults.failing_stores):
            self.fail_at[self.up_to(self.size)] = self.up_to(16)
        if self.setup.liveness:
            self.later(FAULTY_TICKS, CALM_DOWN, 0)
        if any(self.lacking):
            self.later(self.up_to(self.setup.network.gone_by + 1), SEVER, 0)

    def _plan_some(self, happening: int, most: int) -> None:
        for _ in range(self.up_to(most + 1)):
            bits = self.draw(24)
            ticks = 1 + ((bits & 255) * BUSY_TICKS >> 8)
            self.later(ticks, happening, (bits >> 8) * self.size >> 16)

    def up_to(self, count: int) -> int:
        """Chance: one of 0 to ``count`` - 1."""
        return self.draw(16) * count >> 16

    def later(self, ticks: int, happening: int, place: int) -> None:
        """Let something happen to a server."""
        self.wheel[self.now + ticks].append(~(happening << RECEIVER_BITS | place))

    def note(self, place: int, saved: int, fate: Fate) -> None:
        """Take down what happens to a server."""
        if self.trace is not None:
            self.trace.append((self.now, place, ~saved, fate))

    def absent(self, place: int, item: int) -> None:
        """An event finds nobody."""
        if self.paused[place] is not None:
            self.stash[place].append(item)
        else:
            self.met[Fault.UNHEARD] += 1

    def divert(self, item: int, fate: int) -> None:
        """A message has no easy way."""
        if fate == LOST:
            self.met[Fault.LOST] += 1
        elif fate == LATE:
            self.met[Fault.LATE] += 1
            self.wheel[self.now + 24 + self.up_to(64)].append(item)
        else:
            self.met[Fault.DUPLICATED] += 1
            self.wheel[self.now + 1 + self.up_to(8)].append(item)
            self.wheel[self.now + 1 + self.up_to(32)].append(item)

    # --- what happens to servers ----------------------------------------------------------------

    def _ask(self, place: int) -> None:
        if self.servers[place] is None:
            if self.paused[place] is not None:
                self.stash[place].append(~(ASK << RECEIVER_BITS | place))
            return
        self.waiting |= 1 << place
        self.wheel[self.now + 1].append(self.table.item(place, self._request(place)))

    def _request(self, place: int) -> Propose[str] | Inquire | Read:
        life = self.lives[place]
        if place < self.setup.proposers:
            value = VALUES[place] + "'" * life
            self.judge.proposed.add(value)
            return Propose(value)
        if life % 2:
            return Inquire()
        read = ReadId(life, self.reads[place])
        self.reads[place] += 1
        self.judge.begins(place, read)
        return Read(read)

    def found_nothing(self, place: int) -> None:
        """A reader whose read found nothing reads again, a few times."""
        if self.reads[place] < MAX_READS:
            self.later(1 + self.up_to(24), ASK, place)

    def _crash(self, place: int) -> None:
        if self.is_calm or (self.servers[place] is None and self.paused[place] is None):
            return
        self.met[Fault.CRASHED] += 1
        self.note(place, 0, Fate.CRASHES)
        self.go_down(place)

    def go_down(self, place: int) -> None:
        """All that is in memory is lost; the server starts again after a while."""
        self.servers[place] = self.paused[place] = None
        self.stash[place].clear()
        self.batches[place].clear()
        self.waiting &= ~(1 << place)
        self.later(1 + self.up_to(48), RESTART, place)

    def _restart(self, place: int) -> None:
        fate = Fate.RESTARTS
        if not self.is_calm and self.draw(8) < self.setup.faults.lost_disks:
            fate = self._lose_disk(place)
        self.note(place, 0, fate)
        if fate is Fate.REFUSED:
            return
        self.lives[place] += 1
        self.reads[place] = 0
        try:
            parts = self.table.start(place, self.memories[place], self.rounds[place])
        except InvariantError:
            self.judge.breaks(UNDISTURBED)
            return
        self.servers[place] = parts
        if place < self.setup.askers:
            self.later(1 + self.up_to(8), ASK, place)

    def _lose_disk(self, place: int) -> Fate:
        """The disk is an older one, or empty, if a quorum is left without it."""
        rest = self.trusted & ~(1 << place)
        if not (self.is_phase1[rest] and self.is_phase2[rest]):
            return Fate.RESTARTS
        is_wiped = self.draw(1)
        memory, max_round, saves = (NEW_DISK, 0, 0) if is_wiped else self.backups[place]
        if saves == self.saves[place]:
            return Fate.RESTARTS
        self.met[Fault.DISK_WIPED if is_wiped else Fault.DISK_ROLLED_BACK] += 1
        self.memories[place], self.rounds[place] = memory, max_round
        if self.setup.trusting:
            return Fate.WIPED if is_wiped else Fate.RESTORED
        self.met[Fault.REFUSED] += 1
        self.trusted = rest
        return Fate.REFUSED

    def _back_up(self, place: int) -> None:
        self.backups[place] = self.memories[place], self.rounds[place], self.saves[place]
        self.note(place, 0, Fate.BACKS_UP)

    def _pause(self, place: int) -> None:
        if self.is_calm or self.servers[place] is None:
            return
        self.met[Fault.PAUSED] += 1
        self.note(place, 0, Fate.PAUSES)
        self.paused[place], self.servers[place] = self.servers[place], None
        self.later(8 + self.up_to(64), RESUME, place)

    def _resume(self, place: int) -> None:
        if self.paused[place] is None:
            return
        self.note(place, 0, Fate.RESUMES)
        self.servers[place], self.paused[place] = self.paused[place], None
        self.wheel[self.now + 1].extend(self.stash[place])
        self.stash[place].clear()

    @abstractmethod
    def _flush(self, place: int) -> None:
        """A save that took its time is over: the business of whoever saves."""

    # --- what happens to the network ------------------------------------------------------------

    def _cut(self, place: int) -> None:
        if self.is_calm:
            return
        size, kind = self.size, self.draw(2)
        side = self.draw(size) | 1 << place
        for it in range(size):
            if CUTS[kind] is Fault.PARTLY_PARTITIONED:
                cut = self.draw(size) & self.draw(size)
            elif side >> it & 1:
                cut = ~side
            else:
                cut = side if CUTS[kind] is Fault.PARTITIONED else 0
            self.cuts[it] = cut & ~(1 << it) | self.severed[it]
        self.met[CUTS[kind]] += 1
        self.note(place, 0, Fate.CUT)
        self.later(8 + self.up_to(64), MEND, place)

    def _mend(self, place: int) -> None:
        self.cuts[:] = self.severed
        self.note(place, 0, Fate.MENDED)

    def _sever(self, _: int) -> None:
        """Links that the network lacks are gone from here on."""
        self.severed[:] = self.lacking
        for place, gone in enumerate(self.lacking):
            self.cuts[place] |= gone
            if gone:
                self.note(place, 0, Fate.SEVERED)

    def _calm_down(self, place: int) -> None:
        """No fault from here on. Who is down or paused comes back when its time is over."""
        self.is_calm = True
        self.fates = message_fates(0, 0, 0, True)
        self.slow = self.deadly = 0
        self.fail_at[:] = [0] * self.size
        self.owed = self._answerable()
        self._mend(place)
        self.note(place, 0, Fate.CALM)

    def _answerable(self) -> int:
        """Who of those that may vote has to get an answer, whenever it is asked."""
        setup, voters = self.setup, self._in(self.trusted)
        proposers, asked = set(self.ids[: setup.proposers]), set(self.ids[: setup.askers])
        network = setup.network.among(voters)
        readers = asked - proposers
        return self._bits(answerable(network, setup.quorum, proposers & voters, readers & voters))

    def _in(self, mask: int) -> set[ServerId]:
        return {it for place, it in enumerate(self.ids) if mask >> place & 1}

    def _bits(self, servers: Iterable[ServerId]) -> int:
        return sum(1 << self.ids.index(it) for it in servers)
