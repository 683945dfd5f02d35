// The live page. Asks /v1/live each second, keeps five minutes, and draws. Whatever a client may have written comes in
// as text nodes only: there is no HTML from strings in this file, and the page's policy forbids it.
"use strict";

const SPAN_S = 300;
const STAGES = [ // as they follow each other; "protocol" is parse and respond
  ["receive", "receiving", "the body comes in"],
  ["protocol", "HTTP or gRPC", "reading the request, writing the answer"],
  ["queue", "queue", "waits for a thread and a slot"],
  ["preprocess", "preprocess", "decode, resize, normalize"],
  ["batch", "batch wait", "waits for the model"],
  ["inference", "inference", "the model runs"],
];
const WAITS = new Set(["queue", "batch", "queued", "ready", "refused"]);
const PLACES = [["queued", "queue", "queued"], ["preprocessing", "preprocess", "in preprocessing"],
  ["ready", "batch", "ready, waiting"], ["running", "inference", "in the model"]];
const OUTCOMES = ["answered", "refused", "late", "rejected", "failed", "gone"];
const OUTCOME_TEXT = { answered: "answered", refused: "refused (no room)", late: "too late",
  rejected: "rejected (bad request)", failed: "failed", gone: "client left" };
const DASHES = { p50: "", p90: "7 4", p99: "2 3" };
const MARKS = { idle: "○", fine: "✓", busy: "!", overloaded: "✕" };

const byId = (id) => document.getElementById(id);
const state = { run: "", after: -1, history: [], key: sessionStorage.getItem("fastpre-key") ?? "", models: new Map(),
  document: null, heard: 0, timer: 0 };

// --- elements ---

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "color") made.style.setProperty("--c", `var(--${value})`);
    else made.setAttribute(key, value);
  }
  made.append(...children.map((child) => (child instanceof Node ? child : `${child}`)));
  return made;
}

function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "color") made.style.setProperty("--c", `var(--${value})`);
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const pairs = (entries) => entries.map(([name, value]) => element("div", {}, element("dt", {}, name),
  element("dd", {}, ...[value].flat())));

// --- numbers ---

function short(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const digits = size === 0 || size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.0995 ? 2 : 3;
  return Number(value.toFixed(digits)).toLocaleString("en", { maximumFractionDigits: 3 });
}
const ms = (value) => (value >= 9999.5 ? `${short(value / 1e3)} s` : `${short(value)} ms`);
const percent = (share) => `${Math.round(share * 100)}%`;
const clock = (at) => new Date(at * 1e3).toLocaleTimeString("en-GB");
function duration(seconds) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = Math.max(0, parts.findIndex(([unit]) => seconds >= unit));
  return parts.slice(seconds < 1 ? 3 : first, (seconds < 1 ? 3 : first) + 2)
    .map(([unit, name], i) => `${Math.floor((i ? seconds % parts[first][0] : seconds) / unit)} ${name}`).join(" ");
}

