"""`lookreel labels …` as a person meets it: what it prints, what it makes, and what it refuses."""

import json
import subprocess
import sys

import pytest

from tests.commands import caller
from tests.data import LOOKREEL
from tests.labelcraft.watched_logs import write_shop

QUICK = ("--days", "3,1,1", "--backbone", "two_tower", "--epochs", "1", "--learning-rate", "0.01")


@pytest.fixture(name="shop", scope="module")
def _shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    write_shop(folder / "shop")
    return folder


@pytest.fixture(name="compared", scope="module")
def _compared(shop):
    """A comparison that the installed command made."""
    command = [LOOKREEL, "labels", "compare", "--path", "shop", "--labels", "WT,EF", "--seeds", "1", "--out", "out"]
    return subprocess.run([*command, *QUICK, "--processes", "1"], cwd=shop, capture_output=True, text=True, check=False)


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, shop):
    monkeypatch.chdir(shop)
    return caller(monkeypatch, capsys)


def in_one_sentence(error):
    """A message and its cure, no trace."""
    return len(error.strip().splitlines()) == 2 and "Traceback" not in error


def test_compare_prints_its_table_its_verdict_and_what_comes_next(compared):
    lines = compared.stdout.splitlines()

    assert compared.returncode == 0, compared.stderr
    assert lines[0].split()[:4] == ["label", "NWTG@10", "DS@10", "NEG@10"]
    assert [line.split()[0] for line in lines[1:4]] == ["WT", "EF", "random"]
    assert lines[-3].startswith("Of 2 labels, ")
    assert lines[-2:] == [
        "Wrote out/report.html.",
        "Next: lookreel labels explain out/runs/WT/0/label --out out/explained",
    ]
    assert "training: 2/2" in compared.stderr


def test_compare_goes_on_where_it_stopped(compared, lookreel):
    code, out, error = lookreel(
        "labels", "compare", "--path", "shop", "--labels", "EF,WT", "--seeds", "1", "--out", "out", *QUICK, "--json"
    )

    assert code == 0, error
    assert [row["name"] for row in json.loads(out)["table"]["rows"]][:2] == ["WT", "EF"]


def test_compare_refuses_the_folder_of_another_comparison(compared, lookreel):
    code, _, error = lookreel(
        "labels", "compare", "--path", "shop", "--labels", "WT", "--out", "out", "--days", "2,1,1"
    )

    assert code == 2
    assert in_one_sentence(error)
    assert "out holds a comparison of other data or options." in error


def test_report_is_written_again_against_another_label(compared, lookreel):
    code, out, _ = lookreel("labels", "report", "out", "--baseline", "EF", "--json")

    assert code == 0
    assert json.loads(out)["table"]["target"] == "EF"


def test_report_of_nothing_is_one_sentence(lookreel):
    code, _, error = lookreel("labels", "report", "nowhere")

    assert code == 2
    assert in_one_sentence(error)


def test_a_given_label_is_fitted_kept_and_explained(lookreel):
    code, out, _ = lookreel("labels", "train", "--path", "shop", "--label", "D2Q", "--out", "d2q", "--days", "3,1,1")
    explained = lookreel("labels", "explain", "d2q", "--out", "map")

    # Sixteen users with twelve rows a day: three days, and half of the users' fourth.
    assert (code, out.splitlines()) == (
        0,
        [f"D2Q from {16 * 12 * 3 + 8 * 12} rows of 16 users.", "Wrote d2q.", "Next: lookreel labels explain d2q"],
    )
    assert explained[0] == 0
    assert explained[1].splitlines()[-1] == "Wrote map/label.html."
    assert "liked: +0.000 on average" in explained[1]


def test_labelcraft_is_learned_and_kept(lookreel, shop):
    code, out, error = lookreel(
        "labels", "train", "--path", "shop", "--out", "learned", "--start", "none", *QUICK, "--json"
    )

    saved = json.loads(out)
    manifest = json.loads((shop / "learned" / "manifest.json").read_text())
    assert code == 0, error
    assert (saved["label"], saved["epochs"], saved["best_epoch"]) == ("LabelCraft", 1, 1)
    assert manifest["fitted_on"]["kinds"] == ["liked"]
    assert manifest["fitted_on"]["options"]["learning_rate"] == 0.01
    assert not (shop / "learned.training").exists()


def test_a_label_that_is_there_is_replaced_only_when_asked(lookreel):
    train = ("labels", "train", "--path", "shop", "--label", "WT", "--out", "wt", "--days", "3,1,1")

    first, second, third = lookreel(*train), lookreel(*train), lookreel(*train, "--overwrite")

    assert (first[0], second[0], third[0]) == (0, 2, 0)
    assert in_one_sentence(second[2])


def test_a_training_of_other_options_is_not_gone_on_with(lookreel, shop):
    (shop / "half.training").mkdir()
    (shop / "half.training" / "request.json").write_text("{}")

    code, _, error = lookreel("labels", "train", "--path", "shop", "--out", "half", *QUICK)

    assert code == 2
    assert "half.training holds a training with other options." in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--data", "films"), "There is no data set films."),
        (("--path", "nowhere"), "There is no nowhere to read as impressions."),
        (("--labels", "WT,XY"), "There is no label 'XY'."),
        (("--labels", ","), "--labels names no label."),
        (("--days", "3,1"), "--days is '3,1'."),
        (("--days", "12,1,1"), "The validation part has no rows: the log has 5 days"),
        (("--taus", "0,x"), "--taus is '0,x'."),
        (("--start", "LabelCraft"), "LabelCraft is a learned label"),
        (("--history", "all"), "--history is 'all'."),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_sentence(lookreel, options, said):
    code, _, error = lookreel("labels", "compare", "--path", "shop", "--out", "refused", *options)

    assert code == 2
    assert in_one_sentence(error)
    assert said in error


@pytest.mark.parametrize(
    ("package", "extra", "options"),
    [("torch", "train", ()), ("matplotlib", "report", ()), ("jinja2", "report", ()), ("optuna", "train", ("--grid",))],
)
def test_a_missing_package_is_said_before_the_work(lookreel, monkeypatch, package, extra, options):
    monkeypatch.setitem(sys.modules, package, None)

    code, _, error = lookreel("labels", "compare", "--path", "shop", "--out", "refused", *options)

    assert code == 2
    assert in_one_sentence(error)
    assert f"Install it: pip install 'lookreel[{extra}]'" in error


def test_joined_labels_are_not_one_label(lookreel):
    code, _, error = lookreel("labels", "train", "--path", "shop", "--label", "WT+EF", "--out", "both")

    assert code == 2
    assert "WT+EF are 2 labels, and a folder holds one." in error


def test_help_needs_no_heavy_import():
    script = "import sys, lookreel.cli; print([m for m in ('torch', 'polars', 'optuna') if m in sys.modules])"

    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert made.stdout.strip() == "[]"
