"""Whatever is in a recording, a store or an answer, a terminal shows it, and does nothing else."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from pathlib import Path

import msgspec
import pytest

from paxos import Acceptor, Ballot, Chosen, PaxosError, Proposal, ServerId, majority
from paxos_adapters.codecs import TEXT
from paxos_adapters.file import FileStore
from paxos_adapters.memory import Cluster
from paxos_adapters.node.control_protocol import (
    Answer,
    ChosenReply,
    ContentsReply,
    ErrorReply,
    LogsReply,
    PieceReply,
    SnapshotReply,
    StatusReply,
)
from paxos_adapters.node.status import Descent, Status
from paxos_adapters.printable import brief, encodable, json_text, printable, printable_lines, quoted
from paxos_adapters.replication.figures import LogStatus
from paxos_adapters.replication.snapshots import pieces
from paxos_adapters.replication.watching import Step
from paxos_adapters.state_machines.key_value import (
    SCAN,
    Changed,
    Delete,
    Expired,
    Item,
    Page,
    Put,
    Unchanged,
)
from paxos_adapters.state_machines.ticks import Tick
from paxos_adapters.udp.endpoint import Buffers
from paxos_adapters.udp.peer import Peer
from paxos_cli import app, asking, backup, kv, log_status, logs
from paxos_cli.canvas import canvas
from paxos_cli.commands import PLACES
from paxos_cli.output import say
from paxos_lab.machines.single_view import say as say_of
from paxos_lab.machines.view import Look
from paxos_lab.record import Arrow, Kind, Moment, Recorder, Timeline
from tests.support.backups import CODECS, ran
from tests.support.recordings import Lines, forge

Capture = pytest.CaptureFixture[str]

FORGED = "FORGED"
HOSTILE = (
    "\x1b[2J\x1b]0;title\x07"  # clears the screen, names the window
    "\u202e\u2066\u200f"  # turns what follows around
    "\x00\x7f\x9b31m"  # NUL, DEL, and an escape sequence in one byte
    f"\n{FORGED}\r{FORGED}\x85{FORGED}\u2028{FORGED}"  # lines of its own
)
ME = ServerId(1)
WITHOUT_FOREIGN_TEXT = {
    "cluster",
    "demo",
    "explore",
    "help",
    "keygen",
    "lecture",
    "node",
    "simulate",
}
"""What these print comes from their own options; the logs of ``node`` have a test below."""


def is_harmless(printed: str) -> bool:
    """Whether a terminal does nothing but show it, and no line is forged."""
    lines = printed.split("\n")
    return all(it.isprintable() and not it.startswith(FORGED) for it in lines)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording in which everything that can be text is hostile."""
    path = tmp_path_factory.mktemp("hostile") / "run"
    lanes = {ServerId(me): f"{HOSTILE}{me}" for me in (1, 2, 3)}
    with Recorder(
        path, codec=TEXT, runtime=HOSTILE, facts={HOSTILE: HOSTILE}, lanes=lanes
    ) as recorder:
        cluster = Cluster[str](servers=3, seed=1, observer=recorder)
        cluster.propose(cluster.servers[0], HOSTILE)
        cluster.propose(cluster.servers[2], f"{HOSTILE}2")
        cluster.run()

    def name_it(bodies: Lines) -> None:
        bodies[0].update(version=HOSTILE, core={HOSTILE: "0"})
        for body in bodies[1:-1]:
            body["name"] = HOSTILE

    forge(path, name_it)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a server, with hostile names of cluster and decision, and a hostile value."""
    path = tmp_path_factory.mktemp("hostile") / "n1.db"
    ballot = Ballot(1, ME)
    with FileStore.create(path, cluster=HOSTILE, server=ME, quorum=majority([ME])) as file:
        file.save([(HOSTILE, Acceptor(ballot, Proposal(ballot, HOSTILE.encode())))])
    return path


def test_recordings(recording: Path, capsys: Capture) -> None:
    page, picture = recording.with_name("page.html"), recording.with_name("picture.svg")
    for words in (
        ["replay", "RUN"],
        ["explain", "RUN"],
        ["explain", "RUN", "another"],
        ["draw", "RUN", "--title", HOSTILE],
        ["draw", "RUN", "--title", HOSTILE, "--plain"],
        ["draw", "RUN", "--mermaid"],
        ["draw", "RUN", "--svg", str(picture)],
        ["view", "RUN", "--out", str(page)],
    ):
        app.run([str(recording) if it == "RUN" else it for it in words])
        printed = capsys.readouterr()
        assert printed.out + printed.err, words
        assert is_harmless(printed.out), words
        assert is_harmless(printed.err), words
    for made in page, picture:
        assert is_harmless(made.read_text(encoding="utf-8"))


def test_stores(store: Path, capsys: Capture) -> None:
    out = str(store.with_name("change"))
    for words in (
        ["inspect", str(store)],
        ["inspect", str(store), "--json"],
        ["explain", str(store), "--servers", "1"],
        ["explain", str(store), "another", "--servers", "1"],
        ["readmit", str(store), "3"],
        ["replay", str(store)],
        ["members", "close", str(store)],
        ["members", "reopen", str(store)],
        ["members", "settle", str(store), "--servers", "1,2", "--out", out],
        ["members", "close", str(store)],
        ["members", "settle", str(store), "--servers", "1,2", "--out", out],
        ["members", "adopt", out, str(store.with_name("n2.db")), "--id", "2"],
        ["members", "adopt", out, str(store), "--id", "3"],
    ):
        app.run(words)
        printed = capsys.readouterr()
        assert printed.out + printed.err, words
        assert is_harmless(printed.out), words
        assert is_harmless(printed.err), words


def test_json_stays_json(store: Path, capsys: Capture) -> None:
    app.run(["inspect", str(store), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert told["cluster"] == HOSTILE
    assert [*told["decisions"]] == [HOSTILE]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Have every server give this answer, or raise it."""

    def give(answer: object) -> None:
        def ask(*_: object, **__: object) -> object:
            if isinstance(answer, BaseException):
                raise answer
            return answer

        monkeypatch.setattr(asking, "ask", ask)
        monkeypatch.setattr(log_status, "ask", ask)

    return give


