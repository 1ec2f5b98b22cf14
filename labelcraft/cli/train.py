"""`lookreel labels train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelcraft.cli.options import (
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
    parse_start,
    require_extras,
)

if TYPE_CHECKING:
    from labelcraft.saving import Saved


def add_train(app: typer.Typer) -> None:
    """Add the command to *app*."""

    @app.command("train")
    def train_command(
        data: DataName = "impressions",
        path: DataPath = Path("shop"),
        label: Annotated[str, typer.Option("--label", help="Its name, such as WT, D2Q or LabelCraft.")] = "LabelCraft",
        out: Annotated[Path, typer.Option("--out", help="Folder of the label; it goes on where it stopped.")] = Path(
            "label"
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
        seed: Annotated[int, typer.Option("--seed", min=0, help="Of the weights and the order of the rows.")] = 0,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the label that is there.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Fit a label, or learn LabelCraft's, and keep it in a folder that any later training can use."""
        require_extras()
        from labelcraft.options import CraftOptions, TrainOptions
        from labelcraft.saving import SaveRequest, make_and_save
        from labelcraft.splits import SplitOptions
        from retrieval.console import progress, to_json

        split = SplitOptions(parse_days(days), core, history_rows=parse_history(history))
        options = TrainOptions(
            backbone, learning_rate, weight_decay, batch_size, epochs, patience, k=k, seed=seed
        )  # fmt: skip
        craft = CraftOptions(tau=tau, start=parse_start(start))
        with progress("epochs") as update:
            saved = make_and_save(SaveRequest(data, path, label, out, split, options, craft, overwrite), update)
        print(to_json(saved) if as_json else _words(saved))


def _words(saved: "Saved") -> str:
    lines = [f"{saved.label} from {saved.rows:,} rows of {saved.users:,} users."]
    if saved.epochs:
        lines.append(
            f"Best of {saved.epochs} epochs: {saved.best_epoch}, on the stopping users "
            f"NWTG@{saved.k} {saved.nwtg:.3f}, DS@{saved.k} {saved.ds:.2f} s, NEG@{saved.k} {saved.neg:.3f}; "
            f"{saved.seconds:.0f} s."
        )
    lines.append(f"Wrote {saved.out}.")
    lines.append(f"Next: lookreel labels explain {saved.out}")
    return "\n".join(lines)
