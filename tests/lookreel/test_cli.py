"""The commands as a person meets them: what they print, what they refuse, and with which exit code."""

import json
import subprocess
import sys
from importlib.machinery import PathFinder

import polars as pl
import pytest

from indexing.embed import EmbedOptions, embed_products, embed_videos
from indexing.publish import build_snapshot
from retrieval.tables import Columns as C
from tests import shop
from tests.commands import caller
from tests.data import LOOKREEL
from tests.encoders import MeanColourEncoder


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


@pytest.fixture(name="built", scope="module")
def _built(tmp_path_factory):
    """The tiny shop embedded with the shipped model and published."""
    root = tmp_path_factory.mktemp("cli")
    shop.write_dress_shop(root / "shop")
    run = lambda *args: subprocess.run([LOOKREEL, *map(str, args)], check=True, cwd=root, capture_output=True)  # noqa: E731
    run("embed", "products", "shop/products.parquet", "--out", "products", "--workers", "1")
    run("embed", "videos", "shop/videos.parquet", "--out", "videos", "--frames", "2", "--workers", "1")
    run("index", "build", "--videos", "videos", "--products", "products", "--tables", "shop", "--out", "snapshot")
    return root


def in_one_sentence(error):
    """A message and its cure, no trace."""
    lines = error.strip().splitlines()
    return len(lines) == 2 and "Traceback" not in error


def test_recommend_prints_ranked_videos_as_json(lookreel, built):
    code, out, _ = lookreel(
        "recommend", "--snapshot", built / "snapshot", "--tables", built / "shop", "--user", "ann", "-k", 2, "--json"
    )

    answer = json.loads(out)
    assert code == 0
    assert [video["rank"] for video in answer["videos"]] == [1, 2]
    # Ann has seen red; of the others, what she looked at last is blue.
    assert answer["videos"][0]["video_id"] == "v-blue"
    assert answer["videos"][0]["reasons"][0]["product_id"] in ("p-blue", "p-red")
    assert (answer["returned"], answer["eligible"], answer["known"]) == (2, 3, True)


def test_recommend_without_json_is_a_table_with_titles(lookreel, built):
    code, out, _ = lookreel(
        "recommend", "--snapshot", built / "snapshot", "--tables", built / "shop", "--user", "ann", "-k", 1
    )

    assert code == 0
    assert "v-blue" in out
    assert "A blue dress" in out
    assert "1 of 3 eligible videos" in out


def test_an_unknown_user_is_answered_by_the_global_vector_and_told_so(lookreel, built):
    code, out, _ = lookreel("recommend", "--snapshot", built / "snapshot", "--tables", built / "shop", "--user", "zoe")

    assert code == 0
    assert "Nothing is known of zoe: the vector of new users answered." in " ".join(out.split())


def test_k_beyond_the_catalogue_returns_all_there_is(lookreel, built):
    code, out, _ = lookreel("similar", "v-red", "--snapshot", built / "snapshot", "-k", 1000, "--json")

    assert code == 0
    assert json.loads(out)["returned"] == 3


def test_recommend_all_writes_the_table(lookreel, built, tmp_path):
    code, out, _ = lookreel(
        "recommend",
        "--all",
        "--snapshot",
        built / "snapshot",
        "--tables",
        built / "shop",
        "-k",
        2,
        "--system",
        "recency",
    )

    table = pl.read_parquet(tmp_path / "recommendations.parquet")
    assert code == 0
    assert "4 recommendations for 2 users" in out
    # Bob saw blue; the newest are white, blue, green, red.
    assert table.filter(pl.col(C.USER_ID) == "bob")[C.VIDEO_ID].to_list() == ["v-white", "v-green"]
    assert table[C.SYSTEM].unique().to_list() == ["recency"]


@pytest.mark.parametrize("colour", shop.COLOURS)
def test_search_finds_a_colour_by_its_word(lookreel, built, colour):
    code, out, _ = lookreel("search", f"a {colour} dress", "--snapshot", built / "snapshot", "-k", 1, "--json")

    assert code == 0
    assert json.loads(out)["videos"][0]["video_id"] == f"v-{colour}"


