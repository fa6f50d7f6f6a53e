// Elements and words. Texts go in as texts: nothing that comes from a record is ever markup.

export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Only what changed: a screen reader and a selection stay where they are.
export function say(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

const WHOLE = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });

export const number = (value) => (value < 10 ? TENTH : WHOLE).format(value);
export const count = (value, one, many = `${one}s`) => `${WHOLE.format(value)} ${value === 1 ? one : many}`;
export const percent = (share) => (share > 0 && share < 0.001 ? "<0.1%" : `${TENTH.format(share * 100)}%`);
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");
export const day = (ms) => new Date(ms).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
export const when = (ms) => `${day(ms)}, ${clock(ms)}`;

export function latency(ms) {
  return ms === null ? "–" : ms < 10_000 ? `${number(ms)} ms` : duration(ms);
}

const UNITS = [["s", 1], ["min", 60], ["h", 3600], ["days", 86400], ["years", 31_557_600]];

export function duration(ms) {
  const seconds = ms / 1000;
  if (seconds > 1000 * 31_557_600) return "over 1,000 years";
  if (seconds < 1) return "under 1 s";
  const [unit, size] = UNITS.findLast(([, each]) => seconds >= each * 1.5) ?? UNITS[0];
  return `${WHOLE.format(Math.round(seconds / size))} ${unit}`;
}

export function ago(ms, now) {
  return now - ms < 1500 ? "just now" : `${duration(now - ms)} ago`;
}

export function table(caption, head, rows) {
  const cells = (row, tag, scope) => row.map((text, place) => el(place ? tag : "th", { scope: place ? scope : scope ?? "row", class: place ? "number" : null }, text));
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...cells(head, "th", "col"))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...cells(row, "td", null)))));
}
