"""Viewing: one page of HTML, complete in itself, to go through a recording step by step.

    page(replay(path), title="run.jsonl").html

- The page asks nothing of the network, and says so in its policy: no library, no font, no image.
- What is from outside is text and never markup: values, names, and what programs say.
- The same replay gives the same page, byte by byte.
- It is bounded: what does not fit is left out, and the page says what.

Arrows point one way: unfolding <- page.
"""

from __future__ import annotations

from paxos_lab.view.page import MAX_DECISIONS, MAX_STEPS, PAGE, Page, page
from paxos_lab.view.unfolding import unfolding

__all__ = ["MAX_DECISIONS", "MAX_STEPS", "PAGE", "Page", "page", "unfolding"]
