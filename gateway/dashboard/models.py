"""The models of the catalog as a person asks of them: usable, dear, able, busy, well.

Pure. Traffic comes from sums; health is what the last decisions' attempts at providers came to.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway import money
from gateway.catalog import Catalog
from gateway.profile import Profile

Json = Mapping[str, Any]

_HTTP_OK: Final = range(200, 300)


def view(
    catalog: Catalog,
    prices: Sequence[Json],
    traffic: Sequence[Json] | None,
    records: Sequence[Json] | None,
    *,
    problems: Sequence[str],
) -> dict[str, Any]:
    """`prices` as `price_list.rows` gives them; `traffic` rows of costs by model; None: the log
    can't be read."""
    by_name = {str(row["name"]): row["price"] for row in prices}
    sums = {str(row["model"]): row for row in traffic or ()}
    whole = sum(row["requests"] for row in traffic or ())
    health = None if records is None else _health(records)
    return {
        "catalog_sha": catalog.sha,
        "problems": list(problems),
        "dimensions": [dimension.name for dimension in catalog.dimensions],
        "decisions": None if records is None else len(records),
        "models": [
            {
                **_facts(catalog, name, profile),
                "price": by_name.get(name),
                "traffic": None if traffic is None else _traffic(sums.get(name), whole),
                "health": None if health is None else health.get(name),
            }
            for name, profile in sorted(
                catalog.profiles.items(),
                key=lambda item: (
                    not catalog.is_usable(item[0]),
                    -(sums.get(item[0], {}).get("requests") or 0),
                    item[0],
                ),
            )
        ],
    }


def _facts(catalog: Catalog, name: str, profile: Profile) -> dict[str, Any]:
    return {
        "name": name,
        "provider": profile.provider,
        "litellm_model": profile.litellm_model,
        "is_usable": catalog.is_usable(name),
        "unusable_because": catalog.unusable.get(name),
        "pools": sorted(
            pool.name for pool in catalog.pools.values() if pool.profile(name) is not None
        ),
        "capabilities": dict(
            zip(
                (dimension.name for dimension in catalog.dimensions),
                (round(value, 4) for value in profile.capabilities),
                strict=True,
            )
        ),
        "context_tokens": profile.limits.context_tokens,
        "output_tokens": profile.limits.output_tokens,
        "features": sorted(profile.features),
    }


def _traffic(row: Json | None, whole: int) -> dict[str, Any]:
    if row is None:
        return {"requests": 0, "share": 0.0 if whole else None, "cost_usd": money.to_text(_NOTHING)}
    return {
        "requests": row["requests"],
        "share": row["requests"] / whole if whole else None,
        "cost_usd": row["cost_usd"],
    }


_NOTHING: Final = money.from_picodollars(0)


def _health(records: Sequence[Json]) -> dict[str, dict[str, Any]]:
    """By model: how often it was called, how often it failed, and with what last."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:  # newest first
        for attempt in record.get("attempts") or ():
            model = str(attempt.get("model"))
            its = found.setdefault(
                model, {"attempts": 0, "failures": 0, "last_error": None, "last_failed": None}
            )
            its["attempts"] += 1
            if attempt.get("error") or attempt.get("status") not in _HTTP_OK:
                its["failures"] += 1
                if its["last_failed"] is None:
                    its["last_failed"] = record.get("ts")
                    its["last_error"] = attempt.get("error") or f"status {attempt.get('status')}"
    return found
