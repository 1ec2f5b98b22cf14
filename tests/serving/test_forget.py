import json
import os
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import fsspec
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from indexing.forget_users import forget_in_snapshot
from indexing.publish import build_snapshot
from indexing.purge_versions import kept_versions
from lookreel.cli import app
from retrieval.conventional import open_vectors
from retrieval.errors import UserFacingError
from retrieval.snapshot import open_snapshot
from serving.archive import open_archive
from serving.cli.store import opened_store
from serving.erasers import Order, erase_log, erase_report, erase_table, erase_tree
from serving.erasure import Forgotten, forgotten, keeps_line, mentions, rows_to_keep
from serving.events.protocol import Erasure, Watch
from serving.events.sqlite import SqliteStore
from serving.export import COLUMNS
from serving.exposure import ServedLog, page_line
from serving.forget import Forgetting, forget
from serving.identity import user_hash
from serving.places import PLACES, Kind, default_paths, refuse_absent
from serving.served_files import parse_pages
from serving.served_writer import this_host
from serving.watch_files import watch_frame
from tests.given import given_vector, run_of, write_run
from tests.serving.pages import make_page
from tests.stores import HandStore, write_catalogue

MARK = "user-of-the-test:7"
OTHER = "user-of-the-test:77"
SECRET = b"0123456789abcdef"
ERASED_US = 1_000_000
NOW_US = 100 * 86_400_000_000
DEAD = 2**22 + 1  # no process has so high a number
KEYED = partial(user_hash, SECRET)
BY_ID = forgotten([Erasure(ERASED_US, user_id=MARK)], KEYED)
BY_HASH = forgotten([Erasure(ERASED_US, user_hash=KEYED(MARK))], KEYED)


def at(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1e6, UTC)


def write_table(path: Path, users=(MARK, OTHER, MARK, OTHER), **columns) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame({"user_id": list(users), "number": range(len(users)), **columns})
    table.write_parquet(path, row_group_size=2)


def write_lines(path: Path, *rows, torn: bytes = b"") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows) + torn)


def plant_log(folder: Path) -> None:
    folder.mkdir(parents=True)
    pages = [make_page("a", user_id=user, feed_id=user, shown_us=10) for user in (MARK, OTHER)]
    lines = b"".join(map(page_line, pages))
    (folder / f"served-1970-01-01-{this_host()}-{DEAD}-1.jsonl").write_bytes(lines + page_line(pages[0])[:-5])
    (folder / f"served-1970-01-01-elsewhere-{os.getpid()}-1.jsonl").write_bytes(lines)
    parse_pages(lines).frame.write_parquet(folder / "served-1970-01-01-gone-1-1.parquet")
    watches = [Watch(f"e-{user}", user, "a", user, 1.0, 10) for user in (MARK, OTHER)]
    watch_frame(watches).write_parquet(folder / "watches-0.parquet")
    (folder / ".served-1970-01-01-gone-1-2.parquet.0.partial").write_text(f"the draft of a killed one: {MARK}")


def plant_recordings(folder: Path) -> None:
    rows = [{"user_id": user, "at_us": 10, "history": []} for user in (MARK, OTHER)]
    write_lines(folder / "requests-host-1.jsonl", *rows)
    write_lines(folder / "requests-host-2.jsonl", rows[0])


def plant_table(path: Path, **columns) -> None:
    write_table(path, **columns)


def plant_impressions(path: Path) -> None:
    pages = [make_page("a", "b", user_id=user, feed_id=user, shown_us=10) for user in (MARK, OTHER)]
    parse_pages(b"".join(map(page_line, pages))).frame.select(
        *(name for name in COLUMNS if name in ("feed_id", "user_id", "video_id", "position", "shown_at"))
    ).write_parquet(path)


def plant_vectors(path: Path) -> None:
    write_table(path, vector=pl.Series(np.arange(8.0).reshape(4, 2), dtype=pl.Array(pl.Float32, 2)))


def plant_judgments(folder: Path) -> None:
    write_table(folder / "grades.parquet")
    write_lines(folder / "cache" / "answers.jsonl", {"prompt": f"for {MARK}"}, {"prompt": f"for {OTHER}"})
    (folder / "sheets").mkdir()
    (folder / "sheets" / "index.html").write_text(f"<p>{MARK}</p>")
    (folder / "sheets" / "1.png").write_bytes(b"\x89PNG of them")
    (folder / "readme.md").write_text(f"judged for {OTHER}")


