"""Bills, line by line: usage as providers send it; docs/costs.md has the arithmetic."""

import ast
import re
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from catalog_files import LARGE, write_catalog
from test_profiles import ROOT

import predictor
from gateway import bundled_prices, catalog, costing, demands, money
from gateway.decision import Usage
from gateway.predictor_facts import facts
from gateway.profile import Profile
from gateway.wires import CHAT, MESSAGES, METERS, RESPONSES, usage_in

Json = dict[str, Any]

OWN = """
price:
  input_usd_per_mtok: 0.2
  output_usd_per_mtok: 0.6
  cached_input_usd_per_mtok: 0.05
  image_input_usd_per_mtok: 0.4
  tiers:
    - {above_prompt_tokens: 32000, input_usd_per_mtok: 0.3, output_usd_per_mtok: 0.9}
"""


def chat(prompt: int, out: int, total: int | None = None, **more: Any) -> Json:
    """An answer on the chat wire; `more` lies beside the counts."""
    counts = {"prompt_tokens": prompt, "completion_tokens": out}
    return {"usage": {**counts, "total_tokens": total or prompt + out, **more}}


def into(**details: int) -> Json:
    return {"prompt_tokens_details": details}


def out(**details: int) -> Json:
    return {"completion_tokens_details": details}


def claude(**usage: Any) -> Json:
    return {"usage": {"service_tier": "standard", "inference_geo": "global", **usage}}


CACHED = chat(2006, 300, **into(cached_tokens=1920, audio_tokens=0), **out(reasoning_tokens=0))
WRITTEN = {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}
RESPONSE = {
    **{"input_tokens": 1000, "input_tokens_details": {"cached_tokens": 600}},
    **{"output_tokens": 200, "output_tokens_details": {"reasoning_tokens": 128}},
    "total_tokens": 1200,
}
WRITING = {
    **{"input_tokens": 3600, "output_tokens": 300, "total_tokens": 3900},
    "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 2500},
}
ROUTER = {"cost": 0.00095, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}
BYOK = {
    **{"cost": 0.0000475, "is_byok": True},
    "cost_details": {"upstream_inference_cost": 0.00095},
}
SONAR = {"input_tokens_cost": 0.00002, "request_cost": 0.006, "total_cost": 0.00607}

