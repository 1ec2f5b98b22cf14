"""What the main verbs do between the options and the print-out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from rich.markup import escape
from rich.table import Table

from retrieval.config import Config, load_config
from retrieval.console import progress, to_json
from retrieval.feed import Feed, RankedVideo, Results
from retrieval.folders import writing
from retrieval.log import Log
from retrieval.recommend import log_of, parse_at, recommend_all, recommend_user
from retrieval.snapshot import Snapshot, open_snapshot
from retrieval.systems import SystemConfig
from retrieval.tables import Columns as C
from retrieval.tables import load_tables
from retrieval.where import Where, parse_where


@dataclass(frozen=True)
class RecommendRequest:
    """The options of `lookreel recommend`, as given."""

    snapshot: Path | None
    tables: Path | None
    k: int
    system: str
    at: str | None
    where: Sequence[str]


@dataclass(frozen=True)
class _Opened:
    """What a request names, opened and checked."""

    snapshot: Snapshot
    log: Log
    system: SystemConfig
    at_us: int
    where: Where


def open_named_snapshot(flag: Path | None, config: Config | None = None) -> Snapshot:
    """The snapshot of a flag, or the one of lookreel.toml."""
    config = config or load_config()
    kind = config["index.kind"]
    return open_snapshot(config.path("snapshot", flag), index=None if kind == "auto" else kind)


def recommend_one(request: RecommendRequest, user_id: str) -> tuple[Snapshot, Feed]:
    """The feed of one user, and the snapshot it is of."""
    o = _open(request)
    return o.snapshot, recommend_user(o.snapshot, o.log, user_id, request.k, request.system, o.system, o.at_us, o.where)


def recommend_everyone(request: RecommendRequest, out: Path, as_json: bool) -> str:
    """Write the recommendations of all users to *out* and return what to print."""
    o = _open(request)
    with progress("recommending") as update:
        table = recommend_all(o.snapshot, o.log, request.k, request.system, o.system, o.at_us, o.where, update)
    with writing(out) as draft:
        table.write_parquet(draft)
    n_users = table[C.USER_ID].n_unique()
    if as_json:
        return to_json({"out": out, "rows": table.height, "users": n_users})
    return f"{table.height} recommendations for {n_users} users in {out}."


def _open(request: RecommendRequest) -> _Opened:
    config = load_config()
    system, where = config.system(request.system), parse_where(request.where)
    at = parse_at(request.at)
    snapshot = open_named_snapshot(request.snapshot, config)
    log = log_of(snapshot, load_tables(config.path("tables", request.tables)), system)
    return _Opened(snapshot, log, system, log.end_us if at is None else at, where)


def answer_table(snapshot: Snapshot, answer: Feed | Results) -> Table:
    """The ranked list for people: titles instead of ids where the catalogue has them."""
    reasons = [reason.product_id for video in answer.videos for reason in video.reasons]
    table = Table(box=None, pad_edge=False)
    for heading in ("", "video", "score", "at", "title", *(["because of"] if reasons else [])):
        table.add_column(heading, justify="right" if heading in ("", "score", "at") else "left")
    titles = _titles(snapshot.videos, C.VIDEO_ID, [video.video_id for video in answer.videos])
    products = _titles(snapshot.products, C.PRODUCT_ID, reasons)
    for video in answer.videos:
        moment = "" if video.moment_s is None else f"{video.moment_s:.1f} s"
        cells = [str(video.rank), video.video_id, f"{video.score:.4f}", moment, titles[video.video_id]]
        table.add_row(*map(escape, [*cells, *([_because(video, products)] if reasons else [])]))
    return table


def _because(video: RankedVideo, titles: dict[str, str]) -> str:
    """The shares of the score by the products that gave them."""
    if video.score <= 0:  # a share of nothing says nothing
        return ", ".join(titles[reason.product_id] for reason in video.reasons)
    return ", ".join(f"{titles[r.product_id]} ({r.share / video.score:.0%})" for r in video.reasons)


def _titles(frame: pl.DataFrame, key: str, ids: Sequence[str]) -> dict[str, str]:
    """Titles by id, the id itself where there is none."""
    found = dict.fromkeys(ids, "") | {item_id: item_id for item_id in ids}
    if C.TITLE in frame.columns:
        rows = frame.filter(pl.col(key).is_in(list(ids)) & pl.col(C.TITLE).is_not_null())
        found |= dict(zip(rows[key], rows[C.TITLE], strict=True))
    return found


def answer_words(answer: Feed | Results) -> str:
    """One line on what stands behind the list."""
    how = "exactly" if answer.exact else "approximately"
    scope = f"{answer.returned} of {answer.eligible} eligible videos, compared {how}; snapshot {answer.snapshot}"
    if isinstance(answer, Results):
        return scope
    system = f"{scope}, system {answer.system} ({answer.system_hash})"
    if answer.unknown_products:
        system += (
            f"\n{answer.unknown_products} events of {answer.user_id} name products that the snapshot lacks: "
            "was it built from these tables?"
        )
    if answer.known or answer.unknown_products or not answer.personal:
        return system
    return f"{system}\nNothing is known of {answer.user_id}: the vector of new users answered."
