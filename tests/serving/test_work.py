"""Work beside the event loop: how much at once, for how long, and what is told when it is too much."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.app import create_app
from serving.errors import ApiError
from serving.telemetry import Telemetry
from serving.work import Workshop
from tests.serving.site import Clock, build_site, open_site
from tests.serving.test_server import HEAD, running, status, talk

PATIENCE_S = 5.0


@pytest.fixture(name="telemetry")
def _telemetry():
    return Telemetry()


@pytest.fixture(name="workshop")
def _workshop(telemetry):
    """One thread, three pieces at once, a fifth of a second for each."""
    workshop = Workshop(ThreadPoolExecutor(1), 3, 0.2, telemetry)
    yield workshop
    workshop.close()


def shed(telemetry, reason):
    return telemetry.registry.get_sample_value("lookreel_requests_shed_total", {"reason": reason})


def error_of(outcome):
    assert isinstance(outcome, ApiError)
    return outcome.status, outcome.headers["Retry-After"], outcome.message


def test_a_result_is_returned(workshop):
    assert asyncio.run(workshop.run(lambda: 7)) == 7


def test_an_error_is_raised_as_it_is(workshop):
    with pytest.raises(ZeroDivisionError):
        asyncio.run(workshop.run(lambda: 1 / 0))


def test_work_runs_in_another_thread(workshop):
    assert asyncio.run(workshop.run(threading.get_ident)) != threading.get_ident()


def test_more_than_the_queue_holds_is_refused_at_once(workshop, telemetry):
    go = threading.Event()

    async def ask():
        waiting = [asyncio.create_task(workshop.run(lambda: go.wait(PATIENCE_S))) for _ in range(3)]
        await asyncio.sleep(0.01)
        refused = await asyncio.gather(workshop.run(int), workshop.run(int), return_exceptions=True)
        go.set()
        return refused, await asyncio.gather(*waiting)

    refused, answered = asyncio.run(ask())

    assert [error_of(one) for one in refused] == [(503, "1", "Too many requests are waiting.")] * 2
    assert answered == [True] * 3
    assert shed(telemetry, "busy") == 2


def test_what_takes_too_long_is_given_up(workshop, telemetry):
    go = threading.Event()

    async def ask():
        outcome = await asyncio.gather(workshop.run(lambda: go.wait(PATIENCE_S)), return_exceptions=True)
        go.set()
        return outcome

    assert [error_of(one) for one in asyncio.run(ask())] == [(503, "1", "The answer took too long.")]
    assert shed(telemetry, "slow") == 1


def test_what_waited_too_long_is_not_begun(workshop):
    go, begun = threading.Event(), []

    async def ask():
        first = asyncio.create_task(workshop.run(lambda: go.wait(PATIENCE_S)))
        await asyncio.sleep(0.01)
        second = await asyncio.gather(workshop.run(lambda: begun.append(1)), return_exceptions=True)
        await asyncio.gather(first, return_exceptions=True)
        go.set()
        return second

    assert error_of(asyncio.run(ask())[0])[0] == 503
    workshop.close()
    assert begun == []


def test_what_was_given_up_counts_until_it_has_run(workshop):
    go = threading.Event()

    async def ask():
        await asyncio.gather(*(workshop.run(lambda: go.wait(PATIENCE_S)) for _ in range(3)), return_exceptions=True)
        while_it_runs = await asyncio.gather(workshop.run(int), return_exceptions=True)
        go.set()
        await asyncio.sleep(0.1)
        return while_it_runs, await workshop.run(int)

    while_it_runs, later = asyncio.run(ask())

    assert error_of(while_it_runs[0])[2] == "Too many requests are waiting."
    assert later == 0


def test_a_client_that_leaves_takes_its_place_along_only_when_the_work_is_done(workshop):
    go = threading.Event()

    async def ask():
        tasks = [asyncio.create_task(workshop.run(lambda: go.wait(PATIENCE_S))) for _ in range(3)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        refused = await asyncio.gather(workshop.run(int), return_exceptions=True)
        go.set()
        await asyncio.sleep(0.1)
        return refused, await workshop.run(int)

    refused, later = asyncio.run(ask())

    assert error_of(refused[0])[0] == 503
    assert later == 0


def test_errors_of_what_nobody_waits_for_are_not_reported_as_forgotten(workshop, caplog):
    go = threading.Event()

    def fail():
        go.wait(PATIENCE_S)
        raise RuntimeError("too late to matter")

    async def ask():
        await asyncio.gather(workshop.run(fail), return_exceptions=True)
        go.set()
        await asyncio.sleep(0.1)

    asyncio.run(ask())

    assert caplog.records == []


@pytest.fixture(name="slow")
def _slow(tmp_path):
    """Services whose clock a test can hold, and with it every feed."""
    clock, go = Clock(), threading.Event()
    go.set()

    def hold():
        go.wait(PATIENCE_S)
        return clock()

    services = open_site(build_site(tmp_path), hold, time_limit_s=0.3, queue_limit=2)
    yield services, go
    go.set()


FEED = b"GET /v1/users/ann/feed HTTP/1.1\r\nHost: lookreel\r\nConnection: close\r\n\r\n"


def test_an_overloaded_server_sheds_feeds_and_answers_the_rest(slow):
    services, go = slow
    with running(create_app(services)) as port:
        first = talk(port, FEED)[0]
        go.clear()
        answers = asking(port, 6)
        healthy = talk(port, HEAD, b"\r\n")[0]
        go.set()
        time.sleep(0.2)
        later = talk(port, FEED)[0]

    assert [status(first), status(healthy), status(later)] == [200, 200, 200]
    assert {status(answer) for answer in answers} == {503}
    assert all(b"retry-after: 1" in answer.lower() for answer in answers)
    text = services.telemetry.text().decode()
    assert 'lookreel_requests_shed_total{reason="slow"} 2.0' in text
    assert 'lookreel_requests_shed_total{reason="busy"} 4.0' in text


def test_a_feed_that_came_too_late_is_not_logged_as_served(slow, tmp_path):
    services, go = slow
    with running(create_app(services)) as port:
        go.clear()
        late = talk(port, FEED)[0]
        go.set()
        time.sleep(0.2)
        answered = talk(port, FEED)[0]

    assert [status(late), status(answered)] == [503, 200]
    (file,) = (tmp_path / "state/served").glob("*.jsonl")
    assert len(file.read_bytes().splitlines()) == 1


def asking(port, n):
    """The answers to so many feeds that are asked for at once."""
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(lambda _: talk(port, FEED)[0], range(n)))
