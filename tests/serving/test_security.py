"""Who may ask for what and how often, and what no answer and no log line ever tells."""

import json
import logging
import sys
from dataclasses import replace

import pytest
from pydantic import ValidationError

from lookreel.cli import main
from retrieval.errors import ConfigError, UserFacingError
from serving.bodies import FeedBody
from serving.errors import ApiError
from serving.security import KeyRing, RateLimit, Role, hash_key, open_key_ring
from serving.server import environment_of, run_server
from serving.services import Services
from serving.settings import Settings, load_settings, require_private
from tests.serving.site import Clock, TestClient, build_site, create_app, open_breakable, open_site, serving

READ, WRITE, ADMIN = "the-read-key-of-tests", "the-write-key-of-tests", "the-admin-key-of-tests"
KEYS = {"read_keys": READ, "write_keys": f"{WRITE}, another-write-key-of-tests", "admin_keys": ADMIN}
OPERATIONS = [
    ("GET", "/v1/users/{user_id}/feed", Role.READ),
    ("POST", "/v1/feed", Role.READ),
    ("POST", "/v1/search", Role.READ),
    ("POST", "/v1/search/image", Role.READ),
    ("GET", "/v1/videos/{video_id}", Role.READ),
    ("GET", "/v1/videos/{video_id}/similar", Role.READ),
    ("GET", "/v1/videos/{video_id}/media", Role.READ),
    ("GET", "/v1/videos/{video_id}/poster", Role.READ),
    ("GET", "/v1/products/{product_id}", Role.READ),
    ("GET", "/v1/products/{product_id}/photo", Role.READ),
    ("GET", "/v1/systems", Role.READ),
    ("GET", "/v1/users", Role.READ),
    ("GET", "/v1/users/{user_id}/history", Role.READ),
    ("GET", "/metrics", Role.READ),
    ("POST", "/v1/events", Role.WRITE),
    ("DELETE", "/v1/users/{user_id}", Role.WRITE),
    ("POST", "/v1/users/{anonymous}/merge/{user_id}", Role.WRITE),
    ("PATCH", "/v1/products", Role.WRITE),
    ("GET", "/v1/admin/snapshot", Role.ADMIN),
    ("POST", "/v1/admin/snapshot", Role.ADMIN),
    ("POST", "/v1/admin/rollback", Role.ADMIN),
    ("GET", "/v1/admin/blocks", Role.ADMIN),
    ("PUT", "/v1/admin/blocks", Role.ADMIN),
    ("DELETE", "/v1/admin/blocks/{kind}/{key}", Role.ADMIN),
]
OPEN = [("GET", "/healthz"), ("GET", "/readyz")]
KEY_OF = {Role.READ: READ, Role.WRITE: WRITE, Role.ADMIN: ADMIN}


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("security"))


@pytest.fixture(scope="module", name="locked")
def _locked(shop, tmp_path_factory):
    """A client of a service with keys of all roles; it has none itself."""
    with serving(shop, state=tmp_path_factory.mktemp("locked"), **KEYS) as client:
        yield client


@pytest.fixture(scope="module", name="open_api")
def _open_api(shop, tmp_path_factory):
    """A client of a service without keys."""
    with serving(shop, state=tmp_path_factory.mktemp("open")) as client:
        yield client


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def ask(api, method, path, key=None):
    """A request that has the right form of path, whatever comes of it."""
    for name in ("{user_id}", "{video_id}", "{product_id}", "{anonymous}", "{key}"):
        path = path.replace(name, "nobody-7")
    return api.request(method, path.replace("{kind}", "video"), headers=bearer(key) if key else {})


def test_every_operation_is_in_the_table(locked):
    paths = locked.get("/openapi.json").json()["paths"]

    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert documented == {(method, path) for method, path, _ in OPERATIONS} | set(OPEN)


@pytest.mark.parametrize(("method", "path", "role"), OPERATIONS)
def test_without_a_key_nothing_is_answered(locked, method, path, role):
    answer = ask(locked, method, path)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize(("method", "path", "role"), OPERATIONS)
