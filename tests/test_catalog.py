"""The catalog folder: what it gives, and how each mistake in it is told."""

import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from catalog_files import DIMENSIONS, LARGE, POOLS, REFERENCE, SMALL, write_catalog

from gateway.price import KINDS, Price, Rates, Tier
from gateway.profile import Benchmark, Limits

FEATURES = "tools, vision, audio, file, json_schema, logprobs, n, parallel_tools, prompt_cache"
TOP_FIELDS = (
    "api_base, api_key_env, benchmarks, capabilities, expected_output_tokens, features,"
    " limits, litellm_model, litellm_params, name, params, price, wire"
)


BOTH = "input_usd_per_mtok: 1, output_usd_per_mtok: 2"
NOTED = ("source", "date")


def small_with(line: str) -> str:
    """small.yaml with one more line, its ninth."""
    return f"{SMALL}{line}\n"


def test_a_profile_says_what_its_file_says(tmp_path: Path) -> None:
    small = write_catalog(tmp_path).load().profiles["small"]
    assert small.litellm_model == "openai/small"
    assert small.benchmarks["quiz"] == Benchmark(score=40, source="a page", date="2026-01-02")
    rates = Rates(input_usd_per_mtok=Decimal("0.5"), output_usd_per_mtok=Decimal(2))
    assert small.price == Price(base=rates)
    assert small.limits == Limits(context_tokens=8000, output_tokens=1000)
    assert small.features == {"tools"}
    assert small.expected_output_tokens == 600


def test_a_price_has_every_kind_of_token_tiers_and_fees(tmp_path: Path) -> None:
    every = "\n".join(f"  {kind}: {number}.5" for number, kind in enumerate(KINDS))
    text = f"""
price:
{every}
  request_usd: 0.001
  web_search_usd: 0.01
  tiers:
    - {{above_prompt_tokens: 200000, {BOTH}, audio_output_usd_per_mtok: 9}}
    - {{service_tier: flex, above_prompt_tokens: 200000, {BOTH}}}
  source: a price list
  date: 2026-11-01
"""
    files = write_catalog(tmp_path, {"large.yaml": LARGE + text})
    plain = Rates(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(2))
    spoken = replace(plain, audio_output_usd_per_mtok=Decimal(9))
    assert files.load().profiles["large"].price == Price(
        base=Rates(**{kind: Decimal(f"{number}.5") for number, kind in enumerate(KINDS)}),
        tiers=(
            Tier(rates=spoken, above_prompt_tokens=200_000),
            Tier(rates=plain, above_prompt_tokens=200_000, service="flex"),
        ),
        request_usd=Decimal("0.001"),
        web_search_usd=Decimal("0.01"),
        source="a price list",
        date="2026-11-01",
    )


def test_capabilities_come_from_scores_on_the_reference_scale_in_the_predictors_bands(
    tmp_path: Path,
) -> None:
    small = write_catalog(tmp_path).load().profiles["small"]
    # quiz (40-20)/80 = 0.25, tools_bench 10/50 = 0.2; tool_use is their mean 0.225
    assert small.capabilities == pytest.approx((0.1 + 0.25 * 0.8, 0.2 + 0.225 * 0.4))


def test_explicit_capabilities_are_used_as_given(tmp_path: Path) -> None:
    explicit = "capabilities: {tool_use: 1, reasoning: 0}"
    files = write_catalog(tmp_path, {"small.yaml": small_with(explicit)})
    assert files.load().profiles["small"].capabilities == (0.0, 1.0)


NEWCOMER = SMALL.replace("small", "newcomer").replace("score: 40", "score: 90")


@pytest.mark.parametrize(
    ("scale", "stays"),
    [
        pytest.param("reference", True, id="reference"),
        pytest.param("pool", False, id="pool"),
    ],
)
def test_only_on_the_pools_own_scale_does_a_newcomer_move_the_others(
    tmp_path: Path, scale: str, stays: bool
) -> None:
    scaled = POOLS + f"    scale: {scale}\n"
    files = write_catalog(tmp_path, {"pools.yaml": scaled})
    before = files.load().pools["default"].profile("small")
    files.write("newcomer.yaml", NEWCOMER)
    files.write("pools.yaml", scaled.replace("[small,", "[newcomer, small,"))
    after = files.load().pools["default"].profile("small")
    assert before is not None
    assert after is not None
    assert (before.capabilities == after.capabilities) is stays


