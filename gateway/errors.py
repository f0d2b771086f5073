"""Everything that goes wrong, in one tree, and the one body that tells the caller.

    GatewayError                    status, type, code, param; becomes an HTTP answer
    ├── InvalidRequest              400  the request itself
    ├── NoEligibleModel             400  the gates left no profile
    ├── Unauthorized                401  no key, or not one of ours
    ├── NotFound                    404  no such path, model, pool or decision
    ├── MethodNotAllowed            405
    ├── BodyTooLarge                413
    ├── Unavailable                 503  we can't take the request now (log full, too busy)
    └── UpstreamError               502  the provider failed; keeps its status, code and retry-after
    ConfigError                     stops the start with exit code 3; never seen over HTTP
    ├── SettingsError
    └── CatalogError                every problem of the catalog at once, with file, line and field
    UsageError                      ends a command with exit code 2; never seen over HTTP

What routing can't do is a reason in the decision (predictor_unavailable, least_shortfall), not an
error.
"""

from collections.abc import Mapping, Sequence


class GatewayError(Exception):
    """An error the caller sees, in OpenAI's shape."""

    status = 500
    type = "api_error"
    code: str | None = None

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code or type(self).code

    @property
    def headers(self) -> Mapping[str, str]:
        """Response headers that belong to the error."""
        return {}


class InvalidRequest(GatewayError):
    status = 400
    type = "invalid_request_error"


class NoEligibleModel(InvalidRequest):
    code = "no_eligible_model"


class Unauthorized(GatewayError):
    status = 401
    type = "invalid_request_error"  # as OpenAI answers a wrong key
    code = "invalid_api_key"


class NotFound(GatewayError):
    status = 404
    type = "invalid_request_error"


class MethodNotAllowed(GatewayError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class BodyTooLarge(GatewayError):
    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class Unavailable(GatewayError):
    status = 503
    type = "service_unavailable"
    code = "unavailable"

    @property
    def headers(self) -> Mapping[str, str]:
        return {"retry-after": "1"}


class UpstreamError(GatewayError):
    """A provider's failure.

    `provider_status` is what the provider (or its absence) amounts to; `status` is what our caller
    gets. They differ where the cause is ours: the provider's 401 means that our key is wrong, which
    our caller's SDK must not mistake for his.
    """

    status = 502
    type = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        status: int = 502,
        provider_status: int | None = None,
        error_type: str = "upstream_error",
        param: str | None = None,
        code: str | None = None,
        retry_after: str | None = None,
    ) -> None:
        super().__init__(message, param=param, code=code)
        self.status = status
        self.provider_status = provider_status
        self.type = error_type
        self.retry_after = retry_after

    @property
    def headers(self) -> Mapping[str, str]:
        return {} if self.retry_after is None else {"retry-after": self.retry_after}

    @property
    def is_retryable(self) -> bool:
        """Whether the next candidate may be tried (DESIGN.md 3): never for a caller's mistake."""
        status = self.provider_status
        return status is None or status in (401, 403, 408, 429) or status >= 500


class ConfigError(Exception):
    """The configuration can't be used; each problem is one line for a person."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SettingsError(ConfigError):
    pass


class CatalogError(ConfigError):
    pass


class UsageError(Exception):
    """The options of a command ask for what can't be; the message is for the person."""


_ANTHROPIC_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    409: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def to_anthropic_body(error: GatewayError, request_id: str) -> dict[str, object]:
    """The body that Anthropic's SDKs parse; its types say less than ours, so the message says all.

    >>> to_anthropic_body(InvalidRequest("no"), "req_1")["error"]
    {'type': 'invalid_request_error', 'message': 'no'}
    """
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": error.message},
        "request_id": request_id,
    }


def to_openai_body(error: GatewayError) -> dict[str, object]:
    """The body that OpenAI's SDKs parse.

    >>> to_openai_body(InvalidRequest("no", param="model"))["error"]["param"]
    'model'
    """
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }
