"""A whole cluster in memory: what it decides, what survives a crash, and what it says if stuck."""

from __future__ import annotations

import doctest
from itertools import combinations
from random import Random

import pytest

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Busy,
    Chosen,
    Done,
    Nack,
    NothingChosen,
    NotYetChosen,
    Prepare,
    Promise,
    QuorumError,
    QuorumSystem,
    ReadId,
    ServerId,
    UnknownServer,
    explicit,
    flexible,
    weighted,
)
from paxos_adapters import memory
from paxos_adapters.memory import Cluster, Delivery, DidNotSettle, ServerDown
from tests.support import NON_MEMBER, S1, S2, S3, S4, S5, ballot

SEEDS = range(25)


@pytest.mark.parametrize("servers", [1, 3, 4, 5])
def test_a_decision(servers: int) -> None:
    cluster = Cluster[str](servers)
    first, *_ = cluster.servers

    cluster.propose(first, "red")
    cluster.run()

    assert cluster.chosen == dict.fromkeys(cluster.servers, "red")
    assert cluster.reports == [
        (me, Done(ballot("1.1"), "red", own=me == first)) for me in cluster.servers
    ]


def test_the_example_of_the_cluster_runs() -> None:
    result = doctest.testmod(memory)
    assert result.attempted > 0
    assert result.failed == 0


class TestNetwork:
    """First in, first out, nothing lost, no time passes on the way."""

    def test_messages_arrive_in_the_order_in_which_they_were_sent(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S2, "red")
        arrived = [event for event in cluster.run() if isinstance(event, Delivery)]
        assert [(event.sender, event.receiver, type(event.message)) for event in arrived] == [
            (S2, S1, Prepare),
            (S2, S2, Prepare),
            (S2, S3, Prepare),
            (S1, S2, Promise),
            (S2, S2, Promise),
            (S3, S2, Promise),
            (S2, S1, Accept),
            (S2, S2, Accept),
            (S2, S3, Accept),
            (S1, S2, Accepted),
            (S2, S2, Accepted),
            (S3, S2, Accepted),
            (S2, S1, Chosen),
            (S2, S2, Chosen),
            (S2, S3, Chosen),
        ]
        assert {event.at_s for event in arrived} == {0.0}

    def test_time_only_passes_when_the_network_is_quiet_and_never_runs_back(self) -> None:
        history = contest(5, seed=7)[1]
        times_s = [event.at_s for event in history]
        assert times_s == sorted(times_s)
        assert times_s[-1] > 0.0

    def test_what_is_sent_to_a_server_that_is_down_is_lost(self) -> None:
        cluster = Cluster[str](3)
        cluster.crash(S3)
        cluster.propose(S1, "red")
        history = cluster.run()
        cluster.restart(S3)
        assert cluster.run() == []
        assert cluster.chosen == {S1: "red", S2: "red"}
        assert not any(isinstance(event, Delivery) and event.receiver == S3 for event in history)


class TestAgreement:
    """However the proposers get into each other's way."""

    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("servers", [2, 3, 4, 5])
    def test_rivals_agree_on_a_value_that_one_of_them_proposed(
        self, servers: int, seed: int
    ) -> None:
        cluster, _ = contest(servers, seed)
        assert set(cluster.chosen) == set(cluster.servers)
        (value,) = set(cluster.chosen.values())
        assert value in {f"by {me}" for me in cluster.servers}
        assert {report.value for _, report in cluster.reports if isinstance(report, Done)} == {
            value
        }

    def test_rivals_do_get_into_each_other_s_way(self) -> None:
        refused = [
            seed
            for seed in SEEDS
            for event in contest(5, seed)[1]
            if isinstance(event, Delivery) and type(event.message) is Nack
        ]
        assert len(set(refused)) > len(SEEDS) // 2

    @pytest.mark.parametrize("seed", SEEDS)
    def test_the_same_seed_is_the_same_history(self, seed: int) -> None:
        first, again = contest(5, seed), contest(5, seed)
        assert first[1] == again[1]
        assert first[0].reports == again[0].reports

    def test_the_seed_of_a_cluster_draws_its_delays(self) -> None:
        one, other = duel(seed=1), duel(seed=2)
        assert one == duel(seed=1)
        assert one != other

    @pytest.mark.parametrize("seed", SEEDS)
    def test_crashes_and_restarts_never_change_what_was_decided(self, seed: int) -> None:
        random = Random(seed)
        cluster = Cluster[str](5, seed=seed)
        for _ in range(60):
            disturb(cluster, random)
            for _ in range(random.randrange(12)):
                cluster.step()
        restart_all(cluster)
        for me in cluster.servers:
            cluster.inquire(me)
            cluster.run()
        decided = {report.value for _, report in cluster.reports if isinstance(report, Done)}
        assert len(decided) == 1
        assert decided == set(cluster.chosen.values())
        assert decided <= {f"by {me}" for me in cluster.servers}