def plant_run(folder: Path) -> None:
    write_run(folder, ["v1"], [MARK, OTHER])


def plant_snapshot(folder: Path) -> None:
    """Two versions that both hold vectors of the users."""
    sources = [folder.parent / name for name in ("videos-store", "products-store", "shop")]
    HandStore("videos", sources[0]).write({"v1": 0, "v2": 0})
    HandStore("products", sources[1]).write({"p1": 0})
    for videos in (["v1"], ["v1", "v2"]):
        write_catalogue(sources[2], videos, ["p1"])
        build_snapshot(*sources, folder, run=run_of(["v1"], [MARK, OTHER]))


def plant_report(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(f"<td>{MARK}</td>")
    (folder / "picture.png").write_bytes(b"\x89PNG of them")


PLANTERS = {
    "log": plant_log,
    "recordings": plant_recordings,
    "recommendations": partial(plant_table, recommended_at=[at(10)] * 4),
    "impressions": plant_impressions,
    "vectors": plant_vectors,
    "runs": plant_run,
    "snapshot": plant_snapshot,
    "judgments": plant_judgments,
    "reports": plant_report,
}


def content_of(file: Path) -> str:
    """All that a file tells, decoded: a parquet's pages are compressed."""
    if file.suffix == ".parquet":
        return pl.read_parquet(file).select(pl.exclude(pl.Binary)).write_ndjson()
    return file.read_bytes().decode("utf-8", "replace")


def all_content(folder: Path) -> str:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.parent.name != "store"]
    return "\n".join(f"{file.name}\n{content_of(file)}" for file in files)


def without_mark(text: str) -> list[str]:
    return sorted(line for line in text.splitlines() if f'{MARK}"' not in line)


def named(text: str) -> bool:
    """Whether the marked user stands there, and not only the other one, whose id begins with theirs."""
    return MARK in text.replace(OTHER, "")


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store").mkdir()
    opened = SqliteStore(tmp_path / "store" / "events.db")
    yield opened
    opened.close()


@pytest.fixture
def paths(tmp_path):
    """Every place of the table at its default, under a folder of the test."""
    given = default_paths(tmp_path / "state")
    return {name: [str(tmp_path / path) for path in places] for name, places in given.items()}


def run(store, paths, *users, now_us: int = NOW_US, **options) -> Forgetting:
    timeless = {"now_us": lambda: now_us, "sleep": lambda _: None}
    return forget(store, users, paths, KEYED, in_snapshot=forget_in_snapshot, **timeless, **options)


def test_every_place_has_a_planter():
    assert set(PLANTERS) == set(PLACES)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("settled", [False, True])
def test_a_user_who_was_planted_is_nowhere_afterwards(tmp_path, store, paths, name, settled):
    PLANTERS[name](Path(paths[name][0]))
    before = all_content(tmp_path)
    store.erase(MARK, ERASED_US)
    if settled:
        store.settle(Erasure(ERASED_US, user_id=MARK), KEYED(MARK))

    done = run(store, paths)

    assert named(before)
    assert not named(all_content(tmp_path))
    assert done.places[name].files > 0
    assert store.erasures() == [Erasure(ERASED_US, user_hash=KEYED(MARK))]


@pytest.mark.parametrize("name", [name for name, place in PLACES.items() if place.kind is not Kind.REPORT])
def test_rows_of_others_stay_as_they_were(tmp_path, store, paths, name):
    PLANTERS[name](Path(paths[name][0]))
    kept = [line for line in without_mark(all_content(tmp_path)) if OTHER in line]

    run(store, paths, MARK)

    assert kept
    assert [line for line in without_mark(all_content(tmp_path)) if OTHER in line] == kept


def test_all_places_at_once(tmp_path, store, paths):
    [plant(Path(paths[name][0])) for name, plant in PLANTERS.items()]

    done = run(store, paths, MARK)

    assert not named(all_content(tmp_path))
    assert (done.users, done.settled, done.left_open) == (1, 1, 0)
    assert all(erased.files for erased in done.places.values())


def test_a_dry_run_counts_the_same_and_changes_nothing(tmp_path, store, paths):
    [plant(Path(paths[name][0])) for name, plant in PLANTERS.items() if name != "log"]
    before = all_content(tmp_path)

    counted = run(store, paths, MARK, dry_run=True)

    assert all_content(tmp_path) == before
    assert store.erasures() == []
    assert counted.settled == 0
    assert run(store, paths, MARK).places == counted.places


