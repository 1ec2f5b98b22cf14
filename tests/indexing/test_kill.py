"""SIGKILL to the job and to its workers at random instants: nothing is lost, nothing twice."""

import polars as pl

from indexing.embed import EmbedOptions, embed_videos
from indexing.store import S, open_store
from retrieval.encoder import open_encoder
from retrieval.tables import Columns as C
from tests import shop
from tests.indexing.kill import run_with_kills

N_CLIPS = 60


def test_a_job_that_is_killed_five_times_ends_with_the_store_of_an_undisturbed_one(tmp_path):
    folder = shop.write_shop(tmp_path / "shop")
    many = pl.concat([shop.videos_frame()] * (N_CLIPS // 4)).with_row_index("copy")
    many.with_columns(pl.format("v-{}", "copy").alias(C.VIDEO_ID)).drop("copy").write_parquet(folder / "videos.parquet")
    options = EmbedOptions(frames=4, workers=2, shard_size=5)
    embed_videos(folder / "videos.parquet", tmp_path / "calm", open_encoder("sample"), options)

    code = run_with_kills(
        folder / "videos.parquet", tmp_path / "store", n_kills=5, seed=20261124, longest_s=4.0, shard_size=5
    )

    calm, store = open_store(tmp_path / "calm", "videos"), open_store(tmp_path / "store", "videos")
    assert code == 0
    files = [[shard.files for shard in opened.manifest.shards] for opened in (store, calm)]
    assert files[0] == files[1]  # rows, order, hashes, vectors and pictures, bit by bit
    assert store.items[S.ITEM_ID].to_list() == [f"v-{n}" for n in range(N_CLIPS)]
    assert store.quarantine.is_empty()
    assert store.manifest.complete
    assert not list((tmp_path / "store").glob(".*.partial"))
    assert not list((tmp_path / "store").glob("shard-*"))
