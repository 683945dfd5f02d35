// The live page. Asks /v1/live each second, keeps five minutes, and draws. What a client may have written comes in as
// text nodes only, and the page's policy forbids HTML from strings.
import { Batches, Chart, SPAN_S, WAITS, addPatterns, clock, duration, element, ms, pairs, percent, short }
  from "./charts.js";

const STAGES = [ // as they follow each other; "protocol" is parse and respond
  ["receive", "receiving", "the body comes in"],
  ["protocol", "HTTP or gRPC", "reading the request, writing the answer"],
  ["queue", "queue", "waits for a thread and a slot"],
  ["preprocess", "preprocess", "decode, resize, normalize"],
  ["batch", "batch wait", "waits for the model"],
  ["inference", "inference", "the model runs"],
];
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

function grouped(stages) {
  const { parse = 0, respond = 0, ...others } = stages ?? {};
  return { ...others, protocol: parse + respond };
}

// --- one model ---

class Model {
  constructor(name, about) {
    this.name = name;
    this.about = about;
    this.root = byId("model").content.cloneNode(true).firstElementChild;
    this.find = (selector) => this.root.querySelector(selector);
    this.find("h2").textContent = name;
    const kind = [about.platform, about.task, about.device, `images ${about.image.join("×")}`];
    this.find(".about").textContent = kind.join(" · ");
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
      new Batches(parent, name, about.batch),
      new Chart(parent, "Predicted wait", "ms, of an image that comes now", [{ key: "wait_ms", color: "queue",
        name: "to the answer", dash: "", of: row((line) => line.wait_ms ?? null) }]),
    ];
    const target = about.target_p99_ms === null ? `at most ${about.wait_ms} ms`
      : `by the load, for p99 ≤ ${about.target_p99_ms} ms`;
    this.find("details .facts").append(...pairs([["inputs", about.inputs.join("  |  ")],
      ["outputs", about.outputs.join("  |  ")], ["versions", about.versions.join(", ")], ["threads", about.threads],
      ["instances", about.instances], ["largest batch", about.batch], ["wait for a batch", target],
      ["queue", `${about.queue_limit} images`], ["slots", about.slots], ["qualities", about.qualities.join(" → ")]]));
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
      ["queue", [short(last.queued ?? 0), unit(` of ${this.about.queue_limit}`)],
        last.queued > this.about.queue_limit * 0.8],
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
    const by = (key) => stages[key] ?? 0;
    const [longest] = total ? STAGES.map(([key]) => key).sort((a, b) => by(b) - by(a)) : [""];
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
  if (where.textContent === text) return; // or it would be read aloud each second
  where.textContent = text;
  where.className = `${where.className.replace(/\bis-\w+/g, "").trim()} is-${kind}`;
}

function qualities(rows, name) {
  const counts = new Map();
  for (const row of rows) {
    for (const [rung, count] of Object.entries(row.models[name]?.qualities ?? {})) {
      counts.set(rung, (counts.get(rung) ?? 0) + count);
    }
  }
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return all ? [...counts].map(([rung, count]) => `${rung} ${percent(count / all)}`).join(", ") : "–";
}

/** The newest of each kind: those that differ in numbers only are one kind, so that a flood takes one line. */
function failures(root, part) {
  const table = root.querySelector(".failures"), key = JSON.stringify([part.totals, part.failures]);
  if (table.dataset.key === key) return; // what is marked to be copied stays marked
  table.dataset.key = key;
  const totals = Object.entries(part.totals).filter(([code]) => code !== "ok").sort((a, b) => b[1] - a[1]);
  const said = totals.map(([code, count]) => `${code} ${count.toLocaleString("en")}`).join(" · ");
  root.querySelector(".totals").textContent = said ? `Since the start: ${said}` : "None since the start.";
  const kinds = new Map();
  for (const one of part.failures) {
    const kind = `${one.code} ${one.reason.replace(/[0-9.]+/g, "#")}`;
    const known = kinds.get(kind) ?? { ...one, ids: [], like: -1 };
    known.like += 1;
    if (one.id) known.ids.push(one.id);
    kinds.set(kind, known);
  }
  const named = part.failures.some((one) => one.id);
  const cell = (kind, ...content) => element("td", { class: kind }, ...content);
  const rows = [...kinds.values()].map((one) => element("tr", {}, cell("at", clock(one.at)), cell("code", one.code),
    cell("reason", one.reason, one.like ? unit(` and ${one.like} like it`) : ""),
    ...(named ? [cell("id", one.ids.slice(0, 3).join(", "))] : [])));
  const names = ["last", "code", "reason", ...(named ? ["request id"] : [])];
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  table.replaceChildren(...(rows.length ? [head, ...rows] : []));
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
  const version = byId("version");
  if (version.textContent && version.textContent !== found.server.version) location.reload(); // for its own page
  version.textContent = found.server.version;
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
  const states = Object.values(found.models).map((one) => one.verdict.state);
  const worst = ["overloaded", "busy", "fine", "idle"].find((kind) => states.includes(kind));
  document.title = `${MARKS[worst] ?? ""} fastpre: ${found.ready ? worst : "not ready"}`;
}

function notice(text) {
  byId("notice").hidden = !text;
  if (byId("notice").textContent !== text) byId("notice").textContent = text;
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

addPatterns(document.querySelector(".patterns defs"));
poll();