def test_on_the_pools_scale_explicit_capabilities_stay(tmp_path: Path) -> None:
    files = write_catalog(tmp_path, {"pools.yaml": POOLS + "    scale: pool\n"})
    files.write("newcomer.yaml", NEWCOMER)
    files.write("pools.yaml", (POOLS + "    scale: pool\n").replace("[small", "[newcomer, small"))
    pool = files.load().pools["default"]
    assert {profile.name: profile.capabilities for profile in pool.profiles} == {
        "newcomer": (0.9, 0.6),
        "small": (0.1, 0.2),
        "large": (0.9, 0.8),
    }


def test_what_a_pool_leaves_out_has_a_default(tmp_path: Path) -> None:
    pool = write_catalog(tmp_path).load().pools["default"]
    assert pool.rule == "threshold"
    assert pool.scale == "reference"
    assert pool.escalate is False
    assert pool.default_mode == "iso"
    assert pool.baseline == "large"  # the strongest
    assert pool.fallback_profile is None
    assert pool.weights == (0.5, 0.5)


def test_what_a_pool_says_is_taken(tmp_path: Path) -> None:
    text = """\
pools:
  default:
    profiles: [small, large]
    modes: {peak: 0.001, aggressive: 0.1}
    default_mode: peak
    rule: value
    escalate: yes
    margin: 0
    baseline: small
    fallback_profile: large
    weights: {reasoning: 3}
"""
    files = write_catalog(tmp_path, {"pools.yaml": text})
    files = replace(files, facts=replace(files.facts, alpha=1.0, beta=2.0))
    pool = files.load().pools["default"]
    assert (pool.rule, pool.alpha, pool.beta) == ("value", 1.0, 2.0)
    assert (pool.modes, pool.default_mode) == ({"peak": 0.001, "aggressive": 0.1}, "peak")
    assert (pool.escalate, pool.margin) == (True, 0.0)
    assert (pool.baseline, pool.fallback_profile) == ("small", "large")
    assert pool.weights == (0.75, 0.25)  # the axis left out keeps the weight of dimensions.yaml


def test_price_limits_and_features_left_out_come_from_litellms_table(tmp_path: Path) -> None:
    known = "name: large\nlitellm_model: openai/gpt-4o\ncapabilities: {reasoning: 1, tool_use: 1}\n"
    large = write_catalog(tmp_path, {"large.yaml": known}).load().profiles["large"]
    assert large.price is not None
    assert large.price.base.input_usd_per_mtok > 0
    assert large.price.source.startswith("litellm ")
    assert large.limits.context_tokens is not None
    assert {"tools", "vision"} <= large.features
    partly = write_catalog(
        tmp_path / "partly", {"large.yaml": known + "limits: {context_tokens: 5}\n"}
    )
    own = partly.load().profiles["large"].limits
    assert (own.context_tokens, own.output_tokens) == (5, large.limits.output_tokens)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param("openai/no-such-model", id="a model nobody knows"),
        pytest.param("hosted_vllm/gpt-4o", id="a self-hosted one of a known name"),
    ],
)
def test_an_unknown_model_has_no_price(tmp_path: Path, model: str) -> None:
    files = write_catalog(tmp_path, {"large.yaml": LARGE.replace("openai/large", model)})
    large = files.load().profiles["large"]
    assert large.price is None
    assert large.limits == Limits()
    assert large.features == frozenset()


def test_an_empty_list_of_features_is_none_and_an_empty_field_is_left_out(tmp_path: Path) -> None:
    known = "name: large\nlitellm_model: openai/gpt-4o\ncapabilities: {reasoning: 1, tool_use: 1}\n"
    files = write_catalog(tmp_path, {"large.yaml": known + "features: []\n"})
    assert files.load().profiles["large"].features == frozenset()
    files.write("large.yaml", known + "features:\n")
    assert "tools" in files.load().profiles["large"].features


