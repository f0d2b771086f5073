"""What a good predictor promises: the right dimension, in every language, however it is said.

The requests (tests/data/requests.json) were written for this and train nobody. Version 2 of the
predictor is short of most of the product's goals (predictor/README.md has them), so it is held to
what it reached (HELD): later weights may not do worse. bench/predictor_quality.py measures the
same on more requests, with intervals.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import quality_measures as measures
from bench import quality_samples as samples
from bench.perturbations import PERTURBATIONS, enveloped
from bench.quality_measures import Pair
from bench.quality_samples import GENERAL, Sample
from bench.quality_subject import Subject
from predictor import load
from predictor.render import render

ROOT = Path(__file__).parent.parent
REQUESTS = samples.own()
KINDS = tuple(kind for kind in REQUESTS["kinds"] if kind != GENERAL)
EVERY_SECOND = samples.own_kinds(REQUESTS)[::2]  # 105 requests, for what needs many predictions
# What version 2.0.0 reached, with room for another processor's rounding.
HELD = {
    "right": {"reasoning": 0.9, "code_generation": 0.74, "debugging": 0.5, "tool_use": 0.86},
    "low chat": 0.86,
    "typos": 0.2,
    "no full stop": 0.18,
    "politeness": 0.18,
    "markdown": 0.18,
    "casing": 0.03,
    "other words": 0.27,
    "keywords": 0.16,
    "same model": 0.75,
    "worst language": 0.64,
    "gap": 0.15,
    "gap of a head": 0.2,
    "correlation": 0.35,
}


@pytest.fixture(scope="module")
def subject() -> Subject:
    return Subject(load())


@pytest.fixture(scope="module")
def translated(subject: Subject) -> dict[str, Any]:
    return measures.languages(subject, samples.own_parallel(REQUESTS))


def said(text: str) -> str:
    return render([{"role": "user", "content": text}])


def flips(subject: Subject, pairs: list[Pair]) -> float:
    """Share of pairs whose second text gets another model, in the pool's default mode."""
    assert len(pairs) >= 40
    return measures.flips(subject, pairs)["flips"][subject.modes[0]][0]


def strings(value: object) -> Iterator[str]:
    """Every string in a piece of JSON, as bare words in small letters."""
    if isinstance(value, str):
        yield " ".join(re.findall(r"\w+", value.lower()))
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def test_no_request_of_this_file_is_among_the_training_seeds() -> None:
    """If this fails, change the seed: a request that trains no longer measures anything."""
    seeds = json.loads((ROOT / "predictor" / "seeds.json").read_text(encoding="utf-8"))
    parts = ("kinds", "paraphrases", "parallel", "easy_long", "hard_short", "stuffing")
    texts = {text for part in parts for text in strings(REQUESTS[part]) if len(text) > 20}
    assert not texts & set(strings(seeds))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_no_perturbation_touches_fenced_code(name: str) -> None:
    text = "Why does this fail?\n\n```python\nvalue = Names[KEY]\n```"
    assert "value = Names[KEY]" in PERTURBATIONS[name](text, Random(0), "en")


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_of_what_is_needed_most_is_the_highest(subject: Subject, kind: str) -> None:
    found = measures.sense(subject, samples.own_kinds(REQUESTS))[kind]
    assert found["right"][0] >= HELD["right"][kind], f"instead: {found['instead']}"


def test_easy_chat_is_low_on_every_head(subject: Subject) -> None:
    found = measures.sense(subject, samples.own_kinds(REQUESTS))[GENERAL]
    assert found["right"][0] >= HELD["low chat"], f"instead: {found['instead']}"


@pytest.mark.parametrize("envelope", REQUESTS["envelopes"], ids=lambda e: e["name"])
def test_no_envelope_of_a_harness_changes_a_request(envelope: dict[str, str]) -> None:
    for sample in EVERY_SECOND:
        assert said(enveloped(sample.text, envelope)) == said(sample.text)


