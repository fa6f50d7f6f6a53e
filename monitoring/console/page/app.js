// Follows the server's events and says when it cannot.
import * as alerts from "./alerts.js";
import { lineChart, riskChart } from "./charts.js";
import { byId, clock, count, duration, el, latency, number, percent, say, table } from "./dom.js";
import { showDrift, showReference } from "./drift.js";
import { showModels } from "./models.js";

const STALE_MS = 5000, AGAIN_MS = 2000;
let source = null, heard = 0, last = null;

function connect() {
  source?.close();
  heard = heard || Date.now();
  source = new EventSource("/events");
  const on = (name, call) => source.addEventListener(name, (event) => { heard = Date.now(); call(JSON.parse(event.data)); });
  on("models", (models) => { showModels(models); showReference(models); });
  on("alerts", (all) => alerts.showAll(all, Date.now()));
  on("new", (some) => alerts.showNew(some, Date.now()));
  on("tick", (tick) => { last = tick; show(tick); });
  source.addEventListener("error", () => source.readyState === EventSource.CLOSED && setTimeout(comeBack, AGAIN_MS));
}

// A closed source was answered with something else: a login, or a server that is not up yet.
async function comeBack() {
  const answer = await fetch("/", { redirect: "manual" }).catch(() => null);
  if (answer?.type === "opaqueredirect") location.assign("/login");
  else connect();
}

function watch() {
  if (Date.now() - heard < STALE_MS) return;
  status("stale", last ? `Stale: nothing since ${clock(last.now)}, trying again` : "No answer yet, trying again");
  if (Date.now() - heard > 3 * STALE_MS && source.readyState === EventSource.OPEN) connect(); // a path that is open and dead
}

function status(state, text) {
  const element = byId("status");
  if (element.dataset.state !== state) { element.dataset.state = state; document.body.dataset.state = state; }
  say("status", text);
}

function show(tick) {
  if (tick.kafka_since === null) status("live", "Live");
  else status("late", `Kafka has not answered since ${clock(tick.kafka_since)}`);
  say("now-rate", number(tick.rate));
  say("now-p50", latency(tick.p50));
  say("now-p99", tick.p99 === null ? "from observation to score" : `99% within ${latency(tick.p99)}`);
  const told = alerts.summary(tick.alerts);
  say("now-alerts", number(told.total));
  say("now-severities", told.text);
  alerts.refreshTimes(Date.now());
  alerts.showUnreadable(tick.alerts_unreadable);
  charts(tick);
  showDrift(tick.drift);
  quarantine(tick);
}

function charts(tick) {
  const span = duration(tick.rates.length * tick.step_ms);
  lineChart(byId("rate-chart"), { lines: [{ name: "rate", values: tick.rates }], stepMs: tick.step_ms, area: true,
    label: `Events a second over ${span}, now ${number(tick.rate)}` });
  lineChart(byId("latency-chart"), { lines: [{ name: "p99", values: tick.p99s }, { name: "p50", values: tick.p50s }], stepMs: tick.step_ms,
    label: `Latency over ${span}, now ${latency(tick.p50)} for half and ${latency(tick.p99)} for 99%` });
  const scored = tick.risks.reduce((sum, each) => sum + each, 0);
  const positive = tick.risks.reduce((sum, each, bin) => sum + ((bin + 0.5) / tick.risks.length >= (tick.threshold ?? 2) ? each : 0), 0);
  riskChart(byId("risk-chart"), { counts: tick.risks, threshold: tick.threshold,
    label: `Distribution of ${count(scored, "probability", "probabilities")}, ${percent(scored ? positive / scored : 0)} of them above the threshold` });
  say("risk-note", scored ? `${count(scored, "prediction")} of 10 minutes${tick.sampled ? ", a sample" : ""}` : "no predictions yet");
  say("rate-note", `last ${span}`);
  if (byId("flow-tables").parentElement.open) flowTables(tick);
}

function flowTables(tick) {
  const step = Math.round(30_000 / tick.step_ms), rows = [];
  for (let place = tick.rates.length - 1; place >= 0; place -= step) {
    rows.push([clock(tick.now - (tick.rates.length - place) * tick.step_ms), number(tick.rates[place]), latency(tick.p50s[place]), latency(tick.p99s[place])]);
  }
  const bin = 1 / tick.risks.length;
  byId("flow-tables").replaceChildren(
    table("Rate and latency", ["Time", "Events a second", "Half within", "99% within"], rows),
    table("Risk", ["Probability", "Predictions"], tick.risks.map((seen, place) => [`${(place * bin).toFixed(2)} to ${((place + 1) * bin).toFixed(2)}`, number(seen)])));
}

const REASONS = {
  empty: "Empty", not_utf8: "Not UTF-8", not_json: "Not JSON", schema: "Not of the schema", identifier: "Malformed identifier",
  pseudonym: "Patient id is no pseudonym", key_mismatch: "Key is not the patient", headers: "Unreadable headers", mac_missing: "Not signed",
  mac_key_unknown: "Signed by an unknown key", mac_wrong: "Changed after signing", source_not_bound: "Signed for another source",
  future: "From the future", repeated: "Known id, other content", out_of_range: "Impossible value", blocked: "Source or key is blocked",
};

function quarantine(tick) {
  const reasons = Object.entries(tick.quarantined).sort((a, b) => b[1] - a[1]), total = reasons.reduce((sum, [, seen]) => sum + seen, 0);
  say("now-quarantined", number(total));
  say("quarantine-note", !total ? "Nothing in the last hour." : tick.quarantine_cut ? "Last hour; a flood, of which only a part was counted." : "Last hour, by the first check that a record failed.");
  byId("quarantine-table").hidden = !total;
  const body = byId("quarantine-table").tBodies[0], most = reasons[0]?.[1] ?? 1;
  body.replaceChildren(...reasons.map(([reason, seen]) => {
    const fill = el("i", {});
    fill.style.width = `${(100 * seen) / most}%`;
    return el("tr", {}, el("th", { scope: "row" }, REASONS[reason] ?? reason), el("td", { class: "share" }, el("div", { class: "gauge", "aria-hidden": "true" }, fill)), el("td", { class: "number" }, number(seen)));
  }));
}

for (const id of ["flow-tables", "drift-table"]) byId(id).parentElement.addEventListener("toggle", () => last && show(last));
addEventListener("resize", () => last && show(last));
alerts.start();
connect();
setInterval(watch, 1000);
