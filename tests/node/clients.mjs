// Clients for Node against a running gateway: node clients.mjs GATEWAY CASE[=MODEL]
//
// Runs one case and prints one line of JSON with what the client saw; an error that the client
// threw is part of what it saw. What is right is decided in tests/test_node_clients.py.

import Anthropic from "@anthropic-ai/sdk";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, jsonSchema, Output, streamText, tool } from "ai";
import OpenAI from "openai";

globalThis.AI_SDK_LOG_WARNINGS = false; // stdout is for our line

const [gateway, name] = process.argv.slice(2);
const MODEL = "auto:aggressive";
const HELLO = [{ role: "user", content: "hello" }];
const SCHEMA = { type: "object", properties: { q: { type: "string" } }, required: ["q"] };
const FUNCTION = { name: "look_up", description: "look something up", parameters: SCHEMA };

let headers = new Headers(); // of the latest answer, whichever client asked
async function watchedFetch(...request) {
  const response = await fetch(...request);
  headers = response.headers;
  return response;
}

const apiKey = process.env.GATEWAY_KEY;
const baseURL = `${gateway}/v1`;
const openai = new OpenAI({ baseURL, apiKey, maxRetries: 0, fetch: watchedFetch });
const anthropic = new Anthropic({ baseURL: gateway, apiKey, maxRetries: 0, fetch: watchedFetch });
const vercel = createOpenAICompatible({
  name: "gateway",
  baseURL,
  apiKey,
  fetch: watchedFetch,
  includeUsage: true,
  supportsStructuredOutputs: true,
});

// --- openai: chat completions

const chat = (fields = {}) => ({ model: MODEL, messages: HELLO, ...fields });
const chatTools = { model: "tools", tools: [{ type: "function", function: FUNCTION }] };

async function openaiPlain() {
  const { choices, usage } = await openai.chat.completions.create(chat());
  return { text: choices[0].message.content, finish: choices[0].finish_reason, usage };
}

async function openaiStream() {
  const fields = { stream: true, stream_options: { include_usage: true } };
  const seen = { pieces: [] };
  for await (const chunk of await openai.chat.completions.create(chat(fields))) {
    for (const choice of chunk.choices) {
      if (choice.delta.content) seen.pieces.push(choice.delta.content);
      seen.finish = choice.finish_reason ?? seen.finish;
    }
    seen.usage = chunk.usage ?? seen.usage;
  }
  return seen;
}

async function openaiStreamHelper() {
  const final = await openai.chat.completions.stream(chat()).finalChatCompletion();
  return { text: final.choices[0].message.content, finish: final.choices[0].finish_reason };
}

async function openaiTools() {
  const answer = await openai.chat.completions.create(chat(chatTools));
  return openaiCalls(answer.choices[0]);
}

async function openaiStreamTools() {
  const final = await openai.chat.completions.stream(chat(chatTools)).finalChatCompletion();
  return openaiCalls(final.choices[0]);
}

function openaiCalls({ message, finish_reason: finish }) {
  const calls = message.tool_calls ?? [];
  const flat = calls.map((call) => [call.id, call.function.name, call.function.arguments]);
  return { finish, calls: flat };
}

async function openaiModels() {
  const names = [];
  for await (const model of openai.models.list()) names.push(model.id);
  return { names };
}

async function openaiAbort() {
  const leaving = new AbortController();
  const request = chat({ model: "hang-after-1", stream: true });
  const stream = await openai.chat.completions.create(request, { signal: leaving.signal });
  const seen = { pieces: [] };
  for await (const chunk of stream) {
    seen.pieces.push(chunk.choices[0].delta.content);
    leaving.abort();
  }
  return { ...seen, record: await closedRecord() };
}

