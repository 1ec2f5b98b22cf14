"""Label refinement: what of a pair reaches a judge, that its numbers are exact, and that every pair is graded once."""

import base64
import json
import os
import random

import numpy as np
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from judge.attributes import AttributesJudge
from judge.cli import make_app
from judge.columns import J
from judge.endpoint import EndpointOptions, open_endpoint
from judge.inputs import ChangedError
from judge.pair_tasks import make_pairs, make_shelf, make_task, missing_groups
from judge.qwen import open_qwen
from judge.refine import journal_folder, refine
from judge.refine_request import RefineRequest, refine_request
from judge.rubric import load_rubric
from judge.store import JUDGMENTS
from judge.task import ShownProduct, ShownVideo, Task
from judge.verdict import NoVerdict, Unscored
from retrieval.errors import UserFacingError
from retrieval.tables import load_catalogue
from tests.judge.chat_server import ChatServer
from tests.judge.killable_refine import ROWS
from tests.judge.killing import killed_run
from tests.judge.pair_shop import PAIRS, make_refinement, pairs_frame, write_shop
from tests.judge.scripted import ScriptedJudge
from tests.judge.small_qwen import make_folder, naive_log_probabilities, picture, still

KILLS = int(os.environ.get("LOOKREEL_KILLS", "10"))
RUBRIC = load_rubric("pairs-1")


@pytest.fixture(scope="module")
def qwen_folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="module")
def qwen(qwen_folder):
    return open_qwen(str(qwen_folder))


@pytest.fixture
def shop(tmp_path):
    return write_shop(tmp_path / "shop")


@pytest.fixture(scope="module")
def chat():
    server = ChatServer()
    yield server
    server.stop()


def lines_of(out):
    """The whole lines: a kill in the midst of a write leaves half a one, which the next run drops."""
    path = journal_folder(out) / JUDGMENTS
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [line for line in lines if line.endswith(b"\n")]


def groups_of(job, folder):
    shelf = make_shelf(job.pairs, job.source, folder)
    pairs = make_pairs(job.pairs, shelf, job.asker)
    return [make_task(group, job.source, shelf) for group in missing_groups(pairs, ()).values()]


# The real judge


def stills():
    rng = np.random.default_rng(3)
    return tuple(still(rng, name, width) for name, width in (("a", 90), ("b", 150), ("c", 60)))


def history():
    rng = np.random.default_rng(4)
    return tuple(ShownProduct(f"p{i}", f"Red dress {i}", None if i == 1 else picture(rng)) for i in range(3))


@pytest.mark.parametrize(
    "asked",
    [Task("", (), stills(), "red striped dress"), Task("", history(), stills())],
    ids=["query", "history"],
)
def test_the_shared_beginning_gives_the_naive_prompts_numbers(qwen, asked):
    shared = [np.log(np.array(v.probabilities) * v.mass) for v in qwen.grade(asked, RUBRIC)]

    naive = [naive_log_probabilities(qwen, asked, RUBRIC, product) for product in asked.videos]
    np.testing.assert_allclose(shared, naive, atol=1e-4)
    assert np.ptp(naive, axis=0).max() > 0.01  # the products do differ, so that equality says something


