"""`lookreel index …` as an operator meets it: a night of updates, a look at the versions, a way back."""

import json
import sys

import pytest

from lookreel.cli import main
from retrieval.snapshot import open_snapshot
from tests.stores import HandStore, write_catalogue

SOURCES = ("--videos", "videos", "--products", "products", "--tables", "shop")
SNAPSHOT = ("--snapshot", "snapshot")


@pytest.fixture(name="lookreel")
def _lookreel(monkeypatch, capsys, tmp_path):
    """Run a command beside the stores of a small shop, built once: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["lookreel", *args])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    HandStore("videos", tmp_path / "videos").write({f"v{number}": 0 for number in range(10)})
    HandStore("products", tmp_path / "products").write({"p1": 0, "p2": 0})
    write_catalogue(tmp_path / "shop", [f"v{number}" for number in range(10)], ["p1", "p2"])
    assert call("index", "build", *SOURCES, "--out", "snapshot")[0] == 0
    return call


def replaced(tmp_path, content):
    """Another v3, and no v4."""
    HandStore("videos", tmp_path / "videos").write({"v3": content})
    write_catalogue(tmp_path / "shop", [f"v{number}" for number in range(10) if number != 4], ["p1", "p2"])


def live(tmp_path):
    return open_snapshot(tmp_path / "snapshot").version


def test_update_says_what_changed_and_then_that_nothing_did(lookreel, tmp_path):
    replaced(tmp_path, 1)

    code, out, _ = lookreel("index", "update", *SOURCES, *SNAPSHOT)

    assert code == 0
    assert out.splitlines() == [
        f"Snapshot {live(tmp_path)} in snapshot, 2 segments:",
        "  videos   0 added, 1 replaced, 1 deleted, 0 with new attributes, 8 unchanged, 0 left out for want of vectors",
        "  products 0 added, 0 replaced, 0 deleted, 0 with new attributes, 2 unchanged, 0 left out for want of vectors",
        # one in a delta and two dead of ten are more than a fifth
        "Next: lookreel index compact --snapshot snapshot  (deltas and dead rows add up)",
    ]
    _, out, _ = lookreel("index", "update", *SOURCES, *SNAPSHOT)
    assert out == f"Nothing changed; version {live(tmp_path)} of snapshot stays live.\n"


def test_update_for_scripts(lookreel, tmp_path):
    replaced(tmp_path, 1)

    _, out, _ = lookreel("index", "update", *SOURCES, *SNAPSHOT, "--json")

    answer = json.loads(out)
    assert (answer["published"], answer["version"], answer["n_segments"]) == (True, live(tmp_path), 2)
    assert (answer["videos"]["replaced"], answer["videos"]["deleted"]) == (1, 1)


def test_compact_says_what_went(lookreel, tmp_path):
    replaced(tmp_path, 1)
    lookreel("index", "update", *SOURCES, *SNAPSHOT)

    _, first, _ = lookreel("index", "compact", *SNAPSHOT)
    _, second, _ = lookreel("index", "compact", *SNAPSHOT)

    assert first == f"Snapshot {live(tmp_path)} in snapshot: 2 segments became one, 2 dead rows went.\n"
    assert second == f"snapshot is compact already; version {live(tmp_path)} stays live.\n"


def test_info_marks_the_live_version_and_counts_the_dead(lookreel, tmp_path):
    first = live(tmp_path)
    replaced(tmp_path, 1)
    lookreel("index", "update", *SOURCES, *SNAPSHOT)

    _, out, _ = lookreel("index", "info", *SNAPSHOT)
    _, for_scripts, _ = lookreel("index", "info", *SNAPSHOT, "--json")

    lines = out.splitlines()
    assert "made with by-hand (by-hand-1)" in lines[0]
    assert lines[2].startswith(f"→ {live(tmp_path)} ")
    assert lines[2].endswith("9 videos, 2 products, 2 segments")
    assert lines[3].startswith(f"  {first} ")
    assert lines[5].startswith("  base   10 videos (2 dead), 2 products (0 dead)")
    assert lines[6].startswith("  delta  1 videos (0 dead), 0 products (0 dead)")
    assert "would save about" in lines[7]
    assert [one["live"] for one in json.loads(for_scripts)["versions"]] == [True, False]


def test_verify_counts_or_names_what_is_wrong(lookreel, tmp_path):
    code, out, _ = lookreel("index", "verify", "--all", *SNAPSHOT)
    assert code == 0
    assert out.startswith("snapshot is whole: 1 versions, 15 files")

    largest = max((tmp_path / "snapshot/objects").iterdir(), key=lambda file: file.stat().st_size)
    largest.write_bytes(b"")
    code, _, error = lookreel("index", "verify", *SNAPSHOT)

    assert code == 2
    assert largest.name in error
    assert error.splitlines()[-1] == "Build the snapshot again."


def test_rollback_goes_back_or_to_a_version_by_name(lookreel, tmp_path):
    first = live(tmp_path)
    replaced(tmp_path, 1)
    lookreel("index", "update", *SOURCES, *SNAPSHOT)
    second = live(tmp_path)

    _, out, _ = lookreel("index", "rollback", *SNAPSHOT)
    assert out == f"Version {first} of snapshot is live.\n"
    lookreel("index", "rollback", "--to", second, *SNAPSHOT)
    assert live(tmp_path) == second
    code, _, error = lookreel("index", "rollback", "--to", "000000000000", *SNAPSHOT)
    assert (code, error.splitlines()[0]) == (2, "The snapshot snapshot holds no version 000000000000.")


def test_only_so_many_versions_are_kept(lookreel, tmp_path):
    for content in (1, 2, 3):
        replaced(tmp_path, content)
        lookreel("index", "update", *SOURCES, *SNAPSHOT, "--keep-versions", "2", "--keep-days", "0")

    assert len(list((tmp_path / "snapshot/versions").iterdir())) == 2
