"""Kills, power cuts and damage for the file store: ``make torture``; short forms in test_torture.

- *Kills*: a process that saves without pause is killed with SIGKILL at a random moment, again and
  again. Every receipt that it had printed is found after reopening, and whole batches only.
- *Power cuts*: the system calls of such a process are recorded with strace. From the record come
  disks as a power cut could leave them: what was synced is there; of what was not, some writes are,
  some are not, and some are torn at a sector. A file that was made or renamed is there for sure
  only once its folder was synced.
- *Damage*: each bit of each file of a small store is flipped, and each file cut off after each
  byte, in a store that was closed and in one that was not. It is noticed, or nothing is loaded
  differently: no decision, and of a log no promise, no entry and no piece of its snapshot.

Covered are the calls that change files: open, write, pwrite64, ftruncate, rename, unlink, fsync,
fdatasync. Not covered: what a disk does with what it was told to sync; shared memory, which SQLite
makes anew.
"""

# ruff: noqa: T201 - the counts are this program's output

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from attrs import Factory, define, frozen

from paxos import Acceptor, Ballot, MaxRound, Proposal, ServerId, majority
from paxos.log import Change, Command, Configuration, Delta, Noop
from paxos.log.messages import Entry
from paxos_adapters.disk_status import Known
from paxos_adapters.file import FileStore, StoreError, writing
from paxos_adapters.file.snapshots import DIGEST_BYTES, SnapshotHandle

ME = ServerId(1)
QUORUM = majority([ME, ServerId(2), ServerId(3)])
NAMES = "leader", "lock", "x" * 40
LOG = "log"
SECTOR_BYTES = 512
FEW_PAGES = 24
"""So that SQLite moves its log into the file often."""


class Broken(AssertionError):
    """Something that was vouched for is not there."""


def make(path: Path) -> None:
    """An empty store, and one that saves often into the file itself."""
    FileStore.create(path, cluster="demo", server=ME, quorum=QUORUM).close()


def reopen(path: Path) -> FileStore:
    return FileStore.open(path, cluster="demo", server=ME, quorum=QUORUM)


def save(file: FileStore, number: int) -> None:
    """Save one batch: the same number for every name."""
    ballot = Ballot(number, ME)
    value = f"value {number} ".encode() + b"." * (number * 37 % 300)
    state = Acceptor(ballot, Proposal(ballot, value))
    file.save([(name, record) for name in NAMES for record in (state, MaxRound(number))])


def save_log(file: FileStore) -> None:
    """Save a log: a snapshot stands for its first slots, and there are entries behind it."""
    log, ballot = file.log(LOG), Ballot(1, ME)
    entries: list[Entry[bytes]] = [Command(b"red"), Noop(), Command(b"blue"), Change(QUORUM)]
    written = tuple((slot, Proposal(ballot, it)) for slot, it in enumerate(entries, 1))
    configurations = (Configuration(1, QUORUM),)
    file.save_all([(LOG, Delta(ballot, len(entries), configurations, written))])
    pieces = [b"the state, ", b"in pieces"]
    digest = blake2b(b"".join(pieces), digest_size=DIGEST_BYTES).digest()
    handle = SnapshotHandle(3, len(pieces), sum(map(len, pieces)), digest)
    log.put_snapshot_pieces(handle.slot, 0, pieces)
    log.check_snapshot(handle)
    file.save_all([(LOG, handle)])


def number_in(file: FileStore) -> int:
    """The number of the batch that was saved last; 0 for none. Raises Broken for half a batch."""
    found = {
        record.round if isinstance(record, MaxRound) else record.promised.round
        for name in NAMES
        for record in file.load(name).records
    }
    if len(found) > 1:
        raise Broken(f"half a batch: {sorted(found)}")
    return found.pop() if found else 0


def work(path: Path, batches: int | None = None) -> None:
    """Save without pause, and print each number once it was vouched for."""
    writing.CHECKPOINT_PAGES = FEW_PAGES
    with reopen(path) as file:
        start = number_in(file) + 1
        for number in count(start) if batches is None else range(start, start + batches):
            save(file, number)
            os.write(1, f"{number} {file.session} {file.saves}\n".encode())


# --- kills --------------------------------------------------------------------------------------