def test_a_run_and_all_versions_of_a_snapshot_open_without_them_and_keep_their_order(tmp_path, store, paths):
    plant_run(Path(paths["runs"][0]))
    plant_snapshot(tmp_path / "snapshot")
    before = sorted(kept_versions(tmp_path / "snapshot"), key=lambda one: one.number)

    done = run(store, paths, MARK)

    assert (done.places["snapshot"].files, done.places["snapshot"].rows) == (2, 1)  # the versions share the file
    after = sorted(kept_versions(tmp_path / "snapshot"), key=lambda one: one.number)
    assert [one.number for one in after] == [one.number for one in before]
    assert not {one.version for one in after} & {one.version for one in before}
    assert after[1].parent == after[0].version
    for version in after:
        given = open_snapshot(tmp_path / "snapshot", version=version.version).conventional
        assert given.users.ids == [OTHER]
        np.testing.assert_array_equal(given.of_users([OTHER]).vectors[0], given_vector(OTHER))
    assert open_vectors(Path(paths["runs"][0])).user_ids == [OTHER]
    marked = given_vector(MARK).tobytes()
    assert not [file for file in (tmp_path / "snapshot").rglob("*.npy") if marked in file.read_bytes()]


def test_a_run_and_a_snapshot_may_be_left_without_users(tmp_path, store, paths):
    plant_run(Path(paths["runs"][0]))
    plant_snapshot(tmp_path / "snapshot")

    run(store, paths, MARK, OTHER)

    given = open_snapshot(tmp_path / "snapshot").conventional
    assert given.of_users([OTHER]).unknown.tolist() == [True]
    np.testing.assert_array_equal(given.of_users([OTHER]).vectors[0], (given_vector(MARK) + given_vector(OTHER)) / 2)
    assert open_vectors(Path(paths["runs"][0])).user_ids == []


def test_users_file_of_a_run_that_a_killed_command_left_behind_goes_with_the_next(tmp_path, store, paths):
    plant_run(Path(paths["runs"][0]))
    behind = Path(paths["runs"][0]) / "user_vectors-0123456789ab.parquet"
    write_table(behind)

    run(store, paths, "somebody else")

    assert not behind.exists()


def test_a_snapshot_needs_somebody_who_can_take_users_out_of_it(store, paths):
    plant_snapshot(Path(paths["snapshot"][0]))

    with pytest.raises(ValueError, match="nothing was given that could take users out"):
        forget(store, [MARK], paths, KEYED, now_us=lambda: NOW_US, sleep=lambda _: None)


def test_a_second_run_finds_nothing_to_do(store, paths):
    [plant(Path(paths[name][0])) for name, plant in PLANTERS.items()]
    run(store, paths, MARK)

    again = run(store, paths)

    assert again.settled == 0
    assert not any(erased.files for erased in again.places.values())


def test_who_was_merged_into_them_is_forgotten_too(tmp_path, store, paths):
    write_table(Path(paths["vectors"][0]), users=("anonymous-1", OTHER))
    store.merge("anonymous-1", MARK, NOW_US)

    run(store, paths, MARK)

    assert pl.read_parquet(paths["vectors"][0])["user_id"].to_list() == [OTHER]


def test_a_path_that_somebody_named_must_be_there(tmp_path):
    refuse_absent({"reports": ["none"], "log": ["s3://bucket/log"], "vectors": []})

    with pytest.raises(UserFacingError, match="--vectors none is not there"):
        refuse_absent({"vectors": ["none"]})


def test_rows_from_the_erasure_on_stay_since_the_user_came_back():
    table = pl.DataFrame({"user_id": [MARK] * 3, "shown_at": [at(ERASED_US - 1), at(ERASED_US), None]})

    kept = rows_to_keep(table.with_columns(pl.col("shown_at").dt.cast_time_unit("us")), BY_ID)

    assert kept["shown_at"].to_list() == [at(ERASED_US)]


def test_the_last_erasure_counts():
    twice = forgotten([Erasure(9, user_id=MARK), Erasure(5, user_hash=KEYED(MARK))], KEYED)

    assert twice.until_us(MARK) == 9


