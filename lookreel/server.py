"""What each worker of `lookreel serve` calls: the API with everything it needs, put together."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI


def make_app() -> "FastAPI":
    """The app that the environment describes. Versions are moved by the publisher's own code, under its lock."""
    from indexing.versions import rollback_snapshot
    from serving.app import create_app
    from serving.services import open_services
    from serving.settings import load_settings

    return create_app(open_services(load_settings(), rollback_snapshot))
