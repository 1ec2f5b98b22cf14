"""What a job would cost, told from a sample."""

import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_videos
from indexing.estimate import FEWEST, estimate
from indexing.work import video_work
from retrieval.tables import Columns as C
from tests import shop
from tests.encoders import MeanColourEncoder

N_CLIPS = 80
TWO = EmbedOptions(frames=2, workers=1)


def many(folder):
    """A table of eighty rows over the four clips."""
    rows = pl.concat([shop.videos_frame()] * (N_CLIPS // 4)).with_row_index("copy")
    rows.with_columns(pl.format("v-{}", "copy").alias(C.VIDEO_ID)).drop("copy").write_parquet(folder / "videos.parquet")
    return folder / "videos.parquet"


def test_a_sample_is_embedded_elsewhere_and_scaled_to_what_is_pending(tmp_path):
    folder, encoder = shop.write_shop(tmp_path / "shop"), MeanColourEncoder()
    table = many(folder)

    told = estimate(video_work(table, encoder, TWO), tmp_path / "store", encoder, TWO)

    a_clip = sum((folder / f"clips/{colour}.mp4").stat().st_size for colour in shop.COLOURS) / 4
    assert (told.n_items, told.n_pending, told.n_sample) == (N_CLIPS, N_CLIPS, FEWEST)
    assert abs(told.read_bytes / N_CLIPS - a_clip) < 0.25 * a_clip  # every clip comes as often as the others
    assert told.hours * 3600 * told.items_per_s == pytest.approx(N_CLIPS)
    assert told.core_hours == told.hours * told.cores
    assert told.written_bytes > 0
    assert not (tmp_path / "store").exists()


def test_nothing_is_left_to_embed_after_the_job(tmp_path):
    folder, encoder = shop.write_shop(tmp_path / "shop"), MeanColourEncoder()
    embed_videos(folder / "videos.parquet", tmp_path / "store", encoder, TWO)

    told = estimate(video_work(folder / "videos.parquet", encoder, TWO), tmp_path / "store", encoder, TWO)

    assert (told.n_pending, told.hours, told.read_bytes) == (0, 0.0, 0.0)


def test_a_sample_ends_when_its_time_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr("indexing.estimate.MOST_SECONDS", 0.0)
    folder, encoder = shop.write_shop(tmp_path / "shop"), MeanColourEncoder()

    told = estimate(video_work(many(folder), encoder, TWO), tmp_path / "store", encoder, TWO)

    assert (told.n_sample, told.n_pending) == (1, N_CLIPS)
