// The filters, the table of cells, and which charts to draw anew. Charts are in charts.js.
"use strict";

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const optimizers = new Map(DATA.optimizers.map((one, place) => [one.label, { ...one, place }]));
const tasks = new Map(DATA.tasks.map((one, place) => [one.name, { ...one, place }]));
const made = new Map(DATA.made.map((one) => [`${one.task}\n${one.optimizer}`, one]));
const state = { task: "", reading: DATA.headline, shown: new Set(), sort: "task", down: false };

function number(value, form, signed = false) {
  if (value === null || value === undefined) return "–";
  const digits = Number(form.match(/\d+/)[0]);
  const text = form.endsWith("f") ? Math.abs(value).toFixed(digits)
    : String(Number(Math.abs(value).toPrecision(digits)));
  return (value < 0 ? "−" : signed ? "+" : "") + text;
}

const range = (low, high, form, signed) =>
  low === null || low === undefined ? "–" : `[${number(low, form, signed)}, ${number(high, form, signed)}]`;

function word(low, high) {
  if (low === null || low === undefined) return "no interval";
  return low > 0 ? "better" : high < 0 ? "worse" : "no difference found";
}

// A column: head, what it sorts by, what it shows. `form` is the task's format of numbers.
const COLUMNS = [
  { key: "task", head: "task", by: (c) => tasks.get(c.task).place, show: (c) => tasks.get(c.task).title },
  { key: "optimizer", head: "optimizer", by: (c) => optimizers.get(c.optimizer).place },
  ...(new Set(DATA.tasks.map((one) => one.metric)).size > 1 ? [
    { key: "metric", head: "metric", by: (c) => tasks.get(c.task).metric, show: (c) => tasks.get(c.task).metric },
  ] : []),
  { key: "mean", head: "mean", by: (c) => c.mean, show: (c, form) => (c.mean === null ? "diverged" : number(c.mean, form)) + marks(c) },
  { key: "interval", head: "95 % interval", by: (c) => c.high - c.low, show: (c, form) => range(c.low, c.high, form) },
  { key: "n", head: "seeds", by: (c) => c.n, show: (c) => c.n },
  { key: "gain", head: "better by", by: (c) => c.gain, show: (c, form) => number(c.gain, form, true), kind: (c) => word(c.gain_low, c.gain_high) },
  { key: "gain_interval", head: "its interval", by: (c) => c.gain_low, show: (c, form) => range(c.gain_low, c.gain_high, form, true) },
  ...(DATA.source ? [
    { key: "published", head: DATA.source, by: (c) => c.published, show: (c, form) => number(c.published, form) },
    { key: "away", head: "ours minus it", by: (c) => c.away, show: (c, form) => number(c.away, form, true) + (c.published === null ? "" : c.agrees ? " agrees" : " differs") },
  ] : []),
];

function marks(cell) {
  const how = made.get(`${cell.task}\n${cell.optimizer}`);
  return (how?.training !== "full" ? "†" : "") + (how?.short ? "§" : "") +
    (cell.diverged ? `‡${cell.diverged}` : "") + (cell.chance ? `∅${cell.chance}` : "");
}

const visible = () => DATA.cells.filter((c) => c.reading === state.reading &&
  (!state.task || c.task === state.task) && state.shown.has(c.optimizer));

function ordered(rows) {
  const column = COLUMNS.find((one) => one.key === state.sort);
  const missing = (x) => x === null || x === undefined || Number.isNaN(x);
  const up = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return rows.map((cell) => [column.by(cell), cell]).sort(([a, x], [b, y]) =>
    missing(a) - missing(b) || (state.down ? up(b, a) : up(a, b)) ||
    tasks.get(x.task).place - tasks.get(y.task).place ||
    optimizers.get(x.optimizer).place - optimizers.get(y.optimizer).place).map(([, cell]) => cell);
}

