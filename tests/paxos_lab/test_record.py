"""Recordings: what is written is what happened, all of it, and nothing else is ever read back."""

from __future__ import annotations

import json
import logging
import os
from errno import ENOSPC
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paxos import (
    Accept,
    Accepted,
    Acceptor,
    Answer,
    Ballot,
    Chosen,
    Decision,
    Done,
    Election,
    From,
    Heartbeat,
    HeartbeatTimer,
    Inquire,
    InvariantError,
    Learner,
    MaxRound,
    Message,
    Nack,
    Prepare,
    Promise,
    Proposal,
    Propose,
    Proposer,
    Query,
    QueryTimer,
    QuorumSystem,
    Read,
    ReadId,
    RetryTimer,
    Saved,
    Server,
    ServerId,
    explicit,
    flexible,
    majority,
    server,
    weighted,
)
from paxos.election import PeerHeartbeat
from paxos.learner import Tally
from paxos.proposer import Accepting, Idle, Preparing, Task
from paxos.reader import Querying
from paxos.server import ServerTimer
from paxos_adapters.arguments import BadNumber
from paxos_adapters.codecs import RAW, SURROGATE_ESCAPE, TEXT
from paxos_adapters.coding import CodingError, Json
from paxos_adapters.host import Host, ServerStopped
from paxos_adapters.memory import Clock, Cluster, MemoryStore, MemoryTimer, MemoryTransport, Network
from paxos_adapters.outputs import OutputRefused
from paxos_adapters.ports import Place, Ports
from paxos_adapters.single import Single, SingleHost, single
from paxos_lab.record import (
    MAX_BYTES,
    OtherFormat,
    Recorder,
    RecordingCorrupted,
    RecordingError,
    Replay,
    fingerprint,
    replay,
    single_coder,
)
from paxos_lab.record.recorder import MIN_BYTES
from tests.support import FIVE, S1, S2, S3, S5, THREE
from tests.support.recordings import Lines, driven, forge, lines
from tests.support.slow import slow_but_for

# --- everything that can be in a recording ------------------------------------------------------

