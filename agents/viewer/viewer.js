"use strict";
// What the page knows: runs with curves, numbers and episodes; see agents/viewer/page.py.
const data = JSON.parse(document.getElementById("data").textContent);
const runs = data.runs;
const byId = (id) => document.getElementById(id);
const ROW = 44; // pixels of an episode in the list

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const fixed = (value, digits = 3) => (value === null || value === undefined ? "" : value.toFixed(digits));
// Of small numbers, the first digits that count.
const shown = (value) => (value !== 0 && Math.abs(value) < 0.001 ? value.toPrecision(2) : fixed(value));
const signed = (value) => (value > 0 ? "+" : "") + fixed(value);
const count = (value) => Math.round(value).toLocaleString("en");
const shade = (number) => (number === 0 ? "var(--one)" : "var(--other)");
const named = (token) => {
  const text = data.names[token].replaceAll("▁", " ").replaceAll("\n", "⏎");
  return text.trim() ? text : "␣";
};

// Scores -----------------------------------------------------------------------------------------

function showScores() {
  const names = [...new Set(runs.flatMap((run) => Object.values(run.scores).flatMap(Object.keys)))];
  const table = make("table");
  table.append(make("tr", {}, make("th", {}, ""), ...names.map((name) => make("th", {}, name))));
  const seen = new Set(); // runs have the same baselines: each is told once
  for (const run of runs) {
    for (const [who, scores] of Object.entries(run.scores)) {
      const shared = runs.every((other) => !(who in other.scores) || JSON.stringify(other.scores[who]) === JSON.stringify(scores));
      if (shared && seen.has(who)) continue;
      seen.add(who);
      const cells = names.map((name) => {
        if (!(name in scores)) return make("td", {}, "");
        const [value, low, high] = scores[name];
        return make("td", {}, make("b", {}, fixed(value)), ` [${fixed(low)}, ${fixed(high)}]`);
      });
      const label = shared ? who : `${run.name}: ${who}`;
      table.append(make("tr", {}, make("th", { scope: "row" }, label), ...cells));
    }
  }
  if (names.length) byId("scores").append(make("div", { class: "scroll" }, table));
  byId("scores").append(make("p", { class: "note" }, data.scored));
}

// The width of a drawing: a pixel is a pixel, so that its text is as large as the page's.
const room = (box, most) => Math.max(260, Math.min(most, box.clientWidth || most));

// Curves -----------------------------------------------------------------------------------------

function curveOf(run, metric, over) {
  if (metric !== "score") return (run.metrics[metric] || []).map(([x, y]) => ({ x, y })).filter((point) => point.y !== null);
  return run.curve.map((point) => ({
    x: over === "seconds" ? point.seconds / 60 : point.timesteps,
    y: point.value, low: point.low, high: point.high,
  }));
}

