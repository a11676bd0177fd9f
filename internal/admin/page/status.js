"use strict";

// The page asks for its numbers every two seconds while somebody looks at it.
const every = 2000;

const $ = (selector) => document.querySelector(selector);

// element makes one. Text is only ever text.
function element(tag, attributes = {}, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  e.append(...children);
  return e;
}

function text(e, value) {
  if (e.textContent !== value) e.textContent = value;
}

// --- Numbers, as people read them.

const three = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat();
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

const rate = (n) => (n >= 1000 ? whole.format(Math.round(n)) : three.format(n));
const share = (n) => `${n > 0 && n < 0.001 ? "< 0.1" : three.format(n * 100)} %`;
// Below half a millisecond nothing is told apart.
const duration = (ms) => (ms === 0 ? "–" : ms <= 0.5 ? "< 0.5 ms" : ms >= 1000 ? `${three.format(ms / 1000)} s` : `${three.format(ms)} ms`);

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let i = 0;
  for (; n >= 1024 && i < units.length - 1; i++) n /= 1024;
  return `${three.format(n)} ${units[i]}`;
}

function span(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} days`;
}

// --- Lines.

const svg = "http://www.w3.org/2000/svg";

function shape(tag, attributes) {
  const e = document.createElementNS(svg, tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
  return e;
}

// A sparkline draws a series in a tile. Under the pointer it says what was when.
class Sparkline {
  constructor(tile, format, least) {
    this.tile = tile;
    this.format = format;
    this.least = least; // that the top of the line stands for: a flat line is flat
    this.output = tile.querySelector("output");
    this.unit = tile.querySelector(".unit");
    this.words = this.unit.textContent;
    this.top = element("span", { class: "top", title: "the most of these five minutes" });
    this.svg = shape("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "img" });
    this.area = shape("path", { class: "area" });
    this.line = shape("path", { class: "stroke" });
    this.cursor = shape("path", { class: "cursor" });
    this.svg.append(this.area, this.line, this.cursor);
    tile.append(this.top, this.svg);
    this.svg.addEventListener("pointermove", (event) => {
      const box = this.svg.getBoundingClientRect();
      this.pointer = (event.clientX - box.left) / box.width;
      this.tell();
    });
    this.svg.addEventListener("pointerleave", () => {
      this.pointer = undefined;
      this.tell();
    });
  }

  show(now, values, stepSeconds, slots) {
    Object.assign(this, { now, values, stepSeconds, slots });
    const most = Math.max(...values, 0);
    const top = Math.max(most, this.least);
    const points = values.map((v, i) => [this.x(i), 38 - (v / top) * 34]);
    const line = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(2)} ${y.toFixed(2)}`).join("");
    this.line.setAttribute("d", line);
    this.area.setAttribute("d", points.length ? `${line}L100 40L${points[0][0].toFixed(2)} 40Z` : "");
    this.svg.setAttribute("aria-label", `Now ${this.format(now)}, at most ${this.format(most)} within five minutes`);
    text(this.top, most > 0 ? `↑ ${this.format(most)}` : "");
    this.tell();
  }

  // The last value is at the right edge, whatever there is to its left.
  x(i) {
    return 100 - ((this.values.length - 1 - i) / (this.slots - 1)) * 100;
  }

  tell() {
    const n = this.values.length;
    const i = this.pointer === undefined ? n : Math.round(n - 1 - (1 - this.pointer) * (this.slots - 1));
    const past = i >= 0 && i < n;
    this.cursor.setAttribute("d", past ? `M${this.x(i)} 0V40` : "");
    text(this.output, this.format(past ? this.values[i] : this.now));
    text(this.unit, past ? `${span((n - 1 - i) * this.stepSeconds * 1000)} ago` : this.words);
  }
}

const lines = {
  requests: new Sparkline($("#requests"), rate, 1),
  p95: new Sparkline($("#p95"), duration, 10),
  failures: new Sparkline($("#failures"), share, 0.02),
  inFlight: new Sparkline($("#inFlight"), rate, 2),
};

// --- Tables, of which rows stay where they are while their cells change.

function fill(body, items, key, cells) {
  const old = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const rows = items.map((item) => {
    const row = old.get(key(item)) ?? element("tr", { "data-key": key(item) });
    cells(item).forEach((cell, i) => {
      const { value, label, ...attributes } = typeof cell === "object" && !(cell instanceof Node) ? cell : { value: cell };
      const td = row.cells[i] ?? row.appendChild(element(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {}));
      for (const [name, v] of Object.entries(attributes)) if (td.getAttribute(name) !== v) td.setAttribute(name, v);
      if (value instanceof Node) td.replaceChildren(value);
      else text(td, value);
    });
    return row;
  });
  if (rows.length !== body.rows.length || rows.some((row, i) => row !== body.rows[i])) body.replaceChildren(...rows);
}

const number = (value, none) => ({ value, class: none ? "number none" : "number" });

function pairs(list, entries) {
  if (list.children.length !== entries.length * 2) {
    list.replaceChildren(...entries.flatMap(([name]) => [element("dt", {}, name), element("dd")]));
  }
  entries.forEach(([, value], i) => text(list.children[2 * i + 1], value));
}

