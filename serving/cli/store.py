"""The event store as commands open it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from serving.events.protocol import EventStore

StateOption = Annotated[
    Path, typer.Option("--state", envvar="LOOKREEL_STATE", help="The server's folder; it holds its secret.")
]


@contextmanager
def opened_store(url: str) -> Iterator["EventStore"]:
    """Open the event store of *url* and close it.

    Raises:
        EventStoreError: it cannot be used, or does not answer now.
    """
    from serving.events import open_event_store
    from serving.events.protocol import EventStoreError, StoreDownError

    try:
        with closing(open_event_store(url)) as store:
            yield store
    except StoreDownError as error:
        raise EventStoreError(str(error), "Run this again when the store answers.") from error
