import os

import pytest

from serving.errors import ApiError
from serving.media import Elsewhere, find_media, require_image

CDN = ("https://cdn.example/clips",)


@pytest.fixture(name="root")
def _root(tmp_path):
    """A folder of media beside a secret, with links that lead to both."""
    root = tmp_path / "media"
    (root / "clips").mkdir(parents=True)
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (root / "clips/a.mp4").write_bytes(b"film")
    (root / "notes.txt").write_bytes(b"text")
    (root / "out.mp4").symlink_to(tmp_path / "secret.mp4")
    (root / "up").symlink_to(tmp_path)
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    (root / "in.mp4").symlink_to(root / "clips/a.mp4")
    (root / "folder.mp4").mkdir()
    return root


def test_a_file_below_the_folder_is_found(root):
    found = find_media("clips/a.mp4", root, ())

    assert (found.path.read_bytes(), found.media_type) == (b"film", "video/mp4")


def test_a_link_that_stays_inside_is_followed(root):
    assert find_media("in.mp4", root, ()).path == root / "clips/a.mp4"


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.mp4",
        "clips/../../secret.mp4",
        "out.mp4",
        "up/secret.mp4",
        "loop.mp4",
        "folder.mp4",
        "clips",
        "",
        ".",
        "notes.txt",
        "gone.mp4",
        "clips/a.mp4\0",
        "\0.mp4",
        "a" * 5000 + ".mp4",
        "/etc/passwd",
        "file:///etc/passwd.mp4",
        "s3://bucket/a.mp4",
        "javascript:alert(1)//.mp4",
        "~/a.mp4",
        "..\\secret.mp4",
        "%2e%2e/secret.mp4",
    ],
)
def test_what_lies_elsewhere_or_is_no_media_is_not_found(root, uri):
    with pytest.raises(ApiError) as error:
        find_media(uri, root, CDN)

    assert (error.value.status, error.value.message) == (404, "The file of this item is not here.")


def test_an_absolute_path_to_a_secret_is_not_found(root):
    with pytest.raises(ApiError):
        find_media(str(root.parent / "secret.mp4"), root, ())


def test_without_a_folder_nothing_is_found():
    with pytest.raises(ApiError):
        find_media("clips/a.mp4", None, ())


def test_a_folder_that_is_a_link_is_looked_through(root, tmp_path):
    (tmp_path / "link").symlink_to(root)

    assert find_media("clips/a.mp4", tmp_path / "link", ()).path == root / "clips/a.mp4"


def test_a_device_is_not_found(root):
    os.mkfifo(root / "pipe.mp4")

    with pytest.raises(ApiError):
        find_media("pipe.mp4", root, ())


@pytest.mark.parametrize("uri", ["https://cdn.example/clips/a.mp4", "https://cdn.example/clips/b/a%20b.mp4?x=1"])
def test_an_allowed_address_is_given_to_the_client(root, uri):
    assert find_media(uri, root, CDN) == Elsewhere(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://cdn.example/clips/a.mp4",
        "https://cdn.example/clipsa.mp4",
        "https://cdn.example/other/a.mp4",
        "https://cdn.example/clips/../secret.mp4",
        "https://cdn.example/clips/%2e%2e/secret.mp4",
        "https://cdn.example/clips/%2E./secret.mp4",
        "https://cdn.example/clips/..\\secret.mp4",
        "https://cdn.example/clips/..%5csecret.mp4",
        "https://cdn.example.evil/clips/a.mp4",
        "https://evil/https://cdn.example/clips/a.mp4",
        "https://user@cdn.example/clips/a.mp4",
        "https://cdn.example:8443/clips/a.mp4",
        "https://cdn.example@evil/clips/a.mp4",
        "https://[bad/clips/a.mp4",
        "ftp://cdn.example/clips/a.mp4",
        "://cdn.example/clips/a.mp4",
        "//cdn.example/clips/a.mp4",
    ],
)
def test_another_address_is_not_given_to_anybody(root, uri):
    with pytest.raises(ApiError):
        find_media(uri, root, CDN)


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/PNG", "image/png; charset=x", " image/png "])
def test_a_picture_may_be_declared_in_any_way_of_writing(kind):
    assert require_image(kind) == "image/png"


@pytest.mark.parametrize("kind", ["", "image/gif", "image/svg+xml", "text/html", "image", "multipart/form-data"])
def test_another_type_is_refused(kind):
    with pytest.raises(ApiError) as error:
        require_image(kind)

    assert error.value.status == 415
