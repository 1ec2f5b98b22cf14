"""Connections that ask a server again and again beside a test, and what they were answered."""

import itertools
import threading
import time
from contextlib import contextmanager

from tests.serving.api_server import LOST

EVENTS_A_BATCH = 5


class Asking(threading.Thread):
    """One connection's loop: *ask* gets the client and a number that counts up; answers lost with a process count."""

    def __init__(self, client, ask, pause_s):
        super().__init__(daemon=True)
        self.answers, self.lost = [], 0
        self._client, self._ask, self._pause_s = client, ask, pause_s
        self._stopping = threading.Event()

    def run(self):
        for number in itertools.count():
            if self._stopping.wait(self._pause_s):
                return
            try:
                self.answers.append(self._ask(self._client, number))
            except LOST:
                self.lost += 1

    def stop(self):
        self._stopping.set()
        self.join()
        self._client.close()


@contextmanager
def asking(clients, ask, pause_s=0.01):
    """Yield the loops, one over each client, which end with the block."""
    loops = [Asking(client, ask, pause_s) for client in clients]
    for loop in loops:
        loop.start()
    try:
        yield loops
    finally:
        for loop in loops:
            loop.stop()


def answers_of(loops):
    return [answer for loop in loops for answer in loop.answers]


class Poster:
    """Posts batches, each of another user, and knows which were acknowledged."""

    def __init__(self):
        self.sent, self.accepted = [], []
        self._numbers = itertools.count()

    def __call__(self, client, number):
        user_id = f"poster-{next(self._numbers)}"
        rows = [
            {"event_id": f"{user_id}-{row}", "user_id": user_id, "product_id": f"p{row}"}
            for row in range(EVENTS_A_BATCH)
        ]
        self.sent.append(user_id)
        answer = client.ask("POST", "/v1/events", rows)
        if answer.status == 200 and answer.body["accepted"] == EVENTS_A_BATCH:
            self.accepted.append(user_id)
        return answer

    def remembered(self, client):
        """How many events the server remembers of each user that was posted, acknowledged or not."""
        histories = {user_id: client.ask("GET", f"/v1/users/{user_id}/history") for user_id in self.sent}
        return {user_id: len(history.body["events"]) for user_id, history in histories.items()}


def seconds_until(clients, ask, holds, within_s):
    """Seconds until *holds* of what each of the clients is answered: of the slowest, since they are asked in turn.

    One that does not come to it in time is told by infinity.
    """
    started_s, waiting = time.monotonic(), list(clients)
    while waiting and time.monotonic() < started_s + within_s:
        waiting = [client for client in waiting if not holds(ask(client))]
        time.sleep(0.01)
    return float("inf") if waiting else time.monotonic() - started_s
