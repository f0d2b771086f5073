"""`calibrate --from-log`: a pool's curve and modes from its own decisions and their feedback."""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from catalog_files import POOLS, write_catalog
from gateways import StartGateway
from log_fixtures import a_record, delivered, end
from log_fixtures import redis_url as redis_url
from test_docs import blocks
from test_serve import ROOT, clean_environ, command
from upstream_stub import UpstreamStub

import predictor
from gateway import catalog, routing
from gateway.cli import main
from gateway.decision_log import DecisionLog
from gateway.demands import Demands
from gateway.errors import GatewayError
from gateway.evaluation import catalog_text, traffic
from gateway.evaluation.arguments import add_calibrate
from gateway.evaluation.command import run_calibrate
from gateway.evaluation.crossfit import Scale
from gateway.evaluation.curves import ALPHA_SD, LOG_BETA_SD, fit_curves
from gateway.evaluation.expectation import expect
from gateway.evaluation.fitting import Curve
from gateway.evaluation.traffic import Logged
from gateway.feedback import Feedback
from gateway.ledger import Ledger
from gateway.predictor_facts import facts
from gateway.profile import Pool
from gateway.redis_connection import connect

MODEL = predictor.load()
SHA = MODEL.sha256[:16]
SHIPPED = Curve(alpha=MODEL.alpha, beta=MODEL.beta)
TRUTH = Curve(alpha=2.3, beta=4.0)
PROFILES = {
    # name: capabilities on every dimension, dollars per million tokens (in, out), features
    "cheap": (0.15, (0.1, 0.4), "[tools]"),
    "middle": (0.3, (1, 4), "[tools, vision]"),
    "strong": (0.6, (5, 20), "[tools, vision]"),
}
Record = dict[str, Any]


def pool_of(folder: Path) -> Pool:
    return catalog.load(folder, facts(MODEL), {}, usable_without_keys=True).pools["default"]


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    """A catalog of three models, the dearer the stronger."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    shutil.copy(ROOT / "profiles/dimensions.yaml", folder)
    for name, (level, (given, written), features) in PROFILES.items():
        offered = ", ".join(f"{dimension}: {level}" for dimension in MODEL.dimensions)
        (folder / f"{name}.yaml").write_text(
            f"name: {name}\nlitellm_model: openai/{name}\ncapabilities: {{{offered}}}\n"
            f"price: {{input_usd_per_mtok: {given}, output_usd_per_mtok: {written}}}\n"
            f"features: {features}\n"
        )
    (folder / "pools.yaml").write_text(
        "pools:\n  default:\n    profiles: [cheap, middle, strong]\n    rule: value\n"
        "    modes: {peak: 7, iso: 0.2, aggressive: 0.09}  # provisional\n    baseline: strong\n"
    )
    return folder


def decided(
    pool: Pool, requirements: Sequence[float], *, served_by: str | None = None, vision: bool = False
) -> Record:
    """The record of a decision that the router makes of these requirements."""
    demands = Demands(prompt_tokens=400, features=frozenset({"vision"} if vision else ()))
    decision = routing.decide(requirements, demands, pool, pool.modes["iso"])
    served = served_by or decision.chosen
    return a_record(**decision.to_dict(), predictor_sha=SHA, served_by=served)


def world(pool: Pool, size: int, *, seed: int = 0) -> list[tuple[Record, float]]:
    """Decisions and scores by the true curve. One request in three has an image, which `cheap`
    can't see; one in three is served by somebody else than the router chose."""
    rng = np.random.default_rng(seed)
    found = []
    for index in range(size):
        requirements = tuple((0.8 * rng.random(len(MODEL.dimensions)) ** 1.5).round(4).tolist())
        vision = index % 3 == 0
        able = ("middle", "strong") if vision else ("cheap", "middle", "strong")
        other = str(rng.choice(able)) if index % 3 == 1 else None
        record = decided(pool, requirements, served_by=other, vision=vision)
        score = float(rng.random() < chance(pool, record, TRUTH))
        found.append((record, score))
    return found


