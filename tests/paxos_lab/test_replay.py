"""Replays: the same functions reach the same states, and say where they do not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from textwrap import dedent

import pytest

from paxos import (
    Acceptor,
    AgreementBroken,
    Broadcast,
    Chosen,
    From,
    InvariantError,
    Message,
    Prepare,
    Promise,
    Proposal,
    Propose,
    QuorumSystem,
    RetryTimer,
    Saved,
    ServerId,
    To,
    majority,
    server,
)
from paxos.server import ServerTimer
from paxos_adapters.codecs import RAW, SURROGATE_ESCAPE, TEXT
from paxos_adapters.coding import Json
from paxos_adapters.file import FileStore, rows
from paxos_adapters.file.rows import ACCEPTOR, acceptor_of
from paxos_adapters.machine import Effect
from paxos_adapters.memory import Cluster
from paxos_adapters.node import registers as registers_module
from paxos_adapters.node.registers import Registers
from paxos_adapters.ports import Place
from paxos_adapters.single import SingleObserver, SingleProcess
from paxos_lab.explain import Agreed, explain, of_replay
from paxos_lab.explore.checking import explore_cluster
from paxos_lab.explore.counterexamples import counterexample
from paxos_lab.explore.recorded import write
from paxos_lab.explore.scopes import Scope
from paxos_lab.lecture import SCENARIOS, Scenario
from paxos_lab.machines.faulty import PROTOCOLS
from paxos_lab.machines.protocols import PAXOS, Protocol
from paxos_lab.record import (
    Key,
    Recorder,
    RecordingError,
    Took,
    fingerprint,
    replay,
    single_coder,
)
from paxos_lab.simulate import SingleSetup, play
from paxos_lab.simulate import record as simulated
from tests.support import S1, S2, S3, S4, S5, THREE, ballot
from tests.support.free_ports import free_addresses
from tests.support.recordings import Lines, driven, forge, lines
from tests.support.slow import slow_but_for

LECTURE = {it.protocol.name: it.protocol for it in SCENARIOS.values()}


def record(path: Path, protocol: Protocol = PAXOS) -> Recorder[str]:
    return Recorder(path, codec=TEXT, runtime="test", protocol=protocol.name)


Effects = tuple[Effect[Message[str], ServerTimer, server.Report[str]], ...]


class Watch:
    """An observer that keeps the states, and passes on what it is told to another one."""

    def __init__(self, other: SingleObserver[str]) -> None:
        self.other = other
        self.states: dict[Key, server.Server[str]] = {}

    def set_time(self, now_s: float) -> None:
        self.other.set_time(now_s)

    def started(self, place: Place, quorum: QuorumSystem, process: SingleProcess[str]) -> None:
        self.states[place.server, place.name] = process.state
        self.other.started(place, quorum, process)

    def stepped(
        self,
        place: Place,
        event: server.Event[str],
        before: SingleProcess[str],
        after: SingleProcess[str],
    ) -> None:
        self.states[place.server, place.name] = after.state
        self.other.stepped(place, event, before, after)

    def state_set(self, place: Place, process: SingleProcess[str]) -> None:
        self.states[place.server, place.name] = process.state
        self.other.state_set(place, process)

    def saved(
        self,
        place: Place,
        process: SingleProcess[str],
        records: tuple[server.Record[str], ...],
        count: int,
    ) -> None:
        self.other.saved(place, process, records, count)

    def sent(self, place: Place, process: SingleProcess[str], effects: Effects) -> None:
        self.other.sent(place, process, effects)

    def failed(self, place: Place, event: server.Event[str], error: InvariantError) -> None:
        self.other.failed(place, event, error)

    def stopped(self, place: Place, records: tuple[server.Record[str], ...], why: str) -> None:
        del self.states[place.server, place.name]
        self.other.stopped(place, records, why)


def check_run(path: Path, seed: int, setup: SingleSetup) -> None:
    """Record a simulated run; its replay comes to the same states."""
    _, acts = simulated(seed, setup)
    with record(path, setup.protocol) as recorder:
        watch = Watch(recorder)
        play(setup, acts, watch)
    found = replay(path)
    assert found.difference is None, (seed, found.difference)
    assert found.states == watch.states, seed
    arrivals = [step.arrival for step in found.steps if step.arrival is not None]
    assert all(it.sent is not None for it in arrivals), seed


@pytest.mark.parametrize("first", slow_but_for({0}.__contains__, range(0, 100, 20)))
def test_simulated_lives_replay_to_the_very_states(first: int, tmp_path: Path) -> None:
    """Crashes before, within and after a save, slow saves, disks that fail, and restarts."""
    setup = SingleSetup(servers=5, proposers=2, readers=1)
    for seed in range(first, first + 20):
        check_run(tmp_path / str(seed), seed, setup)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_failing_seeds_are_recordings(name: str, tmp_path: Path) -> None:
    setup = SingleSetup(protocol=PROTOCOLS[name], allow_lost_disk_votes=True)
    for seed in range(5):
        check_run(tmp_path / str(seed), seed, setup)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=lambda it: it.name)
def test_every_scenario_of_the_lecture_replays(scenario: Scenario, tmp_path: Path) -> None:
    with record(tmp_path / "run", scenario.protocol) as recorder:
        stage = scenario.stage(recorder)
        scenario.schedule(stage)

    found = replay(tmp_path / "run", protocols=LECTURE)

    assert found.difference is None
    up = [me for me in stage.servers if stage.is_up(me)]
    assert found.states == {(me, ""): stage.state(me) for me in up}


def test_counterexamples_are_recordings(tmp_path: Path) -> None:
    scope = Scope(crashes=1, protocol=PROTOCOLS["round-reused"])
    machine, walk = explore_cluster(scope, rules=["no server finds the protocol broken"])
    assert walk.violation is not None
    example = counterexample(machine, walk.violation)
    write(tmp_path / "run", example)

    found = replay(tmp_path / "run")

    assert found.difference is None
    assert list(found.lanes.values()) == ["A1", "A2", "A3", "P1", "P2"]
    accepted = [found.states[ServerId(lane), ""].acceptor.accepted for lane in (1, 2, 3)]
    assert accepted == list(example.system.accepted(example.run[-1].after))
    arrivals = [step.arrival for step in found.steps if step.arrival is not None]
    assert arrivals
    assert all(it.sent is not None for it in arrivals)


# --- differences --------------------------------------------------------------------------------


def one_round(path: Path) -> None:
    """S1 gets red promised, accepted and chosen by three servers."""
    with record(path) as recorder:
        cluster = Cluster[str](3, observer=recorder)
        cluster.propose(S1, "red")
        cluster.run()


def test_another_acceptor_is_found_at_its_first_step(tmp_path: Path) -> None:
    """The mutant forgets what it promises; S1 is the first that is asked to promise."""
    one_round(tmp_path / "run")
    forgetful = PROTOCOLS["promise-forgotten"]

    found = replay(tmp_path / "run", protocols={"paxos": forgetful})

    difference = found.difference
    assert difference is not None
    (line,) = [
        number
        for number, line in enumerate(lines(tmp_path / "run"), start=1)
        if line.get("took") == ["From", 1, ["Prepare", "1.1"]] and line["server"] == 1
    ]
    assert (difference.server, difference.line, difference.step) == (S1, line, line - 1)
    assert difference.expected.startswith("acceptor ")
    assert difference.came.startswith("acceptor ")
    assert len(found.steps) == line - 2
    assert found.states[S1, ""].acceptor == Acceptor[str]()


def raising(state: server.Server[str], event: server.Event[str]) -> server.Step[str]:
    if isinstance(event, From) and isinstance(event.message, Prepare):
        raise ZeroDivisionError("by accident")
    return server.receive(state, event)


def test_a_core_that_raises_is_a_difference(tmp_path: Path) -> None:
    one_round(tmp_path / "run")

    found = replay(tmp_path / "run", protocols={"paxos": Protocol("paxos", "raises", raising)})

    assert found.difference is not None
    assert found.difference.expected == "a step"
    assert found.difference.came == "ZeroDivisionError (by accident)"


def test_a_core_that_does_not_raise_any_more_is_a_difference(tmp_path: Path) -> None:
    one_round(tmp_path / "run")
    forge(tmp_path / "run", lambda them: them[-2].update(raised="AgreementBroken"))

    found = replay(tmp_path / "run")

    assert found.difference is not None
    assert (found.difference.expected, found.difference.came) == ("AgreementBroken", "a step")


@pytest.mark.parametrize(
    ("forged", "expected"),
    [
        ({"freed": 2}, "the end of a save for 2"),
        ({"ended": "twice", "server": 7}, "about a server that is there"),
    ],
)
def test_what_cannot_have_happened_is_a_difference(
    forged: dict[str, Json], expected: str, tmp_path: Path
) -> None:
    one_round(tmp_path / "run")

    def change(them: Lines) -> None:
        place = next(place for place, line in enumerate(them) if "freed" in line)
        them[place].update(forged)
        if "ended" in forged:
            del them[place]["freed"]

    forge(tmp_path / "run", change)

    found = replay(tmp_path / "run")

    assert found.difference is not None
    assert found.difference.expected == expected


def test_another_core_is_told_even_if_the_states_are_the_same(tmp_path: Path) -> None:
    one_round(tmp_path / "run")
    core: dict[str, Json] = {**fingerprint(), "acceptor": "00000000", "log": "11111111"}
    forge(tmp_path / "run", lambda them: them[0].update(core=core))

    found = replay(tmp_path / "run")

    assert found.difference is None
    assert found.other_core == ("acceptor", "log")


def test_an_unknown_protocol_is_told(tmp_path: Path) -> None:
    one_round(tmp_path / "run")
    forge(tmp_path / "run", lambda them: them[0].update(protocol="raft"))

    with pytest.raises(RecordingError, match="ran the protocol 'raft', which is not among"):
        replay(tmp_path / "run")


def test_nothing_to_replay() -> None:
    with pytest.raises(RecordingError, match="name a recording"):
        replay()


# --- several files ------------------------------------------------------------------------------


class Each:
    """An observer that has a recorder for each server, on clocks that differ."""

    def __init__(
        self, recorders: dict[ServerId, Recorder[str]], skews_s: dict[ServerId, float]
    ) -> None:
        self.recorders = recorders
        self.skews_s = skews_s

    def set_time(self, now_s: float) -> None:
        for me, recorder in self.recorders.items():
            recorder.set_time(now_s + self.skews_s.get(me, 0.0))

    def started(self, place: Place, quorum: QuorumSystem, process: SingleProcess[str]) -> None:
        self.recorders[place.server].started(place, quorum, process)

    def stepped(
        self,
        place: Place,
        event: server.Event[str],
        before: SingleProcess[str],
        after: SingleProcess[str],
    ) -> None:
        self.recorders[place.server].stepped(place, event, before, after)

    def state_set(self, place: Place, process: SingleProcess[str]) -> None:
        self.recorders[place.server].state_set(place, process)

    def saved(
        self,
        place: Place,
        process: SingleProcess[str],
        records: tuple[server.Record[str], ...],
        count: int,
    ) -> None:
        self.recorders[place.server].saved(place, process, records, count)

    def sent(self, place: Place, process: SingleProcess[str], effects: Effects) -> None:
        self.recorders[place.server].sent(place, process, effects)

    def failed(self, place: Place, event: server.Event[str], error: InvariantError) -> None:
        self.recorders[place.server].failed(place, event, error)

    def stopped(self, place: Place, records: tuple[server.Record[str], ...], why: str) -> None:
        self.recorders[place.server].stopped(place, records, why)


def several(folder: Path, skews_s: dict[ServerId, float]) -> tuple[list[Path], Cluster[str]]:
    paths = [folder / f"n{me}" for me in range(1, 6)]
    with ExitStack() as stack:
        recorders = {
            ServerId(number): stack.enter_context(record(path))
            for number, path in enumerate(paths, start=1)
        }
        cluster = Cluster[str](5, observer=Each(recorders, skews_s))
        cluster.propose(S1, "red")
        cluster.propose(S5, "blue")
        for _ in range(9):
            cluster.step()
        cluster.crash(S3)
        cluster.run()
        cluster.restart(S3)
        cluster.inquire(S3)
        cluster.run()
    return paths, cluster


@pytest.mark.parametrize("skews_s", [{}, {S1: -9.0, S2: 5.0, S4: 0.001}, {S5: 3600.0}])
def test_several_recordings_make_one_story(skews_s: dict[ServerId, float], tmp_path: Path) -> None:
    """Whatever their clocks say, nothing is heard before it is said."""
    paths, cluster = several(tmp_path, skews_s)

    found = replay(*paths)

    assert found.difference is None
    assert found.states == {(me, ""): cluster.state(me) for me in cluster.servers}
    for step in found.steps:
        if step.arrival is not None:
            assert step.arrival.sent is not None
            assert step.arrival.sent.step < step.number


def test_what_others_say_comes_from_outside_without_their_recordings(tmp_path: Path) -> None:
    paths, cluster = several(tmp_path, {})

    found = replay(paths[1])

    assert found.difference is None
    assert found.states == {(S2, ""): cluster.state(S2)}
    sources = {step.arrival.sent for step in found.steps if step.arrival is not None}
    assert sources == {None}


def test_recordings_of_different_clusters_do_not_go_together(tmp_path: Path) -> None:
    one_round(tmp_path / "three")
    several(tmp_path, {})

    with pytest.raises(RecordingError, match="replay together only what belongs to one cluster"):
        replay(tmp_path / "n1", tmp_path / "three")


def test_equal_messages_are_told_apart_by_their_order(tmp_path: Path) -> None:
    """S2 hears the same Prepare three times, and it was sent twice."""
    with record(tmp_path / "run") as recorder:
        one, two = driven(S1, THREE, recorder), driven(S2, THREE, recorder)
        for event in (Propose("red"), RetryTimer(ballot("1.1"))):
            one.step(event)
        for _ in range(3):
            two.step(From(S1, Prepare(ballot("1.1"))))

    found = replay(tmp_path / "run")

    arrivals = [step.arrival for step in found.steps if step.arrival is not None]
    assert [(it.sent and it.sent.step, it.is_repeated) for it in arrivals] == [
        (3, False),
        (4, False),
        (4, True),
    ]
    assert {it.receiver for it in found.undelivered} >= {S1, S3}


# --- registers and nodes ------------------------------------------------------------------------


def test_registers_tell_of_each_name(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", codec=RAW, runtime="test") as recorder:
        own: list[tuple[str, server.Event[bytes]]] = []

        def receive(name: str, event: server.Event[bytes]) -> None:
            perform((name, effect) for effect in registers.receive(name, event))

        def perform(effects: Iterable[tuple[str, server.Effect[bytes]]]) -> None:
            for name, effect in effects:
                if isinstance(effect, Broadcast | To):
                    own.append((name, From(S1, effect.message)))

        registers = Registers(S1, majority([S1]), load=lambda _: Saved(()), observer=recorder)
        for name in ("a", "b"):
            receive(name, Propose(name.encode()))
        for _ in range(4):
            waiting = registers.take_waiting()
            perform(registers.on_saved(waiting, Saved(tuple(it for _, it in waiting))))
            while own:
                receive(*own.pop(0))

    found = replay(tmp_path / "run")

    assert found.difference is None
    assert found.names == ("a", "b")
    assert set(found.states) == {(S1, "a"), (S1, "b")}
    for name in ("a", "b"):
        replayed = single_coder(SURROGATE_ESCAPE).encode(found.states[S1, name])
        assert replayed == single_coder(RAW).encode(registers.get(name).state)
        reason = explain(of_replay(found, name), name)
        assert isinstance(reason, Agreed)
        assert reason.value == name


def test_registers_that_leave_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, they are loaded, and have kept their promises."""
    monkeypatch.setattr(registers_module, "CACHE_SIZE", 1)
    monkeypatch.setattr(registers_module, "CACHE_SLACK", 0)
    disk: dict[str, server.Record[bytes]] = {}

    def load(name: str) -> Saved[server.Record[bytes]]:
        return Saved((disk[name],) if name in disk else ())

    with Recorder(tmp_path / "run", codec=RAW, runtime="test") as recorder:
        registers = Registers(S1, THREE, load=load, observer=recorder)
        for name in ("a", "b", "c", "a"):
            registers.receive(name, From(S2, Prepare(ballot("1.2"))))
            waiting = registers.take_waiting()
            disk.update(waiting)
            registers.on_saved(waiting, Saved(tuple(it for _, it in waiting)))

    found = replay(tmp_path / "run")

    assert found.difference is None
    dropped = [it["name"] for it in lines(tmp_path / "run") if "ended" in it]
    assert dropped == ["a", "b", "c"]
    assert {name for _, name in found.states} == {"a"}
    sent = [(it.name, it.message) for step in found.steps for it in step.sent]
    assert sent == [(name, Promise(ballot("1.2"), None)) for name in ("a", "b", "c", "a")]


