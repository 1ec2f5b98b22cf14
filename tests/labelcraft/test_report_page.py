"""The page of a comparison: its verdict first, nothing outside itself, and the numbers of the files beside it."""

import json
import re

import polars as pl
import pytest

from labelcraft.report.about import load_about
from labelcraft.report.build import NUMBERS, PAGE, TABLE, write_report
from labelcraft.report.figures import Dot, Mark, dots_svg
from retrieval.errors import ConfigError
from retrieval.metrics.stats import Estimate
from tests.labelcraft.small_runs import about, random_runs, run

DURATIONS = (3.0, 8.0, 21.0)


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    """A comparison with all that there may be."""
    folder = tmp_path_factory.mktemp("report")
    means = {"WT": 0.5, "a<b": 0.4, "LabelCraft": 0.6, "LabelCraft w/o DO": 0.3, "LabelCraft τ=1": 0.55}
    runs = [one for name, mean in means.items() for one in random_runs(name, (0, 1), mean, durations=DURATIONS)]
    runs += random_runs("random", (0,), 0.2, epochs=0, durations=DURATIONS)
    write_report(runs, about(), folder)
    return folder


def text_of(html):
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


def test_the_verdict_is_the_first_that_is_read(folder):
    page = (folder / PAGE).read_text()

    body = text_of(page.partition("<body>")[2]).strip()

    assert body.startswith("LabelCraft is best on NWTG@10, DS@10 and NEG@10.")
    assert 'class="verdict good"' in page


def test_the_page_needs_nothing_outside_itself(folder):
    page = (folder / PAGE).read_text()

    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert re.findall(r"url\((?!#)", page) == []
    assert "<script" not in page


def test_names_are_text_on_the_page_and_never_markup(folder):
    page = (folder / PAGE).read_text()

    assert "a&lt;b" in page
    assert "a<b" not in page


def test_every_study_has_its_section(folder):
    headings = re.findall("<h2>(.*?)</h2>", (folder / PAGE).read_text())

    assert headings == [
        "The result",
        "LabelCraft minus each other label",
        "How long the recommended videos are",
        "What each part does",
        "What the temperature does",
        "How they were trained",
        "How to read this",
    ]


def test_axes_have_names_and_units(folder):
    page = (folder / PAGE).read_text()

    assert "standard deviation, s" in page
    assert "share of the most possible" in page
    assert "duration, s; mean 10.7" in page  # of 3, 8 and 21 seconds
    assert "temperature τ" in page


def test_what_is_not_there_has_no_section(tmp_path):
    write_report(random_runs("WT", (0,), 0.5), about(), tmp_path)

    headings = re.findall("<h2>(.*?)</h2>", (tmp_path / PAGE).read_text())
    assert headings == [
        "The result", "How long the recommended videos are", "How they were trained", "How to read this"
    ]  # fmt: skip


def test_users_without_gain_have_their_section_and_counts(tmp_path):
    write_report(
        [run("WT", 0, (0.5, 0.4), neg=(0.5, None)), run("EF", 0, (0.5, 0.4), neg=(0.7, None))], about(), tmp_path
    )

    text = text_of((tmp_path / PAGE).read_text())

    assert "Users who have nothing to gain" in text
    assert "1 left out of 2" in text
    assert "0.750" in text  # of 0.5 and 1


def test_a_metric_that_no_user_has_leaves_a_dash(tmp_path):
    runs = [run(name, 0, (0.5, 0.4), neg=(None, None)) for name in ("WT", "LabelCraft")]

    report = write_report(runs, about(), tmp_path)

    assert "–" in text_of((tmp_path / PAGE).read_text())
    assert report.numbers["table"]["rows"][0]["figures"]["neg"]["estimate"]["mean"] is None


def test_json_and_csv_say_what_the_page_says(folder):
    numbers = json.loads((folder / NUMBERS).read_text())
    lines = pl.read_csv(folder / TABLE)

    mean = numbers["table"]["rows"][0]["figures"]["ds"]["estimate"]["mean"]
    assert numbers["table"]["rows"][0]["name"] == "WT"
    assert lines.filter(pl.col("name") == "WT", pl.col("metric") == "ds")["mean"].item() == pytest.approx(mean)
    assert f"{mean:.2f} s" in text_of((folder / PAGE).read_text())
    assert numbers["ablations"][0]["as_expected"] is True


def test_the_same_runs_give_the_same_page(tmp_path, folder):
    runs = random_runs("WT", (0, 1), 0.5)

    write_report(runs, about(), tmp_path / "a")
    write_report(runs, about(), tmp_path / "b")

    assert (tmp_path / "a" / PAGE).read_bytes() == (tmp_path / "b" / PAGE).read_bytes()


def test_an_oracle_far_away_is_named_at_the_end_of_the_axis():
    dots = [Dot("WT", Estimate(0.3, 0.1, 0.29, 0.31, 9), False)]

    svg = dots_svg(dots, [Mark("random", 0.28), Mark("oracle", 1.0)], "NWTG@10", "share")

    assert "oracle 1 →" in svg
    assert "random 0.28" not in svg  # it is on the axis, so its line says it


def test_a_folder_that_is_no_comparison_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"is not a comparison: it has no comparison\.json"):
        load_about(tmp_path)


def test_a_damaged_comparison_is_refused(tmp_path):
    (tmp_path / "comparison.json").write_text('{"data": "impressions"}')

    with pytest.raises(ConfigError, match=r"comparison\.json is damaged"):
        load_about(tmp_path)
