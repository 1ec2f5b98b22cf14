"""One item's files to pictures: prepared for the encoder, hashed by content, and told apart by their state."""

import errno
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexing.decode.protocol import DecodedVideo, Frame
from indexing.limits import Limits
from indexing.media import PhotosTask, VideoTask, hash_task, photo_pixels, read_task, signature_of, source_of
from retrieval.folders import sha256_of
from tests import shop

RED = shop.COLOURS["red"]


@dataclass(frozen=True)
class Corner:
    """Keeps a corner of *size* pixels."""

    size: int

    def prepare(self, pixels):
        return pixels[: self.size, : self.size]


@dataclass(frozen=True)
class GreyReader:
    """Gives one grey frame, or what is in *fault*."""

    fault: Exception | None = None

    def within(self, max_pixels):
        return self

    def read(self, path, n_frames, long_side):
        if self.fault:
            raise ValueError("it broke") from self.fault
        return DecodedVideo(2.0, 4, 6, (Frame(1.0, np.full((6, 4, 3), n_frames, np.uint8)),), partial=True)


@pytest.fixture(name="clip")
def _clip(tmp_path):
    shop.write_clip(tmp_path / "clip.mp4", [RED] * 10)
    return str(tmp_path / "clip.mp4")


@pytest.fixture(name="photo")
def _photo(tmp_path):
    Image.new("RGB", (60, 40), "blue").save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def size_of(jpeg):
    with Image.open(io.BytesIO(jpeg)) as picture:
        return picture.size


def test_frames_are_prepared_where_they_are_read_and_their_jpegs_show_all(clip):
    (picture,) = read_task(VideoTask(clip, 1, 448, Corner(16))).pictures

    assert picture.pixels.shape == (16, 16, 3)
    assert size_of(picture.jpeg) == (48, 64)


def test_photos_are_prepared_where_they_are_read_and_their_jpegs_show_all(photo):
    (picture,) = read_task(PhotosTask((photo,), "", 448, Corner(16))).pictures

    assert picture.pixels.shape == (16, 16, 3)
    assert size_of(picture.jpeg) == (60, 40)


def test_without_a_preparation_pixels_are_as_they_were_read(clip, photo):
    assert read_task(VideoTask(clip, 1, 448)).pictures[0].pixels.shape == (64, 48, 3)
    assert read_task(PhotosTask((photo,), "", 448)).pictures[0].pixels.shape == (40, 60, 3)


def test_a_video_is_read_by_the_reader_it_names(clip):
    item = read_task(VideoTask(clip, 7, 448, reader=GreyReader()))

    assert (item.pictures[0].pixels == 7).all()
    assert (item.duration_s, item.width, item.height, item.partial) == (2.0, 4, 6, True)
    assert item.content_hash == sha256_of(Path(clip))


def test_a_local_file_may_be_written_as_a_uri(clip):
    assert read_task(VideoTask(f"file://{clip}", 1, 448)).content_hash == sha256_of(Path(clip))


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_want_of_memory_is_passed_on_whatever_a_reader_calls_it(clip, fault):
    with pytest.raises(MemoryError):
        read_task(VideoTask(clip, 1, 448, reader=GreyReader(fault)))


def test_a_photo_that_wants_too_much_memory_costs_itself_not_its_product(photo, tmp_path):
    class Greedy(Corner):
        def prepare(self, pixels):
            if pixels.shape[0] == 8:
                raise MemoryError
            return pixels

    Image.new("RGB", (8, 8), "red").save(tmp_path / "small.png")
    uris = (photo, str(tmp_path / "small.png"))

    item = read_task(PhotosTask(uris, "", 448, Greedy(1), Limits(memory_mb=7)))

    assert [picture.uri for picture in item.pictures] == [photo]
    assert item.failures == ((uris[1], "reading needed more than 7 MB"),)


def test_a_photo_of_more_pixels_than_allowed_is_not_decoded(photo):
    task = PhotosTask((photo,), "", 448, limits=Limits(pixels=60 * 40 - 1))

    assert read_task(task).failures == ((photo, "the picture has 60 × 40 pixels"),)


