"""What a terminal shows while a command waits or works: to the standard error, and then erased.

- It appears after DELAY_S, so that what is quick shows nothing.
- Nothing else may be printed as long as it can be shown: the two would write over each other.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.text import Text

DELAY_S = 0.5
SPINNER = "line"  # of ASCII characters, for any locale


@contextmanager
def waiting(what: str) -> Generator[Callable[[str], None], None, None]:
    """Show ``what`` is waited for, on a terminal, for as long as that takes.

    What is handed over shows another text from then on.
    """
    console = Console(stderr=True)
    if not console.is_interactive:
        yield lambda _: None
        return
    status = console.status(Text(what), spinner=SPINNER)
    timer = Timer(DELAY_S, status.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda now: status.update(Text(now))
    finally:
        timer.cancel()
        timer.join()
        status.stop()