def statuses() -> Iterator[Status]:
    """A server that sees another one, in each way to have trouble with it."""
    at = (HOSTILE, 1)
    for peer in (
        Peer(at, 1.0, 0.1, True, True, 0.1),
        Peer(at, 1.0, 0.1, False, True, 0.1),
        Peer(at, None, None),
        Peer(at, 1.0, None),
        Peer(at, None, None, is_found=False),
    ):
        counted = {HOSTILE: 3}
        promised = Ballot(1, ME)
        descent = Descent((ServerId(2),), False, False)
        counts = 0, 1, 1, 1, counted, counted, promised, Buffers(1, 1)
        yield Status(ME, {ServerId(2): peer}, *counts, descent)


def test_answers(tmp_path: Path, answers: Callable[[object], None], capsys: Capture) -> None:
    given: list[object] = [
        ChosenReply(HOSTILE.encode()),
        ErrorReply("NoAnswer", HOSTILE),
        ErrorReply("BadName", HOSTILE),
        ErrorReply(HOSTILE, HOSTILE),
        PaxosError(HOSTILE),
        *(StatusReply(HOSTILE, (HOSTILE, 1), it) for it in statuses()),
        LogsReply(
            ME,
            {HOSTILE: LogStatus(None, False, 1, 1, 1, 0, 0, HOSTILE)},
            [ME],
            {HOSTILE: [ME]},
            {HOSTILE: 0},
        ),
    ]
    data = ["--data", str(tmp_path / "n1.db")]
    for answer in given:
        answers(answer)
        for words in (
            ["read", HOSTILE],
            ["read", HOSTILE, "--json"],
            ["watch", HOSTILE],
            ["propose", HOSTILE, HOSTILE],
            ["propose", HOSTILE, HOSTILE, "--hex"],
            ["propose", HOSTILE, HOSTILE, "--json"],
            ["status"],
            ["status", "--json"],
            ["log", "status"],
            ["log", "status", "--json"],
        ):
            app.run([*words, *data])
            printed = capsys.readouterr()
            assert printed.out + printed.err, words
            assert is_harmless(printed.out), (words, answer)
            assert is_harmless(printed.err), (words, answer)