function ticks(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(at);
  return [found, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
}

function showCurve() {
  const metric = byId("metric").value, over = metric === "score" ? byId("over").value : "steps";
  byId("over").disabled = metric !== "score";
  const curves = runs.map((run) => curveOf(run, metric, over));
  const points = curves.flat();
  const box = byId("curve");
  box.replaceChildren();
  if (!points.length) return box.append(make("p", { class: "note" }, "no numbers were recorded"));
  const width = room(box, 900), height = 260, left = 56, right = 30, top = 10, bottom = 40;
  const ys = points.flatMap((p) => [p.y, p.low ?? p.y, p.high ?? p.y]).filter(Number.isFinite);
  const xs = points.map((p) => p.x);
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  if (x0 === x1) [x0, x1] = [x0 - 0.5, x1 + 0.5];
  let [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  if (y0 === y1) [y0, y1] = [y0 - 0.5, y1 + 0.5];
  const X = (x) => left + ((x - x0) / (x1 - x0)) * (width - left - right);
  const Y = (y) => top + ((y1 - y) / (y1 - y0)) * (height - top - bottom);
  const label = metric === "score" ? `${data.score_name}, validation split` : metric;
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `${label} over ${over === "seconds" ? "minutes" : "actions"}` });
  const [across, digits] = ticks(y0, y1, 6);
  for (const y of across) {
    svg.append(draw("line", { x1: left, x2: width - right, y1: Y(y), y2: Y(y), stroke: "var(--line)" }));
    svg.append(draw("text", { x: left - 6, y: Y(y) + 4, "text-anchor": "end" }, y.toFixed(digits)));
  }
  const [along, places] = ticks(x0, x1, Math.max(2, Math.round(width / 150)));
  for (const x of along) svg.append(draw("text", { x: X(x), y: height - bottom + 16, "text-anchor": "middle" }, over === "seconds" ? x.toFixed(places) : count(x)));
  svg.append(draw("text", { x: (left + width) / 2, y: height - 6, "text-anchor": "middle" }, over === "seconds" ? "minutes of training" : "actions"));
  curves.forEach((curve, number) => {
    if (!curve.length) return;
    const colour = `rgb(${shade(number)})`;
    if (curve[0].low !== undefined) {
      const band = [...curve.map((p) => [p.x, p.high]), ...curve.map((p) => [p.x, p.low]).reverse()];
      svg.append(draw("polygon", { points: band.map(([x, y]) => `${X(x)},${Y(y)}`).join(" "), fill: colour, opacity: 0.15 }));
    }
    svg.append(draw("polyline", { points: curve.map((p) => `${X(p.x)},${Y(p.y)}`).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": number ? "6 3" : "" }));
    if (runs.length > 1) svg.append(draw("text", { x: width - right - 4, y: height - bottom - 10 - 16 * number, "text-anchor": "end", style: `fill: ${colour}` }, `${number ? "- -" : "—"} ${runs[number].name}`));
  });
  const cross = draw("line", { y1: top, y2: height - bottom, stroke: "var(--faint)", visibility: "hidden" });
  svg.append(cross);
  const read = (x) => {
    const found = curves.map((curve) => curve.reduce((a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a), curve[0]));
    const at = found.find(Boolean);
    cross.setAttribute("x1", X(at.x)); cross.setAttribute("x2", X(at.x)); cross.setAttribute("visibility", "visible");
    const where = over === "seconds" ? `${fixed(at.x, 1)} minutes` : `${count(at.x)} actions`;
    byId("reading").textContent = `${where}: ` + found.map((p, i) => p ? `${runs.length > 1 ? runs[i].name + " " : ""}${shown(p.y)}` + (p.low !== undefined ? ` [${fixed(p.low)}, ${fixed(p.high)}]` : "") : "").filter(Boolean).join("; ");
  };
  svg.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect();
    const share = ((event.clientX - place.left) / place.width * width - left) / (width - left - right);
    read(x0 + Math.min(Math.max(share, 0), 1) * (x1 - x0));
  });
  svg.setAttribute("tabindex", "0");
  let at = x1;
  svg.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    event.preventDefault(); event.stopPropagation();
    const all = [...new Set(xs)].sort((a, b) => a - b);
    const next = all.indexOf(at) + (event.key === "ArrowRight" ? 1 : -1);
    at = all[Math.min(Math.max(next, 0), all.length - 1)];
    read(at);
  });
  box.append(svg);
}

// Episodes ---------------------------------------------------------------------------------------

// Each colouring: label, column of a step, and whether its middle is 0.
const COLOURS = {
  probability: ["probability", "p", false],
  advantage: ["advantage: what came, less what was expected", "d", true],
  value: ["value: the return expected", "v", true],
  entropy: ["entropy, nats", "h", false],
  legal: ["legal actions", "l", false],
  reward: ["reward", "r", true],
};
const state = { run: 0, chosen: null, token: 0, shown: [] };
const episodesOf = (run) => run.episodes;
const first = runs[0].episodes;
const partner = runs.map((run) => new Map(run.episodes.map((episode) => [episode.i, episode])));
const extent = {};
for (const [, column, centred] of Object.values(COLOURS)) {
  let low = centred ? 0 : Infinity, high = centred ? 0 : -Infinity;
  for (const run of runs) for (const episode of run.episodes) for (const value of episode[column] || []) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  extent[column] = [low, high];
}

