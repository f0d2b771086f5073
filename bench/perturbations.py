"""The same request said differently: typos, casing, politeness, white space, markup, keywords.

For measuring only. Training shows its texts said differently too (predictor/perturb.py), with the
same kinds of edits, since people make no others; phrases, keywords and the typos' positions and
keys are this file's own. Code stays as it is: only lines that read like prose are edited. Each
function takes (text, generator, language) and may return the text unchanged where it has nothing
to do; `language` matters to politeness alone.
"""
# ruff: noqa: RUF001 - phrases in many scripts

import re
import textwrap
import unicodedata
from collections.abc import Callable, Iterator
from itertools import groupby
from random import Random

Perturbation = Callable[[str, Random, str], str]

WORDS_PER_TYPO = 8
_LETTERS_PER_WORD = 2  # in scripts without spaces
_MIN_LETTERS = 4  # shorter words are left alone
_UNSPACED = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")  # Thai, Lao, kana, Han
_IS_CODE_LINE = re.compile(
    r"^(?:\t|  )|[{}\\]|^[ -~]*;\s*$|^[\w.]+\(|^[\w.\[\]]+ ==? |=>|^\S*(?:Error|Exception)\b"
    r"|^Traceback|^\S+\.\w+:\d+|^\$ "
)
_IDENTIFIER_EDGE = "_`/\\@$<(#0123456789"
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")

# What people say around a request: (before, after).
_POLITE: dict[str, tuple[tuple[str, str], ...]] = {
    "en": (
        ("If you can spare a minute: ", ""),
        ("A colleague said that you are good at this sort of thing. ", " Much obliged."),
        ("", " No rush at all, whenever it suits you."),
        ("Yo 🙂 ", " you're a star"),
        ("", " With kind regards, Marlene"),
    ),
    "de": (("Guten Morgen, ich hätte eine Frage. ", " Das wäre sehr nett von dir."),),
    "fr": (("Salut, désolé de te déranger. ", " Ce serait très gentil."),),
    "es": (("Buenas tardes, perdona la molestia. ", " Te lo agradecería mucho."),),
    "pt": (("Boa tarde, desculpe o incômodo. ", " Ficaria muito grato."),),
    "it": (("Buongiorno, scusa il disturbo. ", " Te ne sarei molto grato."),),
    "nl": (("Goedemiddag, sorry dat ik stoor. ", " Dat zou heel fijn zijn."),),
    "pl": (("Dzień dobry, przepraszam za kłopot. ", " Byłbym bardzo wdzięczny."),),
    "cs": (("Dobrý den, promiňte, že ruším. ", " Byl bych moc vděčný."),),
    "sv": (("Hej, förlåt att jag stör. ", " Jag vore mycket tacksam."),),
    "ru": (("Добрый день, извините за беспокойство. ", " Буду очень признателен."),),
    "uk": (("Добрий день, вибачте за турботу. ", " Буду дуже вдячний."),),
    "tr": (("İyi günler, rahatsız ettiğim için özür dilerim. ", " Çok makbule geçer."),),
    "el": (("Καλησπέρα, συγγνώμη για την ενόχληση. ", " Θα το εκτιμούσα πολύ."),),
    "ar": (("مساء الخير، آسف على الإزعاج. ", " سأكون ممتنا لك."),),
    "he": (("צהריים טובים, סליחה על ההפרעה. ", " אודה לך מאוד."),),
    "fa": (("روز بخیر، ببخشید که مزاحم شدم. ", " خیلی ممنون می‌شوم."),),
    "hi": (("नमस्कार, तकलीफ़ के लिए माफ़ी चाहता हूँ। ", " मैं आपका आभारी रहूँगा।"),),
    "bn": (("শুভ অপরাহ্ন, বিরক্ত করার জন্য দুঃখিত। ", " আমি খুব কৃতজ্ঞ থাকব।"),),
    "th": (("สวัสดีตอนบ่าย ขอโทษที่รบกวน ", " จะขอบคุณมาก"),),
    "vi": (("Chào bạn, xin lỗi đã làm phiền. ", " Tôi sẽ rất biết ơn."),),
    "id": (("Selamat siang, maaf mengganggu. ", " Saya akan sangat berterima kasih."),),
    "zh": (("下午好，不好意思打扰一下。", "非常感激！"),),
    "ja": (("すみません、ちょっとお願いがあります。", "助かります。"),),
    "ko": (("안녕하세요, 번거롭게 해 드려 죄송합니다. ", " 도와주시면 감사하겠습니다."),),
}


def typos(text: str, rng: Random, _: str = "en") -> str:
    """An edit in about every eighth word, at least one: swapped, dropped, doubled, wrong key.

    >>> typos("Please restart the server", Random(1))
    'Pleasse restart the server'
    """
    pieces = [piece for line, prose in _lines(text) for piece in _pieces(line, prose)]
    open_to_typos = [place for place, (_, editable) in enumerate(pieces) if editable]
    if not open_to_typos:
        return text
    count = max(1, round(len(open_to_typos) / WORDS_PER_TYPO))
    chosen = set(rng.sample(open_to_typos, count))
    return "".join(
        _edited(piece, rng) if place in chosen else piece for place, (piece, _) in enumerate(pieces)
    )