class TestCrash:
    """What is saved survives, and nothing else does."""

    def test_promise_accepted_value_and_round_survive(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.run()
        before = cluster.state(S1)
        cluster.crash(S1)
        cluster.restart(S1)
        after = cluster.state(S1)
        assert after.acceptor == before.acceptor
        assert after.acceptor.accepted is not None
        assert after.proposer.max_round == before.proposer.max_round == 1

    def test_what_was_not_saved_is_forgotten(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.run()
        restart_all(cluster)
        assert cluster.chosen == {}

    def test_a_proposal_dies_with_its_server(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.crash(S1)
        cluster.restart(S1)
        cluster.run()
        assert cluster.chosen == {}
        cluster.propose(S1, "blue")
        cluster.run()
        assert cluster.chosen == dict.fromkeys(cluster.servers, "blue")

    @pytest.mark.parametrize("size", [0, 1, 2])
    def test_a_decision_survives_any_minority_and_the_restart_of_all(self, size: int) -> None:
        for lost in combinations((S1, S2, S3, S4, S5), size):
            cluster = Cluster[str](5)
            cluster.propose(S1, "red")
            cluster.run()
            restart_all(cluster)
            for server in lost:
                cluster.crash(server)
            reader = max({*cluster.servers} - {*lost})
            cluster.propose(reader, "blue")
            cluster.run()
            assert set(cluster.chosen.values()) == {"red"}, f"lost {lost}"

    def test_a_decision_survives_the_restart_of_all_at_any_moment(self) -> None:
        decided_early = 0
        for events in range(len(rival_run())):
            cluster = Cluster[str](3, seed=1)
            cluster.propose(S1, "red")
            cluster.propose(S3, "blue")
            for _ in range(events):
                cluster.step()
            before = {report.value for _, report in cluster.reports if isinstance(report, Done)}
            restart_all(cluster)
            cluster.propose(S2, "green")
            cluster.run()
            (value,) = set(cluster.chosen.values())
            assert before <= {value}, f"after {events} events"
            decided_early += len(before)
        assert decided_early > 0

    def test_a_server_that_is_down_cannot_be_asked(self) -> None:
        cluster = Cluster[str](3)
        cluster.crash(S2)
        for ask in cluster.state, cluster.inquire, cluster.crash:
            with pytest.raises(ServerDown, match=r"server 2 is down\. Restart it"):
                ask(S2)
        with pytest.raises(ServerDown):
            cluster.propose(S2, "red")
        with pytest.raises(UnknownServer):
            cluster.propose(NON_MEMBER, "red")

    def test_only_a_member_can_be_restarted(self) -> None:
        with pytest.raises(UnknownServer):
            Cluster[str](3).restart(NON_MEMBER)

    def test_a_crash_ends_the_wake_ups_of_its_server(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.crash(S1)
        cluster.restart(S1)
        assert not [event for event in cluster.run() if isinstance(event, memory.TimerFired)]

    def test_votes_that_come_after_the_crash_of_their_proposer_are_told_to_all(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        while not isinstance(arrived(cluster), Accept):
            assert cluster.chosen == {}
        cluster.crash(S1)
        cluster.restart(S1)
        cluster.inquire(S1)
        cluster.run()
        assert cluster.chosen == dict.fromkeys(cluster.servers, "red")


class TestReads:
    """A server asks a quorum, without a ballot, and saves nothing."""

    def test_nothing_is_found_before_anything_is_proposed(self) -> None:
        cluster = Cluster[str](3)
        reads = [cluster.read(me) for me in cluster.servers]
        cluster.run()
        assert cluster.reports == [
            (me, NotYetChosen(it)) for me, it in zip(cluster.servers, reads, strict=True)
        ]
        assert all(cluster.state(me).acceptor == Acceptor() for me in cluster.servers)

    def test_no_id_is_used_again_not_even_after_a_restart(self) -> None:
        cluster = Cluster[str](3)
        reads = set[ReadId]()
        for _ in range(3):
            reads.add(cluster.read(S1))
            cluster.restart(S1)
        assert len(reads) == 3

    def test_what_is_chosen_is_found_after_a_restart(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.run()
        cluster.restart(S2)
        cluster.read(S2)
        cluster.run()
        assert cluster.chosen[S2] == "red"

    def test_one_thing_at_a_time(self) -> None:
        cluster = Cluster[str](3)
        cluster.read(S1)
        with pytest.raises(Busy, match="a read is still in progress"):
            cluster.propose(S1, "red")
        cluster.run()
        cluster.propose(S1, "red")
        cluster.run()
        assert cluster.chosen[S1] == "red"


class TestStuck:
    """Without a quorum nothing is decided, nothing wrong is said, and the run ends with a hint."""

    @pytest.mark.parametrize("seed", range(3))
    def test_without_a_majority_nothing_is_chosen(self, seed: int) -> None:
        cluster = Cluster[str](5, seed=seed)
        for server in S3, S4, S5:
            cluster.crash(server)
        cluster.propose(S1, "red")
        cluster.propose(S2, "blue")
        with pytest.raises(DidNotSettle, match="too few servers are up"):
            cluster.run(max_events=2_000)
        assert cluster.chosen == {}
        assert cluster.reports == []

    def test_an_inquiry_without_a_majority_gets_no_answer(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.run()
        restart_all(cluster)
        cluster.crash(S2)
        cluster.crash(S3)
        reports = list(cluster.reports)
        cluster.inquire(S1)
        with pytest.raises(DidNotSettle):
            cluster.run(max_events=2_000)
        assert cluster.reports == reports

    def test_one_restart_more_and_the_run_goes_on(self) -> None:
        cluster = Cluster[str](3)
        cluster.crash(S2)
        cluster.crash(S3)
        cluster.propose(S1, "red")
        with pytest.raises(DidNotSettle):
            cluster.run(max_events=500)
        cluster.restart(S3)
        cluster.run()
        assert cluster.chosen == {S1: "red", S3: "red"}

    def test_a_crash_of_the_majority_under_way_stops_the_decision(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        while not isinstance(arrived(cluster), Accept):
            assert cluster.chosen == {}
        cluster.crash(S2)
        cluster.crash(S3)
        with pytest.raises(DidNotSettle):
            cluster.run(max_events=500)
        assert cluster.chosen == {}

    def test_the_bound_counts_events(self) -> None:
        needed = len(rival_run())
        assert len(rival_run(needed)) == needed
        with pytest.raises(DidNotSettle, match=f"after {needed - 1} events") as still_running:
            rival_run(needed - 1)
        assert still_running.value.history == rival_run()[:-1]


class TestAsking:
    """Inquire reads, Propose writes, and a proposer does one thing at a time."""

    def test_an_inquiry_before_any_proposal_finds_nothing(self) -> None:
        cluster = Cluster[str](3)
        cluster.inquire(S2)
        cluster.run()
        ((server, report),) = cluster.reports
        assert (server, type(report)) == (S2, NothingChosen)
        assert cluster.chosen == {}

    def test_an_inquiry_after_the_decision_finds_it(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.run()
        cluster.inquire(S2)
        assert cluster.run() == []
        server, report = cluster.reports[-1]
        assert isinstance(report, Done)
        assert (server, report.value, report.own) == (S2, "red", False)

    def test_an_inquiry_completes_what_a_dead_proposer_began(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        while not isinstance(arrived(cluster), Accept):
            assert cluster.reports == []
        cluster.crash(S1)
        cluster.inquire(S3)
        cluster.run()
        assert cluster.chosen == {S2: "red", S3: "red"}

    def test_a_proposal_after_the_decision_is_told_the_decision(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        cluster.run()
        cluster.propose(S3, "blue")
        assert cluster.run() == []
        assert cluster.chosen == dict.fromkeys(cluster.servers, "red")

    def test_a_server_at_work_is_busy_and_goes_on(self) -> None:
        cluster = Cluster[str](3)
        cluster.propose(S1, "red")
        before = cluster.state(S1)
        with pytest.raises(Busy):
            cluster.propose(S1, "blue")
        with pytest.raises(Busy):
            cluster.inquire(S1)
        assert cluster.state(S1) is before
        cluster.run()
        assert cluster.chosen == dict.fromkeys(cluster.servers, "red")

    def test_a_value_need_not_be_hashable(self) -> None:
        cluster = Cluster[dict[str, list[int]]](3)
        cluster.propose(S1, {"red": [1]})
        cluster.propose(S3, {"blue": [2]})
        cluster.run()
        assert list(cluster.chosen) == [S1, S2, S3]
        assert cluster.chosen[S1] == cluster.chosen[S2] == cluster.chosen[S3]
        assert cluster.chosen[S1] in ({"red": [1]}, {"blue": [2]})


class TestQuorum:
    """The members and their quorums are the user's choice."""

    @pytest.mark.parametrize(
        "quorum",
        [
            flexible([S1, S2, S3, S4], phase1=3, phase2=2),
            weighted({S1: 3, S2: 1, S5: 1}),
            explicit(phase1=[[S1, S2], [S3, S4]], phase2=[[S1, S3], [S2, S4]]),
        ],
    )
    def test_its_members_are_the_servers(self, quorum: QuorumSystem) -> None:
        cluster = Cluster[str](quorum=quorum)
        assert cluster.servers == tuple(sorted(quorum.members))
        cluster.propose(cluster.servers[-1], "red")
        cluster.run()
        assert cluster.chosen == dict.fromkeys(cluster.servers, "red")

    def test_a_heavy_server_decides_alone(self) -> None:
        cluster = Cluster[str](quorum=weighted({S1: 3, S2: 1, S3: 1}))
        cluster.crash(S2)
        cluster.crash(S3)
        cluster.propose(S1, "red")
        cluster.run()
        assert cluster.chosen == {S1: "red"}

    def test_two_light_servers_decide_nothing(self) -> None:
        cluster = Cluster[str](quorum=weighted({S1: 3, S2: 1, S3: 1}))
        cluster.crash(S1)
        cluster.propose(S2, "red")
        with pytest.raises(DidNotSettle):
            cluster.run(max_events=500)
        assert cluster.chosen == {}

    def test_a_cluster_needs_a_server(self) -> None:
        with pytest.raises(QuorumError):
            Cluster[str](0)


def contest(servers: int, seed: int) -> tuple[Cluster[str], list[memory.Event[str]]]:
    """Every server proposes, each at a random moment of the others' work."""
    random = Random(seed)
    cluster = Cluster[str](servers, seed=seed)
    history: list[memory.Event[str]] = []
    for me in random.sample(cluster.servers, servers):
        cluster.propose(me, f"by {me}")
        for _ in range(random.randrange(3 * servers)):
            event = cluster.step()
            history += [] if event is None else [event]
    return cluster, history + cluster.run()


def duel(seed: int) -> list[memory.Event[str]]:
    """Two servers out of three that nobody else can help."""
    cluster = Cluster[str](5, seed=seed)
    for server in S3, S4, S5:
        cluster.crash(server)
    cluster.propose(S1, "red")
    cluster.propose(S2, "blue")
    return [event for _ in range(200) if (event := cluster.step()) is not None]


def rival_run(max_events: int = 100_000) -> list[memory.Event[str]]:
    """The whole run of two rivals out of three."""
    cluster = Cluster[str](3, seed=1)
    cluster.propose(S1, "red")
    cluster.propose(S3, "blue")
    return cluster.run(max_events)


def disturb(cluster: Cluster[str], random: Random) -> None:
    """One random act: a proposal, an inquiry, a crash or a restart."""
    me: ServerId = random.choice(cluster.servers)
    act = random.choice(("propose", "inquire", "crash", "restart"))
    try:
        if act == "propose":
            cluster.propose(me, f"by {me}")
        elif act == "inquire":
            cluster.inquire(me)
        elif act == "crash":
            cluster.crash(me)
        else:
            cluster.restart(me)
    except (Busy, ServerDown):
        pass


def restart_all(cluster: Cluster[str]) -> None:
    """Every server loses what it did not save."""
    for me in cluster.servers:
        cluster.restart(me)


def arrived(cluster: Cluster[str]) -> object:
    """The message that arrives next."""
    event = cluster.step()
    assert isinstance(event, Delivery)
    return event.message
