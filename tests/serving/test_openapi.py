"""The documented API is the real one: requests that keep to the document, or break it, are drawn by schemathesis."""

import copy
from contextlib import suppress

import httpx2
import jsonschema_rs
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import checks
from schemathesis.generation import GenerationMode

from serving.app import DESCRIPTION
from tests.serving.site import ADMIN, ADMIN_KEY, Clock, build_site, serving
from tests.serving.test_security import OPEN, OPERATIONS

DRAWN = settings(
    derandomize=True, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
HELD_TO = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]
EVERY = [*((method, path) for method, path, _ in OPERATIONS), *OPEN]
METHODS = ("get", "put", "post", "delete", "patch")


class Even:
    """An encoder by hand, beside the vectors by hand: every text and picture lies between all axes."""

    name, fingerprint = "by-hand", "by-hand-1"

    def encode_texts(self, texts):
        return np.full((len(texts), 8), 8**-0.5, np.float32)

    encode_images = encode_texts


@pytest.fixture(scope="module", name="shop")
def _shop(tmp_path_factory):
    return build_site(tmp_path_factory.mktemp("described"))


@pytest.fixture(scope="module", name="locked")
def _locked(shop, tmp_path_factory):
    """A client of a service with an admin's key, which it has itself."""
    with serving(shop, Clock(), state=tmp_path_factory.mktemp("locked"), admin_keys=ADMIN_KEY) as client:
        client.services.stage.live.snapshot._encoders["by-hand"] = Even()
        client.headers.update(ADMIN)
        yield client


@pytest.fixture(scope="module", name="keyless")
def _keyless(shop, tmp_path_factory):
    """A client of a service with a key that it does not have."""
    with serving(shop, Clock(), state=tmp_path_factory.mktemp("keyless"), admin_keys=ADMIN_KEY) as client:
        yield client


@pytest.fixture(scope="module", name="public")
def _public(shop, tmp_path_factory):
    """A client of a service without keys."""
    with serving(shop, Clock(), state=tmp_path_factory.mktemp("public")) as client:
        client.services.stage.live.snapshot._encoders["by-hand"] = Even()
        yield client


@pytest.fixture(scope="module", name="document")
def _document(locked):
    return locked.get("/openapi.json").json()


@pytest.fixture(scope="module", name="described")
def _described(document):
    return schemathesis.openapi.from_dict(copy.deepcopy(document))


def send(client, case):
    """Send a drawn request and hold the answer to the document; of our own faults only the documented are allowed."""
    drawn = case.as_transport_kwargs(base_url="http://testserver")
    headers = {name: value for name, value in drawn["headers"].items() if name.lower() != "authorization"}
    body = {"json": drawn["json"]} if "json" in drawn else {"content": drawn.get("data")}
    try:
        request = client.build_request(drawn["method"], drawn["url"], params=drawn["params"], headers=headers, **body)
    except httpx2.InvalidURL:  # longer than the client sends
        reject()
    answer = client.send(request, follow_redirects=False)
    assert answer.status_code not in (500, 502, 504), case.as_curl_command()
    case.validate_response(answer, checks=HELD_TO)
    return answer.status_code


def statuses(client, described, method, path, n):
    """The statuses of *n* requests that keep to the document and as many that break it."""
    found = set()
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

        @settings(DRAWN, max_examples=n)
        @given(case=described[path][method].as_strategy(generation_mode=mode))
        def ask(case):
            found.add(send(client, case))

        with suppress(Unsatisfiable):  # where nothing can be broken
            ask()
    return found


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_whatever_is_asked_with_a_key_is_answered_as_documented(locked, described, method, path):
    assert not {401, 403} & statuses(locked, described, method, path, 25)


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in OPERATIONS])
def test_whatever_is_asked_without_a_key_is_refused_as_documented(keyless, described, method, path):
    # A body that is no JSON is refused before the key is looked at.
    assert statuses(keyless, described, method, path, 4) <= {400, 401, 413, 415, 431}


@pytest.mark.parametrize(("method", "path"), EVERY)
def test_whatever_is_asked_where_no_key_is_set_is_answered_as_documented(public, described, method, path):
    assert 401 not in statuses(public, described, method, path, 6)


def operations(document):
    return [
        (method, path, about)
        for path, methods in document["paths"].items()
        for method, about in methods.items()
        if method in METHODS
    ]


def references(part):
    """Every `$ref` below a part of the document."""
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [one for value in part.values() for one in references(value)]
    return [one for value in part for one in references(value)] if isinstance(part, list) else []


def test_the_document_is_openapi_3_1(document):
    assert document["openapi"].startswith("3.1")
    assert document["info"] == {"title": "Lookreel", "description": DESCRIPTION, "version": "1"}


def test_every_operation_has_a_name_of_its_own(document):
    names = [about["operationId"] for _, _, about in operations(document)]

    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_every_operation_says_what_it_does(document):
    assert all(about.get("description") or about.get("summary") for _, _, about in operations(document))


def test_every_operation_but_the_probes_takes_a_key(document):
    scheme = document["components"]["securitySchemes"]["HTTPBearer"]
    without = {path for _, path, about in operations(document) if {"HTTPBearer": []} not in about.get("security", [])}

    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert without == {"/healthz", "/readyz"}


def test_every_operation_documents_its_errors_in_one_form(document):
    form = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}}
    errors = [
        answer["content"]
        for _, _, about in operations(document)
        for status, answer in about["responses"].items()
        if int(status) >= 400
    ]

    assert len(errors) > 200
    assert all(content == form for content in errors)


def test_every_parameter_of_a_path_is_described(document):
    for method, path, about in operations(document):
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        described = {one["name"] for one in about.get("parameters", []) if one["in"] == "path"}
        assert named == described, (method, path)


def test_every_reference_leads_somewhere(document):
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}

    assert set(references(document)) <= known


def test_every_schema_is_a_json_schema(document):
    for name, described in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **described})
        whole = {"components": document["components"], "$ref": f"#/components/schemas/{name}"}
        jsonschema_rs.Draft202012Validator(whole)


def test_every_parameter_has_a_json_schema(document):
    parameters = [one["schema"] for _, _, about in operations(document) for one in about.get("parameters", [])]

    assert len(parameters) > 30
    for described in parameters:
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **described})


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("FeedAnswer", "/v1/users/ann/feed?k=3"),
        ("SearchAnswer", "/v1/videos/v1/similar"),
        ("VideoAnswer", "/v1/videos/v1"),
        ("ProductAnswer", "/v1/products/p1"),
        ("SystemsAnswer", "/v1/systems"),
        ("UsersAnswer", "/v1/users"),
        ("HistoryAnswer", "/v1/users/ann/history"),
        ("SnapshotAnswer", "/v1/admin/snapshot"),
        ("BlocksAnswer", "/v1/admin/blocks"),
        ("HealthAnswer", "/readyz"),
        ("ErrorAnswer", "/v1/videos/none"),
    ],
)
def test_an_answer_is_what_a_generated_client_expects(locked, document, name, path):
    validator = jsonschema_rs.Draft202012Validator(
        {"components": document["components"], "$ref": f"#/components/schemas/{name}"}
    )

    validator.validate(locked.get(path).json())


def test_the_feed_documents_every_option_of_the_issue(document):
    about = document["paths"]["/v1/users/{user_id}/feed"]["get"]

    named = {one["name"] for one in about["parameters"]}
    assert named >= {
        "user_id", "k", "system", "where", "half_life", "diversity", "freshness", "cap_creator", "explain", "cursor",
    }  # fmt: skip