function grouped(stages) {
  const { parse = 0, respond = 0, ...others } = stages ?? {};
  return { ...others, protocol: parse + respond };
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
class Chart {
  constructor(parent, title, unit, series) {
    this.unit = unit;
    this.series = series;
    this.svg = drawn("svg", { role: "img", "aria-label": title });
    this.values = series.map(() => element("b"));
    this.moment = element("li");
    const legend = series.map((one, i) => element("li", {}, swatch(one), element("span", {}, one.name), this.values[i]));
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
    const left = 38, bottom = height - 16, top = 8;
    const x = (at) => left + (width - left) * (1 - (now - at) / SPAN_S);
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
    for (let minute = 1; minute < SPAN_S / 60; minute++) {
      this.svg.append(drawn("text", { x: x(now - minute * 60), y: height - 3, "text-anchor": "middle" }, `−${minute} min`));
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
class Batches {
  constructor(parent, name) {
    this.name = name;
    this.svg = drawn("svg", { role: "img", "aria-label": "Batch sizes" });
    this.note = element("li");
    parent.append(element("div", { class: "chart" }, element("h4", {}, "Batch sizes ",
      element("small", {}, "batches of the last minute, by images in them")), this.svg, element("ul", {}, this.note)));
  }

  draw(rows, now) {
    const counts = new Map();
    for (const row of rows) {
      if (now - row.at > 60) continue;
      for (const [size, count] of row.models[this.name]?.batches ?? []) counts.set(size, (counts.get(size) ?? 0) + count);
    }
    const width = this.svg.clientWidth || 400, height = this.svg.clientHeight || 147, bottom = height - 16;
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const most = Math.max(1, ...counts.values()), largest = Math.max(8, ...counts.keys());
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
    this.note.textContent = runs ? `${short(runs)} batches, ${short(images / runs)} images each on average` : "no batches";
  }
}

// --- one model ---

class Model {
  constructor(name, about) {
    this.name = name;
    this.about = about;
    this.root = byId("model").content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.root.querySelector(selector);
    this.find("h2").textContent = name;
    this.find(".about").textContent = `${about.platform} · ${about.task} · ${about.device} · images ${about.image.join("×")}`;
    const row = (of) => (line) => (line.models[name] ? of(line.models[name], line.seconds) : null);
    const parent = this.find(".charts");
    this.charts = [
      new Chart(parent, "Latency of answered requests", "ms", ["p50", "p90", "p99"].map((key) => ({ key, color: key,
        name: key, dash: DASHES[key], of: row((line) => line[key] ?? null) }))),
      new Chart(parent, "Where the time goes", "ms of a request", STAGES.map(([key, text]) => ({ key, color: key,
        name: text, of: row((line) => grouped(line.stages_ms)[key] ?? 0) }))),
      new Chart(parent, "Requests", "per second", OUTCOMES.map((key) => ({ key, color: key, name: OUTCOME_TEXT[key],
        of: row((line, seconds) => (line[key] ?? 0) / seconds) }))),
      new Chart(parent, "Images inside", `at most ${about.queue_limit} queued`, PLACES.map(([key, color, text]) => ({
        key, color, name: text, of: row((line) => line[key] ?? 0) }))),
      new Batches(parent, name),
      new Chart(parent, "Predicted wait", "ms, of an image that comes now", [{ key: "wait_ms", color: "queue",
        name: "to the answer", dash: "", of: row((line) => line.wait_ms ?? null) }]),
    ];
    const target = about.target_p99_ms === null ? `at most ${about.wait_ms} ms` : `by the load, for p99 ≤ ${about.target_p99_ms} ms`;
    this.find("details .facts").append(...pairs([["inputs", about.inputs.join("  |  ")], ["outputs", about.outputs.join("  |  ")],
      ["versions", about.versions.join(", ")], ["threads", about.threads], ["instances", about.instances],
      ["largest batch", about.batch], ["wait for a batch", target], ["queue", `${about.queue_limit} images`],
      ["slots", about.slots], ["qualities", about.qualities.join(" → ")]]));
  }

  show(model, rows, now) {
    const { verdict, stages_ms: measured, per_s: rate, latency_ms: latency } = model;
    const last = rows.at(-1)?.models[this.name] ?? {};
    badge(this.find(".ready"), model.ready ? "ready" : "not ready", model.ready ? "fine" : "overloaded");
    this.find(".verdict").className = `card verdict is-${verdict.state}`;
    this.find(".mark").textContent = MARKS[verdict.state];
    this.find(".title").textContent = verdict.title;
    this.find(".text").textContent = verdict.text;
    this.bar(grouped(measured));
    const lost = rate.refused + rate.late, wrong = rate.failed + rate.rejected + rate.gone;
    const tiles = [
      ["answered", [short(rate.answered), unit("/s")]], ["turned away", [short(lost), unit("/s")], lost > 0],
      ["failed, rejected", [short(wrong), unit("/s")], rate.failed > 0],
      ...["p50", "p90", "p99"].map((key) => [key, latency[key] === undefined ? "–" : ms(latency[key])]),
      ["predicted wait", ms(model.wait_ms)],
      ["queue", [short(last.queued ?? 0), unit(` of ${this.about.queue_limit}`)], last.queued > this.about.queue_limit * 0.8],
      ["slots used", [short(last.slots_used ?? 0), unit(` of ${this.about.slots}`)]],
      ["threads busy", percent(model.busy.preprocess), model.busy.preprocess > 0.9],
      ["model busy", percent(model.busy.inference), model.busy.inference > 0.9],
      ["images a batch", [short(model.batch_mean), unit(` of ${this.about.batch}`)]],
    ];
    if (this.about.qualities.length > 1) tiles.push(["quality", qualities(rows.slice(-10), this.name)]);
    const cells = pairs(tiles);
    tiles.forEach(([, , high], i) => cells[i].classList.toggle("high", Boolean(high)));
    this.find(".tiles").replaceChildren(...cells);
    for (const chart of this.charts) chart.draw(rows, now);
    failures(this.root, model);
  }

  bar(stages) {
    const total = STAGES.reduce((sum, [key]) => sum + (stages[key] ?? 0), 0);
    this.find(".mean").textContent = total ? `${ms(total)} on average` : "no request was answered lately";
    const longest = total ? STAGES.map(([key]) => key).reduce((a, b) => ((stages[b] ?? 0) > (stages[a] ?? 0) ? b : a)) : "";
    const bar = this.find(".bar");
    bar.replaceChildren(...STAGES.filter(([key]) => stages[key] > 0).map(([key, name, text]) => {
      const share = stages[key] / total;
      const made = element("span", { color: key, title: `${name}: ${ms(stages[key])}. ${text}` },
        element("b", {}, name), element("span", {}, ms(stages[key])));
      made.style.flexGrow = share;
      if (WAITS.has(key)) made.classList.add("waits");
      if (share * bar.clientWidth < name.length * 8 + 8) made.classList.add("tight");
      return made;
    }));
    bar.setAttribute("aria-label", STAGES.map(([key, name]) => `${name} ${ms(stages[key] ?? 0)}`).join(", "));
    this.find(".stages").replaceChildren(...STAGES.map(([key, name, text]) => element("li",
      { class: key === longest ? "longest" : "" },
      element("i", { class: WAITS.has(key) ? "swatch waits" : "swatch", color: key }),
      element("span", { class: "name", title: text }, name), element("span", {}, total ? ms(stages[key] ?? 0) : "–"),
      element("span", { class: "share" }, total ? percent((stages[key] ?? 0) / total) : ""))));
  }
}

const unit = (text) => element("small", {}, text);

function badge(where, text, kind) {
  where.textContent = text;
  where.className = `${where.className.replace(/\bis-\w+/g, "").trim()} is-${kind}`;
}

function qualities(rows, name) {
  const counts = new Map();
  for (const row of rows) {
    for (const [rung, count] of Object.entries(row.models[name]?.qualities ?? {})) counts.set(rung, (counts.get(rung) ?? 0) + count);
  }
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return all ? [...counts].map(([rung, count]) => `${rung} ${percent(count / all)}`).join(", ") : "–";
}

function failures(root, part) {
  const totals = Object.entries(part.totals).filter(([code]) => code !== "ok").sort((a, b) => b[1] - a[1]);
  root.querySelector(".totals").textContent = totals.length
    ? `Since the start: ${totals.map(([code, count]) => `${code} ${count.toLocaleString("en")}`).join(" · ")}` : "None since the start.";
  const cell = (kind, text) => element("td", { class: kind }, text);
  const rows = part.failures.map((one) => element("tr", {}, cell("at", clock(one.at)), cell("code", one.code),
    cell("reason", one.reason), cell("id", one.id)));
  const head = element("tr", {}, ...["time", "code", "reason", "request"].map((name) => element("th", { scope: "col" }, name)));
  root.querySelector(".failures").replaceChildren(...(rows.length ? [head, ...rows] : []));
}

// --- the page ---

const processCharts = [
  new Chart(byId("process-charts"), "Event-loop lag", "ms; what every request waits, too", [{ key: "lag", color: "p99",
    name: "longest of each second", dash: "", of: (row) => row.lag_ms }]),
  new Chart(byId("process-charts"), "CPU", "cores in use", [{ key: "cpu", color: "answered", name: "this process",
    of: (row) => row.cpu_cores }]),
];

function show() {
  const { document: found, history: rows } = state;
  if (!found) return;
  const draining = found.draining ? "draining: no new requests soon" : found.ready ? "ready" : "not ready";
  badge(byId("state"), draining, found.ready ? "fine" : "overloaded");
  byId("version").textContent = found.server.version;
  byId("process").replaceChildren(...pairs([["up", duration(found.uptime_s)],
    ["CPU", `${short(found.cpu_cores)} of ${found.server.cores} cores`], ["event-loop lag", ms(found.lag_ms)],
    ["as of", clock(found.now)]]));
  for (const [name, about] of Object.entries(found.server.models)) {
    if (!state.models.has(name)) {
      state.models.set(name, new Model(name, about));
      byId("models").append(state.models.get(name).root);
    }
    state.models.get(name).show(found.models[name], rows, found.now);
  }
  byId("outside").hidden = found.failures.length === 0;
  failures(byId("outside"), found);
  for (const chart of processCharts) chart.draw(rows, found.now);
  const worst = ["overloaded", "busy", "fine", "idle"].find((kind) => Object.values(found.models).some((one) => one.verdict.state === kind));
  document.title = `${MARKS[worst] ?? ""} fastpre: ${found.ready ? worst : "not ready"}`;
}

function notice(text) {
  byId("notice").hidden = !text;
  byId("notice").textContent = text;
  document.body.classList.toggle("stale", Boolean(text));
}

async function ask() {
  const headers = state.key ? { "X-API-Key": state.key } : {};
  const response = await fetch(`v1/live?after=${state.after < 0 ? "" : state.after}`,
    { headers, cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (response.status === 401) {
    byId("ask").hidden = false;
    if (state.key) notice("The server does not take this API key.");
    return false;
  }
  if (!response.ok) throw new Error(`status ${response.status}`);
  const found = await response.json();
  if (found.run !== state.run) { // another server, or the same one again: its numbers begin anew
    const first = state.run === "" && state.after < 0;
    Object.assign(state, { run: found.run, after: -1, history: [], models: new Map() });
    byId("models").replaceChildren();
    if (!first) return ask();
  }
  state.history = [...state.history, ...found.history].filter((row) => found.now - row.at <= SPAN_S);
  state.after = state.history.at(-1)?.n ?? -1;
  state.document = found;
  state.heard = Date.now();
  byId("ask").hidden = true;
  notice("");
  show();
  return true;
}

async function poll() {
  clearTimeout(state.timer);
  let going = true;
  try {
    going = await ask();
  } catch (error) {
    const since = state.heard ? ` since ${clock(state.heard / 1e3)}` : "";
    notice(`No answer from the server${since}. Trying again each second. (${error.message})`);
  }
  if (going) state.timer = setTimeout(poll, 1000);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  state.key = byId("key").value;
  sessionStorage.setItem("fastpre-key", state.key);
  poll();
});
addEventListener("resize", show);

for (const color of ["queue", "batch", "refused"]) {
  const pattern = drawn("pattern", { id: `hatch-${color}`, width: 7, height: 7, patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)" });
  const back = drawn("rect", { width: 7, height: 7, "fill-opacity": 0.45 }), stripe = drawn("rect", { width: 3.5, height: 7 });
  back.style.fill = stripe.style.fill = `var(--${color})`;
  pattern.append(back, stripe);
  document.querySelector(".patterns defs").append(pattern);
}
poll();