def test_a_key_opens_what_its_role_allows_and_no_more(locked, method, path, role):
    statuses = {of: ask(locked, method, path, key).status_code for of, key in KEY_OF.items()}

    assert {of for of, status in statuses.items() if status == 403} == {of for of in Role if of < role}
    assert 401 not in statuses.values()


@pytest.mark.parametrize(("method", "path"), OPEN)
def test_probes_need_no_key(locked, method, path):
    assert ask(locked, method, path).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {READ}",
        READ,
        f"Bearer  {READ}x",
        f"Bearer {READ[:-1]}",
        f"Bearer {READ.upper()}",
        f"Bearer {READ},{WRITE}",
        f"Bearer {hash_key(READ).hex()}",
        "Bearer " + "x" * 10_000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/systems", "/v1/users/ann/feed"])
def test_what_is_no_key_of_ours_is_refused(locked, path, header):
    assert locked.get(path, headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("path", ["/v1/systems", "/v1/users/ann/feed"])
def test_the_scheme_may_be_written_in_any_way(locked, path):
    assert locked.get(path, headers={"Authorization": f"bearer {READ}"}).status_code == 200


def test_a_key_in_the_address_is_none(locked):
    assert locked.get(f"/v1/systems?key={READ}&token={READ}&access_token={READ}").status_code == 401


def test_without_keys_everybody_reads_and_writes_and_nobody_is_an_admin(open_api):
    statuses = {ask(open_api, method, path).status_code for method, path, role in OPERATIONS if role is Role.ADMIN}

    assert statuses == {403}
    assert open_api.get("/v1/systems").status_code == 200
    assert open_api.post("/v1/events", json=[]).status_code == 200


def test_keys_are_kept_as_hashes_alone(locked):
    ring = open_key_ring(Settings(snapshot="s", **KEYS))

    assert ring.roles[hash_key(WRITE)] is Role.WRITE
    assert ring.roles[hash_key("another-write-key-of-tests")] is Role.WRITE
    assert len(ring.roles) == 4
    assert not any(
        key in repr(thing) for key in (READ, WRITE, ADMIN) for thing in (ring, Settings(snapshot="s", **KEYS))
    )


def test_a_ring_without_keys_lets_anybody_write():
    assert KeyRing({}).find(None) == (b"", Role.WRITE)


def test_settings_are_handed_on_without_keys():
    values = environment_of(Settings(snapshot="s", secret="a secret of the tests", **KEYS))

    assert not any("KEYS" in name or "SECRET" in name for name in values)
    assert not any(secret in str(values) for secret in (READ, WRITE, ADMIN, "a secret of the tests"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"read_keys": "short"}, "has 5 characters; at least 16"),
        ({"admin_keys": f"{ADMIN},short"}, "LOOKREEL_ADMIN_KEYS has 5"),
        ({"read_keys": READ, "admin_keys": READ}, "another role too"),
    ],
)
def test_keys_that_protect_nothing_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        open_key_ring(Settings(snapshot="s", **given))


def test_a_short_secret_signs_nothing(shop, tmp_path):
    with pytest.raises(ConfigError, match="LOOKREEL_SECRET has 5 bytes"):
        open_site(shop, state=tmp_path, secret="short")


@pytest.mark.parametrize(
    "given", [{"secret": "short"}, {"events": "file:///events.db"}, {"events": "sqlite:////a/b/c"}]
)
def test_what_every_worker_would_fail_at_is_told_before_any_starts(shop, tmp_path, given):
    with pytest.raises(UserFacingError):
        run_server(Settings(snapshot=shop / "snapshot", state=tmp_path, workers=2, port=0, **given), "no:app")


def test_a_refused_key_is_not_told():
    with pytest.raises(ConfigError) as error:
        open_key_ring(Settings(snapshot="s", read_keys="short-key"))

    assert "short-key" not in str(error.value)


@pytest.mark.parametrize("name", ["rate_limit", "port", "workers", "queue_limit", "max_pages", "time_limit_s"])
def test_a_setting_that_is_none_is_refused_by_its_name(name):
    with pytest.raises(ConfigError, match=f"LOOKREEL_{name.upper()} cannot be used"):
        load_settings(snapshot="s", **{name: "-1"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "10.0.0.1", "shop.example", "127.0.0.1.evil", ""])
