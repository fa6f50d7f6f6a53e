// A runbook as elements: the little of Markdown that runbooks use.
import { el } from "./dom.js";

const kept = new Map();

export async function runbook(rule) {
  if (!kept.has(rule)) {
    const answer = await fetch(`/runbooks/${encodeURIComponent(rule)}`);
    if (!answer.ok) return null;
    kept.set(rule, await answer.text());
  }
  return el("div", { class: "runbook" }, ...blocks(kept.get(rule)));
}

function blocks(text) {
  const found = [];
  for (const block of text.split(/\n{2,}/).map((each) => each.trim()).filter(Boolean)) {
    if (block.startsWith("# ")) continue; // its title is the alert's name
    if (block.startsWith("```")) found.push(el("pre", {}, block.replace(/^```\w*\n?|\n?```$/g, "")));
    else if (/^(\d+\.|-) /.test(block)) {
      const items = block.split(/\n(?=(?:\d+\.|-) )/).map((item) => el("li", {}, ...spans(item.replace(/^(\d+\.|-) /, ""))));
      found.push(el(/^\d/.test(block) ? "ol" : "ul", {}, ...items));
    } else found.push(el("p", {}, ...spans(block)));
  }
  return found;
}

function spans(text) {
  return text.replace(/\s*\n\s*/g, " ").split(/(\*\*[^*]+\*\*|`[^`]+`|\[[^\]]+\]\([^)]+\))/).filter(Boolean).map((part) => {
    if (part.startsWith("**")) return el("strong", {}, part.slice(2, -2));
    if (part.startsWith("`")) return el("code", {}, part.slice(1, -1));
    if (/^\[.*\)$/.test(part)) return part.slice(1, part.indexOf("]")); // where it leads is not served here
    return part;
  });
}
