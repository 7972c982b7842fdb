"""Which server a command asks, of those of this machine, and what is said without an answer.

- The first server of the cluster that answers is asked; one that hangs is passed over.
- Without an answer it is said what is known and what is not, and what the cluster lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan
from pathlib import Path
from shlex import join
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
from attrs import frozen

from paxos import PaxosError, ServerId
from paxos_adapters.node.control_client import NoReply, NotRunning, TooLong, ask
from paxos_adapters.node.control_protocol import (
    MAX_TIMEOUT_S,
    Answer,
    ErrorReply,
    MembersReply,
    MembersRequest,
    ProposeRequest,
    Question,
    StatusReply,
    StatusRequest,
    WatchRequest,
)
from paxos_adapters.requests.errors import TOO_LATE
from paxos_cli import health
from paxos_cli.config import CLUSTER, CONFIG, DATA, PROBE_S, data_of, described
from paxos_cli.exit_codes import ExitCode
from paxos_cli.failures import BadArguments, Failure
from paxos_cli.feedback import waiting
from paxos_cli.options import gathered

C = TypeVar("C", bound=Callable[..., Any])
Rest = ParamSpec("Rest")

GRACE_S = 2.0
"""How long to wait for a server beyond the time that it was given."""

NO_ANSWER = {"NoAnswer", "OutcomeUnknown"}
BAD_ARGUMENTS = {"BadName", "NameOfLog", "TooLarge"}


@frozen
class Target:
    """The server that is asked: ``me`` of a cluster, the one on ``data``, or any that answers."""

    cluster: Path
    data: Path | None
    me: int | None

    def command(self, *verb: str, name: str | None = None) -> str:
        """What to type to ask the same server something else, about ``name``."""
        where = [] if self.cluster == Path(CONFIG) else ["--cluster", str(self.cluster)]
        where += [] if self.data is None else ["--data", str(self.data)]
        where += [] if self.me is None else ["--id", str(self.me)]
        names = [] if name is None else [*["--"] * name.startswith("-"), name]
        return join(["paxos", *verb, *where, *names])


def asks(command: Callable[Concatenate[Target, Rest], ExitCode]) -> Callable[..., ExitCode]:
    """The options of every command that asks: handed over as one Target, in front."""
    asking = gathered(Target)(command)
    for option in (
        click.option(
            "--id", "me", type=int, metavar="ID", help="Ask this server.  [default: the first up]"
        ),
        DATA,
        CLUSTER,
    ):
        asking = option(asking)
    return asking


def _number(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    if value is not None and isnan(value):
        raise click.BadParameter("it is not a number.", context, parameter)
    return value


def timeout(default: float | None) -> Callable[[C], C]:
    """The option that says how long to wait."""
    never = "" if default is not None else "  [default: for as long as it takes]"
    return click.option(
        "--timeout-s",
        type=click.FloatRange(0, MAX_TIMEOUT_S, min_open=True),
        metavar="SECONDS",
        default=default,
        show_default=default is not None,
        callback=_number,
        help=f"How long to wait for the answer, in seconds.{never}",
    )


def candidates(target: Target) -> Sequence[Path]:
    """The data files of the servers that may be asked."""
    if target.data is not None:
        return [target.data]
    cluster = described(target.cluster)
    if target.me is not None:
        return [data_of(cluster, ServerId(target.me))]
    if not cluster.data:
        raise BadArguments(f"{target.cluster} names no data file: give --data FILE.")
    return [*cluster.data.values()]


def find(target: Target) -> Path:
    """The data file of a server that answers."""
    me = target.me
    troubles: list[str] = []
    for candidate in candidates(target):
        try:
            with waiting(f"Waiting for the server on {candidate} ..."):
                answer = ask(candidate, StatusRequest(), patience_s=PROBE_S)
        except NotRunning:
            troubles.append(f"no server runs on {candidate}")
        except NoReply:
            troubles.append(f"the server on {candidate} hangs")
        except PaxosError as error:
            troubles.append(str(error).rstrip("."))
        else:
            if me is not None and isinstance(answer, StatusReply) and answer.status.me != me:
                there = f"server {answer.status.me}, and not server {me}"
                raise BadArguments(f"on {candidate} runs {there}. Give one that fits the other.")
            return candidate
    raise Failure(
        f"no server of this machine answers: {'; '.join(troubles)}. Start one with paxos node, or "
        "all of them with paxos cluster.",
        code=ExitCode.NO_SERVER,
    )


def answer_of(server: Path, question: Question, timeout_s: float | None) -> Answer:
    """The answer. Raises what says why there is none."""
    try:
        answer = ask(
            server, question, patience_s=None if timeout_s is None else timeout_s + GRACE_S
        )
    except TooLong as error:
        raise BadArguments(str(error)) from error
    except NoReply as error:
        unknown = "The value may be chosen anyway; to propose it again does no harm."
        more = f" {unknown}" if isinstance(question, ProposeRequest) else ""
        raise Failure(f"{error}{more}", code=ExitCode.UNKNOWN_OUTCOME) from error
    except NotRunning as error:
        raise Failure(error, code=ExitCode.NO_SERVER) from error
    except PaxosError as error:
        raise Failure(error) from error
    if isinstance(answer, ErrorReply):
        raise refused(server, question, answer)
    return answer


def refused(server: Path, question: Question, reply: ErrorReply) -> Failure:
    """What says why the server has not answered the question."""
    if reply.kind in BAD_ARGUMENTS:
        return BadArguments(reply.text)
    if reply.kind not in NO_ANSWER or isinstance(question, StatusRequest):
        return Failure(reply.text)
    unknown = ExitCode.UNKNOWN_OUTCOME
    if isinstance(question, ProposeRequest):
        return unanswered(server, reply.text, unknown, when_lost=unknown)
    if isinstance(question, WatchRequest) and reply.why == TOO_LATE:
        what = f"{question.name!r}: nothing was chosen in time, as far as this server knows."
        return unanswered(server, what, ExitCode.NOTHING_CHOSEN)
    return unanswered(server, reply.text, unknown)


def unanswered(
    server: Path,
    what: str,
    code: ExitCode,
    *,
    when_lost: ExitCode = ExitCode.QUORUM_LOST,
    of_change: bool = False,
) -> Failure:
    """What says that there was no answer in time, and what the cluster lacks.

    ``of_change``: it was a change of members that is not finished.
    """
    try:
        status, members = status_of(server).status, members_of(server).members
    except click.ClickException:  # It has ended by now, and can say nothing.
        return Failure(what, code=code)
    if status.needed:
        code = when_lost
    if code is ExitCode.NOTHING_CHOSEN:
        return Failure(what, code=code)
    return Failure(what, *health.lacks(status, members, of_change=of_change), code=code)


def status_of(server: Path) -> StatusReply:
    """How the server on that data file is."""
    answer = answer_of(server, StatusRequest(), PROBE_S)
    if not isinstance(answer, StatusReply):
        raise unexpected(answer)
    return answer


def members_of(server: Path) -> MembersReply:
    """The members, as the server on that data file knows them."""
    answer = answer_of(server, MembersRequest(), PROBE_S)
    if not isinstance(answer, MembersReply):
        raise unexpected(answer)
    return answer


def unexpected(answer: Answer) -> Failure:
    """What says that this is not an answer to what was asked."""
    return Failure(f"the server gave another answer: {answer}")
