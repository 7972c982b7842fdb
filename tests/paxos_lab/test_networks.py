"""Partial connectivity: who can be answered in which network, and whether they are."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations, permutations, product
from pathlib import Path
from statistics import median

import pytest
from attrs import evolve

from paxos import (
    From,
    HeartbeatTimer,
    Message,
    RetryTimer,
    ServerId,
    election,
    flexible,
    majority,
    proposer,
    server,
)
from paxos.proposer import Accepting, ClientRequest, Preparing
from paxos.server import ServerTimer
from paxos_cli import app
from paxos_lab.machines.protocols import PAXOS, Event, Protocol, Server, Step
from paxos_lab.machines.single import Record, Report
from paxos_lab.simulate.faults import CALM, OUT_OF, Fault, Faults
from paxos_lab.simulate.networks import (
    FIVE,
    PARTIAL,
    THREE,
    Network,
    answerable,
    chained,
    constrained,
    everywhere,
    quorum_loss,
)
from paxos_lab.simulate.schedules import play
from paxos_lab.simulate.setup import FAULTY_TICKS, LIVENESS, Outcome, SetupError
from paxos_lab.simulate.simulator import Simulator, record, run_seed, simulate
from paxos_lab.simulate.single import MAX_READS, SingleSetup
from paxos_lab.simulate.sweep import sweep
from tests.support import S1, S2, S3, S4, S5
from tests.support.slow import slow_but_for

QUORUM_LOSS = [quorum_loss(hub) for hub in FIVE]
CONSTRAINED = [constrained(hub, leader) for hub, leader in permutations(FIVE, 2)]
CHAINED = [chained(middle) for middle in THREE]
PLACEMENTS = [*QUORUM_LOSS, *CONSTRAINED, *CHAINED]
ONE_OF_EACH = [QUORUM_LOSS[0], CONSTRAINED[0], CHAINED[0]]
FEW = slow_but_for(ONE_OF_EACH.__contains__, PLACEMENTS)
"""All of them; those but for one of each network are slow together."""
HUB_LEADS = [quorum_loss(S5), constrained(S4, S5), *(constrained(S5, it) for it in FIVE[:4])]
NOTHING, PROPOSE, READ = range(3)
PAIRS = [*combinations(THREE, 2)]
SOME_LINKS = [links for count in range(4) for links in combinations(PAIRS, count)]


def all_ask(network: Network, faults: Faults = CALM, protocol: Protocol = PAXOS) -> SingleSetup:
    """All servers of ``network`` propose, and must be answered."""
    size = len(network.servers)
    return SingleSetup(
        servers=size,
        proposers=size,
        readers=0,
        network=network,
        faults=faults,
        protocol=protocol,
        liveness=True,
    )


def from_the_start(network: Network) -> Network:
    return evolve(network, gone_by=0)


def always_yielding(state: Server, event: Event) -> Step:
    """Paxos in which no fourth retry goes on: a server always yields to a higher one."""
    if type(event) is RetryTimer and election.leader(state.election) != state.election.me:
        phase = proposer.waiting_for(state.proposer, event)
        if phase is not None:
            at_work, outbound = proposer.defer(state.proposer, phase)
            return evolve(state, proposer=at_work), outbound
    return server.receive(state, event)


def claiming_always(state: Server, event: Event) -> Step:
    """Paxos in which a proposer sends heartbeats with or without quorum contact."""
    if type(event) is HeartbeatTimer and isinstance(state.proposer.phase, Preparing | Accepting):
        hint, claim = election.receive(state.election, event)
        return evolve(state, election=hint), claim
    return server.receive(state, event)


def claiming_always_and_yielding(state: Server, event: Event) -> Step:
    """Neither rule."""
    return (always_yielding if type(event) is RetryTimer else claiming_always)(state, event)


ALWAYS_YIELDING, CLAIMING_ALWAYS, NEITHER = (
    Protocol(it.__name__, it.__doc__ or "", it)
    for it in (always_yielding, claiming_always, claiming_always_and_yielding)
)


class Timed(Simulator[Server, ClientRequest[str], Message[str], ServerTimer, Record, Report]):
    """Notes when each server was answered last."""

    def __init__(self, seed: int, setup: SingleSetup) -> None:
        super().__init__(seed, setup)
        self.answered_at: dict[int, int] = {}

    def answered(self, place: int, report: Report) -> None:
        super().answered(place, report)
        self.answered_at[place] = self.now

    def ticks(self) -> int | None:
        """When the last of those that must answer did; None if one did not."""
        if self.run().broken is not None:
            return None
        return max(
            tick for place, tick in self.answered_at.items() if self.must_answer >> place & 1
        )


def late(setup: SingleSetup, seeds: int = 25) -> int:
    """In how many runs a server waits too long."""
    return sum(run_seed(seed, setup).broken == LIVENESS for seed in range(seeds))


class TestNetwork:
    """Which links stay."""

    @pytest.mark.parametrize("hub", FIVE)
    def test_quorum_loss_is_a_star(self, hub: ServerId) -> None:
        network = quorum_loss(hub)
        assert network.around(hub) == set(FIVE)
        assert all(network.around(it) == {it, hub} for it in FIVE if it != hub)

    @pytest.mark.parametrize(("hub", "leader"), [*permutations(FIVE, 2)])
    def test_constrained_is_a_star_beside_a_leader(self, hub: ServerId, leader: ServerId) -> None:
        network = constrained(hub, leader)
        assert network.around(leader) == {leader}
        assert network.around(hub) == set(FIVE) - {leader}
        assert all(network.around(it) == {it, hub} for it in FIVE if it not in (hub, leader))

    @pytest.mark.parametrize("middle", THREE)
    def test_chained_is_a_line(self, middle: ServerId) -> None:
        network = chained(middle)
        assert network.around(middle) == set(THREE)
        assert all(network.around(it) == {it, middle} for it in THREE if it != middle)

    @pytest.mark.parametrize("size", range(1, 10))
    def test_everywhere_everybody_is_around(self, size: int) -> None:
        servers = frozenset(map(ServerId, range(1, size + 1)))
        assert all(everywhere(servers).around(it) == servers for it in servers)

    def test_what_is_left_of_it_without_its_hub(self) -> None:
        left = quorum_loss(S3).among({S1, S2, S4})
        assert left.servers == {S1, S2, S4}
        assert not left.links

    def test_each_is_known_by_its_name(self) -> None:
        assert {name: it.name for name, it in PARTIAL.items()} == {it: it for it in PARTIAL}
        assert set(PARTIAL) == {it.name for it in PLACEMENTS}


class TestAnswerable:
    """Who gets an answer, whatever was asked of whom."""

    @pytest.mark.parametrize("links", SOME_LINKS)
    def test_of_three_whoever_has_a_link(
        self, links: tuple[tuple[ServerId, ServerId], ...]
    ) -> None:
        network = Network("", "", frozenset(THREE), frozenset(map(frozenset[ServerId], links)))
        linked = {it for link in links for it in link}
        for asked in product((NOTHING, PROPOSE, READ), repeat=3):
            assert who(network, asked) == {
                it for it, what in zip(THREE, asked, strict=True) if what and it in linked
            }

    @pytest.mark.parametrize("network", [*QUORUM_LOSS, *CONSTRAINED], ids=lambda it: it.summary)
    def test_in_a_star_the_hub_and_if_it_proposes_the_rest(self, network: Network) -> None:
        hub = max(FIVE, key=lambda it: len(network.around(it)))
        for asked in product((NOTHING, PROPOSE, READ), repeat=5):
            askers = {it for it, what in zip(FIVE, asked, strict=True) if what}
            told = network.around(hub) if asked[hub - 1] == PROPOSE else {hub}
            assert who(network, asked) == askers & told

    @pytest.mark.parametrize(("phase1", "phase2"), [(4, 2), (2, 4), (3, 3)])
    def test_both_phases_need_their_quorum(self, phase1: int, phase2: int) -> None:
        quorum = flexible(FIVE, phase1=phase1, phase2=phase2)
        assert not answerable(quorum_loss(S1), quorum, {S5}, set())
        assert answerable(quorum_loss(S1), quorum, {S1}, {S5}) == {S1, S5}


def who(network: Network, asked: tuple[int, ...]) -> frozenset[ServerId]:
    members = FIVE[: len(asked)]
    proposers = {it for it, what in zip(members, asked, strict=True) if what == PROPOSE}
    readers = {it for it, what in zip(members, asked, strict=True) if what == READ}
    return answerable(network, majority(members), proposers, readers)


class TestLinks:
    """What becomes of the links in a run."""

    @pytest.mark.parametrize("network", FEW, ids=lambda it: it.summary)
    def test_nothing_passes_a_link_that_is_gone(self, network: Network) -> None:
        setup = all_ask(from_the_start(network), Faults(partitions=3))
        received = healed = 0
        for seed in range(8):
            _, acts = record(seed, setup)
            healed += any(act.outcome is Outcome.HEALED for act in acts)
            for act in acts:
                if isinstance(act.event, From):
                    received += 1
                    assert act.event.sender in network.around(act.server), seed
        assert received > 100
        assert healed

    def test_what_is_lost_on_it_is_counted(self) -> None:
        assert simulate(0, all_ask(from_the_start(quorum_loss(S1)))).met[Fault.CUT_OFF]
        assert not simulate(0, all_ask(everywhere(FIVE))).met[Fault.CUT_OFF]

    @pytest.mark.slow
    @pytest.mark.parametrize("gone_by", [0, 30, FAULTY_TICKS])
    def test_each_run_draws_when_they_go(self, gone_by: int) -> None:
        setup = all_ask(evolve(constrained(S1, S5), gone_by=gone_by))
        ticks: set[int] = set()
        for seed in range(60):
            _, acts = record(seed, setup)
            gone = [act for act in acts if act.outcome is Outcome.SEVERED]
            assert {act.server for act in gone} == set(FIVE)
            ticks |= {act.tick for act in gone}
        assert ticks <= set(range(gone_by + 1))
        assert len(ticks) > gone_by // 5

    @pytest.mark.parametrize("size", [3, 5])
    def test_where_all_stay_every_run_is_as_it_was(self, size: int) -> None:
        setup = SingleSetup(servers=size)
        named = SingleSetup(servers=size, network=everywhere(FIVE[:size]))
        assert [simulate(seed, setup) for seed in range(20)] == [
            simulate(seed, named) for seed in range(20)
        ]

    @pytest.mark.parametrize("network", FEW, ids=lambda it: it.summary)
    def test_a_schedule_repeats_the_run(self, network: Network) -> None:
        setup = evolve(all_ask(network, Faults()), liveness=False)
        for seed in range(5):
            run, acts = record(seed, setup)
            assert (run.broken, play(setup, acts).acts) == (None, acts), seed


class TestLiveness:
    """All that can be answered are, in time: always, or if some rule of the election is kept."""

    @pytest.mark.parametrize("protocol", [PAXOS, ALWAYS_YIELDING], ids=lambda it: it.name)
    @pytest.mark.parametrize("network", FEW, ids=lambda it: it.summary)
    def test_holds_in_all_three(self, network: Network, protocol: Protocol) -> None:
        """A server that sends heartbeats has a quorum. No retry of others is needed."""
        for it in (network, from_the_start(network)):
            done = sweep(range(20), all_ask(it, Faults(), protocol))
            assert done.failure is None
            assert done.decided > 10

    @pytest.mark.slow
    @pytest.mark.parametrize("network", [*CHAINED, *HUB_LEADS], ids=lambda it: it.summary)
    def test_holds_with_any_heartbeats_if_the_highest_has_a_quorum(self, network: Network) -> None:
        """In a line each server has one, in a star the hub."""
        done = sweep(range(40), all_ask(from_the_start(network), Faults(), NEITHER))
        assert done.failure is None

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "network",
        slow_but_for(
            QUORUM_LOSS[:1].__contains__,
            [it for it in (*QUORUM_LOSS, *CONSTRAINED) if it not in HUB_LEADS],
        ),
        ids=lambda it: it.summary,
    )
    def test_else_claims_without_a_quorum_keep_the_hub_silent(self, network: Network) -> None:
        """Without an end, but for every fourth retry, which goes on anyway."""
        network = from_the_start(network)
        assert late(all_ask(network, protocol=NEITHER)) >= 3
        assert late(all_ask(network, protocol=CLAIMING_ALWAYS)) <= 1

    def test_and_even_so_it_may_take_too_long(self) -> None:
        """No message is lost, and the hub's turns come too rarely among the rounds of leaves."""
        setup = all_ask(from_the_start(constrained(S1, S3)), protocol=CLAIMING_ALWAYS)
        run = simulate(174, setup)
        assert (run.broken, run.chosen) == (LIVENESS, ())

    @pytest.mark.parametrize("proposers", [1, 2])
    def test_a_leaf_alone_gets_no_answer_and_that_is_no_failure(self, proposers: int) -> None:
        """The hub was asked for nothing, and no leaf that is elected can decide."""
        setup = evolve(all_ask(from_the_start(quorum_loss(S3))), proposers=proposers, readers=0)
        done = sweep(range(20), setup)
        assert (done.failure, done.decided, done.reports) == (None, 0, 0)

    def test_a_hub_that_only_reads_tells_nobody(self) -> None:
        setup = evolve(all_ask(from_the_start(quorum_loss(S3))), proposers=2, readers=1)
        done = sweep(range(20), setup)
        assert (done.failure, done.decided, done.reports) == (None, 0, 20 * MAX_READS)

    def test_a_hub_that_may_not_start_again_is_no_hub(self) -> None:
        """Its disk is lost, so the ends of the line have nobody to ask."""
        setup = all_ask(chained(S2), Faults(lost_disks=OUT_OF, crashes=9))
        done = sweep(range(150), setup)
        assert done.failure is None
        assert done.met[Fault.REFUSED] > 50