VALUES = st.binary(max_size=4)
IDS = st.sampled_from([S1, S2, S3, ServerId(-7)])
ROUNDS = st.integers(0, 2**40)
BALLOTS = st.builds(Ballot, ROUNDS, IDS)
PROPOSALS = st.none() | st.builds(Proposal, BALLOTS, VALUES)
READS = st.builds(ReadId, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
SETS = st.frozensets(IDS)
MESSAGES = st.one_of(
    st.builds(Prepare, BALLOTS),
    st.builds(Promise, BALLOTS, PROPOSALS),
    st.builds(Accept, BALLOTS, VALUES),
    st.builds(Accepted, BALLOTS, VALUES),
    st.builds(Nack, BALLOTS, BALLOTS),
    st.builds(Chosen, BALLOTS, VALUES),
    st.builds(Query, READS),
    st.builds(Answer, READS, PROPOSALS),
    st.just(Heartbeat()),
)
REQUESTS = st.one_of(st.builds(Propose, VALUES), st.just(Inquire()), st.builds(Read, READS))
EVENTS = st.one_of(
    REQUESTS,
    st.builds(RetryTimer, BALLOTS),
    st.builds(QueryTimer, READS),
    st.builds(HeartbeatTimer, ROUNDS),
    st.builds(From, IDS, MESSAGES),
)
QUORUMS: st.SearchStrategy[QuorumSystem] = st.sampled_from(
    [
        THREE,
        flexible([S1, S2, S3], phase1=3, phase2=1),
        weighted({S1: 2, S2: 1, S3: 0}),
        explicit(phase1=[[S1, S2], [S3]], phase2=[[S1, S3], [S2, S3]]),
    ]
)
TASKS = st.builds(Task, REQUESTS, ROUNDS, ROUNDS)
LEARNERS = st.builds(
    Learner,
    QUORUMS,
    st.lists(st.builds(Tally, BALLOTS, VALUES, SETS), max_size=2).map(tuple),
    st.none() | st.builds(Decision, st.builds(Chosen, BALLOTS, VALUES), SETS),
)
PHASES = st.one_of(
    st.just(Idle()),
    st.builds(Querying, READS, LEARNERS, ROUNDS, SETS, SETS, BALLOTS),
    st.builds(Preparing, BALLOTS, TASKS, SETS, SETS, st.booleans(), PROPOSALS),
    st.builds(Accepting, BALLOTS, TASKS, VALUES, st.booleans(), SETS, SETS, st.booleans()),
    st.builds(Done, BALLOTS, VALUES, st.booleans()),
)
STATES = st.builds(
    Server,
    st.builds(Acceptor, BALLOTS, PROPOSALS),
    st.builds(Proposer, IDS, QUORUMS, ROUNDS, PHASES),
    LEARNERS,
    st.builds(
        Election,
        IDS,
        SETS,
        ROUNDS,
        st.lists(st.builds(PeerHeartbeat, IDS, ROUNDS), max_size=2).map(tuple),
    ),
)
CODER = single_coder(RAW)


def through_json(coded: object) -> object:
    return json.loads(json.dumps(coded))


@given(EVENTS)
def test_every_event_comes_back(event: server.Event[bytes]) -> None:
    assert CODER.event(through_json(CODER.encode(event))) == event


@given(STATES)
def test_every_state_comes_back(state: Server[bytes]) -> None:
    assert CODER.state(through_json(CODER.encode(state))) == state


@given(QUORUMS)
def test_every_quorum_system_comes_back(quorum: QuorumSystem) -> None:
    assert CODER.quorum(through_json(CODER.encode(quorum))) == quorum


@given(STATES, STATES)
def test_equal_states_and_no_others_have_the_same_digest(
    one: Server[bytes], other: Server[bytes]
) -> None:
    assert (CODER.digest(one) == CODER.digest(other)) == (one == other)


def test_a_set_has_one_order() -> None:
    many = [ServerId(it) for it in (90, 8, 1, 64, 33)]
    system = explicit(phase1=[many, [S1, S2]], phase2=[many, [S2, S1]])

    assert CODER.encode(frozenset(many)) == [1, 8, 33, 64, 90]
    assert CODER.encode(system) == CODER.encode(
        explicit(phase1=[[S2, S1], many[::-1]], phase2=[[S1, S2], many])
    )


NAMES = [
    "From",
    "Prepare",
    "Promise",
    "Proposal",
    "Server",
    "Acceptor",
    "BySize",
    "Task",
    "RetryTimer",
]


def tagged(name: str, rest: list[object]) -> list[object]:
    return [name, *rest]


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["base64", "x"]), inner, max_size=2),
        st.builds(tagged, st.sampled_from(NAMES), st.lists(inner)),
    )


JUNK: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just("1.1"),
    nested,
)


@pytest.mark.slow
@settings(max_examples=300)
@given(JUNK)
def test_junk_is_refused_by_type_or_is_what_it_says(junk: object) -> None:
    try:
        event = CODER.event(junk)
    except CodingError:
        return
    assert through_json(CODER.encode(event)) == junk


@pytest.mark.parametrize(
    "coded",
    [
        ["HeartbeatTimer", True],
        ["HeartbeatTimer", 2**64],
        ["HeartbeatTimer", 1, 2],
        ["RetryTimer", "1"],
        ["RetryTimer", "-1.1"],
        ["RetryTimer", "01.1"],
        ["RetryTimer", "1.1 "],
        ["Propose", {"base64": "!"}],
        ["Propose", {"base64": "", "x": ""}],
        ["Acceptor", "1.1", None],
        ["From", 1, ["From", 1, ["Heartbeat"]]],
        "Inquire",
        [],
        None,
    ],
)
def test_what_does_not_fit_its_type_is_refused(coded: object) -> None:
    with pytest.raises(CodingError):
        CODER.event(coded)


