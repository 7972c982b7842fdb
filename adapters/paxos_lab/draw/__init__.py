"""Pictures of timelines: for a terminal, for a page, for Mermaid, for a notebook.

- ``terminal``: rows of text.
- ``layout``: where each moment stands; ``svg`` draws it, as a slide would show it.
- ``strips``: the same for a page, which draws only what is in sight.
- ``mermaid``: text that Mermaid draws.
- ``picture``: a timeline that a notebook shows by itself.

Arrows point one way:
timelines <- layout, style <- terminal, svg, mermaid <- picture; svg <- strips.
"""

from __future__ import annotations

from paxos_lab.draw.terminal import ASCII, UNICODE, Glyphs, Row, rows, text

__all__ = ["ASCII", "UNICODE", "Glyphs", "Row", "rows", "text"]