def test_the_exact_prompt_of_a_query(qwen):
    product = stills()[0]

    shared, own = qwen.texts(Task("", (), (product,), "red dress"), RUBRIC, product)

    assert shared.endswith("no_match.\nThe shopper searched for: red dress\n")
    assert "Grade the product with one of these categories:" in shared
    assert own == (
        "Product: <|vision_start|><|image_pad|><|vision_end|> Blue coat a\nCategory:<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_beginning_is_read_once_for_all_its_pairs(qwen, shop, tmp_path):
    passes = []
    hook = qwen.model.model.register_forward_hook(lambda *_: passes.append(1))

    refined = refine(make_refinement(shop, qwen), tmp_path / "grades.parquet")

    hook.remove()
    # red dress: p0, p3; coat: p1; after p1, p0: p2, p1; after p0, p1: p2.
    assert (refined.groups, refined.judgments) == (4, 6)
    assert len(passes) == 4 + 6
    grades = pl.read_parquet(tmp_path / "grades.parquet")
    task = groups_of(make_refinement(shop, qwen), tmp_path)[0]
    (first, second) = qwen.grade(task, RUBRIC)
    assert grades[J.EXPECTED][0] == pytest.approx(first.expected, abs=1e-4)
    assert grades[J.EXPECTED][2] == pytest.approx(second.expected, abs=1e-4)


# What is asked


def test_pairs_of_one_query_or_history_are_one_task(shop, tmp_path):
    judge = ScriptedJudge()

    refine(make_refinement(shop, judge), tmp_path / "grades.parquet")

    assert [
        (task.query, [one.product_id for one in task.history], [one.video_id for one in task.videos])
        for task in judge.tasks
    ] == [
        ("red dress", [], ["p0", "p3"]),
        (None, ["p1", "p0"], ["p2", "p1"]),
        ("coat", [], ["p1"]),
        (None, ["p0", "p1"], ["p2"]),
    ]
    first = judge.tasks[0].videos[0]
    assert (first.still, first.title, first.frames) == (True, "Red striped dress", ((shop / "p0.png").read_bytes(),))


def test_every_pair_has_its_grade_once_and_in_order(shop, tmp_path):
    refined = refine(make_refinement(shop), tmp_path / "grades.parquet")

    grades = pl.read_parquet(tmp_path / "grades.parquet")
    assert grades.columns == [
        "pair_id", "p_1", "p_2", "p_3", "p_4", "p_5", "expected", "unscored", "judge", "fingerprint", "rubric",
    ]  # fmt: skip
    assert grades["pair_id"].to_list() == list("abcdefg")
    # By the last digit of the product: 0 is excellent, 5; 1 is good, 4; and so on.
    assert grades["expected"].to_list() == [5.0, 3.0, 2.0, 4.0, 4.0, 5.0, 3.0]
    assert grades.row(0)[1:8] == (0.0, 0.0, 0.0, 0.0, 1.0, 5.0, None)
    assert set(grades.select("judge", "rubric").rows()) == {("scripted", f"pairs-1-{RUBRIC.fingerprint}")}
    assert (refined.pairs, refined.scored, refined.judgments, refined.judged, refined.cached) == (7, 7, 6, 6, 0)


def test_what_cannot_be_judged_says_why_and_is_put_to_nobody(tmp_path):
    rows = (
        ("no photo", "dress", None, "p4"),
        ("gone", "dress", None, "p9"),
        ("new shopper", None, [], "p0"),
        ("all gone", None, ["p9"], "p0"),
        ("unlike", "dress", None, "p1"),
    )
    judge = ScriptedJudge(refused={"p1"})

    refined = refine(make_refinement(write_shop(tmp_path, rows), judge), tmp_path / "grades.parquet")

    grades = pl.read_parquet(tmp_path / "grades.parquet")
    assert grades["unscored"].to_list() == ["no_frames", "unknown_product", "no_history", "no_history", "refused"]
    assert grades["expected"].null_count() == grades["p_1"].null_count() == 5
    assert [len(task.videos) for task in judge.tasks] == [1]
    assert refined.unscored == {"no_frames": 1, "no_history": 2, "refused": 1, "unknown_product": 1}
    assert (refined.scored, refined.without_photo, refined.unknown_in_histories) == (0, 1, 1)


def test_a_history_is_its_last_twelve_products_that_the_tables_know(tmp_path):
    many = tuple(f"p{i % 6}" for i in range(30))
    job = make_refinement(write_shop(tmp_path, (("a", None, ["p9", *many], "p0"),)))

    (task,) = groups_of(job, tmp_path)

    # Six products there are, each named five times.
    assert [one.product_id for one in task.history] == ["p0", "p1", "p2", "p3", "p4", "p5"]
    assert task.history[4].photo is None


def test_a_query_and_a_still_have_keys_of_their_own():
    film = ShownVideo("p", "Red dress", (b"photo",), (0.0,))
    product = ShownVideo("p", "Red dress", (b"photo",), (0.0,), still=True)
    contents = {Task("", (), (), query).content for query in (None, "", "red dress")}

    assert film.content != product.content
    assert len(contents) == 3


# Going on


def test_a_second_run_asks_nothing_and_writes_the_same(shop, tmp_path):
    out, judge = tmp_path / "grades.parquet", ScriptedJudge()
    refine(make_refinement(shop), out)
    before, lines = pl.read_parquet(out), lines_of(out)

    refined = refine(make_refinement(shop, judge), out)

    assert (judge.tasks, refined.judged, refined.cached) == ([], 0, 6)
    assert lines_of(out) == lines
    assert pl.read_parquet(out).equals(before)


def test_a_run_that_was_cut_goes_on_where_it_stopped(shop, tmp_path):
    out, judge = tmp_path / "grades.parquet", ScriptedJudge()
    with pytest.raises(KeyboardInterrupt):
        refine(make_refinement(shop, ScriptedJudge(stop_after=3)), out)

    refined = refine(make_refinement(shop, judge), out)

    assert (refined.judged, refined.cached, judge.graded) == (3, 3, 3)
    assert len(lines_of(out)) == 6


def test_another_judge_rubric_or_photo_is_judged_anew(shop, tmp_path):
    out = tmp_path / "grades.parquet"
    refine(make_refinement(shop), out)

    other = refine(make_refinement(shop, ScriptedJudge(fingerprint="f2")), out)
    explained = refine(make_refinement(shop, explain=True), out)
    (shop / "p3.png").write_bytes((shop / "p5.png").read_bytes())
    repainted = refine(make_refinement(shop), out)

    # p3 is graded once, for the query, and stands in no history.
    assert (other.judged, explained.judged, repainted.judged) == (6, 6, 1)


def test_reasons_are_told_where_they_were_asked_for(shop, tmp_path):
    refine(make_refinement(shop, explain=True), tmp_path / "grades.parquet")

    assert pl.read_parquet(tmp_path / "grades.parquet")["reason"].to_list() == ["because"] * 7


def test_what_could_not_be_read_is_asked_again_on_request(shop, tmp_path):
    out = tmp_path / "grades.parquet"
    refine(make_refinement(shop, ScriptedJudge(refused={"p3"})), out)

    kept = refine(make_refinement(shop), out)
    again = refine(make_refinement(shop, retry_unscored=True), out)

    assert (kept.judged, kept.unscored) == (0, {"refused": 1})
    assert (again.judged, again.unscored) == (1, {})
    assert pl.read_parquet(out)["expected"][2] == 2.0


def test_a_photo_that_changes_during_the_run_is_noticed(shop, tmp_path):
    class Painter(ScriptedJudge):
        def grade(self, task, rubric, *, explain=False):
            (shop / "p1.png").write_bytes(b"another")
            yield from super().grade(task, rubric, explain=explain)

    with pytest.raises(ChangedError, match="The photo of product p1 changed"):
        refine(make_refinement(shop, Painter()), tmp_path / "grades.parquet")
    assert len(lines_of(tmp_path / "grades.parquet")) == 2  # those of the query before


def test_every_judgment_of_a_run_that_was_killed_again_and_again_stands_exactly_once(tmp_path):
    rng = random.Random(0)
    shop = write_shop(tmp_path / "shop", ROWS)
    number, killed, midway = 0, 0, 0
    while killed < KILLS:
        out = tmp_path / f"grades{number}.parquet"
        before = lines_of(out)
        killed += killed_run("tests.judge.killable_refine", shop, out, rng.uniform(0, 0.15))
        after = lines_of(out)
        assert after[: len(before)] == before
        midway += len(before) < len(after) < 100
        number += len(after) == 100  # there is no more to kill there

    assert midway
    for which in range(number + 1):
        out = tmp_path / f"grades{which}.parquet"
        refine(make_refinement(shop), out)
        keys = [orjson.loads(line)[J.KEY] for line in lines_of(out)]
        assert len(keys) == len(set(keys)) == 100
        grades = pl.read_parquet(out)
        assert grades["pair_id"].to_list() == [row[0] for row in ROWS]
        # The last digits 0, 1, 2, 3, 5 mean 5, 4, 3, 2, 5.
        assert grades["expected"].to_list() == [5.0, 4.0, 3.0, 2.0, 5.0] * 40


# Other judges


def test_attributes_grades_pairs_by_the_catalogue(shop, tmp_path):
    catalogue = load_catalogue(shop)
    judge = AttributesJudge(catalogue.products, catalogue.videos)
    job = make_refinement(shop, judge)

    refine(job, tmp_path / "grades.parquet")

    # a, f: all of red dress. b: p2 is of p0's kind 0.4 and colour 0.3, and of none of its word and of p1's, so the
    # share is 0.9 * 0.7 of 1.9 * 0.9 or 0.37: partial. c: of red dress only red, 0.3 of 0.8: poor. d: all of coat.
    # e: p1 is p1 itself, 1 of 1.9 or 0.53: good. g: 0.7 of 1.9 * 0.9 or 0.41: good.
    assert pl.read_parquet(tmp_path / "grades.parquet")["expected"].to_list() == [5.0, 3.0, 2.0, 5.0, 4.0, 5.0, 4.0]


def test_attributes_knows_nothing_of_a_query_whose_words_the_catalogue_lacks(shop):
    catalogue = load_catalogue(shop)
    judge = AttributesJudge(catalogue.products, catalogue.videos)
    product = ShownVideo("p0", "", (), (), still=True)

    assert list(judge.grade(Task("", (), (product,), "perfume"), RUBRIC)) == [
        NoVerdict(Unscored.NO_PRODUCTS, "its products share no attribute with the query")
    ]


def test_an_endpoint_is_sent_the_photo_of_the_product_last(chat, shop, tmp_path):
    chat.reset()
    judge = open_endpoint(chat.spec("halves"), EndpointOptions(concurrency=1), {})

    refined = refine(make_refinement(shop, judge), tmp_path / "grades.parquet")

    judge.close()
    # 1/2, 1/4, 1/8, 1/16 of the labels' 15/16, as in test_endpoint.
    grades = pl.read_parquet(tmp_path / "grades.parquet")
    assert grades["p_5"].to_list() == pytest.approx([8 / 15] * 7, abs=1e-6)
    assert refined.judged == 6
    search, browse = (chat.asked()[i]["messages"][1]["content"] for i in (0, 2))
    assert [part["type"] for part in search] == ["text", "image_url", "text"]
    assert search[0]["text"].endswith("The shopper searched for: red dress\nProduct: ")
    assert search[2]["text"].startswith(" Red striped dress\nCategory:")
    assert [part["type"] for part in browse] == ["text", "image_url"] * 3 + ["text"]  # p1, p0, and the product p2
    photos = [part["image_url"]["url"] for part in browse if part["type"] == "image_url"]
    assert len({base64.b64decode(url.partition(",")[2]) for url in photos}) == 3


# Bad input


def drop(column):
    return lambda frame: frame.drop(column)


def at(row, column, value):
    return lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value, frame[column].dtype)).otherwise(column).alias(column)
    )