def chance(pool: Pool, record: Mapping[str, Any], curve: Curve) -> float:
    """What the curve says of whoever served it."""
    gap = shortfall(pool, record, record["served_by"])
    return float(1 / (1 + np.exp(-(curve.alpha - curve.beta * gap))))


def shortfall(pool: Pool, record: Mapping[str, Any], model: str) -> float:
    profile = pool.profile(model)
    assert profile is not None
    needed = tuple(record["requirements"].values())
    return routing.shortfall(needed, profile.capabilities, pool.weights, pool.bands)


def logged(redis_url: str, data_dir: Path, entries: Sequence[tuple[Record, float | None]]) -> None:
    """Ended decisions in Redis, with their feedback."""

    async def write() -> None:
        async with DecisionLog.open(data_dir=data_dir, redis_url=redis_url) as log:
            for record, _ in entries:
                end(log, record)
            await delivered(log)
            for record, score in entries:
                if score is not None:
                    await log.feedback.give(record["id"], score, None, key_id=None)

    asyncio.run(write())


def calibrated(redis_url: str, folder: Path, *arguments: str) -> tuple[str, dict[str, Any]]:
    """What the command shows, and its JSON."""
    command_line = argparse.ArgumentParser()
    add_calibrate(command_line)
    options = command_line.parse_args(["--from-log", "--resamples", "200", *arguments])

    def ask(read: Any) -> Any:
        async def reading() -> Any:
            client = connect(redis_url)
            try:
                return await read(Ledger(client), Feedback(client, ttl_s=0))
            finally:
                await client.aclose()

        return asyncio.run(reading())

    parts, value = run_calibrate(options, {"HYDRA_PROFILES": str(folder)}, ask)
    return "\n".join(str(part) for part in parts), json.loads(json.dumps(value))


def is_inside(number: float, figure: Sequence[float]) -> bool:
    return figure[1] <= number <= figure[2]


