"""Server-sent events: whatever the network does to the bytes, the events are the same."""

import time
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sse import DONE, DONE_DATA, KEEP_ALIVE, Event, Splitter, event


def split(pieces: Iterable[bytes]) -> list[Event]:
    """The events of a whole stream that came in these pieces."""
    splitter = Splitter()
    found = [each for piece in pieces for each in splitter.feed(piece)]
    return found + splitter.end()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    ends = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(ends)]


PLACES = st.lists(st.integers(min_value=0), max_size=40)
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
DATA = st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])).map(str.encode)
NAMES = st.none() | st.text(st.characters(categories=["L", "N"]), max_size=9).map(str.encode)
EVENTS = st.lists(st.builds(Event, NAMES, DATA), max_size=6)


@given(EVENTS, PLACES, LINE_ENDS)
def test_any_cutting_of_the_bytes_gives_the_same_events(
    events: list[Event], places: list[int], line_end: bytes
) -> None:
    stream = b"".join(each.encoded() for each in events).replace(b"\n", line_end)
    assert split(cut(stream, places)) == events


@given(st.lists(st.sampled_from([*b"\r\n:da t"]), max_size=30).map(bytes), PLACES)
def test_any_cutting_of_any_bytes_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    splitter = Splitter()
    whole = splitter.feed(stream)
    in_pieces = Splitter()
    assert [each for piece in cut(stream, places) for each in in_pieces.feed(piece)] == whole
    assert in_pieces.end() == splitter.end()


@given(EVENTS, PLACES)
def test_comments_ids_and_empty_lines_are_no_events(events: list[Event], places: list[int]) -> None:
    noise = (KEEP_ALIVE, b"\n\n", b"id: 7\nretry: 10\n\n", b": OPENROUTER PROCESSING\n\n", b":\n\n")
    stream = b"".join(noise[n % 5] + each.encoded() for n, each in enumerate(events))
    assert split(cut(stream + KEEP_ALIVE, places)) == events


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        pytest.param(b"data: 1\n\n", Event(None, b"1"), id="plain"),
        pytest.param(b"data:1\n\n", Event(None, b"1"), id="without a space"),
        pytest.param(b"data:  1\n\n", Event(None, b" 1"), id="only one space belongs to the field"),
        pytest.param(b"data\n\n", Event(None, b""), id="a field without a colon is empty"),
        pytest.param(b"data: a\ndata: b\n\n", Event(None, b"a\nb"), id="data of two lines"),
        pytest.param(b"data: a: b\n\n", Event(None, b"a: b"), id="a colon in the data"),
        pytest.param(b"event: x\ndata: 1\n\n", Event(b"x", b"1"), id="with a name"),
        pytest.param(b"data: 1\nevent: x\n\n", Event(b"x", b"1"), id="with a name after it"),
        pytest.param(b"id: 3\nevent: x\ndata: 1\n\n", Event(b"x", b"1"), id="with an id"),
        pytest.param(b": hi\ndata: 1\n\n", Event(None, b"1"), id="after a comment"),
        pytest.param(b"\n\n\ndata: 1\n\n\n\n", Event(None, b"1"), id="among empty lines"),
        pytest.param(b"event: x\r\ndata: 1\r\n\r\n", Event(b"x", b"1"), id="CRLF"),
        pytest.param(b"event: x\rdata: 1\r\r", Event(b"x", b"1"), id="CR"),
        pytest.param(b"event: x\r\ndata: 1\n\r\n", Event(b"x", b"1"), id="line ends mixed"),
        pytest.param(b"\xef\xbb\xbfdata: 1\n\n", Event(None, b"1"), id="after a byte order mark"),
        pytest.param(b"data: 1", Event(None, b"1"), id="no line end at all"),
        pytest.param(b"data: 1\r", Event(None, b"1"), id="half a line end"),
        pytest.param(b"data: 1\n", Event(None, b"1"), id="no blank line"),
        pytest.param(b"data: [DONE]", Event(None, DONE_DATA), id="the end without a blank line"),
    ],
)
def test_one_event(stream: bytes, found: Event) -> None:
    assert split([stream]) == [found]
    assert split(bytes([byte]) for byte in stream) == [found]


def test_a_carriage_return_ends_an_event_at_once() -> None:
    """What may still follow is a line feed, and that would change nothing."""
    splitter = Splitter()
    assert splitter.feed(b"data: 1\r\n\r") == [Event(None, b"1")]
    assert splitter.feed(b"") == []
    assert splitter.feed(b"\ndata: 2\n\n") == [Event(None, b"2")]


@pytest.mark.parametrize("half", [b'data: {"a": "b', b"data: [DON", b"event: ping", b": hello"])
def test_half_an_event_at_the_end_is_none(half: bytes) -> None:
    """A client would stumble over it before it reads the error that follows."""
    assert split([b"data: 1\n\n", half]) == [Event(None, b"1")]


def test_characters_cut_in_their_middle_come_whole() -> None:
    text = "día ≠ 日 🙂"
    stream = event({"text": text})
    assert split(bytes([byte]) for byte in stream) == split([stream])
    assert text.encode() in split([stream])[0].data


def test_an_event_of_megabytes_takes_no_longer_for_coming_in_many_pieces() -> None:
    """8 MiB in pieces of 1 KiB, each searched once."""
    big = b"x" * (8 << 20)
    stream = b"data: " + big + b"\n\n"
    started = time.monotonic()
    (found,) = split(stream[at : at + 1024] for at in range(0, len(stream), 1024))
    assert found.data == big
    assert time.monotonic() - started < 5


@given(NAMES, DATA)
def test_an_event_written_is_read_as_it_was(name: bytes | None, data: bytes) -> None:
    assert split([Event(name, data).encoded()]) in ([Event(name, data)], [])
    assert Splitter().feed(Event(name, data).encoded()) == [Event(name, data)]


@given(st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=4))
def test_any_body_is_one_event_of_one_line(body: dict) -> None:
    (found,) = Splitter().feed(event(body, "x"))
    assert found.name == b"x"
    assert b"\n" not in found.data


def test_a_lone_surrogate_is_replaced() -> None:
    assert event({"a": "\ud800"}) == b'data: {"a":"?"}\n\n'


def test_the_done_event_is_one() -> None:
    assert split([DONE]) == [Event(None, DONE_DATA)]