def test_a_video_of_more_pixels_than_allowed_is_not_decoded(clip):
    task = VideoTask(clip, 1, 448, limits=Limits(pixels=48 * 64 - 1))

    assert read_task(task).failures == ((clip, "its picture has 48 × 64 pixels, more than the 3071 allowed"),)


def test_a_photo_of_just_the_pixels_allowed_is_read(photo):
    assert photo_pixels(Path(photo).read_bytes(), 448, max_pixels=60 * 40).shape == (40, 60, 3)


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "ICO", "PPM", "MPO"])
def test_photos_of_the_usual_formats_are_read(name):
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "blue").save(buffer, name)

    assert photo_pixels(buffer.getvalue(), 448).shape[2] == 3


def test_a_photo_that_is_a_program_is_set_aside_and_starts_none(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *args, **_: started.append(args))
    Image.new("RGB", (60, 40), "blue").save(tmp_path / "photo.jpg", "EPS")

    item = read_task(PhotosTask((str(tmp_path / "photo.jpg"),), "", 448))

    assert item.failures == ((str(tmp_path / "photo.jpg"), "the file is not a picture that can be read"),)
    assert started == []


def test_the_hash_of_a_product_is_that_of_its_text_and_all_its_bytes_decoded_or_not(photo, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    task = PhotosTask((photo, str(tmp_path / "absent.png"), str(broken)), "a dress", 448)

    item = read_task(task)

    assert item.content_hash == hashlib.sha256(b"a dress" + Path(photo).read_bytes() + b"not a picture").hexdigest()
    assert hash_task(task) == item.content_hash
    assert [reason for _, reason in item.failures] == [
        "there is no such file", "the file is not a picture that can be read",
    ]  # fmt: skip


def test_the_hash_of_a_video_is_had_without_decoding_it(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"no video")

    assert hash_task(VideoTask(str(tmp_path / "clip.mp4"), 8, 448)) == hashlib.sha256(b"no video").hexdigest()


def test_the_hash_of_what_cannot_be_read_is_empty():
    assert hash_task(VideoTask("absent.mp4", 8, 448)) == ""


def test_the_state_of_a_local_file_is_its_size_and_time(tmp_path):
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"12345")
    os.utime(file, ns=(0, 1_700_000_000_123_456_789))

    assert source_of(str(file)) == source_of(f"file://{file}") == "5:1700000000123456789"


@pytest.mark.parametrize("uri", ["absent.mp4", "", ".", "x" * 3000, "nul\0byte", "http://[", "s3://x", "\udcff"])
def test_the_state_of_what_is_no_file_is_empty(uri):
    assert source_of(uri) == ""


def test_a_video_is_signed_by_the_state_of_its_file(clip):
    task = VideoTask(clip, 8, 448)

    assert task.signature() == signature_of(task) == source_of(clip) != ""


def test_a_product_is_signed_by_its_text_and_its_photos_in_their_order(photo, clip, tmp_path):
    signature = PhotosTask((photo, clip), "a dress", 448).signature()

    assert PhotosTask((photo, clip), "a dress", 224).signature() == signature
    assert PhotosTask((clip, photo), "a dress", 448).signature() != signature
    assert PhotosTask((photo,), "a dress", 448).signature() != signature
    assert PhotosTask((photo, clip), "a skirt", 448).signature() != signature
    os.utime(photo, ns=(0, 0))
    assert PhotosTask((photo, clip), "a dress", 448).signature() not in (signature, "")


def test_a_product_with_a_photo_whose_state_is_unknown_is_signed_by_the_rest(photo, tmp_path):
    dress, skirt = (PhotosTask((photo, "absent.png"), text, 448).signature() for text in ("a dress", "a skirt"))

    assert "" != dress != skirt
    assert dress != PhotosTask((photo, photo), "a dress", 448).signature()


def test_a_product_of_text_alone_is_signed_by_it():
    assert PhotosTask((), "a dress", 448).signature() != PhotosTask((), "a skirt", 448).signature() != ""
