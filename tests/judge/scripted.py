"""A judge that follows a script, frames by hand, and a shop of any size without media: runs that are exact and fast."""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import polars as pl

from judge.inputs import Source
from judge.pictures import Photos, VideoFrames
from judge.recommended import select_lists
from judge.rubric import LABELS, load_rubric
from judge.run import Job
from judge.verdict import NoVerdict, Unscored, certain
from retrieval.tables import Columns as C

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")


class ScriptedJudge:
    """Grades by the last digit of a video's id; *refused* ones get no verdict.

    It stops by *stop* after *stop_after* videos, and remembers all it was asked.
    """

    def __init__(self, name="scripted", fingerprint="f1", refused=(), seconds=0.0, stop_after=None, stop=None):
        self.name, self.fingerprint = name, fingerprint
        self.refused, self.seconds, self.stop_after = refused, seconds, stop_after
        self.tasks, self.graded = [], 0
        self.stop = stop or KeyboardInterrupt()

    def grade(self, task, rubric, *, explain=False):
        self.tasks.append(task)
        for video in task.videos:
            if self.graded == self.stop_after:
                raise self.stop
            time.sleep(self.seconds)
            self.graded += 1
            if video.video_id in self.refused:
                yield NoVerdict(Unscored.REFUSED, "no")
            else:
                yield certain(LABELS[int(video.video_id[-1]) % 5], "because" if explain else None)


class HandFrames:
    """Frames in a mapping of ids to lists of bytes; *reads* counts the videos that were read."""

    def __init__(self, frames):
        self.frames, self.reads = frames, 0

    def signatures(self, video_ids):
        return {one: repr(self.frames[one]) for one in video_ids if one in self.frames}

    def iter_frames(self, video_ids: Iterable[str]):
        for one in sorted(video_ids):
            if one in self.frames:
                self.reads += 1
                yield VideoFrames(one, tuple(self.frames[one]), tuple(float(i) for i in range(len(self.frames[one]))))


def products_frame(n_products):
    ids = [f"p{row}" for row in range(n_products)]
    return pl.DataFrame(
        {C.PRODUCT_ID: ids, C.TITLE: [f"Product {one}" for one in ids], C.IMAGE_URIS: [[f"{one}.jpg"] for one in ids]}
    )


def videos_frame(n_videos):
    ids = [f"v{row}" for row in range(n_videos)]
    return pl.DataFrame({C.VIDEO_ID: ids, C.TITLE: [f"Video {one}" for one in ids]})


def write_photos(folder, n_products):
    folder.mkdir(parents=True, exist_ok=True)
    for row in range(n_products):
        (folder / f"p{row}.jpg").write_bytes(f"photo {row}".encode())


def events_frame(rows):
    """Events of (user, product, kind, hours before noon)."""
    told = [(user, product, kind, NOON - timedelta(hours=hours)) for user, product, kind, hours in rows]
    schema = {**dict.fromkeys((C.USER_ID, C.PRODUCT_ID, C.EVENT), pl.String), C.OCCURRED_AT: TIME}
    return pl.DataFrame(told, schema=schema, orient="row")


def lists_frame(lists, at=NOON, snapshot="000001"):
    """Recommendations of (system, user, videos)."""
    rows = [
        (system, user, video, rank, 1.0 / rank, at, snapshot)
        for system, user, videos in lists
        for rank, video in enumerate(videos, start=1)
    ]
    names = [C.SYSTEM, C.USER_ID, C.VIDEO_ID, C.RANK, C.SCORE, C.RECOMMENDED_AT, C.SNAPSHOT]
    return pl.DataFrame(rows, schema=names, orient="row", schema_overrides={C.RECOMMENDED_AT: TIME})


def make_shop(folder, n_users, n_videos=40, n_products=30, k=10, systems=("a", "b")):
    """(lists, events, products, videos, frames) of users who looked at 12 products each; photos stand in *folder*."""
    write_photos(folder, n_products)
    events = [
        (f"u{user}", f"p{(user * 7 + i * 3) % n_products}", "view", i + 1.0)
        for user in range(n_users)
        for i in range(12)
    ]
    lists = [
        (system, f"u{user}", [f"v{(user + shift * max(5, k) + i) % n_videos}" for i in range(k)])
        for shift, system in enumerate(systems)
        for user in range(n_users)
    ]
    frames = HandFrames({f"v{row}": [f"frame {row} {i}".encode() for i in range(8)] for row in range(n_videos)})
    return lists_frame(lists), events_frame(events), products_frame(n_products), videos_frame(n_videos), frames


def make_job(shop, folder, judge, *, k=10, n_users=None, seed=0, frames_per_video=8, **options):
    """A job on what `make_shop` returned."""
    lists, events, products, videos, frames = shop
    source = Source(products, videos, Photos(folder), frames, frames_per_video)
    return Job(select_lists(lists, events, k, n_users, seed), source, judge, load_rubric(), **options)
