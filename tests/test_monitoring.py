"""The dashboard, the alerts and the scrape configuration speak of metrics that a gateway has."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import promql_parser as promql
import pytest
import yaml
from gateways import Gateway
from prometheus_client.parser import text_string_to_metric_families
from test_serve import ROOT

from gateway.decision import Reason, Status
from gateway.failure import OUTCOMES
from gateway.metric_table import KINDS

DEPLOY = ROOT / "deploy"
CHAT = "/v1/chat/completions"
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/hydra-gateway.json").read_text("utf-8"))
PROMETHEUS = yaml.safe_load((DEPLOY / "prometheus/prometheus.yaml").read_text("utf-8"))
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text("utf-8"))
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
OF_PROMETHEUS = {"job", "instance"}  # the labels that a scrape adds
VALUES = {
    "status": set(Status.__args__),  # type: ignore[attr-defined]
    "reason": set(Reason.__args__),  # type: ignore[attr-defined]
    "outcome": set(OUTCOMES),
    "kind": set(KINDS),
}
INTERVALS = {"$__rate_interval": "5m", "$__range": "1h"}


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def _expressions() -> Iterator[Any]:
    for panel in panels():
        for target in panel["targets"]:
            yield pytest.param(target["expr"], id=f"{panel['title']} {target['refId']}")
    for rule in RULES:
        yield pytest.param(rule["expr"], id=rule["alert"])


EXPRESSIONS = list(_expressions())


def parsed(expression: str) -> promql.Expr:
    for variable, value in INTERVALS.items():
        expression = expression.replace(variable, value)
    return promql.parse(expression)


def nodes(expression: promql.Expr) -> list[promql.Expr]:
    found: list[promql.Expr] = []
    promql.walk(expression, found.append)
    return found


def selectors(expression: promql.Expr) -> list[promql.VectorSelector]:
    """All of them, also those inside of ranges."""
    return [node for node in nodes(expression) if isinstance(node, promql.VectorSelector)]


@pytest.fixture(scope="module")
def labels_of(shared_gateway: Gateway) -> dict[str, set[str]]:
    """Sample name -> its labels, in a gateway that everything happened to."""
    messages = [{"role": "user", "content": "x"}]
    with shared_gateway.http() as http:
        for body in (
            {"model": "auto:aggressive", "stream": True},
            {"model": "auto:aggressive", "hydra": {"pool": "falls-503"}},
            {"model": "large", "hydra": {"pool": "text-only"}},
            {"model": "unpriced"},
            {"model": "nobody-knows-it"},
        ):
            http.post(CHAT, json={**body, "messages": messages})
        text = http.get("/metrics").text
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_there_are(
    expression: str, labels_of: dict[str, set[str]]
) -> None:
    found = selectors(parsed(expression))
    assert found
    known = set(OF_PROMETHEUS)
    for selector in found:
        labels = labels_of[selector.name] if selector.name != "up" else set()
        known |= labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels | OF_PROMETHEUS, selector.name
            if matcher.name in VALUES:
                assert set(matcher.value.split("|")) <= VALUES[matcher.name]
    for node in nodes(parsed(expression)):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            assert set(node.modifier.labels) <= known


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_counter_is_read_as_a_rate_and_a_gauge_is_not(expression: str) -> None:
    tree = parsed(expression)
    ranges = [node for node in nodes(tree) if isinstance(node, promql.MatrixSelector)]
    ranged = {node.vector_selector.name for node in ranges}
    plain = {node.name for node in selectors(tree)} - ranged
    rising = ("_total", "_bucket", "_sum", "_count")
    assert all(name.endswith(rising) for name in ranged)
    plain.discard("hydra_catalog_refusals_total")  # the table shows how many there were
    assert not any(name.endswith(rising) for name in plain)


def test_legends_and_summaries_name_labels_of_their_expression() -> None:
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert named <= grouping(target["expr"]), target
    for rule in RULES:
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert named <= grouping(rule["expr"]) | {"instance"}, rule
        assert rule["labels"]["severity"] in ("warning", "critical")


def grouping(expression: str) -> set[str]:
    """The labels that are left of an expression's first aggregation."""
    tree = nodes(parsed(expression))
    kept = [n for n in tree if isinstance(n, promql.AggregateExpr) and n.modifier is not None]
    return set(kept[0].modifier.labels) if kept else set()


def test_variables_of_the_dashboard_are_defined_and_found(labels_of: dict[str, set[str]]) -> None:
    variables = DASHBOARD["templating"]["list"]
    names = {variable["name"] for variable in variables}
    used = set(re.findall(r"\$\{?([a-z]+)\}?\b", json.dumps(DASHBOARD).replace("$__", "")))
    assert used == names
    for variable in variables:
        if variable["type"] == "query":
            selector, label = re.fullmatch(
                r"label_values\((.*), (\w+)\)", variable["definition"]
            ).groups()  # type: ignore[union-attr]
            (found,) = selectors(parsed(selector))
            assert label in labels_of[found.name] | OF_PROMETHEUS
    assert {panel["datasource"]["uid"] for panel in panels()} == {"${datasource}"}


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_scrape_configuration_reaches_the_gateway(http: httpx.Client) -> None:
    (scrape,) = PROMETHEUS["scrape_configs"]
    assert http.get(scrape["metrics_path"]).status_code == 200
    assert scrape["static_configs"] == [{"targets": ["gateway:4000"]}]
    assert "gateway" in COMPOSE["services"]
    assert f'job="{scrape["job_name"]}"' in json.dumps(RULES).replace('\\"', '"')


def test_compose_mounts_what_there_is() -> None:
    mounted = [
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    ]
    assert mounted
    for path in mounted:
        assert (DEPLOY / path).exists(), path
    rules = PROMETHEUS["rule_files"]
    assert [Path(rule).name for rule in rules] == ["alerts.yaml"]
    assert (DEPLOY / "prometheus/alerts.yaml").exists()
    secret = PROMETHEUS["scrape_configs"][0]["authorization"]["credentials_file"]
    assert Path(secret).name in COMPOSE["secrets"]
