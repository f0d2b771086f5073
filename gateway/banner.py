"""What `serve` prints at its start: which gateway this is, and lines to paste."""

import os
import shutil
import sys
from typing import Final

from gateway import __version__, catalog
from gateway.serving import Plan
from gateway.settings import Settings

# A server may listen on all addresses, but nobody can call one named so.
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def banner(planned: Plan, port: int, redis_url: str) -> str:
    """What a person needs to know and to paste, in the order of asking."""
    settings, found = planned.settings, planned.catalog
    host = _EVERY_ADDRESS.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    base = f"http://{host}:{port}/v1"
    pool = found.pools[planned.pool_name]
    modes = ", ".join(f"auto:{mode}" for mode in pool.modes)
    lines = [f"HyDRA gateway {__version__} on {base}", ""]
    if planned.is_demo:
        lines += [
            "  DEMO: answers are SIMULATED by the built-in demo upstream; routing, prices and the",
            "  log are real. For real answers put OPENAI_API_KEY or ANTHROPIC_API_KEY into the",
            "  environment or .env and run `serve`.",
            "",
        ]
    lines.append(f"  pool     {pool.name}: {', '.join(profile.name for profile in pool.profiles)}")
    lines += [f"           left out: {name} ({found.unusable[name]})" for name in pool.left_out]
    lines.append(f"  models   auto, {modes}, or a profile's name")
    lines.append(f"  keys     {_keys_line(settings)}")
    lines.append(f"  redis    {_redis_line(settings, redis_url)}")
    warnings = (*settings.warnings, *catalog.warnings(found))
    lines += [f"  warning  {warning}" for warning in warnings]
    is_on_path = shutil.which("hydra-gateway") is not None
    command = "hydra-gateway" if is_on_path else os.path.relpath(sys.argv[0])
    lines += ["", *_snippets(base, has_keys=bool(settings.keys)), ""]
    lines += [
        f"  {base.removesuffix('/v1')}/dashboard   what was spent and saved, and why, in a browser",
        f'  {command} route "prove that sqrt(2) is irrational"   who would answer, and why',
        f"  {command} decisions   who did",
        f"  {command} costs       what it cost and saved",
        "",
    ]
    return "\n".join(lines)


def _snippets(base: str, *, has_keys: bool) -> list[str]:
    """curl and Python, ready to paste; with keys, the caller's is read from $GATEWAY_KEY."""
    auth = ' -H "authorization: Bearer $GATEWAY_KEY"' if has_keys else ""
    key = 'os.environ["GATEWAY_KEY"]' if has_keys else '"none"'
    body = '{"model": "auto", "messages": [{"role": "user", "content": "hello"}]}'
    return [
        f"  curl -i {base}/chat/completions -H 'content-type: application/json'{auth} \\",
        f"    -d '{body}'",
        "",
        *(["  import os"] if has_keys else []),
        "  from openai import OpenAI",
        f'  client = OpenAI(base_url="{base}", api_key={key})',
        '  messages = [{"role": "user", "content": "hello"}]',
        '  answer = client.chat.completions.create(model="auto", messages=messages)',
        "  print(answer.choices[0].message.content)",
    ]


def _keys_line(settings: Settings) -> str:
    if settings.keys:
        return ", ".join(key.id for key in settings.keys)
    return "none set: open to everyone on this machine (HYDRA_API_KEYS)"


def _redis_line(settings: Settings, redis_url: str) -> str:
    if settings.redis_url is None:
        path = redis_url.removeprefix("unix://")
        return f"embedded, data in {settings.data_dir}/redis (redis-cli -s {path})"
    scheme, _, rest = redis_url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"  # without credentials
