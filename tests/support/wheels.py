"""Wheels of this library, made of its sources as they are or changed; and environments with them.

- No index is asked, and nothing is built: a wheel is an archive of the packages and their names.
- An environment has the wheel, and what else there is where the tests run.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import sysconfig
import tomllib
import venv
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]

WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

Edits = Mapping[str, Mapping[str, str]]
"""For each module, by its path in a wheel, what stands there once and what stands there instead."""


def wheel(folder: Path, version: str, edits: Edits) -> Path:
    """A wheel of the sources, with ``edits``, that says that it is ``version``."""
    about = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = {
        str(path.relative_to((ROOT / package).parent)): path.read_bytes()
        for package in packages
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    for name, changes in edits.items():
        text = files[name].decode()
        for find, into in changes.items():
            assert text.count(find) == 1, f"{name} has this {text.count(find)} times:\n{find}"
            text = text.replace(find, into)
        files[name] = text.encode()
    info = f"sansio_paxos-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: sansio-paxos\nVersion: {version}\n"
    files |= {f"{info}/METADATA": metadata.encode(), f"{info}/WHEEL": WHEEL.encode()}
    record = [f"{name},sha256={_digest(it)},{len(it)}" for name, it in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    path = folder / f"sansio_paxos-{version}-py3-none-any.whl"
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def environment(place: Path, archive: Path) -> Path:
    """A new environment with the wheel ``archive``; its Python."""
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    words = "--disable-pip-version-check", "--python", str(python), "install", "--quiet"
    only = "--no-index", "--no-deps", str(archive)
    subprocess.run([sys.executable, "-m", "pip", *words, *only], check=True)
    (packages,) = place.glob("lib/*/site-packages")
    others = sysconfig.get_path("purelib"), sysconfig.get_path("platlib")
    (packages / "others.pth").write_text("\n".join(dict.fromkeys(others)), encoding="utf-8")
    return python


def _digest(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