function element(tag, text = "", attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function drawHead() {
  const row = document.createElement("tr");
  for (const column of COLUMNS) {
    const head = element("th", "", { scope: "col" });
    const button = element("button", column.head, { type: "button", "data-key": column.key });
    button.addEventListener("click", () => {
      state.down = state.sort === column.key ? !state.down : ["mean", "gain"].includes(column.key);
      state.sort = column.key;
      drawTable();
    });
    head.append(button);
    row.append(head);
  }
  $("#cells thead").replaceChildren(row);
}

function drawTable() {
  $$("#cells thead th").forEach((head, place) => head.setAttribute("aria-sort",
    COLUMNS[place].key !== state.sort ? "none" : state.down ? "descending" : "ascending"));
  const rows = ordered(visible());
  $("#cells tbody").replaceChildren(...rows.map(tableRow));
  $("#status").textContent = `${rows.length} ${rows.length === 1 ? "cell" : "cells"}`;
}

function tableRow(cell) {
  const row = document.createElement("tr");
  const form = tasks.get(cell.task).form;
  if (optimizers.get(cell.optimizer).baseline) row.className = "base";
  for (const column of COLUMNS) {
    const place = element(column.key === "optimizer" ? "th" : "td");
    if (column.key === "optimizer") {
      place.setAttribute("scope", "row");
      place.append(opener(cell, row));
    } else place.textContent = column.show(cell, form);
    if (column.kind && cell.gain !== undefined) place.className = column.kind(cell);
    row.append(place);
  }
  return row;
}

function opener(cell, row) {
  const button = element("button", optimizers.get(cell.optimizer).name,
    { type: "button", "aria-expanded": "false", class: "open" });
  row.addEventListener("click", () => {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) row.nextElementSibling.remove();
    else row.after(details(cell));
  });
  return button;
}

function details(cell) {
  const how = made.get(`${cell.task}\n${cell.optimizer}`);
  const row = element("tr", "", { class: "more" });
  const place = element("td", "", { colspan: COLUMNS.length });
  const rates = Object.entries(how.hyper).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  const facts = [rates.join(", "), `${how.steps.toLocaleString("en")} steps`, `training: ${how.training}`,
    `tuning: ${how.tuning}`, how.device];
  if (cell.against) facts.push(`against ${optimizers.get(cell.against)?.name ?? cell.against}, ${cell.pairs} pairs, Holm’s p ${cell.holm ?? "–"}`);
  if (cell.std !== null) facts.push(`standard deviation ${cell.std}`);
  place.append(element("p", facts.filter(Boolean).join("; ")));
  const list = document.createElement("ul");
  for (const run of how.runs) list.append(runLine(run));
  place.append(list);
  row.append(place);
  return row;
}

function runLine(run) {
  const line = element("li", `seed ${run.seed}${run.status === "finished" ? "" : `, ${run.status}`}: run ${run.run} in `);
  const link = DATA.files[run.file];
  line.append(link ? element("a", run.file, { href: link }) : element("code", run.file));
  if (DATA.command) {
    const command = DATA.command.replace("{run}", run.run);
    line.append(" · again: ", element("code", command, { class: "command", tabindex: "0" }));
  }
  return line;
}

function sortable(table) {
  $$("thead button", table).forEach((button, place) => button.addEventListener("click", () => {
    const head = button.parentElement;
    const down = head.getAttribute("aria-sort") === "ascending";
    $$("thead th", table).forEach((one) => one.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.children[place].textContent.replace("−", "-");
    const rows = $$("tbody tr", table).sort((a, b) => {
      const [x, y] = [key(a), key(b)], [n, m] = [parseFloat(x), parseFloat(y)];
      const up = Number.isNaN(n) || Number.isNaN(m) ? x.localeCompare(y) : n - m;
      return down ? -up : up;
    });
    $("tbody", table).append(...rows);
  }));
}

function readOptimizers() {
  const boxes = $$("input[name=optimizer]");
  state.shown = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  $("#chosen").textContent = `(${state.shown.size} of ${boxes.length})`;
}

function changed() {
  state.task = $("#task").value;
  state.reading = $("#reading").value;
  readOptimizers();
  drawTable();
  drawCharts();
}

function theme(name) {
  document.documentElement.dataset.theme = name;
  $("#theme").textContent = name === "dark" ? "Light" : "Dark";
  $("#theme").setAttribute("aria-pressed", String(name === "dark"));
}

function start() {
  const stored = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
  const system = matchMedia("(prefers-color-scheme: dark)");
  theme(stored ?? (system.matches ? "dark" : "light"));
  $("#theme").addEventListener("click", () => {
    theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* a file */ }
    drawCharts();
  });
  $("#filters").addEventListener("submit", (event) => event.preventDefault());
  for (const one of $$("#task, #reading, input[name=optimizer]")) one.addEventListener("change", changed);
  for (const button of $$("[data-all]")) button.addEventListener("click", () => {
    for (const box of $$("input[name=optimizer]")) {
      box.checked = button.dataset.all === "all" || (button.dataset.all === "ours" && optimizers.get(box.value).ours);
    }
    changed();
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") $("#choose").open = false; });
  $$("table.sortable").forEach(sortable);
  drawHead();
  prepareCharts();
  changed();
}

start();
