"""How long a prediction takes and what it holds in memory, beside the paper's encoder in INT8.

`predict()` whole, tokenizer included, on texts of a wanted number of tokens, each one new: words of
docs/why.md drawn with a fixed seed. Three ways: one text on one thread, as the gateway does it; one
text on two; two callers at once, each on one. Beside them, on one thread, ModernBERT-base (22
layers of 768) with random weights in the same kind of graph, tokenizer not included; it takes
`onnx` to build. All take turns in short rounds, since machines drift; `cpu ms` and the ratio are
medians of processor time, which a busy machine hardly changes. Memory is the peak of a fresh
process that only predicts. Last line: JSON.

    python bench/predictor_speed.py [--repeats 200]
"""

import argparse
import bisect
import dataclasses
import importlib.util
import itertools
import json
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

WORDS = (Path(__file__).parent.parent / "docs/why.md").read_text(encoding="utf-8").split()
LENGTHS = (16, 64, 128, 256, 512)  # tokens
BASE_LENGTHS = (64, 128, 512)
ONE, TWO, CALLERS, BASE = "1 thread", "2 threads", "2 callers", "base, 1 thread"
ROUNDS = 10
BASE_SHARE = 10  # base answers one text where ours answers as many
MEMORY_TEXTS = 40
COLUMNS = ("p50_ms", "p99_ms", "cpu_p50_ms", "tokens_per_s", "base_over_ours")
HEADER = f"""
{"tokens":>6}  {"":14}  {"p50 ms":>8}  {"p99 ms":>8}  {"cpu ms":>8}  {"tokens/s":>8}  base/ours"""
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of ru_maxrss


