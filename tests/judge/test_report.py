"""The report: its first line says what is wrong, it needs nothing beside it, and its numbers are the scores."""

import json
import re
from functools import cache

import polars as pl
import pytest
from PIL import Image

from judge.judgments import load_judged
from judge.reliability import Judged, measure
from judge.report.build import FIGURE, GRADES, NUMBERS, asked_for_sheets, make_report, write_report
from judge.report.health import Level, judge_health
from judge.report.pictures import TaskPictures
from judge.rubric import load_rubric
from judge.scores import Health
from judge.store import Asker
from judge.task import ShownVideo, Task
from judge.trials import Plan, make_trials, run_trial, table_of
from tests.judged import save_judged
from tests.scripted_judges import PICTURES, AlwaysExcellent, ColourJudge, colour_metadata, colour_tasks, product

LISTS = tuple(
    one
    for n, (old, new) in enumerate([([1, 2, 2], [5, 4, 4]), ([2, 2, 3], [4, 4, 5]), ([4, 4, 4], [3, 2, 3])])
    for one in (("recency", f"u{n}", old), ("multimodal", f"u{n}", new))
)
SOUND = Health(asked=100, scored=100, unscored=0, not_judged=0, low_mass=0, reasons=())
RUBRIC = Asker("scripted", "f1", load_rubric()).rubric_name


@cache
def reliability_of(kind, fingerprint="f1"):
    trials = make_trials(colour_tasks(), colour_metadata(), Plan())
    answers = table_of([row for trial in trials for row in run_trial(kind(), load_rubric(), trial)])
    return measure(answers, Judged("scripted", fingerprint, RUBRIC, 0))


@pytest.fixture
def judged(tmp_path):
    save_judged(tmp_path / "judgments", *LISTS)
    return load_judged(tmp_path / "judgments")


def pictures():
    video = ShownVideo("multimodal-v1", "<b>red</b> film", (PICTURES[1],) * 2, (0.0, 1.0))
    return TaskPictures([Task(f"u{n}", (product(n), product(5)), (video,)) for n in range(3)])


def first_line(page):
    return re.sub("<[^>]*>", "", re.search(r'<div class="health.*?</div>', page.read_text(), re.DOTALL)[0]).strip()


def test_a_failed_canary_is_in_the_first_line(judged, tmp_path):
    report = make_report(judged, reliability_of(AlwaysExcellent))

    page = write_report(report, judged, tmp_path)

    assert report.soundness.level is Level.UNSOUND
    assert first_line(page).startswith(
        "Do not decide on these grades yet: the judge failed 2 of 4 canaries (opposite taste, blank frames)."
    )
    body = page.read_text().partition("<main>")[2]
    assert body.index("Do not decide") < body.index("<h1>")


def test_a_judge_who_passed_is_said_to(judged, tmp_path):
    page = write_report(make_report(judged, reliability_of(ColourJudge)), judged, tmp_path)

    assert first_line(page).startswith("The judge passed its tests. 4 of 4 canaries passed.")


def test_an_untested_judge_is_not_called_sound(judged):
    assert make_report(judged, None).soundness.level is Level.UNKNOWN


def test_the_reliability_of_another_judge_says_nothing_of_this_one(judged):
    report = make_report(judged, reliability_of(ColourJudge, "another"))

    assert report.reliability is None


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (Health(100, 80, 20, 0, 0, (("no_verdict", 20),)), "20.0 % of the videos are unscored"),
        (Health(100, 100, 0, 0, 10, ()), "10.0 % of the grades have a label mass under 0.5"),
        (Health(100, 90, 0, 10, 0, ()), "10 of 100 videos are not judged"),
        (Health(100, 0, 0, 100, 0, ()), "no video has a grade"),
    ],
)
def test_unsound_judgments_are_named(health, words):
    found = judge_health(health, reliability_of(ColourJudge))

    assert found.level is Level.UNSOUND
    assert words in found.line


def test_the_page_needs_nothing_beside_it(judged, tmp_path):
    text = write_report(make_report(judged, None), judged, tmp_path, pictures()).read_text()

    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s)>]+)""", text)
    assert [link for link in links if not link.startswith(("data:", "#"))] == []
    assert "<script" not in text
    assert text.count("data:image/jpeg;base64,") == 3  # two users in favour of one system, one of the other


def test_names_are_escaped(tmp_path):
    save_judged(tmp_path / "j", ("<script>alert(1)</script>", "<i>ann</i>", [4]), ("recency", "<i>ann</i>", [1]))
    judged = load_judged(tmp_path / "j")

    text = write_report(make_report(judged, None), judged, tmp_path, pictures()).read_text()

    assert "<script>alert" not in text
    assert "<i>ann" not in text


def test_the_numbers_are_those_of_the_scores(judged, tmp_path):
    write_report(make_report(judged, None), judged, tmp_path)

    numbers = json.loads((tmp_path / NUMBERS).read_text(), parse_constant=pytest.fail)
    main = numbers["main"]
    # multimodal: 13/3, 13/3, 8/3; recency: 5/3, 7/3, 4: differences 8/3, 2, −4/3, mean 10/9.
    assert (main["system"], main["against"], main["k"]) == ("multimodal", "recency", 10)
    assert main["absolute"]["mean"] == pytest.approx(10 / 9)
    assert main["relative"]["value"] == pytest.approx((34 / 3) / 8 - 1)
    assert "multimodal over recency" in (tmp_path / "report.html").read_text()


def test_figure_and_grades_are_written(judged, tmp_path):
    write_report(make_report(judged, None), judged, tmp_path)

    with Image.open(tmp_path / FIGURE) as figure:
        assert figure.width > 1200
    assert pl.read_parquet(tmp_path / GRADES).height == 18


def test_the_same_judgments_make_the_same_page(judged, tmp_path):
    first, again = (
        write_report(make_report(judged, None), judged, tmp_path / name, pictures()).read_bytes() for name in "ab"
    )

    assert first == again


def test_one_system_alone_has_no_comparison(tmp_path):
    save_judged(tmp_path / "j", ("recency", "ann", [1, None]))
    judged = load_judged(tmp_path / "j")
    report = make_report(judged, None)

    text = write_report(report, judged, tmp_path, pictures()).read_text()

    assert report.main is None
    assert "The differences" not in text
    assert asked_for_sheets(report, judged).is_empty()


def test_nothing_graded_is_a_page_and_no_crash(tmp_path):
    save_judged(tmp_path / "j", ("recency", "ann", [None]), ("multimodal", "ann", [None]))
    judged = load_judged(tmp_path / "j")

    page = write_report(make_report(judged, None), judged, tmp_path, pictures())

    assert "no video has a grade" in first_line(page)


def test_sheets_need_the_pictures_of_few_users_only(judged):
    rows = asked_for_sheets(make_report(judged, None), judged)

    assert rows["user_id"].unique().sort().to_list() == ["u0", "u1", "u2"]
