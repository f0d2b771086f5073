"""A mixed load with a known bill: what is asked, what its client saw, and what it must cost.

Not the check (reconciliation.py). What a request must cost follows from the provider's book and
from what reached the client, never from anything the gateway says of money.
"""

import asyncio
import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import billed_models
from billed_models import POOLS, Counts
from billed_provider import WAITING, BilledProvider, Served

KEYS = {"alice": "sk-alice-secret", "bob": "sk-bob-secret"}
_USERS = (None, "u-1", "u-2", "Ünal")
_TAGS = ((), ("a",), ("a", "b"), ("team c", "b"))
_CHAT, _RESPONSES, _MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
_AMID, _BEFORE = "amid the answer", "before the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of request. `leaves`: when the client goes away."""

    model: str
    path: str = _CHAT
    stream: bool = False
    pool: str | None = None
    threshold: str | None = None
    leaves: str = ""


KINDS = (
    Kind(model="auto"),
    Kind(model="auto:peak", stream=True),
    Kind(model="auto:aggressive"),
    Kind(model="auto", threshold="0.1", stream=True),
    Kind(model="auto", path=_RESPONSES, pool="cheap"),
    Kind(model="auto:peak", path=_RESPONSES, pool="cheap", stream=True),
    Kind(model="auto:aggressive", path=_MESSAGES),
    Kind(model="auto:peak", path=_MESSAGES, pool="cheap", stream=True),
    Kind(model="auto:aggressive", pool="falls"),
    Kind(model="auto:aggressive", pool="falls", stream=True),
    Kind(model="auto:aggressive", path=_MESSAGES, pool="falls", stream=True),
    Kind(model="auto:aggressive", pool="nobody"),
    Kind(model="auto", pool="nobody", stream=True),
    Kind(model="auto:aggressive", pool="breaking", stream=True),
    Kind(model="auto:aggressive", path=_RESPONSES, pool="breaking", stream=True),
    Kind(model="auto:aggressive", pool="waiting", stream=True, leaves=_AMID),
    Kind(model="auto:aggressive", path=_MESSAGES, pool="waiting", stream=True, leaves=_AMID),
    Kind(model="auto:peak", pool="mixed"),
    Kind(model="auto:aggressive", path=_MESSAGES, pool="mixed"),
    Kind(model="large"),
    Kind(model="small", path="/v1/completions"),
    Kind(model="small", path="/v1/completions", stream=True),
    Kind(model="odd", path="/v1/embeddings"),
    Kind(model="odd", stream=True),
    Kind(model="tiered"),
    Kind(model="tiered", stream=True),
    Kind(model="thinker", pool="cheap"),
    Kind(model="says"),
    Kind(model="says", stream=True, pool="mixed"),
    Kind(model="unpriced"),
    Kind(model="unpriced", stream=True),
    Kind(model="uncounted"),
    Kind(model="uncounted", stream=True),
    Kind(model="refuses"),
    Kind(model="limited", path=_MESSAGES),
    Kind(model="busy", path=_RESPONSES, stream=True),
    Kind(model="late"),
    Kind(model="unreachable"),
    Kind(model="breaks", stream=True),
    Kind(model="claude", path=_MESSAGES),
    Kind(model="claude", path=_MESSAGES, stream=True),
    Kind(model="claude-breaks", path=_MESSAGES, stream=True),
    Kind(model="claude"),  # litellm carries this one and the next two
    Kind(model="claude", stream=True),
    Kind(model="claude", path=_RESPONSES, stream=True),
    Kind(model="responder", path=_RESPONSES),
    Kind(model="responder", path=_RESPONSES, stream=True),
    Kind(model="responder"),  # here, too
    Kind(model="responder", path=_MESSAGES, stream=True),
    Kind(model="waits", leaves=_BEFORE),
    Kind(model="waits", path=_RESPONSES, stream=True, leaves=_AMID),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, and what the log must say of its asker."""

    number: int
    kind: Kind
    key: str
    user: str | None
    session: str | None
    tags: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"#{self.number:07d} Summarise this. {'The cow jumped over the möön. ' * 3}"

    @property
    def pool(self) -> str:
        return self.kind.pool or "default"

    @property
    def mode(self) -> str | None:
        """The mode in the record: none where a model or a threshold is given."""
        name, _, mode = self.kind.model.partition(":")
        return (mode or "iso") if name == "auto" and self.kind.threshold is None else None

    def body(self) -> dict[str, Any]:
        kind = self.kind
        body: dict[str, Any] = {"model": kind.model}
        prompt = {_RESPONSES: "input", "/v1/embeddings": "input", "/v1/completions": "prompt"}
        if kind.path in prompt:
            body[prompt[kind.path]] = self.text
        else:
            body["messages"] = [{"role": "user", "content": self.text}]
        if kind.path == _MESSAGES:
            body["max_tokens"] = 1000
        if self.user is not None:
            named = {"metadata": {"user_id": self.user}} if kind.path == _MESSAGES else None
            body |= named or {"user": self.user}
        if kind.stream:
            body["stream"] = True
        if self.number % 2:
            said = {"pool": kind.pool, "session": self.session, "tags": list(self.tags)}
            body["hydra"] = {name: value for name, value in said.items() if value}
        return body

    def headers(self) -> dict[str, str]:
        headers = {"authorization": f"Bearer {KEYS[self.key]}", "x-request-id": str(self.number)}
        if self.kind.threshold is not None:
            headers["x-hydra-threshold"] = self.kind.threshold
        if self.number % 2 == 0:
            said = {"pool": self.kind.pool, "session": self.session, "tags": ",".join(self.tags)}
            headers |= {f"x-hydra-{name}": value for name, value in said.items() if value}
        return headers


def ask(number: int) -> Ask:
    """The request of that number: kinds take turns, and so does all else in each kind."""
    turn, place = divmod(number, len(KINDS))
    key = tuple(KEYS)[turn % len(KEYS)]
    return Ask(
        number=number,
        kind=KINDS[place],
        key=key,
        user=_USERS[turn // 2 % len(_USERS)],
        session=f"{key}-{place}-{turn % 3}" if turn % 5 else None,
        tags=_TAGS[turn // 3 % len(_TAGS)],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the client got: its status, None if it left before one; the bytes of a broken answer's
    text; the headers that speak of money."""

    status: int | None
    text_bytes: int = 0
    cost_usd: str | None = None
    savings_usd: str | None = None


class MixedLoad:
    """Requests 1 to `count`, so many at a time; `seen` has what came of each."""

    def __init__(self, url: str, provider: BilledProvider, count: int, at_once: int) -> None:
        self.seen: dict[int, Seen] = {}
        self._url = url
        self._provider = provider
        self._numbers = iter(range(1, count + 1))
        self._count = count
        self._at_once = at_once

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=120)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await asyncio.gather(*(self._work(session) for _ in range(self._at_once)))
        print(file=sys.stderr)

    async def _work(self, session: aiohttp.ClientSession) -> None:
        for number in self._numbers:
            one = ask(number)
            if one.kind.leaves == _BEFORE:
                self.seen[number] = await self._left_before(session, one)
            else:
                self.seen[number] = await self._answered(session, one)
            if len(self.seen) % 500 == 0:
                said = f"\r{len(self.seen):,} of {self._count:,} requests"
                print(said, end="", file=sys.stderr, flush=True)

    def _post(self, session: aiohttp.ClientSession, one: Ask) -> Any:
        return session.post(self._url + one.kind.path, json=one.body(), headers=one.headers())

    async def _answered(self, session: aiohttp.ClientSession, one: Ask) -> Seen:
        async with self._post(session, one) as answer:
            data = b""
            if one.kind.leaves == _AMID and answer.status == 200:
                async for piece in answer.content.iter_any():
                    data += piece
                    if f'"{WAITING}"'.encode() in data.replace(b" ", b""):
                        answer.close()
                        break
            else:
                data = await answer.read()
            return Seen(
                status=answer.status,
                text_bytes=len(_text(data)) if one.kind.stream else 0,
                cost_usd=answer.headers.get("x-hydra-cost-usd"),
                savings_usd=answer.headers.get("x-hydra-savings-usd"),
            )

    async def _left_before(self, session: aiohttp.ClientSession, one: Ask) -> Seen:
        """The client goes once the provider has the request."""
        bell = self._provider.bells.setdefault(one.number, asyncio.Event())
        asking = asyncio.ensure_future(self._post(session, one))
        await bell.wait()
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        return Seen(status=None)


