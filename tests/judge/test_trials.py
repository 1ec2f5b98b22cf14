"""What a judge is asked in its trials: orders that are fair, strangers who are strangers, canaries of known answer."""

from dataclasses import replace

import numpy as np
import polars as pl

from judge.canaries import (
    Metadata,
    blanked,
    copied,
    instructed,
    metadata_of,
    video_of_opposite_taste,
    video_of_own_product,
)
from judge.rubric import load_rubric
from judge.task import Task
from judge.trials import AS_IT_IS, Experiment, Plan, make_trials, rubric_turns, run_trial, table_of
from tests.scripted_judges import ColourJudge, colour_metadata, colour_tasks, pixels, product, video


def trials(experiment, tasks=None, metadata=None, plan=None):
    made = make_trials(tasks or colour_tasks(), metadata or colour_metadata(), plan or Plan())
    return [trial for trial in made if trial.experiment is experiment]


def test_over_all_turns_each_category_stands_once_in_every_place():
    turns = np.array([AS_IT_IS, *rubric_turns()])

    assert (np.sort(turns, axis=0) == np.arange(5)[:, None]).all()
    assert (np.sort(turns, axis=1) == np.arange(5)).all()


def test_an_order_of_the_history_holds_the_same_products():
    original = set(colour_tasks()[0].history)

    found = [trial.task.history for trial in trials(Experiment.HISTORY_ORDER) if trial.task.user_id == "u0"]

    assert [set(history) for history in found] == [original, original]
    assert found[0] == tuple(reversed(colour_tasks()[0].history))


def test_a_stranger_is_another_user_and_the_videos_stay():
    own = {task.user_id: task for task in colour_tasks()}

    found = trials(Experiment.STRANGER)

    assert len(found) == len(own)
    assert all(trial.task.history != own[trial.task.user_id].history for trial in found)
    assert all(trial.task.videos == own[trial.task.user_id].videos for trial in found)


def test_a_user_who_has_the_same_history_is_no_stranger():
    twin = replace(colour_tasks()[0], user_id="twin")

    assert trials(Experiment.STRANGER, tasks=[colour_tasks()[0], twin]) == []


def test_own_product_is_a_video_of_the_most_recent_product_that_has_one():
    history = (product(1, "x"), product(0, "b"), product(0, "a"))

    found = video_of_own_product(history, [video(0, "a"), video(0, "b")], colour_metadata(), 2)

    assert found == video(0, "b")


def test_own_product_without_a_video_is_its_photo_held_still():
    found = video_of_own_product((replace(product(0), photo=None), product(1)), [video(3)], None, 3)

    assert found.video_id == "photo:p1a"
    assert found.frames == (product(1).photo,) * 3
    assert len(found.times_s) == 3


def test_own_product_needs_a_video_or_a_photo():
    assert video_of_own_product((replace(product(0), photo=None),), [], None, 2) is None


def test_opposite_taste_shares_no_trait():
    pool = [video(0), video(1)]

    found = video_of_opposite_taste((product(0), product(0, "b")), pool, colour_metadata(), np.random.default_rng(0))

    assert (found.video, len(found.history)) == (video(1), 2)


def test_opposite_taste_of_a_broad_history_is_of_its_recent_part():
    history = (product(0), product(1))

    found = video_of_opposite_taste(history, [video(0), video(1)], colour_metadata(), np.random.default_rng(0))

    assert (found.video, found.history) == (video(1), (product(0),))


def test_nothing_is_opposite_to_a_product_that_the_catalogue_does_not_know():
    nothing_known = Metadata({}, {"v1a": ("p1a",)})

    assert video_of_opposite_taste((product(0),), [video(1)], nothing_known, np.random.default_rng(0)) is None


def test_blank_frames_keep_their_size_and_nothing_else():
    blank = blanked(video(0))

    assert pixels(blank.frames[0]).shape == pixels(video(0).frames[0]).shape
    assert np.ptp(pixels(blank.frames[0])) == 0
    assert (blank.title, blank.video_id) == ("New video", "blank:v0a")


def test_text_changes_the_middle_of_the_frames_and_not_their_borders():
    plain, written = pixels(copied(video(0)).frames[0]), pixels(instructed(video(0)).frames[0])

    assert (written > 230).all(axis=2).sum() > 50
    assert (plain[:32] == written[:32]).all()
    assert (plain[-32:] == written[-32:]).all()


def test_text_and_control_are_of_the_same_video_and_history():
    control, text = trials(Experiment.TEXT_CONTROL), trials(Experiment.TEXT)

    assert [one.task.history for one in control] == [one.task.history for one in text]
    assert [one.task.videos[0].video_id for one in control] == [one.task.videos[0].video_id for one in text]


def test_the_same_seed_makes_the_same_trials_and_each_has_a_key_of_its_own():
    first, again = (make_trials(colour_tasks(), colour_metadata(), Plan(seed=3)) for _ in range(2))
    keys = {trial.key("f1", load_rubric()) for trial in first}

    assert first == again
    assert len(keys) == len(first)


def test_users_without_products_or_videos_are_left_out():
    nobody = [Task("a", (), (video(0),)), Task("b", (product(0),), ())]

    assert make_trials(nobody, colour_metadata(), Plan()) == []


def test_one_product_has_no_other_order():
    assert trials(Experiment.HISTORY_ORDER, tasks=[Task("a", (product(0),), (video(0),))]) == []


def test_a_trial_is_put_with_its_order_and_answered_for_each_video():
    trial = trials(Experiment.RUBRIC_ORDER)[0]

    rows = table_of(run_trial(ColourJudge(), load_rubric(), trial))

    assert rows["expected"].to_list() == [5.0, 5.0]
    assert rows["video_id"].to_list() == ["v0a", "v0b"]


def test_metadata_comes_from_the_tables():
    products = pl.DataFrame({"product_id": ["p1", "p2"], "category": ["Dress", None], "color": ["Red", "blue"]})
    videos = pl.DataFrame({"video_id": ["v1", "v2"], "product_ids": [["p1", "p2"], ["p9"]]})

    found = metadata_of(products, videos)

    assert found.of_video("v1") == {("category", "dress"), ("color", "red"), ("color", "blue")}
    assert found.of_video("v2") == frozenset()
