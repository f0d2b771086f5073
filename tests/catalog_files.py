"""Small catalogs on disk: two axes, two benchmarks, two models, and any file of them replaced."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway import catalog
from gateway.catalog import Catalog
from gateway.errors import CatalogError
from gateway.profile import PredictorFacts

DIMENSIONS = """\
dimensions:
  reasoning:
    description: Thinking.
    benchmarks: {quiz: 1}
  tool_use:
    description: Acting.
    benchmarks: {tools_bench: 1, quiz: 1}
"""

REFERENCE = """\
benchmarks:
  quiz: {floor: 20, ceiling: 100}
  tools_bench: {floor: 0, ceiling: 50}
"""

SMALL = """\
name: small
litellm_model: openai/small
benchmarks:
  quiz: {score: 40, source: "a page", date: 2026-01-02}
  tools_bench: {score: 10}
price: {input_usd_per_mtok: 0.5, output_usd_per_mtok: 2}
limits: {context_tokens: 8000, output_tokens: 1000}
features: [tools]
"""

LARGE = """\
name: large
litellm_model: openai/large
capabilities: {reasoning: 0.9, tool_use: 0.8}
"""

POOLS = """\
pools:
  default:
    profiles: [small, large]
    modes: {peak: 0.02, iso: 0.2}
"""


@dataclass(frozen=True)
class CatalogFiles:
    """A catalog folder and the facts of the predictor it is read for."""

    folder: Path
    facts: PredictorFacts

    def write(self, name: str, text: str | bytes) -> None:
        content = text.encode() if isinstance(text, str) else text
        (self.folder / name).write_bytes(content)

    def load(self, environ: Mapping[str, str] | None = None, **options: bool) -> Catalog:
        return catalog.load(self.folder, self.facts, environ or {}, **options)

    def problems(self) -> list[str]:
        """What is wrong with the catalog, with paths relative to its folder."""
        try:
            self.load()
        except CatalogError as exc:
            return [problem.replace(f"{self.folder}/", "") for problem in exc.problems]
        return []


def write_catalog(root: Path, files: Mapping[str, str | bytes] | None = None) -> CatalogFiles:
    """A catalog that loads, with `files` written over it."""
    reference = root / "predictor" / "reference.yaml"
    folder = root / "profiles"
    reference.parent.mkdir(parents=True)
    folder.mkdir()
    reference.write_text(REFERENCE, encoding="utf-8")
    found = CatalogFiles(
        folder,
        PredictorFacts(
            dimensions=("reasoning", "tool_use"),
            bands=((0.1, 0.9), (0.2, 0.6)),
            reference=reference,
        ),
    )
    usual = {
        "dimensions.yaml": DIMENSIONS,
        "pools.yaml": POOLS,
        "small.yaml": SMALL,
        "large.yaml": LARGE,
    }
    for name, text in {**usual, **(files or {})}.items():
        found.write(name, text)
    return found
