"""The page of an experiment, its files, and the forest plot beside the paper's four uplifts."""

import json
import re

import numpy as np
import polars as pl
import pytest

from labelcraft.experiments.analysis import Options
from labelcraft.experiments.counts import LeftOut
from labelcraft.experiments.metrics import METRICS, parse_guards
from labelcraft.experiments.page import value_words
from labelcraft.experiments.report import FOREST, NUMBERS, PAGE, TABLE, report_of, write_report
from labelcraft.report.forest import NARROW, Line, Tone, forest_png, forest_svg, reach_of
from tests.labelcraft.experiments.made import make_counts, spread

# Section 4.6 of the paper: uplifts of VCG Multimodal in an online experiment, with their intervals.
PAPER = [
    Line("Videos watched to a quarter", 0.41, 0.21, 0.61, "+41 %", "+21 % to +61 %", Tone.GOOD),
    Line("Videos watched to the half", 0.50, 0.22, 0.78, "+50 %", "+22 % to +78 %", Tone.GOOD),
    Line("Starts that reach a quarter", 0.30, 0.17, 0.44, "+30 %", "+17 % to +44 %", Tone.GOOD),
    Line("Starts that reach the half", 0.39, 0.17, 0.61, "+39 %", "+17 % to +61 %", Tone.GOOD),
]


@pytest.fixture(name="made", scope="module")
def _made():
    """An experiment with all that there may be."""
    left_out = (LeftOut("shown after the end", 7, {"A": 3, "": 4}),)
    return report_of(
        make_counts(
            {"A": spread(4), "<b>": spread(5)}, before={"A": spread(3), "<b>": spread(3)}, left_out=left_out,
            unlengthed={"A": 2, "<b>": 0}, liked=np.zeros(400),
        ),
        parse_guards("feeds,skips,likes", ["liked"]),
        Options(winsorise=0.99, n_resamples=200),
    )  # fmt: skip


@pytest.fixture(name="folder", scope="module")
def _folder(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment")
    write_report(made, folder)
    return folder


def text_of(html):
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


def test_the_verdict_is_the_first_that_is_read(folder):
    body = text_of((folder / PAGE).read_text().partition("<body>")[2]).strip()

    assert body.startswith("&lt;b&gt; watched 25.0 % more videos to the half than A (95 % interval ")


def test_the_page_needs_nothing_outside_itself_and_names_are_no_markup(folder):
    page = (folder / PAGE).read_text()

    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert [link for link in links if not link.startswith(("#", "data:"))] == []
    assert "<script" not in page
    assert "<b> watched" not in page


def test_everything_has_its_section(folder):
    headings = re.findall("<h2>(.*?)</h2>", (folder / PAGE).read_text())

    assert headings == [
        "The result", "&lt;b&gt; against A", "Can the buckets be compared?", "What was counted", "How to read this",
    ]  # fmt: skip


def test_checks_and_what_was_left_out_are_named(folder):
    text = text_of((folder / PAGE).read_text())

    assert "Users: 200 in &lt;b&gt; and 200 in A; 200 and 200 expected. χ² = 0.00, p = 1." in text
    assert "No user is in several buckets." in text
    assert "&lt;b&gt; over A before the experiment: 0" in text
    assert "Starts of videos of unknown length, not counted in shares watched: 2 in A." in text
    assert "shown after the end 7 no bucket 4, A 3" in text.replace("A 3, no bucket 4", "no bucket 4, A 3")
    assert "Watch time of a user is capped at 6 s." in text


def test_the_numbers_are_those_of_the_page(made, folder):
    told = json.loads((folder / NUMBERS).read_text())

    assert told == json.loads(json.dumps(made.numbers))
    assert told["verdict"]["line"].startswith("<b> watched 25.0 % more")
    assert told["users"] == {"<b>": 200, "A": 200}
    likes = next(row for row in told["rows"] if row["metric"] == "likes")
    assert (likes["uplift"], likes["guard"]) == (None, "open")


def test_the_table_has_a_line_a_metric(folder):
    table = pl.read_csv(folder / TABLE)

    assert table["metric"].to_list() == [*METRICS, "feeds", "skips", "likes"]
    assert table.filter(metric="watched_50")["uplift"].item() == pytest.approx(0.25)


def test_each_treatment_has_its_picture(tmp_path):
    counts = make_counts({"A": spread(4), "B": spread(5), "C": spread(5)})

    write_report(report_of(counts, (), Options(n_resamples=0)), tmp_path)

    assert sorted(file.name for file in tmp_path.glob("*.png")) == ["forest-1.png", "forest-2.png"]
    assert "bootstrap" not in (tmp_path / PAGE).read_text()


def test_one_treatment_has_one_picture(folder):
    assert (folder / FOREST).read_bytes().startswith(b"\x89PNG")


def test_the_papers_uplifts_stand_on_one_axis_in_per_cent():
    svg = forest_svg(PAPER, "uplift over the control")

    texts = re.findall(">([^<>]+)</text>", svg)
    assert [text for text in texts if text.startswith(("Videos", "Starts"))] == [line.name for line in PAPER]
    assert {"+41 %", "+22 % to +78 %", "uplift over the control", "95 % interval", "0", "+60 %"} <= set(texts)


def test_the_axis_holds_zero_and_every_interval_that_spans_it():
    low, high = reach_of(PAPER)

    assert low < 0
    assert high > 0.78


def test_a_wide_guard_leaves_the_others_half_of_the_axis():
    wide = Line("Comments", 0.1, -3.0, 3.2, "+10 %", "−300 % to +320 %", Tone.OPEN, spanning=False)

    low, high = reach_of([*PAPER, wide])

    assert high - low < 2.4 * 0.78
    assert forest_svg([*PAPER, wide], "uplift").count("−300 % to +320 %") == 1


def test_what_is_unknown_has_its_name_and_no_interval():
    nan = float("nan")

    svg = forest_svg([Line("Likes", nan, nan, nan, "–", "nothing to compare", Tone.OPEN)], "uplift")

    assert "nothing to compare" in svg


def test_a_phone_gets_the_same_lines():
    svg = forest_svg(PAPER, "uplift", layout=NARROW)

    assert all(line.name in svg and line.interval in svg for line in PAPER)
    assert forest_png(PAPER, "uplift", layout=NARROW).startswith(b"\x89PNG")


@pytest.mark.parametrize(("value", "words"), [(0.4219, "42.2"), (0.0, "0"), (12.0, "1,200"), (float("nan"), "–")])
def test_values_have_three_digits(value, words):
    assert value_words(METRICS["rate_25"], value) == words
