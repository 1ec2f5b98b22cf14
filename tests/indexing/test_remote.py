"""Media from elsewhere: only from where the shop allows, whatever an URL pretends, and never left on the disk."""

import hashlib
import io
import sys
import threading
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from indexing.allowed import Allowed
from indexing.decode.protocol import UnreadableMediaError
from indexing.limits import Limits
from indexing.media import PhotosTask, VideoTask, hash_task, read_task, source_of
from indexing.reading import reading
from indexing.remote import fetched, require_backends
from retrieval.errors import UserFacingError
from tests import shop
from tests.indexing.servers import Server, running, serving

RED = shop.COLOURS["red"]


@pytest.fixture(autouse=True)
def _direct(monkeypatch, tmp_path):
    """No proxy between us and our own server, and a folder of our own for what is fetched."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))


@pytest.fixture(name="memory")
def _memory():
    """The file system of fsspec that lives in this process."""
    filesystem = fsspec.filesystem("memory")
    yield filesystem
    filesystem.store.clear()


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
    return buffer.getvalue()


def bytes_of(url, allowed, download_mb=1):
    with fetched(url, allowed, download_mb) as path:
        return path.read_bytes()


def test_a_refused_url_says_which_option_would_allow_it():
    reason = "https://x.test is not a place that media.allowed in lookreel.toml lets media come from"

    video = read_task(VideoTask("https://x.test/a.mp4", 4, 448, allowed=Allowed(("https://cdn.shop.example",))))
    photos = read_task(PhotosTask(("https://x.test/a.png",), "", 448))

    assert video.failures == (("https://x.test/a.mp4", reason),)
    assert photos.failures == (("https://x.test/a.png", reason),)


def test_a_remote_video_is_read_as_a_local_one_is(tmp_path, memory):
    shop.write_clip(tmp_path / "clip.mp4", [RED] * 10)
    memory.pipe("/clips/a.mp4", (tmp_path / "clip.mp4").read_bytes())
    task = VideoTask("memory://clips/a.mp4", 2, 448, allowed=Allowed(("memory://clips",)))

    remote, local = read_task(task), read_task(VideoTask(str(tmp_path / "clip.mp4"), 2, 448))

    assert remote.content_hash == local.content_hash == hash_task(task)
    assert [picture.jpeg for picture in remote.pictures] == [picture.jpeg for picture in local.pictures]
    assert remote.failures == ()


def test_a_remote_photo_is_read_beside_a_local_one(tmp_path):
    (tmp_path / "local.png").write_bytes(png("blue"))

    with serving({"/photo.png": (200, {}, png("red"))}) as address:
        uris = (f"{address}/photo.png", str(tmp_path / "local.png"))
        task = PhotosTask(uris, "a dress", 448, allowed=Allowed((address,)))
        item = read_task(task)
        hashed = hash_task(task)

    assert [picture.pixels[0, 0].tolist() for picture in item.pictures] == [[255, 0, 0], [0, 0, 255]]
    assert item.content_hash == hashed == hashlib.sha256(b"a dress" + png("red") + png("blue")).hexdigest()


def test_what_was_fetched_is_gone_afterwards(tmp_path, memory):
    memory.pipe("/a", b"content")
    scratch = tmp_path / "scratch"

    with fetched("memory://a", Allowed(("memory://a",)), 1) as path:
        content = path.read_bytes()
        with pytest.raises(ZeroDivisionError), fetched("memory://a", Allowed(("memory://a",)), 1):
            raise ZeroDivisionError

    assert content == b"content"
    assert list(scratch.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="elsewhere the file keeps its name until it is closed")
def test_what_is_being_fetched_has_no_name_that_a_killed_process_could_leave(tmp_path, memory):
    memory.pipe("/a", b"content")

    with fetched("memory://a", Allowed(("memory://a",)), 1):
        assert list((tmp_path / "scratch").iterdir()) == []


def test_where_files_cannot_be_opened_without_a_name_they_are_removed_at_the_end(tmp_path, memory, monkeypatch):
    monkeypatch.setattr("indexing.remote.DESCRIPTORS", tmp_path / "nowhere")
    memory.pipe("/a", b"content")

    with fetched("memory://a", Allowed(("memory://a",)), 1) as path:
        assert path.read_bytes() == b"content"
        assert path.parent == tmp_path / "scratch"

    assert not path.exists()


def test_a_file_larger_than_the_bound_is_given_up_while_it_comes(tmp_path, memory):
    memory.pipe("/a", bytes(1_000_001))
    memory.pipe("/b", bytes(1_000_000))
    allowed = Allowed(("memory:///a", "memory:///b"))

    assert len(bytes_of("memory:///b", allowed)) == 1_000_000
    with pytest.raises(UnreadableMediaError, match="it is larger than 1 MB"):
        bytes_of("memory:///a", allowed)


def test_the_bound_is_that_of_the_tasks_limits(memory):
    memory.pipe("/a", bytes(3_000_000))
    task = VideoTask("memory:///a", 4, 448, limits=Limits(download_mb=2), allowed=Allowed(("memory:///a",)))

    assert read_task(task).failures == (("memory:///a", "it is larger than 2 MB"),)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("absent", "there is no such file"),
        ("gone", "there is no such file"),
        ("broken", "the server answered with status 503"),
        ("empty", "the file is empty (0 bytes)"),
        ("loop", "it redirects more than 5 times"),
    ],
)
def test_a_server_that_gives_no_file_is_a_reason(path, reason):
    pages = {
        "/gone": (410, {}, b"page"), "/broken": (503, {}, b"page"), "/empty": (200, {}, b""),
        "/loop": (302, {"Location": "/loop"}, b"page"),
    }  # fmt: skip

    with serving(pages) as address, pytest.raises(UnreadableMediaError) as raised:
        bytes_of(f"{address}/{path}", Allowed((address,)))

    assert str(raised.value) == reason


def test_a_redirect_is_followed_only_to_what_is_allowed():
    with serving({"/secret": (200, {}, b"secret"), "/clips/a": (200, {}, b"clip")}) as other:
        pages = {
            "/near": (302, {"Location": "/a"}, b""), "/a": (200, {}, b"here"),
            "/far": (307, {"Location": f"{other}/clips/a"}, b""), "/evil": (302, {"Location": f"{other}/secret"}, b""),
            "/local": (302, {"Location": "file:///etc/passwd"}, b""),
        }  # fmt: skip
        with serving(pages) as address:
            allowed = Allowed((address, f"{other}/clips"))

            assert bytes_of(f"{address}/near", allowed) == b"here"
            assert bytes_of(f"{address}/far", allowed) == b"clip"
            with pytest.raises(UnreadableMediaError, match=f"{other} is not a place"):
                bytes_of(f"{address}/evil", allowed)
            with pytest.raises(UnreadableMediaError, match="file:// is not a place"):
                bytes_of(f"{address}/local", allowed)


def test_a_download_that_stalls_costs_its_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    enough = threading.Event()

    class Stalling(Server):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(png("red"))
            enough.wait(20 if self.path == "/stalls" else 0)

    with running(Stalling) as address:
        uris = [f"{address}/stalls", f"{address}/photo.png"]
        tasks = [PhotosTask((uri,), "", 448, allowed=Allowed((address,))) for uri in uris]
        with reading(tasks, 1, Limits(seconds=3.0)) as items:
            stalled, read = items
        enough.set()

    assert stalled.failures == ((uris[0], "reading took longer than 3 s"),)
    assert [picture.uri for picture in read.pictures] == [uris[1]]
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_server_that_is_not_there_is_a_reason():
    with serving({}) as address:
        pass

    with pytest.raises(UnreadableMediaError, match=r"it cannot be fetched: .*refused"):
        bytes_of(f"{address}/a", Allowed((address,)))


def test_an_answer_cut_short_is_a_reason():
    class Cut(Server):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"only this")

    with (
        running(Cut) as address,
        pytest.raises(UnreadableMediaError, match=r"cannot be fetched: .*(incomplete|closed)"),
    ):
        bytes_of(f"{address}/a", Allowed((address,)))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://b/a", "a package for s3:// is not installed"),
        ("carrier-pigeon://b/a", "fsspec cannot open carrier-pigeon://"),
        ("ftp://host/a", r"fsspec cannot open ftp:// \(missing a required argument: 'host'\)"),
        ("github://b/a", r"fsspec cannot open github:// \(missing a required argument: 'org'\)"),
        ("dir://b/a", "fsspec cannot open dir://"),
        ("blockcache://b/a", "fsspec cannot open blockcache://"),
    ],
)
def test_a_backend_that_cannot_be_had_is_said_in_one_sentence(url, reason, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)

    with pytest.raises(UnreadableMediaError, match=reason):
        bytes_of(url, Allowed((url,)))
    with pytest.raises(UserFacingError, match=reason):
        require_backends(Allowed(("https://cdn.shop.example", "memory://x", url)))


def test_backends_that_are_there_are_no_error():
    require_backends(Allowed(("https://cdn.shop.example", "memory://x")))


def test_the_state_of_a_remote_file_is_what_its_server_tells(memory):
    memory.pipe("/a", b"content")
    pages = {
        "/tagged": (200, {"ETag": '"v1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"12345"),
        "/dated": (200, {"Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}, b"12345"),
        "/silent": (200, {}, b"12345"),
    }

    with serving(pages) as address:
        allowed = Allowed((address, "memory:///a"))
        states = [source_of(f"{address}/{path}", allowed) for path in ("tagged", "dated", "silent", "absent")]

    assert states == ['"v1":5', "Thu, 01 Jan 2026 00:00:00 GMT:5", "", ""]
    assert source_of("memory:///a", allowed).endswith(":7")
    assert source_of("memory:///a", Allowed()) == ""


def test_the_state_of_a_remote_file_changes_with_it(memory):
    allowed = Allowed(("memory:///a",))
    memory.pipe("/a", b"content")
    first = source_of("memory:///a", allowed)

    memory.pipe("/a", b"another")

    assert "" != first != source_of("memory:///a", allowed) != ""
