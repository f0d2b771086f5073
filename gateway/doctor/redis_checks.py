"""Redis: reachable, new enough, keeps what it is told, forgets nothing by itself."""

from typing import Final

from gateway import schema
from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.installation import Installation
from gateway.listing import CLOCK_SKEW

_LEAST: Final = (6, 2)
_CLOCK_S: Final = 5.0  # more than clocks that are set by the network differ
_FULL: Final = 0.9  # of maxmemory
_AFTER: Final = "; decisions wait in the spool until it takes them"


def reachable(found: Installation) -> list[Finding]:
    """Whether it answers, and which it is."""
    name = "embedded redis" if found.redis.is_embedded else "redis"
    if found.redis.failure:
        remedy = (
            "mend the cause, or set HYDRA_REDIS_URL to a Redis of your own"
            if found.redis.is_embedded
            else "start it, or correct HYDRA_REDIS_URL (address, password, rediss:// for TLS)"
        )
        return [problem(name, found.redis.failure, remedy)]
    info = found.redis.info
    server = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version") or "?")
    if _numbers(str(info.get("redis_version"))) < _LEAST:
        return [
            problem(name, f"{server} {version} is too old", "use Redis 6.2 or newer, or Valkey")
        ]
    return [ok(name, f"{server} {version} answers")]


def writable(found: Installation) -> list[Finding]:
    """Whether it takes what the gateway writes."""
    info, findings = found.redis.info, []
    if info.get("role") in ("slave", "replica"):
        remedy = "let HYDRA_REDIS_URL name the primary"
        findings.append(problem("redis role", f"it is a read-only replica{_AFTER}", remedy))
    held = found.redis.schema
    if held is not None and held > schema.VERSION:
        words = f"it holds schema {held} of a newer gateway, this one knows {schema.VERSION}"
        remedy = "upgrade the gateway, or give it a Redis of its own (HYDRA_REDIS_URL)"
        findings.append(problem("redis schema", words, remedy))
    return findings


def persistence(found: Installation) -> list[Finding]:
    """Whether the log outlives its Redis."""
    info, name = found.redis.info, "redis persistence"
    if not info:
        return []
    for field, what in (
        ("aof_last_write_status", "append-only file"),
        ("rdb_last_bgsave_status", "snapshot"),
    ):
        if info.get(field, "ok") != "ok":
            words = f"its last write of the {what} failed{_AFTER}"
            return [problem(name, words, "look into its log: is its disk full, or not writable?")]
    if info.get("aof_enabled"):
        return [ok(name, "append-only file")]
    if found.redis.save:
        words = f"snapshots only (save {found.redis.save}): a crash loses what came after the last"
        return [warning(name, words, "set appendonly yes")]
    if found.redis.save is None:
        return [ok(name, "no append-only file; whether it writes snapshots it does not say")]
    words = "off: a restart of Redis loses the log and all sums"
    return [problem(name, words, "set appendonly yes")]


def memory(found: Installation) -> list[Finding]:
    """Whether it throws keys away, or is about to refuse them."""
    info, name = found.redis.info, "redis memory"
    if not info:
        return []
    limit, used = int(info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    policy = str(info.get("maxmemory_policy") or "noeviction")
    if limit and policy != "noeviction":
        what = "any key" if policy.startswith("allkeys") else "decisions before their time"
        words = f"maxmemory-policy {policy}: once {_mib(limit)} are full it evicts {what}"
        return [problem(name, words, "set maxmemory-policy noeviction")]
    if limit and used > _FULL * limit:
        words = f"{_mib(used)} of {_mib(limit)} are used; full, it refuses writes{_AFTER}"
        remedy = "raise maxmemory, or lower HYDRA_LOG_MAX_DECISIONS or HYDRA_LOG_DETAIL_DAYS"
        return [warning(name, words, remedy)]
    return [ok(name, f"{_mib(used)} used, {f'of {_mib(limit)}' if limit else 'no limit'}")]


def clock(found: Installation) -> list[Finding]:
    """Whether its clock and ours agree, which filters by time depend on."""
    ahead, name = found.redis.clock_ahead_s, "redis clock"
    if not found.redis.info or abs(ahead) <= _CLOCK_S:
        return []
    words = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    remedy = "set both clocks by the network (NTP)"
    if abs(ahead) > CLOCK_SKEW.total_seconds():
        return [problem(name, f"{words}: filters by time miss decisions", remedy)]
    return [warning(name, words, remedy)]


def _numbers(version: str) -> tuple[int, ...]:
    """
    >>> _numbers("7.2.4"), _numbers("6.0.16-rc1")
    ((7, 2, 4), (6, 0))
    """
    parts = version.split(".")
    known = [part.isdecimal() for part in (*parts, "")].index(False)
    return tuple(int(part) for part in parts[:known])


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