@pytest.mark.parametrize("who", [BY_ID, BY_HASH])
def test_lines_go_by_user_and_time(who):
    assert not keeps_line(json.dumps({"user_id": MARK, "shown_us": ERASED_US - 1}), who)
    assert not keeps_line(json.dumps({"user_id": MARK}), who)
    assert keeps_line(json.dumps({"user_id": MARK, "at_us": ERASED_US}), who)
    assert keeps_line(json.dumps({"user_id": OTHER, "shown_us": 1}), who)


@pytest.mark.parametrize("who", [BY_ID, BY_HASH])
@pytest.mark.parametrize(
    "text", [MARK, f"({MARK}).", f'"{MARK}"', f"x_{MARK}_y", MARK.replace(":", "%3A"), MARK.replace("-", "\\u002d")]
)
def test_a_text_that_mentions_them_is_found(who, text):
    assert mentions(text, who) or (who is BY_HASH and text.startswith("x_"))


@pytest.mark.parametrize("who", [BY_ID, BY_HASH, Forgotten({}, {}, KEYED)])
def test_a_text_of_somebody_with_a_longer_id_is_not(who):
    assert not mentions(f"{OTHER}, a{MARK}", who)


def test_a_name_written_for_html_is_found():
    who = forgotten([Erasure(1, user_id="a&b")], KEYED)

    assert mentions("<td>a&amp;b</td>", who)


def test_a_table_keeps_its_types_and_the_order_of_its_rows(tmp_path):
    plant_vectors(tmp_path / "vectors.parquet")
    before = pl.read_parquet(tmp_path / "vectors.parquet")

    erase_table(str(tmp_path / "vectors.parquet"), Order(BY_ID, NOW_US))

    after = pl.read_parquet(tmp_path / "vectors.parquet")
    assert after.equals(before.filter(pl.col("user_id") != MARK))
    assert after.schema == before.schema


def test_a_table_without_them_is_not_touched(tmp_path):
    write_table(tmp_path / "table.parquet", users=(OTHER,))
    inode = (tmp_path / "table.parquet").stat().st_ino

    erase_table(str(tmp_path / "table.parquet"), Order(BY_ID, NOW_US))

    assert (tmp_path / "table.parquet").stat().st_ino == inode


def test_a_table_without_users_is_not_touched(tmp_path):
    pl.DataFrame({"video_id": [MARK]}).write_parquet(tmp_path / "table.parquet")

    assert erase_table(str(tmp_path / "table.parquet"), Order(BY_ID, NOW_US)).files == 0


def test_what_was_compacted_elsewhere_is_erased_there():
    archive = open_archive("memory://forget/log")
    page = page_line(make_page("a", user_id=MARK, shown_us=1)) + page_line(make_page("b", user_id=OTHER))
    archive.write_parquet("served-x.parquet", parse_pages(page).frame)

    done = erase_log("memory://forget/log", Order(BY_ID, NOW_US))

    assert (done.files, done.rows) == (1, 1)
    assert archive.read_parquet("served-x.parquet")["user_id"].to_list() == [OTHER]
    fsspec.filesystem("memory").rm("/forget", recursive=True)


def test_a_living_server_goes_on_in_another_file_and_loses_no_line(tmp_path):
    log = ServedLog(tmp_path, flush_rows=1, flush_s=0.02)
    log.append(make_page("a", user_id=MARK, shown_us=1))
    log.append(make_page("b", user_id=OTHER))

    done = erase_log(str(tmp_path), Order(BY_ID, NOW_US))
    log.append(make_page("c", user_id=OTHER))
    log.close()

    assert (done.rows, done.left_open) == (1, 0)
    files = sorted(tmp_path.glob("*.jsonl"))
    assert [parse_pages(file.read_bytes()).frame["video_id"].to_list() for file in files] == [["b"], ["c"]]


def test_a_file_of_another_host_of_today_is_left_and_nothing_is_settled(tmp_path, store, paths):
    folder = Path(paths["log"][0])
    folder.mkdir(parents=True)
    file = folder / "served-1970-04-11-elsewhere-1-1.jsonl"  # NOW_US is that day's first moment
    file.write_bytes(page_line(make_page("a", user_id=MARK, shown_us=1)))
    content = file.read_bytes()

    done = run(store, paths, MARK)

    assert (done.left_open, done.settled) == (1, 0)
    assert file.read_bytes() == content
    assert store.erasures() == [Erasure(NOW_US, user_id=MARK)]


