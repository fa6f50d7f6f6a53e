// The models by role, and the champion in the head.
import { byId, day, el, say, when } from "./dom.js";

const HEAD = ["Stage", "Model", "Since", "Until", "AUC", "Signed by", "Why"];

export function showModels({ rows }) {
  const champion = rows.find((row) => row.stage === "champion");
  say("now-champion", champion ? `${champion.name ?? "model"} ${champion.version ?? ""}`.trim() : "none");
  say("now-digest", champion ? `${champion.digest.slice(0, 19)}… by ${champion.signed_by.join(", ")}` : "nothing is scored until a model is released");
  if (!rows.length) { byId("model-table").replaceChildren(el("p", { class: "note" }, "No model was released yet.")); return; }
  const cells = (row) => [
    el("span", { class: `stage ${row.stage}` }, row.release ? `${row.stage} ${row.release}` : row.stage),
    el("span", {}, row.name ? `${row.name} ${row.version} ` : "", el("code", { title: row.digest }, `${row.digest.slice(7, 19)}…`)),
    el("time", { datetime: new Date(row.since).toISOString(), title: when(row.since) }, when(row.since)),
    row.until ? day(row.until) : "–", row.auc === null ? "–" : row.auc.toFixed(3), row.signed_by.join(", "), row.reason || "–"];
  byId("model-table").replaceChildren(el("table", { role: "table", class: "stacked" }, el("caption", { class: "hidden" }, "Models by role"),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...HEAD.map((name) => el("th", { scope: "col", role: "columnheader" }, name)))),
    el("tbody", { role: "rowgroup" }, ...rows.map((row) => el("tr", { role: "row" }, ...cells(row).map((cell, place) =>
      el("td", { role: "cell", "data-label": HEAD[place] }, cell)))))));
}
