"""A gateway under test, its catalog, and the ways to talk to it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
from upstream_stub import UpstreamStub

PROVIDER_KEY = "sk-upstream-secret"
_CATALOG = Path(__file__).parent / "data" / "catalog"


def write_catalog(folder: Path, provider: UpstreamStub) -> Path:
    """Fill a folder with tests/data/catalog, pointed at the provider."""
    for source in _CATALOG.glob("*.yaml"):
        text = source.read_text(encoding="utf-8").replace("@UPSTREAM@", provider.base_url)
        (folder / source.name).write_text(text, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Gateway:
    """A running gateway and the ways to talk to it."""

    url: str
    data_dir: Path
    catalog_folder: Path

    def http(self, **options: object) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, **options)  # type: ignore[arg-type]

    def openai(self, key: str = "any") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)


StartGateway = Callable[..., Gateway]
