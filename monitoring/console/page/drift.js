// Each feature now beside the reference, and how far it is from it in the detector's own measure.
import { byId, count, el, percent, say, table } from "./dom.js";
import { comparison } from "./charts.js";

const UNUSUAL = 0.75; // of the limit
let cards = new Map(), columns = [], together = {}, baseline = 0;

export function showReference(models) {
  if (JSON.stringify([models.columns, models.baseline]) === JSON.stringify([columns, baseline])) return;
  ({ columns, together, baseline } = models);
  cards = new Map();
  byId("drift-columns").replaceChildren(...columns.map((column) => card(column.name, column.title, column.unit, true)));
  byId("drift-together").replaceChildren(...Object.entries(together).map(([name, title]) => card(name, title, "", false)));
}

function card(name, title, unit, picture) {
  const parts = { chart: el("div", { class: "chart" }), fill: el("i", {}), text: el("p", { class: "note" }), state: el("span", { class: "state" }) };
  const element = el("li", { "data-column": name }, el("h4", {}, title, unit ? el("span", { class: "note" }, ` ${unit}`) : null, parts.state),
    picture ? parts.chart : null, el("div", { class: "gauge", "aria-hidden": "true" }, parts.fill), parts.text);
  cards.set(name, { ...parts, element });
  return element;
}

export function showDrift(drift) {
  const ready = drift !== null && drift.events > 0 && columns.length > 0;
  byId("drift-legend").hidden = byId("together-title").hidden = !ready;
  byId("drift-columns").hidden = byId("drift-together").hidden = !ready;
  if (!ready) { say("drift-note", "No events of this champion in the last minutes, or no reference to compare them with."); return; }
  const against = baseline ? `the hospital's own baseline ${baseline}` : "the patients that the champion was trained on";
  say("drift-note", `${count(drift.events, "event")} of the last ${drift.minutes} minutes beside ${against}. Workers count them in bins: no patient's values are here.`);
  for (const column of columns) {
    const { chart } = cards.get(column.name), seen = shares(drift.seen[column.name]);
    comparison(chart, { bins: column.bins, seen, expected: column.expected, rows: column.bins.every((bin) => !/^(up to|from) /.test(bin)) });
  }
  for (const [name, { fill, text, state, element }] of cards) {
    const rarity = drift.rarity[name], far = rarity === undefined || drift.limit === null ? 0 : Math.min(Math.max(rarity / drift.limit, 0), 1);
    fill.style.width = `${(far * 100).toFixed(1)}%`;
    element.dataset.far = far >= 1 ? "beyond" : far >= UNUSUAL ? "unusual" : "usual";
    state.textContent = far >= 1 ? "beyond the limit" : far >= UNUSUAL ? "unusual" : "";
    text.textContent = words(rarity, drift);
  }
  if (byId("drift-table").parentElement.open) byId("drift-table").replaceChildren(numbers(drift));
}

// The log of how many windows of the stream lie between two values as high by chance; the detector alarms at the limit.
function words(rarity, drift) {
  if (rarity === undefined || drift.limit === null) return "too few events yet";
  return rarity < 1 ? "as by chance" : `distance ${rarity.toFixed(1)}, limit ${drift.limit.toFixed(1)}`;
}

function shares(counts) {
  const sum = counts.reduce((total, each) => total + each, 0);
  return counts.map((each) => (sum ? each / sum : 0));
}

function numbers(drift) {
  const rows = columns.flatMap((column) => shares(drift.seen[column.name]).map((share, bin) =>
    [`${column.title}: ${column.bins[bin]}`, percent(column.expected[bin]), percent(share), bin ? "" : words(drift.rarity[column.name], drift)]));
  return table(`Shares of the bins, ${count(drift.events, "event")}`, ["Feature and bin", "Reference", "Now", "Distance"], rows);
}
