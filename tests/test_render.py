"""The text of a request: what is kept, what is stripped, which signals it carries."""

import time
from collections.abc import Mapping, Sequence

import pytest

from predictor.render import MARKERS, render

Messages = list[dict[str, object]]


def user(text: object) -> dict[str, object]:
    return {"role": "user", "content": text}


def said(text: str) -> str:
    """What a lone message becomes after its signals."""
    return render([user(text)]).partition("<|user|>")[2]


def signals(text: str) -> set[str]:
    return set(render([user(text)]).partition("<|user|>")[0].strip("<|>").split("|><|"))


def test_a_lone_message_is_its_signals_and_its_text() -> None:
    assert render([user("hello")]) == "<|turn1|><|short|><|user|>hello"


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_of_the_harness_are_never_scored(role: str) -> None:
    plain = render([user("hello")])
    assert render([{"role": role, "content": "Prove the theorem. " * 500}, user("hello")]) == plain
    assert render([user("hello"), {"role": role, "content": "You are an expert."}]) == plain


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(
            "<system-reminder>be careful\n</system-reminder>\nhello", id="reminder before"
        ),
        pytest.param("hello <system-reminder>a</system-reminder>", id="reminder after"),
        pytest.param(
            "<environment_context>\n  <cwd>/src</cwd>\n</environment_context>\n\nhello",
            id="Codex environment",
        ),
        pytest.param(
            "# AGENTS.md instructions for /src\n\n<INSTRUCTIONS>\nrun\n</INSTRUCTIONS>\nhello",
            id="AGENTS.md block",
        ),
        pytest.param("<user_instructions>x</user_instructions>hello", id="user instructions"),
        pytest.param(
            '<attachments>\n<attachment id="a.py">\ndef f(): pass\n</attachment>\n</attachments>\n'
            "<context>\nThe date is today.\n</context>\n<userRequest>\nhello\n</userRequest>",
            id="Copilot",
        ),
        pytest.param(
            "<environment_details>\n# Tabs\na.py\n</environment_details><task>hello</task>",
            id="Cline",
        ),
        pytest.param(
            "<additional_data><current_file>a.py</current_file></additional_data>"
            "<user_query>hello</user_query>",
            id="Cursor",
        ),
        pytest.param("<SYSTEM-REMINDER>x</System-Reminder>hello", id="in capitals"),
    ],
)
def test_an_envelope_around_hello_leaves_hello(message: str) -> None:
    assert render([user(message)]) == render([user("hello")])


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("What does <context> mean in my XML?", id="a tag that is never closed"),
        pytest.param("Close it with </context>, please", id="a closing tag alone"),
        pytest.param("if a < b and c > d: print(a)", id="comparisons"),
        pytest.param("<div>hello</div>", id="HTML"),
    ],
)
def test_text_that_only_resembles_an_envelope_is_kept(text: str) -> None:
    assert said(text) == text.lower()


def test_messages_that_hold_only_an_envelope_are_not_turns() -> None:
    messages = [
        user("<environment_context><cwd>/src</cwd></environment_context>"),
        user("fix the build"),
    ]
    assert render(messages) == render([user("fix the build")])


def test_in_a_tool_loop_the_last_user_message_stays_current() -> None:
    asked: Messages = [user("read the file and fix it")]
    loop: Messages = [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        {"role": "tool", "tool_call_id": "1", "content": "Traceback (most recent call last)"},
        {"role": "assistant", "content": "I see."},
        user([{"type": "tool_result", "tool_use_id": "2", "content": "ok"}]),
    ]
    assert render(asked + loop) == render(asked)


def test_a_conversation_carries_the_original_intent_and_the_last_answer() -> None:
    text = render(
        [
            user("write a parser"),
            {"role": "assistant", "content": "first answer"},
            user("faster"),
            {"role": "assistant", "content": "second answer"},
            user("and shorter"),
        ]
    )
    assert text == (
        "<|turn2|><|short|><|user|>and shorter<|intent|>write a parser<|reply|>second answer"
    )


@pytest.mark.parametrize(
    ("turns", "marker"),
    [(1, "turn1"), (2, "turn2"), (3, "turn2"), (4, "turn4"), (9, "turn4"), (10, "turn10")],
)
def test_user_messages_are_counted_in_bins(turns: int, marker: str) -> None:
    assert render([user("next")] * turns).startswith(f"<|{marker}|>")


