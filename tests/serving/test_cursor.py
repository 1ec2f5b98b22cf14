import base64
import zlib

import numpy as np
import pytest

from serving.cursor import (
    HEAD,
    MAC_BYTES,
    VERSION,
    Cursor,
    CursorError,
    KeyIndex,
    _mac,
    advance,
    asker_of,
    read_cursor,
    sign,
    video_keys,
)

SECRET = b"a secret of the tests"
FEED = "0123456789abcdef" * 2
ANN = asker_of("ann", "multimodal")
CURSOR = Cursor(FEED, ANN, video_keys(["v1", "v2", "v3"]))
SIGNED = sign(CURSOR, SECRET)
TWINS = ("plumless", "buckeroo")  # two words of one CRC-32


def raw(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed_body(body):
    return text_of(body + _mac(body, SECRET))


def test_what_was_signed_is_read():
    found = read_cursor(SIGNED, SECRET, ANN)

    assert (found.feed_id, found.asker, found.again) == (FEED, ANN, False)
    np.testing.assert_array_equal(found.served, CURSOR.served)


def test_a_feed_at_its_beginning_is_read():
    found = read_cursor(sign(Cursor(FEED, ANN, video_keys([])), SECRET), SECRET, ANN)

    assert len(found.served) == 0


def test_that_all_was_seen_is_kept():
    assert read_cursor(sign(advance(CURSOR, [], again=True), SECRET), SECRET, ANN).again


def test_a_page_is_added_behind_what_was_served():
    behind = read_cursor(sign(advance(CURSOR, ["v4", "v5"], again=False), SECRET), SECRET, ANN)

    assert behind.served.tolist() == [zlib.crc32(f"v{number}".encode()) for number in (1, 2, 3, 4, 5)]
    assert behind.feed_id == FEED


def test_a_cursor_is_safe_in_a_url():
    assert set(SIGNED) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_two_thousand_videos_fit_into_the_parameter():
    assert len(sign(Cursor(FEED, ANN, np.zeros(2000, np.uint32)), SECRET)) < 20_000


def test_the_most_videos_that_settings_allow_fit_into_the_parameter():
    assert len(sign(Cursor(FEED, ANN, np.zeros(3700, np.uint32)), SECRET)) < 20_000


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("place", range(len(raw(SIGNED))))
def test_one_bit_changed_anywhere_is_refused(place, bit):
    forged = bytearray(raw(SIGNED))
    forged[place] ^= 1 << bit

    with pytest.raises(CursorError, match="damaged"):
        read_cursor(text_of(bytes(forged)), SECRET, ANN)


@pytest.mark.parametrize("length", range(len(SIGNED)))
def test_a_cut_cursor_is_refused(length):
    with pytest.raises(CursorError):
        read_cursor(SIGNED[:length], SECRET, ANN)


@pytest.mark.parametrize(
    "text",
    ["", "=", "A", "é", "\ud800", "\0", " " + SIGNED, SIGNED + "\n", SIGNED + "!", SIGNED + "A", "A" * 20_000],
)
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(CursorError):
        read_cursor(text, SECRET, ANN)


def test_another_secret_is_refused():
    with pytest.raises(CursorError, match="another secret"):
        read_cursor(SIGNED, b"another secret of the tests", ANN)


@pytest.mark.parametrize(("user", "system"), [("bob", "multimodal"), ("ann", "recency"), ("", "multimodal")])
def test_another_user_or_system_is_refused(user, system):
    with pytest.raises(CursorError, match="another user or system"):
        read_cursor(SIGNED, SECRET, asker_of(user, system))


def test_user_and_system_do_not_run_together():
    assert asker_of("x", "ay") != asker_of("yx", "a")


def test_another_version_is_refused_though_it_is_signed():
    body = HEAD.pack(VERSION + 1, bytes.fromhex(FEED), ANN, False)

    with pytest.raises(CursorError, match="another version"):
        read_cursor(signed_body(body), SECRET, ANN)


def test_a_signed_body_of_odd_length_is_refused():
    body = HEAD.pack(VERSION, bytes.fromhex(FEED), ANN, False) + b"123"

    with pytest.raises(CursorError):
        read_cursor(signed_body(body), SECRET, ANN)


def test_a_signed_body_without_a_head_is_refused():
    with pytest.raises(CursorError):
        read_cursor(signed_body(b"1234"), SECRET, ANN)


def test_the_signature_is_long_enough_not_to_be_guessed():
    assert MAC_BYTES >= 16


def test_keys_are_those_of_the_ids():
    assert video_keys(["v1", "ü"]).tolist() == [zlib.crc32(b"v1"), zlib.crc32("ü".encode())]


def brute_force(ids, wanted):
    keys = {zlib.crc32(video.encode()) for video in wanted}
    return [row for row, video in enumerate(ids) if zlib.crc32(video.encode()) in keys]


def test_rows_of_keys_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    ids = [f"v{number}" for number in rng.permutation(2000)]
    wanted = [f"v{number}" for number in rng.integers(0, 3000, 500)]  # a third of them is not there, some are twice

    assert KeyIndex(ids).rows(video_keys(wanted)).tolist() == brute_force(ids, wanted)


def test_videos_of_one_key_are_both_found():
    assert zlib.crc32(TWINS[0].encode()) == zlib.crc32(TWINS[1].encode())
    ids = ["a", TWINS[1], "b", TWINS[0], "c"]

    assert KeyIndex(ids).rows(video_keys([TWINS[0]])).tolist() == [1, 3] == brute_force(ids, [TWINS[0]])


def test_no_key_has_no_rows():
    assert KeyIndex(["a"]).rows(video_keys([])).tolist() == []


def test_an_empty_snapshot_has_no_rows():
    assert KeyIndex([]).rows(video_keys(["a"])).tolist() == []
