import hashlib

import numpy as np
import pytest

from retrieval.errors import ConfigError
from serving.buckets import Experiment, bucket_of, read_experiment, unit_point

SYSTEMS = {"control": "recency", "treatment": "multimodal", "other": "popularity"}
SHARES = {"control": 0.5, "treatment": 0.3, "other": 0.2}
KNOWN = ("random", "recency", "popularity", "multimodal")
CHI2_2, CHI2_4 = 13.816, 18.467  # what 1 in 1000 exceeds by chance, with 2 and 4 degrees of freedom
USERS = [f"u{number:06d}" for number in range(100_000)]


def experiment(salt: str = "spring-1", shares: dict[str, float] | None = None) -> Experiment:
    return Experiment("spring", salt, SYSTEMS, shares or SHARES)


def counts(rows: list[str], columns: list[str]) -> np.ndarray:
    table = np.zeros((3, 3))
    names = list(SHARES)
    np.add.at(table, ([names.index(row) for row in rows], [names.index(column) for column in columns]), 1)
    return table


def test_a_known_user_stands_where_the_hash_says():
    number = int(hashlib.blake2b(b"spring-1\0u1", digest_size=8).hexdigest(), 16)

    assert unit_point("spring-1", "u1") == pytest.approx(number / 2**64, abs=2**-52)


def test_known_answers_never_change():
    points = [int(hashlib.blake2b(f"s\0{user}".encode(), digest_size=8).hexdigest(), 16) / 2**64 for user in "abcdef"]
    expected = ["control" if point < 0.5 else "treatment" if point < 0.8 else "other" for point in points]

    assert [bucket_of(experiment("s"), user) for user in "abcdef"] == expected


def test_the_same_user_is_always_in_the_same_bucket():
    assert bucket_of(experiment(), "u1") == bucket_of(experiment(), "u1")


def test_buckets_have_their_shares():
    buckets = [bucket_of(experiment(), user) for user in USERS]
    expected = np.array([50_000.0, 30_000.0, 20_000.0])

    observed = counts(buckets, buckets).sum(axis=1)

    assert ((observed - expected) ** 2 / expected).sum() < CHI2_2


def test_two_salts_divide_independently():
    table = counts(
        [bucket_of(experiment("one"), user) for user in USERS], [bucket_of(experiment("two"), user) for user in USERS]
    )
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()

    assert ((table - expected) ** 2 / expected).sum() < CHI2_4


def test_a_bucket_that_stands_first_keeps_its_users_when_it_grows():
    small = experiment(shares={"treatment": 0.1, "control": 0.9})
    large = experiment(shares={"treatment": 0.2, "control": 0.8})

    before = {user for user in USERS[:10_000] if bucket_of(small, user) == "treatment"}
    after = {user for user in USERS[:10_000] if bucket_of(large, user) == "treatment"}

    assert before < after
    assert len(before) == pytest.approx(1000, abs=4 * 30)  # σ = √(10,000 · 0.1 · 0.9) = 30
    assert len(after) == pytest.approx(2000, abs=4 * 40)


def test_an_empty_bucket_gets_nobody():
    divided = experiment(shares={"control": 0.0, "treatment": 1.0, "other": 0.0})

    assert {bucket_of(divided, user) for user in USERS[:1000]} == {"treatment"}


def test_shares_that_sum_to_a_rounding_below_one_leave_nobody_out():
    tenths = {f"b{number}": 0.1 for number in range(10)}  # 0.1 + … + 0.1 = 0.9999999999999999

    assert sum(tenths.values()) < 1
    assert all(bucket_of(Experiment("e", "s", {}, tenths), user) for user in USERS[:1000])


def test_a_table_is_read():
    table = {"name": "spring", "salt": "spring-1", "systems": SYSTEMS, "shares": SHARES}

    assert read_experiment(table, KNOWN) == experiment()


def test_shares_are_equal_where_none_are_given():
    table = {"name": "spring", "salt": "s", "systems": {"control": "recency", "treatment": "multimodal"}}

    assert read_experiment(table, KNOWN).shares == {"control": 0.5, "treatment": 0.5}


GOOD = {"name": "spring", "salt": "s", "systems": {"a": "recency", "b": "multimodal"}}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "unknown option colour"),
        ({"name": ""}, "experiment.name is '', not a text"),
        ({"salt": 7}, "experiment.salt is 7, not a text"),
        ({"systems": {}}, "not a table of buckets"),
        ({"systems": {"a": "best"}}, "experiment.systems.a is 'best', which is no system"),
        ({"shares": {"a": 1.0}}, "not a share of each of a, b"),
        ({"shares": {"a": 0.5, "b": "half"}}, "experiment.shares.b is 'half', not a number"),
        ({"shares": {"a": -0.5, "b": 1.5}}, "experiment.shares.a is -0.5, not a number"),
        ({"shares": {"a": 0.5, "b": 0.4}}, "experiment.shares sum to 0.9, not to 1"),
    ],
)
def test_a_wrong_table_is_refused_with_a_sentence(change, sentence):
    with pytest.raises(ConfigError, match=sentence):
        read_experiment({**GOOD, **change}, KNOWN)