# A profile of the catalog or litellm's name of a model; the wire; the answer; dollars and status.
CASES = [
    pytest.param("gpt-5.4", CHAT, CACHED, "0.005195", "exact", id="OpenAI, cached"),
    pytest.param(
        *("gpt-5.3-codex", RESPONSES, {"usage": RESPONSE, "service_tier": "default"}),
        *("0.003605", "exact"),
        id="OpenAI, cached, Responses",
    ),
    pytest.param(
        *("gpt-5.6", CHAT, chat(3600, 300, **into(cached_tokens=1000, cache_write_tokens=2500))),
        *("0.0193", "exact"),
        id="gpt-5.6, cache read and written",
    ),
    pytest.param(
        *("gpt-5.6", RESPONSES, {"usage": WRITING, "service_tier": "default"}),
        *("0.0193", "exact"),
        id="gpt-5.6, cache read and written, Responses",
    ),
    pytest.param(
        *("gpt-5.4-mini", CHAT, chat(75, 1186, **out(reasoning_tokens=1024))),
        *("0.00539325", "exact"),
        id="OpenAI, reasoning",
    ),
    pytest.param(
        "gpt-5.4", CHAT, chat(272_000, 1000), "0.695", "exact", id="gpt-5.4, 272,000 exactly"
    ),
    pytest.param(
        *("gpt-5.4", CHAT, chat(300_000, 1000, **into(cached_tokens=200_000))),
        *("0.6225", "exact"),
        id="gpt-5.4, long, cached",
    ),
    pytest.param(
        *("gpt-5.4-mini", CHAT, {**chat(1000, 500), "service_tier": "flex"}),
        *("0.0015", "exact"),
        id="flex",
    ),
    pytest.param(
        "gpt-5.4",
        CHAT,
        {**chat(1000, 100, **into(cached_tokens=400)), "service_tier": "priority"},
        *("0.0062", "exact"),
        id="priority, cached",
    ),
    pytest.param(
        *("gpt-5.4-mini", CHAT, {**chat(1000, 500), "service_tier": "default"}),
        *("0.003", "exact"),
        id="flex asked, default served",
    ),
    pytest.param(
        "gpt-audio",
        CHAT,
        chat(120, 260, **into(audio_tokens=100), **out(audio_tokens=240, text_tokens=20)),
        *("0.01881", "exact"),
        id="audio in and out",
    ),
    pytest.param(
        *("gemini/gemini-2.5-flash-image", CHAT, chat(20, 1310, **out(image_tokens=1290))),
        *("0.038756", "exact"),
        id="image out",
    ),
    pytest.param("gpt-5.4-mini", CHAT, chat(40, 600), "0.00273", "exact", id="n=3"),
    pytest.param(
        "claude-sonnet-4-6",
        MESSAGES,
        claude(
            **{"input_tokens": 100, "cache_read_input_tokens": 5000, "output_tokens": 500},
            **{"cache_creation_input_tokens": 3000, "cache_creation": WRITTEN},
        ),
        *("0.02505", "exact"),
        id="Claude, cache read, written for 5 minutes and for 1 hour",
    ),
    pytest.param(
        "anthropic/claude-haiku-5-5",
        MESSAGES,
        claude(
            **{"input_tokens": 20_000, "cache_read_input_tokens": 90_000},
            **{"cache_creation_input_tokens": 5000, "output_tokens": 1000},
        ),
        *("0.020125", "exact"),
        id="Claude Haiku 5.5, long",
    ),
    pytest.param(
        "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0",
        CHAT,
        chat(250_000, 2000, **into(cached_tokens=200_000), cache_read_input_tokens=200_000),
        *("0.465", "exact"),
        id="Claude on Bedrock, above 200,000",
    ),
    pytest.param(
        "claude-sonnet-4-6",
        MESSAGES,
        claude(input_tokens=1000, output_tokens=200, server_tool_use={"web_search_requests": 2}),
        *("0.026", "exact"),
        id="Claude, two web searches",
    ),
    pytest.param(
        "claude-sonnet-4-6",
        MESSAGES,
        claude(input_tokens=1000, output_tokens=200, inference_geo="us"),
        *("0.0066", "exact"),
        id="Claude, computers in the US",
    ),
    pytest.param(
        "claude-sonnet-4-6",
        MESSAGES,
        claude(input_tokens=1000, output_tokens=200, service_tier="priority"),
        *("0.006", "estimated"),
        id="Claude, a service without a price",
    ),
    pytest.param(
        *("gemini/gemini-2.5-pro", CHAT, chat(250_000, 1000, **out(reasoning_tokens=800))),
        *("0.64", "exact"),
        id="Gemini, above 200,000",
    ),
    pytest.param(
        "deepseek/deepseek-chat",
        CHAT,
        chat(100, 20, prompt_cache_hit_tokens=64, prompt_cache_miss_tokens=36),
        *("0.000020272", "exact"),
        id="DeepSeek, cache hit",
    ),
    pytest.param(
        *("fireworks_ai/kimi-k2p5", CHAT, chat(2000, 100, **into(cached_tokens=1500))),
        *("0.00075", "exact"),
        id="Fireworks, cached",
    ),
    pytest.param(
        "xai/grok-4.20-0309-reasoning",
        CHAT,
        chat(32, 9, 135, **out(reasoning_tokens=94)),
        *("0.0002975", "exact"),
        id="xAI, reasoning beside the text",
    ),
    pytest.param(
        "dashscope/qwen-plus-2025-04-28",
        CHAT,
        chat(100, 500, **out(reasoning_tokens=400)),
        *("0.00176", "exact"),
        id="Qwen, reasoning at its own price",
    ),
    pytest.param(
        *("openrouter/somebody/new", CHAT, chat(194, 2, **ROUTER)),
        *("0.00095", "exact"),
        id="OpenRouter says it",
    ),
    pytest.param(
        *("openrouter/somebody/new", CHAT, chat(194, 2, **BYOK)),
        *("0.0009975", "exact"),
        id="OpenRouter says it, own key",
    ),
    pytest.param(
        *("perplexity/sonar", CHAT, chat(20, 50, cost=SONAR)),
        *("0.00607", "exact"),
        id="Perplexity says it",
    ),
    pytest.param(
        "xai/grok-4.20-0309-reasoning",
        *(CHAT, chat(32, 9, cost_in_usd_ticks=37_756_000), "0.0037756", "exact"),
        id="xAI says it",
    ),
    pytest.param("local-small", CHAT, chat(5000, 1000), "0.00018", "exact", id="own price"),
    pytest.param(
        "own",
        CHAT,
        chat(1000, 100, **into(cached_tokens=300, image_tokens=576)),
        *("0.0003302", "exact"),
        id="own price, cached and images",
    ),
    pytest.param(
        *("own", CHAT, chat(40_000, 100, **into(cached_tokens=30_000))),
        *("0.01209", "exact"),
        id="own price, long",
    ),
    pytest.param(
        "hosted_vllm/nobody-knows", CHAT, chat(5000, 1000), None, "unknown", id="unknown price"
    ),
]
# What one of the two does not know is left out: litellm sums up no prices of our own, and takes
# neither Anthropic's nor Perplexity's objects as they come.
AGREED = [
    *("gpt-5.6, cache read and written", "Fireworks, cached"),
    *("OpenAI, cached", "OpenAI, reasoning", "gpt-5.4, 272,000 exactly", "gpt-5.4, long, cached"),
    *("flex", "priority, cached", "flex asked, default served", "audio in and out", "n=3"),
    *("Claude on Bedrock, above 200,000", "Gemini, above 200,000"),
    *("Qwen, reasoning at its own price",),
]


