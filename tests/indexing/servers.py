"""Real HTTP servers on this machine, with the answers that a test wants."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(BaseHTTPRequestHandler):
    """Answers with what stands in *pages*, a status, headers and a body for each path."""

    pages = {}  # noqa: RUF012  # each test makes a class of its own

    def do_GET(self):
        status, headers, body = self.pages.get(self.path, (404, {}, b"nothing"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@contextmanager
def running(handler):
    """Yield the address of a real server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def serving(pages):
    """A running server of *pages*."""
    return running(type("Pages", (Server,), {"pages": pages}))
