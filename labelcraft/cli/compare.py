"""`lookreel labels compare`."""

from pathlib import Path
from typing import Annotated

import typer

from labelcraft.cli.options import (
    REPORT,
    AsJson,
    Backbone,
    Batch,
    Core,
    DataName,
    DataPath,
    Days,
    Decay,
    Epochs,
    History,
    K,
    Patience,
    Rate,
    Start,
    Tau,
    parse_days,
    parse_history,
    parse_labels,
    parse_start,
    parse_taus,
    require_extras,
)

ALL = "WT,EF,PC,PCR,D2Q,DVR,WT+EF,D2Q+EF,DVR+EF,LabelCraft"


def add_compare(app: typer.Typer) -> None:
    """Add the command to *app*."""

    @app.command("compare")
    def compare_command(
        data: DataName = "impressions",
        path: DataPath = Path("shop"),
        labels: Annotated[
            str, typer.Option("--labels", help="Which, with commas; + joins tasks; NAME=FOLDER is a saved one.")
        ] = ALL,
        seeds: Annotated[int, typer.Option("--seeds", min=1, help="How often each is trained.")] = 5,
        ablations: Annotated[bool, typer.Option("--ablations", help="LabelCraft without each of its parts too.")] = (
            False
        ),
        taus: Annotated[str, typer.Option("--taus", help="Temperatures to try too, such as 0,0.25,0.75,1.")] = "",
        grid: Annotated[bool, typer.Option("--grid", help="First search the paper's grid of options.")] = False,
        trials: Annotated[int, typer.Option("--trials", min=1, help="With --grid: trainings a label.")] = 30,
        out: Annotated[Path, typer.Option("--out", help="Folder of runs and report; it goes on where it stopped.")] = (
            Path("labels")
        ),
        days: Days = "12,1,1",
        core: Core = 0,
        history: History = "reached",
        backbone: Backbone = "din",
        learning_rate: Rate = 1e-3,
        weight_decay: Decay = 1e-6,
        batch_size: Batch = 1024,
        epochs: Epochs = 60,
        patience: Patience = 5,
        k: K = 10,
        tau: Tau = 0.5,
        start: Start = "DVR",
        processes: Annotated[int, typer.Option("--processes", min=0, help="Trainings at a time; 0: one a core.")] = 0,
        as_json: AsJson = False,
    ) -> None:
        """Train a recommender on each label and compare their feeds: a table, and a report to look at."""
        require_extras(*REPORT, *([("optuna", "train")] if grid else []))
        from labelcraft.cli.report import print_report
        from labelcraft.compare import CompareRequest, compare
        from labelcraft.options import CraftOptions, TrainOptions
        from labelcraft.splits import SplitOptions
        from retrieval.console import progress

        request = CompareRequest(
            data, path, out, parse_labels(labels), seeds, ablations, parse_taus(taus),
            SplitOptions(parse_days(days), core, history_rows=parse_history(history)),
            TrainOptions(backbone, learning_rate, weight_decay, batch_size, epochs, patience, k=k),
            CraftOptions(tau=tau, start=parse_start(start)), processes=processes,
        )  # fmt: skip
        if grid:
            from labelcraft.grid import search

            with progress("searching") as update:
                request = search(request, trials, update)
        with progress("training") as update:
            folder = compare(request, update)
        print_report(folder, None, 0, as_json)
