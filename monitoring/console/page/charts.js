// Charts as SVG, drawn anew with the width that there is. Colours and strokes are the style sheet's.
import { duration, number, svg } from "./dom.js";

const LEFT = 44, BOTTOM = 18, TOP = 8, RIGHT = 6;

// A round number that is not below `value`, and looks good as the end of an axis.
function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value) * unit;
}

function frame(place, height, label) {
  const width = Math.max(place.clientWidth, 160);
  return { width, height, x0: LEFT, x1: width - RIGHT, y0: height - BOTTOM, y1: TOP,
    picture: svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label }) };
}

function axis({ picture, x0, x1, y0, y1 }, top) {
  for (const part of [0, 0.5, 1]) {
    const y = y0 - (y0 - y1) * part;
    picture.append(svg("line", { class: "grid", x1: x0, x2: x1, y1: y, y2: y }),
      svg("text", { class: "tick end", x: x0 - 6, y: y + 3.5 }, number(top * part)));
  }
}

// lines: [{ name, values }], null where there is nothing; the newest value last. `area` fills below the first.
export function lineChart(place, { lines, stepMs, label, area = false }) {
  const at = frame(place, 132, label);
  const largest = Math.max(1, ...lines.flatMap(({ values }) => values.map((value) => value ?? 0)));
  const top = roundUp(largest * 1.05);
  axis(at, top);
  const points = lines[0].values.length;
  const x = (index) => at.x0 + (at.x1 - at.x0) * (index / Math.max(points - 1, 1));
  const y = (value) => at.y0 - (at.y0 - at.y1) * (value / top);
  for (const [number_, { name, values }] of lines.entries()) {
    let path = "", pen = false;
    values.forEach((value, index) => {
      if (value === null) { pen = false; return; }
      path += `${pen ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = true;
    });
    if (area && !number_ && path) at.picture.append(svg("path", { class: `area ${name}`, d: `${path}L${at.x1} ${at.y0}L${at.x0} ${at.y0}Z` }));
    at.picture.append(svg("path", { class: `line ${name}`, d: path }));
  }
  at.picture.append(svg("text", { class: "tick", x: at.x0, y: at.height - 4 }, `${duration(points * stepMs)} ago`),
    svg("text", { class: "tick end", x: at.x1, y: at.height - 4 }, "now"));
  place.replaceChildren(at.picture);
}

// Counts in even bins from 0 to 1, and the threshold from which on they are "positive".
export function riskChart(place, { counts, threshold, label }) {
  const at = frame(place, 132, label);
  const top = roundUp(Math.max(1, ...counts));
  axis(at, top);
  const step = (at.x1 - at.x0) / counts.length;
  counts.forEach((seen, index) => {
    const height = (at.y0 - at.y1) * (seen / top);
    const positive = threshold !== null && (index + 0.5) / counts.length >= threshold;
    at.picture.append(svg("rect", { class: positive ? "bar positive" : "bar", x: at.x0 + index * step + 1, y: at.y0 - height, width: Math.max(step - 2, 1), height, rx: 1.5 }));
  });
  if (threshold !== null) {
    const x = at.x0 + (at.x1 - at.x0) * threshold;
    at.picture.append(svg("line", { class: "threshold", x1: x, x2: x, y1: at.y1, y2: at.y0 }),
      svg("text", { class: "tick strong", x: x + 4, y: at.y1 + 8 }, `threshold ${threshold}`));
  }
  for (const [value, anchor] of [[0, ""], [0.5, " middle"], [1, " end"]]) {
    at.picture.append(svg("text", { class: `tick${anchor}`, x: at.x0 + (at.x1 - at.x0) * value, y: at.height - 4 }, String(value)));
  }
  place.replaceChildren(at.picture);
}

// The shares of the bins now (filled) beside those expected (outlined); the last bin is what is missing.
export function comparison(place, { bins, seen, expected, rows }) {
  place.replaceChildren(rows ? asRows(place, bins, seen, expected) : asColumns(place, bins, seen, expected));
}

function asColumns(place, bins, seen, expected) {
  const width = Math.max(place.clientWidth, 120), height = 84, base = height - 14;
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  const top = Math.max(...seen, ...expected, 0.01), step = width / bins.length;
  bins.forEach((bin, index) => {
    const tall = (share) => (base - 2) * (share / top);
    const x = index * step + 1.5, wide = Math.max(step - 3, 1), last = index === bins.length - 1;
    picture.append(
      svg("rect", { class: last ? "bar missing" : "bar", x, y: base - tall(seen[index]), width: wide, height: tall(seen[index]), rx: 1 }),
      svg("path", { class: "expected", d: `M${x - 1} ${base - tall(expected[index])}h${wide + 2}` }),
      svg("rect", { class: "reach", x: index * step, y: 0, width: step, height: base }, svg("title", {}, bin)));
  });
  picture.append(svg("line", { class: "grid", x1: 0, x2: width, y1: base, y2: base }),
    svg("text", { class: "tick", x: 0, y: height - 2 }, bins[0]), svg("text", { class: "tick end", x: width - step - 4, y: height - 2 }, bins.at(-2)));
  if (expected.at(-1) >= 0.005 || seen.at(-1) >= 0.005) picture.append(svg("text", { class: "tick end", x: width, y: height - 2 }, "?"));
  return picture;
}

function asRows(place, bins, seen, expected) {
  const shown = bins.map((bin, index) => ({ bin, seen: seen[index], expected: expected[index], missing: index === bins.length - 1 }))
    .filter((row) => !row.missing || row.seen >= 0.005 || row.expected >= 0.005);
  const width = Math.max(place.clientWidth, 120), step = 17, left = Math.min(124, width * 0.55), height = Math.max(84, shown.length * step);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  const top = Math.max(...seen, ...expected, 0.01), long = (share) => (width - left - 4) * (share / top);
  shown.forEach((row, index) => {
    const y = index * step + 3;
    picture.append(
      svg("text", { class: "tick", x: 0, y: y + 9.5 }, row.bin.length > 22 ? `${row.bin.slice(0, 21)}…` : row.bin),
      svg("rect", { class: row.missing ? "bar missing" : "bar", x: left, y, width: long(row.seen), height: step - 6, rx: 1 }),
      svg("path", { class: "expected", d: `M${left + long(row.expected)} ${y - 1.5}v${step - 3}` }),
      svg("rect", { class: "reach", x: 0, y: y - 2, width, height: step }, svg("title", {}, row.bin)));
  });
  return picture;
}