// The gateway's record, once it closed it: this process still runs, so the abort did that.
async function closedRecord() {
  const url = `${gateway}/v1/decisions/${headers.get("x-hydra-decision-id")}`;
  for (let attempt = 0; attempt < 100; attempt++) {
    const answer = await fetch(url);
    const record = answer.ok ? await answer.json() : { status: "started" };
    if (record.status !== "started") return record;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return null;
}

// --- openai: responses

async function openaiResponses() {
  const answer = await openai.responses.create({ model: MODEL, input: "hello" });
  return { text: answer.output_text, status: answer.status, usage: answer.usage };
}

async function openaiResponsesStream() {
  const stream = await openai.responses.create({ model: MODEL, input: "hello", stream: true });
  const seen = { pieces: [], types: [] };
  for await (const event of stream) {
    seen.types.push(event.type);
    if (event.type === "response.output_text.delta") seen.pieces.push(event.delta);
    if (event.type === "response.completed") {
      seen.status = event.response.status;
      seen.usage = event.response.usage;
    }
  }
  return seen;
}

async function openaiResponsesStreamHelper() {
  const final = await openai.responses.stream({ model: MODEL, input: "hello" }).finalResponse();
  return { text: final.output_text, status: final.status };
}

const responseTools = {
  model: "tools",
  input: "hello",
  tools: [{ type: "function", strict: false, ...FUNCTION }],
};

async function openaiResponsesTools() {
  return responseCalls(await openai.responses.create(responseTools));
}

async function openaiResponsesStreamTools() {
  return responseCalls(await openai.responses.stream(responseTools).finalResponse());
}

function responseCalls({ output }) {
  const calls = output.filter((item) => item.type === "function_call");
  return { calls: calls.map((call) => [call.call_id, call.name, call.arguments]) };
}

// --- anthropic: messages

const message = (fields = {}) => ({ model: MODEL, max_tokens: 100, messages: HELLO, ...fields });
const messageTools = {
  model: "tools",
  tools: [{ name: FUNCTION.name, description: FUNCTION.description, input_schema: SCHEMA }],
};

function anthropicSeen({ role, content, stop_reason: stop, usage }) {
  const text = content.filter((block) => block.type === "text").map((block) => block.text);
  const calls = content.filter((block) => block.type === "tool_use");
  return {
    role,
    stop,
    usage,
    text: text.join(""),
    calls: calls.map((call) => [call.id, call.name, call.input]),
  };
}

async function anthropicPlain() {
  return anthropicSeen(await anthropic.messages.create(message()));
}

async function anthropicStream() {
  const seen = { pieces: [], types: [] };
  for await (const event of await anthropic.messages.create(message({ stream: true }))) {
    seen.types.push(event.type);
    if (event.type === "content_block_delta") seen.pieces.push(event.delta.text);
    if (event.type === "message_delta") seen.stop = event.delta.stop_reason;
  }
  return seen;
}

async function anthropicStreamHelper() {
  return anthropicSeen(await anthropic.messages.stream(message()).finalMessage());
}

async function anthropicTools() {
  return anthropicSeen(await anthropic.messages.create(message(messageTools)));
}

async function anthropicStreamTools() {
  return anthropicSeen(await anthropic.messages.stream(message(messageTools)).finalMessage());
}

async function anthropicAbort() {
  const request = message({ model: "hang-after-1", stream: true });
  const stream = await anthropic.messages.create(request);
  const seen = { pieces: [] };
  for await (const event of stream) {
    if (event.type !== "content_block_delta") continue;
    seen.pieces.push(event.delta.text);
    stream.controller.abort();
  }
  return { ...seen, record: await closedRecord() };
}

// --- ai, with @ai-sdk/openai-compatible

const prompt = (model = MODEL, fields = {}) => ({
  model: vercel.chatModel(model),
  prompt: "hello",
  maxRetries: 0,
  ...fields,
});
const lookUp = { description: FUNCTION.description, inputSchema: jsonSchema(SCHEMA) };
const promptTools = { tools: { look_up: tool(lookUp) } };
const vercelCalls = (calls) => calls.map((call) => [call.toolCallId, call.toolName, call.input]);

async function vercelPlain() {
  const answer = await generateText(prompt());
  const { inputTokens, outputTokens } = answer.usage;
  return { text: answer.text, finish: answer.finishReason, tokens: [inputTokens, outputTokens] };
}

async function vercelStream() {
  const answer = streamText(prompt(MODEL, { onError: rethrow }));
  const pieces = [];
  for await (const piece of answer.textStream) pieces.push(piece);
  const { inputTokens, outputTokens } = await answer.usage;
  return { pieces, finish: await answer.finishReason, tokens: [inputTokens, outputTokens] };
}

async function vercelTools() {
  const answer = await generateText(prompt("tools", promptTools));
  return { finish: answer.finishReason, calls: vercelCalls(answer.toolCalls) };
}

async function vercelToolLoop() {
  const answered = tool({ ...lookUp, execute: async ({ q }) => `found ${q}` });
  const fields = { tools: { look_up: answered }, stopWhen: isStepCount(2) };
  const { steps } = await generateText(prompt("tools", fields));
  return { results: steps.flatMap((step) => step.toolResults.map((result) => result.output)) };
}

async function vercelStreamTools() {
  const answer = streamText(prompt("tools", { ...promptTools, onError: rethrow }));
  await answer.consumeStream();
  return { finish: await answer.finishReason, calls: vercelCalls(await answer.toolCalls) };
}

async function vercelSchema() {
  const output = Output.object({ schema: jsonSchema(SCHEMA), name: "query" });
  return (await generateText(prompt("small", { output }))).output;
}

async function vercelAbort() {
  const leaving = new AbortController();
  const seen = { pieces: [] };
  const answer = streamText(prompt("hang-after-1", { abortSignal: leaving.signal }));
  for await (const piece of answer.textStream) {
    seen.pieces.push(piece);
    leaving.abort();
  }
  return { ...seen, record: await closedRecord() };
}

function rethrow({ error }) {
  throw error;
}

// --- errors

const failing = (model) => ({
  "openai-error": () => openai.chat.completions.create(chat({ model })),
  "openai-stream-error": () => openai.chat.completions.create(chat({ model, stream: true })),
  "openai-responses-error": () => openai.responses.create({ model, input: "hello" }),
  "anthropic-error": () => anthropic.messages.create(message({ model })),
  "anthropic-stream-error": () => anthropic.messages.create(message({ model, stream: true })),
  "vercel-error": () => generateText(prompt(model)),
});

function thrown(error) {
  return {
    thrown: error.constructor.name,
    message: error.message,
    status: error.status ?? error.statusCode,
    body: error.error ?? error.data?.error, // openai: the inner object; anthropic: the whole body
    retry_after: headers.get("retry-after"),
  };
}

const CASES = {
  "openai-plain": openaiPlain,
  "openai-stream": openaiStream,
  "openai-stream-helper": openaiStreamHelper,
  "openai-tools": openaiTools,
  "openai-stream-tools": openaiStreamTools,
  "openai-models": openaiModels,
  "openai-abort": openaiAbort,
  "openai-responses": openaiResponses,
  "openai-responses-stream": openaiResponsesStream,
  "openai-responses-stream-helper": openaiResponsesStreamHelper,
  "openai-responses-tools": openaiResponsesTools,
  "openai-responses-stream-tools": openaiResponsesStreamTools,
  "anthropic-plain": anthropicPlain,
  "anthropic-stream": anthropicStream,
  "anthropic-stream-helper": anthropicStreamHelper,
  "anthropic-tools": anthropicTools,
  "anthropic-stream-tools": anthropicStreamTools,
  "anthropic-abort": anthropicAbort,
  "vercel-plain": vercelPlain,
  "vercel-stream": vercelStream,
  "vercel-tools": vercelTools,
  "vercel-tool-loop": vercelToolLoop,
  "vercel-stream-tools": vercelStreamTools,
  "vercel-schema": vercelSchema,
  "vercel-abort": vercelAbort,
};

const [kind, model] = name.split("=");
const run = CASES[kind] ?? failing(model)[kind];
const seen = await run().catch(thrown);
const line = JSON.stringify({ ...seen, chosen: headers.get("x-hydra-model") });
process.stdout.write(`${line}\n`, () => process.exit(0)); // sockets kept alive would hold us
