"""GET /metrics: what is counted, by which labels, for whom to see, and of how many workers."""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import Gateway, StartGateway
from log_fixtures import Server, a_record
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from test_serve import ROOT, start

from gateway import __version__
from gateway.failure import OUTCOMES, failure, outcome
from gateway.metric_table import LABELS, METRICS
from gateway.metrics import Metrics, merged
from gateway.worker_metrics import WorkerMetrics, shared_folder

CHAT = "/v1/chat/completions"
Samples = dict[str, dict[tuple[str, ...], float]]


def body(model: str = "auto", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}


def scraped(text: str) -> Samples:
    """Sample name -> label values, in the order of the table -> value."""
    order = {metric.name: metric.labels for metric in METRICS}
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name
            for ending in ("_bucket", "_count", "_sum"):
                name = name if name in order else name.removesuffix(ending)
            labels = (
                *(sample.labels[label] for label in order[name]),
                *sample.labels.get("le", ""),
            )
            samples.setdefault(sample.name, {})[labels] = sample.value
    return samples


def scrape(http: httpx.Client) -> Samples:
    answer = http.get("/metrics")
    assert answer.status_code == 200
    return scraped(answer.text)


class Risen:
    """What has risen since it was made."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._before = scrape(http)

    def __call__(self, name: str, *labels: str) -> float:
        now = scrape(self._http).get(name, {}).get(labels, 0.0)
        return round(now - self._before.get(name, {}).get(labels, 0.0), 12)

    def series(self) -> dict[str, set[tuple[str, ...]]]:
        """Series that were not there before."""
        now = scrape(self._http)
        new = {name: set(found) - set(self._before.get(name, {})) for name, found in now.items()}
        return {name: labels for name, labels in new.items() if labels}


def record_of(http: httpx.Client, answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = http.get(
        f"/v1/decisions/{answer.headers['x-hydra-decision-id']}"
    ).json()
    return found


def test_a_request_is_counted_with_its_endpoint_who_served_it_and_why(http: httpx.Client) -> None:
    risen = Risen(http)
    http.post(CHAT, json=body("auto:aggressive"))
    http.post("/v1/responses", json={"model": "large", "input": "hello"})
    served = ("default", "aggressive", "small", "cheapest_sufficient", "ok")
    assert risen("hydra_requests_total", CHAT, *served) == 1
    pinned = ("default", "none", "large", "pinned", "ok")
    assert risen("hydra_requests_total", "/v1/responses", *pinned) == 1
    assert risen("hydra_request_duration_seconds_count", CHAT, "small") == 1
    assert risen("hydra_upstream_attempts_total", "small", "ok") == 1


def test_tokens_and_dollars_are_those_of_the_record(http: httpx.Client) -> None:
    risen = Risen(http)
    record = record_of(http, http.post(CHAT, json=body("auto:aggressive")))
    assert record["served_by"] == "small"
    for kind in ("prompt", "cached", "completion", "reasoning"):
        assert risen("hydra_tokens_total", "small", kind) == record["usage"][kind] > 0
    assert risen("hydra_cost_usd_total", "small") == float(record["cost_usd"]) > 0
    assert risen("hydra_baseline_cost_usd_total", "small") == float(record["baseline_cost_usd"])
    assert risen("hydra_savings_usd_total", "small") == float(record["savings_usd"]) > 0
    assert risen("hydra_extra_cost_usd_total", "small") == 0


def test_what_is_dearer_than_the_baseline_is_counted_apart(http: httpx.Client) -> None:
    """A counter can't fall: net savings are the difference of two."""
    risen = Risen(http)
    answer = http.post(CHAT, json=body("large"), headers={"x-hydra-pool": "text-only"})
    record = record_of(http, answer)
    assert risen("hydra_extra_cost_usd_total", "large") == -float(record["savings_usd"]) > 0
    assert risen("hydra_savings_usd_total", "large") == 0