def test_an_address_that_others_reach_needs_keys(host):
    with pytest.raises(ConfigError, match="no keys are set"):
        require_private(Settings(snapshot="s", host=host))

    require_private(Settings(snapshot="s", host=host, read_keys=READ))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_an_address_of_this_machine_needs_none(host):
    require_private(Settings(snapshot="s", host=host))


def test_the_command_refuses_a_public_address_with_exit_code_2(shop, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["serve", "--snapshot", str(shop / "snapshot"), "--host", "0.0.0.0", "--port", "0"]
    monkeypatch.setattr(sys, "argv", ["lookreel", *arguments])

    with pytest.raises(SystemExit) as stopped:
        main()

    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert "no keys are set" in printed.err
    assert "Traceback" not in printed.err
    assert "Serving" not in printed.out


class Watchmaker:
    """A clock in seconds that tests move."""

    now_s = 100.0

    def __call__(self):
        return self.now_s


def taken(limit, key=b"k"):
    """None, or the seconds to wait."""
    try:
        limit.take(key)
    except ApiError as error:
        return int(error.headers["Retry-After"]) if error.status == 429 else error
    return None


def test_some_requests_may_come_at_once_and_then_so_many_a_second():
    clock = Watchmaker()
    limit = RateLimit(2.0, clock)

    assert [taken(limit) for _ in range(5)] == [None, None, None, None, 1]  # two seconds' worth
    clock.now_s += 0.5
    assert [taken(limit), taken(limit)] == [None, 1]
    clock.now_s += 60
    assert [taken(limit) for _ in range(5)] == [None, None, None, None, 1]


def test_a_slow_rate_says_how_long_to_wait():
    clock = Watchmaker()
    limit = RateLimit(0.1, clock)

    assert [taken(limit), taken(limit)] == [None, 10]
    clock.now_s += 9.9
    assert taken(limit) is not None
    clock.now_s += 0.2
    assert taken(limit) is None


def test_who_is_refused_does_not_wait_longer_for_trying():
    clock = Watchmaker()
    limit = RateLimit(1.0, clock)
    _ = [taken(limit) for _ in range(20)]

    clock.now_s += 1.0

    assert taken(limit) is None


def test_every_key_has_its_own_rate():
    limit = RateLimit(0.5, Watchmaker())

    assert [taken(limit, b"a"), taken(limit, b"a"), taken(limit, b"b")] == [None, 2, None]


def test_no_rate_is_no_limit():
    limit = RateLimit(0.0, Watchmaker())

    assert {taken(limit) for _ in range(1000)} == {None}


def test_the_rate_of_a_key_is_kept_over_http(shop, tmp_path):
    services = open_site(shop, state=tmp_path / "state", rate_limit=4.0, workers=2, **KEYS)
    services.rate = RateLimit(services.rate._rate, Watchmaker())  # each of two workers: 2 a second, 4 at once
    with TestClient(create_app(services)) as api:
        paths = ["/v1/systems", "/v1/users/ann/feed", "/v1/videos/v1", "/v1/systems", "/v1/users/ann/feed"]
        answers = [api.get(path, headers=bearer(READ)) for path in paths]
        other = api.get("/v1/systems", headers=bearer(WRITE))

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert other.status_code == 200


BODIES = ["/v1/feed", "/v1/search", "/v1/events", "/v1/products", "/v1/admin/blocks", "/v1/admin/snapshot"]
METHODS = {"/v1/products": "PATCH", "/v1/admin/blocks": "PUT"}
ODD = {
    "nothing": b"",
    "no json": b"{",
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "not utf-8": b'{"text": "\xff\xfe"}',
    "utf-16": '{"none": "a"}'.encode("utf-16"),
    "latin-1": '{"text": "ü"}'.encode("latin-1"),
    "half a character": b'{"text": "\\ud800", "key": "\\ud800", "kind": "\\udfff", "version": "\\ud800"}',
    "half a character as a key": b'{"\\ud800": 1}',
    "a long number": b'{"k": ' + b"9" * 5000 + b"}",
    "a large number": b'{"k": 1e999, "text": "a", "history": []}',
    "no number": b'{"k": NaN, "text": "a", "history": []}',
    "a text": b'"text"',
    "nul": b"\0",
    "many keys": json.dumps({str(number): number for number in range(20_000)}).encode(),
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("path", BODIES)
def test_an_odd_body_is_refused_in_our_form(locked, path, odd):
    headers = {**bearer(ADMIN), "Content-Type": "application/json"}

    answer = locked.request(METHODS.get(path, "POST"), path, content=ODD[odd], headers=headers)

    refused_rows = path == "/v1/events" and answer.status_code == 200 and answer.json()["accepted"] == 0
    assert refused_rows or (answer.status_code in (400, 422) and answer.json()["error"]["message"])


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("kind", ["", "text/plain", "application/xml", "multipart/form-data; boundary=x", "nonsense"])
def test_a_body_of_another_type_is_refused_in_our_form(locked, path, kind):
    headers = {**bearer(ADMIN), "Content-Type": kind}

    answer = locked.request(METHODS.get(path, "POST"), path, content=b"a=1", headers=headers)

    assert answer.status_code in (400, 415, 422)
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "GZIP", "x"])
@pytest.mark.parametrize("path", [*BODIES, "/v1/search/image"])
def test_a_packed_body_is_refused_unread(locked, path, encoding):
    headers = {**bearer(ADMIN), "Content-Encoding": encoding, "Content-Type": "application/json"}

    answer = locked.request(METHODS.get(path, "POST"), path, content=b"\x1f\x8b", headers=headers)

    assert answer.status_code == 415


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_is_too_large_is_refused(shop, tmp_path, path):
    with serving(shop, state=tmp_path / "state", body_limit=100, **KEYS) as api:
        method, headers = METHODS.get(path, "POST"), {**bearer(ADMIN), "Content-Type": "application/json"}
        told = api.request(method, path, content=b" " * 101, headers=headers)
        untold = api.request(method, path, content=iter([b" " * 60, b" " * 60]), headers=headers)

    assert [told.status_code, untold.status_code] == [413, 413]
    assert told.json()["error"]["code"] == untold.json()["error"]["code"] == "body_too_large"