def test_a_profile_without_its_key_is_left_out_of_pools_but_stays_in_the_catalog(
    tmp_path: Path,
) -> None:
    files = write_catalog(tmp_path, {"large.yaml": LARGE + "api_key_env: LARGE_KEY\n"})
    found = files.load({"LARGE_KEY": ""})
    assert found.unusable == {"large": "LARGE_KEY is not set"}
    assert set(found.profiles) == {"small", "large"}
    assert [profile.name for profile in found.pools["default"].profiles] == ["small"]
    assert found.pools["default"].baseline == "large"
    assert not found.is_usable("large")
    assert files.load({"LARGE_KEY": "x"}).is_usable("large")
    assert files.load(usable_without_keys=True).is_usable("large")


def test_params_reach_litellm_as_written(tmp_path: Path) -> None:
    lines = "litellm_params: {api_version: 2024-10-21}\nparams: {logit_bias: {50256: -100}}"
    small = write_catalog(tmp_path, {"small.yaml": small_with(lines)}).load().profiles["small"]
    assert small.litellm_params == {"api_version": "2024-10-21"}  # not a date, as YAML 1.1 has it
    assert small.params == {"logit_bias": {50256: -100}}


def test_the_sha_is_of_the_content_alone(tmp_path: Path) -> None:
    files = write_catalog(tmp_path)
    sha = files.load().sha
    os.utime(files.folder / "small.yaml", (1, 1))
    (files.folder / ".small.yaml.swp").write_text("an editor's", encoding="utf-8")
    assert files.load().sha == sha
    files.write("small.yaml", SMALL + "# a remark\n")
    assert files.load().sha != sha


def test_the_sha_does_not_depend_on_the_place(tmp_path: Path) -> None:
    here, there = write_catalog(tmp_path / "a"), write_catalog(tmp_path / "b")
    assert here.load().sha == there.load().sha


