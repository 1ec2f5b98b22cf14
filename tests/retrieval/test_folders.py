"""A folder is whole or absent, whatever happens while it is built."""

import json

import pytest

from retrieval.errors import UserFacingError
from retrieval.folders import building, writing


def write_and_fail(path):
    path.write_text("half")
    raise RuntimeError


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), building(tmp_path / "store") as folder:
        write_and_fail(folder / "half")

    assert list(tmp_path.iterdir()) == []


def artefact(folder, kind="videos"):
    """A folder with a manifest of its kind, and a file."""
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps({"kind": kind}))
    (folder / "old").write_text("old")
    return folder


def test_a_failure_leaves_what_was_there_before(tmp_path):
    store = artefact(tmp_path / "store")

    with pytest.raises(RuntimeError), building(store, replaces="videos"):
        raise RuntimeError

    assert (store / "old").read_text() == "old"


def test_an_existing_folder_is_refused_unless_its_kind_may_be_replaced(tmp_path):
    store = artefact(tmp_path / "store")

    with pytest.raises(UserFacingError, match="exists already"), building(store):
        pass
    with building(store, replaces="videos") as folder:
        (folder / "new").write_text("new")

    assert [file.name for file in store.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("kind", ["products", None])
def test_what_is_not_ours_or_of_another_kind_is_never_replaced(tmp_path, kind):
    folder = artefact(tmp_path / "shop", kind or "")
    if kind is None:
        (folder / "manifest.json").unlink()

    with pytest.raises(UserFacingError, match="something else than videos"), building(folder, replaces="videos"):
        pass

    assert (folder / "old").read_text() == "old"


def test_of_two_jobs_into_one_folder_the_second_does_not_replace_the_first(tmp_path):
    with pytest.raises(UserFacingError, match="exists already"), building(tmp_path / "store"):
        artefact(tmp_path / "store")  # the other job is done first

    assert [file.name for file in tmp_path.iterdir()] == ["store"]
    assert (tmp_path / "store/old").exists()


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    target = tmp_path / "table"
    target.write_text("old")

    with pytest.raises(RuntimeError), writing(target) as draft:
        write_and_fail(draft)

    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table"]
