"""What a provider's failure means to our caller: tables from statuses and exceptions to our errors.

Exceptions are known by class name along the MRO, so that neither litellm nor the HTTP client need
be imported. litellm puts its own words before the provider's and, for some providers, the
provider's JSON inside the message: both are undone here, and what could show our keys or addresses
is taken out.
"""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from gateway.errors import UpstreamError


class Meaning(NamedTuple):
    """`status` for our caller; `provider_status`, what it amounts to at the provider, decides
    whether the next candidate may be tried (None: no answer came)."""

    status: int
    provider_status: int | None
    type: str
    code: str | None = None


_INVALID: Final = "invalid_request_error"

MEANINGS: Final[Mapping[str, Meaning]] = {
    "AuthenticationError": Meaning(502, 401, "upstream_error", "upstream_authentication_failed"),
    "PermissionDeniedError": Meaning(502, 403, "upstream_error", "upstream_permission_denied"),
    "PaymentRequiredError": Meaning(502, 402, "upstream_error", "upstream_payment_required"),
    "ContextWindowExceededError": Meaning(400, 400, _INVALID, "context_length_exceeded"),
    "ContentPolicyViolationError": Meaning(400, 400, _INVALID, "content_policy_violation"),
    "RejectedRequestError": Meaning(400, 400, _INVALID),
    "UnsupportedParamsError": Meaning(400, 400, _INVALID, "unsupported_parameter"),
    "BadRequestError": Meaning(400, 400, _INVALID),
    "InvalidRequestError": Meaning(400, 400, _INVALID),
    "GuardrailRaisedException": Meaning(400, 400, _INVALID, "content_policy_violation"),
    "BlockedPiiEntityError": Meaning(400, 400, _INVALID, "content_policy_violation"),
    "SensitiveDataRouteException": Meaning(400, 400, _INVALID, "content_policy_violation"),
    "ModifyResponseException": Meaning(400, 400, _INVALID, "content_policy_violation"),
    "NotFoundError": Meaning(404, 404, _INVALID, "model_not_found"),
    "UnprocessableEntityError": Meaning(422, 422, _INVALID),
    "RateLimitError": Meaning(429, 429, "rate_limit_error", "rate_limit_exceeded"),
    "BudgetExceededError": Meaning(429, 429, "rate_limit_error", "insufficient_quota"),
    "Timeout": Meaning(504, 408, "timeout_error", "upstream_timeout"),
    "APITimeoutError": Meaning(504, 408, "timeout_error", "upstream_timeout"),
    "ServiceUnavailableError": Meaning(503, 503, "upstream_error", "upstream_unavailable"),
    "MidStreamFallbackError": Meaning(502, None, "upstream_error", "upstream_disconnected"),
    "BadGatewayError": Meaning(502, 502, "upstream_error"),
    "InternalServerError": Meaning(502, 500, "upstream_error"),
    "APIConnectionError": Meaning(502, None, "upstream_error", "upstream_unreachable"),
    "APIResponseValidationError": Meaning(502, 502, "upstream_error", "upstream_invalid_answer"),
    "JSONSchemaValidationError": Meaning(502, 502, "upstream_error", "upstream_invalid_answer"),
    "ModelNotMappedError": Meaning(502, 502, "upstream_error"),
    "APIError": Meaning(502, 502, "upstream_error"),
    "OpenAIError": Meaning(502, None, "upstream_error"),
}
"""A class without a row has the meaning of the nearest ancestor that has one."""

UNEXPECTED: Final = Meaning(502, None, "upstream_error", "upstream_failed")

# What an APIError without a class of its own carries in `status_code`.
_BY_STATUS: Final[Mapping[int, Meaning]] = {
    402: MEANINGS["PaymentRequiredError"],
    403: MEANINGS["PermissionDeniedError"],
    408: MEANINGS["Timeout"],
    409: Meaning(409, 409, _INVALID),
    413: Meaning(413, 413, _INVALID, "request_too_large"),
    529: Meaning(503, 529, "upstream_error", "upstream_overloaded"),
}
OF_RESPONSE: Final[Mapping[int, Meaning]] = {
    **_BY_STATUS,
    400: MEANINGS["BadRequestError"],
    401: MEANINGS["AuthenticationError"],
    404: MEANINGS["NotFoundError"],
    422: MEANINGS["UnprocessableEntityError"],
    429: MEANINGS["RateLimitError"],
    503: MEANINGS["ServiceUnavailableError"],
    504: Meaning(504, 504, "timeout_error", "upstream_timeout"),
}
"""By the provider's status; another from 500 on is a 502, another below it stays as it is."""

