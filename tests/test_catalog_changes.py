"""Changing the catalog of a running gateway: a file and a name are all it takes."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from gateways import StartGateway, write_catalog
from test_chat_completions import HELLO, ask
from upstream_stub import UpstreamStub

NEW = """\
name: newcomer
litellm_model: hosted_vllm/ok-newcomer
api_base: "@UPSTREAM@"
capabilities: {reasoning: 0, code_generation: 0, debugging: 0, tool_use: 0}
price: {input_usd_per_mtok: 0.1, output_usd_per_mtok: 0.2}
"""


@pytest.fixture
def folder(tmp_path: Path, upstream: UpstreamStub) -> Path:
    made = tmp_path / "profiles"
    made.mkdir()
    return write_catalog(made, upstream)


def eventually(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not check():
        assert time.monotonic() < deadline, "the change was not seen in 10 s"
        time.sleep(0.1)


def chosen(http: httpx.Client) -> str:
    body = {"model": "auto:aggressive", "messages": HELLO}
    return http.post("/v1/route", json=body).json()["chosen"]


def test_a_new_file_and_its_name_in_the_pool_are_routed_to(
    start_gateway: StartGateway, folder: Path, upstream: UpstreamStub
) -> None:
    with start_gateway(HYDRA_PROFILES=str(folder)).http() as http:
        assert chosen(http) == "small"
        new = NEW.replace("@UPSTREAM@", upstream.base_url)
        (folder / "newcomer.yaml").write_text(new)
        pools = folder / "pools.yaml"
        pools.write_text(pools.read_text().replace("[small, large]", "[small, large, newcomer]", 1))
        eventually(lambda: chosen(http) == "newcomer")
        answer = ask(http)
        assert answer.json()["choices"][0]["message"]["content"] == "Hello from ok-newcomer"
        pools.write_text(pools.read_text().replace(", newcomer]", "]", 1))
        eventually(lambda: chosen(http) == "small")


def test_a_bad_change_is_refused_with_file_line_and_field_and_the_running_catalog_stays(
    start_gateway: StartGateway, folder: Path, upstream: UpstreamStub
) -> None:
    with start_gateway(HYDRA_PROFILES=str(folder)).http() as http:
        small = folder / "small.yaml"
        good = small.read_text()
        small.write_text(good.replace("output_usd_per_mtok: 5", "output_usd_per_mtok: free"))

        def catalog() -> dict:
            return http.get("/readyz").json()["checks"]["catalog"]

        eventually(lambda: not catalog()["ok"])
        assert catalog()["problems"] == [
            f"{small}:6: price.output_usd_per_mtok: expected a number >= 0, got 'free'"
        ]
        assert http.get("/readyz").json()["status"] == "degraded"
        assert ask(http).headers["x-hydra-cost-usd"] == "0.000164"
        small.write_text(good)
        eventually(lambda: catalog()["ok"])