@pytest.mark.parametrize(
    ("spoil", "message", "cure"),
    [
        (drop("query"), "has no column query; it has pair_id, kind", "Add query (text)"),
        (at(2, "pair_id", "a"), "pair_id a stands twice (again in row 2; 1 such rows).", "Keep one row"),
        (at(1, "pair_id", None), "column pair_id is null (row 1).", "Give each pair its own."),
        (at(3, "product_id", None), "column product_id is null (row 3).", "Name the product that is graded"),
        (at(2, "kind", "click"), "column kind is 'click' (row 2).", "Known are search and browse."),
        (at(2, "query", " "), "column query is ' ' in a search pair (row 2).", "Give it the words"),
        (at(0, "query", None), "column query is None in a search pair (row 0).", "make it a browse pair"),
        (at(4, "kind", "search"), "column query is None in a search pair (row 4).", "make it a browse pair"),
        (at(4, "history_product_ids", None), "column history_product_ids is null in a browse pair (row 4).", "Give it"),
        (
            lambda frame: frame.with_columns(pl.lit(5).alias("query")),
            "column query is Int32, not text (row 0 holds 5).", "cast it",
        ),
        (at(6, "product_id", "p9"), "1 of 7 pairs name a product that", "Name the tables that the pairs were made of"),
    ],
)  # fmt: skip
def test_a_fault_of_the_table_is_one_sentence_with_its_cure(shop, tmp_path, spoil, message, cure):
    spoil(pairs_frame()).write_parquet(shop / "pairs.parquet")
    out = tmp_path / "grades.parquet"

    with pytest.raises(UserFacingError) as error:
        refine_request(RefineRequest(shop / "pairs.parquet", shop, "attributes", out=out), lambda done, total: None)

    assert error.value.message.startswith(str(shop / "pairs.parquet"))
    assert message in error.value.message
    assert cure in error.value.cure
    assert not out.exists()
    assert not journal_folder(out).exists()


