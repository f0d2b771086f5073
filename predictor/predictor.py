"""The predictor in serving: `load()` a folder once, then `predict(text)` a requirements vector.

It needs numpy, onnxruntime and tokenizers, knows nothing of the gateway, and reads no clock and no
network. `text` is what `render.render` made of a request.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

    from predictor.tokens import TokenEncoder

SHIPPED = Path(__file__).parent / "model"
SCHEMA = 1  # of meta.json
_FILES = ("model.onnx", "tokenizer.json")
_log = logging.getLogger("predictor")


class PredictorError(Exception):
    """The predictor's folder cannot be used; the message names the file and what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictor:
    """A loaded predictor. Safe to call from several threads at once."""

    dimensions: tuple[str, ...]  # vector order
    bands: tuple[tuple[float, float], ...]  # (10th, 90th percentile) of own predictions, held out
    alpha: float  # P(solved) = sigmoid(alpha - beta * shortfall), fitted on held-out outcomes
    beta: float
    sha256: str  # of model.onnx
    folder: Path
    version: str
    _tokens: TokenEncoder = field(repr=False)
    _session: onnxruntime.InferenceSession = field(repr=False)

    def predict(self, text: str) -> tuple[float, ...]:
        """Requirements of a rendered request, shape (K,), each in [0, 1], in order of `dimensions`.

        About 3 ms at 64 tokens and 30 to 40 ms at 512, on one thread.
        """
        return tuple(float(value) for value in self._run(text, "requirements"))

    def state(self, text: str) -> tuple[float, ...]:
        """The pooled encoder state, shape (h,): for nearest-neighbour baselines."""
        return tuple(float(value) for value in self._run(text, "state"))

    def _run(self, text: str, output: str) -> list[float]:
        import numpy as np

        safe = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate has no token
        ids = np.array([self._tokens.encode(safe)], dtype=np.int64)  # (n_tokens,) -> (1, n_tokens)
        (values,) = self._session.run([output], {"input_ids": ids})
        row: list[float] = values[0].tolist()  # (1, K) -> (K,)
        return row


def load(folder: Path | None = None) -> Predictor:
    """Reads and checks `folder` (default: the shipped model). Raises PredictorError.

    Args: folder with model.onnx, tokenizer.json and meta.json, as `predictor.export` writes it.
    """
    # the heavy imports wait until a predictor is wanted
    import onnxruntime

    from predictor.tokens import TokenEncoder

    folder = Path(folder) if folder is not None else SHIPPED
    meta = _read_meta(folder / "meta.json")
    sums = {name: _checked_sum(folder, name, meta) for name in _FILES}
    dimensions = tuple(_strings(meta, "dimensions", folder))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # requests run beside each other, not one over all cores
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        tokens = TokenEncoder(folder / "tokenizer.json", _integer(meta, "max_tokens", folder))
    except Exception as exc:  # tokenizers raises bare Exception
        raise PredictorError(f"{folder / 'tokenizer.json'}: not a tokenizer: {exc}") from exc
    try:
        session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
    except Exception as exc:  # its exceptions share no public base class
        raise PredictorError(f"{folder / 'model.onnx'}: not a usable model: {exc}") from exc
    heads = {output.name: output.shape for output in session.get_outputs()}.get("requirements")
    if not heads or heads[-1] != len(dimensions):
        raise PredictorError(
            f"{folder / 'model.onnx'}: expected an output 'requirements' with {len(dimensions)} "
            f"values, one for each of {', '.join(dimensions)}; got {heads}"
        )
    loaded = Predictor(
        dimensions=dimensions,
        bands=_bands(meta, dimensions, folder),
        alpha=_number(meta, "alpha", folder),
        beta=_number(meta, "beta", folder),
        sha256=sums["model.onnx"],
        folder=folder,
        version=str(meta.get("version", "")),
        _tokens=tokens,
        _session=session,
    )
    _log.debug("loaded %s, sha256 %s", folder, loaded.sha256)
    return loaded


def _read_meta(path: Path) -> dict[str, object]:
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise PredictorError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise PredictorError(f"{path}: not JSON: {exc}") from exc
    if not isinstance(meta, dict):
        raise PredictorError(f"{path}: expected an object, got {type(meta).__name__}")
    if meta.get("schema") != SCHEMA:
        raise PredictorError(f"{path}: schema: expected {SCHEMA}, got {meta.get('schema')!r}")
    return meta


def _checked_sum(folder: Path, name: str, meta: dict[str, object]) -> str:
    files = meta.get("files")
    wanted = files.get(name) if isinstance(files, dict) else None
    if not isinstance(wanted, str):
        raise PredictorError(f"{folder / 'meta.json'}: files.{name}: expected its sha256")
    try:
        with (folder / name).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise PredictorError(f"{folder / name}: cannot be read: {exc.strerror}") from exc
    if found != wanted:
        raise PredictorError(
            f"{folder / name}: sha256 is {found}, but meta.json says {wanted}: "
            "the files are not of one version"
        )
    return found


def _wrong(folder: Path, name: str, expected: str, found: object) -> PredictorError:
    return PredictorError(f"{folder / 'meta.json'}: {name}: expected {expected}, got {found!r}")


def _number(meta: dict[str, object], name: str, folder: Path) -> float:
    found = meta.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise _wrong(folder, name, "a number", found)
    return float(found)


def _integer(meta: dict[str, object], name: str, folder: Path) -> int:
    found = meta.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or found < 2:
        raise _wrong(folder, name, "a whole number >= 2", found)
    return found


def _strings(meta: dict[str, object], name: str, folder: Path) -> list[str]:
    found = meta.get(name)
    if not isinstance(found, list) or not found or not all(isinstance(x, str) for x in found):
        raise _wrong(folder, name, "a list of names", found)
    if len(set(found)) != len(found):
        raise _wrong(folder, name, "names that differ", found)
    return found


def _bands(
    meta: dict[str, object], dimensions: tuple[str, ...], folder: Path
) -> tuple[tuple[float, float], ...]:
    found = meta.get("bands")
    if not isinstance(found, dict) or set(found) != set(dimensions):
        raise _wrong(folder, "bands", f"one [low, high] for each of {dimensions}", found)
    bands = []
    for name in dimensions:
        match found[name]:
            case [int() | float() as low, int() | float() as high] if 0 <= low < high <= 1:
                bands.append((float(low), float(high)))
            case other:
                raise _wrong(folder, f"bands.{name}", "[low, high], 0 <= low < high <= 1", other)
    return tuple(bands)
