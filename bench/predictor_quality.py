"""Does a predictor see what a request needs, in every language, however it is said?

Three questions, of any predictor's folder: is the right head the highest (dimension sense); do a
request and its translation get the same vector and the same model (languages); does the choice
survive typos, casing, politeness, envelopes, length and keywords (robustness). No outcome is looked
at: whether the vectors pay is `hydra-gateway evaluate`'s question. Flips are counted through the
real catalog and rule at the first wording's prices, so that only the vector can cause one.
Requests: tests/data/requests.json, and with DATA (a folder with prompts/) held-out prompts too.
Intervals are 95% bootstrap over tasks; where a share is 0 or 1, the rule of three. Last line: JSON.

    python bench/predictor_quality.py [DATA] [--predictor FOLDER] [--per-kind 200] [--show 0]
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import predictor
from bench import quality_measures as measures
from bench import quality_samples as samples
from bench.perturbations import PERTURBATIONS
from bench.quality_measures import LOW
from bench.quality_samples import GENERAL, Group, Sample
from bench.quality_subject import Subject

PER_SHARE_ALIKE = 150
GROUPS_PER_KIND = 30  # held-out tasks with translations


def table(heading: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    print(f"\n{heading}")
    for row in cells:
        print("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())


def percent(value: list[float]) -> str:
    return "{:.1f}% ({:.1f} to {:.1f})".format(*(100 * x for x in value))


def number(value: list[float]) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*value)


def show_sense(subject: Subject, name: str, rows: list[Sample], show: int) -> dict[str, Any]:
    found = measures.sense(subject, rows)
    table(
        f"Dimension sense, {name}: share with the right head highest; {GENERAL}: all below {LOW}",
        ("kind", "n", "right", "seen instead", "worst sources (share, n)"),
        [
            (
                kind,
                row["n"],
                percent(row["right"]),
                ", ".join(f"{k} {n}" for k, n in row["instead"].items()),
                ", ".join(f"{s} {share} ({n})" for s, share, n in row["worst_sources"]),
            )
            for kind, row in found.items()
        ],
    )
    wrong: dict[str, list[Sample]] = {}
    for row in rows:
        if not measures.is_right(subject, row):
            wrong.setdefault(row.kind, []).append(row)
    for kind, missed in wrong.items():
        for row in missed[:show]:
            vector = " ".join(f"{value:.2f}" for value in subject.vector(row.text))
            print(f"    {kind} [{vector}] {row.source}: {row.text[:150]!r}")
    return found


def show_languages(subject: Subject, name: str, groups: list[Group]) -> dict[str, Any]:
    found = measures.languages(subject, groups)
    by_language = found["correlation"]
    table(
        f"Languages, {name}: {found['groups']} tasks, {found['languages']} languages, "
        f"{found['rows']} translations against English; gaps in band widths",
        ("", "mean gap", "same model"),
        [
            ("all", number(found["gap"]), percent(found["same_model"][subject.modes[0]])),
            *(("  " + head, number(gap), "") for head, gap in found["gap_by_head"].items()),
            *(
                ("  prompts: " + kind, number(gap), percent(found["same_model_by_kind"][kind]))
                for kind, gap in found["gap_by_kind"].items()
            ),
            *(("  mode " + m, "", percent(v)) for m, v in found["same_model"].items()),
        ],
    )
    print(f"  worst languages, same model: {found['worst_same_model']}")
    found["mean_correlation"] = {
        head: round(float(np.mean([row["heads"][k] for row in by_language.values()])), 3)
        for k, head in enumerate(subject.dimensions)
    }
    found["mean_correlation"]["all"] = round(
        float(np.mean([row["all"] for row in by_language.values()])), 3
    )
    table(
        f"  correlation with English over prompts, and spread relative to English; mean over "
        f"languages {found['mean_correlation']}",
        ("language", "n", *subject.dimensions, "all", "own kind", "spread"),
        [
            (name, row["n"], *row["heads"], row["all"], row["own_kind"] or "", row["spread"])
            for name, row in sorted(by_language.items(), key=lambda item: item[1]["all"])
        ],
    )
    return found


def show_flips(
    subject: Subject, name: str, rows: dict[str, list[measures.Pair]], show: int
) -> dict[str, Any]:
    found = {what: measures.flips(subject, pairs) for what, pairs in rows.items() if pairs}
    table(
        f"Robustness, {name}: share that gets another model, by mode; gap in band widths",
        ("said differently", "n", *subject.modes, "leaves cheapest", "mean gap"),
        [
            (
                what,
                row["n"],
                *(percent(row["flips"][mode]) for mode in subject.modes),
                percent(row["leaves_cheapest"]),
                number(row["gap"]),
            )
            for what, row in found.items()
        ],
    )
    for what, pairs in rows.items() if show else ():
        moved = [(abs(subject.vector(a) - subject.vector(b)).max(), a, b) for a, b, _ in pairs]
        for gap, text, other in sorted(moved, reverse=True)[:show]:
            if not gap:
                break
            before, after = (
                " ".join(f"{value:.2f}" for value in subject.vector(t)) for t in (text, other)
            )
            print(f"    {what}: [{before}] {text[:90]!r} -> [{after}] {other[:90]!r}")
    return found


def show_lengths(subject: Subject, content: dict[str, Any], show: int) -> dict[str, Any]:
    easy = {
        str(size): measures.easy_over_long(
            subject, content["easy_long"], content["long_texts"], size
        )
        for size in measures.LONG_BYTES
    }
    hard = {
        kind: measures.hard_and_short(subject, texts)
        for kind, texts in content["hard_short"].items()
    }
    every_hard = [text for texts in content["hard_short"].values() for text in texts]
    hard["all"] = measures.hard_and_short(subject, every_hard)
    header = (f"all below {LOW}", *(f"cheapest, {mode}" for mode in subject.modes))
    table(
        "Easy instructions over long texts: should stay low",
        ("bytes", "n", *header),
        [
            (size, row["n"], percent(row["low"]), *map(percent, row["cheapest"].values()))
            for size, row in easy.items()
        ],
    )
    table(
        "Short hard requests: should not look easy",
        ("kind", "n", "a head in the upper half of its band", *header),
        [
            (
                kind,
                row["n"],
                percent(row["upper_half"]),
                percent(row["low"]),
                *map(percent, row["cheapest"].values()),
            )
            for kind, row in hard.items()
        ],
    )
    for text in every_hard if show else ():
        vector = subject.vector(text)
        if (vector < subject.middles).all():
            print(f"    looks easy: [{' '.join(f'{v:.2f}' for v in vector)}] {text!r}")
    return {"easy_long": easy, "hard_short": hard}


def perturbations_of(rows: list[Sample], content: dict[str, Any]) -> dict[str, list[measures.Pair]]:
    pairs = {name: measures.perturbed(rows, name) for name in PERTURBATIONS}
    return {**pairs, "envelopes": measures.in_envelopes(rows, content["envelopes"])}


def on_own(subject: Subject, content: dict[str, Any], show: int) -> dict[str, Any]:
    kinds = samples.own_kinds(content)
    easy = [
        Sample(kind=GENERAL, source="own", language="en", text=text, task=text)
        for text in content["stuffing"]
    ]
    pairs = {
        "paraphrases": measures.paraphrased(samples.own_paraphrases(content)),
        **perturbations_of(kinds, content),
        "keywords": measures.keyword_stuffed(easy, content["keywords"]),
    }
    found = {
        "sense": show_sense(subject, "own requests", kinds, show),
        "languages": show_languages(subject, "own requests", samples.own_parallel(content)),
        "robustness": show_flips(subject, "own requests", pairs, show),
        "leaking_envelopes": measures.leaking(subject, content["envelopes"]),
        **show_lengths(subject, content, show),
    }
    print(f"\nEnvelopes that reach the predictor: {found['leaking_envelopes'] or 'none'}")
    return found


def on_held_out(
    subject: Subject, folder: Path, content: dict[str, Any], per_kind: int, show: int
) -> dict[str, Any]:
    prompts = samples.held_out_prompts(folder)
    drawn = samples.held_out(prompts, per_kind)
    wanted = content["parallel"][0]["texts"]
    groups = samples.held_out_parallel(prompts, wanted, GROUPS_PER_KIND)
    fewer = samples.held_out(prompts, max(1, per_kind // 3))
    easy = [row for row in fewer if row.kind == GENERAL]
    pairs = {
        **perturbations_of(fewer, content),
        "keywords": measures.keyword_stuffed(easy, content["keywords"]),
    }
    foreign = samples.share_alike(folder, PER_SHARE_ALIKE)
    return {
        "sense": show_sense(subject, "held-out prompts", drawn, show),
        "share_alike": show_sense(subject, "share-alike sets", foreign, show),
        "languages": show_languages(subject, "held-out prompts", groups),
        "robustness": show_flips(subject, "held-out prompts", pairs, show),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, help="folder that holds prompts/")
    parser.add_argument("--predictor", type=Path, help="folder of the predictor; default: shipped")
    parser.add_argument("--pool", default="default")
    parser.add_argument("--per-kind", type=int, default=200, help="held-out prompts of each kind")
    parser.add_argument("--show", type=int, default=0, help="examples of each failure to print")
    options = parser.parse_args()
    start = time.monotonic()
    subject = Subject(predictor.load(options.predictor), options.pool)
    content = samples.own()
    print(f"predictor {subject.model.version} {subject.model.sha256[:16]}, bands", end=" ")
    print(", ".join(f"{low:.2f}..{high:.2f}" for low, high in subject.model.bands))
    report = {
        "bench": "predictor_quality",
        "version": subject.model.version,
        "predictor": subject.model.sha256[:16],
        "pool": options.pool,
        "modes": {mode: subject.pool.modes[mode] for mode in subject.modes},
        "own": on_own(subject, content, options.show),
    }
    if options.data:
        folder = options.data / "prompts"
        report["held_out"] = on_held_out(subject, folder, content, options.per_kind, options.show)
    report["seconds"] = round(time.monotonic() - start)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