@pytest.mark.parametrize(
    "coded",
    ["", "1", "1/", "/1", "-1/1", "1/-1", "1.1", "01/1", "1/1/1", f"{2**64}/1", 1, None, [1, 1]],
    ids=repr,
)
def test_what_is_no_id_of_a_read_is_refused(coded: object) -> None:
    assert CODER.event(["Read", "17/4"]) == Read(ReadId(17, 4))
    with pytest.raises(CodingError, match="the id of a read"):
        CODER.event(["Read", coded])


def test_a_set_with_an_item_twice_and_quorums_that_miss_are_refused() -> None:
    with pytest.raises(CodingError, match="share no server"):
        CODER.quorum(["BySize", [1, 2], 1, 1])
    with pytest.raises(CodingError, match="set"):
        CODER.quorum(["BySize", [1, 1], 1, 1])


def test_what_is_not_of_the_core_is_not_written() -> None:
    with pytest.raises(CodingError, match="Path is nothing that"):
        CODER.encode(Path("x"))


@given(st.binary())
def test_any_bytes_are_text_and_back(encoded: bytes) -> None:
    assert SURROGATE_ESCAPE.encode(SURROGATE_ESCAPE.decode(encoded)) == encoded


# --- runs ---------------------------------------------------------------------------------------


def record(path: Path, max_bytes: int = MAX_BYTES, keep: int = 1) -> Recorder[str]:
    return Recorder(path, codec=TEXT, runtime="test", max_bytes=max_bytes, keep=keep)


def rivals(recorder: Recorder[str], seed: int = 0) -> Cluster[str]:
    """Two propose, one crashes half way, and finds out later."""
    cluster = Cluster[str](5, observer=recorder, seed=seed)
    cluster.propose(S1, "red")
    cluster.propose(S5, "blue")
    for _ in range(7 + seed % 5):
        cluster.step()
    cluster.crash(S5)
    cluster.run()
    cluster.restart(S5)
    cluster.inquire(S5)
    cluster.run()
    return cluster


def same(found: Replay, cluster: Cluster[str]) -> bool:
    return found.states == {(me, ""): cluster.state(me) for me in cluster.servers}


@pytest.mark.parametrize("seed", range(5))
def test_a_run_replays_to_the_very_states(seed: int, tmp_path: Path) -> None:
    with record(tmp_path / "run") as recorder:
        cluster = rivals(recorder, seed)

    found = replay(tmp_path / "run")

    assert found.difference is None
    assert same(found, cluster)
    assert (found.torn, found.unfinished, found.other_core) == ([], [], ())
    assert found.quorum == FIVE
    sent = [it for step in found.steps for it in step.sent]
    arrived = [step.arrival.sent for step in found.steps if step.arrival is not None]
    assert None not in arrived
    assert sorted(it.number for it in sent) == sorted(
        it.number for it in [*found.undelivered, *filter(None, arrived)]
    )


def test_the_lines_are_what_the_document_shows(tmp_path: Path) -> None:
    with record(tmp_path / "run") as recorder:
        cluster = Cluster[str](1, observer=recorder)
        cluster.propose(S1, "red")

    header, *rest = lines(tmp_path / "run")

    assert header["recording"] == 3
    assert header["core"] == fingerprint()
    assert [{key: it for key, it in line.items() if key != "now"} for line in rest] == [
        {"at_s": 0.0, "server": 1, "name": "", "began": []},
        {"at_s": 0.0, "server": 1, "name": "", "took": ["Propose", "red"], "waits": True},
        {"at_s": 0.0, "server": 1, "name": "", "freed": 1},
        {"at_s": 0.0, "closed": True},
    ]


def test_without_an_observer_a_run_is_the_same(tmp_path: Path) -> None:
    with record(tmp_path / "run") as recorder:
        watched = Cluster[str](5, observer=recorder, seed=3)
        watched.propose(S2, "red")
        history = watched.run()
    alone = Cluster[str](5, seed=3)
    alone.propose(S2, "red")

    assert alone.run() == history