def kills(path: Path, times: int, seed: int) -> tuple[int, int]:
    """Kill a worker so often; how many receipts it had given, and how many kills cut a save."""
    chance = random.Random(seed)
    receipts = within = 0
    last = 0
    for _ in range(times):
        end, start = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(start, 1)
            work(path)
        os.close(start)
        with os.fdopen(end, "rb") as printed:
            told = [printed.readline() for _ in range(chance.randrange(1, 6))]
            time.sleep(chance.random() * 0.001)  # to hit any moment; nothing waits for this
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            told += printed.readlines()
        word, session, saves = told[-1].split()
        vouched, known = int(word), Known(session.decode(), int(saves))
        with reopen(path) as file:
            found = number_in(file)
            if not file.descends_from(known):
                raise Broken(f"seed {seed}: the file does not descend from {known}")
        if found < vouched:
            raise Broken(f"seed {seed}: {vouched} was vouched for, and {found} is there")
        receipts += found - last
        within += found > vouched
        last = found
    return receipts, within


# --- power cuts ---------------------------------------------------------------------------------


@frozen
class Call:
    """One call that changes files, or prints a receipt."""

    name: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""


CALLS = "openat,write,pwrite64,ftruncate,rename,unlink,fsync,fdatasync"
LINE = re.compile(rb"^(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)")
QUOTED = re.compile(rb'"((?:\\x[0-9a-f]{2})*)"')
FILE = re.compile(rb"^\d+<((?:\\x[0-9a-f]{2})*)>")


def trace(path: Path, batches: int) -> list[Call]:
    """The calls of a process that saves so many batches. Needs strace."""
    log = path.with_name("calls")
    options = ["-f", "-xx", "-y", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(log)]
    done = _run(path, batches, "strace", *options)
    if done.returncode:
        raise Broken(done.stderr.decode())
    return list(_calls(log.read_bytes().splitlines(), str(path.parent)))


