"""Logging in to the page: what a cookie is, what it opens, and what it does not."""

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import running_gateway
from gateways import Gateway, StartGateway
from test_chat_completions import HELLO, ask
from test_dashboard import VIEWS, listed
from upstream_stub import UpstreamStub

from gateway import login
from gateway.keys import ApiKey

KEYS = {"HYDRA_API_KEYS": "alice=s3cret-of-alice,bob=s3cret-of-bob", "HYDRA_ADMIN_KEY": "s3cret-a"}
ALICE, BOB = ApiKey("alice", "s3cret-of-alice"), ApiKey("bob", "s3cret-of-bob")


def log_in(http: httpx.Client, key: str, **headers: str) -> httpx.Response:
    return http.post("/dashboard/login", data={"key": key}, headers=headers)


@pytest.fixture(scope="module")
def keyed(
    redis_server: str, catalog_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    environ = {"HYDRA_REDIS_URL": redis_server, "HYDRA_PROFILES": str(catalog_folder), **KEYS}
    with running_gateway(tmp_path_factory.mktemp("data"), environ) as started:
        yield started


@pytest.fixture
def http(keyed: Gateway, upstream: UpstreamStub) -> Iterator[httpx.Client]:
    """A gateway with keys, and nobody logged in."""
    with keyed.http() as client:
        yield client


@pytest.mark.parametrize("path", [*VIEWS, "/dashboard/decisions/x", "/dashboard/search"])
def test_without_a_login_there_is_only_the_login(http: httpx.Client, path: str) -> None:
    shown = http.get(path, params={"q": "1"})
    assert shown.status_code == 303
    assert shown.headers["location"].startswith("/dashboard/login?next=%2Fdashboard")
    if path != "/dashboard/search":
        assert http.get(f"{path}.json").status_code == 401
    form = http.get(shown.headers["location"])
    assert form.status_code == 200
    assert 'type="password"' in form.text
    assert "Overview" not in form.text


def test_the_drawing_is_for_callers_alone(http: httpx.Client) -> None:
    assert http.post("/dashboard/drawn", json={}).status_code == 401


def test_a_login_opens_the_page_its_twins_and_what_the_page_reads(http: httpx.Client) -> None:
    assert log_in(http, "s3cret-of-alice").headers["location"] == "/dashboard"
    for path in VIEWS:
        assert http.get(path).status_code == 200
        assert http.get(f"{path}.json").status_code == 200
    assert http.get("/v1/decisions").status_code == 200
    with http.stream("GET", "/v1/decisions/stream") as tail:
        assert tail.status_code == 200
    routed = http.post("/v1/route", json={"model": "auto", "messages": HELLO})
    assert routed.status_code == 200
    assert http.post("/dashboard/drawn", json=routed.json()).status_code == 200


def test_a_login_can_spend_and_change_nothing(http: httpx.Client, upstream: UpstreamStub) -> None:
    log_in(http, "s3cret-of-alice")
    assert ask(http).status_code == 401
    assert upstream.requests == []
    given = {"decision_id": "x", "score": 1}
    assert http.post("/v1/feedback", json=given).status_code == 401
    assert http.delete("/v1/decisions", params={"user": "x"}).status_code == 401


def test_a_key_that_is_shown_is_stronger_than_the_cookie(http: httpx.Client) -> None:
    log_in(http, "s3cret-of-alice")
    assert http.get("/v1/models", headers={"x-api-key": "wrong"}).status_code == 401
    shown = http.get("/dashboard", headers={"authorization": "Bearer s3cret-of-bob"})
    assert ">bob<" in shown.text


@pytest.mark.parametrize("key", ["", "wrong", "alice", "s3cret-of-alic", "s3cret-of-alicé"])
def test_a_wrong_key_is_said_and_sets_no_cookie(http: httpx.Client, key: str) -> None:
    answer = log_in(http, key)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers
    assert not key or key not in answer.text.replace("alice=", "")


@pytest.mark.parametrize(
    ("headers", "is_secure"),
    [({}, False), ({"x-forwarded-proto": "https"}, True), ({"x-forwarded-proto": "http"}, False)],
)
def test_the_cookie_is_for_this_site_alone_and_holds_no_key(
    http: httpx.Client, headers: dict[str, str], is_secure: bool
) -> None:
    cookie = log_in(http, "s3cret-of-alice", **headers).headers["set-cookie"]
    value, *rules = cookie.split("; ")
    assert set(rules) == {
        "HttpOnly",
        "SameSite=Strict",
        "Path=/",
        "Max-Age=43200",
        *(["Secure"] if is_secure else []),
    }
    assert "s3cret" not in value
    assert "alice" not in value


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"sec-fetch-site": "cross-site"}, id="another site"),
        pytest.param({"sec-fetch-site": "same-site"}, id="another port of this host"),
        pytest.param({"origin": "https://evil.example"}, id="an old browser, another site"),
        pytest.param({"origin": "null"}, id="a sandbox"),
        pytest.param({"origin": "http://["}, id="no address"),
    ],
)
def test_other_sites_can_neither_log_in_nor_read_with_the_cookie(
    http: httpx.Client, headers: dict[str, str]
) -> None:
    answer = log_in(http, "s3cret-of-alice", **headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    log_in(http, "s3cret-of-alice")
    assert http.get("/v1/decisions", headers=headers).status_code == 401
    body = {"model": "auto", "messages": HELLO}
    assert http.post("/v1/route", json=body, headers=headers).status_code == 401
    http.post("/dashboard/logout", headers=headers)
    assert http.get("/dashboard").status_code == 200


def test_a_page_of_ours_can(http: httpx.Client) -> None:
    host = http.base_url.netloc.decode()
    assert log_in(http, "s3cret-of-bob", origin=f"http://{host}").status_code == 303
    assert http.get("/v1/decisions", headers={"sec-fetch-site": "same-origin"}).status_code == 200
    link = {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"}
    assert http.get("/dashboard", headers=link).status_code == 200


def test_a_logout_ends_it(http: httpx.Client) -> None:
    log_in(http, "s3cret-of-alice")
    assert http.post("/dashboard/logout").headers["location"] == "/dashboard/login"
    assert http.get("/dashboard").status_code == 303


@pytest.mark.parametrize(
    ("wanted", "target"),
    [
        ("/dashboard/decisions?tag=a%20b", "/dashboard/decisions?tag=a%20b"),
        ("https://evil.example/dashboard", "/dashboard"),
        ("//evil.example/dashboard", "/dashboard"),
        ("//[", "/dashboard"),
        ("/dashboard/\\evil.example", "/dashboard"),
        ("/dashboardx", "/dashboard"),
        ("/v1/models", "/dashboard"),
        ("javascript:alert(1)", "/dashboard"),
        ("/dashboard/\r\nset-cookie: a=b", "/dashboard"),
        ("", "/dashboard"),
    ],
)
def test_a_login_leads_nowhere_else(http: httpx.Client, wanted: str, target: str) -> None:
    form = {"key": "s3cret-of-alice", "next": wanted}
    assert http.post("/dashboard/login", data=form).headers["location"] == target


def test_a_key_sees_its_own_decisions_and_sums_and_the_admin_all(
    http: httpx.Client,
) -> None:
    ids = {}
    for name, secret in (("alice", "s3cret-of-alice"), ("bob", "s3cret-of-bob")):
        headers = {"x-api-key": secret}
        body = {"model": "auto", "messages": HELLO, "hydra": {"tags": ["seen-by"]}, "user": name}
        answer = http.post("/v1/chat/completions", json=body, headers=headers)
        ids[name] = answer.headers["x-hydra-decision-id"]
    http.headers["x-api-key"] = "s3cret-a"
    listed(http, 2, tag="seen-by")
    del http.headers["x-api-key"]

    log_in(http, "s3cret-of-alice")
    query = {"tag": "seen-by", "key": "bob"}
    seen = http.get("/dashboard/decisions.json", params=query).json()["decisions"]
    assert {row["key_id"] for row in seen} == {"alice"}
    assert http.get(f"/dashboard/decisions/{ids['alice']}").status_code == 200
    assert http.get(f"/dashboard/decisions/{ids['bob']}").status_code == 404
    assert http.get(f"/dashboard/decisions/{ids['bob']}.json").status_code == 404
    for word in (ids["bob"], "bob"):
        found = http.get("/dashboard/search", params={"q": word}).headers["location"]
        assert found == f"/dashboard/decisions?not_found={word}"
    shown = http.get("/dashboard.json").json()
    assert [row["key"] for row in shown["keys"]] == ["alice"]
    assert {row["key_id"] for row in shown["latest"]} == {"alice"}
    own = shown["totals"]["requests"]

    log_in(http, "s3cret-a")
    everything = http.get("/dashboard.json").json()
    assert {"alice", "bob"} <= {row["key"] for row in everything["keys"]}
    assert everything["totals"]["requests"] > own
    assert http.get(f"/dashboard/decisions/{ids['bob']}").status_code == 200


def test_a_gateway_without_keys_needs_no_login(
    start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    with start_gateway().http() as http:
        assert http.get("/dashboard").status_code == 200
        assert http.get("/dashboard/login").headers["location"] == "/dashboard"
        assert "Log out" not in http.get("/dashboard").text


def test_a_cookie_stands_for_its_key() -> None:
    assert login.key_of(login.issue(ALICE), (BOB, ALICE)) is ALICE


def test_a_cookie_ends_with_its_key() -> None:
    cookie = login.issue(ALICE)
    assert login.key_of(cookie, (BOB,)) is None
    assert login.key_of(cookie, (ApiKey("alice", "a new secret"),)) is None
    assert login.key_of(cookie, ()) is None


def test_a_cookie_ends_with_its_hours() -> None:
    signer = copy.copy(login._signer(ALICE))
    packed = login.issue(ALICE).partition(".")[0]
    for age, expected in ((login.MAX_AGE_S - 60, ALICE), (login.MAX_AGE_S + 60, None)):
        signer.get_timestamp = lambda age=age: int(time.time()) - age  # type: ignore[method-assign,misc]
        assert login.key_of(signer.sign(packed).decode(), (ALICE,)) is expected


def test_a_forged_cookie_is_nobodys() -> None:
    cookie = login.issue(ALICE)
    packed, stamp, signature = cookie.split(".")
    bob = login.issue(BOB).partition(".")[0]
    for forged in (
        f"{bob}.{stamp}.{signature}",
        f"{packed}.{login.issue(BOB).split('.')[1]}x.{signature}",
        cookie[:-1],
        packed,
        f"{packed}..",
        "",
        "é",
        "." * 1000,
        None,
    ):
        assert login.key_of(forged, (ALICE, BOB)) is None
