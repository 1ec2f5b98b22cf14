"""The folder of judgments: what a cut, a second process and a damaged line do to it."""

from datetime import UTC, datetime

import orjson
import polars as pl
import pytest

from judge.columns import J
from judge.rubric import load_rubric
from judge.store import (
    ASKED_SCHEMA,
    JUDGMENTS,
    Asker,
    Judgment,
    load_asked,
    load_judgments,
    open_judgments,
    save_asked,
)
from judge.verdict import NoVerdict, Unscored, Verdict, certain
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ASKER = Asker("scripted", "f1", load_rubric())


def judgment(key="k1", outcome=None):
    return Judgment(key, "ann", "v-red", NOON, 2, outcome or certain("good_match"), NOON, 0.5)


def add(folder, *judgments):
    with open_judgments(folder) as store:
        for one in judgments:
            store.add(one, ASKER)


def asked(system, key, judge="scripted"):
    row = (system, "ann", "v-red", 1, key, NOON, "000001", 2, judge, "f1", ASKER.rubric_name)
    return pl.DataFrame([row], schema=ASKED_SCHEMA, orient="row")


def test_a_judgment_is_read_as_it_was_added(tmp_path):
    verdict = Verdict((0.5, 0.25, 0.25, 0.0, 0.0), mass=0.9, reason="Red, like the dress.")

    add(tmp_path, judgment(outcome=verdict))

    row = load_judgments(tmp_path).row(0, named=True)
    # 5/2 + 4/4 + 3/4 = 4.25; the first label, of score 5, is the likeliest.
    assert (row[J.GRADE], row[J.EXPECTED], row[J.MASS], row[J.REASON]) == (5, 4.25, 0.9, "Red, like the dress.")
    assert [row[name] for name in J.P] == [0.0, 0.0, 0.25, 0.25, 0.5]
    assert (row[C.USER_ID], row[C.RECOMMENDED_AT], row[J.N_PRODUCTS], row[J.SECONDS]) == ("ann", NOON, 2, 0.5)


def test_an_unscored_judgment_holds_its_reason_and_no_number(tmp_path):
    add(tmp_path, judgment(outcome=NoVerdict(Unscored.TRUNCATED, "x" * 300)))

    line = orjson.loads((tmp_path / JUDGMENTS).read_bytes())
    row = load_judgments(tmp_path).row(0, named=True)
    assert (row[J.UNSCORED], row[J.DETAIL]) == ("truncated", "x" * 200)
    assert not {J.GRADE, J.EXPECTED, *J.P} & line.keys()
    assert row[J.GRADE] is None


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_a_line_cut_by_a_crash_is_dropped_and_the_next_one_is_whole(tmp_path, kept):
    add(tmp_path, judgment("k1"), judgment("k2"))
    whole = (tmp_path / JUDGMENTS).read_bytes()
    first = whole.index(b"\n") + 1
    (tmp_path / JUDGMENTS).write_bytes(whole[: first + kept])

    assert load_judgments(tmp_path)[J.KEY].to_list() == ["k1"]
    add(tmp_path, judgment("k3"))

    assert load_judgments(tmp_path)[J.KEY].to_list() == ["k1", "k3"]


def test_a_file_of_one_cut_line_is_empty(tmp_path):
    (tmp_path / JUDGMENTS).write_bytes(b'{"key": "k')

    add(tmp_path, judgment("k1"))

    assert load_judgments(tmp_path)[J.KEY].to_list() == ["k1"]


def test_a_damaged_line_is_named(tmp_path):
    add(tmp_path, judgment("k1"))
    with (tmp_path / JUDGMENTS).open("ab") as file:
        file.write(b"not json\n")

    with pytest.raises(UserFacingError, match=r"Line 2 of .*judgments.jsonl cannot be read"):
        add(tmp_path, judgment("k2"))


def test_what_is_judged_again_counts_once_by_its_last_line(tmp_path):
    add(tmp_path, judgment("k1", NoVerdict(Unscored.REFUSED)), judgment("k1"))

    with open_judgments(tmp_path) as store:
        assert store.unscored == {"k1": None}
    assert load_judgments(tmp_path)[J.GRADE].to_list() == [4]


def test_a_second_process_is_told_that_the_folder_is_taken(tmp_path):
    with (
        open_judgments(tmp_path),
        pytest.raises(UserFacingError, match="Another process writes to"),
        open_judgments(tmp_path),
    ):
        pass


def test_another_system_or_judge_is_kept_beside_and_the_same_one_replaced(tmp_path):
    save_asked(tmp_path, asked("recency", "k1"))
    save_asked(tmp_path, asked("multimodal", "k2"))
    save_asked(tmp_path, asked("recency", "k3", judge="attributes"))

    save_asked(tmp_path, asked("recency", "k4"))

    rows = load_asked(tmp_path).select(C.SYSTEM, J.JUDGE, J.KEY).rows()
    assert sorted(rows) == [
        ("multimodal", "scripted", "k2"),
        ("recency", "attributes", "k3"),
        ("recency", "scripted", "k4"),
    ]


def test_a_folder_without_judgments_says_what_to_run(tmp_path):
    with pytest.raises(UserFacingError, match="lookreel judge run"):
        load_asked(tmp_path)


def test_a_key_changes_with_everything_that_is_judged():
    key = ASKER.key(["p1", "p2"], "h", "v", "c")

    others = {
        ASKER.key(["p2", "p1"], "h", "v", "c"),
        ASKER.key(["p1", "p2"], "h2", "v", "c"),
        ASKER.key(["p1", "p2"], "h", "v2", "c"),
        ASKER.key(["p1", "p2"], "h", "v", "c2"),
        Asker("scripted", "f2", load_rubric()).key(["p1", "p2"], "h", "v", "c"),
        Asker("scripted", "f1", load_rubric().ordered([4, 3, 2, 1, 0])).key(["p1", "p2"], "h", "v", "c"),
        Asker("scripted", "f1", load_rubric(), explain=True).key(["p1", "p2"], "h", "v", "c"),
    }
    assert len(others - {key}) == 7
    assert ASKER.key(["p1", "p2"], "h", "v", "c") == key
