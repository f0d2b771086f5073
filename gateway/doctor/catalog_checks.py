"""The predictor, the catalog, its profiles and their providers' keys, prices and modes."""

import time
from datetime import UTC, datetime
from typing import Final

from gateway import catalog as catalogs
from gateway import price_list
from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.installation import Installation
from gateway.doctor.modes import outdated

_PROMPT: Final = "Write a function that says whether a number is prime."


def predictor(found: Installation) -> list[Finding]:
    """Whether it loads, and predicts in time."""
    model, limit_ms = found.predictor, found.settings.predictor_timeout_ms
    if model is None:
        remedy = "correct HYDRA_PREDICTOR, or install hydra-gateway again"
        return [problem("predictor", found.predictor_problem, remedy)]
    model.predict(_PROMPT)  # the first takes longer
    began = time.perf_counter()
    try:
        values = model.predict(_PROMPT)
    except Exception as exc:  # onnxruntime's exceptions share no public base class
        return [problem("predictor", f"fails: {exc}", "install hydra-gateway again")]
    took_ms = (time.perf_counter() - began) * 1000
    words = f"{model.version or model.sha256[:16]}: {len(values)} requirements in {took_ms:.1f} ms"
    if took_ms > limit_ms:
        remedy = "raise HYDRA_PREDICTOR_TIMEOUT_MS: what is late goes to the fallback profile"
        return [warning("predictor", f"{words}, and {limit_ms} ms are allowed", remedy)]
    return [ok("predictor", words)]


def catalog(found: Installation) -> list[Finding]:
    """Every problem that `check` names, and what keeps profiles from being chosen."""
    if found.catalog is None:
        remedy = "profiles/README.md has every field; a running gateway keeps its catalog"
        return [problem("catalog", each, remedy) for each in found.catalog_problems]
    if found.pool is None:
        names = ", ".join(found.catalog.pools)
        words = f"no pool is named '{found.settings.pool or 'default'}'"
        return [problem("catalog", words, f"set HYDRA_POOL to one of {names}")]
    remedy = "add it to the profile; profiles/README.md has every field"
    findings = [warning("catalog", each, remedy) for each in catalogs.warnings(found.catalog)]
    folder = found.settings.catalog_folder
    words = f"{len(found.catalog.profiles)} profiles, {len(found.catalog.pools)} pools in {folder}"
    return [ok("catalog", words), *findings]


def profiles(found: Installation) -> list[Finding]:
    """Who can be chosen in the pool, and what the others lack."""
    pool, name = found.pool, "profiles"
    if pool is None or found.catalog is None:
        return []
    findings = []
    if pool.profiles:
        usable = ", ".join(profile.name for profile in pool.profiles)
        findings.append(ok(name, f"pool {pool.name}: {usable}"))
    elif found.is_demo:
        words = f"none of pool {pool.name} has its key: the demo upstream would answer"
        findings.append(warning(name, words, "set one of the keys below, here or in .env"))
    else:
        words = f"none of pool {pool.name} has its key: every request would be refused"
        findings.append(problem(name, words, "set one of the keys below, here or in .env"))
    lacking: dict[str, list[str]] = {}
    for left_out in pool.left_out:
        lacking.setdefault(found.catalog.profiles[left_out].api_key_env or "", []).append(left_out)
    for key, names in lacking.items():
        words = f"left out: {', '.join(names)}: {key} is not set"
        findings.append(warning(name, words, f"set {key}, or take them out of the pool"))
    return findings


def provider_keys(found: Installation) -> list[Finding]:
    """Keys that are set to what no provider would take."""
    if found.catalog is None:
        return []
    named = {profile.api_key_env for profile in found.catalog.profiles.values()} - {None}
    names = sorted(name for name in named if name and name in found.environ)
    findings = [each for name in names for each in _odd_key(name, found.environ[name])]
    if findings or not names:
        return findings
    return [ok("provider keys", ", ".join(names))]


def prices(found: Installation) -> list[Finding]:
    """Prices too old to be trusted."""
    if found.catalog is None:
        return []
    old = price_list.warnings(found.catalog, datetime.now(UTC).date())
    findings = []
    for each in old:
        words, _, remedy = each.partition("; ")
        findings.append(warning("prices", words, remedy))
    return findings or [ok("prices", "none is older than it says")]


def modes(found: Installation) -> list[Finding]:
    """Whether the pool's modes were fitted, and for the predictor that runs."""
    if found.catalog is None or found.predictor is None or found.pool is None:
        return []
    findings = []
    for each in outdated(found.catalog, found.predictor.sha256):
        words, _, remedy = each.partition("; ")
        findings.append(warning("modes", words, remedy))
    if not findings and found.pool.fitted_for is None:
        words = f"those of pool {found.pool.name} are provisional, fitted to nothing of yours"
        remedy = "run hydra-gateway calibrate on outcomes or feedback of your own"
        findings.append(warning("modes", words, remedy))
    return findings or [ok("modes", "made for this predictor")]


def _odd_key(name: str, value: str) -> list[Finding]:
    check = "provider keys"
    if not value:
        return [warning(check, f"{name} is set, but empty", f"give it a value, or unset {name}")]
    if value != value.strip():
        return [problem(check, f"{name} has white space around it", "set it without")]
    if value[0] in "\"'" or value[-1] in "\"'":
        words = f"{name} has quotes around it, which are sent as part of it"
        return [problem(check, words, "set it without quotes (docker --env-file keeps them)")]
    if not value.isascii() or not value.isprintable() or " " in value:
        words = f"{name} has characters that no key has"
        return [problem(check, words, "copy it again from the provider's page")]
    return []