def test_what_a_server_showed_just_before_is_waited_for(store, paths):
    plant_log(Path(paths["log"][0]))
    waits: list[float] = []

    forget(store, [MARK], paths, KEYED, now_us=lambda: NOW_US, sleep=waits.append)
    forget(store, [], paths, KEYED, now_us=lambda: NOW_US + 4_000_000, sleep=waits.append)

    assert waits == [3.0]


def test_a_report_of_others_stays(tmp_path):
    plant_report(tmp_path / "report")
    (tmp_path / "report" / "report.html").write_text(OTHER)

    assert erase_report(str(tmp_path / "report"), Order(BY_ID, NOW_US)).files == 0
    assert len(list((tmp_path / "report").iterdir())) == 2


def test_a_report_that_is_one_file_goes_alone(tmp_path):
    (tmp_path / "one.md").write_text(MARK)
    (tmp_path / "other.md").write_text(MARK)

    erase_report(str(tmp_path / "one.md"), Order(BY_ID, NOW_US))

    assert [file.name for file in tmp_path.iterdir()] == ["other.md"]


def test_a_picture_named_after_them_is_reason_enough(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / f"{MARK}.png").write_bytes(b"\x89PNG")

    erase_report(str(tmp_path / "report"), Order(BY_ID, NOW_US))

    assert not (tmp_path / "report").exists()


def test_the_removal_of_a_report_that_was_interrupted_is_finished(tmp_path):
    (tmp_path / ".report.0123.erasing").mkdir()
    (tmp_path / ".report.0123.erasing" / "rest.html").write_text(MARK)

    erase_report(str(tmp_path / "report"), Order(BY_ID, NOW_US))

    assert not list(tmp_path.iterdir())


def test_the_working_folder_is_never_taken_for_a_report(tmp_path, monkeypatch):
    plant_report(tmp_path / "report")
    monkeypatch.chdir(tmp_path / "report")

    with pytest.raises(UserFacingError, match="is where this command runs"):
        erase_report(str(tmp_path), Order(BY_ID, NOW_US))


def test_only_pictures_beside_a_text_that_names_them_go(tmp_path):
    (tmp_path / "of-others").mkdir()
    (tmp_path / "of-others" / "1.png").write_bytes(b"\x89PNG")
    plant_judgments(tmp_path / "judgments")
    (tmp_path / "of-others").rename(tmp_path / "judgments" / "of-others")

    erase_tree(str(tmp_path / "judgments"), Order(BY_ID, NOW_US))

    names = {str(file.relative_to(tmp_path / "judgments")) for file in (tmp_path / "judgments").rglob("*.*")}
    assert names == {"grades.parquet", "cache/answers.jsonl", "of-others/1.png", "readme.md"}


# It forgets and kills itself at the change of a file whose number is given.
KILLED = """
    import os, shutil, signal, sys
    from functools import partial
    from pathlib import Path
    from indexing.forget_users import forget_in_snapshot
    from serving.events.sqlite import SqliteStore
    from serving.forget import forget
    from serving.identity import user_hash
    from serving.places import default_paths
    root, changes = Path(sys.argv[1]), int(sys.argv[2])
    count = 0
    def counted(change):
        def wrapped(*arguments, **named):
            global count
            count += 1
            if count > changes:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **named)
        return wrapped
    store = SqliteStore(root / "store" / "events.db")
    Path.replace, Path.unlink, Path.rename = counted(Path.replace), counted(Path.unlink), counted(Path.rename)
    shutil.rmtree = counted(shutil.rmtree)
    paths = {name: [str(root / path) for path in given] for name, given in default_paths(root / "state").items()}
    hash_of, how = partial(user_hash, b"0123456789abcdef"), {"in_snapshot": forget_in_snapshot}
    forget(store, [], paths, hash_of, sleep=lambda _: None, **how)
"""


@pytest.mark.parametrize("changes", [0, 2, 5, 9, 13, 17, 20, 24, 28, 33, 38, 45])
def test_a_killed_run_leaves_every_file_whole_and_a_repeat_finishes(tmp_path, store, paths, changes):
    [plant(Path(paths[name][0])) for name, plant in PLANTERS.items()]
    kept = [line for line in without_mark(all_content(tmp_path)) if OTHER in line]
    store.erase(MARK, ERASED_US)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path), str(changes)]

    killed = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])

    assert killed.returncode == -9, killed.stderr
    files = [file for file in tmp_path.rglob("*.parquet") if file.parent.name != "shop"]
    tables = [pl.read_parquet(file) for file in files]  # whole: each can be read
    assert all(OTHER in table["user_id"] for table in tables if "user_id" in table.columns)
    assert open_snapshot(Path(paths["snapshot"][0])).conventional.users.row(OTHER) is not None
    assert OTHER in open_vectors(Path(paths["runs"][0])).user_ids
    assert store.erasures() == [Erasure(ERASED_US, user_id=MARK)]
    in_two_hours_us = time.time_ns() // 1000 + 2 * 3_600_000_000  # drafts younger than an hour may be in the making
    assert run(store, paths, now_us=in_two_hours_us).settled == 1
    assert not named(all_content(tmp_path))
    assert [line for line in without_mark(all_content(tmp_path)) if OTHER in line] == kept


