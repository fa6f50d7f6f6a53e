// The list of alerts: the newest first, each opens to what, why, evidence and what to do.
import { ago, byId, count, el, say, when } from "./dom.js";
import { runbook } from "./runbook.js";

const FIRST = 8;
const items = new Map(); // key: { alert, element }, oldest first
let all = false, unreadable = 0;

export function showAll(alerts, now) {
  const known = new Set(alerts.map((alert) => alert.key));
  for (const key of [...items.keys()].filter((each) => !known.has(each))) remove(key);
  for (const alert of alerts.toReversed()) add(alert, now);
  arrange();
}

export function showNew(alerts, now) {
  for (const alert of alerts) {
    add(alert, now);
    const { element } = items.get(alert.key);
    void element.offsetWidth; // so that what is told again is shown as new again
    element.classList.add("new");
  }
  arrange();
  const { ended, severity, message } = alerts.at(-1);
  const others = alerts.length > 1 ? `${alerts.length} new alerts, the last: ` : "";
  say("announce", others + (ended ? `Ended: ${message}` : `New alert, ${severity}: ${message}`));
}

export function refreshTimes(now) {
  for (const [key, { alert, element }] of items) {
    if (alert.at < now - 86_400_000) { remove(key); arrange(); continue; }
    const time = element.querySelector("time"), text = ago(alert.at, now);
    if (time.textContent !== text) time.textContent = text;
  }
}

function add(alert, now) {
  const before = items.get(alert.key);
  if (before && ["times", "at", "ended"].every((name) => before.alert[name] === alert[name])) return;
  const element = before?.element ?? item(alert.key);
  draw(element, alert, now);
  items.delete(alert.key);
  items.set(alert.key, { alert, element });
  if (element.open) fill(element, alert);
}

function remove(key) {
  items.get(key)?.element.parentElement?.remove();
  items.delete(key);
}

function arrange() {
  const list = byId("alert-list"), newest = [...items.values()].reverse().sort((one, other) => other.alert.at - one.alert.at);
  newest.forEach(({ element }, place) => {
    const entry = element.parentElement ?? el("li", {}, element);
    entry.hidden = !all && place >= FIRST;
    if (list.children[place] !== entry) list.insertBefore(entry, list.children[place] ?? null);
  });
  note();
  const more = byId("alerts-more");
  more.hidden = newest.length <= FIRST;
  more.textContent = all ? "Show fewer" : `Show all ${newest.length}`;
}

function note() {
  const told = items.size ? "Last 24 hours, the newest first. Open one for its evidence and what to do." : "None in the last 24 hours.";
  say("alerts-note", unreadable ? `${told} ${count(unreadable, "record")} could not be read: update the console, or see who else writes there.` : told);
}

export function showUnreadable(many) {
  unreadable = many;
  note();
}

function item(key) {
  const element = el("details", {}, el("summary", {}), el("div", {}));
  element.addEventListener("toggle", () => {
    if (element.open && !element.lastElementChild.hasChildNodes()) fill(element, items.get(key).alert);
  });
  return element;
}

// In place: a press on it, the keyboard's focus and whether it is open outlast that it is told again.
function draw(element, alert, now) {
  const said = alert.message.startsWith(`${alert.name}: `) ? alert.message.slice(alert.name.length + 2) : alert.message;
  const severity = alert.ended ? "ended" : alert.severity, again = alert.times > 1 ? el("span", { class: "times" }, ` ×${alert.times}`) : null;
  element.className = `alert ${severity}`;
  element.firstElementChild.replaceChildren(
    el("span", { class: "severity" }, severity),
    el("span", { class: "what" }, el("b", {}, alert.name), again, el("span", { class: "said" }, said)),
    el("time", { datetime: new Date(alert.at).toISOString(), title: when(alert.at) }, ago(alert.at, now)));
  element.lastElementChild.replaceWith(el("div", { class: "body" }));
}

async function fill(element, alert) {
  const body = element.lastElementChild; // what comes late goes to the body that it was asked for
  const facts = [["Told", when(alert.at)], ["Began", alert.start === null ? null : when(alert.start)], ["Rule", alert.rule],
    ["Technique", alert.technique ? technique(alert.technique) : null]];
  body.append(el("dl", {}, ...facts.filter(([, what]) => what !== null).flatMap(([name, what]) => [el("dt", {}, name), el("dd", {}, what)])));
  const labels = Object.entries(alert.labels);
  if (labels.length) {
    body.append(el("h3", {}, "Evidence"), el("dl", { class: "evidence" },
      ...labels.flatMap(([name, text]) => [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, text)])));
  }
  const guide = await runbook(alert.rule).catch(() => null);
  if (guide) body.append(el("h3", {}, "What to do"), guide);
}

function technique([id, name]) {
  const shown = `${id} ${name}`;
  if (!/^AML\.T\d{4}(\.\d{3})?$/.test(id)) return shown;
  return el("a", { href: `https://atlas.mitre.org/techniques/${id}`, rel: "noreferrer noopener", target: "_blank" }, `${shown} (MITRE ATLAS)`);
}

export function start() {
  byId("alerts-more").addEventListener("click", () => { all = !all; arrange(); });
}

export function summary(counts) {
  const order = ["critical", "high", "medium", "low", "unknown"].filter((severity) => counts[severity]);
  const total = order.reduce((sum, severity) => sum + counts[severity], 0);
  return { total, text: order.length ? order.map((severity) => `${counts[severity]} ${severity}`).join(", ") : "last 24 hours", spoken: count(total, "alert") };
}