# What an error says of itself where no status does: an event in the middle of a stream.
_OF_TYPE: Final[Mapping[str, int]] = {
    "api_error": 500,
    "authentication_error": 401,
    "billing_error": 402,
    "invalid_request_error": 400,
    "not_found_error": 404,
    "overloaded_error": 529,
    "permission_error": 403,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "request_too_large": 413,
    "timeout_error": 504,
}
_OF_CLIENT: Final[Mapping[str, Meaning]] = {
    "ServerDisconnectedError": MEANINGS["MidStreamFallbackError"],
    "ClientPayloadError": MEANINGS["MidStreamFallbackError"],
    "ConnectionResetError": MEANINGS["MidStreamFallbackError"],
    "TimeoutError": MEANINGS["Timeout"],
    "ClientConnectionError": MEANINGS["APIConnectionError"],
    "OSError": MEANINGS["APIConnectionError"],
}
_NO_STREAM: Final = Meaning(502, 502, "upstream_error", "upstream_invalid_answer")
_TOO_LONG: Final = re.compile(
    r"maximum context|context (?:length|window|size)|prompt is too long|too many (?:input )?tokens",
    re.IGNORECASE,
)
_OUR_CREDENTIALS: Final = (401, 402, 403)
_ADVICE: Final = re.compile(r"\.? Handle with `litellm\.\w+`\.")
_BYTES: Final = re.compile(r"""b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*\"""")
_LITELLM_WORDS: Final = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)\s*(?::|-)\s*")
# litellm's words here are stack frames and addresses; the server's log has them.
_NO_ANSWER: Final = {
    "upstream_unreachable": "the provider can't be reached",
    "upstream_disconnected": "the provider broke off in the middle of its answer",
}


def translate(exc: Exception, *, profile: str, secrets: Iterable[str] = ()) -> UpstreamError:
    """Our error for a provider's. `secrets` are texts that no caller may see (our key, base)."""
    broken = getattr(exc, "original_exception", None)  # litellm wraps what ends a stream
    exc = broken or exc
    meaning = _meaning(exc)
    headers = _headers(exc)
    if broken is not None:
        if meaning.provider_status is None:
            meaning = MEANINGS["MidStreamFallbackError"]
    elif meaning.provider_status == 500 and not headers:
        # litellm gives a refused connection the status of a provider's own 500.
        meaning = MEANINGS["APIConnectionError"]
    detail = _detail(exc)
    if detail.get("type") == "overloaded_error":
        meaning = _BY_STATUS[529]  # Anthropic's, which litellm takes for any 500
    message = str(detail.get("message") or "") or _plain_message(str(exc))
    return _error(meaning, detail, message, headers.get("retry-after"), profile, secrets)


def of_response(
    status: int,
    headers: Mapping[str, str],
    answer: object,
    text: str,
    *,
    profile: str,
    secrets: Iterable[str] = (),
) -> UpstreamError:
    """Our error for a provider's answer that is none: a status from 400 on, or not what was asked.

    `answer` is the parsed body, or None where it is no JSON and `text`, its beginning, must do.
    """
    detail = _unwrapped(answer)
    if status < 400:
        error_status = (
            _status_in(detail) if isinstance(answer, dict) and "error" in answer else None
        )
        meaning = _meaning_of(error_status) if error_status else _NO_STREAM
    else:
        meaning = _meaning_of(status)
    message = str(detail.get("message") or "") or _plain_text(text)
    if meaning.status == 400 and _TOO_LONG.search(message):
        meaning = MEANINGS["ContextWindowExceededError"]
    return _error(meaning, detail, message, headers.get("retry-after"), profile, secrets)


def of_event(
    error: Mapping[str, Any], *, profile: str, secrets: Iterable[str] = ()
) -> UpstreamError:
    """Our error for one that came as an event of a stream, or inside an answer of status 200."""
    meaning = _meaning_of(_status_in(error) or 500)
    return _error(meaning, error, str(error.get("message") or ""), None, profile, secrets)


def of_client(exc: BaseException, *, profile: str) -> UpstreamError:
    """Our error for one of the HTTP client's: no answer came, or not the whole of it."""
    for ancestor in type(exc).__mro__:
        meaning = _OF_CLIENT.get(ancestor.__name__)
        if meaning is not None:
            return _error(meaning, {}, "it did not answer in time", None, profile, ())
    return _error(UNEXPECTED, {}, "", None, profile, ())