@cache
def shipped() -> catalog.Catalog:
    everything = {name: "set" for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")}
    return catalog.load(ROOT / "profiles", facts(predictor.load()), everything)


def profile(model: str, folder: Path) -> Profile:
    """A shipped profile, the one of OWN, or one of which litellm's table alone knows the price."""
    if model == "own":
        return write_catalog(folder, {"large.yaml": LARGE + OWN}).load().profiles["large"]
    known = shipped().profiles.get(model)
    if known is not None:
        return known
    price = bundled_prices.price(model)
    return Profile(name=model, litellm_model=model, capabilities=(1.0,) * 4, price=price)


@pytest.mark.parametrize(("model", "wire", "answer", "usd", "status"), CASES)
def test_a_bill_is_met_to_the_last_digit(
    tmp_path: Path, model: str, wire: str, answer: Json, usd: str | None, status: str
) -> None:
    cost = costing.settle(usage_in(wire, answer), profile(model, tmp_path), None)
    assert (money.to_text(cost.usd), cost.status) == (usd, status)
    said = {"cost", "cost_in_usd_ticks"} & answer["usage"].keys()
    assert cost.source == ("provider" if said else "prices")


@pytest.mark.parametrize(("model", "wire", "answer", "usd", "status"), CASES)
def test_a_stream_costs_what_its_answer_would(
    tmp_path: Path, model: str, wire: str, answer: Json, usd: str | None, status: str
) -> None:
    """The service is said in early events, the counts come in the last one."""
    meter = METERS[wire]()
    usage, service = answer["usage"], {"service_tier": answer.get("service_tier")}
    if wire == CHAT:
        meter.saw({"choices": [{"index": 0, "delta": {"content": "Hi"}}], **service})
        meter.saw({"choices": [], "usage": usage})
    elif wire == MESSAGES:
        meter.saw({"type": "message_start", "message": {"usage": {**usage, "output_tokens": 1}}})
        end = {"output_tokens": usage["output_tokens"]}
        meter.saw({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end})
    else:
        meter.saw({"type": "response.completed", "response": answer})
    assert meter.usage is not None
    cost = costing.settle(meter.usage, profile(model, tmp_path), None)
    assert (money.to_text(cost.usd), cost.status) == (usd, status)


def aborted() -> Usage:
    """A stream of Claude's that broke after 400 bytes: its prompt was counted, its answer not."""
    meter = METERS[MESSAGES]()
    usage = claude(input_tokens=100, cache_read_input_tokens=5000, output_tokens=1)["usage"]
    meter.saw({"type": "message_start", "message": {"usage": usage}})
    delta = {"type": "text_delta", "text": "word" * 50}
    for _ in range(2):
        meter.saw({"type": "content_block_delta", "index": 0, "delta": delta})
    assert meter.usage is None
    assert meter.prompt is not None
    return replace(meter.prompt, completion=demands.tokens_in(meter.text_bytes))


def test_an_aborted_stream_is_estimated() -> None:
    served_by = shipped().profiles["claude-sonnet-4-6"]
    cost = costing.settle(aborted(), served_by, None, is_estimate=True)
    assert (money.to_text(cost.usd), cost.status) == ("0.0033", "estimated")


def test_baseline_and_savings_are_of_the_same_usage() -> None:
    served_by, baseline = (shipped().profiles[n] for n in ("gpt-5.4-mini", "claude-sonnet-4-6"))
    cost = costing.settle(usage_in(CHAT, CACHED), served_by, baseline)
    amounts = (cost.usd, cost.baseline_usd, cost.savings_usd)
    assert [money.to_text(usd) for usd in amounts] == ["0.0015585", "0.005334", "0.0037755"]


def documented() -> dict[str, tuple[str, str]]:
    """Case -> arithmetic and dollars, as docs/costs.md has them."""
    page = (ROOT / "docs/costs.md").read_text("utf-8")
    table = page.partition("| case |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[2:]]
    return {row[0]: (row[-2], row[-1]) for row in rows}


EXTRA = {
    "aborted stream": "0.0033",
    "baseline": "0.005334",
    "savings": "0.0037755",
}
HELD = {**{str(case.id): cast("str | None", case.values[3]) for case in CASES}, **EXTRA}


def test_the_docs_have_every_case_and_no_other() -> None:
    assert list(documented()) == list(HELD)


@pytest.mark.parametrize("case", HELD)
def test_the_arithmetic_in_the_docs_gives_its_dollars(case: str) -> None:
    arithmetic, dollars = documented()[case]
    assert dollars == (HELD[case] or "null")
    if HELD[case] is not None:
        assert computed(arithmetic) == Decimal(dollars)


def computed(arithmetic: str) -> Decimal:
    """The value of sums, products and quotients of decimals, `1,000 * 2.5 / 1M` and the like."""
    plain = arithmetic.strip("`").replace("1M", "1000000").replace(",", "")
    tree = ast.parse(re.sub(r"([\d.]+)", r"Decimal('\1')", plain), mode="eval")
    allowed = (ast.Expression, ast.BinOp, ast.Call, ast.Name, ast.Load, ast.Constant, ast.operator)
    assert all(isinstance(node, allowed) for node in ast.walk(tree))
    return cast(Decimal, eval(compile(tree, "docs/costs.md", "eval"), {"Decimal": Decimal}))


@pytest.mark.parametrize("case", AGREED)
def test_litellm_comes_to_the_same(case: str, tmp_path: Path) -> None:
    from gateway.targets import litellm

    (found,) = [each for each in CASES if each.id == case]
    model, _, answer, usd, _ = cast("tuple[str, str, Json, str, str]", found.values)
    name = profile(model, tmp_path).litellm_model
    cost = litellm.completion_cost(
        completion_response=litellm.ModelResponse(
            model=name.partition("/")[2] or name, usage=litellm.Usage(**answer["usage"])
        ),
        model=name,
        service_tier=answer.get("service_tier"),
    )
    assert Decimal(str(round(cost, 12))) == Decimal(usd)
