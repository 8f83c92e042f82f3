// Puts rows, colours and widths into the charts' specifications, and draws those in sight.
"use strict";

const FIGURES = { forest: forestRows, ranking: rankingRows, curves: curveRows, probes: probeRows, maps: mapRows };
const waiting = new Set(); // charts that are out of date and not yet in sight
const inSight = new Set();
let turn = {}; // of each chart the newest drawing: an older one that ends later is dropped

const dark = () => document.documentElement.dataset.theme === "dark";
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const copy = (value) => JSON.parse(JSON.stringify(value));
const place = (id) => $(`#chart-${id}`);

function prepareCharts() {
  for (const select of $$("select[data-task]")) {
    for (const task of tasks.values()) select.append(element("option", task.title, { value: task.name }));
    select.addEventListener("change", () => outdated(select.dataset.task));
  }
  for (const one of $$("#quantity, #range, #seeds")) one.addEventListener("change", () => outdated("curves"));
  for (const one of $$("#probe, #probe-seeds")) one.addEventListener("change", () => outdated("probes"));
  addEventListener("steps", () => { outdated("curves"); outdated("probes"); });
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const id = entry.target.id.slice(6);
      if (entry.isIntersecting) inSight.add(id); else inSight.delete(id);
      if (entry.isIntersecting && waiting.has(id)) outdated(id);
    }
  }, { rootMargin: "300px" });
  for (const id of Object.keys(FIGURES)) if (place(id)) watch.observe(place(id));
  let width = innerWidth, timer;
  addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (innerWidth !== width) { width = innerWidth; drawCharts(); } }, 200);
  });
}

function drawCharts() {
  if (state.task) for (const select of $$("select[data-task]")) select.value = state.task;
  for (const id of Object.keys(FIGURES)) outdated(id);
}

function outdated(id) {
  if (!place(id)) return;
  waiting.add(id);
  if (inSight.has(id)) draw(id);
}

async function draw(id) {
  waiting.delete(id);
  const mine = turn[id] = (turn[id] ?? 0) + 1;
  const spec = copy(DATA.charts[id]);
  const rows = FIGURES[id](spec);
  if (rows === null) return; // its data are on the way
  if (!rows.length) {
    place(id).replaceChildren(element("p", "Nothing to show for this choice.", { class: "note" }));
    return;
  }
  spec.data = { values: rows };
  const there = document.createElement("div");
  place(id).append(there);
  const config = {
    background: "transparent", font: "system-ui, DejaVu Sans, sans-serif",
    axis: { labelColor: css("--text"), titleColor: css("--faint"), gridColor: css("--line"), domainColor: css("--line"), tickColor: css("--line"), labelLimit: 190, titleFontWeight: 400 },
    legend: { labelColor: css("--text"), titleColor: css("--faint"), labelLimit: 220 },
    header: { labelColor: css("--text"), labelFontSize: 13, labelFontWeight: 600 },
    rule: { color: css("--faint") }, view: { stroke: null }, concat: { spacing: 18 }, facet: { spacing: 18 },
  };
  const result = await vegaEmbed(there, spec, {
    renderer: "svg", config, tooltip: { theme: dark() ? "dark" : "light" },
    actions: { export: true, source: false, compiled: false, editor: false },
  });
  if (turn[id] !== mine) { result.finalize(); there.remove(); return; }
  for (const old of [...place(id).children]) if (old !== there) old.remove();
  place(id).dataset.drawn = String(mine);
}

const room = () => Math.max(220, place("forest").clientWidth - 8);
const columns = (least, most) => Math.max(1, Math.min(most, Math.floor(room() / least)));
const shownOf = (labels) => DATA.optimizers.filter((one) => state.shown.has(one.label) && labels.includes(one.label));
const colour = (one) => (dark() ? one.dark : one.light);

function panels(spec, count, least, beside, most = 4) {
  spec.columns = Math.min(columns(least, most), Math.max(1, count));
  spec.spec.width = Math.max(90, Math.floor(room() / spec.columns) - beside);
}

function forestRows(spec) {
  const rows = visible().filter((cell) => cell.gain !== undefined && cell.gain !== null).map((cell) => ({
    name: optimizers.get(cell.optimizer).name, gain: cell.gain, low: cell.gain_low, high: cell.gain_high,
    n: cell.pairs, against: optimizers.get(cell.against)?.name, word: word(cell.gain_low, cell.gain_high),
    panel: tasks.get(cell.task).title,
  }));
  const there = [...tasks.values()].filter((task) => rows.some((row) => row.panel === task.title));
  spec.facet.sort = there.map((task) => task.title);
  panels(spec, there.length, 430, 190, 2);
  const units = [...new Set(there.map((task) => task.unit || task.metric))];
  axisTitle(spec, `better than the best baseline by (${units.join(" or ")})`);
  return rows;
}

function axisTitle(spec, title) {
  for (const layer of spec.spec.layer) layer.encoding.x.title = title;
}

