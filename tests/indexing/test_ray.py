"""The embed job on a Ray cluster: two nodes as processes of their own on this machine."""

from itertools import count
from pathlib import Path

import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_videos
from indexing.engine import RayEngine
from indexing.store import open_store
from retrieval.encoder import open_encoder
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C
from tests import shop

N_CLIPS = 12
ONE = EmbedOptions(frames=2, workers=1, shard_size=1)
NODE = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}

pytest.importorskip("ray", reason="needs the extra ray")


@pytest.fixture(name="table", scope="module")
def _table(tmp_path_factory):
    folder = shop.write_shop(tmp_path_factory.mktemp("shop") / "shop")
    copies = pl.concat([shop.videos_frame()] * (N_CLIPS // 4)).with_row_index("copy")
    named = copies.with_columns(pl.format("v-{}", "copy").alias(C.VIDEO_ID)).drop("copy")
    named.write_parquet(folder / "many.parquet")
    return folder / "many.parquet"


@pytest.fixture(name="cluster")
def _cluster():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    yield cluster
    cluster.shutdown()


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::FutureWarning", "ignore::DeprecationWarning"
)  # Ray's own
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_job_outlives_a_node_and_its_store_is_that_of_this_machine_alone(cluster, table, tmp_path, monkeypatch):
    monkeypatch.chdir(table.parent.parent)  # paths may be relative to where the job is started
    second, encoder, calls = (
        cluster.add_node(num_cpus=1, object_store_memory=80_000_000),
        open_encoder("sample"),
        count(),
    )

    def kill_half_way(done, total):
        if done == N_CLIPS // 2 and next(calls) == 0:
            cluster.remove_node(second, allow_graceful=False)

    relative = Path("shop/many.parquet")
    embed_videos(relative, tmp_path / "local", encoder, ONE)
    engine = RayEngine(cluster.address)

    summary = embed_videos(relative, Path("ray"), encoder, ONE, engine=engine, progress=kill_half_way)

    local, ray = open_store(tmp_path / "local", "videos"), open_store(Path("ray"), "videos")
    assert (next(calls), summary.n_items) == (1, N_CLIPS)
    files = [[shard.files for shard in store.manifest.shards] for store in (ray, local)]
    assert files[0] == files[1]  # bit by bit: the same machine


def test_a_cluster_that_is_not_there_is_told_in_words(table, tmp_path):
    engine = RayEngine("127.0.0.1:1")

    with pytest.raises(UserFacingError, match=r"There is no Ray cluster at 127\.0\.0\.1:1"):
        embed_videos(table, tmp_path / "ray", open_encoder("sample"), ONE, engine=engine)
