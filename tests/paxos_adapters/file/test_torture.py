"""Short forms of ``make torture``: kills, power cuts, disks that fail, and damage."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from paxos_adapters.file import opening, reading, writing
from tests.tools import torture
from tests.tools.torture import Broken, Call, Disk, damage, failing_sync, power_cuts

ROOT = Path(__file__).parents[3]
SEED = 20131017
STRACE = pytest.mark.skipif(
    shutil.which("strace") is None, reason="strace is not installed: .ci/packages does that"
)


def kills(folder: Path, times: int) -> tuple[int, int]:
    """In a process of its own, which can be forked."""
    program = (
        "import sys; from tests.tools.torture import kills, make, Path; "
        f"path = Path({str(folder / 'n1.db')!r}); make(path); "
        f"print(*kills(path, {times}, {SEED}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    receipts, within = map(int, done.stdout.split())
    return receipts, within


def test_every_receipt_survives_a_kill(tmp_path: Path) -> None:
    receipts, within = kills(tmp_path, 40)

    assert receipts > 40
    assert within > 0


@pytest.mark.slow
@STRACE
def test_every_receipt_survives_a_power_cut(tmp_path: Path) -> None:
    seen = power_cuts(tmp_path, batches=25, images=2, seed=SEED)

    assert seen["receipts"] == 25
    assert seen["disks"] > 500
    assert seen["with an unsynced save"] > 50


@STRACE
def test_a_power_cut_is_felt_by_a_store_that_does_not_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = torture.trace

    def without_syncs(path: Path, batches: int) -> list[Call]:
        return [it for it in calls(path, batches) if it.name != "sync"]

    monkeypatch.setattr(torture, "trace", without_syncs)
    with pytest.raises(Broken, match=r"vouched for|only the first"):
        power_cuts(tmp_path, batches=5, images=4, seed=SEED)


@pytest.mark.slow
@STRACE
def test_a_sync_that_fails_is_final(tmp_path: Path) -> None:
    """Except when SQLite moves its log into the file: it keeps the log then, and tries again."""
    final = 0
    for which in range(5, 15):
        folder = tmp_path / str(which)
        folder.mkdir()
        receipt, found, said = failing_sync(folder, which)

        assert 0 < receipt <= found <= receipt + 1
        if said:
            final += 1
            assert said.splitlines()[-1].startswith("paxos_adapters.file.errors.SaveFailed: ")
            assert "no retry can be trusted" in said
        else:
            assert receipt == found == 30
    assert final > 5


def test_a_full_disk_and_one_that_is_read_only(tmp_path: Path) -> None:
    mounted = ["unshare", "--mount", "--map-root-user"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*mounted, "true"], check=False).returncode
    ):
        pytest.skip("this system does not let a test mount a small disk of its own")
    program = (
        "from tests.tools.torture import full_disk, Path; "
        f"print(full_disk(Path({str(tmp_path)!r})))"
    )
    done = subprocess.run(
        [*mounted, sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    filled, read_only, found = done.stdout.splitlines()
    saved, _, failure = filled.partition(" saved, then ")
    assert failure == "SaveFailed: database or disk is full"
    assert read_only.startswith("read-only: StoreUnavailable: [Errno 30] Read-only file system")
    assert found in (f"{saved} found", f"{int(saved) + 1} found")


@pytest.mark.slow
def test_damage_is_noticed_or_without_effect(tmp_path: Path) -> None:
    seen = damage(tmp_path, step=151)

    assert seen["refused: StoreCorrupted"] > 200
    assert seen["without effect"] > 200


@pytest.mark.slow
def test_damage_is_felt_by_a_store_without_checksums(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def constant(*_: object) -> bytes:
        return b"\0" * 16

    for module, name in (writing, "checksum"), (reading, "checksum"), (reading, "keyed_sum"):
        monkeypatch.setattr(module, name, constant)
    monkeypatch.setattr(opening, "keyed_sum", constant)
    with pytest.raises((Broken, ValueError, IndexError)):
        damage(tmp_path, step=7)


class TestDisk:
    """The model of a disk: what is not synced may be lost, torn or there."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Disk:
        (tmp_path / "a").write_bytes(b"old")
        return Disk(tmp_path)

    def images(self, disk: Disk) -> Counter[str]:
        chance = random.Random(SEED)
        return Counter(repr(sorted(disk.image(chance).items())) for _ in range(300))

    def test_a_write_may_arrive_or_not(self, disk: Disk) -> None:
        disk.take(Call("write", f"{disk.path}/a", offset=1, data=b"new"))

        assert set(self.images(disk)) == {"[('a', b'old')]", "[('a', b'onew')]"}

    def test_a_synced_write_is_there(self, disk: Disk) -> None:
        disk.take(Call("write", f"{disk.path}/a", offset=1, data=b"new"))
        disk.take(Call("sync", f"{disk.path}/a"))

        assert set(self.images(disk)) == {"[('a', b'onew')]"}

    def test_a_large_write_may_be_torn(self, disk: Disk) -> None:
        disk.take(Call("write", f"{disk.path}/a", data=b"x" * 1024))
        sizes = {len(eval(it)[0][1]) for it in self.images(disk)}

        assert sizes == {3, 512, 1024}

    def test_a_new_name_is_there_once_the_folder_is_synced(self, disk: Disk) -> None:
        disk.take(Call("create", f"{disk.path}/b"))
        disk.take(Call("write", f"{disk.path}/b", data=b"b"))
        disk.take(Call("sync", f"{disk.path}/b"))
        assert set(self.images(disk)) == {"[('a', b'old')]", "[('a', b'old'), ('b', b'b')]"}

        disk.take(Call("sync", disk.path))
        assert set(self.images(disk)) == {"[('a', b'old'), ('b', b'b')]"}

    def test_a_rename_and_a_removal(self, disk: Disk) -> None:
        disk.take(Call("rename", f"{disk.path}/a", f"{disk.path}/b"))
        disk.take(Call("sync", disk.path))
        disk.take(Call("unlink", f"{disk.path}/b"))

        assert set(self.images(disk)) == {"[]", "[('b', b'old')]"}

    def test_a_file_that_is_cut_off(self, disk: Disk) -> None:
        disk.take(Call("ftruncate", f"{disk.path}/a", offset=1))
        disk.take(Call("sync", f"{disk.path}/a"))

        assert set(self.images(disk)) == {"[('a', b'o')]"}