def test_the_sha_covers_the_reference_table(tmp_path: Path) -> None:
    files = write_catalog(tmp_path)
    sha = files.load().sha
    files.facts.reference.write_text(REFERENCE.replace("50", "60"), encoding="utf-8")
    assert files.load().sha != sha


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        pytest.param(
            "prise: 3", f"prise: unknown field; known here: {TOP_FIELDS}", id="unknown field"
        ),
        pytest.param("price: {}", "price: is given twice", id="duplicate key"),
        pytest.param(
            "expected_output_tokens: many",
            "expected_output_tokens: expected a number >= 1, got 'many'",
            id="wrong type",
        ),
        pytest.param(
            "expected_output_tokens: 0",
            "expected_output_tokens: expected a number >= 1, got '0'",
            id="too small",
        ),
        pytest.param(
            "expected_output_tokens: 1.5",
            "expected_output_tokens: expected a whole number >= 1, got '1.5'",
            id="half a token",
        ),
        pytest.param(
            "expected_output_tokens: 1e999999999",
            "expected_output_tokens: expected a number from 1 to 1e+12, got '1e999999999'",
            id="a number that would fill the memory",
        ),
        pytest.param(
            "expected_output_tokens: .nan",
            "expected_output_tokens: expected a number >= 1, got '.nan'",
            id="not a number in YAML's words",
        ),
        pytest.param(
            "expected_output_tokens: NaN",
            "expected_output_tokens: expected a number >= 1, got 'NaN'",
            id="not a number in Python's words",
        ),
        pytest.param(
            "expected_output_tokens: true",
            "expected_output_tokens: expected a number >= 1, got 'true'",
            id="a boolean is no number",
        ),
        pytest.param(
            "api_base: [a]", "api_base: expected text, got a nested value", id="a list for text"
        ),
        pytest.param("api_base: ''", "api_base: expected text, got ''", id="empty text"),
        pytest.param(
            "params: 3", "params: expected a mapping, got '3'", id="a number for a mapping"
        ),
        pytest.param(
            "params: {a: !secret b}",
            "params: can't be sent as JSON:"
            " could not determine a constructor for the tag '!secret'",
            id="a tag of somebody's own",
        ),
        pytest.param(
            "params: {a: .inf}",
            "params: can't be sent as JSON: Out of range float values are not JSON compliant",
            id="infinity",
        ),
        pytest.param(
            "params: {a: !!binary aGk=}",
            "params: can't be sent as JSON: Object of type bytes is not JSON serializable",
            id="bytes",
        ),
        pytest.param(
            "params: {a: !!bool maybe}",
            "params: can't be sent as JSON: a tag on a value that it does not fit",
            id="a value that its tag does not have",
        ),
        pytest.param(
            "params: {a: !!timestamp soon}",
            "params: can't be sent as JSON: a tag on a value that it does not fit",
            id="a date that is none",
        ),
        pytest.param(
            "params: {[a]: b}",
            "params: can't be sent as JSON: found unhashable key",
            id="a list for a key",
        ),
        pytest.param(
            "params: &p {again: *p}",
            "params: can't be sent as JSON: Circular reference detected",
            id="an alias of itself",
        ),
        pytest.param(
            "<<: {api_base: x}",
            f"<<: unknown field; known here: {TOP_FIELDS}",
            id="a merge key",
        ),
        pytest.param(
            "? [a]\n: b", f"?: unknown field; known here: {TOP_FIELDS}", id="a key that is no name"
        ),
    ],
)
def test_a_wrong_line_in_a_profile(tmp_path: Path, line: str, problem: str) -> None:
    problems = write_catalog(tmp_path, {"small.yaml": small_with(line)}).problems()
    at = 10 if line.startswith("?") else 9
    if "twice" in problem:  # the second one is wrong, too
        problems = problems[:1]
    assert problems == [f"small.yaml:{at}: {problem}"]


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        pytest.param("name: small\n", "", ["1: name: is required"], id="no name"),
        pytest.param("name: small", "name:", ["1: name: is required"], id="an empty name"),
        pytest.param(
            "litellm_model: openai/small\n", "", ["1: litellm_model: is required"], id="no model"
        ),
        pytest.param(
            "name: small",
            "name: auto:iso",
            ["1: name: 'auto' and what starts with 'auto:' is the router's own name"],
            id="the router's own name",
        ),
        pytest.param(
            "name: small",
            "name: 小さい",
            ["1: name: use letters, digits and . _ : / @ + - only, got '小さい'"],
            id="a name that no header can carry",
        ),
        pytest.param(
            "[tools]",
            "[tools, telepathy]",
            [f"8: features: unknown feature 'telepathy'; known are {FEATURES}"],
            id="unknown feature",
        ),
        pytest.param(
            "[tools]", "tools", ["8: features: expected a list of names, got 'tools'"], id="no list"
        ),
        pytest.param(
            "[tools]",
            "[[tools]]",
            ["8: features: expected a list of names, got a nested value"],
            id="a list of lists",
        ),
        pytest.param(
            "  tools_bench: {score: 10}\n",
            "  hearsay: {score: 10}\n",
            ["5: benchmarks.hearsay: is not in the reference table; known are quiz, tools_bench"],
            id="a benchmark nobody can place",
        ),
        pytest.param(
            '  quiz: {score: 40, source: "a page", date: 2026-01-02}\n',
            "",
            ["4: benchmarks: no score exercises reasoning; add one of quiz"],
            id="a dimension without an anchor",
        ),
        pytest.param(
            "{score: 10}",
            "{score: 101}",
            ["5: benchmarks.tools_bench.score: expected a number from 0 to 100, got '101'"],
            id="more than all",
        ),
        pytest.param(
            "{score: 10}",
            "10",
            ["5: benchmarks.tools_bench: expected a mapping, got '10'"],
            id="a score without its source",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            "input_usd_per_mtok: free",
            ["6: price.input_usd_per_mtok: expected a number >= 0, got 'free'"],
            id="a price in words",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5, ",
            "",
            ["6: price.input_usd_per_mtok: is required"],
            id="half a price",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            "input_usd_per_mtok: -1",
            ["6: price.input_usd_per_mtok: expected a number >= 0, got '-1'"],
            id="a price below nothing",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            "input_usd_per_mtok: 0.5, cached_usd_per_mtok: 0.1",
            [
                "6: price.cached_usd_per_mtok: unknown field; known here: "
                + ", ".join(sorted((*KINDS, "tiers", "request_usd", "web_search_usd", *NOTED)))
            ],
            id="a kind of token that is none",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            "input_usd_per_mtok: 0.5, tiers: [{above_prompt_tokens: 0, input_usd_per_mtok: 1}]",
            [
                "6: price.tiers[0].above_prompt_tokens: expected a number >= 1, got '0'",
                "6: price.tiers[0].output_usd_per_mtok: is required",
            ],
            id="half a tier",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            f"input_usd_per_mtok: 0.5, tiers: [{{{BOTH}}}]",
            [
                "6: price.tiers[0]: give above_prompt_tokens, service_tier or both:"
                " when does it hold?"
            ],
            id="a tier for nobody",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            f"input_usd_per_mtok: 0.5, tiers: [{{{BOTH}, service_tier: flex, size: 3}}]",
            [
                "6: price.tiers[0].size: unknown field; known here: "
                + ", ".join(sorted((*KINDS, "above_prompt_tokens", "service_tier")))
            ],
            id="an unknown field of a tier",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            "input_usd_per_mtok: 0.5, tiers: "
            f"[{{{BOTH}, service_tier: flex}}, {{{BOTH}, service_tier: flex}}]",
            ["6: price.tiers: two of them are for the same prompts and service"],
            id="two tiers for the same",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            "input_usd_per_mtok: 0.5, tiers: {flex: 1}",
            ["6: price.tiers: expected a list of mappings, got a nested value"],
            id="tiers that are no list",
        ),
        pytest.param(
            "input_usd_per_mtok: 0.5",
            "input_usd_per_mtok: 0.5, tiers: [flex]",
            ["6: price.tiers: expected a list of mappings, got a nested value"],
            id="a tier that is no mapping",
        ),
        pytest.param(
            "context_tokens: 8000",
            "context: 8000",
            ["7: limits.context: unknown field; known here: context_tokens, output_tokens"],
            id="an unknown inner field",
        ),
    ],
)
def test_a_wrong_field_in_a_profile(
    tmp_path: Path, old: str, new: str, problems: list[str]
) -> None:
    assert old in SMALL
    files = write_catalog(tmp_path, {"small.yaml": SMALL.replace(old, new)})
    if old.startswith(("name", "litellm_model")):  # then there is no profile for the pool to list
        files.write("pools.yaml", POOLS.replace("[small, large]", "[large]"))
    expected = [f"small.yaml:{problem}" for problem in problems]
    assert files.problems() == expected