class HostileServer:
    """What a server says that is asked for a backup."""

    def __init__(self, contents: ContentsReply, snapshot: Sequence[Answer]) -> None:
        self.contents = contents
        self.snapshot = snapshot

    def ask(self, *_: object, **__: object) -> ContentsReply:
        return self.contents

    def answers(self, *_: object, **__: object) -> Generator[Answer, None, None]:
        yield from self.snapshot


def test_backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The cluster, the log, the decision: each has a hostile name; then a log that does not run."""
    contents = ContentsReply(HOSTILE, "counted 1 phase1 1 phase2 1", "", ME, [HOSTILE], [], [])
    applied, _ = ran([])
    told: list[Answer] = [
        SnapshotReply(1),
        *map(PieceReply, pieces(CODECS, applied)),
        PieceReply(b""),
    ]
    idle = msgspec.structs.replace(contents, idle=[HOSTILE])
    given: list[tuple[ContentsReply, Sequence[Answer]]] = [
        (contents, told),
        (contents, [ErrorReply(HOSTILE, HOSTILE)]),
        (contents, [ChosenReply(HOSTILE.encode())]),
        (idle, []),
    ]

    for number, (reply, stream) in enumerate(given):
        server = HostileServer(reply, stream)
        monkeypatch.setattr(asking, "ask", server.ask)
        monkeypatch.setattr(backup, "answers", server.answers)
        out, data = tmp_path / f"b{number}", ["--data", str(tmp_path / "n1.db")]
        new = ["--name", "new", "--servers", "1"]
        for words in (
            ["backup", str(out), *data],
            ["backup", f"{out}-json", "--json", *data],
            ["restore", str(out), str(tmp_path / f"c{number}"), *new],
        ):
            app.run(words)
            printed = capsys.readouterr()
            assert printed.out + printed.err, words
            assert is_harmless(printed.out), words
            assert is_harmless(printed.err), words
        assert (tmp_path / f"c{number}").exists() == (number == 0)


class HostileStore:
    """A client of a key-value store in which every key and every value is hostile."""

    item = Item(HOSTILE.encode(), 1)

    def read(self, query: object, _question: object) -> object:
        return Page(((HOSTILE, self.item),), True) if query is SCAN else self.item

    def submit(self, command: object) -> object:
        return Unchanged(self.item) if isinstance(command, Delete) else Changed(2)

    @contextmanager
    def watch(self) -> Generator[list[Step[object, object]], None, None]:
        yield [
            Step(1, Put(HOSTILE, HOSTILE.encode()), Changed(1)),
            Step(2, Delete(HOSTILE), Changed(2)),
            Step(3, Tick(1), Expired((HOSTILE,), 3)),
        ]


def test_key_values(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    @contextmanager
    def client(*_: object, **__: object) -> Generator[HostileStore, None, None]:
        yield HostileStore()

    monkeypatch.setattr(kv, "_client", client)
    for words in (
        ["kv", "get", HOSTILE],
        ["kv", "put", HOSTILE, HOSTILE],
        ["kv", "put", HOSTILE, HOSTILE, "--if-absent"],
        ["kv", "cas", HOSTILE, HOSTILE, "new"],
        ["kv", "cas", HOSTILE, "other", "new"],
        ["kv", "delete", HOSTILE],
        ["kv", "scan"],
        ["kv", "watch"],
    ):
        for more in [], ["--json"]:
            app.run([*words, *more])
            printed = capsys.readouterr()
            assert printed.out + printed.err, words
            assert is_harmless(printed.out), words
            assert is_harmless(printed.err), words


@pytest.mark.parametrize("as_json", [False, True])
def test_logs(as_json: bool, capsys: Capture) -> None:
    handler = logs.handler(ME, as_json=as_json)
    logger = logging.Logger("test")
    logger.addHandler(handler)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        logger.warning("it is %s", HOSTILE, extra={"peer": HOSTILE, HOSTILE: 1}, exc_info=True)
    printed = capsys.readouterr().err
    assert FORGED in printed
    assert all(it.isprintable() for it in printed.split("\n"))
    assert is_harmless(printed) or not as_json


def test_what_a_user_types(capsys: Capture) -> None:
    for words in [HOSTILE], [f"--{HOSTILE}"], ["replay", HOSTILE], ["demo", "--seed", HOSTILE]:
        assert app.run(words) != 0
        printed = capsys.readouterr().err
        assert printed
        assert is_harmless(printed), words


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_the_ways_out_let_nothing_through(
    encoding: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what nobody made printable before: lines stay, and everything else is escaped."""
    outputs = {"stdout": BytesIO(), "stderr": BytesIO()}
    for name, output in outputs.items():
        monkeypatch.setattr(sys, name, TextIOWrapper(output, encoding, write_through=True))
    say(HOSTILE)
    say(HOSTILE, err=True)
    drawn = canvas(plain=True)
    drawn.write(HOSTILE)
    drawn.table([HOSTILE], [[HOSTILE]])
    message = Chosen(Ballot(1, ME), HOSTILE)
    arrows = (Arrow(message, say_of(message), ME, ME, 1, 2),)
    look = Look(accepted=Proposal(Ballot(1, ME), HOSTILE), knows=HOSTILE)
    noted = Moment(3, 0.0, ME, Kind.IS_NOTED, HOSTILE, look, True)
    heard = Moment(2, 0.0, ME, Kind.RECEIVES, "", look, True)
    told = Timeline(HOSTILE, {ME: HOSTILE}, (heard, noted), arrows, ())
    drawn.timeline(told, width=7)
    drawn.knowledge("Known", told)
    for output in outputs.values():
        printed = output.getvalue().decode(encoding)
        assert FORGED in printed
        assert all(it.isprintable() for it in printed.split("\n"))
    assert capsys.readouterr() == ("", "")


