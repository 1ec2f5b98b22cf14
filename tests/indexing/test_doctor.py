"""The doctor's words on files whose faults are known."""

import errno
import json
import os
import signal
import threading

import polars as pl
import pytest
from typer.testing import CliRunner

from indexing.allowed import Allowed
from indexing.cli.doctor import doctor_app
from indexing.decode.index import StreamIndex
from indexing.decode.plan import PacketFacts, ReadingPlan, timeline
from indexing.doctor import (
    Verdict,
    Visit,
    cost_ms,
    examine,
    examine_videos,
    examined,
    frame_rate,
    judged,
    keyframe_interval_s,
    report,
)
from indexing.limits import Limits
from retrieval.errors import UserFacingError
from retrieval.tables import Columns as C
from tests import shop
from tests.data import decoder_file
from tests.indexing.decode import clips
from tests.indexing.servers import Server, running, serving


def index(pts, entries, tick_s=0.1, codec="h264", header_s=None):
    packets = tuple(PacketFacts(t, 1, at in entries, True, True) for at, t in enumerate(pts))
    return StreamIndex(codec, 100, 50, tick_s, packets, timeline(packets), header_s)


def no_progress(done, total):
    pass


def write_videos(folder, uris):
    """A table of these videos."""
    videos = pl.read_parquet(folder / "videos.parquet").head(len(uris))
    videos.with_columns(pl.Series(C.URI, uris)).write_parquet(folder / "videos.parquet")


class Lethal(str):
    """An uri that kills whoever reads it, as a bug in a decoder would."""

    def removeprefix(self, prefix):
        os.kill(os.getpid(), signal.SIGKILL)


class Starving(str):
    """An uri for which the system has no memory left."""

    def removeprefix(self, prefix):
        raise OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.fixture(name="direct")
