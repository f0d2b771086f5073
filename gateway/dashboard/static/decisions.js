// The live tail: the stream says that something was logged, the page itself is then asked again, so
// that a row looks the same however it came.

const PAUSE_MS = 400; // several decisions at once are one question
const ROWS = 50;
const button = document.getElementById("tail");
const says = document.getElementById("tail-says");
let source = null;
let waiting = null;
let unread = 0;

function insert(page) {
  const body = document.getElementById("rows");
  const fresh = [...(page.getElementById("rows")?.rows ?? [])].filter((row) => !document.getElementById(row.id));
  if (body.closest("table").hidden && fresh.length) return location.reload(); // it was empty
  for (const row of body.rows) row.classList.remove("new");
  for (const row of fresh.reverse()) {
    row.classList.add("new");
    body.prepend(document.importNode(row, true));
  }
  while (body.rows.length > ROWS) body.rows[body.rows.length - 1].remove();
  unread += fresh.length;
  says.textContent = `${unread} new ${unread === 1 ? "decision" : "decisions"} since it was switched on`;
}

async function ask() {
  waiting = null;
  try {
    const answer = await fetch(location.href);
    if (answer.ok) insert(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    says.textContent = "The gateway does not answer; it is asked again.";
  }
}

function start() {
  const query = button.dataset.query;
  source = new EventSource("/v1/decisions/stream" + (query ? `?${query}` : ""));
  source.addEventListener("open", () => { says.textContent = "Waiting for decisions"; });
  source.addEventListener("decision", () => { waiting ??= setTimeout(ask, PAUSE_MS); });
  source.addEventListener("error", () => { says.textContent = "The connection was lost; trying again."; });
}

function stop() {
  source.close();
  source = null;
  clearTimeout(waiting);
  waiting = null;
  unread = 0;
  says.textContent = "";
}

if (button) {
  button.hidden = false;
  button.addEventListener("click", () => {
    source ? stop() : start();
    button.setAttribute("aria-pressed", String(source !== null));
  });
}
