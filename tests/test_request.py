"""Reading a chat body: what routing takes from it, what passes on, how a wrong one is refused."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import protocols
from gateway.errors import InvalidRequest, NotFound
from gateway.request import Controls, ModelRequest, parse

HELLO = [{"role": "user", "content": "hello"}]
LARGEST = 2**31 - 1


def chat(headers: Mapping[str, str] | None = None, **fields: object) -> ModelRequest:
    """A request of `auto` and one message, with `fields` over it."""
    body = {"model": "auto", "messages": HELLO, **fields}
    return parse(json.dumps(body).encode(), headers or {})


def with_parts(*parts: object) -> ModelRequest:
    return chat(messages=[{"role": "user", "content": list(parts)}])


def raw_with(field: bytes) -> bytes:
    return b'{"model": "auto", "messages": [{"role": "user", "content": "hello"}], ' + field + b"}"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        pytest.param(b"", "the body is empty: send a JSON object", id="nothing"),
        pytest.param(
            b"model=auto",
            "the body is not valid JSON: Expecting value: line 1 column 1 (char 0)",
            id="a form",
        ),
        pytest.param(b"[]", "the body must be a JSON object, not an array", id="an array"),
        pytest.param(b'"auto"', "the body must be a JSON object, not a string", id="a string"),
        pytest.param(b"12", "the body must be a JSON object, not a number", id="a number"),
        pytest.param(b"true", "the body must be a JSON object, not a boolean", id="a boolean"),
        pytest.param(b"null", "the body must be a JSON object, not null", id="null"),
        pytest.param(
            raw_with(b'"temperature": NaN'),
            "the body is not valid JSON: NaN is not a JSON number",
            id="NaN",
        ),
        pytest.param(
            raw_with(b'"temperature": 1e999'),
            "the body is not valid JSON: 1e999 is too large a number",
            id="a number beyond all floats",
        ),
        pytest.param(
            raw_with(b'"user": "\\ud83d"'),
            "the body holds half of a surrogate pair: text cut in a character",
            id="half a surrogate pair, escaped",
        ),
        pytest.param(
            raw_with(b'"\\udc00": 1'),
            "the body holds half of a surrogate pair: text cut in a character",
            id="half a surrogate pair in a name",
        ),
        pytest.param(
            raw_with(b'"user": "\xed\xa0\xbd"'),
            "the body is not valid JSON: 'utf-8' codec can't decode byte 0xed in position 79:"
            " invalid continuation byte",
            id="half a surrogate pair, as bytes",
        ),
        pytest.param(
            raw_with(b'"tools": ' + b"[" * 128 + b"]" * 128),
            "the body is nested deeper than 128 levels",
            id="nested deeper than anything can copy",
        ),
        pytest.param(
            raw_with(b'"tools": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
            "the body is nested deeper than 128 levels",
            id="nested deeper than anything can read",
        ),
    ],
)
def test_a_body_that_is_no_chat_request_at_all(raw: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(raw, {})
    assert (caught.value.message, caught.value.param) == (message, None)


def test_a_number_of_more_digits_than_python_reads_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="not valid JSON: Exceeds the limit"):
        parse(raw_with(b'"seed": ' + b"9" * 5000), {})


def test_a_byte_order_mark_is_no_mistake() -> None:
    assert parse(b"\xef\xbb\xbf" + raw_with(b'"n": 1'), {}).is_routed


def test_tool_schemas_may_nest_deeply() -> None:
    schema: object = {}
    for _ in range(100):
        schema = {"properties": schema}
    assert chat(tools=[schema]).demands.features == {"tools"}


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        pytest.param(
            {"model": model},
            "model",
            "'model' must be a non-empty string: 'auto', 'auto:<mode>' or a profile's name",
            id=f"model {model!r}",
        )
        for model in (None, "", 3, ["auto"])
    ]
    + [
        pytest.param(
            {"model": "m" * 257}, "model", "'model' must have at most 256 characters", id="a novel"
        ),
        pytest.param(
            {"model": "auto:turbo"},
            "model",
            "unknown mode 'turbo' in model 'auto:turbo':"
            " use one of 'auto:peak', 'auto:iso', 'auto:aggressive'",
            id="unknown mode in the model",
        ),
    ]
    + [
        pytest.param(
            {"messages": messages},
            "messages",
            "'messages' must be a non-empty array of messages",
            id=f"messages {messages!r}",
        )
        for messages in (None, [], {}, "hello")
    ]
    + [
        pytest.param(
            {"messages": [*HELLO, "hello"]},
            "messages[1]",
            "'messages[1]' must be an object, not a string",
            id="a message that is a string",
        ),
        pytest.param(
            {"messages": [{"content": "hello"}]},
            "messages[0].role",
            "'messages[0].role' must be a string",
            id="no role",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": 7}]},
            "messages[0].content",
            "'messages[0].content' must be a string, an array of parts or null, not a number",
            id="content that is a number",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": {"type": "text"}}]},
            "messages[0].content",
            "'messages[0].content' must be a string, an array of parts or null, not an object",
            id="one part without its array",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "text"}, None]}]},
            "messages[0].content[1]",
            "'messages[0].content[1]' must be an object, not null",
            id="a part that is null",
        ),
        pytest.param(
            {"stream": "yes"}, "stream", "'stream' must be true or false", id="stream in words"
        ),
        pytest.param({"stream": 1}, "stream", "'stream' must be true or false", id="stream 1"),
        pytest.param(
            {"stream_options": True},
            "stream_options",
            "'stream_options' must be an object",
            id="stream options that are none",
        ),
    ]
    + [
        pytest.param(
            {name: value},
            name,
            f"'{name}' must be an integer from 1 to {LARGEST}, got {shown}",
            id=f"{name} {str(value)[:20]}",
        )
        for name, value, shown in (
            ("n", 0, "0"),
            ("n", -1, "-1"),
            ("n", 1.0, "1.0"),
            ("n", True, "true"),
            ("n", "2", '"2"'),
            ("n", [2], "[2]"),
            ("n", 10**4000, "1" + "0" * 59 + "..."),
            ("max_tokens", 2**31, "2147483648"),
            ("max_tokens", 0.5, "0.5"),
            ("max_completion_tokens", False, "false"),
        )
    ]
    + [
        pytest.param({"hydra": []}, "hydra", "'hydra' must be an object", id="hydra a list"),
        pytest.param(
            {"hydra": {"treshold": 1}},
            "hydra.treshold",
            "unknown field 'hydra.treshold':"
            " known are threshold, mode, pool, session, tags, explain",
            id="a misspelt control",
        ),
        pytest.param(
            {"hydra": {"mode": "turbo"}},
            "hydra.mode",
            "'hydra.mode' must be one of peak, iso, aggressive, got \"turbo\"",
            id="an unknown mode",
        ),
        pytest.param(
            {"hydra": {"mode": ["iso"]}},
            "hydra.mode",
            "'hydra.mode' must be one of peak, iso, aggressive, got [\"iso\"]",
            id="a mode in a list",
        ),
        pytest.param(
            {"hydra": {"pool": 1}},
            "hydra.pool",
            "'hydra.pool' must be a string of at most 256 printable characters",
            id="pool 1",
        ),
        pytest.param(
            {"hydra": {"session": "s" * 257}},
            "hydra.session",
            "'hydra.session' must be a string of at most 256 printable characters",
            id="a session beyond measure",
        ),
        pytest.param(
            {"hydra": {"tags": ["a\nb"]}},
            "hydra.tags",
            "'hydra.tags' must be a string of at most 256 printable characters",
            id="a tag with a line break",
        ),
        pytest.param(
            {"hydra": {"tags": [str(number) for number in range(17)]}},
            "hydra.tags",
            "'hydra.tags' must be at most 16 tags, got 17",
            id="too many tags",
        ),
        pytest.param(
            {"hydra": {"session": {}}},
            "hydra.session",
            "'hydra.session' must be a string of at most 256 printable characters",
            id="session that is an object",
        ),
        pytest.param(
            {"hydra": {"tags": ["a", 1]}},
            "hydra.tags",
            "'hydra.tags' must be an array of strings",
            id="a tag that is a number",
        ),
        pytest.param(
            {"hydra": {"tags": {"a": "b"}}},
            "hydra.tags",
            "'hydra.tags' must be an array of strings",
            id="tags that are an object",
        ),
        pytest.param(
            {"hydra": {"explain": 1}},
            "hydra.explain",
            "'hydra.explain' must be true or false",
            id="explain 1",
        ),
    ]
    + [
        pytest.param(
            {"hydra": {"threshold": value}},
            "hydra.threshold",
            f"'hydra.threshold' must be a number >= 0, got {shown}",
            id=f"threshold {str(value)[:20]}",
        )
        for value, shown in (
            (-0.1, "-0.1"),
            (True, "true"),
            ("low", '"low"'),
            ("nan", '"nan"'),
            ([0.2], "[0.2]"),
            (10**400, "1" + "0" * 59 + "..."),
        )
    ],
)
def test_a_wrong_parameter_is_named(fields: dict[str, object], param: str, message: str) -> None:
    with pytest.raises((InvalidRequest, NotFound)) as caught:
        chat(**fields)
    assert (caught.value.message, caught.value.param) == (message, param)


def test_a_wrong_header_is_named() -> None:
    with pytest.raises(InvalidRequest, match="'x-hydra-threshold' must be a number >= 0") as caught:
        chat({"x-hydra-threshold": "inf"})
    assert caught.value.param == "x-hydra-threshold"
    with pytest.raises(InvalidRequest, match="'x-hydra-mode' must be one of peak"):
        chat({"x-hydra-mode": "turbo"})


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({name: None}, id=name)
        for name in (
            *("hydra", "n", "max_tokens", "max_completion_tokens", "stream", "stream_options"),
            *("tools", "functions", "response_format", "logprobs", "modalities"),
        )
    ],
)
def test_null_is_the_same_as_left_out(fields: dict[str, object]) -> None:
    found, plain = chat(**fields), chat()
    assert (found.demands, found.controls) == (plain.demands, plain.controls)
    assert (found.stream, found.wants_usage) == (False, False)


@pytest.mark.parametrize(
    ("model", "base", "mode"),
    [
        pytest.param("auto", "auto", None, id="auto"),
        pytest.param("auto:peak", "auto", "peak", id="a mode"),
        pytest.param("automatic", "automatic", None, id="a name that begins so"),
        pytest.param("qwen3:8b", "qwen3:8b", None, id="a name with a colon"),
        pytest.param("AUTO", "AUTO", None, id="names are exact"),
    ],
)
def test_the_model_says_who_chooses(model: str, base: str, mode: str | None) -> None:
    found = chat(model=model)
    assert (found.model, found.controls.mode) == (base, mode)
    assert found.is_routed is (base == "auto")


@pytest.mark.parametrize(
    ("headers", "hydra", "threshold", "mode"),
    [
        pytest.param({}, None, None, "peak", id="the suffix alone"),
        pytest.param({}, {"mode": "iso"}, None, "iso", id="the body hides the suffix"),
        pytest.param({}, {"threshold": 0.5}, 0.5, None, id="a threshold in the body, too"),
        pytest.param(
            {"x-hydra-mode": "aggressive"},
            {"mode": "iso", "threshold": 0.5},
            None,
            "aggressive",
            id="a header hides both of the body",
        ),
        pytest.param(
            {"x-hydra-threshold": "0.3"}, {"mode": "iso"}, 0.3, None, id="a threshold header"
        ),
        pytest.param(
            {"x-hydra-threshold": "0", "x-hydra-mode": "iso"},
            None,
            0.0,
            None,
            id="beside a mode the threshold is the more exact",
        ),
        pytest.param({"x-hydra-mode": ""}, {"mode": "iso"}, None, "iso", id="an empty header"),
        pytest.param({}, {"threshold": "0.25"}, 0.25, None, id="a threshold in quotes"),
    ],
)
def test_headers_come_before_the_body_and_the_body_before_the_suffix(
    headers: dict[str, str], hydra: object, threshold: float | None, mode: str | None
) -> None:
    controls = chat(headers, model="auto:peak", hydra=hydra).controls
    assert (controls.threshold, controls.mode) == (threshold, mode)


def test_the_other_controls_come_from_headers_then_from_the_body() -> None:
    body = {"pool": "cheap", "session": "s1", "tags": ["a", " b ", "a", ""], "explain": True}
    assert chat(hydra=body).controls == Controls(
        pool="cheap", session="s1", tags=("a", "b"), explain=True
    )
    headers = {"x-hydra-pool": "dear", "x-hydra-session": "s2", "x-hydra-tags": " c ,, d,c"}
    assert chat(headers, hydra=body).controls == Controls(
        pool="dear", session="s2", tags=("c", "d"), explain=True
    )
    assert chat(hydra={"tags": "a, b"}).controls.tags == ("a", "b")


def test_hydra_is_taken_out_of_the_body_and_everything_else_stays() -> None:
    fields = {"hydra": {"mode": "iso"}, "model": "auto:peak", "seed": 7, "x_vendor": {"a": [1]}}
    assert chat(**fields).body == {
        "model": "auto:peak",
        "messages": HELLO,
        "seed": 7,
        "x_vendor": {"a": [1]},
    }


@pytest.mark.parametrize(
    ("fields", "features"),
    [
        pytest.param({}, set(), id="plain text"),
        pytest.param({"tools": [{"type": "function"}]}, {"tools"}, id="tools"),
        pytest.param({"functions": [{"name": "f"}]}, {"tools"}, id="functions, as they once were"),
        pytest.param({"tools": []}, set(), id="no tool in the list"),
        pytest.param(
            {"response_format": {"type": "json_schema"}}, {"json_schema"}, id="a JSON schema"
        ),
        pytest.param({"response_format": {"type": "json_object"}}, set(), id="any JSON"),
        pytest.param({"response_format": "json_schema"}, set(), id="a format that is no object"),
        pytest.param({"logprobs": True}, {"logprobs"}, id="logprobs"),
        pytest.param({"logprobs": False}, set(), id="no logprobs"),
        pytest.param({"n": 2}, {"n"}, id="two choices"),
        pytest.param({"n": 1}, set(), id="one choice"),
        pytest.param({"modalities": ["text", "audio"]}, {"audio"}, id="a spoken answer"),
        pytest.param({"modalities": [["audio"], {}]}, set(), id="modalities that are none"),
    ],
)
def test_features_that_the_parameters_demand(fields: dict[str, object], features: set[str]) -> None:
    assert chat(**fields).demands.features == features


@pytest.mark.parametrize(
    ("part", "features"),
    [
        pytest.param({"type": "text", "text": "hi"}, set(), id="text"),
        pytest.param({"type": "image_url", "image_url": {"url": "u"}}, {"vision"}, id="image_url"),
        pytest.param({"type": "input_audio", "input_audio": {}}, {"audio"}, id="input_audio"),
        pytest.param({"type": "file", "file": {}}, {"file"}, id="file"),
        pytest.param({"type": "hologram"}, set(), id="a type from the future"),
        pytest.param({"text": "hi"}, set(), id="no type"),
        pytest.param({}, set(), id="nothing"),
        pytest.param({"type": ["image_url"]}, set(), id="a type that is a list"),
        pytest.param({"type": "text", "text": 7}, set(), id="text that is a number"),
    ],
)
def test_features_that_the_parts_demand(part: dict[str, object], features: set[str]) -> None:
    assert with_parts(part).demands.features == features


def test_an_image_counts_tokens_whatever_the_length_of_its_data() -> None:
    short, long = (
        with_parts({"type": "image_url", "image_url": {"url": "data:" + "A" * size}})
        for size in (10, 1_000_000)
    )
    assert short.demands.prompt_tokens == long.demands.prompt_tokens > 500


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        # The tokenizer of gpt-4o counts 906 and 1,700.
        pytest.param("The cheapest model that is good enough answers. " * 100, 800, 1300, id="en"),
        pytest.param("十分に賢い中で一番安いモデルが答えます。" * 100, 1100, 1900, id="ja"),
        pytest.param("", 0, 10, id="nothing"),
    ],
)
def test_prompt_tokens_are_about_right(text: str, low: int, high: int) -> None:
    found = chat(messages=[{"role": "user", "content": text}])
    assert low <= found.demands.prompt_tokens <= high
    assert found.prompt_chars == len(text)


def test_tools_and_tool_calls_are_part_of_the_prompt() -> None:
    plain = chat().demands.prompt_tokens
    tools = [{"type": "function", "function": {"name": "f", "description": "d" * 400}}]
    assert chat(tools=tools).demands.prompt_tokens > plain + 100
    call = {"role": "assistant", "content": None, "tool_calls": [{"arguments": "a" * 400}]}
    assert chat(messages=[*HELLO, call]).demands.prompt_tokens > plain + 100


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        pytest.param({}, None, id="neither"),
        pytest.param({"max_tokens": 5}, 5, id="the old name"),
        pytest.param({"max_completion_tokens": 6}, 6, id="the new name"),
        pytest.param({"max_tokens": 5, "max_completion_tokens": 6}, 6, id="the new name wins"),
        pytest.param({"max_tokens": 5, "max_completion_tokens": None}, 5, id="null says nothing"),
    ],
)
def test_the_output_limit(fields: dict[str, object], limit: int | None) -> None:
    assert chat(**fields).demands.max_output_tokens == limit


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        pytest.param({"include_usage": True}, True, id="asked for"),
        pytest.param({"include_usage": False}, False, id="declined"),
        pytest.param({}, False, id="not asked for"),
    ],
)
def test_who_asks_for_the_usage_chunk(options: dict[str, object], wanted: bool) -> None:
    found = chat(stream=True, stream_options=options)
    assert (found.stream, found.wants_usage) == (True, wanted)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters(), max_size=8),
    st.sampled_from(["auto", "auto:iso", "user", "image_url", "text", "json_schema", "iso"]),
)
names = st.one_of(
    st.text(max_size=6),
    st.sampled_from(["role", "content", "type", "text", "tool_calls", "include_usage", "audio"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.one_of(st.just("user"), scalars)},
        optional={"content": values, "tool_calls": values},
    ),
    max_size=3,
)
controls = st.fixed_dictionaries(
    {},
    optional={
        name: values for name in ("threshold", "mode", "pool", "session", "tags", "explain", "x")
    },
)
bodies = st.fixed_dictionaries(
    {"model": st.one_of(st.just("auto"), scalars), "messages": st.one_of(messages, values)},
    optional={
        "hydra": st.one_of(controls, values),
        **{
            name: values
            for name in (
                *("stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools"),
                *("functions", "response_format", "logprobs", "modalities", "unknown"),
            )
        },
    },
)
headers = st.dictionaries(
    st.sampled_from([f"x-hydra-{name}" for name in ("threshold", "mode", "pool", "tags")]),
    st.text(max_size=6),
)


@given(bodies, headers)
def test_any_json_is_read_or_refused_and_what_is_read_can_be_sent(
    body: dict[str, object], given_headers: dict[str, str]
) -> None:
    raw = json.dumps(body).encode()
    try:
        found = parse(raw, given_headers)
    except (InvalidRequest, NotFound) as exc:
        json.dumps(exc.message)
    else:
        json.dumps(found.body, allow_nan=False, ensure_ascii=False).encode()
        assert "hydra" not in found.body
        assert found.demands.prompt_tokens > 0


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(raw, {})


@pytest.mark.parametrize(
    ("fields", "session"),
    [
        ({"metadata": {"session_id": "m"}, "prompt_cache_key": "k"}, "m"),
        ({"prompt_cache_key": "k"}, "k"),
        ({"previous_response_id": "p"}, "p"),
        ({"prompt_cache_key": "k", "hydra": {"session": "h"}}, "h"),
        ({"prompt_cache_key": "line\nbreak"}, None),
        ({"metadata": "odd"}, None),
        ({}, None),
    ],
)
def test_a_clients_own_conversation_id_is_the_session(fields: dict, session: str | None) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "x"}], **fields}
    assert parse(json.dumps(body).encode(), {}).controls.session == session


@pytest.mark.parametrize(
    ("protocol", "fields", "user"),
    [
        (protocols.CHAT, {"user": "mary"}, "mary"),
        (protocols.CHAT, {"safety_identifier": "mary"}, "mary"),
        (protocols.CHAT, {"user": "mary", "safety_identifier": "other"}, "mary"),
        (protocols.CHAT, {"user": "u" * 256}, "u" * 256),
        (protocols.CHAT, {"user": "u" * 257, "safety_identifier": "s"}, "s"),
        (protocols.CHAT, {"user": "line\nbreak"}, None),
        (protocols.CHAT, {"user": ""}, None),
        (protocols.CHAT, {"user": {"odd": 1}}, None),
        (protocols.CHAT, {}, None),
        (protocols.RESPONSES, {"input": "hi", "user": "mary"}, "mary"),
        (protocols.RESPONSES, {"input": "hi", "safety_identifier": "mary"}, "mary"),
        (protocols.MESSAGES, {"max_tokens": 5, "metadata": {"user_id": "mary"}}, "mary"),
        (protocols.MESSAGES, {"max_tokens": 5}, None),
    ],
)
def test_the_end_user_is_what_the_protocols_own_field_says(
    protocol: protocols.ClientProtocol, fields: dict, user: str | None
) -> None:
    body = {"model": "auto", "messages": HELLO, **fields}
    assert parse(json.dumps(body).encode(), {}, protocol).user == user
