"""What can go wrong with a change of members: what happened, what it means, what to do."""

from __future__ import annotations

from pathlib import Path

from paxos import OperationalError, PaxosError, UsageError
from paxos_adapters.printable import brief


class MembersError(PaxosError):
    """A step of a change of members that cannot be done."""


class Unfinished(MembersError, OperationalError):
    """The system ended a step in its course. The same step does what is missing."""

    def __init__(self, path: Path, cause: BaseException) -> None:
        super().__init__(
            f"{path} could not be written ({type(cause).__name__}: {cause}). Some of this step may "
            "be done, and nothing is lost. See to the disk, and to what else uses the file; then "
            "repeat the step with the same arguments: it does what is missing."
        )
        self.path = path
        self.cause = cause


class NotClosed(MembersError, OperationalError):
    """A file that a node may still open."""

    def __init__(self, path: Path, whose: str) -> None:
        super().__init__(
            f"{path} ({whose}) is not closed, so its server could still vote. Stop that server, "
            "and close the file: paxos members close."
        )
        self.path = path


class OtherFile(MembersError, OperationalError):
    """A file that has no place in this change of members."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(
            f"{path} is of {found}, and this takes {expected}. Name the files of one membership, "
            "one for each server."
        )
        self.path = path


class NotReplaced(MembersError, OperationalError):
    """A file in the place of a new one that is not the file before it. Nothing was changed."""

    def __init__(self, path: Path, found: str, expected: str) -> None:
        super().__init__(
            f"{path} is of {found}, and is not replaced: only a closed file of {expected} is moved "
            "aside. Move this one elsewhere, with its mark, or name another path."
        )
        self.path = path


class NamedTwice(MembersError, UsageError):
    """One file that was named twice. Nothing was changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is named twice. Name the file of each server once.")
        self.path = path


class HoldsLogs(MembersError, OperationalError):
    """A file with replicated logs, which these steps do not carry over. Nothing was changed."""

    def __init__(self, path: Path, names: tuple[str, ...]) -> None:
        super().__init__(
            f"{path} holds the {brief(', '.join(names))} log(s), and these steps carry over "
            "decisions only: a log would be lost. Change the members of a file that holds "
            "decisions alone."
        )
        self.path = path
        self.names = names


class IsALink(MembersError, OperationalError):
    """A link in the place of a new file. Nothing was changed."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a link, and a new file takes the place of a file, not of a link. Name the "
            "file that it leads to."
        )
        self.path = path


class TooFewFiles(MembersError, OperationalError):
    """The files are not a phase-1 quorum, so something that was chosen may be in none of them."""

    def __init__(self, servers: str, members: str) -> None:
        super().__init__(
            f"the files of {servers} are not a phase-1 quorum of {members}: a chosen value may be "
            "in none of them. Close and name the files of more members."
        )


class MayBeSettledTwice(MembersError, OperationalError):
    """The files that were left out would be enough by themselves, for another settle."""

    def __init__(self, servers: str, members: str) -> None:
        super().__init__(
            f"the files of {servers} were left out, and are a phase-1 quorum of {members} too: "
            "another cluster could be settled from them. Close and name more files; or, if those "
            "are lost for good, say that this settle is the only one (--only)."
        )


class SettledOtherwise(MembersError, OperationalError):
    """A closed file was settled before, and not as it is to be now."""

    def __init__(self, path: Path, note: str) -> None:
        super().__init__(
            f"{path} was settled before: {note}. A membership is followed by one other, or two "
            "clusters would go on from it. Repeat that settle with the same files and servers, or "
            "go on with its artefact."
        )
        self.path = path


class Contradiction(MembersError, OperationalError):
    """Two files hold different values under one ballot: some server has broken the protocol."""

    def __init__(self, name: str, ballot: str) -> None:
        super().__init__(
            f"the files hold different values for {brief(name)} under ballot {ballot}. A server "
            "lost its memory and went on, or a file was tampered with. Leave that file out, if the "
            "others are a quorum."
        )


class ArtefactExists(MembersError, OperationalError):
    """There is a file where the artefact is to be."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is there already, and it is not this artefact. Nothing is replaced: choose "
            "another path."
        )
        self.path = path


class BadArtefact(MembersError, OperationalError):
    """A file that is not an artefact, or is damaged, or cannot be read."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} cannot be adopted: {what}. Copy it anew from where it was settled, or settle "
            "again with the same files and servers, which makes the same artefact."
        )
        self.path = path


class NotAMember(MembersError, UsageError):
    """A server that is not one of the new members."""

    def __init__(self, server: int, members: str) -> None:
        super().__init__(
            f"server {server} is not a member of {members}. Adopt under the id of a new member."
        )
        self.server = server
