"""Whether the environment asks for OpenTelemetry, and with what; imports it only then.

The standard variables rule (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER, ...). What is sent
is otel.py.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from gateway.errors import ConfigError

if TYPE_CHECKING:
    from gateway.otel import OpenTelemetry

logger = logging.getLogger(__name__)

EXPORTERS: Final = ("otlp", "console")
PROTOCOL: Final = "http/protobuf"


def exporters(environ: Mapping[str, str], signal: str) -> tuple[str, ...]:
    """How "traces" or "metrics" leave; empty: they are not asked for. Raises ConfigError.

    >>> exporters({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "traces")
    ('otlp',)
    >>> exporters({"OTEL_TRACES_EXPORTER": "none"}, "traces")
    ()
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    name = signal.upper()
    places = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT")
    default = "otlp" if any(environ.get(place) for place in places) else "none"
    asked = environ.get(f"OTEL_{name}_EXPORTER") or default
    found = tuple(word for word in map(str.strip, asked.split(",")) if word not in ("", "none"))
    for word in found:
        if word not in EXPORTERS:
            known = ", ".join((*EXPORTERS, "none"))
            raise ConfigError([f"OTEL_{name}_EXPORTER: expected {known}, got '{word}'"])
    variables = (f"OTEL_EXPORTER_OTLP_{name}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    variable = next((item for item in variables if environ.get(item)), None)
    if "otlp" in found and variable is not None and environ[variable] != PROTOCOL:
        raise ConfigError([f"{variable}: only {PROTOCOL} is spoken, got '{environ[variable]}'"])
    return found


def start(environ: Mapping[str, str]) -> "OpenTelemetry | None":
    """What was asked for; None: nothing, or it can't be had, which is said in one line."""
    try:
        traces, metrics = exporters(environ, "traces"), exporters(environ, "metrics")
    except ConfigError as exc:
        logger.warning("no OpenTelemetry: %s", exc)
        return None
    if not traces and not metrics:
        return None
    try:
        from gateway.otel import OpenTelemetry
    except ModuleNotFoundError as exc:
        logger.warning(
            "no OpenTelemetry, which OTEL_* variables ask for: %s is missing;"
            " pip install 'hydra-gateway[otel]'",
            exc.name,
        )
        return None
    return OpenTelemetry(traces=traces, metrics=metrics)
