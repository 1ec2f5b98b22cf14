"""Every place outside of the event store where users are written down: one table, from which options and help follow.

A new place is a line here, and a planted user in the tests. The shop's own tables are none: the shop leaves the user
out of them and trains anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from retrieval.errors import UserFacingError


class Kind(StrEnum):
    """How a place forgets; the value says it to people."""

    LOG = "lines and rows of theirs go"
    LINES = "lines of theirs go"
    TABLE = "rows of theirs go"
    TREE = "rows and lines of theirs go, other texts that name them are removed with the pictures beside them"
    REPORT = "removed whole if it names them"
    RUN = "their vectors go"
    SNAPSHOT = "their vectors go, and versions that held one get new names"


@dataclass(frozen=True)
class Place:
    """Where users are written down: *what* is there, and how this *kind* of place forgets.

    *option* names paths on the command line; *default* is where it is otherwise, {state} being the server's folder.
    """

    name: str
    option: str
    what: str
    kind: Kind
    default: str


PLACES: Mapping[str, Place] = {
    place.name: place
    for place in (
        Place("log", "--log", "served log and old watches, folder or URL", Kind.LOG, "{state}/served"),
        Place("recordings", "--recordings", "folder of recorded requests", Kind.LINES, "{state}/recordings"),
        Place(
            "recommendations", "--recommendations", "table of recommendations", Kind.TABLE, "recommendations.parquet"
        ),
        Place("impressions", "--impressions", "exported impressions", Kind.TABLE, "impressions.parquet"),
        Place("vectors", "--vectors", "table of users' vectors", Kind.TABLE, "user_vectors.parquet"),
        Place("runs", "--runs", "run of a conventional training", Kind.RUN, "run"),
        Place("snapshot", "--snapshot", "users' vectors in all versions of a snapshot", Kind.SNAPSHOT, "snapshot"),
        Place("judgments", "--judgments", "folder of grades", Kind.TREE, "judgments"),
        Place("reports", "--reports", "report, a folder or a file", Kind.REPORT, "report"),
    )
}


def default_paths(state: Path) -> dict[str, list[str]]:
    """Where each place is when no option names it.

    >>> default_paths(Path("serving"))["log"]
    ['serving/served']
    """
    return {name: [place.default.format(state=state)] for name, place in PLACES.items()}


def refuse_absent(paths: Mapping[str, Sequence[str]]) -> None:
    """Raise for a path that somebody named and that is not there: after a slip nothing would be erased, yet settled.

    A report may be absent, since an earlier run may have removed it.

    Raises:
        UserFacingError: there is no such file or folder.
    """
    for name, given in paths.items():
        for path in given:
            if PLACES[name].kind is not Kind.REPORT and "://" not in path and not Path(path).exists():
                raise UserFacingError(
                    f"{PLACES[name].option} {path} is not there.", "Mend the path, or leave the option out."
                )