def call(*arguments: object):
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def test_a_user_is_forgotten_by_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    write_table(tmp_path / "recommendations.parquet")
    write_table(tmp_path / "mine.parquet")

    done = call("users", "forget", MARK, "--state", "state", "--vectors", "mine.parquet", "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["places"]["vectors"] == {"files": 1, "rows": 2, "left_open": 0}
    assert pl.read_parquet("recommendations.parquet")["user_id"].to_list() == [OTHER, OTHER]
    with opened_store("sqlite:///state/events.db") as store:
        assert [(erasure.user_id, len(erasure.user_hash)) for erasure in store.erasures()] == [("", 32)]


def test_every_place_has_its_option():
    shown = CliRunner().invoke(app, ["users", "forget", "--help"], env={"COLUMNS": "200"}).stdout

    assert [place.option for place in PLACES.values() if place.option not in shown] == []


def test_a_file_that_is_still_written_gives_exit_code_3(tmp_path):
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / f"served-{today}-elsewhere-1-1.jsonl").write_bytes(page_line(make_page("a", user_id=MARK)))
    with opened_store(f"sqlite:///{tmp_path}/state.db") as store:
        store.erase(MARK, 10**13)

    done = call(
        "users", "forget", "--events", f"sqlite:///{tmp_path}/state.db", "--state", tmp_path / "state",
        "--log", tmp_path / "log",
    )  # fmt: skip

    assert done.exit_code == 3
    assert "run this again" in done.stdout


def test_served_pages_are_compacted_and_exported(tmp_path):
    log, events = tmp_path / "log", f"sqlite:///{tmp_path}/state.db"
    log.mkdir()
    (log / f"served-1970-01-01-{this_host()}-{DEAD}-1.jsonl").write_bytes(page_line(make_page("a", "b")))
    with opened_store(events) as store:
        store.put([Watch("e1", "u1", "b", "f1", 2.5, 2_000_000)], now_us=3_000_000)

    compacted = call("events", "compact", "--log", log, "--events", events, "--out", tmp_path / "old", "--json")
    exported = call(
        "events", "export", "--log", log, "--log", tmp_path / "old", "--events", events, "--from", "1970-01-01",
        "--to", "1970-01-02", "--out", tmp_path / "impressions.parquet", "--json",
    )  # fmt: skip

    assert json.loads(compacted.stdout)["served"]["rows"] == 2
    assert json.loads(compacted.stdout)["watches"]["rows"] == 1
    counts = json.loads(exported.stdout)
    assert (counts["rows"], counts["served_never_seen"], counts["seen_never_served"]) == (2, 1, 0)
    table = pl.read_parquet(tmp_path / "impressions.parquet")
    assert table.select("video_id", "watch_time_s").rows() == [("a", None), ("b", 2.5)]


def test_the_commands_say_what_comes_next(tmp_path):
    events, log = f"sqlite:///{tmp_path}/state.db", tmp_path / "log"
    options = ("--log", log, "--events", events)
    log.mkdir()

    compacted = call("events", "compact", *options, "--out", log)
    exported = call("events", "export", *options, "--out", tmp_path / "impressions.parquet")
    counted = call("users", "forget", "--events", events, "--state", tmp_path, "--log", log, "--dry-run")

    assert "Next: lookreel events export" in compacted.stdout
    assert "Next: lookreel tables check" in exported.stdout
    assert "Next: run this again without --dry-run." in counted.stdout


@pytest.mark.parametrize("verb", ["compact", "export"])
def test_a_log_that_is_not_there_is_no_empty_log(tmp_path, verb):
    with pytest.raises(UserFacingError, match="There is no folder"):
        call("events", verb, "--log", tmp_path / "none", "--events", "sqlite:///none.db", "--out", tmp_path / "out")
