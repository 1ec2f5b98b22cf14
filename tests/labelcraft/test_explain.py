"""Maps of labels: what stands in a cell is what the label gives to that watch time and duration."""

import json

import numpy as np
import pytest
from PIL import Image

from labelcraft.explain import (
    GRID,
    N_STEPS,
    NOTHING,
    PAGE,
    PICTURE,
    explain_folder,
    explain_label,
    fitted_on,
    reach_of,
)
from labelcraft.feedback import Feedback
from labelcraft.labels.completion import PlayCompletionRate
from labelcraft.labels.explicit import ExplicitFeedback
from labelcraft.labels.files import save_label
from labelcraft.labels.learned import LearnedLabel
from labelcraft.labels.watch_time import WatchRange, WatchTime
from retrieval.errors import ConfigError, ModelError
from tests.labelcraft.small_models import labeler

WT = WatchTime(WatchRange(20.0, 1.0, 5))  # 20 s and more is 1


def test_a_cell_is_the_label_of_its_watch_time_and_duration():
    made = explain_label(WT, (), 40.0, 10.0)

    none = made.panels[0]
    assert none.values.shape == (N_STEPS, N_STEPS)
    assert none.values[3] == pytest.approx(np.minimum(made.watch_s / 20.0, 1.0), abs=1e-6)
    assert (made.watch_s[0], made.watch_s[-1], made.duration_s[-1]) == (0.0, 40.0, 10.0)
    assert made.duration_s[0] == pytest.approx(10.0 / N_STEPS)  # 0 would say that it is not known


def test_the_share_of_rising_steps_is_counted():
    made = explain_label(WT, (), 40.0, 10.0)

    # The 96 steps of 40 s rise up to 20 s, the first half, and are level after.
    assert (made.rises, made.falls) == (0.5, 0.0)


def test_durations_go_up_the_rows():
    label = PlayCompletionRate().fit(Feedback(np.ones(3), np.full(3, 2.0), np.zeros((3, 0), np.bool_), ()))

    made = explain_label(label, (), 30.0, 30.0)

    none = made.panels[0].values
    assert none[0, 50] > none[-1, 50]


def test_each_kind_has_its_panel_and_its_lift():
    made = explain_label(ExplicitFeedback(), ("liked", "shared"), 30.0, 30.0)

    assert [(panel.name, panel.lift, panel.least, panel.most) for panel in made.panels] == [
        (NOTHING, 0.0, 0.0, 0.0),
        ("liked", 1.0, 1.0, 1.0),
        ("shared", 1.0, 1.0, 1.0),
    ]


def test_a_learned_label_is_shown_with_its_own_kinds(tmp_path):
    learned = LearnedLabel(labeler().eval(), ("liked", "shared"))
    save_label(learned, tmp_path / "label")

    made, page = explain_folder(tmp_path / "label", tmp_path / "out")

    assert [panel.name for panel in made.panels] == [NOTHING, "liked", "shared"]
    assert made.watch_s[-1] == 80.0  # twice where the scale of its inputs bends, 40 s
    cell = Feedback(made.watch_s[[7]], made.duration_s[[5]], np.array([[False, True]]), ("liked", "shared"))
    assert made.panels[2].values[5, 7] == pytest.approx(learned.transform(cell)[0], abs=1e-6)
    assert page == tmp_path / "out" / PAGE


def test_the_map_reaches_where_the_training_rows_do(tmp_path):
    rows = Feedback(np.arange(101.0), np.arange(101.0) * 2, np.zeros((101, 1), np.bool_), ("liked",))
    save_label(WT, tmp_path / "label", fitted_on=fitted_on(rows))

    made, _ = explain_folder(tmp_path / "label", tmp_path / "out")

    assert (made.watch_s[-1], made.duration_s[-1]) == (95.0, 190.0)
    assert [panel.name for panel in made.panels] == [NOTHING, "liked"]


def test_what_is_asked_for_comes_before_what_is_remembered():
    manifest = {"fitted_on": {"watch_s_p95": 95.0}, "fields": {}}

    assert reach_of(manifest, 30.0, "watch_s_p95", "watch") == 30.0
    assert reach_of(manifest, None, "watch_s_p95", "watch") == 95.0
    assert reach_of(manifest, None, "duration_s_p95", "duration") == 60.0


def test_page_picture_and_grid_stand_together(tmp_path):
    save_label(WT, tmp_path / "label")

    made, page = explain_folder(tmp_path / "label", tmp_path / "out", 40.0, 10.0)

    grid = json.loads((tmp_path / "out" / GRID).read_text())
    assert grid["panels"][0]["label"][0] == pytest.approx(made.panels[0].values[0], abs=1e-5)
    with Image.open(tmp_path / "out" / PICTURE) as picture:
        assert picture.width > 1000
    html = page.read_text()
    assert "What WT says" in html
    assert "duration of the video, s" in html
    assert "http://" not in html.replace("http://www.w3.org/", "")


def test_a_map_without_size_is_refused(tmp_path):
    save_label(WT, tmp_path / "label")

    with pytest.raises(ConfigError, match="no size"):
        explain_folder(tmp_path / "label", tmp_path / "out", 0.0, 10.0)


def test_a_folder_without_a_label_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is not a label"):
        explain_folder(tmp_path, tmp_path / "out")