def test_filters_narrow_the_answer(lookreel, built):
    _, out, _ = lookreel("similar", "v-red", "--snapshot", built / "snapshot", "--where", "markets=fr,pl", "--json")

    assert {video["video_id"] for video in json.loads(out)["videos"]} == {"v-blue", "v-white"}


def test_the_toml_of_the_folder_names_what_flags_do_not(lookreel, built, tmp_path):
    (tmp_path / "lookreel.toml").write_text(
        f'[paths]\nsnapshot = "{built / "snapshot"}"\ntables = "{built / "shop"}"\n[systems.new]\nkind = "recency"\n'
    )

    _, out, _ = lookreel("recommend", "--user", "zoe", "-k", 1, "--system", "new", "--json")

    assert json.loads(out)["videos"][0]["video_id"] == "v-white"


def test_init_writes_a_file_once_and_config_show_says_where_values_come_from(lookreel, tmp_path):
    assert lookreel("init")[0] == 0
    code, _, error = lookreel("init")
    (tmp_path / "lookreel.toml").write_text("[embed]\nframes = 3\n")
    _, out, _ = lookreel("config", "show")

    assert code == 2
    assert "exists already" in error
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert lines["embed.frames"].split() == ["embed.frames", "3", "(lookreel.toml)"]
    assert lines["embed.unit"].endswith("(default)")


def test_tables_check_counts_and_writes_what_it_sets_aside(lookreel, tmp_path):
    folder = shop.write_tables(tmp_path / "shop", impressions=False)
    rows = pl.concat([shop.interactions_frame()] * 10)
    products = ["gone", *rows[C.PRODUCT_ID][1:]]
    rows.with_columns(pl.Series(C.PRODUCT_ID, products)).write_parquet(folder / "interactions.parquet")

    code, out, _ = lookreel("tables", "check", folder)

    assert code == 0
    assert "1 rows cannot be used" in out
    assert pl.read_parquet(folder / "rejected.parquet").rows() == [
        ("interactions", 0, "product_id names no product of the catalogue")
    ]