@pytest.mark.parametrize(
    "line", ["", "capabilities:", "benchmarks: {}", "capabilities:\nbenchmarks:"]
)
def test_capabilities_come_from_somewhere(tmp_path: Path, line: str) -> None:
    text = f"name: small\nlitellm_model: openai/small\n{line}\n"
    assert write_catalog(tmp_path, {"small.yaml": text}).problems() == [
        "small.yaml:1: capabilities: give these, or benchmarks with at least one score each"
    ]


def test_explicit_capabilities_name_every_dimension_and_no_other(tmp_path: Path) -> None:
    text = LARGE.replace("tool_use: 0.8", "humour: 0.8")
    assert write_catalog(tmp_path, {"large.yaml": text}).problems() == [
        "large.yaml:3: capabilities.tool_use: is required",
        "large.yaml:3: capabilities.humour: unknown field; known here: reasoning, tool_use",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("", ":1: expected a mapping of fields", id="an empty file"),
        pytest.param("- a\n- b\n", ":1: expected a mapping of fields", id="a list"),
        pytest.param(
            "name: small\n\tprice: 1\n",
            ":2: not valid YAML: found character '\\t' that cannot start any token",
            id="a tab",
        ),
        pytest.param(
            "name: [small\n",
            ":2: not valid YAML: expected ',' or ']', but got '<stream end>'",
            id="an open bracket",
        ),
        pytest.param(
            "name: small\n---\nname: other\n",
            ":2: not valid YAML: but found another document",
            id="two documents",
        ),
        pytest.param("name: *x\n", ":1: not valid YAML: found undefined alias 'x'", id="an alias"),
        pytest.param("a: " + "[" * 500, ":1: not valid YAML: nested too deeply", id="too deep"),
        pytest.param(
            b"name: \xff\n",
            ": can't be read: 'utf-8' codec can't decode byte 0xff in position 6:"
            " invalid start byte",
            id="not UTF-8",
        ),
        pytest.param(
            "name: a\x00b\n",
            ": can't be read: unacceptable character #x0000: special characters are not allowed",
            id="a control character",
        ),
    ],
)
def test_a_file_that_is_no_profile_at_all(tmp_path: Path, text: str | bytes, problem: str) -> None:
    files = write_catalog(
        tmp_path, {"small.yaml": text, "pools.yaml": POOLS.replace("[small, ", "[")}
    )
    assert files.problems() == [f"small.yaml{problem}"]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    files = write_catalog(tmp_path, {"small.yaml": b"\xef\xbb\xbf" + SMALL.encode()})
    assert files.problems() == []