def test_an_unknown_cost_is_counted_and_is_in_no_sum(http: httpx.Client) -> None:
    risen = Risen(http)
    http.post(CHAT, json=body("unpriced"))
    assert risen("hydra_unknown_cost_requests_total", "unpriced") == 1
    assert "hydra_cost_usd_total" not in risen.series()


def test_the_time_to_the_first_token_is_of_streams_alone(http: httpx.Client) -> None:
    risen = Risen(http)
    http.post(CHAT, json=body("small"))
    assert risen("hydra_time_to_first_token_seconds_count", "small") == 0
    http.post(CHAT, json=body("small", stream=True))
    assert risen("hydra_time_to_first_token_seconds_count", "small") == 1


def test_router_and_predictor_are_timed_for_routed_requests_alone(http: httpx.Client) -> None:
    risen = Risen(http)
    http.post(CHAT, json=body("small"))
    assert risen("hydra_router_duration_seconds_count") == 0
    record = record_of(http, http.post(CHAT, json=body()))
    for name in ("router", "predictor"):
        assert risen(f"hydra_{name}_duration_seconds_count") == 1
        taken = risen(f"hydra_{name}_duration_seconds_sum")
        assert taken == pytest.approx(record[f"{name}_ms"] / 1000)


def test_a_fallback_counts_what_failed_and_who_served(http: httpx.Client) -> None:
    risen = Risen(http)
    http.post(CHAT, json=body("auto:aggressive"), headers={"x-hydra-pool": "falls-503"})
    assert risen("hydra_upstream_attempts_total", "status-503", "overloaded") == 1
    assert risen("hydra_upstream_attempts_total", "large", "ok") == 1
    assert risen("hydra_fallbacks_total", "status-503") == 1
    served = ("falls-503", "aggressive", "large", "fallback", "ok")
    assert risen("hydra_requests_total", CHAT, *served) == 1


def test_a_request_that_nobody_served_has_no_profile(http: httpx.Client) -> None:
    risen = Risen(http)
    http.post(CHAT, json=body("status-429"))
    failed = ("default", "none", "none", "pinned", "error")
    assert risen("hydra_requests_total", CHAT, *failed) == 1
    assert risen("hydra_upstream_attempts_total", "status-429", "rate_limited") == 1


def test_what_callers_invent_makes_no_series(http: httpx.Client) -> None:
    http.post(CHAT, json=body())  # the series of a request for auto, unless there
    http.get("/nowhere/at/all")
    http.post(CHAT, json=body("warm-up"))
    risen = Risen(http)
    invented = {"x-hydra-session": "ses-1", "x-hydra-tags": "tag-1", "x-request-id": "req-1"}
    http.post(CHAT, json=body(user="user-1"), headers={**invented, "authorization": "Bearer k-1"})
    for number in range(3):
        http.post(CHAT, json=body(f"no-such-model-{number}"))
        http.post(CHAT, json=body(), headers={"x-hydra-pool": f"pool-{number}"})
        http.get(f"/nowhere/{number}")
    known = {"hydra_requests_total", "hydra_refused_requests_total"}  # those of the first block
    assert not {name for name in risen.series() if name in known}
    text = http.get("/metrics").text
    for word in ("ses-1", "tag-1", "req-1", "user-1", "k-1", "no-such-model", "pool-", "nowhere"):
        assert word not in text


def test_refusals_are_counted_by_endpoint_and_status(http: httpx.Client) -> None:
    risen = Risen(http)
    http.post(CHAT, json=body("nobody-knows-it"))
    http.post("/v1/messages", content=b"{")
    http.get("/nowhere")
    assert risen("hydra_refused_requests_total", CHAT, "404") == 1
    assert risen("hydra_refused_requests_total", "/v1/messages", "400") == 1
    assert risen("hydra_refused_requests_total", "other", "404") == 1


def test_running_requests_are_in_flight(http: httpx.Client, gateway: Gateway) -> None:
    def ask() -> None:
        with gateway.http() as own:
            own.post(CHAT, json=body("slow"))

    asking = threading.Thread(target=ask)
    asking.start()
    seen = {0.0}
    while asking.is_alive():
        seen |= set(scrape(http)["hydra_in_flight_requests"].values())
    assert seen == {0.0, 1.0}
    assert scrape(http)["hydra_in_flight_requests"] == {(): 0.0}


