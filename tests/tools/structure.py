"""Write tests/repository/structure.toml anew: what breaks a bound today. Read what has changed."""

from __future__ import annotations

from collections.abc import Iterable

from tests.repository import test_structure as structure
from tests.repository.test_structure import ROOT, WORDS


def listed(name: str, items: Iterable[str], margin: str = "") -> str:
    """A list in TOML, an item a line; a name of several words is quoted."""
    rows = "".join(f'{margin}    "{item}",\n' for item in items)
    return f"{margin}{name}[\n{rows}{margin}]"


def main() -> None:
    """Write the file."""
    circles = "".join(
        f"{listed('', it, '    ')},\n" for it in structure.circles(structure.arrows())
    )
    words = ((word, structure.where(word)) for word in WORDS)
    parts = [
        "# What breaks a bound of test_structure.py today. It only gets shorter.",
        listed("lines = ", structure.long_functions()),
        listed("parameters = ", structure.wide_functions()),
        f"circles = [\n{circles}]",
        "[words]",
        *(listed(f'"{word}" = ', files) for word, files in words if files),
    ]
    text = "\n".join(parts) + "\n"
    (ROOT / "tests/repository/structure.toml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
