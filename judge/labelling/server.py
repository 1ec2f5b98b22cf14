"""The page's process: a loopback socket, a fresh token, and uvicorn until it is told to stop."""

import secrets
import signal
import socket
from collections.abc import Callable

from judge.labelling.app import create_app
from judge.labelling.desk import Desk
from retrieval.errors import UserFacingError

HOST = "127.0.0.1"  # never another: the page shows what people looked at, and asks for no password
STOPS_WITHIN_S = 2


def serve_desk(desk: Desk, port: int, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Args:
        port: 0 takes a free one.
        say: is told the address, once it answers.

    Raises:
        UserFacingError: the port is taken.
    """
    import uvicorn

    with _listen(port) as listening:
        app = create_app(desk, secrets.token_urlsafe(32))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=STOPS_WITHIN_S,
        )
        say(f"http://{HOST}:{listening.getsockname()[1]}/")
        before = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises the signal again when it has ended well
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, before)


def _listen(port: int) -> socket.socket:
    """A socket that accepts connections already, so that whoever reads the address may open it at once."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise UserFacingError(f"Port {port} cannot be used: {error.strerror}.", "Leave out --port.") from error
    return listening
