"""Fitted labels on disk."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from labelcraft.labels import files
from labelcraft.labels.files import open_label, read_manifest, save_label
from labelcraft.labels.registry import LABELS, make_label
from retrieval.errors import ModelError, UserFacingError
from tests.labelcraft.feedback_rows import drawn, feedback

TRAINING, LATER = drawn(3000, seed=0), drawn(200, seed=1)


@pytest.fixture(name="folder")
def _folder(tmp_path):
    save_label(make_label("D2Q").fit(TRAINING), tmp_path / "label", fitted_on={"log": "impressions.parquet"})
    return tmp_path / "label"


def rewrite(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize("name", list(LABELS))
def test_a_label_comes_back_to_the_last_bit(name, tmp_path):
    label = make_label(name).fit(TRAINING)

    save_label(label, tmp_path / name)
    opened = open_label(tmp_path / name)

    assert type(opened) is type(label)
    np.testing.assert_array_equal(opened.transform(LATER), label.transform(LATER))
    save_label(opened, tmp_path / "again")
    assert (tmp_path / "again" / "manifest.json").read_bytes() == (tmp_path / name / "manifest.json").read_bytes()


def test_the_manifest_says_what_the_label_is_and_what_it_was_fitted_on(folder):
    manifest = read_manifest(folder)

    assert (manifest["kind"], manifest["format"], manifest["name"], manifest["head"]) == ("label", 1, "D2Q", "mse")
    assert manifest["fields"] == {"n_groups": 30, "min_rows": 30, "n_rows": 3000}
    assert manifest["fitted_on"] == {"log": "impressions.parquet"}


def test_arrays_are_safetensors(folder):
    assert set(load_file(folder / "label.safetensors")) == {"low_s", "high_s", "offsets", "watch_s", "rank"}


def test_an_unfitted_label_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="DVR was not fitted"):
        save_label(make_label("DVR"), tmp_path / "label")

    assert list(tmp_path.iterdir()) == []


def test_a_label_is_replaced_only_when_asked(folder):
    other = make_label("WT").fit(TRAINING)

    with pytest.raises(UserFacingError, match="exists already"):
        save_label(other, folder)

    save_label(other, folder, overwrite=True)
    assert open_label(folder).name == "WT"


def test_nothing_but_a_label_is_ever_replaced(tmp_path):
    (tmp_path / "videos.parquet").write_text("precious")

    with pytest.raises(UserFacingError, match="something else than label"):
        save_label(make_label("WT").fit(TRAINING), tmp_path, overwrite=True)

    assert (tmp_path / "videos.parquet").read_text() == "precious"


def test_a_failure_while_writing_leaves_the_old_label(folder, monkeypatch):
    monkeypatch.setattr(files, "sha256_of", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        save_label(make_label("WT").fit(TRAINING), folder, overwrite=True)

    monkeypatch.undo()
    assert open_label(folder).name == "D2Q"
    assert [path.name for path in folder.parent.iterdir()] == ["label"]


def test_a_folder_without_a_label_is_said_to_be_none(tmp_path):
    with pytest.raises(ModelError, match=r"is not a label: it has no manifest\.json\.\nMake it again"):
        open_label(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "is label of format 2, not a label of format 1"),
        ({"kind": "snapshot"}, "is snapshot of format 1, not a label"),
        ({"name": "CREAD"}, "holds the label 'CREAD', which is not known here; known are WT"),
        ({"name": ["D2Q"]}, "which is not known here"),
        ({"head": "bce"}, "damaged: its head is 'bce', and that of D2Q is 'mse'"),
        ({"fields": {}}, "damaged: 'n_rows'"),
        ({"fields": None}, "damaged"),
        ({"fields": {"n_groups": 30, "min_rows": 30, "n_rows": "many"}}, "damaged: invalid literal"),
        ({"arrays": "0" * 64}, "damaged: label.safetensors differs from what its manifest says"),
        ({"name": "DVR"}, "damaged: 'mu_s'"),
    ],
)
def test_manifests_that_are_wrong_are_said_to_be(changes, said, folder):
    rewrite(folder, **changes)

    with pytest.raises(ModelError, match=said) as raised:
        open_label(folder)

    assert raised.value.cure == "Make it again: lookreel labels train --help"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"kind": "label"}'])
def test_manifests_that_are_no_manifests_are_damaged(text, folder):
    (folder / "manifest.json").write_text(text)

    with pytest.raises(ModelError, match=r"manifest\.json is damaged"):
        open_label(folder)


def test_arrays_cut_short_are_damaged(folder):
    content = (folder / "label.safetensors").read_bytes()
    (folder / "label.safetensors").write_bytes(content[:-9])

    with pytest.raises(ModelError, match="differs from what its manifest says"):
        open_label(folder)


def test_lost_arrays_are_damage(folder):
    (folder / "label.safetensors").unlink()

    with pytest.raises(ModelError, match="is damaged"):
        open_label(folder)


def test_arrays_that_do_not_belong_together_are_damage(tmp_path):
    label = make_label("DVR").fit(feedback([1.0, 2.0], [10.0, 10.0]))
    state = label.state()
    short = state._replace(arrays={**state.arrays, "mu_s": state.arrays["mu_s"][:1]})

    with pytest.raises(ValueError, match="not those of its groups"):
        type(label).from_state(short)
