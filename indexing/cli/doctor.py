"""`lookreel doctor …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from indexing.doctor import Examination, VideoReport

doctor_app = typer.Typer(help="Say what is wrong before a job finds out.", no_args_is_help=True)
SHOWN = 50  # rows on the screen, the worst first; --json has all of them


@doctor_app.callback()
def _doctor() -> None:
    """A group, though it has one command so far."""


@doctor_app.command("videos")
def doctor_videos(
    table: Annotated[Path, typer.Argument(help="videos.parquet")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many videos.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each video that the job will take.")] = 8,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read files; 0: one for each core.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read every video: codec, size, rotation, frame rate, keyframes, cost, near-duplicates and a verdict."""
    from indexing.allowed import OPTION, Allowed
    from indexing.doctor import examine_videos
    from retrieval.config import load_config
    from retrieval.console import EXIT_QUARANTINED, progress, to_json

    allowed = Allowed(load_config()[OPTION])
    with progress("examining videos") as update:
        report = examine_videos(table, frames, limit, workers, update, allowed)
    print(to_json(report)) if as_json else _print(report, frames)
    raise typer.Exit(EXIT_QUARANTINED if report.verdicts.get("unreadable") else 0)


def _print(report: "VideoReport", frames: int) -> None:
    from retrieval.console import print_table

    order = ["unreadable", "partial", "slow", "ok"]
    worst = sorted(report.videos, key=lambda video: (order.index(video.verdict), video.duplicate_of is None))
    print_table(_table(worst[:SHOWN]))
    if len(worst) > SHOWN:
        print(f"{len(worst) - SHOWN} more; --json prints all of them.")
    print(f"{len(report.videos)} videos: {_counts(report.verdicts)}; {report.n_duplicates} near-duplicates.")
    print(f"Codecs: {_counts(report.codecs)}. {report.n_rejected} rows rejected.")
    print(f"To read {frames} frames of each: about {report.cost_ms / 1000:.1f} s of one core.")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in counts.items())


def _table(videos: list["Examination"]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("video", "verdict", "codec", "size", "turned", "fps", "keyframes", "length", "cost", "remarks"):
        table.add_column(heading, overflow="fold")
    for video in videos:
        table.add_row(*(Text(cell) for cell in _cells(video)))
    return table


def _cells(video: "Examination") -> list[str]:
    """One row; Text, not markup, as ids and reasons come from outside."""
    twin = f"near-duplicate of {video.duplicate_of}" if video.duplicate_of else ""
    remarks = "; ".join(remark for remark in (video.reason, twin) if remark)
    if video.codec is None:
        return [video.video_id, video.verdict, *[""] * 7, remarks]
    varies = " varies" if video.rate_varies else ""
    return [
        video.video_id,
        video.verdict,
        video.codec,
        f"{video.width}×{video.height}",
        f"{video.rotation}°" if video.rotation else "",
        f"{video.frame_rate:.4g}{varies}" if video.frame_rate else "",
        f"{video.keyframe_interval_s:.1f} s",
        f"{video.duration_s:.1f} s",
        f"{video.cost_ms:.0f} ms",
        remarks,
    ]
