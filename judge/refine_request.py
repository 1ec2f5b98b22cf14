"""The options of `lookreel judge refine`, opened: pairs, tables, judge and rubric become a refinement."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from judge.columns import J
from judge.inputs import Source
from judge.judges import JudgeContext, open_judge
from judge.pair_tasks import NoVideos
from judge.pairs import load_pairs
from judge.pictures import Photos
from judge.refine import GRADES_SCHEMA, Progress, Refined, Refinement, refine
from judge.request import reads_pictures
from judge.rubric import load_rubric
from retrieval.config import load_config
from retrieval.errors import ConfigError, TableError
from retrieval.tables import MAX_REJECTED_SHARE, load_catalogue
from retrieval.tables import Columns as C

RUBRIC = "pairs-1"


@dataclass(frozen=True)
class RefineRequest:
    """The options as given; *tables* None comes from lookreel.toml."""

    pairs: Path = Path("pairs.parquet")
    tables: Path | None = None
    judge: str = "sample"
    rubric: str = RUBRIC
    out: Path = Path("grades.parquet")
    explain: bool = False
    retry_unscored: bool = False
    judge_options: Sequence[str] = ()


def refine_request(request: RefineRequest, progress: Progress) -> Refined:
    """Grade the pairs that the request names.

    Raises:
        UserFacingError: something that it names cannot be used, or the judge cannot go on.
    """
    _refuse_other(request)
    rubric, pairs = load_rubric(request.rubric), load_pairs(request.pairs)
    folder = load_config().path("tables", request.tables)
    catalogue = load_catalogue(folder)
    _refuse_strangers(pairs, catalogue.products, request.pairs, folder)
    # The judge comes last: opening it may take minutes.
    judge = open_judge(request.judge, JudgeContext(catalogue.products, catalogue.videos, request.judge_options))
    frames = NoVideos() if reads_pictures(judge) else None
    source = Source(catalogue.products, catalogue.videos, Photos(folder), frames)
    job = Refinement(pairs, source, judge, rubric, request.explain, request.retry_unscored)
    try:
        return refine(job, request.out, progress)
    finally:
        getattr(judge, "close", lambda: None)()


def _refuse_other(request: RefineRequest) -> None:
    """Refuse to replace anything but a table of grades."""
    out, cure = request.out, "Name another file with --out."
    if not out.exists():
        return
    if out.is_dir():
        raise ConfigError(f"{out} is a folder; the grades are one file.", cure)
    try:
        columns = set(pl.read_parquet_schema(out))
    except (OSError, pl.exceptions.PolarsError):
        columns = set()
    if not columns.issuperset(GRADES_SCHEMA):
        raise ConfigError(f"{out} holds something else than grades of pairs, which is never replaced.", cure)


def _refuse_strangers(pairs: pl.DataFrame, products: pl.DataFrame, path: Path, folder: Path) -> None:
    """Refuse pairs of another shop; a few products that are gone are unscored instead."""
    unknown = pairs.with_row_index().filter(~pl.col(C.PRODUCT_ID).is_in(products[C.PRODUCT_ID].implode()))
    if unknown.height > MAX_REJECTED_SHARE * pairs.height:
        first = unknown.row(0, named=True)
        raise TableError(
            f"{path}: {unknown.height} of {pairs.height} pairs name a product that {folder} lacks (first "
            f"{first[C.PRODUCT_ID]} in row {first['index']}, {J.PAIR_ID} {first[J.PAIR_ID]}).",
            f"Name the tables that the pairs were made of with --tables; up to {MAX_REJECTED_SHARE:.0%} are left "
            "unscored, more are refused.",
        )
