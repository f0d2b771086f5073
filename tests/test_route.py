"""POST /v1/route: the dry run is the same decision as the served one, and touches nothing."""

import httpx
from gateways import Gateway
from test_chat_completions import HELLO, decision_of
from upstream_stub import UpstreamStub

OUTCOME = {"attempts", "served_by", "status", "cost_usd", "usage", "latency_ms", "finish_reason"}


def test_the_dry_run_is_the_decision_without_its_outcome(
    http: httpx.Client, upstream: UpstreamStub
) -> None:
    body = {"model": "auto:iso", "messages": HELLO}
    dry = http.post("/v1/route", json=body).json()
    assert upstream.requests == []
    assert not OUTCOME & set(dry)
    served = decision_of(http, http.post("/v1/chat/completions", json=body))
    fleeting = {"id", "ts", "predictor_ms", "router_ms"}
    for name in set(dry) - fleeting:
        assert dry[name] == served[name], name


def test_the_dry_run_is_not_logged(http: httpx.Client) -> None:
    tagged = {"model": "auto", "messages": HELLO, "hydra": {"tags": ["dry"]}}
    dry = http.post("/v1/route", json=tagged).json()
    assert http.get(f"/v1/decisions/{dry['id']}").status_code == 404


def test_a_decision_can_be_recomputed_from_its_record(gateway: Gateway, http: httpx.Client) -> None:
    """Requirements, capabilities, weights, bands and prices suffice for shortfalls and choice."""
    import predictor
    from gateway import catalog
    from gateway.demands import Demands
    from gateway.predictor_facts import facts
    from gateway.routing import decide

    dry = http.post("/v1/route", json={"model": "auto:iso", "messages": HELLO}).json()
    found = catalog.load(
        gateway.catalog_folder, facts(predictor.load()), {"TEST_PROVIDER_KEY": "x"}
    )
    assert found.sha == dry["catalog_sha"]
    demands = Demands(
        prompt_tokens=dry["demands"]["prompt_tokens"],
        max_output_tokens=dry["demands"]["max_output_tokens"],
        features=frozenset(dry["demands"]["features"]),
        choices=dry["demands"]["choices"],
    )
    requirements = tuple(dry["requirements"].values())
    again = decide(requirements, demands, found.pools[dry["pool"]], dry["threshold"])
    assert again.to_dict() == {name: dry[name] for name in again.to_dict()}


def test_every_candidate_shows_its_numbers(http: httpx.Client) -> None:
    dry = http.post("/v1/route", json={"model": "auto:iso", "messages": HELLO}).json()
    for candidate in dry["candidates"]:
        assert {
            "model",
            "shortfall",
            "p_solve",
            "expected_output_tokens",
            "expected_cost_usd",
            "eligible",
            "excluded_by",
        } <= set(candidate)


def test_a_pool_of_values_spends_what_a_solved_request_is_worth(http: httpx.Client) -> None:
    def choice(mode: str) -> dict[str, object]:
        body = {"model": f"auto:{mode}", "messages": HELLO, "hydra": {"pool": "valued"}}
        found: dict[str, object] = http.post("/v1/route", json=body).json()
        return found

    lavish, thrifty = choice("peak"), choice("aggressive")
    assert (lavish["rule"], lavish["value_usd"], lavish["threshold"]) == ("value", 1000, None)
    assert (lavish["chosen"], thrifty["chosen"]) == ("large", "small")


def test_who_gives_a_threshold_gets_the_threshold_rule(http: httpx.Client) -> None:
    """Also where the pool's modes are dollars: a threshold of 5 is not five dollars."""
    for pool in ("default", "valued"):
        headers = {"x-hydra-threshold": "5", "x-hydra-pool": pool}
        body = {"model": "auto:peak", "messages": HELLO}
        dry = http.post("/v1/route", json=body, headers=headers).json()
        assert (dry["rule"], dry["threshold"], dry["value_usd"]) == ("threshold", 5, None)
        assert (dry["chosen"], dry["reason"]) == ("small", "cheapest_sufficient")
