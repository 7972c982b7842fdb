"""Programs that must not type-check: each marked line is one error, and no other line is.

Read by test_typing.py and never run. The mark names the error of mypy, then that of pyright.
"""

from typing import assert_never

from paxos import (
    Accept,
    Acceptor,
    AfterSave,
    Ballot,
    From,
    MaxRound,
    Nack,
    Now,
    Outbound,
    Prepare,
    Promise,
    Proposer,
    Propose,
    Saved,
    ServerId,
    acceptor,
    learner,
    majority,
    proposer,
)
from paxos.messages import Request

S1 = ServerId(1)
BALLOT = Ballot(1, S1)
STATE = Acceptor[str]()
SEALED: AfterSave[Acceptor[str], Promise[str]] = AfterSave(STATE, (Promise[str](BALLOT, None),))
ROUND: Saved[MaxRound] = Saved((MaxRound(1),))


def releasing_without_saving() -> None:
    SEALED.release()  # E: call-arg, reportCallIssue


def reading_what_is_sealed() -> None:
    SEALED.messages  # E: attr-defined, reportAttributeAccessIssue


def matching_what_is_sealed(outbound: AfterSave[MaxRound, Prepare]) -> tuple[Prepare, ...]:
    match outbound:  # E: exhaustive-match, reportMatchNotExhaustive
        case AfterSave(_, messages):  # E: misc, reportGeneralTypeIssues
            return messages
    return ()


def matching_what_is_sealed_among_others(outbound: Outbound[MaxRound, Prepare]) -> None:
    match outbound:  # E: exhaustive-match, reportMatchNotExhaustive
        case Now(_):
            pass
        case AfterSave(_, _):  # E: misc, reportGeneralTypeIssues
            pass


def matching_what_is_sealed_by_name(outbound: AfterSave[MaxRound, Prepare]) -> None:
    match outbound:  # E: -, reportMatchNotExhaustive
        case AfterSave(messages=_):  # E: misc, -
            pass


def unpacking_what_is_sealed() -> None:
    _, messages = SEALED  # E: misc, reportGeneralTypeIssues


def taking_what_is_sealed_by_number() -> None:
    SEALED[1]  # E: index, reportIndexIssue


def going_through_what_is_sealed() -> None:
    for _ in SEALED:  # E: attr-defined, reportGeneralTypeIssues
        pass


def reading_the_private_name() -> None:
    SEALED._messages  # E: -, reportPrivateUsage


def treating_a_sealed_outbound_as_free(outbound: AfterSave[Acceptor[str], Nack]) -> Now[Nack]:
    return outbound  # E: return-value, reportReturnType


def another_records_receipt() -> None:
    SEALED.release(ROUND)  # E: arg-type, reportArgumentType


def a_bare_int_for_a_server_id() -> None:
    Ballot(1, 1)  # E: arg-type, reportArgumentType
    majority([1, 2, 3])  # E: list-item, reportArgumentType


def a_non_message() -> None:
    acceptor.receive(STATE, "prepare")  # E: arg-type, reportArgumentType


def a_message_for_another_role() -> None:
    acceptor.receive(STATE, Promise[str](BALLOT, None))  # E: arg-type, reportArgumentType


def a_reply_without_its_sender() -> None:
    state = Proposer[str](S1, majority([S1]))
    proposer.receive(state, Nack(BALLOT, BALLOT))  # E: arg-type, reportArgumentType


def a_changed_field() -> None:
    STATE.promised = BALLOT  # E: misc, reportAttributeAccessIssue


def a_value_of_another_type() -> None:
    acceptor.receive(STATE, Accept(BALLOT, 7))  # E: misc, reportArgumentType


def a_missing_case(request: Request[str]) -> int:
    match request:  # E: exhaustive-match, reportMatchNotExhaustive
        case Prepare():
            return 1
    return 2


def a_missing_case_before_assert_never(request: Request[str]) -> int:
    if type(request) is Prepare:
        return 1
    assert_never(request)  # E: arg-type, reportArgumentType
