"""A provider that answers, on any path, byte for byte what a test gives it; and its catalog."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import running_gateway
from servers import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

Json = dict[str, Any]

_DIMENSIONS = Path(__file__).parent / "data" / "catalog" / "dimensions.yaml"
_NAMES = ("reasoning", "code_generation", "debugging", "tool_use")
PRICE = {
    **{"input_usd_per_mtok": 1, "output_usd_per_mtok": 5},
    **{"cached_input_usd_per_mtok": 0.1, "cache_write_usd_per_mtok": 1.25},
}


@dataclass(frozen=True)
class Reply:
    """One answer: its bytes as they come, in one piece or several."""

    body: bytes | Iterable[bytes]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


def whole(body: object, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; `retry_after` is the header of that name."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(json.dumps(body).encode(), status, named)


def stream(*events: object, tail: bytes = b"") -> Reply:
    """A stream: bytes as they are, objects as events, named by their type where they have one."""
    return Reply([*map(_event, events), tail], media_type="text/event-stream")


def _event(event: object) -> bytes:
    if isinstance(event, bytes):
        return event
    assert isinstance(event, dict)
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


class Replay:
    """Answers with `replies` one after the other; the last of them again and again."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.requests: list[Json] = []
        self.paths: list[str] = []
        self.url = ""
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["POST"])])

    def say(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.requests.clear()
        self.paths.clear()

    async def _answer(self, request: Request) -> Response:
        self.requests.append(await request.json())
        self.paths.append(request.url.path)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        headers = {**reply.headers, "content-type": reply.media_type}
        if isinstance(reply.body, bytes):
            return Response(reply.body, reply.status, headers)
        return StreamingResponse(iter(reply.body), reply.status, headers)


def write_catalog(folder: Path, profiles: Mapping[str, Json], pool: Iterable[str]) -> Path:
    """A catalog of these profiles: name -> litellm_model, api_base and what else differs."""
    (folder / "dimensions.yaml").write_bytes(_DIMENSIONS.read_bytes())
    shared: Json = {
        "api_key_env": "TEST_PROVIDER_KEY",
        "capabilities": dict.fromkeys(_NAMES, 0.5),
        "price": PRICE,
        "features": ["tools", "parallel_tools", "n"],
        "limits": {"context_tokens": 100000, "output_tokens": 8000},
    }
    for name, fields in profiles.items():
        (folder / f"{name}.yaml").write_text(json.dumps({"name": name, **shared, **fields}))
    first, *_ = pooled = [*(pool or profiles)]
    default = {"profiles": pooled, "modes": {"iso": 5}, "default_mode": "iso", "baseline": first}
    (folder / "pools.yaml").write_text(json.dumps({"pools": {"default": default}}))
    return folder


@contextlib.contextmanager
def replaying(
    redis_url: str,
    folders: pytest.TempPathFactory,
    profiles: Mapping[str, Json],
    *environs: Mapping[str, str],
    pool: Iterable[str] = (),
) -> Iterator[tuple[Replay, list[httpx.Client]]]:
    """The provider, and a client of one gateway for each of the settings.

    "@REPLAY@" in a profile stands for the provider's address.
    """
    stub = Replay()
    with contextlib.ExitStack() as stack:
        stub.url = stack.enter_context(serve(stub.app))
        filled = json.loads(json.dumps(profiles).replace("@REPLAY@", stub.url))
        catalog = write_catalog(folders.mktemp("replay"), filled, pool)
        shared = {"HYDRA_REDIS_URL": redis_url, "HYDRA_PROFILES": str(catalog)}
        clients = []
        for environ in environs:
            gateway = running_gateway(folders.mktemp("data"), {**shared, **environ})
            clients.append(stack.enter_context(stack.enter_context(gateway).http()))
        yield stub, clients


def bodies_of(text: str) -> Iterator[Json | str]:
    """The data of a stream's events, parsed where it is JSON."""
    for line in text.splitlines():
        if line.startswith("data: "):
            data = line.removeprefix("data: ")
            try:
                yield json.loads(data)
            except ValueError:
                yield data


def record_of(http: httpx.Client, answer: httpx.Response) -> Json:
    found = http.get(f"/v1/decisions/{answer.headers['x-hydra-decision-id']}")
    assert found.status_code == 200, found.text
    record: Json = found.json()
    return record