def broke_off(profile: str) -> UpstreamError:
    """The stream ended without its end."""
    return _error(MEANINGS["MidStreamFallbackError"], {}, "", None, profile, ())


def _error(
    meaning: Meaning,
    detail: Mapping[str, Any],
    message: str,
    retry_after: str | None,
    profile: str,
    secrets: Iterable[str],
) -> UpstreamError:
    if meaning.provider_status in _OUR_CREDENTIALS:
        message = "the provider refused the gateway's own credentials"
    elif meaning.provider_status is None:
        message = _NO_ANSWER.get(meaning.code or "", "the call to the provider failed")
    for secret in filter(None, secrets):
        message = message.replace(secret, "***")
    carries_detail = meaning.type == _INVALID
    carries_code = carries_detail or meaning.status == 429  # insufficient_quota is no rate limit
    return UpstreamError(
        f"{profile}: {message or 'the provider gave no reason'}",
        status=meaning.status,
        provider_status=meaning.provider_status,
        error_type=meaning.type,
        param=_text(detail.get("param")) if carries_detail else None,
        code=(_code(detail.get("code")) if carries_code else None) or meaning.code,
        retry_after=retry_after if retry_after and retry_after.isascii() else None,
    )


def _meaning_of(status: int) -> Meaning:
    known = OF_RESPONSE.get(status)
    if known is not None:
        return known
    if status >= 500:
        return Meaning(502, status, "upstream_error")
    return Meaning(status, status, _INVALID)


def _status_in(error: Mapping[str, Any]) -> int | None:
    """The HTTP status an error names, as OpenRouter does in `code`, or that its type amounts to."""
    for name in ("status", "status_code", "code"):
        value = error.get(name)
        if isinstance(value, int | str) and str(value).isdecimal() and 400 <= int(value) <= 599:
            return int(value)
    for name in ("type", "code"):
        found = _OF_TYPE.get(str(error.get(name)))
        if found is not None:
            return found
    return None


def _unwrapped(body: object) -> Mapping[str, Any]:
    """The error object in a body: OpenAI's, Anthropic's, Google's list, FastAPI's `detail`."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    error = body.get("error")
    if isinstance(error, dict):
        return error
    message = error or body.get("message") or body.get("detail")
    return {**body, "message": message} if isinstance(message, str) else body


def _plain_text(text: str) -> str:
    """Something readable of a body that is no JSON; a page of HTML says nothing."""
    return "" if text.lstrip().startswith("<") else text.strip()


def _meaning(exc: Exception) -> Meaning:
    for ancestor in type(exc).__mro__:
        meaning = MEANINGS.get(ancestor.__name__)
        if meaning is not None:
            if ancestor.__name__ == "APIError":
                return _BY_STATUS.get(getattr(exc, "status_code", None) or 0, meaning)
            return meaning
    return UNEXPECTED


def _headers(exc: Exception) -> Mapping[str, str]:
    headers = getattr(exc, "litellm_response_headers", None)
    return {} if headers is None else {str(k).lower(): str(v) for k, v in dict(headers).items()}


def _detail(exc: Exception) -> Mapping[str, Any]:
    """The provider's own error object, from the exception's body or from inside its message."""
    body = getattr(exc, "body", None)
    if not isinstance(body, dict):
        text = _decoded(str(exc))
        start = text.find("{")
        try:
            body = json.JSONDecoder().raw_decode(text[start:])[0] if start >= 0 else None
        except (ValueError, RecursionError):
            body = None
    return _unwrapped(body)


def _decoded(text: str) -> str:
    """litellm shows the body of a refused stream as Python shows bytes."""
    found = _BYTES.search(text)
    if found is None:
        return text
    shown: bytes = ast.literal_eval(found[0])
    return shown.decode("utf-8", "replace")


def _plain_message(text: str) -> str:
    """The provider's words: `litellm.BadRequestError: OpenAIException - no` is `no`."""
    text = text.partition("\nTraceback (most recent call last)")[0]  # litellm's own, when it fails
    text = _ADVICE.sub("", text)
    while True:
        shorter = _LITELLM_WORDS.sub("", text, count=1)
        if shorter == text:
            return text.strip() or "the provider gave no reason"
        text = shorter


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _code(value: object) -> str | None:
    """A code; some servers only repeat the status there."""
    text = _text(value) or None
    return None if text and text.isdecimal() and 400 <= int(text) <= 599 else text
