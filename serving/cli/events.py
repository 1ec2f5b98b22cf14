"""`lookreel events …`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from serving.events.importing import ImportCounts

events_app = typer.Typer(help="What the API remembers of users.", no_args_is_help=True)
EventsOption = Annotated[
    str,
    typer.Option(
        "--events", envvar="LOOKREEL_EVENTS", help="The event store: sqlite:///events.db, or redis://HOST:6379/0."
    ),
]


@events_app.callback()
def _events() -> None:
    """What the API remembers of users."""


@events_app.command("import")
def events_import(
    events: EventsOption,
    tables: Annotated[Path | None, typer.Option("--tables", help="Folder of the shop's tables.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Give the log of a shop's tables to an event store, so that the API knows its users."""
    import time
    from contextlib import closing

    from retrieval.config import load_config
    from retrieval.console import progress, to_json
    from serving.events import open_event_store, shown_url
    from serving.events.importing import import_tables
    from serving.events.protocol import EventStoreError, StoreDownError

    folder = load_config().path("tables", tables)
    try:
        with closing(open_event_store(events)) as store, progress("events") as update:
            counts = import_tables(store, folder, time.time_ns() // 1000, update)
    except StoreDownError as error:
        raise EventStoreError(
            str(error), "When the store answers, run this again: what it knows already is skipped."
        ) from error
    print(to_json(counts) if as_json else _words(counts, shown_url(events)))


def _words(counts: "ImportCounts", url: str) -> str:
    return (
        f"{counts.n_events} product events and {counts.n_watches} watches, {counts.n_new} of them new, and the markets "
        f"of {counts.n_markets} users; left out: {counts.n_older} older events, {counts.n_rejected} rejected rows.\n"
        f"Next: lookreel serve --snapshot SNAPSHOT --events {url}"
    )