@given(st.text(max_size=300), st.sampled_from(REQUESTS["envelopes"][:8]))
@settings(max_examples=30, deadline=None)
def test_an_envelope_leaves_any_text_as_it_was(text: str, envelope: dict[str, str]) -> None:
    assert said(enveloped(text, envelope)) == said(text)


@given(st.text(max_size=300), st.text(" \t\r\n", max_size=9), st.text(" \t\r\n", max_size=9))
@settings(max_examples=30, deadline=None)
def test_white_space_around_any_text_changes_nothing(text: str, before: str, after: str) -> None:
    assert said(before + text + after) == said(text)


@pytest.mark.parametrize(
    ("name", "most"),
    [
        pytest.param("white space", 0.0, id="white space"),
        pytest.param("wrapped lines", 0.03, id="wrapped lines"),
        pytest.param("typos", HELD["typos"], id="typos"),
        pytest.param("lower case", HELD["casing"], id="lower case"),
        pytest.param("title case", HELD["casing"], id="title case"),
        pytest.param("upper case", HELD["casing"], id="upper case"),
        pytest.param("no full stop", HELD["no full stop"], id="no full stop"),
        pytest.param("politeness", HELD["politeness"], id="politeness"),
        pytest.param("markdown", HELD["markdown"], id="markup around it"),
    ],
)
def test_how_a_request_is_written_does_not_choose_the_model(
    subject: Subject, name: str, most: float
) -> None:
    assert flips(subject, measures.perturbed(EVERY_SECOND, name)) <= most


def test_other_words_for_the_same_request_get_the_same_model(subject: Subject) -> None:
    pairs = measures.paraphrased(samples.own_paraphrases(REQUESTS))
    assert flips(subject, pairs) <= HELD["other words"]


def test_keywords_around_small_talk_buy_no_dearer_model(subject: Subject) -> None:
    easy = [
        Sample(kind=GENERAL, source="own", language="en", text=text, task=text)
        for text in REQUESTS["stuffing"]
    ]
    found = measures.flips(subject, measures.keyword_stuffed(easy, REQUESTS["keywords"]))
    assert found["leaves_cheapest"][0] <= HELD["keywords"]


@pytest.mark.parametrize("size", measures.LONG_BYTES[1:2])
def test_a_long_text_does_not_make_an_easy_task_hard(subject: Subject, size: int) -> None:
    found = measures.easy_over_long(
        subject, REQUESTS["easy_long"], REQUESTS["long_texts"], size, texts_each=1
    )
    assert found["cheapest"][subject.modes[0]][0] >= 0.35


def test_a_short_text_does_not_make_a_hard_task_easy(subject: Subject) -> None:
    every = [text for texts in REQUESTS["hard_short"].values() for text in texts]
    found = measures.hard_and_short(subject, every)
    assert found["upper_half"][0] >= 0.6
    assert found["low"][0] <= 0.4


def test_a_translation_has_the_vector_of_the_english_text(translated: dict[str, Any]) -> None:
    assert translated["languages"] >= 20
    assert translated["gap"][0] <= HELD["gap"]
    assert all(gap[0] <= HELD["gap of a head"] for gap in translated["gap_by_head"].values())


def test_a_translation_gets_the_model_of_the_english_text(
    subject: Subject, translated: dict[str, Any]
) -> None:
    assert translated["same_model"][subject.modes[0]][0] >= HELD["same model"]
    assert min(translated["worst_same_model"].values()) >= HELD["worst language"]


@pytest.mark.parametrize("head", range(len(KINDS)), ids=KINDS)
def test_no_head_is_flat_in_another_language(translated: dict[str, Any], head: int) -> None:
    """A head that says the same of everything has no gap and no flips; it must not pass."""
    for language, row in translated["correlation"].items():
        assert row["heads"][head] >= HELD["correlation"], language
        assert 0.4 <= row["spread"][head] <= 1.6, language