def lower(text: str, _: Random, __: str = "en") -> str:
    return _prose(text, str.lower)


def title(text: str, _: Random, __: str = "en") -> str:
    return _prose(text, lambda line: " ".join(w[:1].upper() + w[1:] for w in line.split(" ")))


def upper(text: str, _: Random, __: str = "en") -> str:
    return _prose(text, str.upper)


def unpunctuated(text: str, _: Random, __: str = "en") -> str:
    """No full stop or question mark at the end, as people type into a chat box."""
    return text.rstrip().rstrip(".?!。？！؟।")


def politeness(text: str, rng: Random, language: str = "en") -> str:
    """A phrase before, after or both, in the request's language; unchanged where we know none."""
    if language not in _POLITE:
        return text
    before, after = rng.choice(_POLITE[language])
    return before + text + after


def white_space(text: str, rng: Random, _: str = "en") -> str:
    """Blanks and line ends that no reader sees, outside and inside the text."""
    return rng.choice(
        (
            f"\n\n  {text}\n\n\n",
            text.replace("\n", "\r\n") + "\r\n",
            "\n".join(f"{line}  " for line in text.split("\n")),
            text.replace("\n\n", "\n\n\n\n") + " \t ",
        )
    )


def wrapped(text: str, _: Random, __: str = "en") -> str:
    """Prose broken into lines of 60 characters, as in a mail."""
    return _prose(text, lambda line: textwrap.fill(line, 60, break_long_words=False))


def markdown(text: str, rng: Random, _: str = "en") -> str:
    """Markup around the whole request that asks for nothing."""
    quoted = "\n".join(f"> {line}" for line in text.split("\n"))
    first, *rest = text.split("\n")
    bold = "\n".join([f"**{first}**", *rest])
    return rng.choice((quoted, bold, f"- {text}", f"1. {text}", f"---\n{text}\n---", f"“{text}”"))


PERTURBATIONS: dict[str, Perturbation] = {
    "typos": typos,
    "lower case": lower,
    "title case": title,
    "upper case": upper,
    "no full stop": unpunctuated,
    "politeness": politeness,
    "white space": white_space,
    "wrapped lines": wrapped,
    "markdown": markdown,
}


def enveloped(text: str, envelope: dict[str, str]) -> str:
    """`text` as a harness sends it; envelopes are {"name", "before", "after"}."""
    return envelope["before"] + text + envelope["after"]


def stuffed(text: str, keywords: str, rng: Random) -> str:
    """Words that sound like work before or after a request that stays what it is."""
    return f"{keywords} {text}" if rng.random() < 0.5 else f"{text} {keywords}"


def long_text(instruction: str, passages: list[str], size: int, rng: Random) -> str:
    """`instruction` before or after at least `size` UTF-8 bytes of passages, in random order."""
    body: list[str] = []
    while len("\n\n".join(body).encode()) < size:
        body += rng.sample(passages, len(passages)) if size > 4000 else [rng.choice(passages)]
    parts = [instruction, *body] if rng.random() < 0.5 else [*body, instruction]
    return "\n\n".join(parts)


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """The lines with their ends, and whether each is prose: outside fences, no code in it."""
    fenced = False
    for line in text.splitlines(keepends=True):
        if line.lstrip("> ").startswith("```"):
            fenced = not fenced
            yield line, False
        else:
            yield line, not fenced and not _IS_CODE_LINE.search(line)


def _prose(text: str, change: Callable[[str], str]) -> str:
    """`change` done to each line of prose, its line end kept."""
    changed = []
    for line, prose in _lines(text):
        bare = line.rstrip("\r\n")
        changed.append(change(bare) + line[len(bare) :] if prose else line)
    return "".join(changed)


def _is_letter(character: str) -> bool:
    return character.isalpha() or unicodedata.category(character)[0] == "M"


def _pieces(line: str, prose: bool) -> Iterator[tuple[str, bool]]:
    """Runs of letters and of other characters, and whether a typo may fall into them."""
    runs = ["".join(run) for _, run in groupby(line, _is_letter)]
    for place, run in enumerate(runs):
        before = runs[place - 1][-1:] if place else ""
        after = runs[place + 1][:1] if place + 1 < len(runs) else ""
        free = prose and _is_letter(run[0])
        free = free and not {before, after} & set(_IDENTIFIER_EDGE)
        if free and _UNSPACED.search(run):
            yield from ((run[i : i + 2], True) for i in range(0, len(run), _LETTERS_PER_WORD))
        else:
            yield run, free and len(run) >= _MIN_LETTERS


def _edited(word: str, rng: Random) -> str:
    at = rng.randrange(max(1, len(word) - 1))
    return rng.choice(
        (
            word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[: at + 1] + word[at:],
            word[:at] + _neighbour(word[at], rng) + word[at + 1 :],
        )
    )


def _neighbour(letter: str, rng: Random) -> str:
    """A key beside the letter's on an English keyboard; the letter twice for other scripts."""
    for row in _KEYS:
        at = row.find(letter.lower())
        if at >= 0:
            return rng.choice([row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)])
    return letter * 2
