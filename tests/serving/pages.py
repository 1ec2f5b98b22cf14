"""Served pages for tests: every field has a value, and what matters is given."""

from dataclasses import replace

from serving.exposure import ServedPage

PAGE = ServedPage(
    feed_id="f1",
    request_id="r1",
    user_id="u1",
    shown_us=1_000_000,
    system="multimodal",
    system_hash="ab12",
    snapshot="v1",
    bucket="treatment",
    experiment="spring",
    first_position=1,
    video_ids=("v1", "v2"),
    scores=(0.5, 0.25),
    selection_propensities=(1.0, 1.0),
)


def make_page(*video_ids: str, **fields) -> ServedPage:
    n = len(video_ids)
    given = {"video_ids": video_ids, "scores": (0.5,) * n, "selection_propensities": (1.0,) * n} if n else {}
    return replace(PAGE, **(given | fields))
