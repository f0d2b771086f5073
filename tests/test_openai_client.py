"""The real `openai` package against a running gateway: change `base_url` and nothing else."""

import openai
import pytest
from gateways import Gateway, StartGateway
from test_chat_completions import HELLO
from upstream_stub import UpstreamStub


def test_an_answer_and_its_decision(gateway: Gateway) -> None:
    completions = gateway.openai().chat.completions
    raw = completions.with_raw_response.create(model="auto:aggressive", messages=HELLO)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello from ok"
    assert answer.usage.prompt_tokens == 100
    assert answer.usage.prompt_tokens_details.cached_tokens == 40
    assert raw.headers["x-hydra-model"] == "small"


def test_a_stream(gateway: Gateway) -> None:
    stream = gateway.openai().chat.completions.create(
        model="auto:aggressive",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(texts) == "Hello from ok"
    assert chunks[-1].usage.completion_tokens == 20


def test_the_stream_helper(gateway: Gateway) -> None:
    client = gateway.openai()
    with client.chat.completions.stream(model="auto:aggressive", messages=HELLO) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Hello from ok"
    assert final.choices[0].finish_reason == "stop"


async def _ask(client: openai.AsyncOpenAI) -> str | None:
    async with client:
        answer = await client.chat.completions.create(model="auto:peak", messages=HELLO)
    return answer.choices[0].message.content


@pytest.mark.anyio
async def test_the_async_client(gateway: Gateway) -> None:
    client = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0)
    assert await _ask(client) == "Hello from ok-large"


def test_controls_through_extra_body_and_extra_headers(gateway: Gateway) -> None:
    completions = gateway.openai().chat.completions.with_raw_response
    chosen = completions.create(
        model="auto", messages=HELLO, extra_body={"hydra": {"mode": "aggressive"}}
    )
    assert chosen.headers["x-hydra-model"] == "small"
    chosen = completions.create(
        model="auto", messages=HELLO, extra_headers={"x-hydra-threshold": "0"}
    )
    assert chosen.headers["x-hydra-model"] == "large"


def test_explain_is_in_the_object_that_the_program_holds(gateway: Gateway) -> None:
    answer = gateway.openai().chat.completions.create(
        model="auto:aggressive", messages=HELLO, extra_body={"hydra": {"explain": True}}
    )
    assert answer.model_extra["hydra"]["chosen"] == "small"


def test_models_are_listed(gateway: Gateway) -> None:
    client = gateway.openai()
    names = [model.id for model in client.models.list()]
    assert names[:4] == ["auto", "auto:peak", "auto:iso", "auto:aggressive"]
    assert {"small", "large"} <= set(names)
    assert "keyless" not in names
    assert client.models.retrieve("auto:iso").id == "auto:iso"
    assert client.models.retrieve("small").owned_by == "hosted_vllm"


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("no-such-model", openai.NotFoundError),
        ("status-400", openai.BadRequestError),
        ("status-429", openai.RateLimitError),
        ("status-503", openai.InternalServerError),
        ("status-401", openai.InternalServerError),
    ],
)
def test_errors_are_the_clients_own_classes(
    gateway: Gateway, model: str, error: type[openai.APIStatusError]
) -> None:
    with pytest.raises(error) as caught:
        gateway.openai().chat.completions.create(model=model, messages=HELLO)
    assert caught.value.body["message"]


def test_a_wrong_key_is_an_authentication_error(
    start_gateway: StartGateway, upstream: UpstreamStub
) -> None:
    gateway = start_gateway(HYDRA_API_KEYS="alice=right")
    with pytest.raises(openai.AuthenticationError):
        gateway.openai("wrong").chat.completions.create(model="auto", messages=HELLO)
    answer = gateway.openai("right").chat.completions.create(model="auto:peak", messages=HELLO)
    assert answer.choices[0].message.content == "Hello from ok-large"