def test_every_metric_of_the_table_is_shown_and_no_other(http: httpx.Client) -> None:
    http.post(CHAT, json=body(stream=True))
    families = {family.name for family in text_string_to_metric_families(http.get("/metrics").text)}
    assert families == {metric.name.removesuffix("_total") for metric in METRICS}
    samples = scrape(http)
    assert samples["hydra_build_info"] == {(__version__,): 1.0}
    assert samples["process_resident_memory_bytes"][()] > 10_000_000
    for name in ("redis_up", "spool_writable", "predictor_up", "workers"):
        assert samples[f"hydra_{name}"] == {(): 1.0}
    assert samples["hydra_spool_bytes"][()] > 0


def test_every_metric_and_every_label_is_explained() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for metric in METRICS:
        assert f"`{metric.name}`" in page
    assert {label for metric in METRICS for label in metric.labels} == set(LABELS)


def test_open_metrics_comes_for_who_asks(http: httpx.Client) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = http.get("/metrics", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name for family in openmetrics.text_string_to_metric_families(answer.text)}
    assert "hydra_requests" in families
    plain = http.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")


def test_the_log_is_told_of_while_redis_is_away(
    start_gateway: StartGateway, new_server: Callable[[], Server]
) -> None:
    server = new_server()
    with start_gateway(HYDRA_REDIS_URL=server.url).http() as http:
        assert until(lambda: scrape(http)["hydra_redis_up"][()] == 1)
        server.kill()
        http.post(CHAT, json=body())
        assert until(lambda: scrape(http)["hydra_redis_up"][()] == 0)
        assert scrape(http)["hydra_log_pending_records"][()] == 1
        server.start()
        assert until(lambda: scrape(http)["hydra_log_pending_records"][()] == 0)


