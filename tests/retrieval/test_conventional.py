"""The vectors of a training: their files, what is refused, and the space that they make for a snapshot's videos."""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from retrieval.conventional import GivenSpace, load_user_vectors, open_vectors, save_vectors
from retrieval.errors import ModelError, TableError
from tests.given import given_vector, run_of, write_run


@pytest.fixture(name="run")
def _run(tmp_path):
    return write_run(tmp_path / "run", ["v1", "v2", "v3"], ["ann", "bob"])


def test_what_was_saved_is_opened_again_to_the_last_bit(run):
    saved, opened = run_of(["v1", "v2", "v3"], ["ann", "bob"]), open_vectors(run)

    assert (opened.video_ids, opened.user_ids) == (saved.video_ids, saved.user_ids)
    assert (opened.trained_before_us, opened.about) == (saved.trained_before_us, saved.about)
    for name in ("videos", "users", "default"):
        np.testing.assert_array_equal(getattr(opened, name), getattr(saved, name))


def test_another_training_has_another_fingerprint(run, tmp_path):
    other = write_run(tmp_path / "other", ["v1", "v2", "v3"], ["ann", "bob"], salt="x")

    assert open_vectors(run).fingerprint != open_vectors(other).fingerprint


def test_a_folder_without_vectors_is_refused_with_the_cure(tmp_path):
    with pytest.raises(ModelError, match="holds no vectors of a training") as refused:
        open_vectors(tmp_path)

    assert "lookreel train conventional" in refused.value.cure


@pytest.mark.parametrize("name", ["video_vectors.parquet", "user_vectors.parquet"])
def test_a_file_that_was_changed_since_is_refused(run, name):
    (run / name).write_bytes((run / name).read_bytes()[:-1] + b"?")

    with pytest.raises(ModelError, match=f"{name} differs"):
        open_vectors(run)


@pytest.mark.parametrize(
    ("change", "said"), [({"format": 2}, "of format 2"), ({"kind": "label"}, "is label"), ({"default": [1.0]}, "1 dim")]
)
def test_vectors_of_another_format_or_shape_are_refused(run, change, said):
    about = json.loads((run / "vectors.json").read_text())
    (run / "vectors.json").write_text(json.dumps({**about, **change}))

    with pytest.raises(ModelError, match=said):
        open_vectors(run)


@pytest.mark.parametrize("number", [np.nan, np.inf, 70000.0])
def test_a_number_that_fp16_cannot_hold_is_never_saved(tmp_path, number):
    run = run_of(["v1"], ["ann"])

    with pytest.raises(ValueError, match="not finite or above 65504"):
        save_vectors(tmp_path, replace(run, videos=np.full((1, 4), number, np.float32)))


def test_an_id_that_stands_twice_is_never_saved(tmp_path):
    with pytest.raises(ValueError, match="an id of the users stands twice"):
        save_vectors(tmp_path, run_of(["v1"], ["ann", "ann"]))


def write_users(file, ids, vectors):
    pl.DataFrame({"user_id": ids, "vector": vectors}, strict=False).write_parquet(file)
    return file


def test_user_vectors_are_read_from_lists_and_from_arrays(tmp_path):
    lists = write_users(tmp_path / "a.parquet", ["ann", "bob"], [[1.0, 2.0], [3.0, 4.0]])
    arrays = write_users(
        tmp_path / "b.parquet", ["ann", "bob"], pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Float32, 2))
    )

    for file in (lists, arrays):
        ids, vectors = load_user_vectors(file)
        assert (ids, vectors.tolist()) == (["ann", "bob"], [[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("ids", "vectors", "said"),
    [
        (["ann", "bob"], [[1.0, 2.0], [3.0]], r"row 1 \(user_id bob\) has a vector of 1 numbers, row 0 one of 2"),
        (["ann", "bob"], [[1.0, 2.0], None], r"row 1 \(user_id bob\) has a vector of 0 numbers"),
        (["ann", "bob"], [[1.0, 2.0], [3.0, None]], r"row 1 \(user_id bob\) has a vector with a null"),
        (["ann", "bob"], [[1.0, 2.0], [3.0, np.inf]], r"row 1 \(user_id bob\) has a vector with a null or a number"),
        (["ann", "ann"], [[1.0, 2.0], [3.0, 4.0]], "row 0: user_id ann is null or stands twice"),
        (["ann", None], [[1.0, 2.0], [3.0, 4.0]], "row 1: user_id None is null or stands twice"),
        ([1, 2], [[1.0, 2.0], [3.0, 4.0]], "user_id is Int64"),
        (["ann", "bob"], [1.0, 2.0], "vector Float64"),
        (["ann"], pl.Series([[]], dtype=pl.List(pl.Float32)), r"row 0 \(user_id ann\) has a vector of 0 numbers"),
    ],
)
def test_user_vectors_that_cannot_be_used_are_refused_naming_the_row(tmp_path, ids, vectors, said):
    with pytest.raises(TableError, match=said):
        load_user_vectors(write_users(tmp_path / "users.parquet", ids, vectors))


def test_a_table_without_vectors_or_without_rows_is_refused(tmp_path):
    pl.DataFrame({"user_id": ["ann"]}).write_parquet(tmp_path / "none.parquet")
    empty = pl.DataFrame(schema={"user_id": pl.String, "vector": pl.List(pl.Float32)})
    empty.write_parquet(tmp_path / "empty.parquet")

    with pytest.raises(TableError, match="has no column vector"):
        load_user_vectors(tmp_path / "none.parquet")
    with pytest.raises(TableError, match="has no rows"):
        load_user_vectors(tmp_path / "empty.parquet")
    with pytest.raises(TableError, match="There is no table"):
        load_user_vectors(tmp_path / "absent.parquet")


def test_videos_stand_by_the_rows_of_the_snapshot_and_those_without_a_vector_are_told():
    space = GivenSpace.of(run_of(["v1", "v2"], ["ann"]), ["new", "v2", "v1"], "exact")

    assert space.has.tolist() == [False, True, True]
    np.testing.assert_array_equal(space.video_vectors, [np.zeros(4), given_vector("v2"), given_vector("v1")])


def test_a_user_whom_nobody_knows_or_who_is_forgotten_gets_the_default_vector():
    space = GivenSpace.of(run_of(["v1"], ["ann", "bob"]), ["v1"], "exact")

    users = space.of_users(["bob", "zed", "ann"], forgotten={"ann"})

    assert users.unknown.tolist() == [False, True, True]
    default = (given_vector("ann") + given_vector("bob")) / 2
    np.testing.assert_array_equal(users.vectors, [given_vector("bob"), default, default])
