"""Answers to trials are kept: a run that was killed asks only what is missing."""

import pytest

from judge.rubric import load_rubric
from judge.trial_store import TRIALS, run_trials
from judge.trials import Plan, make_trials
from retrieval.errors import UserFacingError
from tests.scripted_judges import ColourJudge, colour_metadata, colour_tasks


class StopsAfter(ColourJudge):
    """Is interrupted at its *n*th video."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def one(self, shown, wanted, rubric):
        if self.seen > self.n:
            raise KeyboardInterrupt
        return super().one(shown, wanted, rubric)


TRIALS_OF_ALL = make_trials(colour_tasks(), colour_metadata(), Plan())
N_VIDEOS = sum(len(trial.task.videos) for trial in TRIALS_OF_ALL)


def run(folder, judge):
    return run_trials(judge, load_rubric(), TRIALS_OF_ALL, folder, lambda done, total: None)


def test_a_second_run_asks_nothing_and_finds_the_same(tmp_path):
    judge = ColourJudge()
    first = run(tmp_path, ColourJudge())

    again = run(tmp_path, judge)

    assert judge.seen == 0
    assert again.equals(first)


def test_a_run_that_was_cut_goes_on_where_it_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, StopsAfter(30))
    judge = ColourJudge()

    answers = run(tmp_path, judge)

    assert answers.equals(run(tmp_path / "whole", ColourJudge()))
    # Of the 30 videos answered at most those of the trial in flight, two, are asked again.
    assert N_VIDEOS - 30 <= judge.seen <= N_VIDEOS - 28


def test_a_line_that_was_cut_is_asked_again(tmp_path):
    first = run(tmp_path, ColourJudge())
    text = (tmp_path / TRIALS).read_bytes()
    (tmp_path / TRIALS).write_bytes(text[:-5])
    judge = ColourJudge()

    again = run(tmp_path, judge)

    assert judge.seen == len(TRIALS_OF_ALL[-1].task.videos)
    assert again.equals(first)


def test_another_model_is_asked_anew(tmp_path):
    run(tmp_path, ColourJudge())
    other = ColourJudge()
    other.fingerprint = "colours-2"

    run(tmp_path, other)

    assert other.seen == N_VIDEOS


def test_a_damaged_file_is_refused_with_the_cure(tmp_path):
    (tmp_path / TRIALS).write_text("nonsense\n")

    with pytest.raises(UserFacingError, match="Remove it"):
        run(tmp_path, ColourJudge())
