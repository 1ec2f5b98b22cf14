"""`lookreel experiment report` as a person meets it."""

import json

import pytest

from tests.commands import caller
from tests.labelcraft.experiments.small_experiments import Slot, many, write

QUICK = ("--resamples", "20")


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    users = [
        (f"{bucket}{i}", bucket, 1 + i % 3 + 2 * (bucket == "treatment"))
        for bucket in ("control", "treatment")
        for i in range(12)
    ]
    earlier = [Slot(name, None, day=0.5, experiment=None) for name, _, _ in users[::2]]
    write(tmp_path / "shop", [*earlier, *(slot for name, bucket, n in users for slot in many(Slot(name, bucket), n))])
    return caller(monkeypatch, capsys)


def report(lookreel, *options):
    return lookreel("experiment", "report", "--impressions", "shop/impressions.parquet", *QUICK, *options)


def test_it_prints_its_table_its_verdict_and_what_comes_next(lookreel):
    code, out, error = report(lookreel)

    lines = out.splitlines()
    assert code == 0, error
    assert lines[0].split()[:3] == ["bucket", "metric", "control"]
    assert lines[-3].startswith("treatment watched 100 % more videos to the half than control (95 % interval ")
    assert lines[-2] == "Wrote experiment/report.html and experiment/report.json."
    # Earlier rows are there and were not used.
    assert lines[-1] == (
        "Next: lookreel experiment report --impressions shop/impressions.parquet --start 2025-03-02T00:00:00"
    )


def test_a_start_makes_the_earlier_rows_the_time_before(lookreel):
    code, out, error = report(lookreel, "--start", "2025-03-02", "--out", "out", "--json")

    told = json.loads(out)
    assert code == 0, error
    assert told["users_before"] == 12
    assert all(row["is_adjusted"] for row in told["rows"] if row["metric"] == "watched_50")


def test_shares_are_those_of_lookreel_toml_where_it_is_this_experiment(lookreel, tmp_path):
    systems = 'systems = { control = "recency", treatment = "random" }\nshares = { control = 0.75, treatment = 0.25 }'
    (tmp_path / "lookreel.toml").write_text(f'[experiment]\nname = "spring"\nsalt = "s"\n{systems}\n')

    told = json.loads(report(lookreel, "--json")[1])
    given = json.loads(report(lookreel, "--json", "--shares", "control=1,treatment=1")[1])

    assert told["assignment"]["ratio"]["expected"] == [18, 6]
    assert given["assignment"]["ratio"]["expected"] == [12, 12]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--primary", "clicks"), "--primary is 'clicks', which is no metric."),
        (("--guards", "sales"), "--guards has sales, but the impressions have no column sales."),
        (("--control", "A"), "There is no bucket A."),
        (("--experiment", "summer"), "shop/impressions.parquet has no experiment summer."),
        (("--shares", "control"), "--shares is 'control'."),
        (("--winsorise", "5"), "--winsorise is 5."),
        (("--start", "tomorrow"), "'tomorrow' is not a time."),
        (("--impressions", "none.parquet"), "There is no table none.parquet."),
        (("--videos", "none.parquet"), "There is no table none.parquet."),
        (("--end", "2025-01-01"), "No row of the experiment spring is left to count."),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_with_its_cure(lookreel, options, words):
    code, _, error = report(lookreel, *options)

    assert code == 2
    assert error.splitlines()[0] == words
    assert len(error.strip().splitlines()) == 2
