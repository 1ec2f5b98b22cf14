"""The API in a real server on a loopback port, asked over raw sockets: floods, odd framing, clients that hang up."""

import json
import logging
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from serving.app import create_app
from tests.serving.site import build_site, open_site

HEAD = b"GET /healthz HTTP/1.1\r\nHost: lookreel\r\n"
POST = b"POST /v1/events HTTP/1.1\r\nHost: lookreel\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = b"a" * 65_536
FLOOD = [BLOCK] * 320  # 20 MB
TAKEN = 4 << 20  # what the sockets' own buffers may hold of a flood


@pytest.fixture(scope="module", name="port")
def _port(tmp_path_factory):
    services = open_site(build_site(tmp_path_factory.mktemp("server")), body_limit=100_000)
    with running(create_app(services)) as port:
        yield port


@contextmanager
def running(app):
    config = uvicorn.Config(
        app, port=0, http="serving.server:BoundedProtocol", access_log=False, log_config=None, lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def talk(port, *parts):
    """Send parts until the other end closes, and return what it answered and how many bytes were sent."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        try:
            for part in parts:
                line.sendall(part)
                sent += len(part)
        except OSError:  # closed while we were sending
            pass
        return answer_of(line), sent


def answer_of(line):
    """What comes until a whole answer is there, or the end."""
    received = b""
    try:
        while not is_whole(received):
            part = line.recv(65_536)
            if not part:
                break
            received += part
    except OSError:
        pass
    return received


def is_whole(received):
    head, gap, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(gap and lengths) and len(body) >= int(lengths[0].partition(b":")[2])


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else 0


def error_of(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"]


def test_a_plain_request_is_answered(port):
    answer, _ = talk(port, HEAD, b"\r\n")

    assert status(answer) == 200
    assert answer.endswith(b'{"status":"ok"}')


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD, *(b"X-%d: a\r\n" % number for number in range(400_000))],
        [HEAD, b"X: ", *FLOOD],
        [HEAD, *FLOOD],
        [b"GET /", *FLOOD],
        [b"GET /?", *[b"a=b&" * 16_384] * 320],
        [CHUNKED, b"2\r\n[]\r\n0\r\n", b"T: ", *FLOOD],
        [CHUNKED, b"2\r\n[]\r\n0\r\n", *(b"T-%d: a\r\n" % number for number in range(400_000))],
        [CHUNKED, b"2;", *FLOOD],
    ],
    ids=["fields", "a value", "a name", "an address", "a query", "a trailer", "trailers", "an extension"],
)
def test_a_head_without_an_end_closes_the_connection(port, parts):
    whole = sum(map(len, parts))

    answer, sent = talk(port, *parts)

    assert status(answer) in (0, 400, 431)
    assert sent < min(whole, TAKEN)
    assert status(talk(port, HEAD, b"\r\n")[0]) == 200


def test_a_head_that_trickles_in_is_counted_too(port):
    parts = [HEAD, *(b"X-%d: %s\r\n" % (number, b"a" * 900) for number in range(200))]

    answer, _ = talk(port, *parts, b"\r\n")

    assert status(answer) in (0, 400)


def test_a_large_head_is_refused_in_our_form(port):
    answer, _ = talk(port, HEAD, b"X: " + b"a" * 40_000 + b"\r\n\r\n")

    assert (status(answer), error_of(answer)) == (431, "head_too_large")


def test_many_fields_are_refused_in_our_form(port):
    answer, _ = talk(port, HEAD, b"".join(b"X-%d: a\r\n" % number for number in range(150)), b"\r\n")

    assert (status(answer), error_of(answer)) == (431, "head_too_large")


def test_a_body_in_chunks_is_bounded(port):
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    answer, _ = talk(port, CHUNKED, *[chunk] * 5)

    assert (status(answer), error_of(answer)) == (413, "body_too_large")


def test_a_body_in_many_small_chunks_is_bounded(port):
    answer, _ = talk(port, CHUNKED, *[b"1\r\n \r\n" * 10_000] * 20)

    assert (status(answer), error_of(answer)) == (413, "body_too_large")


def test_a_body_in_chunks_is_read(port):
    answer, _ = talk(port, CHUNKED, b"1\r\n[\r\n", b"1\r\n]\r\n0\r\n\r\n")

    assert status(answer) == 200


def test_a_body_that_says_it_is_too_large_is_refused_unread(port):
    answer, _ = talk(port, POST, b"Content-Length: 100001\r\n\r\n")

    assert (status(answer), error_of(answer)) == (413, "body_too_large")


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: -2\r\n",
        b"Content-Length: two\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: " + b"9" * 100 + b"\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 2\r\n",
        b"X\0Y: a\r\n",
        b"X: a\0b\r\n",
        b" folded: a\r\n",
        b"X : a\r\n",
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_refused(port, fields):
    answer, _ = talk(port, POST, fields, b"\r\n[]")

    assert status(answer) in (0, 400, 413, 415)


@pytest.mark.parametrize(
    "line",
    [
        b"GET /v1/users/\xff\xfe/feed HTTP/1.1",
        b"GET /v1/users/%FF%FE/feed?k=1 HTTP/1.1",
        b"GET /v1/users/%ED%A0%80/feed?k=1 HTTP/1.1",
        b"GET /v1/users/%00/feed?k=1 HTTP/1.1",
        b"GET /v1/users/a%2Fb/feed?k=1 HTTP/1.1",
        b"GET /v1/users/%2e%2e/feed?k=1 HTTP/1.1",
        b"GET /v1/users/../feed HTTP/1.1",
        b"GET /v1/users/a/feed?where=%FF:%FF HTTP/1.1",
        b"GET /v1/users/a/feed?market=%ED%A0%80 HTTP/1.1",
        b"GET /v1/users?prefix=%ED%A0%80%00 HTTP/1.1",
        b"GET /v1/videos/..%2f..%2f..%2fetc%2fpasswd/media HTTP/1.1",
        b"GET /v1/videos/../../../etc/passwd HTTP/1.1",
        b"GET /v1/videos/v1/media/../../../../etc/passwd HTTP/1.1",
        b"GET //etc/passwd HTTP/1.1",
        b"GET http://evil.example/healthz HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET / HTTP/9.9",
        b"CONNECT evil.example:443 HTTP/1.1",
        b"GET",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_an_odd_request_line_is_no_fault_of_ours(port, line):
    answer, _ = talk(port, line, b"\r\nHost: lookreel\r\nConnection: close\r\n\r\n")

    assert status(answer) in (0, 200, 400, 404, 405, 422)
    assert b"root:" not in answer


def test_a_quoted_user_is_read_once(port):
    answer, _ = talk(port, b"GET /v1/users/a%252Fb/feed?k=1 HTTP/1.1\r\nHost: lookreel\r\n\r\n")

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["user"]["user_id"] == "a%2Fb"


def test_a_client_that_hangs_up_is_no_fault_of_ours(port, caplog):
    with caplog.at_level(logging.ERROR):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(POST + b"Content-Length: 1000\r\n\r\n[")
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(CHUNKED + b"5\r\n[")
        time.sleep(0.3)

    assert [record.getMessage() for record in caplog.records] == []
    assert status(talk(port, HEAD, b"\r\n")[0]) == 200


def test_requests_behind_each_other_are_answered_in_order(port):
    both = HEAD + b"\r\n" + b"GET /nothing HTTP/1.1\r\nHost: lookreel\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(both)
        received = b""
        while part := line.recv(65_536):
            received += part

    assert received.index(b"200 OK") < received.index(b"404 Not Found")


def test_a_long_body_after_a_head_is_no_flood(port):
    body = b"[" + b" " * 90_000 + b"]"

    answer, _ = talk(port, POST, b"Content-Length: %d\r\n\r\n" % len(body), body)

    assert status(answer) == 200
