"""`hydra-gateway keys`: whose keys are set, and a new one. Secrets that are set are never shown."""

import argparse
import os
import re
import secrets
from typing import Final

from gateway.commands.output import print_json
from gateway.errors import UsageError
from gateway.keys import ApiKey, parse_keys
from gateway.settings import Settings

SECRET_BYTES: Final = 32
_PREFIX: Final = "hydra-"  # so that a person, or a scanner of leaked secrets, knows what it is
_NAME: Final = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


def show(options: argparse.Namespace) -> int:
    """The ids of all keys that may call."""
    settings = Settings.from_env(os.environ)
    found = [{"id": key.id, "admin": key == settings.admin_key} for key in settings.keys]
    if options.json:
        print_json(found)
        return 0
    for key in found:
        print(f"{key['id']} (admin)" if key["admin"] else key["id"])
    if not found:
        print("no keys are set: open to everyone on this machine; hydra-gateway keys new makes one")
    return 0


def new(options: argparse.Namespace) -> int:
    """Make a secret; it is stored nowhere."""
    taken = {key.id for key in Settings.from_env(os.environ).keys}
    name = options.name or ""
    if name and not _NAME.fullmatch(name):
        raise UsageError("NAME: up to 64 letters, digits and . _ @ - are expected")
    if name in taken:
        raise UsageError(f"NAME: a key is named '{name}' already")
    secret = _PREFIX + secrets.token_urlsafe(SECRET_BYTES)
    line = f"{name}={secret}" if name else secret
    (key,) = parse_keys(line)
    if options.json:
        print_json({"id": key.id, "secret": secret, "line": line})
    else:
        print(_words(key, line, has_others=bool(os.environ.get("HYDRA_API_KEYS"))))
    return 0


def _words(key: ApiKey, line: str, *, has_others: bool) -> str:
    setting = f"append to HYDRA_API_KEYS:  ,{line}" if has_others else f"  HYDRA_API_KEYS={line}"
    return "\n".join(
        [
            key.secret,
            "",
            f"It is shown this once; the log will call it {key.id}. To let it call, put into .env",
            setting,
            "or as a line of its own into the file that HYDRA_API_KEYS_FILE names",
            f"  {line}",
            "and start the gateway again.",
        ]
    )
