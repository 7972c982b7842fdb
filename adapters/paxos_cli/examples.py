"""Examples of each command, and the page that has more: what its help ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Example: TypeAlias = tuple[str, str]
"""A command line, and what it does."""

EXPLAINED: Mapping[str, tuple[Sequence[Example], str]] = {
    "": (
        [
            ("paxos demo", "watch servers agree, in memory"),
            ("paxos cluster", "run five servers, each a process"),
            ("paxos propose leader me", "get a value chosen by them"),
        ],
        "command-line.md",
    ),
    "cluster": (
        [
            ("paxos cluster", "five servers, in this folder"),
            ("paxos cluster c --servers 3", "three, in the folder c"),
        ],
        "operating.md",
    ),
    "node": (
        [
            ("paxos node --id 1 --create", "the first time"),
            ("paxos node --id 1", "from then on"),
        ],
        "operating.md",
    ),
    "keygen": (
        [("paxos keygen --out keyring", "once; copy it to every machine")],
        "keys.md",
    ),
    "members": (
        [
            ("paxos members list", "who is a member"),
            ("paxos members replace 3 4 10.0.0.4:47100", "3 is lost, 4 is new"),
            ("paxos members close -h", "with all servers stopped"),
        ],
        "members.md",
    ),
    "members list": (
        [("paxos members list", "and how a change goes")],
        "members.md",
    ),
    "members add": (
        [("paxos members add 4 10.0.0.4:47100", "it says what to type there")],
        "members.md",
    ),
    "members remove": (
        [("paxos members remove 4 5", "from five to three")],
        "members.md",
    ),
    "members replace": (
        [("paxos members replace 3 4 10.0.0.4:47100", "3 is lost, 4 is new")],
        "lost-server.md",
    ),
    "members move": (
        [("paxos members move 2 10.0.0.9:47100", "after it was started there")],
        "members.md",
    ),
    "members close": (
        [("paxos members close n1.db n2.db", "more than half of three")],
        "members.md",
    ),
    "members reopen": (
        [("paxos members reopen n1.db n2.db", "nothing was settled: go back")],
        "members.md",
    ),
    "members settle": (
        [
            (
                "paxos members settle n1.db n2.db --servers 1,2,4 --out change",
                "server 4 takes the place of server 3",
            )
        ],
        "members.md",
    ),
    "members adopt": (
        [("paxos members adopt change n4.db --id 4", "on the machine of server 4")],
        "members.md",
    ),
    "readmit": (
        [("paxos readmit n1.db 3", "server 1 receives server 3 again")],
        "file.md",
    ),
    "backup": (
        [
            ("paxos backup nightly", "all that the servers of this machine know"),
            ("paxos backup nightly --id 2", "as server 2 knows it"),
            ("paxos backup last --alone", "the quorum is lost for good"),
        ],
        "operating.md",
    ),
    "restore": (
        [
            ("paxos restore nightly c --name new --servers 1,2,3", "on this machine"),
            (
                "paxos restore nightly c --name new --servers 1=a.example.org:47100",
                "one server, on another machine",
            ),
        ],
        "operating.md",
    ),
    "propose": (
        [
            ("paxos propose leader me", "prints what is chosen"),
            ("paxos propose photo - < a.jpg", "any bytes, up to 65,536"),
            ("paxos propose key ff00 --hex", "two bytes"),
        ],
        "command-line.md",
    ),
    "read": (
        [
            ("paxos read leader", "prints what is chosen"),
            ("paxos read photo --raw > a.jpg", "its bytes, as they are"),
            ("paxos read leader --json", "for programs"),
        ],
        "command-line.md",
    ),
    "watch": (
        [
            ("paxos watch leader", "for as long as it takes"),
            ("paxos watch leader --timeout-s 60", "one minute at most"),
        ],
        "command-line.md",
    ),
    "kv": (
        [
            ("paxos kv put colour blue", "prints the revision"),
            ("paxos kv get colour", "prints blue"),
        ],
        "log.md",
    ),
    "kv put": (
        [
            ("paxos kv put colour blue", "prints the revision"),
            ("paxos kv put colour red --if-absent", "only if there is no such key"),
        ],
        "log.md",
    ),
    "kv delete": ([("paxos kv delete colour", "prints the revision")], "log.md"),
    "kv cas": (
        [("paxos kv cas colour blue green", "green, if it is still blue")],
        "log.md",
    ),
    "kv get": (
        [
            ("paxos kv get colour", "prints what it has"),
            ("paxos kv get photo --raw > a.jpg", "its bytes, as they are"),
        ],
        "log.md",
    ),
    "kv scan": (
        [
            ("paxos kv scan", "all keys"),
            ("paxos kv scan page/ --json", "those of a prefix, for programs"),
        ],
        "log.md",
    ),
    "kv watch": (
        [
            ("paxos kv watch page/", "until Ctrl-C"),
            ("paxos kv watch --count 1", "until the next change"),
        ],
        "log.md",
    ),
    "status": (
        [
            ("paxos status", "as the first server that answers sees it"),
            ("paxos status --watch", "and what changes, until Ctrl-C"),
            ("paxos status --id 3 --json", "as server 3 does, for programs"),
        ],
        "operating.md",
    ),
    "log": ([("paxos log status", "who leads, and how far each server is")], "log.md"),
    "log status": (
        [
            ("paxos log status", "all servers of this machine"),
            ("paxos log status --id 1", "one of them"),
            ("paxos log status --watch", "and what changes, until Ctrl-C"),
        ],
        "log.md",
    ),
    "view": (
        [
            ("paxos view run.jsonl --open", "writes run.html, and opens it"),
            ("paxos view n1.jsonl n2.jsonl leader", "one decision of two servers"),
            ("paxos view good.jsonl --beside bad.jsonl", "two runs beside each other"),
        ],
        "viewing.md",
    ),
    "draw": (
        [
            ("paxos draw run.jsonl", "in the terminal"),
            ("paxos draw run.jsonl --svg run.svg", "as a picture"),
            ("paxos draw n1.jsonl n2.jsonl leader", "one decision of two servers"),
        ],
        "recording.md",
    ),
    "explain": (
        [
            ("paxos explain run.jsonl", "of a recording"),
            ("paxos explain n1.db n2.db leader", "of servers that are stopped"),
            ("paxos explain --node n1.db leader", "of a server that runs"),
        ],
        "recording.md",
    ),
    "replay": (
        [
            ("paxos replay run.jsonl", "one recording"),
            ("paxos replay n1.jsonl n2.jsonl", "those of two servers, together"),
        ],
        "recording.md",
    ),
    "inspect": (
        [
            ("paxos inspect n1.db", "beside a server that runs, too"),
            ("paxos inspect n1.db --json", "for programs"),
        ],
        "file.md",
    ),
    "simulate": (
        [
            ("paxos simulate", "10,000 runs"),
            ("paxos simulate --seed 7", "one run, drawn"),
            ("paxos simulate --rule look-first", "a protocol that breaks"),
            ("paxos simulate --log --changes", "a log, with changes of members"),
        ],
        "simulating.md",
    ),
    "explore": (
        [
            ("paxos explore", "three acceptors, two proposers"),
            ("paxos explore --rule look-first", "a protocol that breaks"),
            ("paxos explore --log", "a log of three servers"),
        ],
        "exploring.md",
    ),
    "lecture": (
        [
            ("paxos lecture", "lists the scenarios"),
            ("paxos lecture livelock --step", "one of them, key by key"),
        ],
        "lecture.md",
    ),
    "demo": (
        [
            ("paxos demo", "five servers, two proposers"),
            ("paxos demo --servers 3 --seed 1", "the same run each time"),
            ("paxos demo --log", "a log, whose leader crashes"),
        ],
        "tutorial.md",
    ),
    "help": ([("paxos help kv put", "the same as paxos kv put -h")], "command-line.md"),
}
"""By the words of the command."""
