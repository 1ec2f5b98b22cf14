"""`lookreel serve`."""

from pathlib import Path
from typing import Annotated

import typer

APP = "lookreel.server:make_app"


def serve_command(
    snapshot: Annotated[Path | None, typer.Option(help="Folder of the snapshot.")] = None,
    events: Annotated[
        str | None, typer.Option(help="Where users' events are: sqlite:///FILE for one host, redis://HOST:6379/0.")
    ] = None,
    state: Annotated[Path | None, typer.Option(help="Folder of this host's logs and secret.")] = None,
    media: Annotated[Path | None, typer.Option(help="Folder that the tables' uris start from.")] = None,
    grades: Annotated[Path | None, typer.Option(help="The judge's grades.parquet.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that answer; one for each core.")] = None,
) -> None:
    """Serve feeds, search and events over HTTP; keys and limits come from the environment, as LOOKREEL_READ_KEYS."""
    from os import environ

    from retrieval.config import load_config
    from serving.events import shown_url
    from serving.server import run_server
    from serving.settings import PREFIX, load_settings, require_private

    paths = load_config()
    if snapshot is None and f"{PREFIX}SNAPSHOT" not in environ:
        snapshot = paths.path("snapshot", None)
    if media is None and f"{PREFIX}MEDIA" not in environ:
        media = paths.path("tables", None)
    settings = load_settings(
        snapshot=snapshot, events=events, state=state, media=media, grades=grades, host=host, port=port, workers=workers
    )
    require_private(settings)  # before we say that anything is served
    place = f"http://{settings.host}:{settings.port}"
    print(f"Serving {settings.snapshot} at {place}, events in {shown_url(settings.events_url)}.")
    print(f"Next: curl '{place}/v1/users/USER/feed?k=5'", flush=True)
    run_server(settings, APP)
