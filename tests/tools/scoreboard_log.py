"""The drivers of the scoreboard for mutants of a replicated log.

- The simulator climbs a ladder of setups, as for one decision: without and with an end to the
  faults, with snapshots, with members that change.
- A run of a log that breaks a rule has hundreds of events, also when it is shrunk. So there are no
  traces.
- After each step at most a window of slots is open: the invariant that no message shows.
"""

from __future__ import annotations

from attrs import frozen

from paxos import InvariantError
from paxos.log import invariants, replica
from paxos.log.events import Event
from paxos.log.replica import Replica, Step
from paxos_lab.rules import UNDISTURBED
from paxos_lab.simulate.faults import Faults
from paxos_lab.simulate.log import LogSetup
from paxos_lab.simulate.simulator import run_seed
from tests.tools.verdicts import BROKEN, ERROR, Finding, Verdict, Verdicts

CUT = Faults(partitions=4, pauses=3, lost_disks=0)
WINDOW = "at most a window of slots is open"


RARE = "It takes a rare schedule, which has a test: tests/paxos/log/"
SLOWER = "Costs messages or rounds and no rule: "
FAITHFUL = "An alarm that no sound run sets off: another flaw must use a ballot twice."
LEASES = "No driver here has leases: tests/paxos/log/test_lease.py does."
UNUSED = "No driver runs sessions: tests/paxos/log/test_sessions_machine.py does."

LOG_EXPLAINED = {
    "Prepare of a log below the promise is granted": SLOWER
    + "what is promised below is refused later, and all that is accepted is told.",
    "another entry under the same ballot is accepted": FAITHFUL,
    "a ballot with two entries is learned": FAITHFUL,
    "two entries under one ballot are not noticed in promises": FAITHFUL,
    "a read is confirmed below the promise": RARE
    + "test_acceptor.py::test_a_confirmation_says_that_no_more_was_promised.",
    "a read is answered without a quorum": RARE
    + "test_reads.py::test_it_waits_for_a_quorum_and_for_what_was_in_flight.",
    "a confirmation serves reads that began after it": RARE
    + "test_reads.py::test_a_confirmation_serves_all_reads_that_began_before_it.",
    "confirmations of another ballot count": RARE
    + "test_replica.py::test_a_confirmation_of_another_ballot_does_not_count.",
    "chosen is believed of higher ballots": RARE
    + "test_learner.py::test_the_table_of_what_is_believed.",
    "a leader does not catch up with its promises": RARE
    + "test_replica.py::test_it_leads_only_when_it_knows_what_its_quorum_knows.",
    "what is learned from above does not end the leadership": RARE
    + "test_replica.py::test_a_higher_ballot_in_whatever_message_ends_the_leadership.",
    "the next slots are not looked at when first has moved by learning": RARE
    + "test_replica.py::test_learning_drops_what_is_in_flight_below_and_looks_at_the_next_slots.",
    "a heartbeat of a follower is believed": RARE
    + "test_replica.py::test_what_a_leader_says_is_believed_of_what_is_held_under_its_ballot.",
    "the promises of one configuration are enough": RARE
    + "test_leader.py::test_every_configuration_of_the_window_must_promise.",
    "the quorum of another slot decides": RARE
    + "test_leader.py::test_the_quorum_that_governs_the_slot_decides.",
    "new quorums without their promises: a leadership outlives those that promised": RARE
    + "test_leader.py::test_there_is_no_room_beyond_quorums_that_have_not_promised. "
    + "The explorer finds it in `paxos explore --log --rule quorums-outlived`.",
    "a leadership outlives the quorums that promised, once others govern": RARE
    + "test_leader.py::test_there_is_no_room_once_quorums_govern_that_have_not_promised.",
    "an empty slot that a snapshot stands for shifts the chosen ones": RARE
    + "test_memory.py::test_a_slot_that_only_a_snapshot_stands_for_shifts_no_other.",
    "a server that is not a member is not asked for what is chosen": RARE
    + "test_replica.py::test_a_member_that_was_down_while_all_others_were_replaced_catches_up.",
    "a server that is not a member is heard": RARE
    + "test_replica.py::test_of_a_server_that_is_not_a_member_only_what_is_chosen_is_taken.",
    "a server that is not a member campaigns": RARE + "test_replica.py::test_it_does_not_campaign.",
    "a change is finished before all before it is chosen here": RARE
    + "test_progress.py::test_all_below_must_be_chosen_here.",
    "an older heartbeat takes back what a server holds": SLOWER
    + "a later heartbeat says it again.",
    "a heartbeat says what another record is to save": RARE
    + "test_replica.py::test_a_heartbeat_waits_for_the_save_of_what_it_says.",
    "a leader holds what it has announced": RARE
    + "test_replica.py::test_what_a_server_holds_is_what_its_heartbeats_say_unless_it_leads.",
    "a vote counts twice": "Voters are a set: the check saves a copy.",
    "what was just sent is asked again": SLOWER + "each request is sent more often.",
    "the next ballot is not above those received": SLOWER
    + "the next round is one higher instead of high enough.",
    "a server that is not a member is asked for what it does not know": SLOWER
    + "each of its heartbeats is answered.",
    "a leader goes on for slots whose quorums have not promised": SLOWER
    + "it has no room for a slot, and says so to each request.",
    "a replica's own Prepare is a sign of life of another": SLOWER
    + "it names itself as the leader, and campaigns later.",
    "it teaches itself": SLOWER + "what it teaches itself it knows.",
    "a piece that was shortened is not followed by a request for the next": SLOWER
    + "the next heartbeat leads to it.",
    "a piece without news is followed by a request": SLOWER
    + "each answer is asked for once more, until messages are lost.",
    "a leader that is out of contact goes on": SLOWER
    + "nothing that it proposes is chosen, and it hears of the next leader when links are back.",
    "a command is run again": UNUSED,
    "a command whose result was dropped is run again": UNUSED,
    "the table of sessions has no bound": UNUSED,
    "a session that is in use is closed": UNUSED,
    "a record does not say that a lease was granted": LEASES,
    "a lease that is longer than the rules allow is granted": LEASES,
    "a lease is granted below a ballot that was received": LEASES,
    "a lease is granted while another server has one": LEASES,
    "a replica that is asked to lead goes on granting leases": LEASES,
    "an earlier Confirm shortens a lease": LEASES,
    "an acceptor promises before its release": LEASES,
    "the timer of an earlier lease releases": LEASES,
    "a late grant takes back a newer one": LEASES,
    "a lease that has run out counts for a read": LEASES,
    "after a restart nothing is held back": LEASES,
    "after a restart promises are held back for good": LEASES,
    "a lease is granted before it is saved": LEASES,
    "a replica that only confirms has granted a lease": LEASES,
    "a read under a lease does not wait for what may have been chosen": LEASES,
    "a replica that has granted a lease campaigns": LEASES,
    "a replica that is asked to lead does not wait for the lease": LEASES,
}
"""Why the drivers of a log do not kill a mutant, by its clause."""


