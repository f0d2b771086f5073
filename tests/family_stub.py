"""Three families of models, each server as strict as the real one: OpenAI, Claude, an open one.

Every one answers a user with tool calls (two at once in every other turn) and their results with
text. Claude and the open model think before; Claude signs what it thought. No id comes twice.
"""

import itertools
import json
from typing import Any

from other_wires_stub import SIGNATURE, chat_problem, messages_problem, responses_problem
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]

LONG_ID = "call_7f__thought__" + "CiQB4/2Kb+" * 20 + "="  # as Gemini's come out of litellm
_CLAUDES_USAGE = {"input_tokens": 60, "output_tokens": 20, "cache_read_input_tokens": 30}
_CHAT_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


class Families:
    """The app, and what each family got: bodies by `openai`, `responses`, `claude`, `open`."""

    def __init__(self) -> None:
        self.got: dict[str, list[Json]] = {}
        self._numbers = itertools.count(1)
        self.app = Starlette(
            routes=[
                Route("/openai/v1/chat/completions", self._openai, methods=["POST"]),
                Route("/openai/v1/responses", self._responses, methods=["POST"]),
                Route("/claude/v1/messages", self._claude, methods=["POST"]),
                Route("/open/v1/chat/completions", self._open, methods=["POST"]),
            ]
        )

    def reset(self) -> None:
        self.got = {"openai": [], "responses": [], "claude": [], "open": []}

    async def _openai(self, request: Request) -> Response:
        body = await self._kept(request, "openai")
        return _refused(chat_problem(body)) or _chat(self._message(body, "call_{}"))

    async def _open(self, request: Request) -> Response:
        message = self._message(await self._kept(request, "open"), LONG_ID + "{}")
        return _chat({**message, "reasoning_content": "Let me see."})

    async def _claude(self, request: Request) -> Response:
        body = await self._kept(request, "claude")
        refused = _refused(messages_problem(body))
        if refused is not None:
            return refused
        last = body["messages"][-1]["content"]
        is_over = any(block["type"] == "tool_result" for block in last if isinstance(block, dict))
        content: list[Json] = [{"type": "text", "text": "It is done." if is_over else "I look."}]
        if (body.get("thinking") or {}).get("type") == "enabled":
            thought = {"type": "thinking", "thinking": "Let me see.", "signature": SIGNATURE}
            content.insert(0, thought)
        for name in () if is_over else self._ids("toolu_{}"):
            call = {"type": "tool_use", "id": name, "name": "look_up", "input": {"q": "x"}}
            content.append(call)
        head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
        reason = {"stop_reason": "end_turn" if is_over else "tool_use", "stop_sequence": None}
        return JSONResponse({**head, **reason, "content": content, "usage": _CLAUDES_USAGE})

    async def _responses(self, request: Request) -> Response:
        body = await self._kept(request, "responses")
        refused = _refused(responses_problem(body))
        if refused is not None:
            return refused
        text = {"type": "output_text", "text": "It is done.", "annotations": []}
        said = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
        thought = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
        output: list[Json] = [thought, {**said, "content": [text]}]
        if body["input"][-1].get("type") != "function_call_output":
            call = {"type": "function_call", "name": "look_up", "arguments": '{"q": "x"}'}
            ids = self._ids("call_{}")
            output = [thought, *({**call, "id": f"fc_{each}", "call_id": each} for each in ids)]
        head = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed"}
        settings = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": body["tools"]}
        usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
        answer = {**head, **settings, "model": body["model"], "output": output, "usage": usage}
        return JSONResponse(answer)

    async def _kept(self, request: Request, family: str) -> Json:
        body: Json = await request.json()
        self.got[family].append(body)
        return body

    def _message(self, body: Json, form: str) -> Json:
        if body["messages"][-1]["role"] == "tool":
            return {"role": "assistant", "content": "It is done."}
        function = {"name": "look_up", "arguments": json.dumps({"q": "x"})}
        calls = [{"id": n, "type": "function", "function": function} for n in self._ids(form)]
        return {"role": "assistant", "content": None, "tool_calls": calls}

    def _ids(self, form: str) -> list[str]:
        first = next(self._numbers)
        return [form.format(f"{first}_{n}") for n in range(1 + first % 2)]


def _chat(message: Json) -> Response:
    reason = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    return JSONResponse({**head, "choices": [choice], "usage": _CHAT_USAGE})


def _refused(problem: str | None) -> Response | None:
    if problem is None:
        return None
    error = {"message": problem, "type": "invalid_request_error"}
    return JSONResponse({"type": "error", "error": error}, status_code=400)
