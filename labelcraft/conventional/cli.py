"""`lookreel users embed`, `lookreel train conventional` and `lookreel train vectors`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from labelcraft.conventional.jobs import Summary

TablesOption = Annotated[Path, typer.Option("--tables", help="Folder of the shop's tables.")]
BeforeOption = Annotated[str | None, typer.Option("--before", help="UTC time: nothing from it on is known.")]
TestDaysOption = Annotated[
    float | None, typer.Option("--test-days", min=0, help="Leave out the last days, as evaluation does; 2.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def embed_users(
    tables: TablesOption,
    out: Annotated[Path, typer.Option("--out", help="The table of vectors.")] = Path("user_vectors.parquet"),
    method: Annotated[str, typer.Option("--method", help="als or clip.")] = "als",
    snapshot: Annotated[Path | None, typer.Option("--snapshot", help="For clip: whose products and encoder.")] = None,
    before: BeforeOption = None,
    test_days: TestDaysOption = None,
    factors: Annotated[int, typer.Option("--factors", min=1, help="For als: how long the vectors are.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help="For als: of its first factors.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Give users vectors by what they touched in the catalogue before a time."""
    from labelcraft.conventional.embedding import EmbedRequest, embed
    from retrieval.console import to_json

    made = embed(EmbedRequest(tables, out, method, snapshot, before, test_days, factors, seed))
    if as_json:
        print(to_json(made))
        return
    print(f"{made.users:,} users, vectors of {made.dim} by {made.method}, of what was known before {made.before}.")
    print(f"{made.without} users of the tables touched no product by then and have none.\nWrote {made.out}.")
    print(f"Next: lookreel train conventional --tables {tables} --users {out} --before {made.before} --out run")


def make_train_app() -> typer.Typer:
    """The commands of `lookreel train`."""
    app = typer.Typer(help="Train a recommender on what was watched.", no_args_is_help=True)

    @app.callback()
    def _train() -> None:
        """Train a recommender on what was watched."""

    app.command("conventional")(train_command)
    app.command("vectors")(vectors_command)
    return app


def train_command(
    tables: TablesOption,
    users: Annotated[Path, typer.Option("--users", help="The users' vectors: lookreel users embed.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")] = Path("run"),
    label: Annotated[str, typer.Option("--label", help="Its name, such as W50 or D2Q, or a folder of one.")] = "W50",
    loss: Annotated[str, typer.Option("--loss", help="bce (the loss of the label's head) or contrastive.")] = "bce",
    in_batch: Annotated[bool, typer.Option("--in-batch", help="Add in-batch negatives, corrected by log q.")] = False,
    ips: Annotated[
        Path | None, typer.Option("--ips", help="propensities.json, to weight rows by how seldom they are examined.")
    ] = None,
    before: BeforeOption = None,
    test_days: TestDaysOption = None,
    threshold: Annotated[float, typer.Option("--threshold", help="Labels from it on are positives.")] = 0.5,
    validation_days: Annotated[float, typer.Option("--validation-days", help="Before the split, to stop by.")] = 1.0,
    learning_rate: Annotated[float, typer.Option("--learning-rate", min=0, help="Of the tower.")] = 5e-3,
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Rows a step.")] = 2048,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Training ends then at the latest.")] = 30,
    patience: Annotated[int, typer.Option("--patience", min=1, help="Epochs without a gain that end it.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the weights and the order of the rows.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train the video tower of VCG Conventional into the users' space, on what was watched before a time."""
    from retrieval.errors import import_extra

    for package, extra in (("torch", "train"), ("matplotlib", "report")):
        import_extra(package, extra)
    from labelcraft.conventional.jobs import TrainRequest, train_conventional
    from labelcraft.conventional.options import TowerOptions, parse_loss
    from retrieval.console import progress, to_json

    options = TowerOptions(
        parse_loss(loss), in_batch, threshold, learning_rate=learning_rate, batch_size=batch_size, max_epochs=epochs,
        patience=patience, validation_days=validation_days, seed=seed,
    )  # fmt: skip
    request = TrainRequest(tables, users, out, label, options, ips, test_days, before, overwrite)
    with progress("epochs") as update:
        summary = train_conventional(request, update)
    print(to_json(summary) if as_json else _words(summary))


def vectors_command(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    tables: TablesOption,
    out: Annotated[Path | None, typer.Option("--out", help="Another folder; by default the run's own.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="UTC time of the videos' age; the newest video's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give newer videos vectors by a trained tower, which learns nothing from it."""
    from labelcraft.conventional.jobs import newer_vectors
    from retrieval.console import to_json
    from retrieval.errors import import_extra
    from retrieval.recommend import parse_at

    import_extra("torch", "train")
    made = newer_vectors(run, tables, out, parse_at(at))
    if as_json:
        print(to_json(made))
        return
    print(f"{made['videos']:,} videos have vectors, {made['new']:,} of them new; {made['gone']:,} are gone.")
    print(f"Wrote {made['out']}.\nNext: lookreel index update --help (--space conventional={made['out']})")


def _words(summary: "Summary") -> str:
    name = "AUC" if summary.is_auc else "minus the loss"
    within = "" if summary.low is None else f" (95 %: {summary.low:.3f} to {summary.high:.3f})"
    lines = [
        f"{summary.label} by {summary.loss}, {summary.rows:,} rows before {summary.split}, {summary.users:,} users "
        f"with vectors; {summary.rows_of_unknown_users:,} rows are of {summary.unknown_users:,} users without one.",
        f"Best of {summary.epochs} epochs: {summary.best_epoch}, {name} {summary.criterion:.3f}{within} on "
        f"{summary.validation_rows:,} rows of the last days; {summary.seconds:.0f} s.",
    ]
    if summary.duration is not None and summary.popularity is not None:
        lines.append(f"On the same rows: by shortness {summary.duration:.3f}, by popularity {summary.popularity:.3f}.")
    if summary.rows_beyond_curve:
        lines.append(f"{summary.rows_beyond_curve:,} rows stand beyond the curve of --ips and took its last value.")
    lines.append(
        f"{summary.videos:,} videos have vectors, {summary.videos_without_rows:,} of them by their features alone."
    )
    lines.append(f"Wrote {summary.out}.\nNext: lookreel index build --help (--space conventional={summary.out})")
    return "\n".join(lines)
