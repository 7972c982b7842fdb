"""The scopes in which the rules are seen to hold, and those in which each broken variant is caught.

``SMALL`` scopes take a second or two and are part of the tests; ``USUAL`` ones are added by ``make
explore``, ``LARGE`` ones by ``python -m tests.tools.models --large``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from tests.tools.models import learning, members, registration, sessions
from tests.tools.models.disks import Left, World, start
from tests.tools.models.members import Members, majority
from tests.tools.models.walk import Walk, walk

SMALL, USUAL, LARGE = range(3)


class Case(NamedTuple):
    """All states of a scope. ``expected`` is what must be found wrong; "" for nothing."""

    title: str
    run: Callable[[], Walk]
    size: int = SMALL
    expected: str = ""


# --- sessions ------------------------------------------------------------------------------------


def _wrong(world: World) -> str:
    return world.wrong


def _sessions(
    title: str, places: int, left: Left, size: int, broken: sessions.Broken | None = None
) -> Case:
    rules = sessions.Sessions(broken)
    expected = sessions.STOPPED if broken else ""
    return Case(title, partial(walk, start(1, places, left), rules.steps, _wrong), size, expected)


RESTARTS = Left(3, 0, 0, 0, 0, 1)
SESSIONS = (
    _sessions("2 openings, a save, a backup", 1, Left(2, 1, 1, 1, 0, 0), SMALL),
    _sessions("3 openings, a peer killed", 1, RESTARTS, SMALL),
    _sessions("and a copy at once, a peer killed", 2, Left(2, 1, 1, 1, 0, 1), USUAL),
    _sessions("and a power cut, a peer killed", 1, Left(2, 1, 1, 1, 1, 1), USUAL),
    _sessions("3 openings, a copy at once, no save", 2, Left(3, 0, 1, 1, 0, 0), USUAL),
    _sessions("3 openings, a save, a backup", 1, Left(3, 1, 1, 1, 0, 0), LARGE),
)
WALKED = (sessions.Broken.DROPPED_BEFORE_DURABLE, sessions.Broken.ANY_REFUSAL_COUNTS)
"""The broken variants that random histories find too seldom."""
SESSIONS_BROKEN = tuple(_sessions(it.value, 1, RESTARTS, SMALL, it) for it in WALKED)

_B = sessions.Broken
DRAWN: Mapping[sessions.Broken, tuple[str, bool]] = {
    _B.GROWING_COUNTS: (sessions.HEARD, True),
    _B.NO_END_COUNTS: (sessions.HEARD, True),
    _B.SESSION_KEPT_OVER_A_KILL: (sessions.HEARD, True),
    _B.KNOWLEDGE_FOLLOWS_LATE_ANCESTORS: (sessions.HEARD, True),
    _B.ROW_WRITTEN_AFTER_USE: (sessions.STOPPED, False),
    _B.END_FROM_THE_MARK: (sessions.STOPPED, False),
    _B.END_MUST_BE_ABOVE: (sessions.STOPPED, False),
    _B.COUNT_TOLD_TOO_EARLY: (sessions.STOPPED, False),
    _B.MARK_WITHOUT_SESSION: (sessions.MISSED, True),
    _B.MARKS_ENTRY_DROPPED: (sessions.FALSE_ALARM, False),
}
"""What goes wrong in the histories of each variant, and whether that takes copies."""
MOST_SEEDS = 2_000


class Histories(NamedTuple):
    """Many random histories: what happened in them, and the first that went wrong."""

    events: Counter[str]
    wrong: str
    seed: int


def histories(count: int, *, copies: bool) -> Histories:
    """Histories with the seeds from 0, up to the first that goes wrong."""
    rules = sessions.Sessions()
    events: Counter[str] = Counter()
    for seed in range(count):
        found = sessions.history(rules, seed, copies=copies)
        events.update(found.events)
        if found.wrong:
            return Histories(events, found.wrong, seed)
    return Histories(events, "", count)


def caught(broken: sessions.Broken) -> Histories:
    """The first history in which a broken variant goes wrong in the way that it should."""
    wrong, copies = DRAWN[broken]
    rules = sessions.Sessions(broken)
    for seed in range(MOST_SEEDS):
        found = sessions.history(rules, seed, copies=copies)
        if found.wrong == wrong:
            return Histories(found.events, wrong, seed)
    return Histories(Counter(), "", MOST_SEEDS)


# --- registration --------------------------------------------------------------------------------


def _registration(
    title: str, scope: registration.Scope, size: int = SMALL, expected: str = ""
) -> Case:
    scope = scope._replace(claim=expected)
    steps = partial(registration.steps, scope)
    run = partial(walk, registration.start(scope), steps, registration.wrong)
    return Case(title, run, size, expected)


_R = registration.Broken
_Three = partial(registration.Scope, 3, 2, 2)
REGISTRATION = (
    _registration("3 servers, both peers", _Three()),
    _registration("3 servers, its own ballot", _Three((2, 1), is_proposing=True)),
    _registration("3 servers, one restart more", _Three((2, 1)), USUAL),
    _registration("4 servers, 2 of 3 peers", registration.Scope(4, 3, 3), USUAL),
    _registration("4 servers, sizes (3, 2)", registration.Scope(4, 3, 2), USUAL),
    _registration(
        "5 servers, 3 of 4 peers, one disk at a time",
        registration.Scope(5, 3, 3, is_in_turn=True),
        USUAL,
    ),
    _registration("5 servers, 3 of 4 peers", registration.Scope(5, 3, 3), LARGE),
)


def _registration_broken() -> Iterator[Case]:
    in_turn = partial(_Three, is_in_turn=True)
    for broken, scope, expected in (
        (_R.MAJORITY_WITH_ITSELF, in_turn(), registration.TWO_VALUES),
        (
            _R.PHASE_1_QUORUM_ONLY,
            registration.Scope(3, 1, 3, is_in_turn=True),
            registration.TWO_VALUES,
        ),
        (_R.ACKNOWLEDGED_BEFORE_DURABLE, in_turn(), registration.TWO_VALUES),
        (_R.PEERS_THAT_KNOW_NOTHING, in_turn(), registration.TWO_VALUES),
        (_R.ONE_PEER_AND_GOSSIP, in_turn(), registration.TWO_VALUES),
        (_R.NOT_ASKED_FIRST, registration.Scope(4, 3, 3), registration.STOPPED),
        (_R.VOTES_BEFORE_REGISTERED, in_turn(), registration.TWO_VALUES),
        (_R.PREPARES_BEFORE_REGISTERED, in_turn(is_proposing=True), registration.TWICE),
        (_R.OLD_KNOWLEDGE_INHERITED, _Three(), registration.STOPPED),
    ):
        sizes = f"{scope.servers} servers"
        if scope.phase_1 != scope.phase_2:
            sizes = f"{sizes}, sizes ({scope.phase_1}, {scope.phase_2})"
        title = f"{broken.value}, {sizes}"
        yield _registration(title, scope._replace(broken=broken), SMALL, expected)
    for title, scope in (
        ("2 of 4 peers, 5 servers", registration.Scope(5, 3, 3, broken=_R.MAJORITY_WITH_ITSELF)),
        (
            "one peer, 4 servers, sizes (1, 4)",
            registration.Scope(4, 1, 4, broken=_R.PHASE_1_QUORUM_ONLY),
        ),
    ):
        yield _registration(title, scope._replace(is_in_turn=True), USUAL, registration.TWO_VALUES)


REGISTRATION_BROKEN = tuple(_registration_broken())


# --- learning the members -------------------------------------------------------------------------


def _learning(title: str, scope: learning.Scope, expected: str = "") -> Case:
    steps = partial(learning.steps, scope)
    return Case(title, partial(walk, learning.start(scope), steps, learning.wrong), SMALL, expected)


_L = learning.Broken
_REPLACED_ONE = learning.Scope(((0, 1), (1, 2), (2, 3)), crashes=3)
_GROWN = learning.Scope(((0,), (0, 1), (0, 1, 2), (0, 1, 2, 3)), crashes=3)
LEARNING = (
    _learning("3 servers, the two others replaced one by one", _REPLACED_ONE),
    _learning("2 servers to 5, one by one", _GROWN),
    _learning("5 servers to 3", learning.Scope(((0, 1, 2, 3), (0, 1, 2), (0, 1)), crashes=3)),
    _learning("5 servers, one replaced", learning.Scope(((0, 1, 2, 3), (1, 2, 3, 4)), crashes=3)),
)
LEARNING_BROKEN = tuple(
    _learning(it.value, scope._replace(broken=it), learning.STOPPED)
    for it, scope in (
        (_L.REGISTERED_TO_LEARN, _REPLACED_ONE),
        (_L.MORE_IS_IGNORED, _GROWN),
        (_L.REPLACED_UNSEEN, _REPLACED_ONE._replace(unseen=2)),
    )
)


# --- members -------------------------------------------------------------------------------------


def _members(title: str, scope: members.Scope, size: int = SMALL, expected: str = "") -> Case:
    steps, wrong = partial(members.steps, scope), partial(members.wrong, scope)
    return Case(title, partial(walk, members.start(scope), steps, wrong), size, expected)


_M = members.Broken
_THREE, _FIVE = majority(1, 2, 3), majority(1, 2, 3, 4, 5)
_REPLACED = majority(1, 2, 4)
_ONE_TWO, _ALL = ((1, 2),), ((1, 2, 3),)
_TO_SIZES = members.Scope(_THREE, Members((1, 2, 3), 3, 1), _ALL)
_TWO_SETTLES = members.Scope(_THREE, _THREE, ((1, 2), (2, 3)))
_DISJOINT = members.Scope(Members((1, 2, 3), 1, 3), majority(1), ((1,), (2,)))
_TWO_BALLOTS = members.Scope(majority(1), _REPLACED, ((1,),), ballots=(3, 4))
MEMBERS = (
    _members("{1,2,3} to {1,2,4}, files 1, 2", members.Scope(_THREE, _REPLACED, _ONE_TWO)),
    _members("majority to sizes (3, 1), files 1, 2, 3", _TO_SIZES),
    _members("{1} to {1,2,4}, two ballots, file 1", _TWO_BALLOTS),
    _members(
        "{1,2,3} to {1,2,4,5}, files 1, 2",
        members.Scope(_THREE, majority(1, 2, 4, 5), _ONE_TWO),
        USUAL,
    ),
    _members("3 to 5, files 1, 2, 3", members.Scope(_THREE, _FIVE, _ALL), USUAL),
    _members("{1,2,3} anew, two settles, files 1, 2 and 2, 3", _TWO_SETTLES, USUAL),
    _members("3 to 5, files 1, 2", members.Scope(_THREE, _FIVE, _ONE_TWO), LARGE),
    _members("5 to 3, files 1, 2, 3", members.Scope(_FIVE, _THREE, _ALL), LARGE),
)


def _members_broken() -> Iterator[Case]:
    replaced = members.Scope(_THREE, _REPLACED, _ONE_TWO)
    anew = members.Scope(_THREE, _THREE, _ONE_TWO)
    short = members.Scope(Members((1, 2, 3), 3, 1), _THREE, ((1,),))
    for broken, scope, size in (
        (_M.DESCRIPTION_EDITED, members.Scope(_FIVE, _THREE, _ALL), SMALL),
        (_M.DESCRIPTION_EDITED, members.Scope(_THREE, _FIVE, _ONE_TWO), USUAL),
        (_M.SHORT_OF_A_PHASE_1_QUORUM, members.Scope(_THREE, _THREE, ((1,),)), SMALL),
        (_M.PHASE_2_QUORUM_OF_FILES, short, SMALL),
        (_M.CONVERTED_ONE_BY_ONE, replaced, SMALL),
        (_M.UNREAD_FILE_JOINS, anew, SMALL),
        (_M.OWN_CHOICE_OF_FILES, _TWO_SETTLES, USUAL),
        (_M.OLD_FRAMES_HEARD, replaced, SMALL),
        (_M.ADOPTED_TWICE, _TWO_BALLOTS, USUAL),
        (_M.REOPENED_AFTER_SETTLE, replaced, SMALL),
        (_M.SETTLED_AGAIN_FROM_OTHERS, _DISJOINT, SMALL),
        (_M.ROUNDS_BEGIN_ANEW, anew._replace(ballots=(1, 2)), SMALL),
    ):
        title = f"{broken.value}, {len(scope.old.ids)} to {len(scope.new.ids)} servers"
        found = members.EVIDENCE if broken is _M.ROUNDS_BEGIN_ANEW else members.TWO_VALUES
        yield _members(title, scope._replace(broken=broken), size, found)


MEMBERS_BROKEN = tuple(_members_broken())
