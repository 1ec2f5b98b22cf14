"""`lookreel judge report`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from judge.pictures import Frames
    from judge.report.build import Report


def add_report(app: typer.Typer, open_frames: "Callable[[str], Frames]") -> None:
    """Add the command to *app*."""

    @app.command("report")
    def report_command(
        judgments: Annotated[Path, typer.Option("--judgments", help="Folder of the judgments.")] = Path("judgments"),
        tables: Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")] = None,
        frames: Annotated[str | None, typer.Option("--frames", help="Store of the videos.")] = None,
        judge: Annotated[str | None, typer.Option("--judge", help="Whose judgments, where there are several.")] = None,
        baseline: Annotated[
            str | None, typer.Option("--baseline", help="What to compare with; by default recency.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option("--out", help="Folder of the report; by default that of the judgments.")
        ] = None,
        pictures: Annotated[bool, typer.Option(help="Show the strongest disagreements as contact sheets.")] = True,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Of the intervals' resamples.")] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Compare the judged systems: a page, its figure, and grades.parquet for the studio and for evaluation."""
        from judge.report.job import ReportRequest, report_request
        from retrieval.console import to_json

        request = ReportRequest(judgments, tables, frames, judge, baseline, out, pictures, seed)
        written = report_request(request, open_frames)
        print(to_json(written.report.numbers) if as_json else _words(written.report, written.page))


def _words(report: "Report", page: Path) -> str:
    lines = [report.soundness.line]
    for system in report.scores.systems:
        means = [report.scores.score(system, k) for k in (5, 10)]
        told = ", ".join(f"top {s.k} {s.estimate.mean:.2f} ({s.estimate.sd:.2f})" for s in means)
        lines.append(f"{system}: {told}; {means[-1].estimate.n} users, {means[-1].unscored} videos unscored.")
    for d in report.scores.differences:
        if d.measure == "expected":
            lines.append(
                f"{d.system} over {d.against}, top {d.k}: {d.absolute.mean:+.2f} "
                f"({d.absolute.low:+.2f} to {d.absolute.high:+.2f}), {100 * d.relative.value:+.1f} % "
                f"({100 * d.relative.low:+.1f} to {100 * d.relative.high:+.1f})."
            )
    following = "" if report.reliability else f"\nNext: lookreel judge reliability --judgments {page.parent}"
    return "\n".join([*lines, f"Wrote {page}."]) + following
