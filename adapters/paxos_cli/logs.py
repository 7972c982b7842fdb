"""How logs are written: the standard ``logging``, a sentence for people, or JSON for programs.

A log call writes a sentence, and its facts beside it: ``extra={"event": "stopped", "server": 1,
"reason": "SaveFailed"}``. The JSON of a record is one line: ``time`` (UTC), ``level``, ``logger``,
``message``, then the facts under their names, and ``error`` if there is a traceback.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from paxos import ServerId
from paxos_adapters.printable import printable, printable_lines
from paxos_adapters.udp.errors import Removed

STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}
"""What every record has."""


class AsText(logging.Formatter):
    """One line a record, and the lines of a traceback below it; see ``printable``."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """The line, whatever is in the message."""
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback if there is one."""
        return printable_lines(super().format(record))


class AsJson(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        facts = {key: it for key, it in vars(record).items() if key not in STANDARD}
        if record.exc_info:
            facts["error"] = self.formatException(record.exc_info)
        return json.dumps(line | facts | line, default=str)


def handler(me: ServerId, *, as_json: bool) -> logging.Handler:
    """What writes the logs of server ``me`` to the standard error.

    Why it has stopped is left to the last line of ``paxos node``, unless programs read the log; and
    also then if it was removed, which does not count as a failure.
    """
    made = logging.StreamHandler()
    text = f"%(asctime)s server {me} %(levelname)s: %(message)s"
    made.setFormatter(AsJson() if as_json else AsText(text, "%H:%M:%S"))

    def is_kept(record: logging.LogRecord) -> bool:
        facts = vars(record)
        is_failure = as_json and facts.get("reason") != Removed.__name__
        return facts.get("event") != "stopped" or is_failure

    made.addFilter(is_kept)
    return made


def configure(me: ServerId, *, as_json: bool, verbose: bool) -> None:
    """Write all logs of this process, which runs server ``me``, to the standard error."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler(me, as_json=as_json)], force=True)
