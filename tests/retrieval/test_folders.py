"""A folder is whole or absent, whatever happens while it is built."""

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


def test_a_failure_leaves_what_was_there_before(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").write_text("old")

    with pytest.raises(RuntimeError), building(tmp_path / "store", overwrite=True):
        raise RuntimeError

    assert (tmp_path / "store" / "old").read_text() == "old"


def test_an_existing_folder_is_refused_unless_it_may_be_replaced(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "old").write_text("old")

    with pytest.raises(UserFacingError, match="exists already"), building(tmp_path / "store"):
        pass
    with building(tmp_path / "store", overwrite=True) as folder:
        (folder / "new").write_text("new")

    assert [file.name for file in (tmp_path / "store").iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["store"]


def test_a_file_is_replaced_only_when_it_is_whole(tmp_path):
    target = tmp_path / "table"
    target.write_text("old")

    with pytest.raises(RuntimeError), writing(target) as draft:
        write_and_fail(draft)

    assert target.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table"]
