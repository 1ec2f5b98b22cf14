"""`lookreel judge reliability`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from judge.canary_results import Canary
    from judge.pictures import Frames
    from judge.reliability import Reliability


def add_reliability(app: typer.Typer, open_frames: "Callable[[str], Frames]") -> None:
    """Add the command to *app*."""

    @app.command("reliability")
    def reliability_command(
        judgments: Annotated[Path, typer.Option("--judgments", help="Folder of the judgments.")] = Path("judgments"),
        tables: Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")] = None,
        frames: Annotated[str | None, typer.Option("--frames", help="Store of the videos.")] = None,
        judge: Annotated[str | None, typer.Option("--judge", help="Which judge, where there are several.")] = None,
        rubric: Annotated[str, typer.Option("--rubric", help="A version that ships, or a JSON file.")] = "1",
        system: Annotated[
            str | None, typer.Option("--system", help="Whose videos are tried; by default the best graded's.")
        ] = None,
        users: Annotated[int, typer.Option("--users", min=1, help="How many users, drawn by --seed.")] = 50,
        k: Annotated[int, typer.Option("-k", min=1, help="How many videos of each list.")] = 5,
        frames_per_video: Annotated[int, typer.Option(min=1, help="How many stored frames the judge sees.")] = 8,
        repeats: Annotated[int, typer.Option(min=0, help="How often the same is asked again.")] = 1,
        history_orders: Annotated[int, typer.Option(min=0, help="How many orders of the history are tried.")] = 2,
        human: Annotated[Path | None, typer.Option("--human", help="Table that lookreel judge label wrote.")] = None,
        judge_option: Annotated[
            list[str] | None,
            typer.Option("--judge-option", metavar="NAME=VALUE", help="One of the judge's own, as budget=5; repeat."),
        ] = None,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Which users are drawn, and which orders.")] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Try the judge: the same again, other orders, strangers, and videos whose grade is known."""
        from dataclasses import asdict

        from judge.reliability_file import without_nan
        from judge.reliability_job import ReliabilityRequest, reliability_request
        from judge.trials import Plan
        from retrieval.console import progress, to_json

        request = ReliabilityRequest(
            judgments, tables, frames, judge, rubric, system, users, k, frames_per_video,
            Plan(repeats, history_orders, seed), human, tuple(judge_option or ()),
        )  # fmt: skip
        with progress("trials") as update:
            found = reliability_request(request, open_frames, update)
        print(to_json(without_nan(asdict(found))) if as_json else _words(found, judgments))


def _words(found: "Reliability", folder: Path) -> str:
    lines = [f"{found.judge} on {found.n_videos} videos of {found.n_users} users, {found.n_answers} answers."]
    lines += [_canary_words(canary) for canary in found.canaries]
    tried = {"the same again": found.repeats, "rubric's order": found.rubric_orders}
    for name, moved in (tried | {"history's order": found.history_orders}).items():
        if moved is not None:
            lines.append(
                f"{name}: scores move by {moved.moved.mean:.2f}, {100 * moved.same_grade.mean:.0f} % keep theirs."
            )
    if found.stranger is not None:
        auc = found.stranger.auc
        lines.append(f"own history against a stranger's: AUC {auc.value:.2f} ({auc.low:.2f} to {auc.high:.2f}).")
    for one in found.agreements:
        lines.append(
            f"beside {one.raters}: kappa {one.kappa.value:.2f}, alpha {one.alpha.value:.2f}, "
            f"Spearman {one.spearman.value:.2f} over {one.kappa.n} ratings."
        )
    return "\n".join([*lines, f"Next: lookreel judge report --judgments {folder}"])


def _canary_words(canary: "Canary") -> str:
    estimate, unscored = canary.estimate, f", {canary.unscored} unscored" if canary.unscored else ""
    if estimate.n == 0:
        return f"{canary.name}: not measured, tried on {canary.tried} users{unscored}."
    told = f"{estimate.mean:.2f} ({estimate.low:.2f} to {estimate.high:.2f}), must lie {canary.bar}"
    return f"{canary.name}: {canary.status.value.replace('_', ' ')}, {told}; {estimate.n} users{unscored}."
