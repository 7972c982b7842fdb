"""What commands say of a change of members, and of servers that it waits for; all is made up."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest
from attrs import evolve

from paxos import NO_BALLOT, ServerId
from paxos_adapters.node.control_protocol import (
    Answer,
    ErrorReply,
    LogsReply,
    LogsRequest,
    MembersReply,
    MembersRequest,
    MoveRequest,
    ProgressReply,
    Question,
    StatusReply,
    StatusRequest,
    WatchRequest,
)
from paxos_adapters.node.members import LogChange, MembersStatus
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.requests.errors import TOO_LATE, CommandUnknown, NoAnswer
from paxos_adapters.udp.addresses import Address
from paxos_adapters.udp.endpoint import Buffers
from paxos_adapters.udp.peer import Peer
from paxos_cli import asking, kv, members_running
from paxos_cli.exit_codes import ExitCode
from tests.paxos_cli.test_cli_node import describe
from tests.support.commands import Ended, call

S1, S2, S3, S4, S5 = map(ServerId, range(1, 6))


def at(server: ServerId) -> Address:
    return "127.0.0.1", 47_100 + server


UP, DOWN = Peer(("h", 1), 0.1, 0.1, True, answered_s=0.1), Peer(("h", 1), None, None)
STABLE = MembersStatus(1, {it: at(it) for it in (S1, S2, S3)}, former=frozenset([S5]))
FIRST = MembersStatus(0, {it: at(it) for it in (S1, S2, S3)}, absent=frozenset([S3]))
REPLACING = MembersStatus(
    2,
    {it: at(it) for it in (S1, S2, S4)},
    former=frozenset([S3, S5]),
    leaving=frozenset([S3]),
    waiting=(LogChange("kv", 6, {S4: 1}), LogChange("$decisions", 0, {})),
)


def status(peers: Mapping[ServerId, Peer], needed: int = 0, me: ServerId = S1) -> Status:
    placed = {it: evolve(peer, address=at(it)) for it, peer in peers.items()}
    refused, lost = dict[str, int](), {"another epoch": 0}
    known = me, placed, 0, 1, 0, 0, refused, lost, NO_BALLOT, Buffers(1, 1)
    return Status(*known, Descent((), True, True), needed=needed)


class Server:
    """What the one server of this machine says."""

    def __init__(
        self, members: MembersStatus, status: Status, logs: Mapping[str, list[ServerId]]
    ) -> None:
        self.members, self.status, self.logs = members, status, {**logs}

    def ask(self, data: Path, question: Question, *, patience_s: float | None) -> Answer:
        del data, patience_s
        me = self.status.me
        if isinstance(question, MembersRequest):
            return MembersReply(me, self.members)
        if isinstance(question, LogsRequest):
            return LogsReply(me, {}, [me], self.logs, {})
        assert question == StatusRequest()
        return StatusReply("demo", at(me), self.status)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cluster.toml"
    describe(path, {1: "127.0.0.1:47101"})
    return path


def shown(monkeypatch: pytest.MonkeyPatch, config: Path, server: Server, *words: str) -> Ended:
    monkeypatch.setattr(asking, "ask", server.ask)
    return call(*words, "--cluster", config, environment={"COLUMNS": "100"})


OLD = {"$members": [S1, S2, S3], "kv": [S1, S2, S3]}
HALFWAY = Server(REPLACING, status({S2: UP, S3: DOWN, S4: DOWN}), OLD)


def rows(ended: Ended) -> list[list[str]]:
    lines = re.findall(r"^\| (.*)\|$", ended.stdout, re.M)[1:]
    return [[it.strip() for it in line.split("|")] for line in lines]


def test_members_that_do_not_change(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    server = Server(STABLE, status({S2: UP, S3: DOWN}), OLD)
    ended = shown(monkeypatch, config, server, "members", "list", "--plain")
    assert rows(ended) == [
        ["1", "127.0.0.1:47101", "member", "up"],
        ["2", "127.0.0.1:47102", "member", "up"],
        ["3", "127.0.0.1:47103", "member", "silent"],
    ]
    assert ended.stdout.splitlines()[-1] == "epoch 1: servers 1, 2, 3; removed: 5"


def test_a_change_in_progress(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    ended = shown(monkeypatch, config, HALFWAY, "members", "list", "--plain")
    assert [[it[0], *it[2:]] for it in rows(ended)] == [
        ["1", "member", "up"],
        ["2", "member", "up"],
        ["3", "leaving", "silent"],
        ["4", "joining", "silent"],
    ]
    assert ended.stdout.splitlines()[-5:] == [
        "the change to epoch 2 is in progress: servers 1, 2, 4; leaving: 3; removed: 5",
        "log kv: server 4 has been taught slot 0 of 5",
        "waiting for named decisions",
        "server 3 is still needed: do not stop it, unless lost",
        "The change waits for server 4. Does it run? Are its address and its keyring right, and "
        "has it joined = true in its cluster.toml?",
    ]


def test_a_newcomer_that_a_log_has_taken_in_is_a_member_there(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    for taken_in, role in ([S1, S2, S3], "joining"), ([S1, S2, S3, S4], "member"):
        logs = {"$members": [S1, S2, S4], "kv": taken_in}
        server = Server(REPLACING, HALFWAY.status, logs)
        ended = shown(monkeypatch, config, server, "members", "list", "--plain")
        assert rows(ended)[3][2] == role


@pytest.mark.parametrize(
    ("peers", "needed", "said"),
    [
        ({S2: DOWN, S3: DOWN, S4: DOWN}, 2, "2 more are needed."),
        ({S2: DOWN, S3: UP, S4: DOWN}, 0, "1 more is needed."),
        ({S2: UP, S3: DOWN, S4: DOWN}, 0, None),
    ],
    ids=["no quorum before", "no quorum after", "a quorum"],
)
def test_a_change_without_a_quorum_says_so(
    monkeypatch: pytest.MonkeyPatch,
    config: Path,
    peers: Mapping[ServerId, Peer],
    needed: int,
    said: str | None,
) -> None:
    server = Server(REPLACING, status(peers, needed), OLD)
    last = shown(monkeypatch, config, server, "members", "list").stdout.splitlines()[-1]
    if said is None:
        assert last.startswith("The change waits for server 4.")
    else:
        shows = f"paxos status --cluster {config} shows which are."
        lacks = "Too few servers are up for the change of members in progress:"
        assert last == f"{lacks} {said} {shows}"


def test_a_newcomer_that_was_not_added_says_nothing_of_the_change(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    server = Server(FIRST, status({S1: DOWN, S2: DOWN}, me=S4), {})
    last = shown(monkeypatch, config, server, "members", "list").stdout.splitlines()[-2:]
    assert last[0] == "epoch 0: servers 1, 2, 3"
    assert last[1].startswith("Server 4 is not a member yet.")


def test_a_command_that_waits_says_that_too_few_are_up(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    monkeypatch.setattr(asking, "ask", Server(REPLACING, status({S2: DOWN}), OLD).ask)

    def answers(*_: object, patience_s: float | None) -> Generator[Answer, None, None]:
        del patience_s
        yield ProgressReply(REPLACING)
        yield ProgressReply(REPLACING)
        yield MembersReply(S1, STABLE)

    monkeypatch.setattr(members_running, "answers", answers)
    ended = call("members", "replace", 3, 4, "127.0.0.1:9", "--cluster", config)
    said = "Too few servers are up for the change of members in progress: 1 more is needed."
    assert (ended.returncode, ended.stderr.count(said)) == (0, 1)


def test_an_interrupt_is_not_taken_for_a_server_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    """The command asks for the status in between, and goes on without."""

    def ask(data: Path, question: Question, *, patience_s: float | None) -> Answer:
        if has_begun:
            signal.raise_signal(signal.SIGINT)
        return HALFWAY.ask(data, question, patience_s=patience_s)

    def answers(*_: object, patience_s: float | None) -> Generator[Answer, None, None]:
        del patience_s
        has_begun.append(True)
        yield ProgressReply(REPLACING)
        yield MembersReply(S1, STABLE)

    has_begun = list[bool]()
    monkeypatch.setattr(members_running, "answers", answers)
    monkeypatch.setattr(asking, "ask", ask)
    words = "members", "replace", 3, 4, "127.0.0.1:9", "--id", 1, "--cluster", config
    ended = call(*words)
    assert (ended.returncode, ended.stdout) == (ExitCode.STOPPED, "")
    assert "a change that has begun goes on by itself" in ended.stderr


def test_programs_get_the_same_facts(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    told = json.loads(shown(monkeypatch, config, HALFWAY, "members", "list", "--json").stdout)
    facts = {it: told[it] for it in ("is_changing", "joining", "leaving", "removed", "needed")}
    assert facts == {
        "is_changing": True,
        "joining": [4],
        "leaving": [3],
        "removed": [5],
        "needed": 0,
    }


def test_several_that_are_still_needed(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    gone = frozenset([S3, S2])
    members = evolve(REPLACING, leaving=gone, former=gone, absent=frozenset([S2, S4]))
    server = Server(members, HALFWAY.status, OLD)
    said = shown(monkeypatch, config, server, "members", "list").stdout
    assert "servers 2, 3 are still needed: do not stop them" in said
    assert "the first change waits for servers 2, 4, to say which logs there are" in said
    assert "{" not in said


def test_where_a_server_moved_to(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    monkeypatch.setattr(asking, "ask", HALFWAY.ask)

    def answers(
        _: Path, question: Question, *, patience_s: float | None
    ) -> Generator[Answer, None, None]:
        assert question == MoveRequest(S2, ("127.0.0.1", 9), 5.0)
        del patience_s
        yield MembersReply(S1, STABLE)

    monkeypatch.setattr(members_running, "answers", answers)
    ended = call("members", "move", 2, "127.0.0.1:9", "--cluster", config)
    assert ended.stdout == (
        "server 2 is to be found at 127.0.0.1:9\nepoch 1: servers 1, 2, 3; removed: 5\n"
    )


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("NoAnswer", ExitCode.QUORUM_LOST, "late. Nothing was begun."),
        ("CommandUnknown", ExitCode.UNKNOWN_OUTCOME, "late. It may have begun. The same command"),
    ],
)
def test_how_a_change_ends_without_an_answer(
    monkeypatch: pytest.MonkeyPatch, config: Path, kind: str, code: ExitCode, said: str
) -> None:
    """In words of the command line, and not in those of a program."""
    monkeypatch.setattr(asking, "ask", HALFWAY.ask)

    def answers(*_: object, patience_s: float | None) -> Generator[Answer, None, None]:
        del patience_s
        yield ErrorReply(kind, "'$members': late. Wait for it by outcome(3).", "late")

    monkeypatch.setattr(members_running, "answers", answers)
    ended = call("members", "remove", 2, "--cluster", config)
    assert (ended.returncode, ended.stderr.startswith(f"paxos: {said}")) == (code, True)
    assert "The change waits for server 4." in ended.stderr


def test_what_is_unknown_of_a_key_is_to_be_seen_by_a_command(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    class Late:
        def __init__(self, *_: object, timeout_s: float) -> None:
            del timeout_s

        def __enter__(self) -> Late:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def submit(self, _: object) -> object:
            raise CommandUnknown("kv", "late", 3)

    monkeypatch.setattr(asking, "ask", HALFWAY.ask)
    monkeypatch.setattr(kv, "Client", Late)
    ended = call("kv", "put", "colour", "red", "--cluster", config)
    assert ended.returncode == ExitCode.UNKNOWN_OUTCOME
    assert ended.stderr.startswith(
        "paxos: late. The command may have been run, or be run later, once. paxos kv get --cluster "
        f"{config} colour shows what the key has. The same command again may run it twice.\n"
    )


def test_who_watches_is_told_why_its_server_ends(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    """Only a watch whose time is over has found nothing in time."""
    monkeypatch.setattr(asking, "ask", HALFWAY.ask)
    for why, code, said in (
        (TOO_LATE, ExitCode.NOTHING_CHOSEN, "'x': nothing was chosen in time, as far as this"),
        ("server 1 was removed", ExitCode.UNKNOWN_OUTCOME, "'x': server 1 was removed. Ask again"),
    ):
        reply = ErrorReply("NoAnswer", str(NoAnswer("x", why)), why)
        failure = asking.refused(config, WatchRequest("x"), reply)
        assert (failure.code, failure.message.startswith(said)) == (code, True), failure.message


# --- the status -----------------------------------------------------------------------------------

ALONE = status({S1: DOWN, S2: DOWN}, needed=2, me=S4)


def test_a_newcomer_that_reaches_nobody_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    server = Server(STABLE, ALONE, {})
    ended = shown(monkeypatch, config, server, "status", "--plain")
    assert ended.returncode == ExitCode.QUORUM_LOST
    said = " ".join(ended.stdout.split())
    assert "! Server 4 is not a member yet. Members answer it once it is added: paxos" in said
    assert "! Server 4 has heard no other one since it was started: 127.0.0.1:47101, 127" in said
    assert "! Server 1 was never heard" not in said


def test_a_change_in_progress_is_in_the_status(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    told = json.loads(shown(monkeypatch, config, HALFWAY, "status", "--json").stdout)
    assert told["warnings"][0].startswith("A change of members is in progress: paxos members list")


def test_what_was_not_lost_is_not_told(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    ended = shown(monkeypatch, config, HALFWAY, "status", "--plain")
    assert "Lost" not in ended.stdout
    assert json.loads(shown(monkeypatch, config, HALFWAY, "status", "--json").stdout)["lost"] == {}


def test_other_founders_are_warned_of(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    seen = evolve(status({S2: UP}), refused={"other_members": 1})
    ended = shown(monkeypatch, config, Server(STABLE, seen, {}), "status", "--plain")
    said = " ".join(ended.stdout.split())
    assert "! Since server 1 was started, 1 datagram came from servers with other founders" in said
    assert "A server that was added later has joined = true there." in said


def test_servers_stand_in_the_order_of_their_ids(
    monkeypatch: pytest.MonkeyPatch, config: Path
) -> None:
    server = Server(STABLE, status({ServerId(10): UP, S2: UP}), {})
    ended = shown(monkeypatch, config, server, "status", "--plain")
    assert [it[0] for it in rows(ended)] == ["1", "2", "10"]


def test_why_there_was_no_answer(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    """A newcomer is told to be one; only a server that votes has enough, and needs more time."""
    del config
    for members, seen, said in (
        (STABLE, ALONE, "Server 4 is not a member yet"),
        (REPLACING, evolve(HALFWAY.status, needed=1), "Too many are down: 1 more is needed."),
        (STABLE, status({S2: UP}), "That is enough: it takes more time."),
        (REPLACING, HALFWAY.status, "The change waits for server 4. Does it run?"),
        (REPLACING, status({S2: DOWN, S3: UP, S4: DOWN}), "members in progress: 1 more is needed"),
        (FIRST, HALFWAY.status, "The first change waits for server 3, to say which logs there are"),
        (
            STABLE,
            evolve(status({S2: UP}), descent=Descent((S2,), False, False)),
            "Server 1 does not vote yet. Descent: server 2 has not acknowledged; this server does "
            "not vote yet.",
        ),
    ):
        server = Server(members, seen, {})
        monkeypatch.setattr(asking, "ask", server.ask)
        failure = asking.unanswered(
            Path("n1.db"), "late", ExitCode.UNKNOWN_OUTCOME, of_change=members is not STABLE
        )
        assert said in "\n".join(failure.more)
        is_enough = any("That is enough" in it for it in failure.more)
        assert is_enough == (said == "That is enough: it takes more time.")