class TestSetup:
    """A network that does not fit is refused, and says why."""

    def test_other_servers(self) -> None:
        with pytest.raises(SetupError, match="quorum-loss links S1, S2, S3, S4, S5"):
            SingleSetup(network=quorum_loss(S1))

    @pytest.mark.parametrize("gone_by", [-1, FAULTY_TICKS + 1])
    def test_links_that_go_when_nothing_may_go_wrong(self, gone_by: int) -> None:
        with pytest.raises(SetupError, match="from 0 to 160"):
            SingleSetup(network=evolve(chained(S1), gone_by=gone_by))


class TestCommand:
    """``paxos simulate --network``."""

    @pytest.mark.parametrize(
        ("network", "said"),
        [
            ("quorum-loss", "servers 5, proposers 5, readers 0, liveness. Network quorum-loss"),
            ("constrained", "servers 5, proposers 5, readers 0, liveness. Network constrained"),
            ("chained", "servers 3, proposers 3, readers 0, liveness. Network chained"),
            ("everywhere", "servers 3, proposers 2, readers 1, liveness."),
        ],
    )
    def test_a_sweep(self, network: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--liveness", "--seeds", "20", "--jobs", "1", "--plain"]
        assert app.run(["simulate", "--network", network, *options]) == 0
        printed = capsys.readouterr().out
        assert f"paxos: {said}" in printed
        assert "All servers that were asked and can be answered were, within 4,000 ticks" in printed

    def test_who_asks_can_be_told(self, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--proposers", "2", "--readers", "2", "--seeds", "5", "--jobs", "1"]
        assert app.run(["simulate", "--network", "quorum-loss", *options]) == 0
        assert "servers 5, proposers 2, readers 2, safety" in capsys.readouterr().out
        assert app.run(["simulate", "--network", "chained", "--readers", "1", *options[4:]]) == 0
        assert "servers 3, proposers 2, readers 1, safety" in capsys.readouterr().out

    def test_a_failure_can_be_seen_again(self, capsys: pytest.CaptureFixture[str]) -> None:
        options = ["--jobs", "1", "--plain", "--rule", "own-value-kept"]
        assert app.run(["simulate", "--network", "chained", *options]) == 1
        printed = capsys.readouterr().out
        (again,) = (line for line in printed.splitlines() if line.startswith("Again: paxos "))
        assert " --network chained " in again
        assert app.run([*again.split()[2:], "--plain"]) == 1
        assert capsys.readouterr().out.endswith(printed[printed.index("* something") :])

    def test_one_run_shows_when_its_links_go(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert app.run(["simulate", "--network", "chained", "--seed", "1", "--plain"]) == 0
        assert "S2 has links cut for good" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "arguments", ["quorum-loss --servers 3", "chained --servers 5", "ring"]
    )
    def test_a_mistake_is_one_line(
        self, arguments: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert app.run(["simulate", "--network", *arguments.split()]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


class TestDocument:
    """The table of docs/simulating.md."""

    @pytest.mark.slow
    def test_its_figures_are_those_of_these_runs(self) -> None:
        text = (Path(__file__).parents[2] / "docs" / "simulating.md").read_text()
        rows = [
            row("three servers, all linked", [everywhere(THREE)] * 3),
            row("chained", CHAINED),
            row("five servers, all linked", [everywhere(FIVE)] * 5),
            row("quorum loss", QUORUM_LOSS),
            row("constrained election", CONSTRAINED),
        ]
        assert [it for it in rows if it not in text] == []


def row(name: str, networks: Iterable[Network]) -> str:
    """The line of the table for all placements of a network."""
    networks = list(networks)
    cells = (
        figures([all_ask(it, faults, protocol) for it in networks])
        for protocol in (CLAIMING_ALWAYS, PAXOS)
        for faults in (CALM, Faults(lost_disks=0))
    )
    return f"| {name} | {' | '.join(cells)} |\n"


def figures(setups: list[SingleSetup]) -> str:
    """Median and worst tick of the last answer, and of how many runs a server got none."""
    ticks = [
        Timed(seed, setup).ticks()
        for start, setup in enumerate(setups)
        for seed in range(20 * start, 20 * start + 20)
    ]
    times = [it for it in ticks if it is not None]
    unanswered = len(ticks) - len(times)
    lost = f", {unanswered} of {len(ticks)} never" if unanswered else ""
    return f"{median(times):,.0f}, {max(times):,}{lost}"
