"""Settings, `.env`, and the keys of callers."""

import difflib
import stat

from dotenv.parser import parse_stream

from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.installation import DOTENV, Installation
from gateway.settings import PREFIX, SETTINGS

_SHORT_SECRET = 16  # characters; `keys new` makes 49


def settings(found: Installation) -> list[Finding]:
    """Values that can't be, and variables that no setting has."""
    known = [setting.variable for setting in SETTINGS]
    names = [setting.name.upper() for setting in SETTINGS]
    remedy = "docs/configuration.md lists the settings"
    findings = [
        problem("settings", each, f"correct it; {remedy}") for each in found.settings_problems
    ]
    for name in sorted(found.environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX), names, n=1)
            hint = f"did you mean {PREFIX}{near[0]}?" if near else f"remove it; {remedy}"
            findings.append(warning("settings", f"{name}: no such setting, ignored", hint))
    if findings:
        return findings
    given = sorted(name for name in known if found.environ.get(name))
    return [ok("settings", ", ".join(given) or "all as they come")]


def dotenv(found: Installation) -> list[Finding]:
    """Lines of `.env` that are not read, and who may read it."""
    try:
        with DOTENV.open(encoding="utf-8") as stream:
            bindings = list(parse_stream(stream))
        mode = DOTENV.stat().st_mode
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as exc:
        return [problem(".env", f"cannot be read: {exc}", "make it a readable UTF-8 file")]
    findings = [
        problem(".env", f"line {each.original.line} cannot be read", "write NAME=value")
        for each in bindings
        if each.error
    ]
    for each in bindings:
        if each.key and each.value and found.environ.get(each.key) == "":
            words = f"{each.key} is set there, but empty in the environment, which is stronger"
            findings.append(warning(".env", words, f"unset {each.key}"))
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        words = "others on this machine can read it, and the keys in it"
        findings.append(warning(".env", words, f"chmod 600 {DOTENV}"))
    return findings or [ok(".env", "read")]


def callers(found: Installation) -> list[Finding]:
    """Whose keys are taken, and whether they are worth the name."""
    keys = found.settings.keys
    if not keys:
        return [ok("callers' keys", "none: open to everyone on this machine, and to nobody else")]
    make = "make another: hydra-gateway keys new"
    findings = []
    for key in keys:
        if key.secret[0] in "\"'" or key.secret[-1] in "\"'" or key.id[0] in "\"'":
            words = f"{key.id}: the quotes around it are taken as part of it"
            findings.append(problem("callers' keys", words, "write it without quotes"))
        elif len(key.secret) < _SHORT_SECRET:
            words = f"{key.id}: {len(key.secret)} characters can be guessed"
            findings.append(warning("callers' keys", words, make))
    return findings or [ok("callers' keys", ", ".join(key.id for key in keys))]