def _run(path: Path, batches: int, *wrapper: str) -> subprocess.CompletedProcess[bytes]:
    program = f"from tests.tools.torture import work, Path; work(Path({str(path)!r}), {batches})"
    return subprocess.run(
        [*wrapper, sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        check=False,
    )


def _calls(lines: Iterable[bytes], folder: str) -> Iterator[Call]:
    for line in lines:
        parsed = LINE.match(line)
        if parsed is None or parsed[3].startswith(b"-"):
            continue
        name, arguments, result = parsed[1].decode(), parsed[2], int(parsed[3])
        texts = [_unquoted(it) for it in QUOTED.findall(arguments)]
        file = FILE.match(arguments)
        path = _unquoted(file[1]).decode() if file else ""
        if name == "write" and arguments.startswith(b"1<"):
            yield Call("receipt", "", data=texts[0])
        elif name == "openat" and texts[0].decode().startswith(folder):
            flags = arguments.split(b", ")
            if b"O_CREAT" in flags[2] or b"O_TRUNC" in flags[2]:
                yield Call("create", texts[0].decode())
        elif name in ("rename", "unlink") and texts[0].decode().startswith(folder):
            yield Call(name, texts[0].decode(), texts[-1].decode())
        elif path.startswith(folder):
            if name == "pwrite64":
                yield Call("write", path, offset=int(arguments.split(b", ")[-1]), data=texts[0])
            elif name == "ftruncate":
                yield Call(name, path, offset=int(arguments.split(b", ")[-1]))
            elif name in ("fsync", "fdatasync"):
                yield Call("sync", path)
            elif name == "write":
                raise Broken(f"{path} is written without a place, for {result} bytes")


def _unquoted(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode())


@define
class File:
    """What is on the disk for sure, and what has been written since the last sync."""

    synced: bytes = b""
    since: list[Call] = Factory(list[Call])

    def content(self, calls: Iterable[Call]) -> bytes:
        """What is there if just these of the writes since arrived."""
        content = bytearray(self.synced)
        for call in calls:
            if call.name == "ftruncate":
                del content[call.offset :]
                content.extend(bytes(call.offset - len(content)))
            else:
                content.extend(bytes(max(0, call.offset - len(content))))
                content[call.offset : call.offset + len(call.data)] = call.data
        return bytes(content)

    def sync(self) -> None:
        self.synced, self.since = self.content(self.since), []


Folder: TypeAlias = dict[str, File]


class Disk:
    """A folder, as the calls so far leave it."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder)
        self.synced: Folder = {
            str(it): File(it.read_bytes()) for it in folder.iterdir() if it.suffix != ".db-shm"
        }
        self.folders: list[Folder] = [dict(self.synced)]
        self.receipt = 0

    def take(self, call: Call) -> None:
        """One call more. ``folders`` are the states of the folder since it was synced."""
        now = dict(self.folders[-1])
        if call.path.endswith("-shm"):
            return
        if call.name == "receipt":
            self.receipt = int(call.data.split()[0])
        elif call.name == "sync" and call.path == self.path:
            self.folders = [now]
        elif call.name == "sync":
            now[call.path].sync()
        elif call.name == "create":
            if call.path not in now:
                self.folders.append(now | {call.path: File()})
        elif call.name == "unlink":
            del now[call.path]
            self.folders.append(now)
        elif call.name == "rename":
            now[call.other] = now.pop(call.path)
            self.folders.append(now)
        else:
            now[call.path].since.append(call)

    def image(self, chance: random.Random) -> dict[str, bytes]:
        """A disk as a power cut now could leave it."""
        folder = chance.choice(self.folders)
        return {Path(name).name: it.content(_arrived(it, chance)) for name, it in folder.items()}


def _arrived(file: File, chance: random.Random) -> Iterator[Call]:
    share = chance.choice((0.0, 0.5, 0.9, 1.0))
    for call in file.since:
        if chance.random() >= share:
            continue
        if call.name == "write" and chance.random() < 0.2:
            cut = chance.randrange(0, len(call.data) + 1, SECTOR_BYTES)
            yield Call("write", call.path, offset=call.offset, data=call.data[:cut])
        else:
            yield call


def power_cuts(folder: Path, batches: int, images: int, seed: int) -> Counter[str]:
    """Record ``batches`` saves, and look at so many disks for each call. Raises Broken."""
    chance = random.Random(seed)
    path = folder / "n1.db"
    make(path)
    disk = Disk(folder)
    calls = trace(path, batches)
    seen: Counter[str] = Counter(calls=len(calls))
    with TemporaryDirectory(dir=memory()) as other:
        for call in calls:
            disk.take(call)
            seen["receipts"] += call.name == "receipt"
            for _ in range(images):
                image = disk.image(chance)
                number = _open_image(Path(other), image, disk.receipt, seed)
                seen["disks"] += 1
                seen["with an unsynced save"] += number > disk.receipt
    return seen


def _open_image(folder: Path, image: dict[str, bytes], receipt: int, seed: int) -> int:
    _lay(folder, image)
    try:
        with reopen(folder / "n1.db") as file:
            number = number_in(file)
    except StoreError as error:
        raise Broken(f"seed {seed}: after a power cut: {error}") from error
    if not receipt <= number <= receipt + 1:
        raise Broken(f"seed {seed}: {receipt} was vouched for, and {number} is there")
    return number


# --- disks that fail ----------------------------------------------------------------------------


def failing_sync(folder: Path, which: int) -> tuple[int, int, str]:
    """Let one sync fail: the last receipt, what is found afterwards, and what the worker said."""
    path = folder / "n1.db"
    make(path)
    inject = f"inject=fsync,fdatasync:error=EIO:when={which}"
    done = _run(
        path, 30, "strace", "-f", "-o", os.devnull, "-e", "trace=fsync,fdatasync", "-e", inject
    )
    receipts = done.stdout.split()
    with reopen(path) as file:
        return int(receipts[-3]) if receipts else 0, number_in(file), done.stderr.decode()


def full_disk(folder: Path) -> str:
    """Mount a small disk at ``folder``, fill it, make it read-only, and give it room."""
    said: list[str] = []
    path = folder / "n1.db"
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, "size=200k", "tmpfs", str(folder)], check=True)
    make(path)
    number = 0
    with reopen(path) as file:
        try:
            for number in count(1):
                save(file, number)
        except StoreError as error:
            said.append(f"{number - 1} saved, then {type(error).__name__}: {error.__cause__}")
    subprocess.run([*mount, "remount,size=4m,ro", "tmpfs", str(folder)], check=True)
    try:
        reopen(path)
    except StoreError as error:
        said.append(f"read-only: {type(error).__name__}: {error.__cause__}")
    subprocess.run([*mount, "remount,rw", "tmpfs", str(folder)], check=True)
    with reopen(path) as file:
        said.append(f"{number_in(file)} found")
    return "\n".join(said)


# --- damage -------------------------------------------------------------------------------------


def damaged_stores(folder: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """The files of a small store that was closed, and of one that was not."""
    path = folder / "n1.db"
    make(path)
    with reopen(path) as file:
        for number in range(1, 3):
            save(file, number)
        save_log(file)
        file.set_peer_status(ServerId(2), Known("ab" * 8, 2))
    yield "closed", _files(folder)
    file = reopen(path)
    for number in range(3, 5):
        save(file, number)
    yield "not closed", _files(folder)
    file.close()


def _files(folder: Path) -> dict[str, bytes]:
    return {it.name: it.read_bytes() for it in folder.iterdir() if not it.name.endswith("-shm")}


Loaded: TypeAlias = tuple[object, ...]


def loaded(folder: Path) -> Loaded:
    """Everything that a store answers with."""
    with reopen(folder / "n1.db") as file:
        records = tuple((name, file.load(name)) for name in file.decisions())
        said = file.disk_status()
        descent = said.saves, said.previous, said.previous_saves
        return file.identity, descent, tuple(file.peers.items()), records, log_in(file)


def log_in(file: FileStore) -> tuple[object, ...]:
    """All that a file has of its log."""
    log = file.log(LOG)
    handle = log.snapshot()
    assert handle is not None
    pieces = [log.snapshot_piece(handle, it) for it in range(handle.pieces)]
    return log.load().records, log.fetch(handle.slot, 10, 1_000), handle, pieces


def damages(files: dict[str, bytes], step: int) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Every ``step``-th of all single-bit flips and of all truncations."""
    place = 0
    for name, content in files.items():
        for bit in range(len(content) * 8):
            place += 1
            if place % step == 0:
                flipped = bytearray(content)
                flipped[bit // 8] ^= 1 << bit % 8
                yield f"bit {bit} of {name}", files | {name: bytes(flipped)}
        for size in range(len(content)):
            place += 1
            if place % step == 0:
                yield f"{name} cut to {size} bytes", files | {name: content[:size]}


def damage(folder: Path, step: int) -> Counter[str]:
    """Damage a small store in every ``step``-th way. Raises Broken if it is not noticed."""
    seen: Counter[str] = Counter()
    with TemporaryDirectory(dir=memory()) as other:
        house = Path(other)
        for state, files in damaged_stores(folder):
            _lay(house, files)
            whole = loaded(house)
            for what, spoilt in damages(files, step):
                _lay(house, spoilt)
                try:
                    found = loaded(house)
                except StoreError as error:
                    seen[f"refused: {type(error).__name__}"] += 1
                    continue
                seen["without effect"] += 1
                if found != whole:
                    raise Broken(f"{what}, {state}: {found} instead of {whole}")
    return seen


def _lay(folder: Path, files: dict[str, bytes]) -> None:
    for old in folder.iterdir():
        if old.name not in files:
            old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def memory() -> str | None:
    """Where files need no disk; None if there is no such place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


# --- the command --------------------------------------------------------------------------------


def main(words: Sequence[str]) -> int:
    """Torture the file store for minutes, or with the word ``short`` for less than one.

    A seed may be given too.
    """
    short = "short" in words
    times, step = (300, 61) if short else (3_000, 1)
    given = [int(word) for word in words if word != "short"]
    seed = given[0] if given else random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}; again: python -m tests.tools.torture {seed}", flush=True)
    with TemporaryDirectory(dir=Path(__file__).parents[2]) as folder:
        house = Path(folder)
        make(house / "killed.db")
        started = time.perf_counter()
        receipts, within = kills(house / "killed.db", times, seed)
        took = time.perf_counter() - started
        print(f"kills: {times:,} in {took:.0f} s, {receipts:,} receipts, {within:,} within a save")
        if shutil.which("strace"):
            (house / "cut").mkdir()
            seen = power_cuts(house / "cut", times // 20, 6, seed)
            print(f"power cuts: {_counts(seen)}", flush=True)
        else:
            print("power cuts: left out, since strace is not installed")
        (house / "spoilt").mkdir()
        print(f"damage: {_counts(damage(house / 'spoilt', step))}; silent changes: 0", flush=True)
    return 0


def _counts(seen: Counter[str]) -> str:
    return ", ".join(f"{what} {times:,}" for what, times in sorted(seen.items()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
