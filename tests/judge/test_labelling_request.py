"""What `lookreel judge label` asks about: the lists, histories and frames that the judge would see."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from judge.cli import make_app
from judge.labelling.request import LabelRequest, gather
from judge.rubric import load_rubric
from retrieval.errors import UserFacingError
from tests.judge.scripted import HandFrames
from tests.serving.site import build_site

VIDEOS = [f"v{number}" for number in range(4)]
FRAMES = HandFrames({video: [b"one", b"two", b"three"] for video in VIDEOS[1:]})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A site of four videos, whose only shopper, ann, looked at p0."""
    return build_site(tmp_path_factory.mktemp("site"), videos=VIDEOS, products=["p0", "p1"])


def request_of(shop: Path, **options):
    places = {"snapshot": shop / "snapshot", "tables": shop / "shop", "frames": "unused", "out": shop / "human.parquet"}
    return LabelRequest(**{"systems": ("recency", "random"), "k": 4, **places, **options})


def test_a_video_of_two_systems_is_one_question_that_knows_both(shop):
    asked = gather(request_of(shop), load_rubric(), lambda place: FRAMES)

    (task,) = asked.tasks
    assert (task.user_id, [product.product_id for product in task.history]) == ("ann", ["p0"])
    assert sorted(video.video_id for video in task.videos) == VIDEOS
    assert {key: sorted(systems) for key, systems in asked.systems.items()} == {
        ("ann", video): ["random", "recency"] for video in VIDEOS
    }


def test_a_person_sees_as_many_frames_as_the_judge_and_none_where_none_are_stored(shop):
    asked = gather(request_of(shop, frames_per_video=2), load_rubric(), lambda place: FRAMES)

    frames = {video.video_id: video.frames for video in asked.tasks[0].videos}
    assert frames == {"v0": (), **dict.fromkeys(VIDEOS[1:], (b"one", b"three"))}


def test_the_command_needs_lists(tmp_path):
    result = CliRunner().invoke(make_app(lambda place: FRAMES), ["label", "--out", str(tmp_path / "human.parquet")])

    assert isinstance(result.exception, UserFacingError)
    assert result.exception.cure == "Add --recommendations FILE or --system NAME."
    assert list(tmp_path.iterdir()) == []
