"""Runs the API: one process or several, on one socket."""

import logging
import os
import shutil
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from retrieval.config import load_config
from retrieval.snapshot_files import read_manifest
from serving.events import open_event_store
from serving.gate import MAX_HEAD_BYTES, MAX_HEADERS
from serving.inputs import read_experiment_of, secret_of
from serving.security import open_key_ring
from serving.settings import PREFIX, Settings, require_private
from serving.telemetry import FOLDER

KEYS = frozenset(("read_keys", "write_keys", "admin_keys", "secret"))
"""What workers take from the environment as it is, never from an option: an option shows in the list of processes."""
KEEP_ALIVE_S = 75  # proxies keep an idle connection for 60: if we closed it first, a request would meet a closed one


class HeadTooLargeError(Exception):
    """A request's head goes on without end."""


class BoundedProtocol(HttpToolsProtocol):
    """Uvicorn's, but that it stops reading a head that is too large: it would gather all of it before we see any.

    A single field of it comes to us only when it is whole, so what comes without any progress is counted as well.
    """

    _silent_bytes = 0

    def data_received(self, data: bytes) -> None:
        self._silent_bytes += len(data)
        super().data_received(data)
        if self._silent_bytes > 2 * MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")

    def on_message_begin(self) -> None:
        self._head_bytes = self._head_fields = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_fields += 1
        self._count(name + value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._silent_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._silent_bytes = 0
        super().on_message_complete()

    def _count(self, part: bytes) -> None:
        self._silent_bytes = 0
        self._head_bytes += len(part)
        if self._head_bytes > 2 * MAX_HEAD_BYTES or self._head_fields > 2 * MAX_HEADERS:
            raise HeadTooLargeError  # the parser reports it as a bad request, and the connection is closed


def run_server(settings: Settings, app: str) -> None:
    """Serve until told to stop.

    Args:
        app: the import string of a factory that each worker calls; it finds *settings* in the environment.

    Raises:
        UserFacingError: something that workers would fail at: told once, here, before any of them starts.
    """
    require_private(settings)
    open_key_ring(settings)
    read_experiment_of(load_config(settings.config))
    read_manifest(settings.snapshot)
    settings.state.mkdir(parents=True, exist_ok=True)
    secret_of(settings)
    open_event_store(settings.events_url).close()
    os.environ.update(environment_of(settings))
    if settings.workers > 1:
        # Only for processes that are started from here: this one has chosen to keep its metrics to itself.
        os.environ[FOLDER] = str(_empty(settings.state / "metrics"))
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)
    uvicorn.run(
        app,
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        http="serving.server:BoundedProtocol",
        access_log=False,  # paths name users
        server_header=False,
        limit_concurrency=settings.connections,
        date_header=True,
        timeout_graceful_shutdown=10,
        timeout_keep_alive=KEEP_ALIVE_S,
        log_level="info",
    )


def environment_of(settings: Settings) -> dict[str, str]:
    """The settings as workers read them, but for keys, which they have already."""
    values = settings.model_dump(mode="json", exclude_none=True, exclude=set(KEYS))
    return {PREFIX + name.upper(): str(value) for name, value in values.items()}


def _empty(folder: Path) -> Path:
    """The folder of the workers' metrics: those of workers before belong to nobody."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
