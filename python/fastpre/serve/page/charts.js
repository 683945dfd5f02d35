// Charts in SVG, and what makes elements. Texts become text nodes only: there is no HTML from strings here.

export const SPAN_S = 300;
const SPANS = [[60, 15], [120, 30], [SPAN_S, 60]]; // seconds of a chart, and between its ticks
// What waits is hatched, so that it can be told from work without colour.
export const WAITS = new Set(["queue", "batch", "queued", "ready", "refused"]);

// --- elements ---

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "color") made.style.setProperty("--c", `var(--${value})`);
    else made.setAttribute(key, value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : `${child}`)));
  return made;
}

export function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "color") made.style.setProperty("--c", `var(--${value})`);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export const pairs = (entries) => entries.map(([name, value]) => element("div", {}, element("dt", {}, name),
  element("dd", {}, ...[value].flat())));

// --- numbers ---

export function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const digits = size === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.0995 ? 2 : 3;
  return Number(value.toFixed(digits)).toLocaleString("en", { maximumFractionDigits: 3 });
}
export const ms = (value) => (value >= 9999.5 ? `${short(value / 1e3)} s` : `${short(value)} ms`);
export const percent = (share) => `${Math.round(share * 100)}%`;
export const clock = (at) => new Date(at * 1e3).toLocaleTimeString("en-GB");
export function duration(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = Math.max(0, parts.findIndex(([unit]) => seconds >= unit));
  return parts.slice(seconds < 1 ? 3 : first, (seconds < 1 ? 3 : first) + 2)
    .map(([unit, name], i) => `${Math.floor((i ? seconds % parts[first][0] : seconds) / unit)} ${name}`).join(" ");
}

// --- charts ---

function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

function fillOf(color, key) {
  return WAITS.has(key) ? `url(#hatch-${color})` : `var(--${color})`;
}

function swatch(series) {
  const mark = drawn("svg", { viewBox: "0 0 26 12", "aria-hidden": "true", color: series.color });
  if (series.dash !== undefined) {
    mark.append(drawn("path", { d: "M0 6H26", class: "line", "stroke-dasharray": series.dash }));
  } else {
    const box = drawn("rect", { width: 26, height: 12, rx: 2 });
    box.style.fill = fillOf(series.color, series.key);
    mark.append(box);
  }
  return mark;
}

/** A chart over time. series: {key, color, name, dash: lines only, of: (row) => number or null}; stacked if no dash. */
export class Chart {
  constructor(parent, title, unit, series) {
    this.unit = unit;
    this.series = series;
    this.svg = drawn("svg", { role: "img", "aria-label": title });
    this.values = series.map(() => element("b"));
    this.moment = element("li");
    const legend = series.map((one, i) => element("li", {}, swatch(one), one.name, this.values[i]));
    parent.append(element("div", { class: "chart" }, element("h4", {}, title, " ", element("small", {}, unit)),
      this.svg, element("ul", {}, ...legend, this.moment)));
    this.cursor = null;
    this.svg.addEventListener("pointermove", (event) => {
      this.cursor = (event.clientX - this.svg.getBoundingClientRect().left) / this.svg.clientWidth;
      this.draw();
    });
    this.svg.addEventListener("pointerleave", () => { this.cursor = null; this.draw(); });
  }