def test_nothing_but_grades_is_ever_replaced(shop):
    request = RefineRequest(shop / "pairs.parquet", shop, "attributes", out=shop / "pairs.parquet")

    with pytest.raises(UserFacingError, match="holds something else than grades of pairs"):
        refine_request(request, lambda done, total: None)
    assert pl.read_parquet(shop / "pairs.parquet").equals(pairs_frame())


def test_a_judge_that_cannot_go_on_says_what_is_kept(chat, shop, tmp_path):
    options = ("attempts=1", "concurrency=1")
    out = tmp_path / "grades.parquet"

    with pytest.raises(UserFacingError, match=r"the same command goes on from there") as error:
        refine_request(
            RefineRequest(shop / "pairs.parquet", shop, chat.spec("broken"), out=out, judge_options=options),
            lambda done, total: None,
        )

    assert str(journal_folder(out)) in error.value.cure


# The command


def invoke(*arguments):
    return CliRunner().invoke(make_app(lambda place: None), ["refine", *map(str, arguments)], catch_exceptions=False)


def test_the_command_grades_by_a_real_model_and_says_what_it_did(shop, tmp_path, qwen_folder):
    out = tmp_path / "grades.parquet"

    result = invoke("--pairs", shop / "pairs.parquet", "--tables", shop, "--judge", f"qwen:{qwen_folder}", "--out", out)

    assert result.exit_code == 0
    assert (
        f"7 of 7 pairs graded by qwen:{qwen_folder}, rubric pairs-1-{RUBRIC.fingerprint}: 6 judgments" in result.stdout
    )
    assert "for 4 queries and histories, 6 judged now, 0 before" in result.stdout
    assert result.stdout.endswith(f"Wrote {out}.\n")
    grades = pl.read_parquet(out)
    np.testing.assert_allclose(grades.select(J.P).sum_horizontal(), 1)
    assert (grades["expected"] - grades.select(J.P).to_numpy() @ [1, 2, 3, 4, 5]).abs().max() < 1e-9


def test_the_command_counts_what_is_unscored_and_prints_json(tmp_path):
    many = [(f"{turn}{row[0]}", *row[1:]) for turn in range(5) for row in PAIRS]
    shop = write_shop(tmp_path, (*many, ("gone", "dress", None, "p9")))
    asked = ("--pairs", shop / "pairs.parquet", "--tables", shop, "--judge", "attributes", "--out", shop / "g.parquet")

    told = invoke(*asked).stdout
    printed = json.loads(invoke(*asked, "--json").stdout)

    assert "35 of 36 pairs graded by attributes" in told
    assert "Unscored: 1 (1 unknown_product)." in told
    assert (printed["judged"], printed["cached"], printed["unscored"]) == (0, 6, {"unknown_product": 1})
