"""Every failure of a provider, as litellm raises it, has a meaning for the caller."""

import os

import httpx
import pytest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm import exceptions

from gateway.upstream_errors import MEANINGS, UNEXPECTED, translate

OPENAI = {"model": "gpt", "llm_provider": "openai"}


def answer(status: int, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.Response(status, headers=headers, request=httpx.Request("POST", "http://p/v1"))


def with_headers(exc: Exception, **headers: str) -> Exception:
    """The exception as litellm raises it after an answer of the provider."""
    exc.litellm_response_headers = httpx.Headers(headers)  # type: ignore[attr-defined]
    return exc


CLASSES = {
    name: value
    for name, value in vars(exceptions).items()
    if isinstance(value, type) and issubclass(value, Exception)
}


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_exception_of_litellm_has_a_meaning(name: str) -> None:
    assert any(ancestor.__name__ in MEANINGS for ancestor in CLASSES[name].__mro__)


def test_every_meaning_is_of_an_exception_that_exists() -> None:
    import openai

    known = {*CLASSES, *vars(openai), *vars(litellm)}
    gone = set(MEANINGS) - known
    # Raised by litellm's integrations, which the module of exceptions does not hold.
    assert gone <= {"ModifyResponseException", "ModelNotMappedError", "SensitiveDataRouteException"}


def test_a_meaning_for_the_caller_is_an_error_status() -> None:
    for meaning in (*MEANINGS.values(), UNEXPECTED):
        assert 400 <= meaning.status <= 599
        assert meaning.status not in (401, 403)  # an SDK would take them for its own key's


@pytest.mark.parametrize(
    ("exc", "status", "kind", "code", "message", "is_retryable"),
    [
        pytest.param(
            litellm.AuthenticationError("Incorrect API key provided: sk-abc", **OPENAI),
            502,
            "upstream_error",
            "upstream_authentication_failed",
            "m: the provider refused the gateway's own credentials",
            True,
            id="our key is wrong, and not shown",
        ),
        pytest.param(
            litellm.BadRequestError("OpenAIException - no such role", **OPENAI),
            400,
            "invalid_request_error",
            None,
            "m: no such role",
            False,
            id="the caller's mistake, in the provider's words",
        ),
        pytest.param(
            litellm.ContextWindowExceededError("too long", **OPENAI),
            400,
            "invalid_request_error",
            "context_length_exceeded",
            "m: too long",
            False,
            id="a subclass has its own row",
        ),
        pytest.param(
            with_headers(litellm.RateLimitError("slow down", **OPENAI), **{"Retry-After": "7"}),
            429,
            "rate_limit_error",
            "rate_limit_exceeded",
            "m: slow down",
            True,
            id="too many",
        ),
        pytest.param(
            litellm.Timeout("waited", **OPENAI),
            504,
            "timeout_error",
            "upstream_timeout",
            "m: waited",
            True,
            id="too slow",
        ),
        pytest.param(
            litellm.InternalServerError("Connection error to http://10.0.0.7:8000/v1", **OPENAI),
            502,
            "upstream_error",
            "upstream_unreachable",
            "m: the provider can't be reached",
            True,
            id="a 500 without an answer's headers is a refused connection",
        ),
        pytest.param(
            with_headers(litellm.InternalServerError("broken", **OPENAI), server="p"),
            502,
            "upstream_error",
            None,
            "m: broken",
            True,
            id="a 500 with them is the provider's",
        ),
        pytest.param(
            litellm.APIError(529, "overloaded", **OPENAI),
            503,
            "upstream_error",
            "upstream_overloaded",
            "m: overloaded",
            True,
            id="a status without a class",
        ),
        pytest.param(
            litellm.APIError(413, "large", **OPENAI),
            413,
            "invalid_request_error",
            "request_too_large",
            "m: large",
            False,
            id="too large for the provider",
        ),
        pytest.param(
            RuntimeError("bug at https://internal.example/x"),
            502,
            "upstream_error",
            "upstream_failed",
            "m: the call to the provider failed",
            True,
            id="a surprise",
        ),
        pytest.param(
            ValueError(),
            502,
            "upstream_error",
            "upstream_failed",
            "m: the call to the provider failed",
            True,
            id="a surprise without words",
        ),
    ],
)
def test_what_a_failure_means(
    exc: Exception, status: int, kind: str, code: str | None, message: str, is_retryable: bool
) -> None:
    found = translate(exc, profile="m")
    assert (found.status, found.type, found.code) == (status, kind, code)
    assert found.message == message
    assert found.is_retryable is is_retryable


def test_the_providers_own_param_and_code_reach_the_caller() -> None:
    exc = litellm.BadRequestError(
        'OpenAIException - {"error": {"message": "bad top_p", "param": "top_p", "code": 17}}',
        **OPENAI,
    )
    found = translate(exc, profile="m")
    assert (found.message, found.param, found.code) == ("m: bad top_p", "top_p", "17")


def test_the_body_of_the_exception_is_read_before_its_message() -> None:
    exc = litellm.BadRequestError(
        "OpenAIException - ?", body={"message": "bad stop", "param": "stop"}, **OPENAI
    )
    assert translate(exc, profile="m").message == "m: bad stop"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"a":' * 50_000, id="bottomless"),
        pytest.param('{"error": {"message": ', id="cut"),
        pytest.param('{"error": ["no"]}', id="a list"),
        pytest.param('{"error": {"message": {"deep": 1}}}', id="a message that is an object"),
        pytest.param("{}", id="empty"),
    ],
)
def test_a_provider_may_answer_any_text(text: str) -> None:
    exc = litellm.BadRequestError(f"OpenAIException - {text}", **OPENAI)
    assert translate(exc, profile="m").status == 400


def test_secrets_are_taken_out() -> None:
    exc = litellm.BadRequestError("wrong: sk-1 at http://h/v1", **OPENAI)
    found = translate(exc, profile="m", secrets=("sk-1", "", "http://h/v1"))
    assert found.message == "m: wrong: *** at ***"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("7", "7", id="seconds"),
        pytest.param("Mon, 23 Nov 2026 18:40:01 GMT", "Mon, 23 Nov 2026 18:40:01 GMT", id="a date"),
        pytest.param("七", None, id="what a header of ours can't carry"),
    ],
)
def test_when_to_come_back_is_passed_on(given: str, kept: str | None) -> None:
    exc = litellm.RateLimitError("slow down", **OPENAI)
    exc.litellm_response_headers = {"Retry-After": given}  # type: ignore[attr-defined]
    assert translate(exc, profile="m").retry_after == kept
