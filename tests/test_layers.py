"""Who may import whom, read from the source."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path
    for folder in ("gateway", "predictor", "tests", "bench")
    for path in ROOT.glob(f"{folder}/**/*.py")
)
CORE = (
    *("anchors", "controls", "costing", "decision", "demands", "errors", "json_body", "money"),
    "export_columns",
    *("dialects", "history", "messages_answer", "messages_blocks", "messages_native"),
    "messages_request",
    *(
        "price",
        "profile",
        "protocols",
        "request",
        "responses_answer",
        "responses_fields",
        "responses_items",
        "responses_request",
        "responses_tools",
        "routing",
    ),
    *("sse", "upstream_errors", "wires"),
    *("failure", "metric_table", "metrics"),
    *(f"dashboard/{name}" for name in ("bill", "formats", "one_decision", "overview", "why")),
)
REDIS_OWNERS = {"delivery", "feedback", "ledger", "listing", "redis_connection", "shipper"}
REDIS_OWNERS |= {"deletion", "rollup_names", "schema"}
IMPURE = {"asyncio", "os", "random", "secrets", "socket", "subprocess", "time"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it: `gateway.errors`, `redis.asyncio`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module in ("gateway", "predictor", "litellm", "unittest"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def of(folder: str) -> list[Path]:
    return [path for path in SOURCES if path.relative_to(ROOT).parts[0] == folder]


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_the_standard_library_and_itself(name: str) -> None:
    found = set(imports(ROOT / "gateway" / f"{name}.py")) - {"gateway"}
    ours = {name.partition(".")[2].replace(".", "/") for name in found if "gateway." in name}
    others = {module for module in found if not module.startswith("gateway.")}
    assert ours <= set(CORE)
    # orjson is json, only quicker.
    roots = {module.partition(".")[0] for module in others} - {"orjson"}
    assert roots <= sys.stdlib_module_names
    assert not others & IMPURE


def test_litellm_is_imported_where_providers_are_resolved_and_in_the_slow_lane() -> None:
    found = [path.name for path in of("gateway") if "litellm" in roots(path)]
    assert found == ["slow_lane.py", "targets.py"]


def test_opentelemetry_is_imported_only_where_it_was_asked_for() -> None:
    users = [path.stem for path in of("gateway") if "opentelemetry" in roots(path)]
    assert users == ["otel", "otel_spans"]
    importers = [path.stem for path in of("gateway") if "gateway.otel" in imports(path)]
    assert importers == ["telemetry", "tracing"]  # for its types, and when asked for


def test_redis_is_imported_only_where_its_keys_are_owned() -> None:
    assert {path.stem for path in of("gateway") if "redis" in roots(path)} <= REDIS_OWNERS


def test_the_predictor_knows_nothing_of_the_gateway() -> None:
    for path in of("predictor"):
        assert "gateway" not in roots(path), path


def test_nothing_of_ours_is_mocked() -> None:
    for path in SOURCES:
        assert "unittest.mock" not in set(imports(path)), path


def test_litellms_proxy_is_not_used() -> None:
    for path in SOURCES:
        assert not any(name.startswith("litellm.proxy") for name in imports(path)), path


def test_the_product_imports_neither_tests_nor_benchmarks() -> None:
    for path in of("gateway"):
        assert not roots(path) & {"bench", "tests"}, path


@pytest.mark.parametrize("module", ["app", "slow_lane", "targets", "cli"])
def test_importing_looks_no_address_up(module: str) -> None:
    """litellm fetches its price table while it is imported, unless it was told not to before."""
    program = (
        "import socket, sys; found = []; real = socket.getaddrinfo\n"
        "socket.getaddrinfo = lambda *a, **k: (found.append(a[0]), real(*a, **k))[1]\n"
        f"import gateway.{module}\n"
        "sys.exit(str(found) if found else 0)"
    )
    environ = {n: v for n, v in os.environ.items() if n != "LITELLM_LOCAL_MODEL_COST_MAP"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