def test_embed_ends_with_its_own_code_when_files_were_quarantined(lookreel, built, tmp_path):
    folder = shop.write_shop(tmp_path / "shop")
    (folder / "clips/red.mp4").write_bytes(b"")

    code, out, _ = lookreel("embed", "videos", folder / "videos.parquet", "--out", "store", "--workers", 1)

    assert code == 3
    assert "3 videos embedded" in out
    assert "1 files quarantined" in out
    assert "1 × the file is empty (0 bytes) (first " in out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["tables", "check", "nowhere"], "There is no table"),
        (["recommend", "--user", "ann", "--snapshot", "nowhere"], "is not a snapshot"),
        (["recommend"], "Name one user or all of them"),
        (["recommend", "--user", "ann", "--system", "psychic"], "There is no system psychic"),
        (["recommend", "--user", "ann", "--at", "tomorrow"], "'tomorrow' is not a time"),
        (["index", "build", "--at", "tomorrow"], "'tomorrow' is not a time"),
        (["recommend", "--user", "ann", "--where", "markets"], "not of the form field=value"),
        (["embed", "videos", "nowhere.parquet", "--out", "store"], "There is no table nowhere.parquet"),
        (
            ["index", "build", "--videos", "a", "--products", "b", "--tables", "c", "--out", "d"],
            "is not an embedding store",
        ),
        (["embed", "videos", "x.parquet", "--out", "s", "--model", "ViT-B-33/none"], "There is no model ViT-B-33/none"),
        (
            ["embed", "videos", "x.parquet", "--out", "s", "--model", "local-dir:nowhere"],
            "holds no open_clip_config.json",
        ),
        (["demo", "--out", "taken"], "exists and no demo made it"),
        (["demo", "--out", "taken/thesis.txt"], "exists and no demo made it"),
        (["embed", "videos", "x.parquet", "--out", "s", "--device", "banana"], "There is no device banana here"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence_with_the_cure(lookreel, tmp_path, args, words):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.txt").write_text("mine")

    code, out, error = lookreel(*args)

    assert code == 2
    assert words in error
    assert in_one_sentence(error)
    assert out == ""
    assert {path.name for path in tmp_path.iterdir()} == {"taken"}


def test_titles_are_printed_as_they_are(lookreel, built, tmp_path):
    folder = shop.write_tables(tmp_path / "shop")
    videos = shop.videos_frame().with_columns(pl.lit("[red]Sale[/b] today").alias(C.TITLE))
    videos.write_parquet(folder / "videos.parquet")
    lookreel(
        "index",
        "build",
        "--videos",
        built / "videos",
        "--products",
        built / "products",
        "--tables",
        folder,
        "--out",
        "s",
    )

    code, out, _ = lookreel("similar", "v-red", "--snapshot", "s", "-k", 1)

    assert code == 0
    assert "[red]Sale[/b] today" in out


def test_a_place_that_cannot_be_written_is_said_in_words(lookreel, built, tmp_path):
    (tmp_path / "file").write_text("x")
    args = ("recommend", "--all", "--snapshot", built / "snapshot", "--tables", built / "shop")

    inside_a_file, _, error = lookreel(*args, "--out", "file/recommendations.parquet")
    a_folder, _, other = lookreel(*args, "--out", tmp_path)

    assert (inside_a_file, a_folder) == (2, 2)
    assert "Check the path" in error
    assert "Check the path" in other


def test_nothing_to_search_for_is_refused(lookreel, built):
    code, _, error = lookreel("search", " ", "--snapshot", built / "snapshot")

    assert code == 2
    assert "There is nothing to search for" in error


def test_an_unknown_filter_and_an_unknown_video_are_named(lookreel, built):
    snapshot = built / "snapshot"

    filtered, _, no_field = lookreel("similar", "v-red", "--snapshot", snapshot, "--where", "mood=calm")
    unknown, _, no_video = lookreel("similar", "v-mauve", "--snapshot", snapshot)

    assert (filtered, unknown) == (2, 2)
    assert "There is no attribute mood" in no_field
    assert "holds no video v-mauve" in no_video


def test_a_snapshot_of_another_model_is_refused_by_search(lookreel, tmp_path):
    class Impostor(MeanColourEncoder):
        name = "sample"

    folder, options = shop.write_shop(tmp_path / "shop"), EmbedOptions(frames=1, workers=1)
    embed_products(folder / "products.parquet", tmp_path / "products", Impostor(), options)
    embed_videos(folder / "videos.parquet", tmp_path / "videos", Impostor(), options)
    build_snapshot(tmp_path / "videos", tmp_path / "products", folder, tmp_path / "snapshot")

    code, _, error = lookreel("search", "red", "--snapshot", "snapshot")

    assert code == 2
    assert "was built with sample (mean-colour-1), but the model at hand is sample" in error
    assert in_one_sentence(error)


def test_a_missing_extra_is_named_with_its_cure(lookreel, monkeypatch, tmp_path):
    class Absent(PathFinder):
        @classmethod
        def find_spec(cls, fullname, path=None, target=None):
            if fullname == "open_clip":
                raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

    shop.write_tables(tmp_path / "shop")
    for module in [name for name in sys.modules if name == "open_clip" or name.startswith("open_clip.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [Absent, *sys.meta_path])

    code, _, error = lookreel("embed", "videos", "shop/videos.parquet", "--out", "store")

    assert code == 2
    assert "needs the package open_clip, which is not installed" in error
    assert "pip install 'lookreel[embed]'" in error
    assert not (tmp_path / "store").exists()


def test_help_imports_nothing_heavy():
    heavy = ["numpy", "polars", "torch", "faiss", "av", "PIL", "fastapi"]
    code = f"import sys, lookreel.cli; print([m for m in {heavy} if m in sys.modules])"

    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert printed.strip() == "[]"


def test_public_names_are_there():
    import lookreel as public

    assert all(getattr(public, name) is not None for name in public.__all__)