function tint(column, centred, value) {
  if (value === null || value === undefined) return "transparent";
  const [low, high] = extent[column];
  if (centred) {
    const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
    return `rgba(${value < 0 ? "var(--other)" : "var(--one)"}, ${(0.75 * Math.abs(value) / most).toFixed(3)})`;
  }
  // Where the agent was sure there is nothing to see; what was unlikely stands out.
  if (column === "p") return `rgba(var(--other), ${(0.85 * (1 - value)).toFixed(3)})`;
  return `rgba(var(--one), ${(0.75 * (value - low) / (high - low || 1)).toFixed(3)})`;
}

const surprise = (episode) => Math.max(...(episode.d || []).map(Math.abs), 0);
const apart = (episode) => runs.length < 2 ? 0 : Math.abs(episode.s - (partner[1].get(episode.i)?.s ?? episode.s));
const ORDERS = {
  index: (a, b) => a.i - b.i,
  worst: (a, b) => a.s - b.s || a.i - b.i,
  best: (a, b) => b.s - a.s || a.i - b.i,
  longest: (a, b) => b.a.length - a.a.length || a.i - b.i,
  surprise: (a, b) => surprise(b) - surprise(a) || a.i - b.i,
  difference: (a, b) => apart(b) - apart(a) || a.i - b.i,
};

function choose() {
  const wanted = byId("find").value.trim().toLowerCase();
  const low = parseFloat(byId("low").value), high = parseFloat(byId("high").value);
  state.shown = first.filter((episode) =>
    !(episode.s < low) && !(episode.s > high) &&
    (!wanted || String(episode.i) === wanted || (data.prompts[episode.i] + "\n" + runs.map((_, n) => partner[n].get(episode.i)?.x ?? "").join("\n")).toLowerCase().includes(wanted)));
  state.shown.sort(ORDERS[byId("order").value]);
  byId("count").textContent = `${count(state.shown.length)} of ${count(first.length)}`;
  byId("space").style.height = `${state.shown.length * ROW}px`;
  if (!state.shown.includes(state.chosen)) { state.chosen = state.shown[0] || null; state.token = 0; byId("list").scrollTop = 0; }
  showList();
  showDetail();
}

function showList() {
  const list = byId("list");
  const from = Math.max(0, Math.floor(list.scrollTop / ROW) - 4);
  const to = Math.min(state.shown.length, from + Math.ceil(list.clientHeight / ROW) + 8);
  const rows = state.shown.slice(from, to).map((episode, offset) => {
    const scores = runs.map((_, number) => partner[number].get(episode.i)).map((e) => (e ? fixed(e.s) : "–")).join(" / ");
    const row = make("div", { class: "row", role: "option", id: `row-${episode.i}`, "aria-selected": episode === state.chosen, "aria-posinset": from + offset + 1, "aria-setsize": state.shown.length, onclick: () => select(from + offset) },
      make("div", {}, make("b", {}, scores), make("span", {}, ` example ${episode.i}, ${episode.a.length} actions`)),
      make("div", {}, episode.x || "(nothing)"));
    row.style.top = `${(from + offset) * ROW}px`;
    return row;
  });
  byId("space").replaceChildren(...rows);
  if (state.chosen) list.setAttribute("aria-activedescendant", `row-${state.chosen.i}`);
}

function select(place) {
  if (!state.shown.length) return;
  place = Math.min(Math.max(place, 0), state.shown.length - 1);
  state.chosen = state.shown[place];
  state.token = 0;
  const list = byId("list"), top = place * ROW;
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW - list.clientHeight;
  showList();
  showDetail();
}

function showDetail() {
  const box = byId("detail");
  if (!state.chosen) return box.replaceChildren(make("p", { class: "note" }, "no episode fits: widen what is looked for"));
  const index = state.chosen.i;
  box.replaceChildren(make("h3", {}, `Example ${index}`), make("div", { class: "prompt", tabindex: "0" }, data.prompts[index]), legend());
  runs.forEach((run, number) => {
    const episode = partner[number].get(index);
    if (episode) box.append(runBlock(run, number, episode));
  });
}