def test_a_save_that_fails_and_a_broken_protocol_are_recorded(tmp_path: Path) -> None:
    class Full(MemoryStore[server.Record[str]]):
        def save(self, records: tuple[server.Record[str], ...]) -> Saved[server.Record[str]]:
            raise OSError(f"no room for {len(records)}")

    with record(tmp_path / "run") as recorder:
        cluster = Cluster[str](
            3, observer=recorder, stores=lambda me: Full() if me == S3 else MemoryStore()
        )
        cluster.propose(S1, "red")
        with pytest.raises(ServerStopped):
            cluster.run()
        wires: Network[Message[str]] = Network()
        store = MemoryStore[server.Record[str]]()
        ports = Ports(MemoryTransport(S2, wires), MemoryTimer(S2, Clock[ServerTimer]()), store)
        host: SingleHost[str] = Host(single(), S2, THREE, ports, observer=recorder)
        host.receive(From(S1, Chosen(Ballot(1, S1), "red")))
        with pytest.raises(ServerStopped):
            host.receive(From(S1, Chosen(Ballot(2, S1), "blue")))

    found = replay(tmp_path / "run")

    assert found.difference is None
    assert found.states.keys() == {(S1, "")}
    ends = [line["ended"] for line in lines(tmp_path / "run") if "ended" in line]
    assert ends[0] == "stopped by OSError: no room for 1"
    assert str(ends[1]).startswith("stopped by AgreementBroken: two values")
    assert [line["raised"] for line in lines(tmp_path / "run") if "raised" in line] == [
        "AgreementBroken"
    ]


# --- files --------------------------------------------------------------------------------------


