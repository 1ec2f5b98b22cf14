"""One process of the soak's clients: a few connections in a closed loop, every answer compared with what it must be.

`python -m tests.serving.soak_driver PLAN.json` writes its findings to the file that the plan names.
"""

import json
import random
import sys
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from tests.serving.api_server import LOST, Client
from tests.serving.soak_shop import Truths

K, PAGES = 10, 20
NEAR = 1e-3  # scores are sums of eight products of small numbers; the nearest two that differ do so by 0.2
REMEMBERED = 150  # product events of a user that the history must show: it holds 200
REQUESTS_A_CONNECTION = 30  # then another one, which may be another worker's; few enough that a slow machine asks all
USERS, KNOWN_USERS = 12, 10  # of a connection; the known ones begin with a history that is as long as it gets
HISTORY = 200
SHOWN, ABSENT = 1, 0


@dataclass(frozen=True)
class Plan:
    """What a process of clients does: *hot* are the videos that are blocked meanwhile, by the product that likes them.

    *until_s* is on the clock that all processes share, *think_s* the mean pause between two requests of a connection.
    """

    name: str
    port: int
    snapshot: str
    hot: dict
    products: list
    lasting: list
    workers: list
    until_s: float
    think_s: float
    connections: int
    findings: str


@dataclass
class Findings:
    """What was found: *faults* in words, *times_ms* by the kind of request, *sightings* of hot videos.

    A sighting is (video, shown or absent, sent, received).
    """

    faults: list = field(default_factory=list)
    times_ms: dict = field(default_factory=lambda: defaultdict(list))
    versions: dict = field(default_factory=dict)
    workers: set = field(default_factory=set)
    sightings: list = field(default_factory=list)
    chains_across: int = 0
    longest_chain: int = 0
    events: int = 0

    def as_json(self):
        return vars(self) | {"workers": sorted(self.workers - {None})}


@dataclass
class User:
    """Somebody of whom one connection tells, so that it knows what must be remembered; *product* is all they like."""

    user_id: str
    product: str
    event_ids: list = field(default_factory=list)
    watched: set = field(default_factory=set)
    page: dict = field(default_factory=dict)


@dataclass
class Chain:
    """The pages of one feed so far."""

    user: User
    cursor: str = ""
    shown: list = field(default_factory=list)
    versions: set = field(default_factory=set)
    pages: int = 0


class Fault(Exception):
    """An answer that must not be."""