def test_two_files_of_one_name(tmp_path: Path) -> None:
    assert write_catalog(tmp_path, {"twin.yaml": SMALL}).problems() == [
        "twin.yaml:1: name: 'small' is taken by another file"
    ]


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        pytest.param(
            "[small, large]",
            "[small, lrage]",
            ["3: default.profiles: no profile is named 'lrage'"],
            id="a profile that is not there",
        ),
        pytest.param(
            "[small, large]", "[]", ["3: default.profiles: needs at least one name"], id="nobody"
        ),
        pytest.param(
            "    profiles: [small, large]\n", "", ["3: default.profiles: is required"], id="no list"
        ),
        pytest.param(
            "{peak: 0.02, iso: 0.2}",
            "{}",
            ["4: default.modes: needs at least one of peak, iso, aggressive"],
            id="no mode",
        ),
        pytest.param(
            "peak: 0.02",
            "turbo: 0.02",
            ["4: default.modes.turbo: unknown field; known here: aggressive, iso, peak"],
            id="an unknown mode",
        ),
        pytest.param(
            "modes: {peak: 0.02, iso: 0.2}",
            "modes: {peak: 0.02, iso: 0.2}\n    default_mode: aggressive",
            ["5: default.default_mode: expected one of peak, iso, got 'aggressive'"],
            id="a default mode that is not there",
        ),
        pytest.param(
            "modes: {peak: 0.02, iso: 0.2}",
            "modes: {iso: 0.2}\n    rule: value",
            ["5: default.rule: 'value' needs p_solve, or a predictor with alpha and beta"],
            id="rule value without its calibration",
        ),
        pytest.param(
            "modes: {peak: 0.02, iso: 0.2}",
            "modes: {iso: 0.2}\n    rule: best",
            ["5: default.rule: expected one of threshold, value, got 'best'"],
            id="an unknown rule",
        ),
        pytest.param(
            "modes: {peak: 0.02, iso: 0.2}",
            "modes: {iso: 0.2}\n    escalate: !x perhaps",
            ["5: default.escalate: expected true or false, got 'perhaps'"],
            id="neither true nor false",
        ),
        pytest.param(
            "modes: {peak: 0.02, iso: 0.2}",
            "modes: {iso: 0.2}\n    baseline: gone\n    fallback_profile: gone",
            [
                "5: default.baseline: no profile is named 'gone'",
                "6: default.fallback_profile: no profile is named 'gone'",
            ],
            id="baseline and fallback that are not there",
        ),
        pytest.param(
            "profiles: [small, large]",
            "profiles: [small]\n    fallback_profile: large",
            ["4: default.fallback_profile: 'large' is not one of this pool's profiles"],
            id="a fallback from outside the pool would never serve",
        ),
        pytest.param(
            "modes: {peak: 0.02, iso: 0.2}",
            "modes: {iso: 0.2}\n    weights: {reasoning: 0, tool_use: 0}",
            ["5: default.weights: at least one must be above 0"],
            id="weights that weigh nothing",
        ),
        pytest.param(
            POOLS, "pools: {}\n", ["1: pools: needs at least one pool"], id="no pool at all"
        ),
        pytest.param(POOLS, "{}\n", ["1: pools: is required"], id="no pools field"),
    ],
)
def test_a_wrong_pool(tmp_path: Path, old: str, new: str, problems: list[str]) -> None:
    assert old in POOLS
    files = write_catalog(tmp_path, {"pools.yaml": POOLS.replace(old, new)})
    expected = []
    for problem in problems:
        line, _, rest = problem.partition(": ")
        field = rest if new.startswith(("pools", "{}\n")) else f"pools.{rest}"
        expected.append(f"pools.yaml:{line}: {field}")
    assert files.problems() == expected