def test_the_curve_behind_the_scores_is_found(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    pool = pool_of(profiles)
    logged(redis_url, tmp_path, world(pool, 3000))
    _, found = calibrated(redis_url, profiles)
    alpha, beta = found["p_solve"]["alpha"], found["p_solve"]["beta"]
    assert is_inside(TRUTH.alpha, alpha)
    assert is_inside(TRUTH.beta, beta)
    assert not is_inside(SHIPPED.alpha, alpha)  # it has learned something
    assert not is_inside(SHIPPED.beta, beta)
    assert found["p_solve"]["beta_fitted"]
    assert (found["scores"]["used"], found["scores"]["left_out"]) == (3000, {})
    for judged in found["scores"]["by_model"].values():
        assert judged["mean_score"] == pytest.approx(judged["p_solve"], abs=0.06)


@pytest.mark.parametrize("rule", ["value", "threshold"])
def test_the_modes_do_what_the_router_does_with_them(
    redis_url: str, profiles: Path, tmp_path: Path, rule: str
) -> None:
    """The figures of a mode are those of routing.decide, run over all logged requests with the
    catalog that was written; also where a gate keeps the cheapest model out."""
    text = (profiles / "pools.yaml").read_text()
    (profiles / "pools.yaml").write_text(text.replace("rule: value", f"rule: {rule}"))
    entries = world(pool_of(profiles), 800)
    logged(redis_url, tmp_path, entries)
    _, found = calibrated(redis_url, profiles, "--yes")
    pool = pool_of(profiles)
    assert pool.alpha == pytest.approx(found["p_solve"]["alpha"][0])
    assert (found["fitted_rows"], found["reported_rows"], found["baseline"]) == (400, 400, "strong")
    for mode, measured in found["modes"].items():
        assert pool.modes[mode] == measured["knob"]
        costs, chances, baseline = [], [], []
        for record, _ in entries:
            demands = Demands(prompt_tokens=400, features=frozenset(record["demands"]["features"]))
            needed = tuple(record["requirements"].values())
            decision = routing.decide(needed, demands, pool, pool.modes[mode])
            chosen = decision.candidate(decision.chosen)
            costs.append(float(chosen.expected_cost_usd or 0))
            chances.append(chosen.p_solve or 0)
            baseline.append(float(decision.candidate("strong").expected_cost_usd or 0))
        assert is_inside(float(np.mean(costs)), measured["cost_usd"])
        assert is_inside(float(np.mean(chances)), measured["resolved"])
        assert is_inside(1 - sum(costs) / sum(baseline), measured["cost_savings"])
    peak, iso, aggressive = (found["modes"][mode] for mode in ("peak", "iso", "aggressive"))
    assert aggressive["cost_usd"][0] < iso["cost_usd"][0] <= peak["cost_usd"][0]
    assert iso["resolved"][0] >= found["strongest"]["resolved"][0] - 0.02
    # what was written is not believed a second time: the prior stays the predictor's
    _, again = calibrated(redis_url, profiles)
    assert (again["p_solve"], again["diff"]) == (found["p_solve"], "")


def test_who_could_not_take_a_request_has_the_values_of_who_stands_in(profiles: Path) -> None:
    pool = pool_of(profiles)
    scale = Scale(dimensions=pool.dimensions, weights=pool.weights, bands=pool.bands, curve=SHIPPED)
    records = [decided(pool, (0.4,) * 4, vision=vision) for vision in (False, True)]
    found = expect(
        [logged_as(record, pool) for record in records], pool, scale, SHIPPED, {"strong": 0.5}
    )
    assert found.table.models == ("cheap", "middle", "strong")
    (cheap, middle, strong), (stand_in, *others) = found.table.cost_usd.tolist()
    assert cheap < middle < strong == stand_in == 0.5  # strong has the least shortfall
    assert others == [middle, strong]
    gaps = [shortfall(pool, records[0], model) for model in found.table.models]
    assert found.known.shortfalls.tolist() == [
        pytest.approx(gaps),
        pytest.approx([gaps[2], gaps[1], gaps[2]]),
    ]
    assert found.table.solved[1, 0] == found.table.solved[1, 2] > found.table.solved[0, 0]


def logged_as(record: Record, pool: Pool) -> Logged:
    found = traffic.logged(record, pool.dimensions, SHA)
    assert isinstance(found, Logged)
    return found


def test_fewer_scores_leave_the_quality_of_a_mode_more_open(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    """The same decisions: what the scores leave open of the curve is part of the interval."""
    entries = world(pool_of(profiles), 1200)
    few = [(record, score if index < 60 else None) for index, (record, score) in enumerate(entries)]
    widths = []
    for scored in (few, entries):
        logged(redis_url, tmp_path, scored)  # the ids are known: only the feedback is new
        _, found = calibrated(redis_url, profiles)
        _, low, high = found["modes"]["iso"]["resolved"]
        widths.append(high - low)
    assert widths[0] > 2 * widths[1]


def test_too_few_scores_are_refused_with_what_was_left_out(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    entries: list[tuple[Record, float | None]] = list(world(pool_of(profiles), 60))
    entries = [
        (record, score if index < 49 else None) for index, (record, score) in enumerate(entries)
    ]
    entries += [
        ({**record, "predictor_sha": "0" * 16, "id": f"old-{index}"}, 1.0)
        for index, (record, _) in enumerate(entries[:5])
    ]
    logged(redis_url, tmp_path, entries)
    with pytest.raises(GatewayError) as refused:
        calibrated(redis_url, profiles)
    assert refused.value.message.splitlines() == [
        "pool default: 49 scores that can be used are too few to fit a curve to; 50 are needed",
        "left out: 5 decided by another predictor than the running one",
    ]


def test_scores_without_shortfall_keep_the_shipped_beta(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    pool = pool_of(profiles)
    rng = np.random.default_rng(0)
    entries = [
        (decided(pool, (0.1, 0.2, 0.3, rng.random() * 0.5), served_by="strong"),
         float(index % 10 > 0))
        for index in range(200)
    ]  # fmt: skip
    logged(redis_url, tmp_path, entries)
    shown, found = calibrated(redis_url, profiles, "--yes")
    assert found["p_solve"]["beta"] == [SHIPPED.beta, None, None]
    assert not found["p_solve"]["beta_fitted"]
    assert found["p_solve"]["alpha"][0] == pytest.approx(np.log(9), abs=0.15)  # nine of ten
    assert "they say nothing of beta: it stays the predictor's" in shown
    assert "none in 200 of 200, 0 at most" in shown
    assert pool_of(profiles).beta == SHIPPED.beta


def test_equal_shortfalls_above_zero_say_nothing_of_beta_either() -> None:
    found = fit_curves(np.full(100, 0.2), np.arange(100) % 2 * 1.0, SHIPPED, resamples=100, seed=0)
    assert (found.fitted.beta, found.is_beta_fitted) == (SHIPPED.beta, False)
    assert found.fitted.alpha - found.fitted.beta * 0.2 == pytest.approx(0, abs=0.05)


def test_what_cannot_be_used_is_left_out_counted_and_changes_nothing(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    entries: list[tuple[Record, float | None]] = list(world(pool_of(profiles), 120))
    logged(redis_url, tmp_path, entries)
    _, before = calibrated(redis_url, profiles)
    (record, _), missing = entries[1], {"requirements": None, "reason": "pinned"}
    strange: list[tuple[str, Record]] = [
        ("other_predictor", {"predictor_sha": "0" * 16}),
        ("other_schema", {"schema": 0}),
        ("other_schema", {"schema": None, "requirements": "none yet", "candidates": None}),
        ("not_predicted", missing),
        ("other_dimensions", {"requirements": {"reasoning": 0.5, "poetry": 1}}),
        ("no_candidates", {"candidates": []}),
        ("no_answer", {"status": "error", "error": "the stream broke"}),
        ("no_answer", {"served_by": None, "status": "error"}),
        ("other_model", {"served_by": "gone"}),
    ]
    logged(
        redis_url,
        tmp_path,
        [({**record, **changes, "id": f"odd-{n}"}, 0.0) for n, (_, changes) in enumerate(strange)],
    )
    shown, after = calibrated(redis_url, profiles)
    counts = {why: [each for each, _ in strange].count(why) for why, _ in strange}
    assert after["scores"]["left_out"] == counts
    assert after["scores"]["used"] == 120
    assert after["p_solve"] == before["p_solve"]
    assert "Scores left out: 1 decided by another predictor than the running one" in shown
    assert "Scores left out: 2 recorded in another form of the log" in shown
    # a provider that failed and a model that left are requests of the pool all the same
    assert after["decisions"]["used"] == before["decisions"]["used"] + 3


def test_filters_narrow_what_is_learned_from(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    entries = [
        ({**record, "tags": ["beta"] if index % 2 else [], "key_id": "k" if index % 4 else "l",
          "ts": f"2026-0{1 + index % 3}-01T00:00:00.000Z"}, score)
        for index, (record, score) in enumerate(world(pool_of(profiles), 240))
    ]  # fmt: skip
    other = {**entries[0][0], "id": "other", "pool": "other"}
    logged(redis_url, tmp_path, [*entries, (other, 0.0)])
    used = {}
    for flag, value in (
        ("--tag", "beta"),
        ("--key", "k"),
        ("--since", "2026-02-01"),
        ("--until", "2026-03-01"),
    ):
        used[flag] = calibrated(redis_url, profiles, flag, value)[1]["scores"]["used"]
    assert used == {"--tag": 120, "--key": 180, "--since": 160, "--until": 160}


def test_a_profile_that_joined_later_leaves_older_decisions_out(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    now = pool_of(profiles)
    then = replace(now, profiles=now.profiles[1:])
    entries = world(now, 90) + world(replace(then), 0)
    old = [(decided(then, tuple(record["requirements"].values())), 1.0) for record, _ in entries]
    logged(redis_url, tmp_path, [*old, *entries])
    _, found = calibrated(redis_url, profiles)
    assert found["decisions"]["left_out"] == {"other_candidates": 90}
    assert (found["decisions"]["used"], found["scores"]["used"]) == (90, 180)
    # the other way round, nothing is known of what `cheap` would cost
    logged(
        redis_url, tmp_path, [({**record, "id": f"{n}"}, 1.0) for n, (record, _) in enumerate(old)]
    )
    shown, found = calibrated(redis_url, profiles)
    assert found["decisions"]["absent"] == ["cheap"]
    assert "not part of this: cheap" in shown


def test_an_unknown_price_is_asked_for(redis_url: str, profiles: Path, tmp_path: Path) -> None:
    text = (profiles / "middle.yaml").read_text()
    (profiles / "middle.yaml").write_text(re.sub("price: .*\n", "", text))
    logged(redis_url, tmp_path, world(pool_of(profiles), 100))
    with pytest.raises(GatewayError, match="no expected cost of middle is in the log; give --unit"):
        calibrated(redis_url, profiles)
    _, found = calibrated(redis_url, profiles, "--unit-cost", "middle=0.0028")
    assert found["decisions"]["used"] == 100


def test_a_baseline_that_is_no_candidate_gives_way_to_the_strongest(
    redis_url: str, profiles: Path, tmp_path: Path
) -> None:
    pool = pool_of(profiles)
    here = replace(pool, profiles=pool.profiles[:2])
    entries = [
        (decided(here, (0.1 + index / 400,) * 4), float(index % 3 > 0)) for index in range(60)
    ]
    logged(redis_url, tmp_path, entries)
    shown, found = calibrated(redis_url, profiles)
    assert (found["baseline"], found["decisions"]["absent"]) == ("middle", ["strong"])
    assert "CS is against middle: the baseline is no candidate" in shown


@pytest.mark.parametrize("score", [0.0, 1.0])
@pytest.mark.parametrize("spread", [0.0, 0.4])
def test_ten_scores_do_not_move_the_curve_wildly(score: float, spread: float) -> None:
    """All ten alike, which without a prior would be an infinite alpha."""
    gaps = np.linspace(0, spread, 10)
    found = fit_curves(gaps, np.full(10, score), SHIPPED, resamples=200, seed=0)
    assert abs(found.fitted.alpha - SHIPPED.alpha) < 3 * ALPHA_SD
    assert abs(np.log(found.fitted.beta / SHIPPED.beta)) < 2 * LOG_BETA_SD
    alpha, _ = found.figures()
    assert alpha.high - alpha.low > ALPHA_SD  # equal scores are no certainty


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = np.zeros(2)
    for seed in range(100):
        truth = Curve(
            alpha=SHIPPED.alpha + rng.normal() * ALPHA_SD,
            beta=SHIPPED.beta * np.exp(rng.normal() * LOG_BETA_SD),
        )
        gaps = np.maximum(0, rng.normal(0, 0.15, 150))
        solved = rng.random(150) < 1 / (1 + np.exp(-(truth.alpha - truth.beta * gaps)))
        found = fit_curves(gaps, solved.astype(float), SHIPPED, resamples=200, seed=seed)
        alpha, beta = found.figures()
        hits += (alpha.contains(truth.alpha), beta.contains(truth.beta))
    assert (hits >= 88).all()  # of 95 expected; 88 or fewer of 100 happen once in 300


def test_a_part_of_a_score_is_a_part_of_a_solved_request() -> None:
    gaps = np.tile([0.0, 0.2], 100)
    halves = fit_curves(gaps, np.full(200, 0.5), SHIPPED, resamples=2, seed=0)
    both = fit_curves(gaps, np.repeat([0.0, 1.0], 100), SHIPPED, resamples=2, seed=0)
    assert halves.fitted == both.fitted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["made.jsonl", "--from-log"], "files: not with --from-log", id="a file"),
        pytest.param(["--mix", "a=1", "--from-log"], "--mix: not with --from-log", id="a mixture"),
        pytest.param(
            ["--fit-capabilities", "--from-log"], "--fit-capabilities: not with", id="capabilities"
        ),
        pytest.param(["made.jsonl", "--since", "1"], "--since: only with --from-log", id="since"),
        pytest.param(["made.jsonl", "--tag", "x"], "--tag: only with --from-log", id="tag"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["calibrate", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_where_there_is_no_log_the_command_says_so(tmp_path: Path) -> None:
    ran = command("calibrate", "--from-log", cwd=tmp_path)
    assert ran.returncode == 1
    assert ran.stderr.startswith("no log in .hydra: ")


def test_a_pools_own_curve_is_what_routing_uses(tmp_path: Path) -> None:
    own = "    rule: value\n    p_solve: {alpha: -0.5, beta: 2, fitted_for: abc}\n"
    files = write_catalog(tmp_path, {"pools.yaml": POOLS + own})
    pool = files.load().pools["default"]
    assert (pool.alpha, pool.beta, pool.p_solve_fitted_for) == (-0.5, 2.0, "abc")
    decision = routing.decide((0.9, 0.5), Demands(prompt_tokens=1), pool, 1.0)
    for candidate in decision.candidates:
        assert candidate.shortfall is not None
        expected = 1 / (1 + np.exp(0.5 + 2 * candidate.shortfall))
        assert candidate.p_solve == pytest.approx(expected)
    files = replace(files, facts=replace(files.facts, alpha=1.0, beta=2.5))
    assert files.load().pools["default"].alpha == -0.5
    files.write("pools.yaml", POOLS)
    assert files.load().pools["default"].alpha == 1.0


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param("{alpha: 1}", "beta: is required", id="no beta"),
        pytest.param("{alpha: x, beta: 1}", "alpha: expected a number from -20 to 20, got 'x'",
                     id="alpha is text"),
        pytest.param("{alpha: 21, beta: 1}", "alpha: expected a number from -20 to 20, got '21'",
                     id="a large alpha"),
        pytest.param("{alpha: 1, beta: 0}", "beta: expected a number from 0.01 to 50, got '0'",
                     id="beta is 0"),
        pytest.param("{alpha: 1, beta: 51}", "beta: expected a number from 0.01 to 50, got '51'",
                     id="a beta that would overflow"),
        pytest.param("{alpha: 1, beta: 2, gamma: 3}",
                     "gamma: unknown field; known here: alpha, beta, fitted_for", id="gamma"),
    ],
)  # fmt: skip
def test_a_wrong_curve_is_refused_with_its_field(tmp_path: Path, given: str, problem: str) -> None:
    files = write_catalog(tmp_path, {"pools.yaml": f"{POOLS}    p_solve: {given}\n"})
    (line,) = files.problems()
    assert line.partition("pools.default.p_solve.")[2] == problem


def test_the_outermost_curve_and_shortfall_have_a_chance(tmp_path: Path) -> None:
    files = write_catalog(
        tmp_path, {"pools.yaml": f"{POOLS}    p_solve: {{alpha: -20, beta: 50}}\n"}
    )
    assert routing.p_solve(files.load().pools["default"], 10.0) == pytest.approx(0)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "  a:  # first\n    modes: {iso: 2}\n",
            "  a:  # first\n    p_solve: {alpha: 1.5, beta: 3, fitted_for: new}\n"
            "    modes: {iso: 2}\n",
            id="none yet",
        ),
        pytest.param(
            "  a: {modes: {iso: 2}}  # short\n",
            "  a: {p_solve: {alpha: 1.5, beta: 3, fitted_for: new}, modes: {iso: 2}}  # short\n",
            id="a pool on one line",
        ),
        pytest.param(
            "  a:\n    p_solve:  # mine\n      alpha: 1  # x\n      beta: 2\n"
            "      fitted_for: old  # y\n\n  # next\n  b: {modes: {iso: 3}}\n",
            "  a:\n    p_solve:  # mine\n      alpha: 1.5  # x\n      beta: 3\n"
            "      fitted_for: new  # y\n\n  # next\n  b: {modes: {iso: 3}}\n",
            id="an older one with remarks",
        ),
        pytest.param(
            "  a:\n    p_solve: {alpha: 1, beta: 2}\n",
            "  a:\n    p_solve: {fitted_for: new, alpha: 1.5, beta: 3}\n",
            id="one by hand",
        ),
        pytest.param(
            "  a:\n    p_solve:\n    modes: {iso: 2}\n",
            "  a:\n    p_solve: {alpha: 1.5, beta: 3, fitted_for: new}\n    modes: {iso: 2}\n",
            id="an empty one",
        ),
    ],
)
def test_writing_a_curve_touches_nothing_else(before: str, after: str) -> None:
    curve = Curve(alpha=1.5, beta=3.0)
    written = catalog_text.with_p_solve(f"pools:\n{before}", "a", curve, "new")
    assert written == f"pools:\n{after}"
    assert yaml.safe_load(written)


def test_check_warns_of_a_curve_for_another_predictor(profiles: Path, tmp_path: Path) -> None:
    with (profiles / "pools.yaml").open("a") as file:
        file.write("    p_solve: {alpha: 1, beta: 5, fitted_for: 0123456789abcdef}\n")
    check = command("check", cwd=tmp_path)
    assert check.returncode == 0, check.stderr
    assert "pool default: its p_solve was fitted for predictor 0123456789abcdef" in check.stdout


def test_from_requests_and_feedback_to_another_chance_of_solving(
    redis_url: str, start_gateway: StartGateway, catalog_folder: Path, tmp_path: Path,
    upstream: UpstreamStub,
) -> None:  # fmt: skip
    """Over HTTP and as a person runs it; the gateway goes on with the curve that was written."""
    folder = Path(shutil.copytree(catalog_folder, tmp_path / "catalog"))
    environ = {"HYDRA_REDIS_URL": redis_url, "HYDRA_PROFILES": str(folder), "HYDRA_POOL": "valued"}
    gateway = start_gateway(**environ)
    body = {"model": "auto", "messages": [{"role": "user", "content": "hi"}]}
    with gateway.http() as http:
        for n in range(60):
            text = f"Prove lemma {n} and debug its checker." if n % 2 else f"Hello number {n}."
            asked = {**body, "messages": [{"role": "user", "content": text}]}
            answer = http.post("/v1/chat/completions", json=asked)
            score = {"score": 0.9 if n % 2 else 0.2}
            decision_id = answer.headers["x-hydra-decision-id"]
            given = http.post("/v1/feedback", json={"decision_id": decision_id, **score})
            assert given.status_code == 200, given.text
        deadline = time.monotonic() + 10
        while len(http.get("/v1/decisions?pool=valued&limit=100").json()["data"]) < 60:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ran = command("calibrate", "--from-log", "--yes", "--json", cwd=tmp_path, **environ)
        assert ran.returncode == 0, ran.stderr
        found = json.loads(ran.stdout)
        assert (found["pool"], found["scores"]["used"], found["written"]) == ("valued", 60, True)
        while True:  # until the gateway has seen the change
            small = http.post("/v1/route", json=body).json()["candidates"][0]
            alpha, beta = found["p_solve"]["alpha"][0], found["p_solve"]["beta"][0]
            expected = 1 / (1 + np.exp(-(alpha - beta * small["shortfall"])))
            if small["p_solve"] == pytest.approx(expected, abs=1e-3):
                break
            assert time.monotonic() < deadline + 10
            time.sleep(0.1)


def test_the_worked_example_of_the_docs_runs(
    redis_url: str, start_gateway: StartGateway, catalog_folder: Path, tmp_path: Path,
    upstream: UpstreamStub,
) -> None:  # fmt: skip
    text = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    section = text.partition("## From your own traffic\n")[2].partition("\n## ")[0]
    send, fit = blocks(section, "bash")
    folder = Path(shutil.copytree(catalog_folder, tmp_path / "catalog"))
    environ = {"HYDRA_REDIS_URL": redis_url, "HYDRA_PROFILES": str(folder), "HYDRA_POOL": "valued"}
    url = start_gateway(**environ).url
    python = f"{sys.executable} -m gateway"
    for block in (send.replace("http://127.0.0.1:4000", url), fit):
        ran = subprocess.run(
            ["bash", "-ec", block.replace("hydra-gateway", python)],
            env={**os.environ, **clean_environ(**environ)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
    (printed,) = blocks(section, "text")
    assert "pool valued, rule value: curve fitted to 90 scores, modes to 45" in ran.stdout
    for line in printed.splitlines():  # the same tables, with other models and numbers
        heading = line.split()[:2]
        assert not heading or heading[0] in ran.stdout or heading[0].startswith("gpt-"), line
    assert "not written: add --yes" in ran.stdout
    assert ran.stdout.endswith("written\n")
    pools = yaml.safe_load((folder / "pools.yaml").read_text(encoding="utf-8"))["pools"]
    assert pools["valued"]["p_solve"]["fitted_for"] == SHA
