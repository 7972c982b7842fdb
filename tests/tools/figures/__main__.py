"""Draw the figures of the lecture: ``make figures`` writes docs/figures."""

from __future__ import annotations

from tests.tools.figures import FOLDER, drawn


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, figure in drawn().items():
        (FOLDER / f"{name}.svg").write_text(figure, encoding="utf-8")


if __name__ == "__main__":
    main()