function rankingRows(spec) {
  const here = DATA.rankings.filter((one) => one.reading === state.reading && one.rows.length);
  $("#ranking-note").textContent = here.length
    ? "Score over the tasks of a panel: " + (DATA.saved === "fewer errors" ? "how many fewer errors" : "how much nearer to a perfect value") +
      " than the best baseline, in percent; interquartile mean over runs, 95 % interval from resampling seeds. Optimizers that lack a task, and tasks with short grids, are left out."
    : "No ranking: it needs a task with all baselines, none of them with a short grid.";
  const rows = here.flatMap((one) => one.rows.filter((row) => state.shown.has(row.optimizer)).map((row) => ({
    ...row, name: optimizers.get(row.optimizer).name, word: word(row.low, row.high), panel: one.over,
    against: "the best baseline",
  })));
  panels(spec, here.length, 430, 190, 2);
  axisTitle(spec, `${DATA.saved} than the best baseline (%)`);
  return rows;
}

// The steps of the task that a chart shows; null while their script is being loaded.
function steps(id) {
  const name = $(`select[data-task=${id}]`).value;
  if (!name) return {};
  if (window.STEPS?.[name]) return window.STEPS[name];
  const file = tasks.get(name).file;
  if (!$(`script[src="${file}"]`)) document.body.append(element("script", "", { src: file }));
  return null;
}

function options(select, names) {
  const old = select.value;
  select.replaceChildren(...names.map((name) => element("option", name, { value: name })));
  if (names.includes(old)) select.value = old;
}

function lineRows(line, more, seeds) {
  const rows = line.steps.map((step, i) => ({ ...more, step, seed: null, value: line.mean[i], low: line.low[i], high: line.high[i] }));
  if (seeds) for (const [seed, values] of Object.entries(line.seeds)) {
    line.steps.forEach((step, i) => rows.push({ ...more, step, seed, value: values[i] }));
  }
  return rows.filter((row) => row.value !== null);
}

function curveRows(spec) {
  const found = steps("curves");
  if (found === null) return null;
  const there = shownOf(Object.keys(found.curves ?? {}));
  options($("#quantity"), [...new Set(there.flatMap((one) => Object.keys(found.curves[one.label])))]);
  const quantity = $("#quantity").value;
  const rows = there.flatMap((one) => {
    const line = found.curves[one.label][quantity];
    return line ? lineRows(line, { name: one.name }, $("#seeds").checked) : [];
  });
  for (const layer of spec.layer) {
    for (const key of ["color", "strokeDash"]) {
      const scale = layer.encoding[key]?.scale;
      if (!scale) continue;
      scale.domain = there.map((one) => one.name);
      scale.range = there.map((one) => (key === "color" ? colour(one) : one.dash));
      layer.encoding[key].legend = key === "color" ? { ...layer.encoding[key].legend, columns: columns(210, 4) } : undefined;
    }
    layer.encoding.y.title = quantity;
    layer.encoding.y.scale = { zero: false, ...($("#range").value === "late" ? { domain: late(rows) } : {}) };
  }
  spec.width = room() - 90;
  return rows;
}

// From the lowest to the highest mean after a seventh of training.
function late(rows) {
  const from = Math.max(...rows.map((row) => row.step)) / 7;
  const values = rows.filter((row) => row.seed === null && row.step >= from).map((row) => row.value).sort((a, b) => a - b);
  if (!values.length) return [0, 1];
  const [low, high] = [values[Math.floor(values.length * 0.02)], values.at(-1 - Math.floor(values.length * 0.02))];
  const margin = 0.08 * (high - low || Math.abs(high) || 1);
  return [low - margin, high + margin];
}

function probeRows(spec) {
  const found = steps("probes");
  if (found === null) return null;
  options($("#probe"), Object.keys(found.probes ?? {}));
  const lines = found.probes?.[$("#probe").value] ?? {};
  const there = shownOf(Object.keys(lines));
  spec.facet.sort = there.map((one) => one.name);
  panels(spec, there.length, 300, 60, 3);
  return there.flatMap((one) => lines[one.label].flatMap((line, k) =>
    lineRows(line, { panel: one.name, component: String(k + 1) }, $("#probe-seeds").checked)));
}

function mapRows(spec) {
  const name = $("select[data-task=maps]").value;
  const task = tasks.get(name);
  const share = task?.unit === "points";
  $("#maps-note").textContent = "Each square is a point of a tuning grid, coloured by how far its validation value is from the optimizer’s own best (" +
    (share ? "points" : "percent") + "). Frame: chosen, by this value, among the longest runs. ×: diverged.";
  const rows = (DATA.maps[name] ?? []).filter((row) => state.shown.has(row.optimizer));
  const there = shownOf(rows.map((row) => row.optimizer));
  const title = (one) => one.name + (rows.find((row) => row.optimizer === one.label).up ? ` ↑ ${rows.find((row) => row.optimizer === one.label).up}` : "");
  const titles = new Map(there.map((one) => [one.label, title(one)]));
  spec.facet.sort = [...titles.values()];
  spec.spec.layer[0].encoding.color.scale.domain = DATA.levels[share ? "points" : "percent"];
  panels(spec, there.length, 260, 70, 4);
  return rows.map((row) => ({ ...row, panel: titles.get(row.optimizer) }));
}