// --- What the parts of the page show.

const kinds = { frontend_api: "Clerk's API", asset: "Clerk's scripts", app: "Application", refused: "Refused here" };

// What is somebody else's fault is no cause for alarm.
const alarming = ["unreachable", "timeout", "cut"];
const reasons = {
  unreachable: "Clerk was out of reach",
  timeout: "Clerk took too long",
  cut: "Clerk's answer was cut short",
  client_gone: "The client went away",
  client_body: "The body did not come",
  refused: "Refused here",
  shutdown: "Ended by a shutdown",
};

function statusBar(classes) {
  const names = Object.keys(classes).sort();
  if (names.length === 0) return element("span", { class: "none" }, "–");
  const sum = names.reduce((n, name) => n + classes[name], 0);
  const bar = element("div", { class: "bar", "aria-hidden": "true" });
  for (const name of names) {
    const part = element("i", { class: `c${name}` });
    part.style.flexGrow = classes[name] / sum;
    bar.append(part);
  }
  const words = names.map((name) => `${whole.format(classes[name])} × ${name}`).join(", ");
  return element("div", { title: words }, bar, element("span", { class: "hidden-text" }, words));
}

const checkNames = { serving: "Server", frontend_api: "Clerk" };

function showVerdict(s) {
  const failed = s.checks.filter((c) => c.status === "failed");
  const degraded = s.checks.filter((c) => c.status === "degraded");
  const draining = failed.some((c) => c.reason.startsWith("draining"));
  let state = "good", words = "Everything works";
  if (draining) [state, words] = ["warn", `Draining, ${s.current.inFlight} ${s.current.inFlight === 1 ? "request" : "requests"} to go`];
  else if (failed.length) [state, words] = ["bad", "Not ready"];
  else if (degraded.length) [state, words] = ["bad", "Clerk does not answer"];
  else if (daysToEnd(s) < 0) [state, words] = ["bad", "A certificate has ended"];
  else if (s.current.failures >= 0.02) [state, words] = ["warn", "Works, with failures"];
  else if (s.reloads.lastFailed) [state, words] = ["warn", "Works, with the former configuration"];
  else if (daysToEnd(s) < 7) [state, words] = ["warn", "Works, but a certificate is about to end"];
  else if (s.check?.reports.some((r) => r.status === "fail")) [state, words] = ["warn", "Works, but the check has found a fault"];
  verdict(state, words, s.checks.map((c) => `${checkNames[c.name] ?? c.name}: ${c.reason}`));
}

// The days until the first certificate ends.
const daysToEnd = (s) => Math.min(...s.certificates.filter((c) => c.notAfter).map((c) => daysLeft(c, s)));
const daysLeft = (c, s) => Math.floor((c.notAfter - s.now) / 86400000);

function verdict(state, words, why) {
  $("#verdict").dataset.state = state;
  text($("#verdict-text"), words);
  const list = $("#verdict-reasons");
  if (list.children.length !== why.length) list.replaceChildren(...why.map(() => element("li")));
  why.forEach((line, i) => text(list.children[i], line));
  document.title = state === "good" ? "clerk-proxy" : `${words} · clerk-proxy`;
}

function showTiles(s) {
  const slots = Math.round(300 / s.series.stepSeconds);
  const draw = (name, now) => lines[name].show(now, s.series[name] ?? [], s.series.stepSeconds, slots);
  draw("requests", s.current.requests);
  draw("p95", s.current.p95);
  draw("failures", s.current.failures);
  draw("inFlight", s.current.inFlight);
  $("#failures").dataset.bad = s.current.failures >= 0.02;
}

function showTraffic(s) {
  fill($("#kinds tbody"), s.kinds, (k) => k.kind, (k) => [
    kinds[k.kind] ?? k.kind,
    number(rate(k.rate), k.rate === 0),
    { value: statusBar(k.classes), class: "wide" },
    ...[k.p50, k.p95, k.p99].map((ms) => (k.kind === "refused" ? number("–", true) : number(duration(ms), ms === 0))),
    number(whole.format(k.total), k.total === 0),
  ]);
  fill($("#errors tbody"), s.errors, (e) => e.reason, (e) => [
    reasons[e.reason] ?? e.reason,
    { value: whole.format(e.recent), class: !e.recent ? "number none" : alarming.includes(e.reason) ? "number alarm" : "number" },
    number(whole.format(e.total), e.total === 0),
  ]);
}