function legend() {
  const [label, column, centred] = COLOURS[byId("colour").value];
  const [low, high] = extent[column];
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const [from, to] = centred ? [-most, most] : column === "p" ? [0, 1] : [low, high];
  const strip = make("span", { class: "scale" });
  const stops = [0, 0.25, 0.5, 0.75, 1].map((share) => tint(column, centred, from + share * (to - from)));
  strip.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const digits = column === "l" ? 0 : 2;
  return make("p", { class: "note" }, `${label}: ${fixed(from, digits)}`, strip, fixed(to, digits));
}

function runBlock(run, number, episode) {
  const chosen = number === state.run;
  const [, column, centred] = COLOURS[byId("colour").value];
  const facts = Object.entries(episode.m).map(([name, value]) => `${name} ${value > 1 && Number.isInteger(value) ? value : fixed(value)}`).join(", ");
  const tokens = make("div", { class: "tokens", role: "group", "aria-label": `Tokens of ${run.name}` });
  episode.a.forEach((token, step) => {
    const value = (episode[column] || [])[step];
    const pressed = chosen && step === state.token;
    const button = make("button", { class: "token", type: "button", "aria-pressed": pressed, tabindex: pressed ? 0 : -1, title: tip(run, episode, step), onclick: () => pick(number, step), onfocus: () => { if (state.run !== number || state.token !== step) pick(number, step); } }, named(token));
    button.style.background = tint(column, centred, value);
    tokens.append(button);
    if (episode.f[step]) tokens.append(make("span", { class: "appended" }, ` ${episode.f[step].trim()} `));
  });
  const block = make("div", { class: chosen ? "run chosen" : "run" },
    make("h3", {}, `${run.name}: return ${fixed(episode.s)}`), make("p", { class: "note" }, facts), tokens);
  if (chosen) block.append(thoughts(run, episode), course(episode));
  return block;
}

function tip(run, episode, step) {
  const parts = [`action ${step + 1}: ${named(episode.a[step])}`];
  if (episode.p) parts.push(`probability ${fixed(episode.p[step])}`, `entropy ${fixed(episode.h[step])}`);
  if (episode.v) parts.push(`value ${fixed(episode.v[step])}`, `advantage ${signed(episode.d[step])}`);
  parts.push(`reward ${signed(episode.r[step])}`, `${episode.l[step]} legal`);
  return parts.join("\n");
}

function thoughts(run, episode) {
  const step = Math.min(state.token, episode.a.length - 1);
  const facts = make("div", { class: "token-facts" });
  const add = (label, value) => facts.append(make("span", {}, `${label} `, make("b", {}, value)));
  add("action", `${step + 1} of ${episode.a.length}`);
  if (episode.p) { add("probability", fixed(episode.p[step])); add("entropy", `${fixed(episode.h[step])} nats`); }
  if (episode.v) { add("value", fixed(episode.v[step])); add("advantage", signed(episode.d[step])); }
  add("reward", signed(episode.r[step]));
  add("legal", count(episode.l[step]));
  const grid = make("div", { class: "alternatives", "aria-label": "The best actions in this state" });
  const pairs = [];
  for (let at = 0; at < episode.k[step].length; at += 2) pairs.push([episode.k[step][at], episode.k[step][at + 1]]);
  const most = Math.max(...pairs.map(([, score]) => Math.abs(score)), 1e-9);
  for (const [token, score] of pairs) {
    const bar = make("div", { class: "bar" });
    bar.style.width = `${100 * Math.abs(score) / (episode.p ? 1 : most)}%`;
    grid.append(make("span", { class: token === episode.a[step] ? "taken" : "" }, named(token)), make("div", {}, bar), make("span", {}, fixed(score)));
  }
  const head = episode.p ? "Most probable actions" : "Actions of highest value";
  return make("div", {}, facts, make("p", { class: "note" }, head), grid);
}

