// Asks POST /v1/route what it would decide, as any client may, and the page how that is drawn.

const PAUSE_MS = 200; // after the last change
const form = document.getElementById("try");
const prompt = document.getElementById("prompt");
const pool = document.getElementById("pool");
const slider = document.getElementById("threshold");
const threshold = document.getElementById("threshold-says");
const answer = document.getElementById("answer");
const says = document.getElementById("says");
let waiting = null;
let running = null;

function post(address, body, signal) {
  return fetch(address, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), signal,
  });
}

function question() {
  const knob = form.elements.knob.value;
  const hydra = knob === "threshold" ? { threshold: Number(slider.value) } : { mode: knob };
  if (pool) hydra.pool = pool.value;
  return { model: "auto", messages: [{ role: "user", content: prompt.value }], hydra };
}

function show(nodes, words) {
  answer.replaceChildren(...nodes);
  answer.removeAttribute("aria-busy");
  says.textContent = words;
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  const text = document.createElement("p");
  text.className = "card error";
  text.textContent = body?.error?.message ?? `The gateway answered ${response.status}.`;
  show([text], text.textContent);
}

async function ask() {
  running?.abort();
  running = new AbortController();
  if (!prompt.value.trim()) return show([], "");
  answer.setAttribute("aria-busy", "true");
  try {
    const decided = await post("/v1/route", question(), running.signal);
    if (!decided.ok) return await refusal(decided);
    const drawn = await post("/dashboard/drawn", await decided.json(), running.signal);
    if (!drawn.ok) return await refusal(drawn);
    const part = new DOMParser().parseFromString(await drawn.text(), "text/html");
    show([...part.body.children], part.getElementById("sentence").textContent);
  } catch (error) {
    if (error.name !== "AbortError") show([], "The gateway does not answer.");
  }
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(ask, PAUSE_MS);
}

slider.addEventListener("input", () => {
  threshold.textContent = Number(slider.value).toFixed(3);
  form.elements.knob.value = "threshold"; // who moves it means it
});
form.addEventListener("input", later);
form.addEventListener("submit", (event) => event.preventDefault());
ask();