@pytest.mark.parametrize(
    ("text", "signal"),
    [
        pytest.param('  File "a.py", line 3, in f\nKeyError: 1', "error", id="Python traceback"),
        pytest.param("あ\n    at foo (bar.js:3:4)", "error", id="JavaScript stack in Japanese"),
        pytest.param("java.lang.NullPointerException", "error", id="exception's name"),
        pytest.param("error[E0382]: borrow of moved value", "error", id="rustc"),
        pytest.param("main.c:12:3: undeclared", "error", id="compiler position"),
        pytest.param("sieh dir src/app/main.py an", "file", id="path"),
        pytest.param("见 config.yaml", "file", id="bare file name"),
        pytest.param(r"C:\Users\me\notes.txt", "file", id="Windows path"),
        pytest.param("résume https://example.org/a", "url", id="URL"),
        pytest.param("$ make test", "command", id="shell prompt"),
        pytest.param("me@host:~$ ls -la", "command", id="shell prompt with host"),
        pytest.param("pip install x --upgrade", "command", id="long option"),
        pytest.param("```\nx\n```", "code", id="fence"),
        pytest.param("int a = 1;\nint b = 2;", "code", id="statements"),
        pytest.param("ok", "short", id="short"),
    ],
)
def test_signals_are_read_from_structure(text: str, signal: str) -> None:
    assert signal in signals(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("There was an error in the file, run the code on the web.", id="English"),
        pytest.param(
            "Es gab einen Fehler in der Datei; führe den Befehl im Netz aus.", id="German"
        ),
        pytest.param("Wait; really", id="one line that ends like code"),
    ],
)
def test_words_alone_raise_no_signal(text: str) -> None:
    assert signals(text) - {"turn1", "short"} == set()


def test_markers_that_a_user_types_are_defused() -> None:
    for marker in MARKERS:
        assert marker not in said(f"ignore this {marker} please")


def test_a_long_message_keeps_its_head_and_its_tail() -> None:
    text = said("head " + "filler " * 5000 + "tail?")
    assert text.startswith("head")
    assert text.endswith("tail?")
    assert len(text.encode()) <= 2010


@pytest.mark.parametrize(
    ("kilobytes", "marker"),
    [(3, "<|cut|>"), (5, "<|cut4|>"), (9, "<|cut8|>"), (20, "<|cut16|>"), (40, "<|cut32|>")],
)
def test_what_was_cut_says_how_long_the_message_was(kilobytes: int, marker: str) -> None:
    assert marker in said("x" * kilobytes * 1024)


def test_casing_changes_nothing_but_signals_of_structure() -> None:
    assert said("WRITE A Haiku About Rain") == said("write a haiku about rain")


def test_a_cut_never_splits_a_character() -> None:
    assert "\ufffd" not in said("a" + "水" * 5000)


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([], id="no messages"),
        pytest.param([{}], id="empty message"),
        pytest.param([{"role": "user"}], id="no content"),
        pytest.param([{"role": "user", "content": None}], id="null content"),
        pytest.param([{"role": "user", "content": 5}], id="number"),
        pytest.param([{"role": "user", "content": {"text": "x"}}], id="object"),
        pytest.param([{"role": "user", "content": [1, None, {"type": "text"}]}], id="odd parts"),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": 3}]}], id="odd text"),
        pytest.param([{"role": 3, "content": "x"}], id="odd role"),
        pytest.param([{"content": "x"}], id="no role"),
        pytest.param([{"role": "user", "content": "\ud800"}], id="lone surrogate"),
        pytest.param([None, 3, "x"], id="no objects"),
        pytest.param(None, id="nothing"),
        pytest.param([{"role": "system", "content": "x"}], id="system prompt alone"),
        pytest.param([{"role": "assistant", "content": "x"}], id="answer alone"),
    ],
)
def test_odd_input_still_gives_a_text(messages: Sequence[Mapping[str, object]]) -> None:
    text = render(messages)
    assert text.startswith("<|turn1|>")
    text.encode()


def test_text_parts_are_joined_and_images_skipped() -> None:
    parts = [
        {"type": "text", "text": "what is"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_text", "text": "this?"},
    ]
    assert render([user(parts)]) == render([user("what is\nthis?")])


@pytest.mark.parametrize(
    "piece",
    ["<context>", "<task ", "a/", "error[", "-- ", "    at ", "a:1:", "w.", "x", "{ ", "\n"],
)
def test_cost_is_linear_in_hostile_text(piece: str) -> None:
    hostile = piece * (2_000_000 // len(piece))
    start = time.perf_counter()
    render([user(hostile)])
    assert time.perf_counter() - start < 2  # 0.2 s on a busy core; a quadratic scan takes minutes
