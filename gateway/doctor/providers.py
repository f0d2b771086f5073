"""Providers, asked over the network: does the address answer, and does it take the key?

One GET of the list of models for each address and key, which costs nothing. What the status means
depends on whose address it is: the catalog's own (`api_base`) may be wrong, a provider's is known.
"""

import asyncio
import json
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import certifi

from gateway import wires
from gateway.doctor.finding import Finding, ok, problem, warning
from gateway.doctor.installation import Installation
from gateway.profile import Profile

_CHECK: Final = "providers"
_ANSWER_S: Final = 5.0
_MAX_BYTES: Final = 2**22  # of a list of models; the longest have some hundred kilobytes


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, for whom."""

    url: str
    headers: tuple[tuple[str, str], ...]
    key: str | None
    is_own: bool  # the address is the catalog's


@dataclass(frozen=True, slots=True)
class Answer:
    """`status` is None if there was none; `failure` is why."""

    status: int | None
    failure: str = ""
    models: frozenset[str] = frozenset()


def providers(found: Installation) -> list[Finding]:
    """What each provider of a usable profile says."""
    if not found.online or found.catalog is None:
        return []
    asked: dict[Asked, dict[str, str]] = {}
    findings = []
    for name, profile in sorted(found.catalog.profiles.items()):
        if not found.catalog.is_usable(name):
            continue
        request, model = _request(profile, found.environ)
        if request is None:
            words = f"{name}: {profile.provider} has no list of models to ask for"
            findings.append(ok(_CHECK, words))
        else:
            asked.setdefault(request, {})[name] = model
    answers = asyncio.run(_ask(list(asked)))
    for request, answer in answers.items():
        findings += judged(request, answer, asked[request])
    return findings


def judged(asked: Asked, answer: Answer, models: Mapping[str, str]) -> list[Finding]:
    """What an answer says about the profiles in `models` (profile -> the provider's model)."""
    who, key = ", ".join(models), asked.key or "its key"
    said = f"{who}: GET {asked.url} answers {answer.status}"
    match answer.status:
        case None:
            words = f"{who}: {asked.url}: {answer.failure}"
            remedy = (
                "correct api_base, or start that server" if asked.is_own else "is the network up?"
            )
            return [problem(_CHECK, words, remedy)]
        case 200:
            return _listed(asked, answer, models)
        case 401 | 403:
            return [problem(_CHECK, f"{said}: the key is refused", f"correct {key}")]
        case 429:
            remedy = "wait, or look at the account's limits and balance"
            return [warning(_CHECK, f"{said}: over its limit", remedy)]
        case int(status) if status >= 500:
            return [warning(_CHECK, f"{said}: it fails now", "look at the provider's status page")]
        case _ if asked.is_own:
            remedy = "correct api_base: it usually ends in /v1"
            return [problem(_CHECK, f"{said}: not the address of such a server", remedy)]
        case _:
            return [warning(_CHECK, said, "it was reached; whether it takes the key is not known")]


def _listed(asked: Asked, answer: Answer, models: Mapping[str, str]) -> list[Finding]:
    known = [name for name, model in models.items() if not answer.models or model in answer.models]
    findings = [ok(_CHECK, f"{', '.join(known)}: reached, the key is taken")] if known else []
    findings += [
        warning(
            _CHECK,
            f"{name}: {asked.url} lists no '{models[name]}'",
            "correct its litellm_model, unless that is an alias which the provider does not list",
        )
        for name in models
        if name not in known
    ]
    return findings


def _request(profile: Profile, environ: Mapping[str, str]) -> tuple[Asked | None, str]:
    from gateway import targets  # imports litellm, which takes seconds: only if they are asked

    secret = environ.get(profile.api_key_env) if profile.api_key_env else None
    target = targets.resolve(profile, secret)
    if wires.MESSAGES in profile.speaks:
        url = f"{targets.messages_root(target.base)}/v1/models"
        headers = target.headers_for(wires.MESSAGES, {})
    elif target.base and target.is_fast:
        base = target.base.removesuffix("/chat/completions").removesuffix("/responses")
        url, headers = f"{base}/models", target.headers_for(wires.CHAT, {})
    else:
        return None, target.model
    return (
        Asked(url, tuple(sorted(headers.items())), profile.api_key_env, bool(profile.api_base)),
        target.model,
    )


async def _ask(requests: list[Asked]) -> dict[Asked, Answer]:
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
        trust_env=True,
    ) as session:
        answers = await asyncio.gather(*(_answer(session, each) for each in requests))
    return dict(zip(requests, answers, strict=True))


async def _answer(session: aiohttp.ClientSession, asked: Asked) -> Answer:
    try:
        async with session.get(
            asked.url, headers=dict(asked.headers), allow_redirects=False
        ) as response:
            body = await response.content.read(_MAX_BYTES)
            return Answer(response.status, models=_names(body))
    except TimeoutError:
        return Answer(None, f"no answer in {_ANSWER_S:g} s")
    except aiohttp.ClientConnectorCertificateError:
        return Answer(None, "its certificate is not trusted (SSL_CERT_FILE names yours)")
    except (aiohttp.ClientError, OSError, ValueError) as exc:
        return Answer(None, str(exc) or type(exc).__name__)


def _names(body: bytes) -> frozenset[str]:
    """The ids of a list of models, as OpenAI and Anthropic write it."""
    try:
        listed = json.loads(body)["data"]
        return frozenset(str(each["id"]) for each in listed)
    except (ValueError, TypeError, KeyError):
        return frozenset()
