// Draws the overview's chart from the table below it, which has every value as text.

const table = document.getElementById("series");
const canvas = document.getElementById("chart");
const dark = matchMedia("(prefers-color-scheme: dark)");
let chart = null;

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function values(column) {
  return [...table.tBodies[0].rows].map((row) => {
    const text = row.cells[column].dataset.value;
    return text === "" ? null : Number(text); // unknown is a gap, never a zero
  });
}

function dollars(value) {
  if (value === null) return "unknown";
  if (value === 0) return "$0";
  return "$" + (value >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(3))));
}

function datasets() {
  const found = [];
  for (const head of table.tHead.rows[0].cells) {
    const series = head.dataset.series;
    if (series === undefined) continue;
    const data = values(head.cellIndex);
    if (series === "baseline") {
      const text = colour("--text");
      found.unshift({
        type: "line", label: "baseline", data, borderColor: text, backgroundColor: text,
        borderWidth: 2, borderDash: [5, 4], pointRadius: 0, pointHitRadius: 8, stepped: "middle",
      });
    } else {
      found.push({
        type: "bar", label: head.textContent, data, backgroundColor: colour(`--s${series}`),
        borderColor: colour("--card"), borderWidth: { top: 1 }, stack: "spend", maxBarThickness: 48,
      });
    }
  }
  return found;
}

function draw() {
  chart?.destroy();
  const faint = colour("--faint");
  const ticks = { color: faint, font: { size: 11 }, maxRotation: 0, autoSkipPadding: 12 };
  chart = new Chart(canvas, {
    data: {
      labels: [...table.tBodies[0].rows].map((row) => row.cells[0].textContent),
      datasets: datasets(),
    },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { stacked: true, grid: { display: false }, border: { color: colour("--line") }, ticks },
        y: {
          beginAtZero: true, grid: { color: colour("--line") }, border: { display: false },
          ticks: { ...ticks, maxTicksLimit: 6, callback: dollars },
        },
      },
      plugins: {
        legend: { display: false }, // the page has one, as text
        tooltip: {
          filter: (item) => item.raw !== 0,
          callbacks: { label: (item) => ` ${item.dataset.label}: ${dollars(item.raw)}` },
        },
      },
    },
  });
  canvas.dataset.drawn = "true";
}

if (table && canvas && globalThis.Chart) {
  draw();
  dark.addEventListener("change", draw);
}