def test_registers_tell_of_a_broken_protocol(tmp_path: Path) -> None:
    with Recorder(tmp_path / "run", codec=RAW, runtime="test") as recorder:
        registers = Registers(S1, THREE, load=lambda _: Saved(()), observer=recorder)
        registers.receive("a", From(S2, Chosen(ballot("1.2"), b"red")))
        with pytest.raises(AgreementBroken):
            registers.receive("a", From(S3, Chosen(ballot("1.3"), b"blue")))

    found = replay(tmp_path / "run")

    assert found.difference is None
    last = found.steps[-1].entry.what
    assert isinstance(last, Took)
    assert last.raised == "AgreementBroken"


NODE = dedent(
    """
    import asyncio, os, sys
    from pathlib import Path
    from paxos import ServerId, majority
    from paxos_adapters.codecs import RAW, TEXT
    from paxos_adapters.file import FileStore, rows
    from paxos_adapters.timeouts import Timeouts
    from paxos_adapters.node import NetworkConfig, Node
    from paxos_lab.record import Recorder

    async def main(me, folder, ports):
        recorder = Recorder(folder / f"n{me}.jsonl", codec=RAW, runtime="node")
        addresses = {ServerId(it): ("127.0.0.1", port) for it, port in enumerate(ports, 1)}
        often = Timeouts(retry_min_s=0.02, retry_max_s=0.5, heartbeat_s=0.02)
        quorum = majority(addresses)
        with FileStore.open(folder / f"n{me}.db", cluster="c", server=me, quorum=quorum) as file:
            network = NetworkConfig(addresses)
            node = Node(file, network, codec=TEXT, timeouts=often, observer=recorder)
            async with node as running:
                print("up", flush=True)
                number = 0
                while True:
                    number += 1
                    name = f"{number} of {os.getpid()}" if number % 2 else f"{number} of all"
                    value = await running.propose(name, f"of {me}")
                    print(f"{name}: {value}", flush=True)

    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), [int(it) for it in sys.argv[3:]]))
    """
)