def test_a_full_file_makes_room_and_each_can_be_replayed_alone(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with record(path, max_bytes=MIN_BYTES, keep=9) as recorder:
        cluster = rivals(recorder)

    found = replay(path)
    parts = sorted(tmp_path.iterdir())

    assert len(parts) > 2
    assert all(part.stat().st_size <= MIN_BYTES for part in parts)
    assert found.difference is None
    assert same(found, cluster)
    for number, part in enumerate(parts):
        assert sum("known" in line for line in lines(part)) <= 5
        alone = tmp_path / "alone" / str(number)
        alone.parent.mkdir(exist_ok=True)
        part.rename(alone)
        assert replay(alone).difference is None
    final = replay(tmp_path / "alone" / "0").states
    assert final
    assert all(cluster.state(me) == state for (me, _), state in final.items())


@pytest.mark.parametrize("seed", slow_but_for({1, 2, 5}.__contains__, range(20)))
def test_no_file_is_larger_than_its_bound(tmp_path: Path, seed: int) -> None:
    """Appended to or new, whatever the sizes: unless a header and one entry alone take more."""
    random, path = Random(seed), tmp_path / "run"
    bound = random.randrange(MIN_BYTES, 3 * MIN_BYTES)
    for _ in range(3):
        with record(path, max_bytes=bound, keep=99) as recorder:
            cluster = Cluster[str](2, observer=recorder)
            for _ in range(random.randrange(1, 20)):
                cluster.propose(S1, "x" * random.randrange(MIN_BYTES // 4))
                cluster.run()
                cluster = Cluster[str](2, observer=recorder)
        assert recorder.failure is None

    parts = sorted(tmp_path.iterdir())
    assert len(parts) > 2
    for part in parts:
        entries = [line for line in lines(part) if not line.keys() & {"recording", "closed"}]
        is_alone = len([it for it in entries if "known" not in it]) == 1
        assert part.stat().st_size <= bound or is_alone, part.name
    assert replay(path).difference is None


def test_files_that_do_not_follow_on_each_other_are_told(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with record(path, max_bytes=MIN_BYTES, keep=9) as recorder:
        rivals(recorder)

    def forget_the_promise(them: Lines) -> None:
        known = next(line["known"] for line in them if "known" in line)
        assert isinstance(known, list)
        known[1] = ["Acceptor", "0.0", None]

    forge(path, forget_the_promise)

    difference = replay(path).difference

    assert difference is not None
    assert difference.path == path
    assert difference.expected.startswith("acceptor ")


def test_a_rotation_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """Linux says which are; elsewhere nothing does."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system does not tell which descriptors are open")
    with record(tmp_path / "run", max_bytes=MIN_BYTES, keep=9) as recorder:
        rivals(recorder)
        assert len([*tmp_path.iterdir()]) > 2
        shown = [os.readlink(it) for it in descriptors.iterdir() if it.is_symlink()]
        assert [it for it in shown if it.startswith(str(tmp_path))] == [str(tmp_path / "run")]


def test_only_so_many_files_stay(tmp_path: Path) -> None:
    with record(tmp_path / "run", max_bytes=MIN_BYTES, keep=1) as recorder:
        clusters = [rivals(recorder, seed) for seed in range(4)]

    assert {it.name for it in tmp_path.iterdir()} == {"run", "run.1"}
    found = replay(tmp_path / "run")
    assert found.difference is None
    assert found.states
    assert all(clusters[-1].state(me) == state for (me, _), state in found.states.items())


def test_who_was_killed_and_starts_again_goes_on_in_the_same_file(tmp_path: Path) -> None:
    path, halfway = tmp_path / "run", tmp_path / "halfway"
    with record(path) as killed:
        Cluster[str](3, observer=killed).propose(S1, "red")
        halfway.write_bytes(path.read_bytes())
    halfway.rename(path)
    with path.open("ab") as file:
        file.write(b'{"at_s":0.0,"serv')  # the line that it was writing
    with record(path) as recorder:
        cluster = Cluster[str](3, observer=recorder)
        cluster.propose(S2, "blue")
        cluster.run()

    found = replay(path)

    assert found.difference is None
    assert same(found, cluster)
    assert (found.torn, found.unfinished) == ([path], [])
    assert len(found.headers) == 2
    ends = [step for step in found.steps if step.after is None]
    assert [step.entry.server for step in ends] == [S1, S2, S3]
    assert all("killed" in str(step.entry.what) for step in ends)


def small(path: Path) -> Replay:
    """A recording of a few hundred bytes besides its header."""
    with record(path) as recorder:
        cluster = Cluster[str](1, observer=recorder)
        cluster.propose(S1, "red")
        cluster.step()
    return replay(path)


def test_a_file_cut_off_anywhere_is_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "run"
    whole = small(path)
    content = path.read_bytes()
    first = content.index(b"\n") + 1

    for size in range(first):
        path.write_bytes(content[:size])
        with pytest.raises(RecordingError):
            replay(path)
    for size in range(first, len(content)):
        path.write_bytes(content[:size])
        found = replay(path)
        assert found.steps == whole.steps[: len(found.steps)]
        assert found.difference is None
        assert bool(found.torn) == (content[size - 1 : size] != b"\n")
        assert found.unfinished == [path]


@pytest.mark.parametrize("flip", slow_but_for({1, 128}.__contains__, [1, 2, 32, 128]))
def test_damage_to_any_byte_is_noticed(flip: int, tmp_path: Path) -> None:
    path = tmp_path / "run"
    small(path)
    content = path.read_bytes()

    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ flip]) + content[place + 1 :])
        try:
            found = replay(path)
        except RecordingError:
            continue
        assert place == len(content) - 1
        assert found.torn == [path]


@pytest.mark.parametrize("drop", range(1, 6))
def test_a_line_that_is_missing_is_noticed(drop: int, tmp_path: Path) -> None:
    path = tmp_path / "run"
    small(path)
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:drop] + whole[drop + 1 :]))

    with pytest.raises(
        RecordingCorrupted, match=f"line {drop + 1} of .*a line before it is missing"
    ) as told:
        replay(path)

    assert (told.value.path, told.value.line) == (path, drop + 1)


def test_another_format_is_told(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text('{"recording": 1, "protocol": "paxos"}\n{"choice": 0}\n')

    with pytest.raises(OtherFormat, match="has format 1, and this version reads 3"):
        replay(path)

    path.write_text('{"recording":12,"more":"than we know"}\n')
    with pytest.raises(OtherFormat, match="has format 12"):
        replay(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"took": ["Propose"]}, "is not Propose"),
        ({"at_s": "soon"}, "does not say when"),
        ({"server": True}, "is not a number"),
        ({"name": 1}, "not text"),
        ({"now": []}, "not texts by name"),
    ],
)
def test_a_line_of_another_shape_is_damage(
    change: dict[str, Json], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    small(path)
    forge(path, lambda them: them[2].update(change))

    with pytest.raises(RecordingCorrupted, match=f"line 3 .*{told}"):
        replay(path)


def test_a_line_that_says_nothing_known_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "run"
    small(path)

    def forget(them: Lines) -> None:
        del them[1]["began"]

    forge(path, forget)

    with pytest.raises(RecordingCorrupted, match="says nothing that is known here"):
        replay(path)


# --- recording never harms ----------------------------------------------------------------------


class Refusing:
    """A codec that has had enough."""

    def encode(self, value: str) -> bytes:
        raise LookupError(value)

    def decode(self, encoded: bytes) -> str:
        return encoded.decode()


def test_a_codec_that_fails_ends_the_recording_and_not_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Recorder(tmp_path / "run", codec=Refusing(), runtime="test") as recorder:
        cluster = Cluster[str](3, observer=recorder)
        cluster.propose(S1, "red")
        cluster.run()

    assert cluster.chosen == dict.fromkeys(cluster.servers, "red")
    assert isinstance(recorder.failure, LookupError)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert replay(tmp_path / "run").difference is None


def test_a_full_disk_ends_the_recording_and_not_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, line: bytes) -> int:
        raise OSError(ENOSPC, f"No space left on {descriptor}", len(line))

    with record(tmp_path / "run") as recorder:
        monkeypatch.setattr(os, "write", full)
        cluster = rivals(recorder)
        monkeypatch.undo()

    assert len(cluster.chosen) == 5
    assert isinstance(recorder.failure, OSError)


def test_a_short_write_ends_the_recording_at_a_torn_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, write = tmp_path / "run", os.write

    def short(descriptor: int, line: bytes) -> int:
        return write(descriptor, line[:9])

    with record(path) as recorder:
        cluster = Cluster[str](3, observer=recorder)
        monkeypatch.setattr(os, "write", short)
        cluster.propose(S1, "red")
        monkeypatch.undo()
        cluster.run()

    assert cluster.chosen[S3] == "red"
    assert "only 9 of" in str(recorder.failure)
    assert replay(path).torn == [path]


def test_a_recording_is_of_one_quorum_system(tmp_path: Path) -> None:
    with record(tmp_path / "run") as recorder:
        Cluster[str](3, observer=recorder)
        Cluster[str](5, observer=recorder)

    assert "one quorum system" in str(recorder.failure)


@pytest.mark.parametrize(("max_bytes", "keep"), [(100, 1), (MAX_BYTES, -1)])
def test_a_bound_that_cannot_be_kept_is_refused(max_bytes: int, keep: int, tmp_path: Path) -> None:
    with pytest.raises(BadNumber, match="whole number, at least"):
        record(tmp_path / "run", max_bytes, keep)
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match="there is no such folder"):
        record(tmp_path / "no" / "run")
    with pytest.raises(OutputRefused, match="is not a regular file"):
        record(Path(os.devnull))


def test_what_nobody_has_announced_is_not_recorded(tmp_path: Path) -> None:
    """An observer that comes late cannot know the state."""
    machine: Single[str] = single()
    at_rest = machine.begin(S1, majority([S1]))
    with record(tmp_path / "run") as recorder:
        recorder.stepped(Place(S1), Inquire(), at_rest, at_rest)
        recorder.saved(Place(S1), at_rest, (), 1)
        recorder.failed(Place(S1), Inquire(), InvariantError(""))
        recorder.stopped(Place(S1), (), "gone")

    assert recorder.failure is None
    assert (tmp_path / "run").read_bytes() == b""


def test_a_new_state_by_no_event_is_recorded(tmp_path: Path) -> None:
    with record(tmp_path / "run") as recorder:
        it = driven(S1, THREE, recorder, (MaxRound(3),), "x")
        it.set_state(server.start(S1, THREE, (MaxRound(9),)))
        it.take(Propose("red"))
        after = it.process.state

    found = replay(tmp_path / "run")

    assert found.difference is None
    assert found.states == {(S1, "x"): after}
