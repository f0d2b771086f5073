"""Turns OpenAI chat messages into the exact text the tokenizer sees, in training and in serving.

Pure standard library; never raises: a strange request is rendered as far as it can be read.
It does not score anything, and system or developer prompts never reach the text: they say
what the harness is, not what the user asks. The text is

    <|turn1|><|code|><|short|><|user|>current message<|intent|>first message<|reply|>last answer

seven signals first (Table 3 of arXiv 2605.17106: turn bin, error, file, URL, command, code, short),
then, all in small letters, the current user message, and, in a conversation, the original intent
and the last assistant turn before the current message. All signals are read from structure (fences,
paths, prompts, tracebacks), never from words of one language. Long messages keep head and tail,
because the question often stands at the end. Lengths are counted in UTF-8 bytes: about 4 a token in
every script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

# The turn bins: the first user message, the 2nd or 3rd, the 4th to 9th, later ones.
_TURNS = ((10, "<|turn10|>"), (4, "<|turn4|>"), (2, "<|turn2|>"), (0, "<|turn1|>"))
_ERROR, _FILE, _URL = "<|error|>", "<|file|>", "<|url|>"
_COMMAND, _CODE, _SHORT = "<|command|>", "<|code|>", "<|short|>"
_USER, _INTENT, _REPLY = "<|user|>", "<|intent|>", "<|reply|>"
# What stands for a middle that was left out, by the length of the whole message in UTF-8 bytes:
# inside a kind of work longer requests tend to be harder, and the encoder sees 2,000 bytes of them.
_CUTS = (
    (32_768, "<|cut32|>"),
    (16_384, "<|cut16|>"),
    (8_192, "<|cut8|>"),
    (4_096, "<|cut4|>"),
    (0, "<|cut|>"),
)

# Added tokens of the tokenizer, in the order of their ids. Appending is safe, reordering is not.
MARKERS = (
    *(marker for _, marker in reversed(_TURNS)),
    *(_ERROR, _FILE, _URL, _COMMAND, _CODE, _SHORT),
    *(_USER, _INTENT, _REPLY),
    *(marker for _, marker in reversed(_CUTS)),
)

# Budgets in UTF-8 bytes (head, tail). A lone message: 2,000 bytes are 465 tokens of English prose,
# and denser text is cut once more, by tokens, in `tokens.py`. In a conversation: 1,500 bytes.
_ALONE = (1300, 700)
_CURRENT = (600, 300)
_CONTEXT = (200, 100)  # each of intent and reply
_SHORT_BYTES = 64
_SCANNED = (16_384, 16_384)  # signals are looked for in this much of a message, so cost is bounded

# What harnesses wrap around or put into user messages (Copilot, Codex, Claude Code, Cursor, Cline).
_ENVELOPES = (
    "system-reminder|system_reminder|environment_context|environment_details|environment_info"
    "|user_instructions|instructions|attachments?|context|editor_?context|repo_?context"
    "|reminder_?instructions|reminder|workspace_info|workspace_context|project_layout|git_status"
    "|additional_data|open_and_recently_viewed_files|user_info|user_rules|rules|current_file"
    "|ide_selection|ide_opened_file|ide_state|command-name|command-message|command-args"
    "|local-command-stdout|local-command-caveat|permissions|collaboration_mode|skills_instructions"
    "|todo_list|cursor_rules|conversation-summary|conversation_summary|session_context"
    "|additional_metadata|user_settings_change|bash-input|bash-stdout|bash-stderr"
)
_TAG = re.compile(rf"<(/?)({_ENVELOPES})(?:\s[^<>]{{0,300}})?>", re.IGNORECASE)
# These hold the user's own words: the tags go, the words stay.
_WRAPPERS = re.compile(r"</?(?:user_?(?:query|request|message)|task|prompt)>", re.IGNORECASE)
# Codex in an editor: what is open there, then a heading before the user's own words.
_IDE_SETUP = re.compile(
    r"\A\s*# (?:Context from my IDE setup|Files mentioned by the user):\n"
    r".*?^## My request(?: for \w+)?:\n",
    re.MULTILINE | re.DOTALL,
)
_AGENTS_HEADING = re.compile(r"^#+ (?:AGENTS|CLAUDE|GEMINI)\.md\b[^\n]{0,300}$", re.MULTILINE)
_FORGED = re.compile(r"<\|(?=[a-z]{1,8}\d{0,2}\|>)")  # a marker that the user typed

# Each pattern starts at a boundary and is bounded, so that a scan is linear in the text.
_IS_ERROR = re.compile(
    r'^[ \t]+File "[^"\n]{1,300}", line \d+'  # Python
    r"|^[ \t]+at [^\n]{1,200}[:(]\d+|^[ \t]+at [\w.$<>]{3,200}\("  # JavaScript, Java, C#
    r"|(?<![\w.])[\w.]{0,80}[a-z](?:Error|Exception)\b"  # an exception's class name
    r"|\berror(?:\[\w{1,8}\]| [A-Z]{1,4}\d{2,5}):"  # rustc, tsc, csc
    r"|^[^\s:]{1,200}:\d+(?::\d+)?: "  # gcc, go vet, grep -n
    r"|^goroutine \d+ \["  # Go
    r"|\bpanicked at\b|\bcore dumped\b|\bSIG(?:SEGV|ABRT|KILL|TERM|BUS|FPE)\b"
    r"|\bE(?:NOENT|ACCES|CONNREFUSED|CONNRESET|ADDRINUSE|TIMEDOUT|PERM|RESOLVE)\b",
    re.MULTILINE,
)
_IS_FILE = re.compile(
    r"(?<![\w.~/\\-])(?:[A-Za-z]:)?[/\\~.]{0,3}(?:[\w.~-]{1,64}[/\\]){1,20}[\w-]{1,64}\.\w{1,6}\b"
    r"|(?<![\w.-])[\w-]{1,64}\.(?:py|ipynb|js|jsx|ts|tsx|go|rs|java|kt|c|h|cc|cpp|hpp|cs|rb|php|sh"
    r"|sql|html|css|json|ya?ml|toml|xml|md|txt|csv|log|ini|cfg|swift|scala|lua|dart|vue|tf|lock)\b"
)
_IS_URL = re.compile(r"https?://\S|\bwww\.\w")
_IS_COMMAND = re.compile(
    r"^[ \t]*(?:\$|PS [A-Z]:\\[^>\n]{0,80}>|[\w.-]{1,32}@[\w.-]{1,64}:[^\s$#]{0,80}[$#]) \S"
    r"|(?<!\S)--[a-z][a-z0-9-]{1,40}\b",
    re.MULTILINE,
)
_IS_CODE_LINE = re.compile(
    r"[;{}][ \t]*$"
    r"|^[ \t]*(?:def|class|import|from|fn|func|function|public|private|static|const|let|var|return"
    r"|#include|using|package|SELECT|for|while|if)\b[^\n]{0,200}[;:{()\]>]",
    re.MULTILINE,
)
_CODE_LINES = 2  # one such line may be prose


def render(messages: Sequence[Mapping[str, object]]) -> str:
    """The text of a request. Messages are OpenAI chat messages; anything else is skipped.

    >>> render([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}])
    '<|turn1|><|short|><|user|>hello'
    """
    users: list[str] = []
    reply = pending_reply = ""
    for message in _mappings(messages):
        role = message.get("role")
        if role in ("system", "developer", "tool", "function"):
            continue
        text = _text_of(message.get("content"))
        if role == "assistant":
            pending_reply = text.strip() or pending_reply
        elif text := _without_envelopes(text):  # an empty one holds an envelope or tool results
            users.append(text)
            reply = pending_reply
    if not users:
        return _flags("", 1) + _USER
    head = _flags(users[-1], len(users)) + _USER
    # in small letters: a shouted request, or one without capitals, asks for the same
    current, first, reply = users[-1].lower(), users[0].lower(), reply.lower()
    if len(users) == 1 and not reply:
        return head + _clip(current, *_ALONE)
    parts = [head, _clip(current, *_CURRENT)]
    if len(users) > 1:
        parts += [_INTENT, _clip(first, *_CONTEXT)]
    if reply:
        parts += [_REPLY, _clip(reply, *_CONTEXT)]
    return "".join(parts)


def _mappings(messages: object) -> Iterator[Mapping[str, object]]:
    if isinstance(messages, Iterable):
        yield from (message for message in messages if isinstance(message, Mapping))


def _text_of(content: object) -> str:
    """The text of a message's content: a string, or the text parts of a list without images."""
    if isinstance(content, str):
        parts = [content]
    elif isinstance(content, Iterable) and not isinstance(content, Mapping | bytes):
        parts = []
        for part in content:
            if isinstance(part, str):
                parts.append(part)
            elif isinstance(part, Mapping) and part.get("type") in _TEXT_PARTS:
                text = part.get("text")
                parts.append(text if isinstance(text, str) else "")
    else:
        return ""
    text = "\n".join(part for part in parts if part)
    # JSON may carry lone surrogates, which no tokenizer takes
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _FORGED.sub("< |", text)