@pytest.mark.parametrize(
    "body",
    [
        {"history": [1] * 1000},
        {"history": [{}] * 1000},
        {"history": [], **{f"x{number}": 1 for number in range(1000)}},
        {"history": [{f"x{number}": 1 for number in range(1000)}]},
    ],
)
def test_the_faults_of_a_body_are_not_gathered_without_end(body):
    with pytest.raises(ValidationError) as caught:
        FeedBody.model_validate(body)

    assert caught.value.error_count() < 5


@pytest.mark.parametrize(
    "headers",
    [{f"X-{number}": "a" for number in range(120)}, {"X-Long": "a" * 40_000}, {"X" * 40_000: "a"}],
)
def test_a_head_that_is_too_large_is_refused(locked, headers):
    answer = locked.get("/v1/systems", headers={**bearer(READ), **headers})

    assert answer.status_code == 431
    assert answer.json()["error"]["code"] == "head_too_large"


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v2/feed", "/admin", "/.env", "/v1/systems/", "//v1/systems", "/%00"]
)
def test_another_address_is_not_found_in_our_form(locked, path):
    answer = locked.get(path, headers=bearer(ADMIN), follow_redirects=False)

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "NONSENSE"])
def test_another_method_is_not_allowed_in_our_form(locked, method):
    answer = locked.request(method, "/v1/systems", headers=bearer(ADMIN))

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_every_answer_tells_browsers_not_to_guess(locked):
    answers = [locked.get("/healthz"), locked.get("/nothing"), locked.get("/v1/systems", headers=bearer(READ))]

    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}