function showClerk(s) {
  const c = s.connections;
  const again = c.requests > 0 ? Math.max(0, 1 - c.opened / c.requests) : 0;
  pairs($("#connections"), [
    ["Open now", whole.format(c.open)],
    ["Requests on them now", whole.format(c.inFlight)],
    ["Opened since the start", whole.format(c.opened)],
    ["Could not be opened", whole.format(c.failed)],
    ["Requests that found one open", c.requests ? share(again) : "–"],
    ["Clerk last answered", c.lastAnswer ? `${span(s.now - c.lastAnswer)} ago` : "never"],
  ]);
  const k = s.cache;
  const asked = k.hits + k.stale + k.shared + k.misses;
  const remembered = asked ? (k.hits + k.stale) / asked : 0;
  $("#cache-share").style.width = `${remembered * 100}%`;
  pairs($("#cache"), [
    ["From memory", asked ? `${share(remembered)} of ${whole.format(asked)}` : "–"],
    ["… that were stale", whole.format(k.stale)],
    ["By another's fetch", whole.format(k.shared)],
    ["From Clerk", whole.format(k.misses)],
    ["Files kept", whole.format(k.entries)],
    ["Memory", k.limit ? `${bytes(k.bytes)} of ${bytes(k.limit)}` : "–"],
  ]);
}

function showSites(s) {
  fill($("#sites tbody"), s.sites, (site) => site.name, (site) => [
    site.name,
    site.proxyURL || "off",
    site.frontendAPI,
    site.app || "none",
    number(rate(site.rate), site.rate === 0),
    { value: share(site.failures), class: site.failures >= 0.02 ? "number alarm" : site.failures ? "number" : "number none" },
  ]);
  const r = s.reloads;
  text($("#reloads"), r.lastFailed ? "the configuration could not be loaded again: the former one is in force"
    : r.lastSuccess ? `configuration loaded again ${span(s.now - r.lastSuccess)} ago` : "");
  $("#reloads").className = r.lastFailed ? "caution" : "";

  $("#certificates-panel").hidden = s.certificates.length === 0;
  fill($("#certificates tbody"), s.certificates, (c) => `${c.name} ${c.notAfter}`, (c) => {
    const days = daysLeft(c, s);
    const left = !c.notAfter ? "none yet" : days < 0 ? "ended" : whole.format(days);
    return [c.name, c.issuer || "–", c.notAfter ? day.format(c.notAfter) : "–",
      { value: c.failure, class: "caution" },
      { value: left, class: days < 7 ? "number alarm" : days < 20 ? "number caution" : "number" }];
  });
}

function showEvents(s) {
  $("#no-events").hidden = s.events.length > 0;
  fill($("#events tbody"), s.events, (e) => `${e.level} ${e.message} ${e.reason}`, (e) => [
    { value: element("time", { datetime: new Date(e.last).toISOString() }, clock.format(e.last)), class: "name" },
    e.reason ? `${e.message}: ${e.reason}` : e.message,
    { value: e.count > 1 ? `${whole.format(e.count)} times since ${clock.format(e.first)}` : "", class: "count number" },
  ]);
}

const marks = { ok: "✓", warn: "!", fail: "✗", skipped: "–" };
const words = { ok: "is fine", warn: "deserves a look", fail: "has failed", skipped: "was skipped" };
let shownCheck;

function showCheck(s) {
  const c = s.check;
  $("#check-panel").hidden = c === null;
  if (c === null) return;
  $("#check-now").disabled = c.running;
  text($("#check-now"), c.running ? "Checking …" : "Check now");
  text($("#check-when"), c.at ? `${span(s.now - c.at)} ago` : "");

  // What is there stays as it is, so that it can be selected.
  const shown = JSON.stringify(c);
  if (shownCheck === shown) return;
  shownCheck = shown;
  text($("#check-note"), c.error ? `It did not come to an end: ${c.error}`
    : c.at || c.running ? "" : "Looks at your proxy from outside, as Clerk and a browser do.");
  $("#check-steps").replaceChildren(...c.reports.flatMap((report) => [
    element("li", { class: "proxy" }, report.proxy_url), ...report.steps.map(checkStep)]));
}

function checkStep(step) {
  const item = element("li", { "data-status": step.status },
    element("span", { class: "mark", "aria-hidden": "true" }, marks[step.status] ?? "?"),
    element("span", { class: "what" }, step.name, element("span", { class: "hidden-text" }, ` ${words[step.status] ?? step.status}`)),
    element("span", { class: "found" }, step.seen));
  if (step.advice) item.append(element("span", { class: "advice" }, step.advice));
  return item;
}

$("#check-now").addEventListener("click", async () => {
  $("#check-now").disabled = true;
  try {
    const answer = await fetch("check", { method: "POST" });
    if (!answer.ok) text($("#check-note"), await answer.text());
  } finally {
    await look();
  }
});

// --- Looking.

let lastSeen;

async function look() {
  let s;
  try {
    const answer = await fetch("status.json", { signal: AbortSignal.timeout(every * 4) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    s = await answer.json();
  } catch {
    verdict("wait", "No answer from clerk-proxy", [lastSeen ? `The numbers below are of ${clock.format(lastSeen)}.` : "It may be starting, or has ended."]);
    return;
  }
  lastSeen = Date.now();
  text($("#version"), s.version);
  text($("#uptime"), `running for ${span(s.now - s.started)}`);
  for (const show of [showVerdict, showTiles, showTraffic, showClerk, showSites, showEvents, showCheck]) show(s);
}

let wake = () => {};
document.addEventListener("visibilitychange", () => wake());

async function keepLooking() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, every);
    });
  }
}

keepLooking();