def _direct(monkeypatch):
    """No proxy between us and our own server."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_the_keyframe_interval_is_the_longest_way_to_the_next_entry_or_the_end():
    # Entries at 0 and 3, the end at 10, in tenths of a second.
    assert keyframe_interval_s(index(range(10), {0, 3})) == pytest.approx(0.7)


def test_frame_rates_that_are_steady_and_that_vary():
    assert frame_rate(index([0, 1, 2, 3], {0})) == (pytest.approx(10.0), False)
    assert frame_rate(index([0, 1, 2, 6], {0})) == (pytest.approx(5.0), True)
    assert frame_rate(index([0], {0})) == (None, None)


def test_the_cost_counts_pictures_and_the_keyframes_begun_at():
    # H.264: 3.8 ns for each of 3 pictures and 4.5 ns for each of 2 starts, by 10^6 pixels.
    plan = ReadingPlan((0,), frozenset({0, 4}), (0, 1, 4))

    assert cost_ms(index(range(8), {0, 4}), plan, 1_000_000) == pytest.approx(3 * 3.8 + 2 * 4.5)


def test_without_a_plan_every_picture_counts():
    assert cost_ms(index(range(8), {0}), None, 1_000_000) == pytest.approx(8 * 3.8 + 4.5)


@pytest.mark.parametrize(
    ("facts", "partial", "verdict", "words"),
    [
        (index(range(20), {0, 10}), False, Verdict.OK, ""),
        (index(range(60), {0}), False, Verdict.SLOW, "up to 6.0 s between keyframes"),
        (index(range(20), {0}, header_s=9.0), True, Verdict.PARTIAL, "2.0 s of the 9.0 s that its header promises"),
        (index(range(20), {0}), True, Verdict.PARTIAL, "some of its pictures are damaged"),
    ],
)
def test_verdicts(facts, partial, verdict, words):
    found, reason = judged(facts, partial)

    assert found is verdict
    assert words in reason


def test_a_turned_clip_is_described_upright():
    found, _ = examine(Visit("v", str(decoder_file("decord/video_90.mov")), 8))

    # Stored as 568 × 320 and turned by 270 degrees counterclockwise, at 30 pictures a second.
    assert (found.codec, found.width, found.height, found.rotation) == ("h264", 320, 568, 270)
    assert found.frame_rate == pytest.approx(30)
    assert found.verdict is Verdict.OK


def test_a_file_that_is_damaged_or_absent_costs_itself(tmp_path):
    (tmp_path / "noise.mp4").write_bytes(b"no video")

    noise, nothing = examine(Visit("a", str(tmp_path / "noise.mp4"), 8))
    absent, _ = examine(Visit("b", str(tmp_path / "absent.mp4"), 8))

    assert nothing is None
    assert (noise.verdict, noise.reason) == (Verdict.UNREADABLE, "Invalid data found when processing input")
    assert (absent.verdict, absent.reason) == (Verdict.UNREADABLE, "there is no such file")


def test_a_duplicate_names_the_first_clip_like_it_past_one_that_cannot_be_read(tmp_path):
    path = clips.write(clips.CLIPS[0], tmp_path)
    seen = [
        examine(Visit("broken", str(tmp_path / "absent.mp4"), 8)),
        examine(Visit("first", str(path), 8)),
        examine(Visit("again", str(path), 8)),
    ]

    made = report([found for found, _ in seen], [found for _, found in seen])

    assert [video.duplicate_of for video in made.videos] == [None, None, "first"]
    assert made.n_duplicates == 1
    assert made.verdicts == {"slow": 2, "unreadable": 1}
    assert made.codecs == {"h264": 2, "unknown": 1}


def test_a_table_is_examined_by_other_processes_in_its_order(tmp_path):
    shop.write_shop(tmp_path)
    (tmp_path / "clips/green.mp4").write_bytes(b"no video")

    made = examine_videos(tmp_path / "videos.parquet", 8, None, 2, no_progress)

    assert [v.video_id for v in made.videos] == ["v-red", "v-green", "v-blue", "v-white"]
    assert [v.verdict for v in made.videos] == [Verdict.OK, Verdict.UNREADABLE, Verdict.OK, Verdict.OK]
    assert made.n_duplicates == 0  # one colour each, all of one length


def test_a_clip_that_hangs_its_reader_is_unreadable_and_the_others_are_examined(tmp_path, direct):
    shop.write_shop(tmp_path)
    enough = threading.Event()

    class Stalling(Server):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the first bytes of a clip")
            enough.wait(20)

    with running(Stalling) as address:
        write_videos(tmp_path, [f"{address}/a.mp4", "clips/red.mp4"])
        made = examine_videos(
            tmp_path / "videos.parquet", 8, None, 1, no_progress, Allowed((address,)), Limits(seconds=3.0)
        )
        enough.set()

    assert [v.verdict for v in made.videos] == [Verdict.UNREADABLE, Verdict.OK]
    assert made.videos[0].reason == "reading took longer than 3 s"


def test_a_clip_whose_reader_is_killed_is_unreadable_and_the_others_are_examined():
    visits = [Visit("v", Lethal("a.mp4"), 8), Visit("w", str(decoder_file("decord/video_90.mov")), 8)]

    (dead, nothing), (alive, _) = examined(visits, 1, Limits())

    assert nothing is None
    assert (dead.verdict, dead.reason) == (Verdict.UNREADABLE, "its reader died (signal KILL)")
    assert alive.verdict is Verdict.OK


def test_want_of_memory_is_left_to_the_pool_to_word():
    with pytest.raises(MemoryError):
        examine(Visit("v", Starving("a.mp4"), 8))


def test_a_clip_of_more_pixels_than_allowed_is_unreadable():
    found, _ = examine(Visit("v", str(decoder_file("decord/video_90.mov")), 8, limits=Limits(pixels=568 * 320 - 1)))

    assert found.reason == f"its picture has 568 × 320 pixels, more than the {568 * 320 - 1} allowed"


def test_remote_clips_are_examined_where_the_shops_file_allows_them(tmp_path, direct, monkeypatch):
    shop.write_shop(tmp_path)
    monkeypatch.chdir(tmp_path)

    with serving({"/red.mp4": (200, {}, (tmp_path / "clips/red.mp4").read_bytes())}) as address:
        write_videos(tmp_path, [f"{address}/red.mp4", "https://x.test/a.mp4"])
        (tmp_path / "lookreel.toml").write_text(f'[media]\nallowed = ["{address}"]\n')
        result = CliRunner().invoke(doctor_app, ["videos", "videos.parquet", "--workers", "1", "--json"])

    near, far = json.loads(result.stdout)["videos"]
    assert (near["verdict"], near["codec"]) == ("ok", "h264")
    assert far["reason"] == "https://x.test is not a place that media.allowed in lookreel.toml lets media come from"


def test_the_command_prints_a_table_and_says_by_its_exit_code_that_files_are_unreadable(tmp_path):
    shop.write_shop(tmp_path)
    (tmp_path / "clips/red.mp4").unlink()

    result = CliRunner().invoke(
        doctor_app, ["videos", str(tmp_path / "videos.parquet"), "--limit", "2", "--workers", "1"]
    )

    assert result.exit_code == 3
    assert "2 videos: 1 unreadable, 1 ok; 0 near-duplicates." in result.stdout
    assert "Codecs: 1 unknown, 1 h264." in result.stdout


def test_the_command_prints_json(tmp_path):
    shop.write_shop(tmp_path)

    result = CliRunner().invoke(doctor_app, ["videos", str(tmp_path / "videos.parquet"), "--limit", "1", "--json"])

    video = json.loads(result.stdout)["videos"][0]
    assert (video["video_id"], video["verdict"], video["codec"]) == ("v-red", "ok", "h264")
    # 20 pictures at 10 a second.
    assert (video["duration_s"], video["frame_rate"]) == (pytest.approx(2.0), pytest.approx(10.0))


def test_a_table_without_its_column_is_refused_in_words(tmp_path):
    pl.DataFrame({C.VIDEO_ID: ["v"]}).write_parquet(tmp_path / "videos.parquet")

    with pytest.raises(UserFacingError, match="no column"):
        examine_videos(tmp_path / "videos.parquet", 8, None, 1, no_progress)