USER, SECRET_PATH = "zebra-user-7", "/very/secret/place"
FAILING = [
    ("GET", f"/v1/users/{USER}/feed?where=colour:red", None),
    ("GET", f"/v1/users/{USER}/feed?cursor=forged", None),
    ("GET", f"/v1/users/{USER}/feed?k=1000", None),
    ("GET", f"/v1/users/{USER}/feed?system=none", None),
    ("GET", f"/v1/users/{USER}/history?system=none", None),
    ("GET", f"/v1/users/{USER}/feed/none", None),
    ("POST", f"/v1/users/{USER}/merge/{USER}", None),
    ("POST", "/v1/feed", {"history": [{"product_id": USER, "occurred_at": "never"}]}),
    ("POST", "/v1/events", [{"user_id": USER, "product_id": ""}, {"user_id": USER, "product_id": "p1"}]),
    ("POST", "/v1/search", {"text": "red"}),
    ("GET", "/v1/videos/v1/media", None),
    ("GET", "/v1/videos/none", None),
    ("GET", "/v1/products/none/photo", None),
    ("POST", "/v1/admin/snapshot", {"version": "0" * 12}),
    ("POST", "/v1/admin/rollback", None),
    ("PUT", "/v1/admin/blocks", {"kind": USER}),
]


def all_failures(api):
    return [api.request(method, path, json=body, headers=bearer(ADMIN)) for method, path, body in FAILING]


def told_by(answer):
    return answer.text + str(answer.headers)


def test_no_failure_tells_a_path_a_trace_or_a_key(shop, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    services, store = open_breakable(shop, state=tmp_path / "state", **KEYS)
    with TestClient(create_app(services), raise_server_exceptions=False) as api:
        answers = all_failures(api)
        store.down = True
        answers += all_failures(api)

    text = "\n".join(map(told_by, answers))
    assert {answer.status_code for answer in answers} >= {400, 404, 409, 422, 501, 503}
    assert 500 not in {answer.status_code for answer in answers}
    assert not any(word in text for word in (str(shop), str(tmp_path), "Traceback", ".py", READ, WRITE, ADMIN))
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name.partition(".")[0] != "httpx2")
    assert not any(word in lines for word in (READ, WRITE, ADMIN, "Traceback"))


def test_no_line_of_the_log_names_a_user(shop, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    services, store = open_breakable(shop, state=tmp_path / "state", **KEYS)
    with TestClient(create_app(services), raise_server_exceptions=False) as api:
        api.post("/v1/events", json=[{"user_id": USER, "product_id": "p1"}], headers=bearer(ADMIN))
        api.get(f"/v1/users/{USER}/feed", headers=bearer(ADMIN))
        all_failures(api)
        store.down = True
        all_failures(api)
        store.down = False
        services.follower.tick()
        api.delete(f"/v1/users/{USER}", headers=bearer(ADMIN))

    lines = [record.getMessage() for record in caplog.records if record.name.partition(".")[0] in OUR_LOGGERS]
    assert lines
    assert not any(USER in line for line in lines)


OUR_LOGGERS = ("serving", "retrieval", "indexing", "uvicorn", "fastapi", "starlette", "asyncio")


def test_our_own_faults_are_told_to_nobody_but_the_log(shop, tmp_path, caplog):
    def broken():
        raise RuntimeError(f"no such file: {SECRET_PATH}")

    parts = open_site(shop, state=tmp_path / "state", **KEYS).parts
    services = Services(parts)
    services.follower.tick()
    services.now_us = broken
    with TestClient(create_app(services), raise_server_exceptions=False) as api:
        answer = api.get(f"/v1/users/{USER}/feed", headers=bearer(READ))

    assert answer.status_code == 500
    assert answer.json() == {
        "error": {"code": "internal_error", "message": "Something went wrong on our side.", "cure": ""}
    }
    (record,) = [record for record in caplog.records if record.name == "serving.gate"]
    assert record.getMessage() == "/v1/users/{user_id}/feed failed"


def test_metrics_name_neither_users_nor_keys(shop, tmp_path):
    with serving(shop, Clock(), state=tmp_path / "state", **KEYS) as api:
        all_failures(api)
        text = api.get("/metrics", headers=bearer(READ)).text

    assert 'route="/v1/users/{user_id}/feed"' in text
    assert not any(word in text for word in (USER, READ, WRITE, ADMIN))


def test_parts_are_shown_without_the_secret(shop, tmp_path):
    services = open_site(shop, state=tmp_path / "state", **KEYS)
    try:
        shown = repr(replace(services.parts, secret=b"").settings)
    finally:
        services.close()

    assert "a secret of the tests" not in shown