def _text(data: bytes) -> bytes:
    """The generated text in the events of any protocol."""
    return b"".join(text.encode() for event in _parsed(data) for text in _texts(event))


def _parsed(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        if line.startswith(b"data: {"):
            yield json.loads(line.removeprefix(b"data: "))


def _texts(event: Mapping[str, Any]) -> Iterator[str]:
    delta = event.get("delta")
    if isinstance(delta, str):
        yield delta
    elif isinstance(delta, dict):
        yield delta.get("text") or ""
    for choice in event.get("choices") or ():
        yield choice.get("text") or (choice.get("delta") or {}).get("content") or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What the log must say of one request; money in picodollars, None is unknown."""

    model: str
    status: str
    cost_status: str = "unknown"
    prompt: int = 0
    completion: int = 0
    cost: int | None = None
    baseline: int | None = None

    @property
    def savings(self) -> int | None:
        return None if self.cost is None or self.baseline is None else self.baseline - self.cost


def bill(one: Ask, seen: Seen, served: list[Served]) -> Bill:
    """By the provider's book and the client's eyes, with the rules of docs/costs.md."""
    named = one.kind.model
    chosen = served[0].model if named.partition(":")[0] == "auto" else named
    if seen.status is None:
        return Bill(model=chosen, status="aborted")
    if seen.status != 200:
        # Nothing is billed if everyone refused; a time-out or a broken connection may be billed.
        refused = served and all(call.end.isdigit() and call.end != "408" for call in served)
        if refused:
            return Bill(model=chosen, status="error", cost_status="exact", cost=0, baseline=0)
        return Bill(model=chosen, status="error")
    last = served[-1]
    status = {"broken": "error", "left": "aborted"}.get(last.end, "ok")
    counted = last.counts
    if status != "ok":
        counted = _estimated(one, seen, last)
    if counted is None:
        return Bill(model=last.model, status=status)
    cost = billed_models.picodollars(last.model, counted)
    cost_status = "unknown"
    if status == "ok" and counted.said is not None:
        cost, cost_status = billed_models.said_picodollars(counted.said), "exact"
    elif cost is not None:
        is_exact = status == "ok" and billed_models.is_exact(last.model, counted)
        cost_status = "exact" if is_exact else "estimated"
    return Bill(
        model=last.model,
        status=status,
        cost_status=cost_status,
        prompt=counted.prompt,
        completion=counted.completion,
        cost=cost,
        baseline=billed_models.picodollars(POOLS[one.pool][-1], counted),
    )


def _estimated(one: Ask, seen: Seen, last: Served) -> Counts:
    """A stream without its end: its text, 4 bytes a token, and its prompt, which Claude's wire
    counts at the start and others only at the end."""
    completion = -(-seen.text_bytes // 4)
    if last.wire == "messages" and last.counts is not None:
        return dataclasses.replace(last.counts, completion=completion, reasoning=0, searches=0)
    return Counts(prompt=4 + -(-len(one.text.encode()) // 4), completion=completion)