def test_every_command_is_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    asked = {it for it in PLACES if f'["{it}", ' in source}
    assert asked | WITHOUT_FOREIGN_TEXT == {*PLACES}


def test_commands_print_in_one_way() -> None:
    """Nothing in ``paxos_cli`` writes to an output but ``say``, a canvas, and values as bytes."""
    folder = Path(app.__file__).parent
    for path in folder.glob("*.py"):
        if path.name not in ("output.py", "__init__.py"):
            source = path.read_text(encoding="utf-8")
            found = source.count("click.echo(") + source.count("click.secho(")
            assert found == (path.name == "values.py"), path.name
            assert "print(" not in source.replace("console.print(", "").replace("_print(", "")


class TestPrintable:
    """The one function."""

    @pytest.mark.slow
    def test_everything_that_unicode_does_not_call_printable_is_escaped(self) -> None:
        for number in range(sys.maxunicode + 1):
            shown = printable(chr(number))
            assert shown.isprintable()
            assert (shown == chr(number)) == chr(number).isprintable()

    def test_lines_stay_lines(self) -> None:
        assert printable_lines("a\x1b\nb\r") == "a\\x1b\nb\\r"
        assert printable("a\nb") == "a\\nb"

    def test_values_are_quoted(self) -> None:
        assert quoted("r\ned") == "'r\\ned'"
        assert quoted(7) == "'7'"

    @pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", None])
    def test_any_output_can_have_it(self, encoding: str | None) -> None:
        shown = encodable(printable("é → \ud800"), encoding)
        assert shown.encode(encoding or "ascii").decode(encoding or "ascii") == shown

    def test_json_is_ascii(self) -> None:
        shown = json_text({HOSTILE: HOSTILE, "bare": "\ud800"})
        assert shown.isascii()
        assert is_harmless(shown)
        assert json.loads(shown) == {HOSTILE: HOSTILE, "bare": "\ud800"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("leader", "'leader'"),
        ("a\x1b[2J\u202e\n", r"'a\x1b[2J\u202e\n'"),
        ("\udc80", r"'\udc80'"),
        (b"\0" * 80, r"b'" + r"\x00" * 18 + r"\x0" + "..."),
        ("x" * 78, "'" + "x" * 78 + "'"),
        ("x" * 79, "'" + "x" * 76 + "..."),
    ],
)
def test_a_value_in_a_message_is_one_short_line(value: object, shown: str) -> None:
    assert brief(value) == shown


def test_an_object_cannot_write_a_line_of_its_own() -> None:
    class Forging:
        def __repr__(self) -> str:
            return "nothing\npaxos: all is well"

    assert brief(Forging()) == r"nothing\npaxos: all is well"
