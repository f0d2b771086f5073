"""The tree of errors and the one body that tells them."""

import re

import pytest

from gateway import errors
from gateway.errors import (
    BodyTooLarge,
    CatalogError,
    ConfigError,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    NoEligibleModel,
    NotFound,
    SettingsError,
    Unauthorized,
    Unavailable,
    UpstreamError,
    to_openai_body,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        pytest.param(GatewayError, 500, "api_error", None, id="ours"),
        pytest.param(InvalidRequest, 400, "invalid_request_error", None, id="the request"),
        pytest.param(
            NoEligibleModel, 400, "invalid_request_error", "no_eligible_model", id="the gates"
        ),
        pytest.param(Unauthorized, 401, "invalid_request_error", "invalid_api_key", id="the key"),
        pytest.param(NotFound, 404, "invalid_request_error", None, id="what is not there"),
        pytest.param(
            MethodNotAllowed, 405, "invalid_request_error", "method_not_allowed", id="the method"
        ),
        pytest.param(
            BodyTooLarge, 413, "invalid_request_error", "request_too_large", id="the size"
        ),
        pytest.param(Unavailable, 503, "service_unavailable", "unavailable", id="not now"),
        pytest.param(UpstreamError, 502, "upstream_error", None, id="the provider"),
    ],
)
def test_each_error_has_its_status_type_and_code(
    error: type[GatewayError], status: int, kind: str, code: str | None
) -> None:
    found = error("why")
    assert (found.status, found.type, found.code, str(found)) == (status, kind, code, "why")


def test_the_body_is_openais() -> None:
    error = NotFound("no model is named 'x'", param="model", code="model_not_found")
    assert to_openai_body(error) == {
        "error": {
            "message": "no model is named 'x'",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
    }


def test_every_class_is_in_the_tree_that_the_module_draws() -> None:
    drawn = set(re.findall(r"^ {4}(?:[├└]── )?([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE))
    defined = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert defined == drawn


def test_who_may_come_back_is_told_when() -> None:
    assert Unavailable("busy").headers == {"retry-after": "1"}
    assert UpstreamError("busy", retry_after="7").headers == {"retry-after": "7"}
    assert UpstreamError("busy").headers == {}
    assert InvalidRequest("no").headers == {}


@pytest.mark.parametrize(
    ("provider_status", "is_retryable"),
    [
        pytest.param(None, True, id="no answer"),
        pytest.param(400, False, id="a caller's mistake"),
        pytest.param(401, True, id="our key"),
        pytest.param(402, False, id="our bill"),
        pytest.param(403, True, id="our rights"),
        pytest.param(404, False, id="no such model"),
        pytest.param(408, True, id="too slow"),
        pytest.param(422, False, id="a caller's mistake of another kind"),
        pytest.param(429, True, id="too many"),
        pytest.param(500, True, id="broken"),
        pytest.param(529, True, id="overloaded"),
    ],
)
def test_the_next_candidate_is_tried_for_what_is_not_the_callers_mistake(
    provider_status: int | None, is_retryable: bool
) -> None:
    assert UpstreamError("no", provider_status=provider_status).is_retryable is is_retryable


@pytest.mark.parametrize("error", [SettingsError, CatalogError])
def test_a_configuration_error_is_one_line_for_each_problem(error: type[ConfigError]) -> None:
    found = error(["a is wrong", "b is wrong"])
    assert found.problems == ("a is wrong", "b is wrong")
    assert str(found) == "a is wrong\nb is wrong"
    assert not isinstance(found, GatewayError)
