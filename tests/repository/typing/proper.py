"""Programs that must type-check, in both checkers, with every type inferred as written here."""

from typing import assert_type

from paxos import (
    Accepted,
    Acceptor,
    AfterSave,
    Answer,
    Ballot,
    Broadcast,
    From,
    Learner,
    MaxRound,
    Nack,
    Now,
    Outbound,
    Prepare,
    Promise,
    Propose,
    Proposer,
    Saved,
    Server,
    ServerId,
    acceptor,
    learner,
    majority,
    proposer,
    server,
)
from paxos.messages import Reply

S1 = ServerId(1)
BALLOT = Ballot(1, S1)
QUORUM = majority([S1])


def an_acceptor_step() -> None:
    state, outbound = acceptor.receive(Acceptor[str](), Prepare(BALLOT))
    assert_type(state, Acceptor[str])
    assert_type(
        outbound,
        AfterSave[Acceptor[str], Promise[str] | Accepted[str] | Nack | Answer[str]]
        | Now[Promise[str] | Accepted[str] | Nack | Answer[str]],
    )


def opening_a_seal() -> None:
    _, outbound = acceptor.receive(Acceptor[str](), Prepare(BALLOT))
    if isinstance(outbound, AfterSave):
        saved = Saved((outbound.record,))
        assert_type(
            outbound.release(saved), tuple[Promise[str] | Accepted[str] | Nack | Answer[str], ...]
        )


def a_pattern_finds_what_must_be_saved(outbound: Outbound[MaxRound, Prepare]) -> MaxRound | None:
    match outbound:
        case Now(messages):
            assert_type(messages, tuple[Prepare, ...])
            return None
        case AfterSave(record):
            return record


def a_receipt_for_a_batch_opens_each_of_its_seals() -> None:
    state: Server[str] = server.start(S1, QUORUM)
    state, first = server.receive(state, Propose("red"))
    state, second = server.receive(state, From(S1, Prepare(BALLOT)))
    if isinstance(first, AfterSave) and isinstance(second, AfterSave):
        saved = Saved((first.record, second.record))
        assert_type(saved, Saved[Acceptor[str] | MaxRound])
        first.release(saved)
        second.release(saved)


def a_narrower_event_is_an_event() -> None:
    promise: From[Promise[str]] = From(S1, Promise(BALLOT, None))
    reply: From[Reply[str]] = promise
    proposer.receive(Proposer[str](S1, QUORUM), reply)
    proposer.receive(Proposer[str](S1, QUORUM), promise)
    learner.receive(Learner[str](QUORUM), From(S1, Accepted(BALLOT, "red")))


def mapping_keeps_the_seal(outbound: AfterSave[MaxRound, Prepare]) -> None:
    assert_type(
        outbound.map(lambda message: Broadcast(message)), AfterSave[MaxRound, Broadcast[Prepare]]
    )
