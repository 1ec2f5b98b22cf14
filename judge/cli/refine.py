"""`lookreel judge refine`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.cli.options import AsJson, Explain, JudgeName, JudgeOptions, RetryUnscored, RubricName

if TYPE_CHECKING:
    from judge.refine import Refined


def add_refine(app: typer.Typer) -> None:
    """Add the command to *app*."""

    @app.command("refine")
    def refine_command(
        pairs: Annotated[
            Path, typer.Option("--pairs", help="Table of pairs: a query or a history, and a product.")
        ] = Path("pairs.parquet"),
        tables: Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")] = None,
        judge: JudgeName = "sample",
        judge_option: JudgeOptions = None,
        rubric: RubricName = "pairs-1",
        out: Annotated[Path, typer.Option("--out", help="Table of the grades; it goes on where it stopped.")] = Path(
            "grades.parquet"
        ),
        explain: Explain = False,
        retry_unscored: RetryUnscored = False,
        as_json: AsJson = False,
    ) -> None:
        """Grade how well products fit what was searched for or looked at: labels for training."""
        from judge.refine_request import RefineRequest, refine_request
        from retrieval.console import progress, to_json

        request = RefineRequest(
            pairs, tables, judge, rubric, out, explain, retry_unscored, tuple(judge_option or ())
        )  # fmt: skip
        with progress("judging") as update:
            refined = refine_request(request, update)
        print(to_json(refined) if as_json else _words(refined))


def _words(refined: "Refined") -> str:
    lines = [
        f"{refined.scored} of {refined.pairs} pairs graded by {refined.judge}, rubric {refined.rubric}: "
        f"{refined.judgments} judgments for {refined.groups} queries and histories, {refined.judged} judged now, "
        f"{refined.cached} before, in {refined.seconds:.1f} s."
    ]
    if refined.unscored:
        told = ", ".join(f"{count} {reason}" for reason, count in refined.unscored.items())
        lines.append(f"Unscored: {sum(refined.unscored.values())} ({told}).")
    gaps = {
        f"{refined.without_photo} of {refined.products} products have no photo": refined.without_photo,
        f"{refined.unknown_in_histories} products of histories are not in the tables": refined.unknown_in_histories,
    }
    lines += [f"{text}." for text, count in gaps.items() if count]
    return "\n".join([*lines, f"Wrote {refined.out}."])
