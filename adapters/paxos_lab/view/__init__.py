"""Viewing: one page of HTML, complete in itself, to go through a recording step by step.

    page(replay(path), title="run.jsonl").html
    log_page(replay_log(path), title="log.jsonl").html
    page_of(run(one, title="one"), run(other, title="other")).html

- The page asks nothing of the network, and says so in its policy: no library, no font, no image.
- What is from outside is text and never markup: values, names, and what programs say.
- The same replay gives the same page, byte by byte.
- It is bounded: what does not fit is left out, and the page says what.

Arrows point one way: window, words, following, each_step <- run <- data <- page.
"""

from __future__ import annotations

from paxos_lab.view.each_step import explain_each_step, explain_log_each_step
from paxos_lab.view.page import PAGE, Page, log_page, page, page_of
from paxos_lab.view.run import MAX_DECISIONS, MAX_STEPS, Run, log_run, run
from paxos_lab.view.window import AROUND, WHOLE, Window, around

__all__ = [
    "AROUND",
    "MAX_DECISIONS",
    "MAX_STEPS",
    "PAGE",
    "WHOLE",
    "Page",
    "Run",
    "Window",
    "around",
    "explain_each_step",
    "explain_log_each_step",
    "log_page",
    "log_run",
    "page",
    "page_of",
    "run",
]