  draw(rows = this.rows, now = this.now) {
    if (!rows) return;
    this.rows = rows;
    this.now = now;
    const width = this.svg.clientWidth || 400, height = this.svg.clientHeight || 147;
    const left = 44, bottom = height - 16, top = 8;
    const age = rows.length ? now - rows[0].at : 0;
    const [span, tick] = SPANS.find(([longest]) => age <= longest + 2) ?? SPANS.at(-1);
    const x = (at) => left + (width - left) * Math.max(0, 1 - (now - at) / span);
    const table = rows.map((row) => this.series.map((one) => one.of(row)));
    const stacked = this.series[0].dash === undefined;
    const heights = table.map((row) => (stacked ? row.reduce((sum, value) => sum + (value ?? 0), 0)
      : Math.max(0, ...row.map((value) => value ?? 0))));
    const most = ceiling(Math.max(0, ...heights));
    const y = (value) => bottom - (bottom - top) * Math.min(1, value / most);
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    for (const part of [0, 0.5, 1]) {
      const at = y(most * part);
      this.svg.append(drawn("line", { x1: left, x2: width, y1: at, y2: at, class: "grid" }),
        drawn("text", { x: left - 5, y: at + 4, "text-anchor": "end" }, short(most * part)));
    }
    for (let ago = tick; ago < span; ago += tick) {
      const text = tick < 60 ? `−${ago} s` : `−${ago / 60} min`;
      this.svg.append(drawn("text", { x: x(now - ago), y: height - 3, "text-anchor": "middle" }, text));
    }
    this.svg.append(drawn("text", { x: width, y: height - 3, "text-anchor": "end" }, "now"));
    if (!heights.some((value) => value > 0)) {
      this.svg.append(drawn("text", { x: (width + left) / 2, y: (top + bottom) / 2, class: "nothing" }, "nothing yet"));
    }
    const base = table.map(() => 0);
    this.series.forEach((one, i) => {
      const pieces = [];
      let piece = [];
      rows.forEach((row, j) => {
        const value = table[j][i];
        if (j && row.at - rows[j - 1].at > 3) piece = [];
        if (value === null || value === undefined) { piece = []; return; }
        if (!piece.length) pieces.push(piece);
        piece.push([x(row.at), y(base[j] + (stacked ? value : 0)), y(base[j]), y(value)]);
        if (stacked) base[j] += value;
      });
      for (const points of pieces) {
        if (points.length === 1) points.push([points[0][0] + 1.5, ...points[0].slice(1)]);
        if (stacked) {
          const over = points.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`);
          const under = points.map(([px, , py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).reverse();
          const area = drawn("path", { d: `M${[...over, ...under].join("L")}Z`, class: "area" });
          area.style.fill = fillOf(one.color, one.key);
          this.svg.append(area);
        } else {
          const d = `M${points.map((point) => `${point[0].toFixed(1)} ${point[3].toFixed(1)}`).join("L")}`;
          this.svg.append(drawn("path", { d, class: "line", color: one.color, "stroke-dasharray": one.dash }));
        }
      }
    });
    this.legend(table, x, height);
  }

  legend(table, x, height) {
    let j = this.rows.length - 1;
    this.moment.textContent = "";
    if (this.cursor !== null && j >= 0) {
      const wanted = this.cursor * (this.svg.clientWidth || 400);
      const distance = (row) => Math.abs(x(row.at) - wanted);
      j = this.rows.reduce((best, row, i) => (distance(row) < distance(this.rows[best]) ? i : best), j);
      const at = x(this.rows[j].at);
      this.svg.append(drawn("line", { x1: at, x2: at, y1: 8, y2: height - 16, class: "cursor" }));
      this.moment.textContent = `at ${clock(this.rows[j].at)}`;
    }
    this.values.forEach((value, i) => { value.textContent = short(table[j]?.[i]); });
  }
}

/** How many images had a batch of which size, over the last minute. */
export class Batches {
  constructor(parent, name, largest) {
    this.name = name;
    this.largest = Math.min(largest, 64);
    this.svg = drawn("svg", { role: "img", "aria-label": "Batch sizes" });
    this.note = element("li");
    parent.append(element("div", { class: "chart" }, element("h4", {}, "Batch sizes ",
      element("small", {}, "of the last minute, in images")), this.svg, element("ul", {}, this.note)));
  }

  draw(rows, now) {
    const counts = new Map();
    for (const row of rows) {
      if (now - row.at > 60) continue;
      for (const [size, count] of row.models[this.name]?.batches ?? []) {
        counts.set(size, (counts.get(size) ?? 0) + count);
      }
    }
    const width = this.svg.clientWidth || 400, height = this.svg.clientHeight || 147, bottom = height - 16;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const most = Math.max(1, ...counts.values()), largest = Math.max(this.largest, ...counts.keys());
    const step = width / largest, column = Math.max(1, Math.min(step * 0.8, 46));
    this.svg.append(drawn("line", { x1: 0, x2: width, y1: bottom, y2: bottom, class: "grid" }));
    for (let size = 1; size <= largest; size++) {
      const count = counts.get(size) ?? 0, tall = (bottom - 18) * (count / most), middle = (size - 0.5) * step;
      this.svg.append(drawn("rect", { x: middle - column / 2, y: bottom - tall, width: column, height: tall,
        class: "column", color: "inference" }));
      if (largest <= 32 || size % 8 === 0) {
        this.svg.append(drawn("text", { x: middle, y: height - 3, "text-anchor": "middle" }, `${size}`));
      }
      if (count && step > 22) {
        this.svg.append(drawn("text", { x: middle, y: bottom - tall - 4, "text-anchor": "middle" }, short(count)));
      }
    }
    const runs = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const images = [...counts].reduce((sum, [size, count]) => sum + size * count, 0);
    this.note.textContent = runs ? `${short(runs)} batches of ${short(images / runs)} images on average` : "no batches";
  }
}

/** The patterns that hatched areas are filled with. */
export function addPatterns(defs) {
  for (const color of ["queue", "batch", "refused"]) {
    const pattern = drawn("pattern", { id: `hatch-${color}`, width: 7, height: 7, patternUnits: "userSpaceOnUse",
      patternTransform: "rotate(45)" });
    const back = drawn("rect", { width: 7, height: 7, "fill-opacity": 0.45 });
    const stripe = drawn("rect", { width: 3.5, height: 7 });
    back.style.fill = stripe.style.fill = `var(--${color})`;
    pattern.append(back, stripe);
    defs.append(pattern);
  }
}
