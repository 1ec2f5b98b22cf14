import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor

import pytest

from retrieval.errors import ConfigError
from serving.identity import load_secret, user_hash

SECRET = b"0123456789abcdef"


def test_a_hash_is_a_keyed_sha256_of_the_user():
    expected = hmac.new(SECRET, b"lookreel user\0u1", hashlib.sha256).hexdigest()[:32]

    assert user_hash(SECRET, "u1") == expected


def test_another_secret_gives_another_hash():
    assert user_hash(SECRET, "u1") != user_hash(b"fedcba9876543210", "u1")


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    first = load_secret(tmp_path / "state", {})

    assert load_secret(tmp_path / "state", {}) == first
    assert len(first) == 64  # hexadecimal digits of 32 random bytes
    assert (tmp_path / "state" / "secret").stat().st_mode & 0o777 == 0o600


def test_processes_that_make_it_at_once_agree(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        secrets = list(threads.map(lambda _: load_secret(tmp_path, {}), range(8)))

    assert len(set(secrets)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_the_environment_goes_before_the_file(tmp_path):
    assert load_secret(tmp_path, {"LOOKREEL_SECRET": "of-the-environment"}) == b"of-the-environment"
    assert not list(tmp_path.iterdir())


def test_a_short_secret_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="LOOKREEL_SECRET has 5 bytes; at least 16"):
        load_secret(tmp_path, {"LOOKREEL_SECRET": "short"})


def test_an_empty_secret_file_is_refused(tmp_path):
    (tmp_path / "secret").write_text("")

    with pytest.raises(ConfigError, match="has 0 bytes"):
        load_secret(tmp_path, {})