class FiveProcesses:
    """Five nodes, each a process with a file and a recording, which are killed and started again.

    ``said`` are the values that their programs were told to be chosen, by name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._addresses = free_addresses(5)
        self.servers = tuple(self._addresses)
        self.said: dict[str, set[str]] = {}
        for me in self.servers:
            quorum = majority(self.servers)
            FileStore.create(self.store(me), cluster="c", server=me, quorum=quorum).close()
        self.running = {me: self._start(me) for me in self.servers}

    def store(self, me: ServerId) -> Path:
        return self._folder / f"n{me}.db"

    def recordings(self) -> list[Path]:
        return [self._folder / f"n{me}.jsonl" for me in self.servers]

    def _start(self, me: ServerId) -> subprocess.Popen[str]:
        ports = [str(port) for _, port in self._addresses.values()]
        command = [sys.executable, "-c", NODE, str(me), str(self._folder), *ports]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def read(self, me: ServerId, count: int) -> None:
        """Note what the process prints in so many lines."""
        pipe = self.running[me].stdout
        assert pipe is not None
        for _ in range(count):
            name, _, value = pipe.readline().rstrip("\n").partition(": ")
            if value:
                self.said.setdefault(name, set()).add(value)

    def kill(self, me: ServerId) -> None:
        self.running[me].kill()
        self.running[me].communicate()

    def restart(self, me: ServerId) -> None:
        self.kill(me)
        self.running[me] = self._start(me)


@pytest.mark.slow
def test_five_processes_that_are_killed_replay_to_the_same_states(tmp_path: Path) -> None:
    """SIGKILL to each of them, twice, in the middle of its work."""
    nodes = FiveProcesses(tmp_path)
    try:
        for me in nodes.servers:
            nodes.read(me, 5)
        for _ in range(2):
            for me in nodes.servers:
                nodes.restart(me)
                nodes.read(me, 4)
    finally:
        for me in nodes.servers:
            nodes.kill(me)

    found = replay(*nodes.recordings())

    assert found.difference is None
    assert sorted(found.unfinished) == nodes.recordings()
    assert len(found.headers) == 15
    assert len(nodes.said) > 25
    for name, values in nodes.said.items():
        reason = explain(of_replay(found, name), name)
        assert isinstance(reason, Agreed)
        assert values == {reason.value}
    for me in nodes.servers:
        for row in rows(nodes.store(me)):
            accepted = _accepted(found.disks[me, row.name]) if row.kind == ACCEPTOR else None
            if accepted is not None:
                held = acceptor_of(row).accepted
                assert held is not None
                assert held.ballot >= accepted.ballot  # the last save may not be recorded yet


def _accepted(disk: tuple[server.Record[str], ...]) -> Proposal[str] | None:
    return next((it.accepted for it in reversed(disk) if isinstance(it, Acceptor)), None)
