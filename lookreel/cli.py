"""The command `lookreel`: the main verbs, and every package's sub-commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexing.cli.doctor import doctor_app
from indexing.cli.embed import embed_app
from indexing.cli.index import index_app
from indexing.cli.sync import sync_command
from judge.cli import make_app as make_judge_app
from labelcraft.cli import make_app as make_labels_app
from labelcraft.conventional.cli import embed_users, make_train_app
from labelcraft.evaluation.cli import make_app as make_evaluate_app
from labelcraft.experiments.cli import make_app as make_experiment_app
from sample_shop.cli import app as shop_app
from serving.cli.events import events_app
from serving.cli.exports import compact_command, export_command
from serving.cli.serve import serve_command
from serving.cli.users import make_app as make_users_app

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from indexing.forget_users import ForgottenInSnapshot
    from judge.pictures import Frames
    from labelcraft.evaluation.lists import Content
    from retrieval.feed import Feed, Results
    from retrieval.snapshot import Snapshot

app = typer.Typer(
    help="Short videos recommended from what people looked at in a shop's catalogue.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
tables_app = typer.Typer(help="Check a shop's tables.", no_args_is_help=True)
config_app = typer.Typer(help="See what lookreel.toml decides.", no_args_is_help=True)


def _open_frames(place: str) -> "Frames":
    from lookreel.judging import open_frames

    return open_frames(place)


def _open_content(place: str) -> "Content":
    from lookreel.evaluating import open_content

    return open_content(place)


def _forget_in_snapshot(
    snapshot: Path, goes: "Callable[[Sequence[str]], Sequence[bool]]", dry_run: bool
) -> "ForgottenInSnapshot":
    from indexing.forget_users import forget_in_snapshot

    return forget_in_snapshot(snapshot, goes, dry_run)


app.add_typer(tables_app, name="tables")
app.add_typer(embed_app, name="embed")
app.add_typer(index_app, name="index")
app.add_typer(doctor_app, name="doctor")
app.add_typer(events_app, name="events")
users_app = make_users_app(_forget_in_snapshot)
users_app.command("embed")(embed_users)
app.add_typer(users_app, name="users")
events_app.command("export")(export_command)
events_app.command("compact")(compact_command)
app.add_typer(make_judge_app(_open_frames), name="judge")
app.add_typer(make_labels_app(), name="labels")
app.add_typer(make_train_app(), name="train")
app.add_typer(make_experiment_app(), name="experiment")
app.add_typer(make_evaluate_app(_open_content), name="evaluate")
app.add_typer(shop_app, name="shop")
app.add_typer(config_app, name="config")

SnapshotOption = Annotated[Path | None, typer.Option("--snapshot", help="Folder of the snapshot.")]
TablesOption = Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")]
K = Annotated[int, typer.Option("-k", min=1, help="How many videos.")]
WhereOption = Annotated[
    list[str] | None, typer.Option("--where", help="Filter, such as markets=de or markets=de,fr; may be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def main() -> None:
    """Run the command line."""
    from retrieval.console import run

    run(app)


@app.command()
def demo(
    folder: Annotated[Path, typer.Option("--out", help="Where the demo puts its shop and results.")] = Path("demo"),
    videos: Annotated[int, typer.Option(min=20, help="Clips to film.")] = 600,
    products: Annotated[int, typer.Option(min=20, help="Products to draw.")] = 600,
    users: Annotated[int, typer.Option(min=8, help="Shoppers.")] = 400,
    seed: Annotated[int, typer.Option(help="Another seed is another shop.")] = 7,
    judge: Annotated[
        str, typer.Option("--judge", help="Who grades: sample, attributes, qwen:MODEL or endpoint:URL,MODEL.")
    ] = "sample",
    judged_users: Annotated[int, typer.Option(min=0, help="Shoppers whose feeds are graded; 0 is none.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Build the sample shop, recommend to its shoppers, compare with what they truly like, and judge."""
    from lookreel.demo import DemoOptions, run_demo

    run_demo(folder, DemoOptions(videos, products, users, seed, judge, judged_users), as_json=as_json, say=_say)


@app.command()
def init(force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False) -> None:
    """Write a commented lookreel.toml."""
    from retrieval.config import FILE, default_toml
    from retrieval.errors import ConfigError
    from retrieval.folders import writing

    path = Path(FILE)
    if path.exists() and not force:
        raise ConfigError(f"{path} exists already.", "Edit it, or replace it with --force.")
    with writing(path) as draft:
        draft.write_text(default_toml())
    print(f"Wrote {path}.\nNext: lookreel tables check DIR")