def test_a_folder_without_pools_says_so(tmp_path: Path) -> None:
    files = write_catalog(tmp_path)
    (files.folder / "pools.yaml").unlink()
    assert files.problems() == ["pools.yaml:1: pools: no such file; a catalog needs it"]


def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    files = replace(write_catalog(tmp_path), folder=tmp_path / "nowhere")
    assert files.problems() == ["pools.yaml:1: pools: no such file; a catalog needs it"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            DIMENSIONS.replace("tool_use", "tools"),
            "1: dimensions: must be the predictor's, in its order: reasoning, tool_use",
            id="another name",
        ),
        pytest.param(
            "dimensions:\n" + "\n".join(DIMENSIONS.splitlines()[4:] + DIMENSIONS.splitlines()[1:4]),
            "2: dimensions: must be the predictor's, in its order: reasoning, tool_use",
            id="another order",
        ),
        pytest.param("axes: {}\n", "1: dimensions: is required", id="no dimensions"),
        pytest.param(
            DIMENSIONS.replace("{quiz: 1}", "{quiz: a lot}"),
            "4: dimensions.reasoning.benchmarks.quiz: expected a number >= 0, got 'a lot'",
            id="a weight in words",
        ),
        pytest.param(
            DIMENSIONS.replace("    description: Acting.", "    remark: Acting."),
            "6: dimensions.tool_use.remark: unknown field;"
            " known here: benchmarks, description, weight",
            id="an unknown field",
        ),
    ],
)
def test_wrong_dimensions_are_told_alone_because_nothing_can_be_judged_without_them(
    tmp_path: Path, text: str, problem: str
) -> None:
    problems = write_catalog(tmp_path, {"dimensions.yaml": text, "small.yaml": ""}).problems()
    line, _, words = problem.partition(": ")
    at = "2" if "must be" in words else line
    assert problems == [f"dimensions.yaml:{at}: {words}"]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        pytest.param(
            "floor: 20, ceiling: 100",
            "floor: 50, ceiling: 50",
            "2: benchmarks.quiz.ceiling: must be above the floor",
            id="no room between floor and ceiling",
        ),
        pytest.param("floor: 20, ", "", "2: benchmarks.quiz.floor: is required", id="no floor"),
    ],
)
def test_a_wrong_reference_table(tmp_path: Path, old: str, new: str, problem: str) -> None:
    files = write_catalog(tmp_path)
    files.facts.reference.write_text(REFERENCE.replace(old, new), encoding="utf-8")
    assert files.problems() == [f"{files.facts.reference}:{problem}"]


def test_axes_that_all_weigh_nothing_are_refused(tmp_path: Path) -> None:
    text = DIMENSIONS.replace("    description", "    weight: 0\n    description")
    assert write_catalog(tmp_path, {"dimensions.yaml": text}).problems() == [
        "pools.yaml:3: pools.default.weights: at least one must be above 0"
    ]


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    files = write_catalog(
        tmp_path,
        {
            "small.yaml": SMALL.replace("0.5", "cheap").replace("[tools]", "[flight]"),
            "large.yaml": LARGE.replace("0.9", "9"),
            "pools.yaml": POOLS.replace("0.02", "low") + "    size: 3\n",
        },
    )
    assert files.problems() == [
        "large.yaml:3: capabilities.reasoning: expected a number from 0 to 1, got '9'",
        "small.yaml:6: price.input_usd_per_mtok: expected a number >= 0, got 'cheap'",
        f"small.yaml:8: features: unknown feature 'flight'; known are {FEATURES}",
        "pools.yaml:4: pools.default.modes.peak: expected a number >= 0, got 'low'",
        "pools.yaml:5: pools.default.size: unknown field; known here: baseline, default_mode,"
        " escalate, fallback_profile, fitted_for, margin, modes, p_solve, profiles, rule, scale,"
        " weights",
    ]