@dataclasses.dataclass(kw_only=True)
class Contender:
    """Answers inputs that are drawn before the clock starts."""

    answer: Callable[[Any], object]
    inputs: Iterator[Any]
    share: int  # inputs a round
    callers: int = 1
    times_ms: list[float] = dataclasses.field(default_factory=list)
    cpu_ms: list[float] = dataclasses.field(default_factory=list)  # of the calling thread
    seconds: float = 0.0  # of all rounds

    def _one(self, given: object) -> float:
        started, cpu = time.perf_counter(), time.thread_time()
        self.answer(given)
        self.cpu_ms.append((time.thread_time() - cpu) * 1000)
        return (time.perf_counter() - started) * 1000

    def round(self, pool: ThreadPoolExecutor) -> None:
        given = list(itertools.islice(self.inputs, self.share))
        started = time.perf_counter()
        found = (map if self.callers == 1 else pool.map)(self._one, given)
        self.times_ms += list(found)
        self.seconds += time.perf_counter() - started

    def figures(self, tokens: int) -> dict[str, float]:
        times = sorted(self.times_ms)
        return {
            "p50_ms": round(times[len(times) // 2], 2),
            "p99_ms": round(times[int(len(times) * 0.99)], 2),
            "cpu_p50_ms": round(statistics.median(self.cpu_ms), 2),
            "tokens_per_s": round(tokens * len(times) / self.seconds),
        }


def texts(tokens: int, seed: str) -> Iterator[str]:
    """Rendered requests of `tokens` tokens, none like another."""
    from predictor.predictor import SHIPPED
    from predictor.render import render
    from predictor.tokens import TokenEncoder

    # an encoder of its own: the predictor's must not have seen the text
    encoder = TokenEncoder(SHIPPED / "tokenizer.json", max(LENGTHS))
    rng = random.Random(seed)
    while True:
        words = " ".join(rng.choices(WORDS, k=tokens))

        def first(chars: int, words: str = words) -> str:
            return render([{"role": "user", "content": words[:chars]}])

        yield first(
            bisect.bisect_left(
                range(len(words)), tokens, key=lambda chars: len(encoder.encode(first(chars)))
            )
        )


def token_ids(tokens: int) -> Iterator[Any]:
    """Ids (1, tokens) for ModernBERT-base."""
    import numpy as np

    rng = np.random.default_rng(tokens)
    while True:
        yield rng.integers(0, 50_000, (1, tokens))


def processor() -> tuple[str, bool | None]:
    """Name, and whether it has VNNI, an instruction for INT8 products; None where not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), None
    pairs = [line.split(":", 1) for line in lines if ":" in line]
    facts = {key.strip(): value.strip() for key, value in pairs}
    flags = facts.get("flags", "").split()
    vnni = not {"avx512_vnni", "avx_vnni"}.isdisjoint(flags) if flags else None
    return facts.get("model name", platform.machine()), vnni


def peak_mb() -> int:
    """Peak memory of a fresh process that loads the predictor and predicts."""
    # started while this process is small: a child's ru_maxrss begins at its parent's
    command = [sys.executable, __file__, "--only-memory"]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def only_memory() -> None:
    import predictor

    model = predictor.load()
    for index in range(MEMORY_TEXTS):
        words = random.Random(index).choices(WORDS, k=(index + 1) * max(LENGTHS) // MEMORY_TEXTS)
        model.predict(" ".join(words))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES // 2**20)


def build_base(path: Path) -> None:
    """ModernBERT-base with random weights, quantized as ours is: attention stays float."""
    import numpy as np

    from predictor import graph

    rng = np.random.default_rng(0)
    hidden, inner, vocabulary, layers = 768, 1152, 50_368, 22

    def drawn(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)

    ones = np.ones(hidden, np.float32)
    layer = {  # the same in every layer: time does not depend on values
        "attn_norm.weight": ones,
        "attn.Wqkv.weight": drawn(3 * hidden, hidden),
        "attn.Wo.weight": drawn(hidden, hidden),
        "mlp_norm.weight": ones,
        "mlp.Wi.weight": drawn(2 * inner, hidden),
        "mlp.Wo.weight": drawn(hidden, inner),
    }
    weights = {
        "embeddings.tok_embeddings.weight": drawn(vocabulary, hidden),
        "embeddings.norm.weight": ones,
        "final_norm.weight": ones,
    }
    for number in range(layers):
        weights |= {f"layers.{number}.{name}": value for name, value in layer.items()}
    shape = graph.Shape(heads=12, is_global=tuple(number % 3 == 0 for number in range(layers)))
    plain = path.with_name("float.onnx")
    graph.build(weights, drawn(4, hidden), np.zeros(4, np.float32), shape, plain)
    graph.quantize(plain, path)
    plain.unlink()


def session(path: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options)


def contenders(repeats: int, base: Path | None) -> dict[int, dict[str, Contender]]:
    """For each length, by name."""
    import predictor

    ours = predictor.load()
    two = dataclasses.replace(ours, _session=session(ours.folder / "model.onnx", 2))
    found: dict[int, dict[str, Contender]] = {}
    share = -(-repeats // ROUNDS)
    for length in LENGTHS:
        found[length] = {
            name: Contender(
                answer=model.predict,
                inputs=texts(length, f"{name}, {length}"),
                share=share,
                callers=callers,
            )
            for name, model, callers in ((ONE, ours, 1), (TWO, two, 1), (CALLERS, ours, 2))
        }
    if base is not None:
        graph = session(base, 1)
        for length in BASE_LENGTHS:
            found[length][BASE] = Contender(
                answer=lambda ids: graph.run(["requirements"], {"input_ids": ids}),
                inputs=token_ids(length),
                share=-(-share // BASE_SHARE),
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200, help="texts of each length")
    parser.add_argument("--only-memory", action="store_true", help="only the peak memory, in MB")
    options = parser.parse_args()
    if options.only_memory:
        return only_memory()
    memory = peak_mb()
    name, vnni = processor()

    from predictor.predictor import SHIPPED

    sizes = {file: (SHIPPED / file).stat().st_size for file in ("model.onnx", "tokenizer.json")}
    meta = json.loads((SHIPPED / "meta.json").read_text(encoding="utf-8"))
    known = {True: "has VNNI", False: "no VNNI", None: "VNNI not known"}[vnni]
    files = ", ".join(f"{file} {size / 1e6:.1f} MB" for file, size in sizes.items())
    print(f"processor: {name}, {known}")
    print(f"predictor {meta['version']}: {files}; peak memory of a process {memory} MB")
    result: dict[str, Any] = {
        "bench": "predictor_speed",
        "processor": name,
        "vnni": vnni,
        "version": meta["version"],
        "bytes": sizes,
        "peak_rss_mb": memory,
    }
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        base: Path | None = Path(folder) / "base.onnx"
        if importlib.util.find_spec("onnx") is None:
            print("no ModernBERT-base beside it: onnx is missing (pip install -e '.[train]')")
            base = None
        else:
            build_base(base)
            result["base_bytes"] = base.stat().st_size
            print(f"ModernBERT-base, INT8, random weights: {base.stat().st_size / 1e6:.1f} MB")
        table = contenders(options.repeats, base)
        print(HEADER)
        for length, named in table.items():
            for each in named.values():
                each.answer(next(each.inputs))  # warm up
            for _, each in itertools.product(range(ROUNDS), named.values()):
                each.round(pool)
            figures: dict[str, Any] = {key: each.figures(length) for key, each in named.items()}
            if BASE in figures:
                ratio = figures[BASE]["cpu_p50_ms"] / figures[ONE]["cpu_p50_ms"]
                figures[BASE]["base_over_ours"] = round(ratio, 1)
            del figures[TWO]["cpu_p50_ms"]  # its other thread's share is not known
            for key, row in figures.items():
                cells = [row.get(column, "") for column in COLUMNS]
                print(f"{length:6}  {key:14}" + "".join(f"  {c:>8}" for c in cells).rstrip())
            result[str(length)] = figures
    print(json.dumps(result))


if __name__ == "__main__":
    main()