def test_a_refused_catalog_is_counted_and_a_taken_one_named(
    start_gateway: StartGateway, catalog_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "profiles"
    folder.mkdir()
    for path in catalog_folder.glob("*.yaml"):
        (folder / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with start_gateway(HYDRA_PROFILES=str(folder)).http() as http:
        (first,) = scrape(http)["hydra_catalog_info"]
        assert scrape(http)["hydra_catalog_refusals_total"] == {(): 0.0}
        wrong = folder / "wrong.yaml"
        wrong.write_text("name: [")
        assert until(lambda: scrape(http)["hydra_catalog_refusals_total"][()] == 1)
        assert list(scrape(http)["hydra_catalog_info"]) == [first]
        wrong.write_text((folder / "small.yaml").read_text().replace("name: small", "name: more"))
        assert until(lambda: list(scrape(http)["hydra_catalog_info"]) != [first])
        assert len(scrape(http)["hydra_catalog_info"]) == 1


def until(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return False


def test_with_keys_metrics_need_one(start_gateway: StartGateway) -> None:
    with start_gateway(HYDRA_API_KEYS="alice=right").http() as http:
        assert http.get("/metrics").status_code == 401
        assert http.get("/metrics", headers=bearer("wrong")).status_code == 401
        assert http.get("/metrics", headers=bearer("right")).status_code == 200
        assert http.get("/metrics", headers={"x-api-key": "right"}).status_code == 200


def test_where_callers_see_only_their_own_costs_metrics_are_the_admins(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway(HYDRA_API_KEYS="alice=right", HYDRA_ADMIN_KEY="root")
    with gateway.http() as http:
        assert http.get("/metrics", headers=bearer("right")).status_code == 401
        assert http.get("/metrics", headers=bearer("root")).status_code == 200


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.timeout(300)  # three processes start
def test_a_scrape_shows_the_sum_of_all_workers_and_forgets_no_dead_one(
    tmp_path: Path, shared_server: Server
) -> None:
    served = start(tmp_path, HYDRA_WORKERS="2", HYDRA_REDIS_URL=shared_server.url)
    try:
        with httpx.Client(base_url=served.url) as http:
            assert until(lambda: scrape(http)["hydra_workers"][()] == 2, 30)
        for _ in range(8):  # a connection each, so that both workers get some
            asked = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "n": 1}
            httpx.post(f"{served.url}{CHAT}", json=asked, timeout=30).raise_for_status()
        assert until(lambda: total(served.url) == 8)
        time.sleep(1.5)  # what a worker counted in its last second dies with it
        assert {total(served.url) for _ in range(12)} == {8.0}
        before = workers(served.process.pid)
        os.kill(min(before), signal.SIGKILL)
        assert until(lambda: len(workers(served.process.pid) - before) == 1, 30)
        files = tmp_path / ".hydra/metrics"  # the dead one's stays
        assert until(lambda: len(list(files.glob("*/*.json"))) == 3, 30)
        assert live(served.url) == 2
        assert {total(served.url) for _ in range(12)} == {8.0}
    finally:
        assert served.stop() == 0
    assert not list((tmp_path / ".hydra/metrics").iterdir())


def total(url: str) -> float:
    return sum(scraped(httpx.get(f"{url}/metrics").text).get("hydra_requests_total", {}).values())


def live(url: str) -> float:
    return scraped(httpx.get(f"{url}/metrics").text)["hydra_workers"][()]


def workers(parent: int) -> set[int]:
    """The parent's children that serve."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(after_name[1]) == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
    return found


def test_numbers_of_workers_become_one_as_the_table_says() -> None:
    one, other = Metrics(), Metrics()
    for metrics, count in ((one, 1), (other, 2)):
        for _ in range(count):
            metrics.observe(a_record())
    gauges = [{"hydra_redis_up": {(): [up]}, "hydra_spool_bytes": {(): [up]}} for up in (0.0, 1.0)]
    whole = merged([one.cells, other.cells, *gauges])
    assert list(whole["hydra_requests_total"].values()) == [[3.0]]
    assert sum(whole["hydra_predictor_duration_seconds"][()][:-1]) == 3
    assert whole["hydra_redis_up"] == {(): [0.0]}
    assert whole["hydra_spool_bytes"] == {(): [1.0]}
    assert list(one.cells["hydra_requests_total"].values()) == [[1.0]]


def test_a_disk_that_takes_no_metrics_is_said_once_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sharing = WorkerMetrics(tmp_path / "gone")
    for _ in range(3):
        sharing.write(Metrics().cells)
    assert [record.getMessage() for record in caplog.records] == [
        "this worker's metrics are not shared: No such file or directory"
    ]
    (tmp_path / "metrics").touch()
    with shared_folder(tmp_path) as folder:
        assert folder is None
    assert "/metrics will show one worker at a time" in caplog.records[-1].getMessage()
    assert caplog.records[-1].levelno == logging.WARNING


def test_a_start_deletes_what_a_killed_one_left_and_nothing_in_use(tmp_path: Path) -> None:
    with shared_folder(tmp_path) as used:
        assert used is not None
        left = used.with_name("left-behind")
        left.mkdir()
        left.with_suffix(".lock").touch()
        with shared_folder(tmp_path) as own:
            assert own is not None
            assert own.is_dir()
            assert used.is_dir()
            assert not left.exists()
    assert not list((tmp_path / "metrics").iterdir())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, None),
        ({"status": "error", "disconnected": True}, "disconnected"),
        ({"status": "aborted"}, "stopped"),
        ({"status": "error"}, "broken_stream"),
        ({"status": "error", "attempts": []}, "rejected"),
        ({"status": "error", "attempts": [{"status": 504}]}, "timeout"),
        ({"status": "error", "attempts": [{"status": 200}, {"status": None}]}, "unreachable"),
    ],
)
def test_a_failure_is_one_word(changes: dict[str, Any], word: str | None) -> None:
    assert failure(a_record(**changes)) == word


def test_every_status_has_an_outcome_of_the_table() -> None:
    found = {outcome(status) for status in (None, *range(200, 600))}
    assert found == set(OUTCOMES)
