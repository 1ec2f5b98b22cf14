"""`lookreel judge label`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from judge.labelling.session import Progress
    from judge.pictures import Frames


def add_label(app: typer.Typer, open_frames: "Callable[[str], Frames]") -> None:
    """Add the command to *app*."""

    @app.command("label")
    def label_command(
        recommendations: Annotated[
            Path | None, typer.Option("--recommendations", help="Table that lookreel recommend --all wrote.")
        ] = None,
        system: Annotated[
            list[str] | None, typer.Option("--system", help="Instead: grade what this system recommends; repeat.")
        ] = None,
        snapshot: Annotated[Path | None, typer.Option("--snapshot", help="Folder of the snapshot.")] = None,
        tables: Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")] = None,
        frames: Annotated[str | None, typer.Option("--frames", help="Store of the videos.")] = None,
        users: Annotated[int, typer.Option("--users", min=0, help="How many users, drawn by --seed; 0 is all.")] = 20,
        k: Annotated[int, typer.Option("-k", min=1, help="How many videos of each list.")] = 10,
        rubric: Annotated[str, typer.Option("--rubric", help="A version that ships, or a JSON file.")] = "1",
        frames_per_video: Annotated[int, typer.Option(min=1, help="How many stored frames are shown.")] = 8,
        out: Annotated[Path, typer.Option("--out", help="Table of the grades; it goes on where it stopped.")] = Path(
            "human.parquet"
        ),
        grader: Annotated[str | None, typer.Option("--grader", help="Who grades; by default who is logged in.")] = None,
        seed: Annotated[int, typer.Option("--seed", min=0, help="Which users are drawn, and the order.")] = 0,
        repeats: Annotated[
            float, typer.Option("--repeats", min=0, max=1, help="The share of videos that are asked twice.")
        ] = 0.1,
        port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 0,
    ) -> None:
        """Serve a local page where a person grades what the judge grades; Ctrl-C ends it."""
        from judge.labelling.request import LabelRequest, label_request

        request = LabelRequest(
            recommendations, tuple(system or ()), snapshot, tables, frames, users, k, rubric, frames_per_video, out,
            grader, seed, repeats, port,
        )  # fmt: skip
        ended = label_request(request, open_frames, _say_address)
        print(f"{_words(ended.progress)} by {ended.grader}; {ended.rows} rows in {out}.")
        print(f"Next: lookreel judge reliability --human {out}")


def _say_address(address: str, progress: "Progress") -> None:
    print(f"{progress.n_left} of {progress.n_items} to grade: open {address}", flush=True)


def _words(progress: "Progress") -> str:
    skipped = f", {progress.n_skipped} skipped" if progress.n_skipped else ""
    return f"{progress.n_graded} graded{skipped}, {progress.n_left} left"