@frozen
class LogRung:
    """A setup to simulate, for so many ``runs``.

    ``calm``: the faults end. ``cut``: there are more partitions and pauses, and no lost disks.
    """

    servers: int
    runs: int
    changes: bool = False
    calm: bool = False
    cut: bool = False

    def name(self) -> str:
        """The rung in a few words."""
        more = [
            "members change" if self.changes else "",
            "faults end" if self.calm else "",
            "many partitions" if self.cut else "",
        ]
        return ", ".join(filter(None, (f"log, {self.servers} servers", *more)))

    def setup(self, watched: Watched) -> LogSetup:
        """What is simulated. Snapshots are always taken."""
        return LogSetup(
            servers=self.servers,
            changes=self.changes,
            liveness=self.calm,
            snapshots=True,
            faults=CUT if self.cut else Faults(),
            receive=watched.receive,
        )


LADDER = (
    LogRung(3, 250),
    LogRung(5, 200, changes=True),
    LogRung(3, 100, calm=True),
    LogRung(5, 60, calm=True),
    LogRung(3, 200, cut=True),
)


class Watched:
    """The replica; remembers that a step left too many slots open."""

    def __init__(self) -> None:
        self.noticed: str | None = None

    def receive(self, state: Replica[str], event: Event[str]) -> Step[str]:
        step = replica.receive(state, event)
        try:
            invariants.window_holds(step[0].memory, state.rules.window)
        except InvariantError:
            self.noticed = WINDOW
            raise
        return step


def driven() -> Verdicts:
    """What the drivers of a log say. An explorer goes here; the specification has no log."""
    return Verdicts(explorer=None, specification=None, simulator=simulated())


def simulated() -> Verdict:
    """Run each setup, until one run ends badly."""
    seen: dict[str, list[int]] = {}
    for rung in LADDER:
        watched = Watched()
        setup = rung.setup(watched)
        heard = ticks = chosen = 0
        for seed in range(rung.runs):
            try:
                run = run_seed(seed, setup)
            except Exception as error:
                return found(ERROR, type(error).__name__, rung, seed, seen)
            if run.broken is not None:
                noticed = watched.noticed if run.broken == UNDISTURBED else None
                return found(BROKEN, noticed or run.broken, rung, seed, seen)
            heard += run.events
            ticks += run.ticks
            chosen += len(run.chosen)
        seen[rung.name()] = [heard, ticks, chosen]
    return Verdict(found=None, seen=seen)


def found(kind: str, what: str, rung: LogRung, seed: int, seen: dict[str, list[int]]) -> Verdict:
    """The verdict of a run that ended badly."""
    it = Finding(kind=kind, what=what, rung=rung.name(), after=seed + 1, events=0, trace=[])
    return Verdict(found=it, seen=seen)
