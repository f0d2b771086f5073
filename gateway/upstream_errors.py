"""What a provider's failure means to our caller: one table from litellm's exceptions to ours.

By class name along the MRO, so that litellm need not be imported to know its errors. litellm puts
its own words before the provider's and, for some providers, the provider's JSON inside the message:
both are undone here, and what could show our keys or addresses is taken out.
"""

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
_OUR_CREDENTIALS: Final = (401, 402, 403)
_LITELLM_WORDS: Final = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)\s*(?::|-)\s*")
# litellm's words here are stack frames and addresses; the server's log has them.
_NO_ANSWER: Final = {
    "upstream_unreachable": "the provider can't be reached",
    "upstream_disconnected": "the provider broke off in the middle of its answer",
}


def translate(exc: Exception, *, profile: str, secrets: Iterable[str] = ()) -> UpstreamError:
    """Our error for a provider's. `secrets` are texts that no caller may see (our key, base)."""
    meaning = _meaning(exc)
    headers = _headers(exc)
    if meaning.provider_status == 500 and not headers:
        # litellm gives a refused connection the status of a provider's own 500.
        meaning = MEANINGS["APIConnectionError"]
    retry_after = headers.get("retry-after")
    detail = _detail(exc)
    message = str(detail.get("message") or "") or _plain_message(str(exc))
    if meaning.provider_status in _OUR_CREDENTIALS:
        message = "the provider refused the gateway's own credentials"
    elif meaning.provider_status is None:
        message = _NO_ANSWER.get(meaning.code or "", "the call to the provider failed")
    for secret in filter(None, secrets):
        message = message.replace(secret, "***")
    carries_detail = meaning.type == _INVALID
    return UpstreamError(
        f"{profile}: {message}",
        status=meaning.status,
        provider_status=meaning.provider_status,
        error_type=meaning.type,
        param=_text(detail.get("param")) if carries_detail else None,
        code=(_text(detail.get("code")) if carries_detail else None) or meaning.code,
        retry_after=retry_after if retry_after and retry_after.isascii() else None,
    )


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
        text = str(exc)
        start = text.find("{")
        try:
            body = json.JSONDecoder().raw_decode(text[start:])[0] if start >= 0 else None
        except (ValueError, RecursionError):
            body = None
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    return body if isinstance(body, dict) else {}


def _plain_message(text: str) -> str:
    """The provider's words: `litellm.BadRequestError: OpenAIException - no` is `no`."""
    text = text.partition("\nTraceback (most recent call last)")[0]  # litellm's own, when it fails
    while True:
        shorter = _LITELLM_WORDS.sub("", text, count=1)
        if shorter == text:
            return text.strip() or "the provider gave no reason"
        text = shorter


def _text(value: object) -> str | None:
    return None if value is None else str(value)