@config_app.command("show")
def config_show(as_json: AsJson = False) -> None:
    """Print every value and where it came from."""
    from dataclasses import asdict

    from retrieval.config import load_config
    from retrieval.console import to_json

    config = load_config()
    systems = {name: {**asdict(system), "hash": system.hash} for name, system in config.systems.items()}
    if as_json:
        print(to_json({"values": dict(config.values), "origins": dict(config.origins), "systems": systems}))
        return
    for name, value in config.values.items():
        print(f"{name:<22} {value!s:<20} ({config.origins[name]})")
    for name, about in systems.items():
        print(f"systems.{name}")
        for key, value in about.items():
            print(f"  {key:<20} {value}")


@tables_app.command("check")
def tables_check(
    folder: Annotated[Path, typer.Argument(help="Folder of the shop's tables.")], as_json: AsJson = False
) -> None:
    """Check a shop's tables; rows that cannot be used go to rejected.parquet there."""
    from retrieval.console import to_json
    from retrieval.folders import writing
    from retrieval.tables import load_tables, table_sizes

    tables = load_tables(folder)
    sizes = table_sizes(tables)
    with writing(folder / "rejected.parquet") as draft:
        tables.rejected.write_parquet(draft)
    if as_json:
        print(to_json({"tables": sizes, "rejected": tables.rejected.height}))
        return
    for name, rows in sizes.items():
        print(f"{name:<14} {rows:>9} rows")
    print(f"{tables.rejected.height} rows cannot be used" + _reasons(tables.rejected, folder))
    print(f"Next: lookreel embed products {folder / 'products.parquet'} --out stores/products")


def _reasons(rejected: "pl.DataFrame", folder: Path) -> str:
    if rejected.is_empty():
        return "."
    counts = rejected.group_by("table", "reason", maintain_order=True).len().rows()
    lines = [f"  {table}: {count} × {reason}" for table, reason, count in counts]
    return f" (see {folder / 'rejected.parquet'}):\n" + "\n".join(lines)


@app.command()
def recommend(
    snapshot: SnapshotOption = None,
    tables: TablesOption = None,
    user: Annotated[str | None, typer.Option(help="Whom to recommend to.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="Recommend to every user of the tables.")] = False,
    out: Annotated[Path, typer.Option("--out", help="With --all: where the table goes.")] = Path(
        "recommendations.parquet"
    ),
    k: K = 10,
    system: Annotated[
        str, typer.Option(help="random, recency, popularity, multimodal, conventional, or of lookreel.toml.")
    ] = ("multimodal"),
    at: Annotated[str | None, typer.Option(help="UTC time of asking; by default the end of the log.")] = None,
    where: WhereOption = None,
    as_json: AsJson = False,
) -> None:
    """Recommend videos to one user, with reasons, or to all of them into a table."""
    from lookreel.commands import RecommendRequest, recommend_everyone, recommend_one
    from retrieval.errors import ConfigError

    if (user is None) == (not everyone):
        raise ConfigError("Name one user or all of them.", "Add --user USER or --all.")
    request = RecommendRequest(snapshot, tables, k, system, at, tuple(where or ()))
    if everyone:
        print(recommend_everyone(request, out, as_json))
        return
    opened, feed = recommend_one(request, user or "")
    _print_answer(opened, feed, as_json)


@app.command()
def search(
    text: Annotated[str, typer.Argument(help='What to look for, such as "a red striped dress".')],
    snapshot: SnapshotOption = None,
    k: K = 10,
    where: WhereOption = None,
    as_json: AsJson = False,
) -> None:
    """Find videos by text."""
    from lookreel.commands import open_named_snapshot
    from retrieval.where import parse_where

    opened = open_named_snapshot(snapshot)
    _print_answer(opened, opened.search(text, k, where=parse_where(where or [])), as_json)


@app.command()
def similar(
    video_id: Annotated[str, typer.Argument(help="The video to compare with.")],
    snapshot: SnapshotOption = None,
    k: K = 10,
    where: WhereOption = None,
    as_json: AsJson = False,
) -> None:
    """Find the videos nearest to one."""
    from lookreel.commands import open_named_snapshot
    from retrieval.where import parse_where

    opened = open_named_snapshot(snapshot)
    _print_answer(opened, opened.similar(video_id, k, where=parse_where(where or [])), as_json)


app.command("sync")(sync_command)
app.command("serve")(serve_command)


def _print_answer(snapshot: "Snapshot", answer: "Feed | Results", as_json: bool) -> None:
    from retrieval.console import print_table, to_json

    if as_json:
        print(to_json(answer))
        return
    from lookreel.commands import answer_table, answer_words

    print_table(answer_table(snapshot, answer))
    _say(answer_words(answer))


def _say(text: str) -> None:
    print(text, flush=True)
