"""The settings: one table that feeds the code, the command line's help and docs/configuration.md.

Values come from `HYDRA_*` environment variables (and `.env`, which the command line reads) and are
frozen once read. Provider keys are not here: they keep the names their SDKs use.
"""

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway.errors import SettingsError
from gateway.keys import ApiKey, parse_keys, parse_keys_file

PREFIX: Final = "HYDRA_"


class Setting(NamedTuple):
    """One row of the table: `parse` raises ValueError with the words for the person."""

    name: str
    default: str
    parse: Callable[[str], Any]
    help: str

    @property
    def variable(self) -> str:
        return PREFIX + self.name.upper()


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"expected a whole number from {low} to {high}, got '{text}'")
        return int(text)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected one of {', '.join(words)}, got '{text}'")
        return text

    return parse


def _boolean(text: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in words:
        raise ValueError(f"expected true or false, got '{text}'")
    return words[text.lower()]


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _secret(text: str) -> ApiKey | None:
    if not text.isascii():
        raise ValueError("must be ASCII: a header carries nothing else")
    return ApiKey("admin", text) if text else None


def _text(text: str) -> str | None:
    return text or None


SETTINGS: Final = (
    Setting(
        "host",
        "127.0.0.1",
        str,
        "Address to listen on. Without API keys only a loopback address is accepted.",
    ),
    Setting("port", "4000", _integer(0, 65535), "Port to listen on; 0 picks a free one."),
    Setting(
        "profiles",
        "",
        _path,
        "Folder of the catalog. Unset: `profiles/` here, else the one that came with the gateway.",
    ),
    Setting(
        "pool",
        "",
        _text,
        "Pool that serves `auto`. Unset: `default`, or `demo` while the demo upstream answers.",
    ),
    Setting(
        "api_keys",
        "",
        parse_keys,
        "Comma list of the keys callers may use; `name=secret` names one in the log.",
    ),
    Setting(
        "api_keys_file",
        "",
        parse_keys_file,
        "File of keys, one `secret` or `name=secret` a line, added to HYDRA_API_KEYS.",
    ),
    Setting(
        "admin_key",
        "",
        _secret,
        "Key that sees every caller's decisions and costs. Set: other keys see only their own.",
    ),
    Setting(
        "redis_url",
        "",
        _text,
        "`redis://`, `rediss://` or `unix://`. Unset: an embedded Redis in the data folder.",
    ),
    Setting(
        "data_dir",
        ".hydra",
        _path,
        "Folder of the embedded Redis and of the spool that outlives its outages.",
    ),
    Setting("workers", "1", _integer(1, 256), "Processes that serve requests."),
    Setting("predictor", "", _path, "Folder of the predictor. Unset: the one in the package."),
    Setting(
        "predictor_timeout_ms",
        "1000",
        _integer(1, 60_000),
        "Longest wait for a prediction; then the pool's fallback profile answers.",
    ),
    Setting(
        "upstream",
        "auto",
        _one_of("auto", "litellm"),
        "Who moves the bytes: `auto`, our own client where the provider's wire is the client's or"
        " OpenAI's; `litellm`, its SDK for everything, ten times slower.",
    ),
    Setting(
        "upstream_timeout_s",
        "600",
        _integer(1, 86_400),
        "Longest wait for a provider: for the whole answer, or for the next event of a stream.",
    ),
    Setting(
        "max_body_mib",
        "32",
        _integer(1, 1024),
        "Largest request body accepted, in MiB (a 20 MB image is 27 MiB in base64).",
    ),
    Setting(
        "log_max_decisions",
        "100000",
        _integer(1000, 100_000_000),
        "Decisions that lists and exports keep, the newest; some 2 kB of Redis each. Sums are kept"
        " for ever.",
    ),
    Setting(
        "log_detail_days",
        "30",
        _integer(1, 3650),
        "Days that a decision can be read by its id; some kilobytes of Redis each.",
    ),
    Setting(
        "log_format",
        "text",
        _one_of("text", "json"),
        "Lines on stderr: `text`, or `json`, one object a line.",
    ),
    Setting(
        "trace_providers",
        "false",
        _boolean,
        "Send `traceparent` on to providers, so that spans of servers of your own join the trace.",
    ),
    Setting(
        "log_content",
        "false",
        _boolean,
        "Store prompts and answers with the decisions. Off: only their length and hash.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one gateway; build them with `Settings.from_env`."""

    host: str
    port: int
    profiles: Path | None
    pool: str | None
    api_keys: tuple[ApiKey, ...]
    admin_key: ApiKey | None
    redis_url: str | None
    data_dir: Path
    workers: int
    predictor: Path | None
    predictor_timeout_ms: int
    upstream: str
    upstream_timeout_s: int
    max_body_mib: int
    log_max_decisions: int
    log_detail_days: int
    log_format: str
    trace_providers: bool
    log_content: bool
    warnings: tuple[str, ...] = ()

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read every setting. Raises SettingsError with all problems, one line each."""
        problems: list[str] = []
        values: dict[str, Any] = {"warnings": _unknown(environ)}
        for setting in SETTINGS:
            text = environ.get(setting.variable, "").strip() or setting.default
            try:
                values[setting.name] = setting.parse(text)
            except (ValueError, OSError, RuntimeError) as exc:  # the last: `~nobody/keys`
                problems.append(f"{setting.variable}: {exc}")
        if not problems:
            values["api_keys"] += values.pop("api_keys_file")
            problems = _inconsistent(values)
        if problems:
            raise SettingsError(problems)
        return cls(**values)

    @property
    def keys(self) -> tuple[ApiKey, ...]:
        """Every key that may call; empty: the gateway is open (on loopback only)."""
        return self.api_keys if self.admin_key is None else (*self.api_keys, self.admin_key)

    @property
    def catalog_folder(self) -> Path:
        """Where the catalog is read from."""
        if self.profiles is not None:
            return self.profiles
        own = Path("profiles")
        return own if (own / "pools.yaml").is_file() else shipped_catalog()


def shipped_catalog() -> Path:
    """The catalog that came with the gateway: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "starter_profiles"
    return installed if (installed / "pools.yaml").is_file() else package.parent / "profiles"


def _unknown(environ: Mapping[str, str]) -> tuple[str, ...]:
    """A misspelt variable would otherwise be ignored in silence."""
    known = {setting.variable for setting in SETTINGS}
    return tuple(
        f"{name}: no such setting, ignored; docs/configuration.md lists them"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known
    )


def _inconsistent(values: Mapping[str, Any]) -> list[str]:
    ids = [key.id for key in (*values["api_keys"], values["admin_key"]) if key is not None]
    if len(set(ids)) < len(ids):
        return [
            "HYDRA_API_KEYS: two keys share a name, here, in HYDRA_API_KEYS_FILE"
            " or with HYDRA_ADMIN_KEY, which is 'admin'"
        ]
    if not values["api_keys"] and not values["admin_key"] and not _is_loopback(values["host"]):
        return [
            f"HYDRA_HOST: {values['host']} is not a loopback address and no keys are set, so anyone"
            " who reaches it could spend your money: set HYDRA_API_KEYS, or use 127.0.0.1"
        ]
    return []


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
