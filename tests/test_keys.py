"""The gateway's own keys: how they are written down and how a request shows one."""

from pathlib import Path

import pytest

from gateway.errors import Unauthorized
from gateway.keys import ApiKey, authenticate, parse_keys, parse_keys_file

ALICE, BOB = ApiKey("alice", "s3cret"), ApiKey("bob", "hunter2")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        pytest.param("", [], id="none"),
        pytest.param(" , ,", [], id="commas only"),
        pytest.param("alice=s3cret,bob=hunter2", [ALICE, BOB], id="two names"),
        pytest.param(" alice = s3cret , bob=hunter2 ", [ALICE, BOB], id="with spaces"),
        pytest.param("alice=a=b==", [ApiKey("alice", "a=b==")], id="a secret with equal signs"),
    ],
)
def test_keys_are_a_comma_list(text: str, keys: list[ApiKey]) -> None:
    assert list(parse_keys(text)) == keys


def test_a_key_without_a_name_is_known_by_its_hash() -> None:
    (key,) = parse_keys("0123456789")
    assert key.id == "key-84d89877"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a=1,=s3cret", "entry 2 must be 'secret' or 'name=secret'", id="no name"),
        pytest.param("alice=", "entry 1 must be 'secret' or 'name=secret'", id="no secret"),
        pytest.param("a=1,a=s3cret", "two keys share a name", id="one name twice"),
        pytest.param("s3cret,s3cret", "two keys share a name", id="one secret twice"),
        pytest.param(
            "a=s3cret\u00e9",
            "entry 1 must be ASCII: a header carries nothing else",
            id="a secret that no client can send",
        ),
        pytest.param(
            "a=s3cret\udce9",
            "entry 1 must be ASCII: a header carries nothing else",
            id="bytes of the environment that are no text",
        ),
    ],
)
def test_a_wrong_list_is_refused_without_showing_a_secret(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^(entry|two)") as caught:
        parse_keys(text)
    assert str(caught.value) == message


def test_a_keys_file_has_one_key_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("\ufeffalice=s3cret\n\n  # bob is gone\nbob=with,comma\r\n", encoding="utf-8")
    assert parse_keys_file(str(file)) == (ALICE, ApiKey("bob", "with,comma"))
    assert parse_keys_file("") == ()


def test_a_keys_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        parse_keys_file(str(tmp_path / "nothing"))


def test_a_secret_is_never_shown() -> None:
    assert "s3cret" not in repr(ALICE)
    assert "s3cret" not in str([ALICE])


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        pytest.param({"authorization": "Bearer s3cret"}, ALICE, id="bearer"),
        pytest.param({"authorization": "bearer  hunter2 "}, BOB, id="spelt otherwise"),
        pytest.param({"x-api-key": "hunter2"}, BOB, id="as Anthropic's SDK sends it"),
        pytest.param(
            {"authorization": "Basic abc", "x-api-key": "s3cret"}, ALICE, id="beside another scheme"
        ),
    ],
)
def test_a_request_shows_its_key(headers: dict[str, str], key: ApiKey) -> None:
    assert authenticate(headers, (ALICE, BOB)) is key


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"authorization": ""}, id="empty"),
        pytest.param({"authorization": "Bearer"}, id="a scheme alone"),
        pytest.param({"authorization": "s3cret"}, id="no scheme"),
        pytest.param({"authorization": "Bearer S3CRET"}, id="another case"),
        pytest.param({"authorization": "Bearer s3cre"}, id="a part"),
        pytest.param({"authorization": "Bearer alice=s3cret"}, id="with its name"),
        pytest.param({"x-api-key": "s3cr\xe9t"}, id="latin letters"),
    ],
)
def test_any_other_request_is_unauthorized(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as caught:
        authenticate(headers, (ALICE, BOB))
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert "s3cre" not in caught.value.message


def test_a_gateway_without_keys_takes_any_credential_or_none() -> None:
    assert authenticate({}, ()) is None
    assert authenticate({"authorization": "Bearer anything"}, ()) is None
