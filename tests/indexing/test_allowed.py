"""Only what lies in an allowed place is permitted, whatever an URL pretends."""

import pytest

from indexing.allowed import Allowed

SHOP = Allowed(
    ("https://cdn.shop.example/clips", "s3://bucket/clips", "http://127.0.0.1:8000", "https://[2001:db8::1]")
)


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.shop.example/clips",
        "https://cdn.shop.example/clips/a.mp4",
        "HTTPS://CDN.shop.example:443/clips/a b.mp4?token=x",
        "s3://bucket/clips/2026/a.mp4",
        "https://cdn.shop.example/clips/a.mp4?X-Amz-Credential=AKIA%2F20240101%2Feu-west-1%2Fs3%2Faws4_request",
        "https://cdn.shop.example/clips/a.mp4?from=a::b&path=/../c/./d",
        "http://127.0.0.1:8000/anything",
        "https://[2001:db8::1]/a.mp4",
    ],
)
def test_what_lies_in_an_allowed_folder_is_permitted(url):
    assert SHOP.permits(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.shop.example/clips/a.mp4",
        "https://cdn.shop.example:8443/clips/a.mp4",
        "https://cdn.shop.example:99999/clips/a.mp4",
        "https://cdn.shop.example/clips-of-others/a.mp4",
        "https://cdn.shop.example/",
        "https://cdn.shop.example.evil.test/clips/a.mp4",
        "https://evil.test/https://cdn.shop.example/clips/a.mp4",
        "https://cdn.shop.example@evil.test/clips/a.mp4",
        "https://user@cdn.shop.example/clips/a.mp4",
        "https://evil.test\\@cdn.shop.example/clips/a.mp4",
        "https://cdn.shop.example/clips/../secret.mp4",
        "https://cdn.shop.example/clips/./a.mp4",
        "https://cdn.shop.example/clips/%2e%2e/secret.mp4",
        "https://cdn.shop.example/clips/%252e%252e/secret.mp4",
        "https://cdn.shop.example/clips%2f..%2fsecret.mp4",
        "https://cdn.shop.example/clips/..%5csecret.mp4",
        "https://cdn.shop.example/clips%2fa.mp4",
        "https://cdn.shop.example/clips/a%2Fb.mp4",
        "https://cdn.shop.example\t/clips/a.mp4",
        "https://cdn.shop.example/clips/a.mp4%0d%0aHost: evil.test",
        " https://cdn.shop.example/clips/a.mp4",
        "https://cdn.shop.example/clips/a.mp4?x=%0d%0aHost: evil.test",
        "https://cdn.shop.example/clips/a.mp4?x=..%5csecret",
        "https://cdn.shop.example/clips/../secret.mp4?token=x",
        "https://cdn.shop.example/clips%2fa.mp4?token=x",
        "https://cdn.shop.example/clips/..%3f/a.mp4",
        "s3://bucket/clips/a.mp4?x=a%2fb",
        "s3://bucket/clips/a.zip::file:///etc/passwd",
        "simplecache::s3://bucket/clips/a.mp4",
        "s3://Bucket/clips/a.mp4",
        "s3://bucket/clips?/../secret.mp4",
        "file:///clips/a.mp4",
        "local:///clips/a.mp4",
        "///cdn.shop.example/clips/a.mp4",
        "https://[2001:db8::2]/a.mp4",
        "https://[not-an-address]/a.mp4",
        "http://127.0.0.1/anything",
        "",
    ],
)
def test_all_else_is_refused_whatever_it_pretends(url):
    assert not SHOP.permits(url)


@pytest.mark.parametrize("prefix", ["file:///", "local:///", "", "/", "simplecache::file:///", "https://a@b/"])
def test_a_prefix_never_opens_the_local_disk_or_a_trick(prefix):
    allowed = Allowed((prefix,))

    assert not any(map(allowed.permits, ["file:///etc/passwd", "local:///etc/passwd", "/etc/passwd", prefix]))
