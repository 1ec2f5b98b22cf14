"""`lookreel judge reliability` and `report`: which users are tried, and both commands from end to end."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from judge.cli import make_app
from judge.judgments import load_judged
from judge.reliability_file import load_reliability
from judge.reliability_job import ReliabilityRequest, agreement_with, drawn
from judge.rubric import load_rubric
from judge.run import run_job
from judge.shown import filmed, load_tasks
from judge.store import load_asked
from judge.trials import Plan, make_trials, run_trial, table_of
from retrieval.errors import UserFacingError
from tests.judge.scripted import HandFrames, ScriptedJudge, make_job, make_shop
from tests.judged import save_judged
from tests.scripted_judges import AlwaysExcellent, ColourJudge, colour_metadata, colour_tasks, video
from tests.serving.site import build_site

VIDEOS = [f"v{number}" for number in range(4)]
FRAMES = HandFrames({video: [b"one", b"two"] for video in VIDEOS})


def test_the_best_graded_system_is_tried_on_its_top_k(tmp_path):
    save_judged(tmp_path, ("a", "ann", [1, 1, 1]), ("b", "ann", [2, 2, 2]), ("b", "bob", [2, 2, 2]))

    rows = drawn(load_judged(tmp_path), ReliabilityRequest(judgments=tmp_path, k=2))

    assert rows["system"].unique().to_list() == ["b"]
    assert sorted(rows.select("user_id", "rank").rows()) == [("ann", 1), ("ann", 2), ("bob", 1), ("bob", 2)]


def test_the_seed_draws_the_users(tmp_path):
    save_judged(tmp_path, *(("a", f"u{n}", [3]) for n in range(20)))
    judged = load_judged(tmp_path)

    first, again, other = (
        drawn(judged, ReliabilityRequest(users=5, plan=Plan(seed=seed)))["user_id"].to_list() for seed in (1, 1, 2)
    )

    assert len(first) == 5
    assert first == again != other


def test_a_system_that_was_not_judged_is_refused_with_those_that_were(tmp_path):
    save_judged(tmp_path, ("a", "ann", [1]))

    with pytest.raises(UserFacingError, match="It has those of a"):
        drawn(load_judged(tmp_path), ReliabilityRequest(judgments=tmp_path, system="z"))


def test_the_tasks_are_those_that_the_judge_saw(tmp_path):
    shop, judge = make_shop(tmp_path / "shop", 3, k=4, systems=("a",)), ScriptedJudge()
    job = make_job(shop, tmp_path / "shop", judge)
    run_job(job, tmp_path / "out")

    tasks = load_tasks(load_asked(tmp_path / "out"), shop[1], job.source, job.asker, tmp_path / "out")

    assert sorted(tasks, key=lambda task: task.user_id) == sorted(judge.tasks, key=lambda task: task.user_id)


def test_videos_without_frames_are_not_tried(tmp_path):
    shop = make_shop(tmp_path / "shop", 1, k=4, systems=("a",))
    del shop[4].frames["v0"]
    job = make_job(shop, tmp_path / "shop", ScriptedJudge())
    run_job(job, tmp_path / "out")

    (task,) = filmed(load_tasks(load_asked(tmp_path / "out"), shop[1], job.source, job.asker, tmp_path / "out"))

    assert [video.video_id for video in task.videos] == ["v1", "v2", "v3"]


def test_another_judge_of_the_same_tasks_is_set_beside_it():
    # Each user gets a video of their own colour and one of the next: excellent and no match.
    tasks = [replace(task, videos=(*task.videos[:1], video((n + 1) % 6, "c"))) for n, task in enumerate(colour_tasks())]
    trials, rubric = make_trials(tasks, colour_metadata(), Plan()), load_rubric()
    answers = table_of([row for trial in trials for row in run_trial(ColourJudge(), rubric, trial)])

    same, blind = (agreement_with(other, tasks, rubric, answers) for other in (ColourJudge(), AlwaysExcellent()))

    assert (same.raters, same.kappa.value, same.alpha.value, same.kappa.n) == ("the judge colours", 1.0, 1.0, 12)
    assert blind.kappa.value == 0.0  # who says one thing of all agrees by chance only


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    """A site whose only shopper, ann, looked at p0, judged by metadata; v0 shows p0."""
    site = build_site(tmp_path_factory.mktemp("site"), videos=VIDEOS, products=["p0", "p1"])
    videos = pl.read_parquet(site / "shop" / "videos.parquet")
    shown = pl.Series("product_ids", [["p0"], ["p1"], ["p1"], ["p1"]])
    videos.with_columns(shown).write_parquet(site / "shop" / "videos.parquet")
    invoke(site, "run", "--system", "recency", "--system", "random", "--snapshot", f"{site}/snapshot", "--users", "0",
           "-k", "4", "--judge", "attributes", "--out", f"{site}/judgments")  # fmt: skip
    return site


def invoke(site: Path, command, *options):
    places = ["--tables", f"{site}/shop", "--frames", "unused"]
    found = CliRunner().invoke(make_app(lambda place: FRAMES), [command, *places, *options])
    assert found.exit_code == 0, (found.output, found.exception)
    return found.stdout


def test_reliability_writes_its_figures_and_says_what_is_next(site):
    told = invoke(site, "reliability", "--judgments", f"{site}/judgments")

    assert "own product: not measured" in told  # of one user no interval says anything
    assert told.rstrip().endswith(f"Next: lookreel judge report --judgments {site}/judgments")
    assert load_reliability(site / "judgments").judge == "attributes"
    assert (site / "judgments" / "adjusted.parquet").exists()


def test_the_report_is_written_beside_the_judgments(site):
    told = invoke(site, "report", "--judgments", f"{site}/judgments")

    assert f"Wrote {site}/judgments/report.html." in told
    assert pl.read_parquet(site / "judgments" / "grades.parquet").height == 8


def test_json_holds_the_same_numbers_as_the_file(site, tmp_path):
    told = invoke(site, "report", "--judgments", f"{site}/judgments", "--no-pictures", "--json", "--out", f"{tmp_path}")

    assert json.loads(told) == json.loads((tmp_path / "report.json").read_text())


def test_a_judge_that_changed_since_is_not_tried_in_its_place(site, tmp_path):
    save_judged(tmp_path, ("a", "ann", [3]), judge="attributes")
    options = ["--judgments", f"{tmp_path}", "--tables", f"{site}/shop", "--frames", "unused"]

    found = CliRunner().invoke(make_app(lambda place: FRAMES), ["reliability", *options])

    assert isinstance(found.exception, UserFacingError)
    assert "were judged by attributes (f1)" in str(found.exception)