_TEXT_PARTS = ("text", "input_text", "output_text", None)


def _without_envelopes(text: str) -> str:
    """`text` without the blocks that harnesses add, trimmed. One pass, linear in the text."""
    text = _IDE_SETUP.sub("", text)
    if "<" not in text:
        return _AGENTS_HEADING.sub("", text).strip() if "AGENTS.md" in text else text.strip()
    tags = list(_TAG.finditer(text))
    last_close = {tag[2].lower(): tag.start() for tag in tags if tag[1]}
    kept: list[str] = []
    position, inside = 0, ""
    for tag in tags:
        name = tag[2].lower()
        if inside:
            if tag[1] and name == inside:
                position, inside = tag.end(), ""
        elif not tag[1] and last_close.get(name, -1) > tag.start():
            kept.append(text[position : tag.start()])
            inside = name
    kept.append(text[position:])
    return _AGENTS_HEADING.sub("", _WRAPPERS.sub("", "".join(kept))).strip()


def _flags(text: str, turns: int) -> str:
    """The seven signals of the current message as markers, the turn bin first."""
    scanned = _clip(text, *_SCANNED)
    signals = (
        (_ERROR, bool(_IS_ERROR.search(scanned))),
        (_FILE, bool(_IS_FILE.search(scanned))),
        (_URL, bool(_IS_URL.search(scanned))),
        (_COMMAND, bool(_IS_COMMAND.search(scanned))),
        (_CODE, _looks_like_code(scanned)),
        (_SHORT, len(text) <= _SHORT_BYTES and len(text.encode()) <= _SHORT_BYTES),
    )
    turn = next(marker for least, marker in _TURNS if turns >= least)
    return turn + "".join(marker for marker, present in signals if present)


def _looks_like_code(text: str) -> bool:
    return "```" in text or len(list(islice(_IS_CODE_LINE.finditer(text), _CODE_LINES))) > 1


def _clip(text: str, head: int, tail: int) -> str:
    """At most `head` + `tail` UTF-8 bytes of `text`, whole characters, the middle left out."""
    if len(text) * 4 <= head + tail:
        return text
    data = text.encode()
    if len(data) <= head + tail:
        return text
    cut = next(marker for least, marker in _CUTS if len(data) >= least)
    return data[:head].decode(errors="ignore") + cut + data[-tail:].decode(errors="ignore")
