"""Short requests made of frames: what breaks, what to build, what to do for someone, plain facts.

Training only, standard library. Public sets show bugs beside their code, code as exercises and
tools in English; people write "our cron job hangs since the last deploy". The frames stand in
`seeds.json`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

TOOL_LEVELS = (0.34, 0.32, 0.42, 0.5, 0.42, 0.56)  # of the frames, in their order
_BUGS = 90  # made for each language
_TOOLS = 4  # names for each frame and language
_CODE = 4  # programming languages for each frame and item
_TASK_FRAMES = 6  # frames for each task
LOG_LEVEL, PLAIN_LEVEL = 0.44, 0.06

Made = tuple[str, float, str, str, bool]  # kind, level, language, text, whether it is held out


def made(content: Mapping[str, Any], rng: random.Random) -> Iterator[Made]:
    """All of them. One choice of each frame is held out, in all languages."""
    bugs = content["debug_frames"]
    things = bugs["things"]
    for language, parts in bugs["parts"].items():
        (frame,), owners, symptoms, moments, asks = parts
        for _ in range(_BUGS):
            place = rng.randrange(len(things))
            text = frame.format(
                c=rng.choice(owners).format(c=things[place]),
                s=rng.choice(symptoms),
                w=rng.choice(moments),
                a=rng.choice(asks),
            )
            yield "debugging", rng.choice(bugs["level"]), language, text.strip(), place % 8 == 5
    for language, frames in content["tool_frames"].items():
        for place, (frame, level) in enumerate(zip(frames, TOOL_LEVELS, strict=True)):
            for name in rng.sample(content["names"], _TOOLS):
                yield "tool_use", level, language, frame.format(n=name), place == 5
    for number, (frame, level, items) in enumerate(content["code_frames"]):
        for item in items:
            for x in rng.sample(content["programming_languages"], _CODE):
                text = frame.replace("{i}", item).replace("{f}", item).replace("{x}", x)
                yield "code_generation", level, "en", text, number % 8 == 5
    for number, (task, level) in enumerate(content["code_tasks"]):
        for frame in rng.sample(content["task_frames"], _TASK_FRAMES):
            text = frame.format(t=task, x=rng.choice(content["programming_languages"]))
            yield "code_generation", level, "en", text, number % 8 == 5
    for number, text in enumerate(content["log_lines"]):
        yield "debugging", LOG_LEVEL, "en", text, number % 8 == 5
    for number, text in enumerate(content["plain_questions"]):
        yield "general", PLAIN_LEVEL, "en", text, number % 8 == 5


def rephrased(content: Mapping[str, Any], rng: random.Random) -> tuple[str, float, str, str]:
    """One request in two wordings, perhaps in two languages: kind, level, and both texts.

    What is held out in `made` does not appear.
    """
    which = rng.randrange(4)
    x = rng.choice(content["programming_languages"])
    if which == 0:
        task, level = _training(content["code_tasks"], rng)
        first, second = (f.format(t=task, x=x) for f in rng.sample(content["task_frames"], 2))
        return "code_generation", level, first, second
    if which == 1:
        topic, level = _training(content["code_topics"], rng)
        templates = content["code_templates"]
        frames = [rng.choice(templates[each]) for each in rng.sample(sorted(templates), 2)]
        if rng.random() < 0.5:
            frames = rng.sample(templates["en"], 2)
        first, second = (f.replace("{topic}", topic).replace("{x}", x) for f in frames)
        return "code_generation", level, first, second
    if which == 2:
        place = rng.randrange(len(TOOL_LEVELS) - 1)  # the last is held out
        name = rng.choice(content["names"])
        languages = rng.sample(sorted(content["tool_frames"]), 2)
        if rng.random() < 0.6 and "en" not in languages:
            languages[0] = "en"
        first, second = (content["tool_frames"][each][place].format(n=name) for each in languages)
        return "tool_use", TOOL_LEVELS[place], first, second
    bugs = content["debug_frames"]
    (frame,), owners, symptoms, moments, asks = bugs["parts"][rng.choice(sorted(bugs["parts"]))]
    thing, symptom = _training(bugs["things"], rng), rng.choice(symptoms)
    first, second = (
        frame.format(
            c=rng.choice(owners).format(c=thing),
            s=symptom,
            w=rng.choice(moments),
            a=rng.choice(asks),
        ).strip()
        for _ in range(2)
    )
    return "debugging", 0.5, first, second


def _training(values: list[Any], rng: random.Random) -> Any:
    """One of those that are not held out."""
    return values[rng.choice([place for place in range(len(values)) if place % 8 != 5])]
