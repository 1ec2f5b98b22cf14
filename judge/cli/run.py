"""`lookreel judge run`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from judge.cli.options import AsJson, Explain, JudgeName, JudgeOptions, RetryUnscored, RubricName

if TYPE_CHECKING:
    from judge.pictures import Frames
    from judge.run import Summary


def add_run(app: typer.Typer, open_frames: "Callable[[str], Frames]") -> None:
    """Add the command to *app*."""

    @app.command("run")
    def run_command(
        recommendations: Annotated[
            Path | None, typer.Option("--recommendations", help="Table that lookreel recommend --all wrote.")
        ] = None,
        system: Annotated[
            list[str] | None, typer.Option("--system", help="Instead: judge what this system recommends; repeat.")
        ] = None,
        snapshot: Annotated[Path | None, typer.Option("--snapshot", help="Folder of the snapshot.")] = None,
        tables: Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")] = None,
        frames: Annotated[str | None, typer.Option("--frames", help="Store of the videos.")] = None,
        users: Annotated[int, typer.Option("--users", min=0, help="How many users, drawn by --seed; 0 is all.")] = 200,
        k: Annotated[int, typer.Option("-k", min=1, help="How many videos of each list.")] = 10,
        judge: JudgeName = "sample",
        judge_option: JudgeOptions = None,
        rubric: RubricName = "1",
        frames_per_video: Annotated[int, typer.Option(min=1, help="How many stored frames the judge sees.")] = 8,
        out: Annotated[Path, typer.Option("--out", help="Folder of the judgments.")] = Path("judgments"),
        seed: Annotated[int, typer.Option("--seed", min=0, help="Which users are drawn.")] = 0,
        explain: Explain = False,
        retry_unscored: RetryUnscored = False,
        plan: Annotated[bool, typer.Option("--plan", help="Only say what it takes.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Grade the top of each list; a rerun judges only what is missing."""
        from judge.plan import plan_words
        from judge.request import RunRequest, plan_request, run_request
        from retrieval.console import progress, to_json

        request = RunRequest(
            recommendations, tuple(system or ()), snapshot, tables, frames, users, k, judge, rubric, frames_per_video,
            out, seed, explain, retry_unscored, tuple(judge_option or ()),
        )  # fmt: skip
        if plan:
            planned = plan_request(request, open_frames)
            print(to_json(planned) if as_json else plan_words(planned) + "\nNext: run this again without --plan.")
            return
        with progress("judging") as update:
            summary = run_request(request, open_frames, update)
        print(to_json(summary) if as_json else _words(summary))


def _words(summary: "Summary") -> str:
    lines = [
        f"{summary.judgments} judgments for {summary.users} users of {', '.join(summary.systems)} "
        f"by {summary.judge}, rubric {summary.rubric}: {summary.judged} judged now, {summary.cached} before, "
        f"in {summary.seconds:.1f} s."
    ]
    if summary.unscored:
        told = ", ".join(f"{count} {reason}" for reason, count in summary.unscored.items())
        lines.append(f"Unscored: {sum(summary.unscored.values())} ({told}).")
    gaps = {
        f"{summary.without_photo} of {summary.products} products have no photo": summary.without_photo,
        f"{summary.without_frames} of {summary.videos} videos have no stored frames": summary.without_frames,
        f"{summary.short_histories} histories are short of 12 products": summary.short_histories,
    }
    lines += [f"{text}." for text, count in gaps.items() if count]
    return "\n".join([*lines, f"Next: lookreel judge report --judgments {summary.folder}"])