class Connection(threading.Thread):
    """One connection's closed loop."""

    def __init__(self, plan, number, truths):
        super().__init__(name=f"{plan.name}-{number}")
        self.findings = Findings()
        self._plan, self._truths, self._rng = plan, truths, random.Random(self.name)
        self._hot = {video for videos in plan.hot.values() for video in videos}
        self._client, self._asked, self._serial = Client(plan.port), 0, 0
        likes = [self._rng.choice(plan.products) for _ in range(USERS)]
        self._users = [User(f"{self.name}-u{i}", product) for i, product in enumerate(likes)]
        self._chain = None
        steps = {self.first_page: 18, self.next_page: 30, self.filtered: 10, self.by_history: 18, self.similar: 8}
        self._steps = steps | {self.video: 5, self.history: 4, self.post: 7}

    def run(self):
        for user in self._users[:KNOWN_USERS]:
            self._attempt(partial(self.post_views, user, HISTORY))
        while time.monotonic() < self._plan.until_s:
            (step,) = self._rng.choices(list(self._steps), self._steps.values())
            self._attempt(step)
            time.sleep(self._rng.uniform(0, 2 * self._plan.think_s))
        self._client.close()

    def _attempt(self, step):
        try:
            step()
        except Fault as fault:
            self.findings.faults.append(str(fault))
        except LOST as error:
            self.findings.faults.append(f"no answer, {error!r}")

    def first_page(self):
        """The first page of a user's feed, beside the one that is gone through."""
        self._page("first page", Chain(self._rng.choice(self._users)))

    def next_page(self):
        """The next page of one feed, through swaps and workers; after the last one another feed."""
        if self._chain is None or self._chain.pages >= PAGES:
            self._chain = Chain(self._rng.choice(self._users))
        self._page("next page", self._chain)

    def filtered(self):
        user, market = self._rng.choice(self._users), self._rng.choice(["de", "fr"])
        answer = self._ask("filtered", "GET", f"/v1/users/{user.user_id}/feed?k={K}&where=markets:{market}")
        truth = self._check_list(answer)
        for video in ids_of(answer):
            require(market in truth.markets[video], f"{video} is not of {market}")

    def by_history(self):
        """A feed for one product: its scores are known, and that nothing better was left out."""
        product = self._rng.choice(list(self._plan.hot))
        touched = {"product_id": product, "occurred_at": time.time() - 60}
        answer = self._ask("by history", "POST", "/v1/feed", {"history": [touched], "k": 2 * K})
        truth = self._check_list(answer)
        self._check_best(answer, truth, truth.scores_for(product), self._hot)

    def similar(self):
        video = self._rng.choice(self._plan.lasting)
        answer = self._ask("similar", "GET", f"/v1/videos/{video}/similar?k={K}")
        truth = self._check_list(answer)
        self._check_best(answer, truth, truth.scores_near(video), self._hot | {video})

    def video(self):
        """A video's attributes: those of one that is blocked are not there, those of any other are."""
        hot = self._rng.random() < 0.5
        video = self._rng.choice(sorted(self._hot) if hot else self._plan.lasting)
        answer = self._ask("video", "GET", f"/v1/videos/{video}", allowed=(200, 404) if hot else (200,))
        if hot:
            self._saw(video, SHOWN if answer.status == 200 else ABSENT, answer)

    def history(self):
        """What was acknowledged, whichever worker took it, is remembered."""
        user = self._rng.choice(self._users)
        answer = self._ask("history", "GET", f"/v1/users/{user.user_id}/history")
        told = {event["event_id"] for event in answer.body["events"]}
        missing = set(user.event_ids[-REMEMBERED:]) - told
        require(not missing, f"{len(missing)} acknowledged events of {user.user_id} are not remembered")
        require(user.watched <= set(answer.body["seen"]), f"acknowledged watches of {user.user_id} are not remembered")

    def post(self):
        """Views of the one product, and a watch of what was shown; now and then the same batch twice."""
        user = self._rng.choice(self._users)
        views = [{"product_id": user.product, "event": "view"} for _ in range(self._rng.randint(1, 3))]
        shown = ids_in(user.page)[:1]
        watches = [{"video_id": video, "feed_id": user.page["feed_id"], "watch_time_s": 3.5} for video in shown]
        rows = [{"event_id": self._new_id(), "user_id": user.user_id, **row} for row in views + watches]
        for known in (0, len(rows))[: 1 + (self._rng.random() < 0.1)]:
            answer = self._ask("post", "POST", "/v1/events", rows)
            told = answer.body["accepted"], answer.body["duplicates"], answer.body["refused"]
            require(told == (len(rows) - known, known, []), f"{len(rows)} events were answered by {told}")
        user.event_ids += [row["event_id"] for row in rows if "product_id" in row]
        user.watched |= set(shown)
        user.page = {}
        self.findings.events += len(rows)

    def post_views(self, user, n):
        rows = [{"event_id": self._new_id(), "user_id": user.user_id, "product_id": user.product} for _ in range(n)]
        answer = self._ask("post", "POST", "/v1/events", rows)
        require(answer.body["accepted"] == n, f"{n} views were answered by {answer.body}")
        user.event_ids += [row["event_id"] for row in rows]

    def _page(self, kind, chain):
        user, cursor = chain.user, f"&cursor={chain.cursor}" if chain.cursor else ""
        answer = self._ask(kind, "GET", f"/v1/users/{user.user_id}/feed?k={K}{cursor}")
        truth, ids = self._check_list(answer, 1 + len(chain.shown)), ids_of(answer)
        chain.pages, chain.cursor = chain.pages + 1, answer.body["cursor"]
        repeated = set(ids) & set(chain.shown)
        chain.shown += ids
        chain.versions.add(answer.body["snapshot"])
        user.page = answer.body
        require(not repeated, f"page {chain.pages} repeats {sorted(repeated)}, versions {sorted(chain.versions)}")
        require(not (user.watched & set(ids)), f"a watched video came back to {user.user_id}")
        require(bool(user.event_ids) == answer.body["user"]["known"], f"events of {user.user_id} do not count")
        if user.event_ids:
            self._check_scores(answer, truth, truth.scores_for(user.product))
        self.findings.chains_across += chain.pages == PAGES and len(chain.versions) > 1
        self.findings.longest_chain = max(self.findings.longest_chain, chain.pages)

    def _ask(self, kind, method, path, body=None, allowed=(200,)):
        if self._asked % REQUESTS_A_CONNECTION == 0:
            self._client.close()
            self._client.connect()
            self.findings.workers.add(self._client.worker(self._plan.workers))
        self._asked += 1
        answer = self._client.ask(method, path, body)
        self.findings.times_ms[kind].append(round(1e3 * (answer.received_s - answer.sent_s), 2))
        require(answer.status in allowed, f"{method} {path} was answered {answer.status}: {answer.body}")
        return answer

    def _check_list(self, answer, first_rank=1):
        """The truth of the version that an answer names, which all of its videos must be of."""
        version, ids = answer.body["snapshot"], ids_of(answer)
        self.findings.versions[version] = self.findings.versions.get(version, 0) + 1
        for video in self._hot & set(ids):
            self._saw(video, SHOWN, answer)
        truth = self._truths.of(version)
        strangers = set(ids) - truth.ids
        require(not strangers, f"{sorted(strangers)} are not of version {version}")
        require(len(set(ids)) == len(ids) > 0, f"the list is empty or repeats a video: {ids}")
        ranks = [video["rank"] for video in answer.body["videos"]]
        require(ranks == list(range(first_rank, first_rank + len(ids))), f"ranks are {ranks}, not from {first_rank}")
        scores = scores_of(answer)
        require(bool((np.diff(scores) <= 0).all()), f"scores rise: {scores.tolist()}")
        require(not answer.body.get("degraded"), "the answer is degraded")
        return truth

    def _check_scores(self, answer, truth, expected):
        rows = [truth.rows[video] for video in ids_of(answer)]
        off = np.abs(scores_of(answer) - expected[rows]).max()
        require(off < NEAR, f"scores are off by {off:g} in version {answer.body['snapshot']}")

    def _check_best(self, answer, truth, expected, but_for):
        """Each score is that of the version, and no video but those that may be absent is better than the last one."""
        self._check_scores(answer, truth, expected)
        left_out = np.ones(len(expected), bool)
        left_out[[truth.rows[video] for video in (*ids_of(answer), *but_for)]] = False
        better = expected[left_out].max() - scores_of(answer)[-1]
        require(better < NEAR, f"a better video of version {answer.body['snapshot']} is left out")

    def _saw(self, video, what, answer):
        self.findings.sightings.append((video, what, answer.sent_s, answer.received_s))

    def _new_id(self):
        self._serial += 1
        return f"{self.name}-{self._serial:07d}"


def require(holds, fault):
    if not holds:
        raise Fault(fault)


def ids_in(page):
    return [video["video_id"] for video in page.get("videos", ())]


def ids_of(answer):
    return ids_in(answer.body)


def scores_of(answer):
    return np.array([video["score"] for video in answer.body["videos"]])


def main():
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    truths = Truths(Path(plan.snapshot))
    threads = [Connection(plan, number, truths) for number in range(plan.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Path(plan.findings).write_text(json.dumps([thread.findings.as_json() for thread in threads]))


if __name__ == "__main__":
    main()