function course(episode) {
  // The return so far as steps, and what the agent expected in all: both end at the return.
  const width = room(byId("detail"), 640), height = 95, left = 44, bottom = 5, top = 8, n = episode.a.length;
  let sum = 0;
  const so = [0, ...episode.r.map((reward) => (sum += reward))];
  const expected = (episode.v || []).map((value, step) => so[step] + value);
  const low = Math.min(0, ...so, ...expected), high = Math.max(0.1, ...so, ...expected);
  const X = (x) => left + (x / n) * (width - left - 8), Y = (y) => top + ((high - y) / (high - low)) * (height - top - bottom);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `the return builds up to ${fixed(sum)}` });
  for (const y of [low, high]) svg.append(draw("line", { x1: left, x2: width - 8, y1: Y(y), y2: Y(y), stroke: "var(--line)" }), draw("text", { x: left - 4, y: Y(y) + 4, "text-anchor": "end" }, fixed(y, 2)));
  const at = Math.min(state.token, n - 1);
  svg.append(draw("rect", { x: X(at), y: top, width: X(1) - X(0), height: height - top - bottom, fill: "rgba(var(--one), .15)" }));
  svg.append(draw("polyline", { points: so.flatMap((y, x) => (x ? [`${X(x)},${Y(so[x - 1])}`, `${X(x)},${Y(y)}`] : [`${X(0)},${Y(0)}`])).join(" "), fill: "none", stroke: "rgb(var(--one))", "stroke-width": 2 }));
  if (expected.length) svg.append(draw("polyline", { points: expected.map((y, x) => `${X(x)},${Y(y)}`).join(" "), fill: "none", stroke: "rgb(var(--other))", "stroke-width": 1.5, "stroke-dasharray": "5 3" }));
  const legend = "— return so far" + (expected.length ? "; - - return so far and value: what was expected in all" : "");
  return make("div", {}, svg, make("p", { class: "note" }, legend));
}

function pick(run, token) {
  state.run = run;
  state.token = token;
  showDetail();
  document.querySelector('.token[aria-pressed="true"]')?.focus({ preventScroll: true });
}

// Keys -------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  if (event.target.className === "prompt" && event.key.startsWith("Arrow")) return; // it scrolls
  const place = state.shown.indexOf(state.chosen);
  const keys = {
    ArrowDown: () => select(place + 1),
    ArrowUp: () => select(place - 1),
    ArrowRight: () => step(1),
    ArrowLeft: () => step(-1),
    r: () => { state.run = (state.run + 1) % runs.length; step(0); },
    c: () => { const box = byId("colour"); box.selectedIndex = (box.selectedIndex + 1) % box.options.length; showDetail(); },
    "/": () => byId("find").focus(),
  };
  if (!(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
});

function step(by) {
  const episode = state.chosen && partner[state.run].get(state.chosen.i);
  if (episode) pick(state.run, Math.min(Math.max(state.token + by, 0), episode.a.length - 1));
}

// Start ------------------------------------------------------------------------------------------

function start() {
  byId("about").textContent = data.about;
  showScores();
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))];
  if (runs.some((run) => run.curve.length)) byId("metric").append(make("option", { value: "score" }, `${data.score_name}, validation split`));
  byId("metric").append(...metrics.map((name) => make("option", { value: name }, name)));
  for (const [key, [label, column]] of Object.entries(COLOURS)) {
    if (!runs.some((run) => run.episodes.some((episode) => episode[column]))) continue;
    byId("colour").append(make("option", { value: key }, label));
  }
  if (runs.length < 2) byId("order").querySelector('[value="difference"]').remove();
  byId("metric").addEventListener("change", showCurve);
  byId("over").addEventListener("change", showCurve);
  byId("colour").addEventListener("change", showDetail);
  for (const id of ["find", "low", "high"]) byId(id).addEventListener("input", choose);
  byId("order").addEventListener("input", () => { state.chosen = null; choose(); });
  byId("list").addEventListener("scroll", showList, { passive: true });
  window.addEventListener("resize", () => { showCurve(); if (first.length) showDetail(); });
  showCurve();
  if (first.length) choose();
  else byId("detail").append(make("p", { class: "note" }, "no episodes were played"));
}

start();
